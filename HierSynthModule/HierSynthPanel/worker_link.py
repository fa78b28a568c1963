"""The background process as the panel sees it: submit a job, hear of its events on the user's thread."""

import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qt
import slicer

from HierSynthLib.worker.client import WorkerClient
from HierSynthLib.worker.interpreter import worker_environment
from HierSynthLib.worker.job_folder import JobFolder, remove_stale_folders
from HierSynthLib.worker.messages import Cancelled, Event, Failed, Result

POLL_MS = 10

OnEvent = Callable[[Event], None]


class WorkerLink:
    """Owns the client of the worker and passes its events on from a timer.

    Args:
        python: the worker's interpreter; "" for Slicer's own.
    """

    def __init__(self, python: str = "") -> None:
        self._python = python
        self._companions: list[WorkerLink] = []
        self._listeners: dict[str, OnEvent] = {}
        self._client = self._new_client(python)
        self._timer = qt.QTimer()
        self._timer.interval = POLL_MS
        self._timer.timeout.connect(self._drain)
        in_background(lambda: remove_stale_folders(job_folders()))

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return bool(self._listeners)

    @property
    def pid(self) -> int | None:
        """The number of the worker's process, while there is one."""
        return self._client.pid

    @property
    def pids(self) -> frozenset[int]:
        """The numbers of all worker processes so far."""
        return self._client.pids

    @property
    def log(self) -> list[str]:
        """The last lines of the worker's log."""
        return self._client.log

    def companion(self) -> "WorkerLink":
        """Another background process, for work that shall not wait for this one's; it runs with the same Python."""
        companion = WorkerLink(self._python)
        self._companions.append(companion)
        return companion

    def submit(self, kind: str, parameters: Mapping[str, Any], on_event: OnEvent) -> str:
        """Queue a job; `on_event` is called for each of its events, the last being Result, Cancelled or Failed."""
        job = self._client.submit(kind, parameters)
        self._listeners[job] = on_event
        self._timer.start()
        return job

    def cancel(self, job: str) -> None:
        """Ask a job to stop; its last event follows."""
        self._client.cancel(job)

    def forget(self, job: str) -> None:
        """Cancel a job and hear no more of it."""
        self._listeners.pop(job, None)
        self._client.cancel(job)

    def use_python(self, python: str) -> None:
        """Run further jobs, those of companions too, with another interpreter; jobs at work are cancelled."""
        self._python = python
        for companion in self._companions:
            companion.use_python(python)
        old, listeners = self._client, self._listeners
        self._client, self._listeners = self._new_client(python), {}
        for job, on_event in listeners.items():
            on_event(Cancelled(job))
        # Closing waits for the process to end.
        in_background(old.close)

    def new_folder(self) -> JobFolder:
        """A new folder for the files of one job. Raises `OutputError`."""
        return JobFolder(job_folders())

    def remove(self, folder: JobFolder) -> None:
        """Remove the folder of a job, without making the user wait for its large files to go."""
        in_background(folder.remove)

    def cleanup(self) -> None:
        """End the process; nobody hears of its jobs any more."""
        self._timer.stop()
        self._timer.timeout.disconnect(self._drain)
        self._listeners.clear()
        self._client.close()

    def _drain(self, *_: object) -> None:
        for event in self._client.drain():
            listener = self._listeners.get(event.job or "") if event.type != "ready" else None
            if listener is None:
                continue
            if isinstance(event, Result | Cancelled | Failed):
                del self._listeners[event.job]
            listener(event)
        if not self._listeners:
            self._timer.stop()

    @staticmethod
    def _new_client(python: str) -> WorkerClient:
        if python:
            return WorkerClient(python, worker_environment(slicer.util.startupEnvironment()))
        # Slicer's own Python is not the program that runs this, but the launcher that Slicer puts on the PATH.
        return WorkerClient(shutil.which("PythonSlicer"))


def job_folders() -> Path:
    """The folder that holds those of the jobs."""
    return Path(slicer.app.temporaryPath) / "HierSynth"


def in_background(work: Callable[[], object]) -> None:
    """Do something that takes a moment, needs nothing of Slicer and may outlive the panel."""
    threading.Thread(target=work, name="HierSynth").start()
