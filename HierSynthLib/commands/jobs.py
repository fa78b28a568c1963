"""Running jobs in the worker from the command line: progress, warnings, Ctrl-C, errors."""

import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from HierSynthLib.commands.terminal import Display
from HierSynthLib.errors import Cancelled, HierSynthError
from HierSynthLib.files import unfinished
from HierSynthLib.worker import messages
from HierSynthLib.worker.client import WorkerClient

CANCEL_GRACE = 2.0
"""Seconds that a job has after Ctrl-C to stop by itself and to remove its temporary files."""


class JobError(HierSynthError):
    """A job that failed in the worker; `log` holds the last lines of the worker's log."""

    def __init__(self, failure: messages.Failed, log: list[str]) -> None:
        super().__init__(failure.message, failure.hint)
        self.kind = failure.kind
        self.log = log


@contextmanager
def worker() -> Iterator[WorkerClient]:
    """Give a client whose worker is starting, and end it afterwards."""
    with WorkerClient(cancel_grace=CANCEL_GRACE) as client:
        client.start()
        yield client


def run_job(
    client: WorkerClient, kind: str, parameters: dict[str, Any], *, output: Path, title: str, debug: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Run one job to its end, with its progress on stderr. Ctrl-C asks it to stop, a second one ends it.

    Args:
        client: of the worker.
        kind: of the job.
        parameters: of the job.
        output: the folder that the job makes. What a killed worker left half-written beside it is removed.
        title: what the user sees in front of the progress.
        debug: whether the worker's log is shown.

    Returns:
        The job's result and its warnings.

    Raises:
        JobError: what the worker reported.
        Cancelled: after Ctrl-C, when the job has stopped.
    """
    warnings = []
    with interrupts() as pressed, Display(title) as display, _clean_up(output, client):
        job = client.submit(kind, parameters)
        heard = 0
        while True:
            event = client.next_event(timeout=0.1)
            if len(pressed) > heard:
                heard = len(pressed)
                display.say("stopping …")
                client.cancel(job, grace=CANCEL_GRACE if heard == 1 else 0.0)
            if event is None or isinstance(event, messages.Ready) or event.job != job:
                continue
            match event:
                case messages.Progress():
                    display.progress(event.stage, event.fraction)
                case messages.Warned():
                    warnings.append(event.message)
                    display.warning(event.message)
                case messages.Result():
                    display.progress("done", 1.0)
                    break
                case messages.Cancelled():
                    raise Cancelled
                case messages.Failed():
                    raise JobError(event, client.log or list(event.log))
    for line in client.log if debug else ():
        print(line, file=sys.stderr)
    return event.result, warnings


@contextmanager
def _clean_up(output: Path, client: WorkerClient) -> Iterator[None]:
    """When the job did not end well, remove what it made for `output` under temporary names (see `atomic_folder`).

    Those of other processes that write the same folder stay.
    """
    missing = [folder for folder in output.absolute().parents if not folder.exists()]
    before = unfinished(output)
    try:
        yield
    except BaseException:
        for folder, pid in unfinished(output).items():
            if folder not in before and pid in client.pids:
                shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            for folder in missing:  # innermost first; stops at the first that is not empty
                folder.rmdir()
        raise


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Collect Ctrl-C instead of raising `KeyboardInterrupt` wherever the program happens to be."""
    collected: list[int] = []

    def collect(number: int, _: FrameType | None) -> None:
        collected.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield collected  # only the main thread may change what Ctrl-C does
        return
    previous = signal.signal(signal.SIGINT, collect)
    try:
        yield collected
    finally:
        signal.signal(signal.SIGINT, previous)
