"""Ctrl-C and the termination signal of a cluster, turned into a stop between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from HierSynthLib.errors import Cancelled
from HierSynthLib.progress import Reporter

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptible:
    """A reporter that passes everything on and cancels once a signal has come.

    Attributes:
        signals: numbers of the signals that came.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.signals: list[int] = []

    def progress(self, stage: str, fraction: float) -> None:
        """Pass on the progress, or raise `Cancelled`."""
        if self.signals:
            raise Cancelled
        self._reporter.progress(stage, fraction)

    def warning(self, message: str) -> None:
        """Pass on the warning."""
        self._reporter.warning(message)


@contextmanager
def interruptible(reporter: Reporter) -> Iterator[Interruptible]:
    """Give a reporter that SIGINT and SIGTERM cancel; a second SIGINT ends the program at once.

    Outside the main thread, where signals cannot be caught, it only passes everything on.
    """
    result = Interruptible(reporter)
    if threading.current_thread() is not threading.main_thread():
        yield result
        return

    def note(number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and result.signals:
            raise KeyboardInterrupt
        result.signals.append(number)

    previous = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield result
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
