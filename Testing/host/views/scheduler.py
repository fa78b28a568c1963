"""When views are drawn: requests are gathered, and at most one view is drawn per turn of the event loop.

Followed: ctkVTKAbstractView.cpp of CTK (scheduleRender, MaximumUpdateRate 60 Hz). CTK gives every view a timer of
its own; drawing in software takes milliseconds instead of microseconds, so the views share one timer here and let the
event loop breathe in between.
"""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QObject, QTimer

MAXIMUM_UPDATE_RATE_HZ = 60.0


class Drawable(Protocol):
    """What the scheduler asks of a view."""

    def requestRender(self) -> None:
        """Draws now, unless drawing is paused or the view is not visible."""


class RenderScheduler(QObject):
    """Draws the views that asked for it, in the order of their requests, one per turn of the event loop."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: list[Drawable] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw_next)

    def request(self, view: Drawable) -> None:
        """Puts `view` on the list; a second request before it was drawn changes nothing."""
        if self.is_waiting(view):
            return
        self._waiting.append(view)
        if not self._timer.isActive():
            self._timer.start(round(1000.0 / MAXIMUM_UPDATE_RATE_HZ))

    def forget(self, view: Drawable) -> None:
        """Takes `view` off the list: it was drawn meanwhile, or is about to be destroyed."""
        self._waiting = [waiting for waiting in self._waiting if waiting is not view]

    def is_waiting(self, view: Drawable) -> bool:
        """Whether `view` waits to be drawn."""
        return any(waiting is view for waiting in self._waiting)

    def is_idle(self) -> bool:
        """Whether no view waits to be drawn."""
        return not self._waiting

    def _draw_next(self) -> None:
        if not self._waiting:
            return
        view = self._waiting.pop(0)
        if self._waiting:
            self._timer.start(0)
        view.requestRender()
