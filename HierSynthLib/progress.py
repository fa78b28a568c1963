"""How long work reports where it stands and learns that it shall stop."""

from typing import Protocol

from HierSynthLib.errors import Cancelled


class Reporter(Protocol):
    """What long-running functions talk to. Implemented by the worker, the command line and `Silent`."""

    def progress(self, stage: str, fraction: float) -> None:
        """Report that `fraction` (0–1) of `stage` (a short phrase for users, e.g. "registration") is done.

        Raises `Cancelled` when the user asked to stop, so every call is also a cancellation point. Call it at least
        every 0.5 s.
        """

    def warning(self, message: str) -> None:
        """Report something the user should know although the work goes on (one sentence)."""


class Silent:
    """A reporter that tells nobody and is never cancelled; collects the warnings in `warnings`."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def progress(self, stage: str, fraction: float) -> None:
        """Ignore the progress."""

    def warning(self, message: str) -> None:
        """Remember the warning."""
        self.warnings.append(message)


class Part:
    """A reporter for a part of a longer job: maps its fractions 0–1 onto `start`–`end` of the whole."""

    def __init__(self, whole: Reporter, start: float, end: float) -> None:
        self._whole, self._start, self._end = whole, start, end

    def progress(self, stage: str, fraction: float) -> None:
        """Pass on the progress, scaled to the part."""
        self._whole.progress(stage, self._start + (self._end - self._start) * fraction)

    def warning(self, message: str) -> None:
        """Pass on the warning."""
        self._whole.warning(message)


class Stage:
    """A reporter for a step whose own stages do not concern the user: all of it is one `stage` of the whole."""

    def __init__(self, whole: Reporter, stage: str) -> None:
        self._whole, self._stage = whole, stage

    def progress(self, stage: str, fraction: float) -> None:
        """Pass on the progress under the name of the one stage."""
        self._whole.progress(self._stage, fraction)

    def warning(self, message: str) -> None:
        """Pass on the warning."""
        self._whole.warning(message)


__all__ = ["Cancelled", "Part", "Reporter", "Silent", "Stage"]
