"""How long a reader was at work on something, and how long away."""

from __future__ import annotations

import time
from collections.abc import Callable


class ActivityClock:
    """Adds up active and idle time between the actions of a reader.

    The time between two actions is active up to `idle_after_s`, and idle beyond it. Pauses are neither.
    """

    def __init__(self, idle_after_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin now.

        Args:
            idle_after_s: time without an action after which the reader counts as idle.
            monotonic: tells seconds that never step back.
        """
        self._idle_after_s, self._monotonic = idle_after_s, monotonic
        self._active = self._idle = 0.0
        self._last = monotonic()
        self.paused = False

    def restart(self, elapsed_s: float = 0.0) -> None:
        """Begin anew, as if `elapsed_s` had passed since the last action."""
        self._active = self._idle = 0.0
        self._last = self._monotonic() - max(0.0, elapsed_s)

    def touch(self) -> None:
        """The reader did something."""
        now = self._monotonic()
        if not self.paused:
            gap = now - self._last
            self._active += min(gap, self._idle_after_s)
            self._idle += max(0.0, gap - self._idle_after_s)
        self._last = now

    def pause(self) -> None:
        """The reader leaves; the time until `resume` does not count."""
        self.touch()
        self.paused = True

    def resume(self) -> None:
        """The reader is back."""
        self.touch()
        self.paused = False

    def read(self) -> tuple[float, float]:
        """Active and idle seconds since the last `restart`, with an action of now."""
        self.touch()
        return round(self._active, 3), round(self._idle, 3)
