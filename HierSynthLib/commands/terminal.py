"""What the user sees while a command works: a progress bar, or sparse lines where there is no terminal; warnings."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_INTERVAL = 10.0
"""Seconds between two plain progress lines of one stage."""


class Display:
    """The progress of one job on stderr, so that stdout holds results only; use it as a context manager."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Progress | None = None
        self._stage = ""
        self._line_due = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[stage]}", markup=False),
            )
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task(self._title, total=1.0, stage="starting")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def progress(self, stage: str, fraction: float) -> None:
        """Show that `fraction` (0–1) is done and what is being done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=fraction, stage=stage)
        elif stage != self._stage or time.monotonic() >= self._line_due:
            self._stage = stage
            self._line_due = time.monotonic() + LINE_INTERVAL
            self.say(f"{self._title}: {stage}, {fraction:.0%}")

    def warning(self, message: str) -> None:
        """Show a warning as one line."""
        self.say(f"hiersynth: warning: {one_line(message)}")

    def say(self, line: str) -> None:
        """Write a line to stderr, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """Return the text with every run of white space as one space."""
    return " ".join(text.split())


def error_line(message: str, hint: str = "") -> str:
    """Return the one line in which an error is told."""
    return one_line(f"hiersynth: error: {message} {hint}")
