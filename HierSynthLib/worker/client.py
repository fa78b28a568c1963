"""The host's side of the worker: submit jobs, drain events. Plain Python that never blocks and needs no event loop."""

import queue
import secrets
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from HierSynthLib.errors import WorkerError
from HierSynthLib.worker import messages
from HierSynthLib.worker.process import WorkerProcess, python_command, python_environment
from HierSynthLib.worker.process_tree import exit_in_words

CANCEL_GRACE = 1.0
"""Seconds that a job has to stop by itself before its process tree is ended."""

CLOSE_GRACE = 2.0
"""Seconds that the worker has to end by itself when the client is closed."""

LOG_LINES = 20
"""Lines of the log that go with a failure of the process."""

_LAST = (messages.Result, messages.Cancelled, messages.Failed)


class WorkerClient:
    """Runs jobs one after the other in a background process, which it starts when needed and again when it died.

    Every submitted job gets exactly one last event: `Result`, `Cancelled` or `Failed`, also when the process dies or
    cannot be started. All methods may be called from any thread; only `close` takes time. Use it as a context manager,
    or call `close`.

    Args:
        python: the interpreter of the worker; None for the one that runs this.
        environment: its environment; see `python_environment`.
        arguments: what the interpreter runs.
        cancel_grace: seconds that a job has to stop by itself before its process tree is ended.
    """

    def __init__(
        self,
        python: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        arguments: Sequence[str] = ("-m", "HierSynthLib.worker"),
        cancel_grace: float = CANCEL_GRACE,
    ) -> None:
        self._command = python_command(python, arguments)
        self._environment = python_environment(python, environment)
        self._cancel_grace = cancel_grace
        self._events: queue.SimpleQueue[messages.Event] = queue.SimpleQueue()
        self._lock = threading.RLock()  # guards all below
        self._process: WorkerProcess | None = None
        self._last_process: WorkerProcess | None = None  # whose log it is
        self._ready = False
        self._condemned = False  # the process is being ended: it gets no more jobs
        self._pids: set[int] = set()
        self._waiting: deque[messages.Run] = deque()
        self._active: messages.Run | None = None
        self._started = False
        self._cancelling = False
        self._timer: threading.Timer | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether there is a process now."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The process's number, while there is one."""
        process = self._process
        return process.pid if process else None

    @property
    def pids(self) -> frozenset[int]:
        """The numbers that the processes so far gave as their own (those of a launcher in between are not theirs)."""
        with self._lock:
            return frozenset(self._pids)

    @property
    def log(self) -> list[str]:
        """The last lines of the log of the present process, or of the last one."""
        process = self._last_process
        return process.log if process else []

    def start(self) -> None:
        """Start the process ahead of the first job; `Ready` follows. Does nothing when there is one.

        Raises:
            WorkerError: the interpreter cannot be started, or the client is closed.
        """
        with self._lock:
            if self._closed:
                raise WorkerError("This client of the background process is closed.")
            if self._process is None:
                self._ready = False
                self._process = WorkerProcess(self._command, self._environment, self._receive, self._ended)
                self._last_process = self._process

    def submit(self, kind: str, parameters: Mapping[str, Any]) -> str:
        """Queue a job and return its name. All that goes wrong later comes as the job's `Failed` event.

        Raises:
            ProtocolError: the parameters are not strict JSON.
            WorkerError: the client is closed.
        """
        request = messages.Run(secrets.token_hex(8), kind, dict(parameters))
        messages.encode(request)
        with self._lock:
            if self._closed:
                raise WorkerError("This client of the background process is closed.")
            self._waiting.append(request)
            self._next_job()
        return request.job

    def cancel(self, job: str, grace: float | None = None) -> None:
        """Stop a job: asks it first, and ends the process tree when it has not answered after `grace` seconds.

        Does nothing for a job that has had its last event. A later call with a shorter grace overrides the earlier.
        """
        with self._lock:
            for request in self._waiting:
                if request.job == job:
                    self._waiting.remove(request)
                    self._events.put(messages.Cancelled(job))
                    return
            if self._active is None or self._active.job != job or self._process is None:
                return
            if not self._cancelling:
                self._cancelling = True
                self._process.send(messages.encode(messages.Cancel(job)))
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(self._cancel_grace if grace is None else grace, self._end_active, (job,))
            self._timer.daemon = True
            self._timer.start()

    def drain(self) -> list[messages.Event]:
        """Return the events that have come since the last call, without waiting."""
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    def next_event(self, timeout: float | None = None) -> messages.Event | None:
        """Wait for an event; None when none came within `timeout` seconds."""
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Cancel all jobs and end the process: orderly, or its whole tree after `CLOSE_GRACE`. Their events remain."""
        with self._lock:
            self._closed = True
            while self._waiting:
                self._events.put(messages.Cancelled(self._waiting.popleft().job))
            self._cancelling = True
            process, timer = self._process, self._timer
        if process is not None:
            process.send(messages.encode(messages.Shutdown()))
            process.hang_up()
            if not process.join(CLOSE_GRACE):
                process.end()
                process.join(CLOSE_GRACE + 5)
        if timer is not None:
            timer.cancel()
            timer.join()

    # --- called with the lock held -----------------------------------------------------------------------------------

    def _next_job(self) -> None:
        while self._active is None and self._waiting and not self._condemned:
            self._active = self._waiting.popleft()
            self._started = self._cancelling = False
            try:
                self.start()
            except WorkerError as error:
                self._finish(messages.Failed(self._active.job, error.kind, error.message, error.hint))
            else:
                assert self._process is not None  # noqa: S101 - start has made it
                self._process.send(messages.encode(self._active))

    def _finish(self, event: messages.Event) -> None:
        self._events.put(event)
        self._active = None
        if self._timer is not None:
            self._timer.cancel()

    # --- called from the threads of the process and of the timer -----------------------------------------------------

    def _receive(self, process: WorkerProcess, line: bytes) -> None:
        try:
            event = messages.parse_event(line)
        except messages.ProtocolError:
            process.note(line.decode("utf-8", "replace").rstrip())
            return
        with self._lock:
            job = None if isinstance(event, messages.Ready) else event.job
            if job is not None and (self._active is None or job != self._active.job):
                process.note(f"client: an event came for the job {job}, which has ended")
                return
            if isinstance(event, messages.Ready):
                self._ready = True
                self._pids.add(event.pid)
            elif isinstance(event, messages.Started):
                self._started = True
            if job is not None and isinstance(event, _LAST):
                self._finish(event)
                self._next_job()
            else:
                self._events.put(event)

    def _end_active(self, job: str) -> None:
        with self._lock:
            process = self._process
            if process is None or self._active is None or self._active.job != job:
                return
            # Ending takes time, so it happens without the lock. The job may answer meanwhile; the next one must not
            # start in this process then.
            self._condemned = True
        process.note(f"client: the job {job} did not stop when asked, so the process tree is ended")
        process.end()

    def _ended(self, process: WorkerProcess, code: int) -> None:
        with self._lock:
            self._process = None
            condemned, self._condemned = self._condemned, False
            if self._active is not None:
                job = self._active.job
                if self._cancelling:
                    self._finish(messages.Cancelled(job))
                elif self._ready and not self._started:
                    # It died idle, and the job was sent before that was noticed: another process can do it.
                    self._waiting.appendleft(self._active)
                    self._active = None
                else:
                    self._finish(self._death(process, code, job))
            elif not self._closed and not condemned:
                self._events.put(self._death(process, code, None))
            self._next_job()

    def _death(self, process: WorkerProcess, code: int, job: str | None) -> messages.Failed:
        lines = [line for line in process.log if line.strip()][-LOG_LINES:]
        last_words = f" It last wrote: {lines[-1]}" if lines and code > 0 else ""
        when = "" if self._ready else " before it was ready"
        return messages.Failed(
            job,
            WorkerError.kind,
            f"The background process {exit_in_words(code)}{when}.{last_words}",
            "Try again; if it happens again, see its log." if self._ready else f"Check the Python {self._command[0]}.",
            tuple(lines),
        )
