"""How long a job will still take, estimated from its progress, calm enough to be shown."""

from __future__ import annotations

_ENOUGH = 0.05  # of the job must have been seen …
_ENOUGH_SECONDS = 1.0  # … and this long, before a speed is known
_SMOOTHING_SECONDS = 4.0
_LARGEST_CHANGE = 0.25  # of what is left, per second: a new estimate is approached, not jumped to
_LEAST_CHANGE = 3.0  # seconds per second: more than the clock takes away, so that it never sticks at 0
_LONGEST_STEP = 1.0  # second; after a long silence one report shall not count for all of it


class TimeLeft:
    """Seconds that are left, from reports of (time, fraction).

    What happens below `start` is not measured: loading libraries takes seconds the first time and nothing later.
    """

    def __init__(self, start: float = 0.05) -> None:
        self._start = start
        self._first: tuple[float, float] | None = None
        self._last_fraction = 0.0
        self._end: float | None = None  # when it will be done
        self._changed = 0.0

    def report(self, now: float, fraction: float) -> None:
        """Take in that `fraction` (0–1) is done at the time `now` (s); steps back are ignored."""
        if fraction < self._start or fraction <= self._last_fraction:
            return
        self._last_fraction = fraction
        if self._first is None:
            self._first = (now, fraction)
            return
        seconds, done = now - self._first[0], fraction - self._first[1]
        if seconds < _ENOUGH_SECONDS or done < _ENOUGH:
            return
        end = now + seconds * (1 - fraction) / done
        if self._end is None:
            self._end = end
        else:
            step = min(max(now - self._changed, 0.0), _LONGEST_STEP)
            largest = max(_LEAST_CHANGE, _LARGEST_CHANGE * max(self._end - now, 0.0)) * step
            self._end += min(max((end - self._end) * step / _SMOOTHING_SECONDS, -largest), largest)
        self._changed = now

    def seconds(self, now: float) -> float | None:
        """What is left at the time `now`, never negative; None while too little is known."""
        return None if self._end is None else max(0.0, self._end - now)


def in_words(seconds: float | None) -> str:
    """The time left for users, coarser the longer it is: "about 12 s left", "about 2 min left"; "" for None."""
    if seconds is None:
        return ""
    if seconds < 4:
        return "a few seconds left"
    if seconds < 20:
        return f"about {seconds:.0f} s left"
    if seconds < 57.5:
        return f"about {5 * round(seconds / 5)} s left"
    if seconds < 3570:
        return f"about {max(1, round(seconds / 60))} min left"
    return f"about {max(1, round(seconds / 3600))} h left"
