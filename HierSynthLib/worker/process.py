"""One worker process seen from its host: started, written to, read from and ended without ever blocking the host."""

import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from HierSynthLib.errors import WorkerError
from HierSynthLib.worker.messages import read_lines
from HierSynthLib.worker.process_tree import end_process_tree, group_arguments

LOG_LINES = 200
"""Last lines of the log that are kept."""

LONGEST_LOG_LINE = 2000
"""Characters after which a line of the log is cut."""

READ_OUT = 2.0
"""Seconds given to what an ended process had still written."""


class WorkerProcess:
    """A child process that speaks lines.

    Three threads carry what it says and hears, a fourth one waits for its end; all of them end with it. `on_line` and
    `on_exit` are called from these threads: `on_line` for every line of its stdout, then `on_exit` once with its
    return code, after the last line and when nothing of its process tree is left.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_line: Callable[["WorkerProcess", bytes], None],
        on_exit: Callable[["WorkerProcess", int], None],
    ) -> None:
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._logging = threading.Lock()
        self._on_line, self._on_exit = on_line, on_exit
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._gone = threading.Event()
        try:
            self._process = subprocess.Popen(
                list(command),
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                **group_arguments(),
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise WorkerError(
                f"The background process cannot be started with {command[0]}: {reason}.",
                "Choose a Python 3.11 or newer that has the packages HierSynth requires.",
            ) from error
        self.pid = self._process.pid
        self._writer = self._thread(self._write)
        self._readers = [self._thread(self._read_events), self._thread(self._read_log)]
        self._watcher = self._thread(self._watch)

    def send(self, line: bytes) -> None:
        """Hand over a line for its stdin; never blocks. A process that has ended hears nothing."""
        self._outbox.put(line)

    def hang_up(self) -> None:
        """Close its stdin after what was sent, which tells it to end."""
        self._outbox.put(None)

    def end(self) -> None:
        """End its whole process tree now."""
        if not self._gone.is_set():
            end_process_tree(self.pid)

    def join(self, timeout: float) -> bool:
        """Wait until it has ended and everything about it is released; False when that takes longer."""
        self._watcher.join(timeout)
        return not self._watcher.is_alive()

    @property
    def log(self) -> list[str]:
        """The last lines of its log (its stderr, and what its host noted)."""
        with self._logging:
            return list(self._log)

    def note(self, text: str) -> None:
        """Keep a line in the log."""
        with self._logging:
            self._log.append(text[:LONGEST_LOG_LINE])

    def _thread(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, name=f"worker {target.__name__.strip('_')}", daemon=True)
        thread.start()
        return thread

    def _write(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        with suppress(OSError, ValueError):
            while (line := self._outbox.get()) is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()
        with suppress(OSError, ValueError):
            self._process.stdin.close()

    def _read_events(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        for line in read_lines(self._process.stdout):
            self._on_line(self, line)

    def _read_log(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        for line in read_lines(self._process.stderr):
            self.note(line.decode("utf-8", "replace").rstrip())

    def _watch(self) -> None:
        if hasattr(os, "waitid"):
            # Without releasing its number, so that the group which is ended next is certainly its own.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._process.wait()
        self._gone.set()
        end_process_tree(self.pid)
        code = self._process.wait()
        self.hang_up()
        for thread, stream in zip(self._readers, (self._process.stdout, self._process.stderr), strict=True):
            thread.join(READ_OUT)
            if not thread.is_alive() and stream is not None:  # else something that escaped still holds the pipe
                stream.close()
        self._writer.join(READ_OUT)
        self._on_exit(self, code)


def python_command(python: str | Path | None, arguments: Sequence[str]) -> list[str]:
    """Return the command line for a Python (this one for None); unbuffered, so that the log is never behind."""
    return [os.fspath(python) if python else sys.executable, "-u", *arguments]


def python_environment(python: str | Path | None, environment: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment in which a Python finds this very HierSynthLib, and nothing of the host's Python.

    Args:
        python: the interpreter; None for the one that runs this.
        environment: what to start from, for example the environment in which the host was started; None for the
            present one, from which another interpreter does not get PYTHONHOME and PYTHONPATH.
    """
    result = dict(os.environ if environment is None else environment)
    same_python = python is None or os.fspath(python) == sys.executable
    if not same_python and environment is None:
        for name in ("PYTHONHOME", "PYTHONPATH"):
            result.pop(name, None)
    if same_python and sys.flags.no_user_site:
        result["PYTHONNOUSERSITE"] = "1"
    library = str(Path(__file__).resolve().parents[2])
    result["PYTHONPATH"] = os.pathsep.join(filter(None, [library, result.get("PYTHONPATH")]))
    result["PYTHONSAFEPATH"] = "1"  # a file in the working folder must not pass for a library
    result["PYTHONIOENCODING"] = "utf-8:backslashreplace"
    return result
