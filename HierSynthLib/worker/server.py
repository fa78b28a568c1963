"""The worker's side of the protocol: one long-lived process, one job at a time."""

import errno
import faulthandler
import gc
import math
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

import HierSynthLib
from HierSynthLib import errors
from HierSynthLib.progress import Reporter
from HierSynthLib.worker import messages
from HierSynthLib.worker.process_tree import end_descendants, end_process_tree

Job = Callable[[dict[str, Any], Reporter], dict[str, Any]]
"""What the job table holds: parameters and reporter in, the result's fields out; raises what goes wrong."""

END_GRACE = 2.0
"""Seconds that a running job has to stop by itself once nobody listens any more."""

PROGRESS_INTERVAL = 0.05
"""Fewest seconds between two progress events of a stage."""

LONGEST_TEXT = 2000
"""Characters after which a stage, a warning, an error's text or a line of the log is cut."""

LOG_LINES = 20
"""Lines of the log that a `failed` event carries."""


def serve(jobs: Mapping[str, Job]) -> None:
    """Speak the protocol on this process's stdin and stdout until told to end or until stdin closes.

    Stdin and stdout themselves are replaced first (by nothing and by stderr), so that no library that prints or asks
    can disturb the protocol.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    faulthandler.enable()
    requests, events = _take_stdin(), _take_stdout()
    _Server(jobs, requests, events).run()
    end_descendants(os.getpid())


def _take_stdin() -> BinaryIO:
    own = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return os.fdopen(own, "rb")


def _take_stdout() -> BinaryIO:
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(own, "wb", buffering=0)


class _Server:
    def __init__(self, jobs: Mapping[str, Job], requests: BinaryIO, events: BinaryIO) -> None:
        self._jobs = jobs
        self._requests = requests
        self._events = events
        self._sending = threading.Lock()
        self._changing = threading.Lock()  # guards the three below: requests come in while a job runs
        self._cancelled: dict[str, threading.Event] = {}  # of the jobs that run or wait
        self._running: str | None = None
        self._ending = False
        self._turns: queue.SimpleQueue[tuple[messages.Run, threading.Event] | None] = queue.SimpleQueue()
        self._log: deque[str] = deque(maxlen=LOG_LINES)

    def run(self) -> None:
        """Run the jobs in this (the main) thread, while another one reads the requests."""
        self._send(messages.Ready(messages.PROTOCOL, HierSynthLib.__version__, os.getpid(), platform.python_version()))
        threading.Thread(target=self._listen, name="requests", daemon=True).start()
        while (turn := self._turns.get()) is not None:
            request, cancelled = turn
            with self._changing:
                if cancelled.is_set():
                    continue
                self._running = request.job
            answer = self._run_job(request, cancelled)
            with self._changing:
                self._running = None
                del self._cancelled[request.job]
            self._send(answer)
            gc.collect()  # large arrays in reference cycles must not wait for the next job

    def _send(self, event: messages.Event) -> None:
        line = messages.encode(event)
        try:
            with self._sending:
                while line:
                    line = line[self._events.write(line) or 0 :]
        except OSError:
            self._end()  # nobody reads any more

    def _log_line(self, text: str) -> None:
        self._log.extend(text.splitlines())
        with suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)

    # --- the thread that listens -------------------------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            for line in messages.read_lines(self._requests):
                if not line.strip():
                    continue
                try:
                    request = messages.parse_request(line)
                except messages.ProtocolError as error:
                    self._refuse(error)
                    continue
                if isinstance(request, messages.Shutdown):
                    break
                if isinstance(request, messages.Run):
                    self._queue(request)
                else:
                    self._cancel(request.job)
        finally:
            self._end()

    def _refuse(self, error: messages.ProtocolError) -> None:
        self._log_line(f"worker: refused a request: {error}")
        if error.job is None:
            self._send(messages.Warned(None, str(error)))
        else:
            self._send(messages.Failed(error.job, error.kind, error.message, error.hint))

    def _queue(self, request: messages.Run) -> None:
        if request.kind not in self._jobs:
            what, todo = f"There is no job of the kind {request.kind[:100]!r}.", f"There is {', '.join(self._jobs)}."
            self._refuse(messages.ProtocolError(what, todo, request.job))
            return
        cancelled = threading.Event()
        with self._changing:
            repeated = request.job in self._cancelled
            if not repeated:
                self._cancelled[request.job] = cancelled
        if repeated:
            self._refuse(messages.ProtocolError(f"The job {request.job!r} is already here."))
        else:
            self._turns.put((request, cancelled))

    def _cancel(self, job: str) -> None:
        with self._changing:
            if job in self._cancelled:
                self._cancelled[job].set()
            waiting = job in self._cancelled and job != self._running
            if waiting:
                del self._cancelled[job]
        if waiting:
            self._send(messages.Cancelled(job))

    def _end(self) -> None:
        """Stop what runs and end this process, at the latest after `END_GRACE`."""
        with self._changing:
            if self._ending:
                return
            self._ending = True
            for cancelled in self._cancelled.values():
                cancelled.set()
        self._turns.put(None)
        threading.Thread(target=self._end_at_last, name="end", daemon=True).start()

    def _end_at_last(self) -> None:
        time.sleep(END_GRACE)
        end_process_tree(os.getpid())
        os._exit(1)

    # --- the thread that works ---------------------------------------------------------------------------------------

    def _run_job(self, request: messages.Run, cancelled: threading.Event) -> messages.Event:
        """Return the last event of the job, whatever happens in it."""
        self._log.clear()
        self._send(messages.Started(request.job))
        reporter = _JobReporter(request.job, cancelled, self._send)
        try:
            result = messages.Result(request.job, self._jobs[request.kind](request.parameters, reporter))
            messages.encode(result)
        except errors.Cancelled:
            return messages.Cancelled(request.job)
        except BaseException as error:
            self._log_line(traceback.format_exc().rstrip())
            return self._failure(request.job, error)
        finally:
            reporter.flush()
            with suppress(OSError, ValueError):
                sys.stdout.flush()
        return result

    def _failure(self, job: str, error: BaseException) -> messages.Failed:
        kind, *texts = explain(error)
        message, hint = (text[:LONGEST_TEXT] for text in texts)
        return messages.Failed(job, kind, message, hint, tuple(line[:LONGEST_TEXT] for line in self._log))


class _JobReporter:
    """Turns the calls of a job into events: not too many of them, and the last of every stage."""

    def __init__(self, job: str, cancelled: threading.Event, send: Callable[[messages.Event], None]) -> None:
        self._job = job
        self._cancelled = cancelled
        self._send = send
        self._last: messages.Progress | None = None
        self._last_was_sent = True
        self._next_time = -math.inf

    def progress(self, stage: str, fraction: float) -> None:
        if self._cancelled.is_set():
            raise errors.Cancelled
        fraction = min(max(float(fraction), 0.0), 1.0) if math.isfinite(fraction) else 0.0
        stage = stage[:LONGEST_TEXT]
        if self._last is not None and self._last.stage != stage:
            self.flush()
            self._next_time = -math.inf
        self._last = messages.Progress(self._job, stage, fraction)
        self._last_was_sent = False
        if time.monotonic() >= self._next_time:
            self.flush()

    def warning(self, message: str) -> None:
        self._send(messages.Warned(self._job, message[:LONGEST_TEXT]))

    def flush(self) -> None:
        """Send the last progress that was held back."""
        if self._last is not None and not self._last_was_sent:
            self._last_was_sent = True
            self._next_time = time.monotonic() + PROGRESS_INTERVAL
            self._send(self._last)


def explain(error: BaseException) -> tuple[str, str, str]:
    """Return (kind, message, hint) of what a job raised, in words for users."""
    if isinstance(error, errors.HierSynthError):
        return error.kind, error.message, error.hint
    if isinstance(error, MemoryError):
        return "memory", "There was not enough memory for the job.", "Close other programs, or use smaller volumes."
    if isinstance(error, ImportError):
        return (
            errors.RUNTIME,
            f"The Python of the background process ({sys.executable}) cannot import what the job needs: {error}.",
            "Install the packages that HierSynth requires there, or choose another Python.",
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "output", "The disk is full.", "Free some space, or choose another output folder."
    text = " ".join(str(error).split())[:500]
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return "internal", f"The job stopped with an unexpected error ({what}).", "Please report it together with the log."
