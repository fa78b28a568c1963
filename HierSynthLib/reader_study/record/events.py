"""The log of a record: events that only grow, each with the hash of the one before."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from HierSynthLib.errors import InputError, OutputError

ANCHOR_FILE = "record.anchor"
"""Number and hash of the last event, beside the record: without it, a log whose end is cut off would look whole."""

CLOCK_SET_BACK = "clock_set_back"

START = "0" * 64
"""What stands for the previous hash of the first event."""

CLOCK_TOLERANCE_S = 1.0
"""Waiting for another process, and corrections by network time, are no clock that was set back (design value)."""

Clock = Callable[[], datetime]


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


class Event(NamedTuple):
    """One event.

    Attributes:
        seq: number from 1, without gaps.
        at: time of the machine, UTC, ISO 8601 to the millisecond; may step back, the numbers never do.
        reader: code, "" for what no reader did.
        kind: such as "answered".
        body: what happened, as JSON.
        previous: hash of the event before, `START` for the first.
        hash: SHA-256 of the canonical JSON of all this.
    """

    seq: int
    at: str
    reader: str
    kind: str
    body: str
    previous: str
    hash: str


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """UTC, ISO 8601 to the millisecond."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def moment_of(text: str) -> datetime:
    """The moment of a `timestamp`."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted names, no spaces, no infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def chain_hash(seq: int, at: str, reader: str, kind: str, body: str, previous: str) -> str:
    """SHA-256, hexadecimal, of the canonical JSON of an event with the hash of the event before it."""
    return hashlib.sha256(canonical([seq, at, reader, kind, body, previous]).encode()).hexdigest()


def append(connection: sqlite3.Connection, reader: str, kind: str, body: Mapping[str, Any], moment: datetime) -> Event:
    """Append an event inside the transaction that the caller has begun; returns it.

    When the clock is behind that of the last event, an event "clock_set_back" with the seconds stands before it.
    """
    last = head(connection)
    if last is not None:
        behind = (moment_of(last.at) - moment).total_seconds()
        if behind > CLOCK_TOLERANCE_S:
            chain(connection, reader, CLOCK_SET_BACK, {"seconds": round(behind, 3)}, timestamp(moment))
    return chain(connection, reader, kind, body, timestamp(moment))


def chain(connection: sqlite3.Connection, reader: str, kind: str, body: Mapping[str, Any], at: str) -> Event:
    """Append an event with a given time stamp; see `append`."""
    last = head(connection)
    seq, previous = (1, START) if last is None else (last.seq + 1, last.hash)
    text = canonical(body)
    event = Event(seq, at, reader, kind, text, previous, chain_hash(seq, at, reader, kind, text, previous))
    connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", event)
    return event


def head(connection: sqlite3.Connection) -> Event | None:
    """The last event, or None."""
    row = connection.execute("SELECT * FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return None if row is None else Event(*row)


def all_events(connection: sqlite3.Connection) -> Iterator[Event]:
    """Every event in the order of its number."""
    return (Event(*row) for row in connection.execute("SELECT * FROM events ORDER BY seq"))


def event_body(event: Event) -> dict[str, Any]:
    """The body of an event; empty where it is no JSON object, which only an alteration can cause."""
    try:
        body = _DECODER.decode(event.body)
    except (TypeError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def write_anchor(folder: Path, event: Event, *, durable: bool = False) -> None:
    """Note the last event beside the record, after its transaction has ended.

    The file is overwritten in place by one line of fixed length: after a power cut it holds an older event or this one,
    and costs no second wait for the disk.

    Args:
        folder: of the study.
        event: the last one.
        durable: whether to wait for the disk.

    Raises:
        OutputError: it cannot be written.
    """
    path = Path(folder) / ANCHOR_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            os.write(descriptor, f"{event.seq:020d} {event.hash}\n".encode("ascii"))
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputError(f"{path} could not be written: {error.strerror}.", "The record itself is safe.") from error


def read_anchor(folder: Path) -> tuple[int, str] | None:
    """Number and hash that were noted last; None where there is no anchor.

    Raises:
        InputError: the anchor is not as it should be.
    """
    path = Path(folder) / ANCHOR_FILE
    try:
        words = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        words = []
    if len(words) != 2 or not words[0].isdigit() or len(words[1]) != len(START):
        raise InputError(f"{path} is damaged.", "Run 'hiersynth study verify' with the receipt of a reader.")
    return int(words[0]), words[1]
