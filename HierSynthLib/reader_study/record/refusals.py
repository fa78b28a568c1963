"""Refusals that a program tells apart, because it offers the reader a way on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from HierSynthLib.errors import HierSynthError, InputError, OutputError


class WashoutError(InputError):
    """A session would begin too early; with a reason it may begin all the same.

    Attributes:
        session: that was asked for.
        due: when it may begin, UTC.
        days: that the protocol asks for.
        passed_days: since cases were last shown in another session; below 0 when the clock is behind the record.
    """

    def __init__(self, reader: str, session: int, due: datetime, days: float, passed_days: float) -> None:
        clock = " The clock of this machine is behind the record." if passed_days < 0 else ""
        super().__init__(
            f"Session {session} of {reader} may begin on {due:%Y-%m-%d %H:%M} UTC, {days:g} days after the same cases."
            + clock,
            "Come back then, or give a reason for reading earlier; it is logged.",
        )
        self.session, self.due, self.days, self.passed_days = session, due, days, passed_days


class ImageError(InputError):
    """An image of a presentation is missing or not the one that was written; `skip` goes on without it.

    Attributes:
        path: of the image.
        missing: True where it cannot be read at all, False where its contents are others.
        position: in the schedule, where it is known.
    """

    def __init__(self, path: Path, *, missing: bool, position: int | None = None) -> None:
        place = "" if position is None else f" of position {position}"
        super().__init__(
            f"The image {path.name}{place} {'is missing' if missing else 'was changed'}.",
            "Restore the folder images from a copy, or skip the position with a reason; it comes again at the end.",
        )
        self.path, self.missing, self.position = path, missing, position


class SignedInElsewhereError(InputError):
    """The reader has signed in or out in another window since."""

    def __init__(self, reader: str) -> None:
        super().__init__(
            f"{reader} has signed in or out in another window since.", "Go on there, or sign in here again."
        )


class ReadEverythingError(InputError):
    """Nothing is left for the reader to do."""

    def __init__(self, reader: str) -> None:
        super().__init__(
            f"{reader} has read everything.", "Nothing is left to do; thank you. A session can be looked back at."
        )


class StudyClosedError(InputError):
    """The study has ended."""

    def __init__(self) -> None:
        super().__init__("The study is closed.", "Nothing can be added to its record.")


class BusyError(OutputError):
    """Another process writes, for longer than was waited; nothing of what was to be written is."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is being written by another process.", "Wait until it is done, and give the answer again."
        )


class DamagedRecordError(HierSynthError):
    """A record is not what was written.

    Attributes:
        problems: sentences, see `verify.Verification`.
    """

    def __init__(self, problems: Sequence[str], *, acceptable: bool = True) -> None:
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        way_on = ", or go on with --accept-damaged REASON" if acceptable else ""
        super().__init__(
            f"The record is not whole: {problems[0]}{more}",
            f"'hiersynth study verify' lists everything; restore a copy{way_on}.",
        )
        self.problems = list(problems)
