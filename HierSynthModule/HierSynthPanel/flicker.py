"""Two maps in turn at the same place, and an overlay that fades."""

from collections.abc import Callable

import qt

FADE_MS = 250


class Flicker:
    """Alternates between two things at a rate.

    Args:
        on_change: called with whether it is the second thing's turn.
    """

    def __init__(self, on_change: Callable[[bool], None]) -> None:
        self._on_change = on_change
        self._timer = qt.QTimer()
        self._timer.timeout.connect(self._turn)
        self.second = False

    @property
    def running(self) -> bool:
        """Whether it alternates."""
        return bool(self._timer.active)

    def start(self, rate: float) -> None:
        """Alternate with `rate` changes per second; a running flicker only changes its rate."""
        interval = round(1000 / rate)
        if not self.running:
            self._timer.start(interval)
        elif self._timer.interval != interval:
            self._timer.interval = interval

    def stop(self) -> None:
        """Stop with the first thing."""
        self._timer.stop()
        if self.second:
            self._turn()

    def cleanup(self) -> None:
        """Leave no timer behind."""
        self.stop()
        self._timer.timeout.disconnect(self._turn)

    def _turn(self, *_args: object) -> None:
        self.second = not self.second
        self._on_change(self.second)


class Fade:
    """Lets something disappear and come back smoothly.

    Args:
        on_change: called with how much of it is visible, 1 to 0.
    """

    def __init__(self, on_change: Callable[[float], None]) -> None:
        self._on_change = on_change
        self._line = qt.QTimeLine(FADE_MS)
        self._line.direction = qt.QTimeLine.Backward
        self._line.valueChanged.connect(self._step)
        self.visible = 1.0

    def toggle(self, *_args: object) -> None:
        """Fade out what is there, or in what is not, also in the middle of a fade."""
        self._line.toggleDirection()
        if self._line.state() == qt.QTimeLine.NotRunning:
            self._line.start()

    def reset(self) -> None:
        """Count as wholly visible from now on."""
        self._line.stop()
        self._line.direction = qt.QTimeLine.Backward
        self.visible = 1.0

    def cleanup(self) -> None:
        """Leave no timer behind."""
        self._line.stop()
        self._line.valueChanged.disconnect(self._step)

    def _step(self, value: float) -> None:
        self.visible = 1.0 - value
        self._on_change(self.visible)
