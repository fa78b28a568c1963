"""Runs the event loop for tests and measures how long it stood still.

Followed: nothing of Slicer; QTest of Qt.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QEventLoop, Qt, QTimer

POLL_MS = 5


def wait(condition: Callable[[], bool], timeout: float, what: str = "") -> None:
    """Run the event loop until a condition holds.

    Args:
        condition: asked about every 5 ms.
        timeout: seconds.
        what: what is waited for, in the error.

    Raises:
        TimeoutError: it does not hold in time.
    """
    if condition():
        return
    loop, timer = QEventLoop(), QTimer()
    deadline = time.monotonic() + timeout
    outcome: list[BaseException | None] = []

    def poll() -> None:
        try:
            if condition():
                outcome.append(None)
            elif time.monotonic() > deadline:
                outcome.append(TimeoutError(f"not after {timeout:g} s: {what or _where(condition)}"))
        except BaseException as error:  # raised again below, outside the event loop
            outcome.append(error)
        if outcome:
            timer.stop()
            loop.quit()

    timer.timeout.connect(poll)
    timer.start(POLL_MS)
    loop.exec()
    if outcome[0] is not None:
        raise outcome[0]


class Gaps:
    """Context in which the longest time between two turns of the event loop is measured.

    Attributes:
        longest: seconds.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        # A timer without interval would measure finer, and take a core away from what is measured.
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._turn)

    def __enter__(self) -> Gaps:
        self._last = time.perf_counter()
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._turn()
        self._timer.stop()

    def _turn(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now


def _where(condition: Callable[[], bool]) -> str:
    code = getattr(condition, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(condition)
