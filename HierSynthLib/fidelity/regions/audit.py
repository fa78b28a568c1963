"""What was done to suggested and placed regions, so that an export can say how its numbers came about."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, SupportsFloat, get_args

from HierSynthLib.errors import InputError

Action = Literal["suggested", "placed", "moved", "renamed", "resized", "removed", "reference chosen"]

COLUMNS = (
    "time", "region", "action", "from_r", "from_a", "from_s", "to_r", "to_a", "to_s", "size_before_mm", "size_after_mm",
    "map", "mean_before", "mean_after", "note",
)  # fmt: skip
"""Columns of the CSV; positions are RAS mm."""

Position = tuple[float, float, float]

_IN_JSON = {"from_ras": "from", "to_ras": "to"}


@dataclass(frozen=True)
class Entry:
    """One change.

    Attributes:
        time: UTC, ISO 8601 to the second, such as "2026-01-31T12:00:00Z".
        region: its name; after "renamed" the new one, with the old one in `note`.
        action: what was done.
        from_ras, to_ras: position before and after, RAS mm; None where there was none. In JSON "from" and "to".
        size_before_mm, size_after_mm: diameter in mm; None where it is unknown or has none.
        map: name of the map on which it was suggested or measured, "" where there is none.
        mean_before, mean_after: mean on that map; None where it is not known.
        note: more in words, without names of persons.
    """

    time: str
    region: str
    action: Action
    from_ras: Position | None = None
    to_ras: Position | None = None
    size_before_mm: float | None = None
    size_after_mm: float | None = None
    map: str = ""
    mean_before: float | None = None
    mean_after: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Raise `InputError` for a field that is not what it should be."""
        for name in ("time", "region", "map", "note"):
            if not isinstance(getattr(self, name), str):
                raise _fault(name, "Give a text.")
        if not _is_time(self.time):
            raise _fault("time", "Give a time of UTC such as 2026-01-31T12:00:00Z.")
        if self.action not in get_args(Action):
            raise _fault("action", f"Known are {', '.join(get_args(Action))}.")
        for name in ("from_ras", "to_ras"):
            object.__setattr__(self, name, _position(getattr(self, name), name))
        for name in ("size_before_mm", "size_after_mm", "mean_before", "mean_after"):
            object.__setattr__(self, name, _number(getattr(self, name), name))


class Audit:
    """A list of changes that only grows."""

    def __init__(
        self, entries: Sequence[Entry] = (), *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Begin with some entries.

        Args:
            entries: what was recorded before.
            clock: tells the time with its zone.
        """
        self._entries = list(entries)
        self._clock = clock

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, the oldest first."""
        return tuple(self._entries)

    def record(
        self,
        action: Action,
        region: str,
        *,
        from_ras: Sequence[float] | None = None,
        to_ras: Sequence[float] | None = None,
        size_before_mm: float | None = None,
        size_after_mm: float | None = None,
        map_name: str = "",
        mean_before: float | None = None,
        mean_after: float | None = None,
        note: str = "",
    ) -> Entry:
        """Append an entry with the time of now; the arguments are the attributes of `Entry`.

        Means that are not finite are recorded as unknown.

        Raises:
            InputError: the action is unknown, or a position or size is no finite number.
        """
        entry = Entry(
            time=self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            region=region,
            action=action,
            from_ras=_position(from_ras, "from_ras"),
            to_ras=_position(to_ras, "to_ras"),
            size_before_mm=size_before_mm,
            size_after_mm=size_after_mm,
            map=map_name,
            mean_before=_known(mean_before),
            mean_after=_known(mean_after),
            note=note,
        )
        self._entries.append(entry)
        return entry

    def to_json(self) -> list[dict[str, Any]]:
        """The entries as plain fields; `from_json` reads them."""
        return [
            {_IN_JSON.get(name, name): list(v) if isinstance(v, tuple) else v for name, v in asdict(entry).items()}
            for entry in self._entries
        ]

    @classmethod
    def from_json(cls, entries: object, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Audit:
        """The audit that `to_json` described.

        Raises:
            InputError: it is no list of entries; the message says which entry and field.
        """
        if not isinstance(entries, list | tuple):
            raise InputError("The audit is no list of entries.", "Leave it out, or restore the file.")
        return cls([_entry(entry, number) for number, entry in enumerate(entries, start=1)], clock=clock)

    def to_csv(self) -> str:
        """A table with the `COLUMNS`, one line per entry; what is unknown is empty."""
        file = io.StringIO()
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for entry in self._entries:
            row = [entry.time, entry.region, entry.action, *_columns(entry.from_ras), *_columns(entry.to_ras)]
            row += [entry.size_before_mm, entry.size_after_mm, entry.map, entry.mean_before, entry.mean_after]
            table.writerow(["" if value is None else value for value in (*row, entry.note)])
        return file.getvalue()


def _entry(entry: object, number: int) -> Entry:
    known = {_IN_JSON.get(field.name, field.name): field.name for field in fields(Entry)}
    if not isinstance(entry, Mapping) or not {"time", "region", "action"} <= set(entry) <= set(known):
        raise InputError(
            f"Entry {number} of the audit lacks time, region or action, or has unknown fields.",
            f"Known are {', '.join(known)}.",
        )
    try:
        return Entry(**{known[name]: value for name, value in entry.items()})
    except InputError as error:
        raise InputError(f"Entry {number} of the audit: {error.message}", error.hint) from error


def _columns(position: Position | None) -> Sequence[float | None]:
    return (None, None, None) if position is None else position


def _position(value: Any, field: str) -> Position | None:
    if value is None:
        return None
    try:
        r, a, s = (float(v) for v in value)
    except (TypeError, ValueError) as error:
        raise _fault(field, "Give three numbers, RAS mm.") from error
    if not all(math.isfinite(v) for v in (r, a, s)):
        raise _fault(field, "Give three finite numbers, RAS mm.")
    return r, a, s


def _number(value: Any, field: str) -> float | None:
    if value is None:
        return None
    number = isinstance(value, SupportsFloat) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise _fault(field, "Give a finite number, or leave it out.")
    return float(value)


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _is_time(text: str) -> bool:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").year > 0
    except ValueError:
        return False


def _fault(field: str, hint: str) -> InputError:
    return InputError(f"The field '{_IN_JSON.get(field, field)}' is not valid.", hint)
