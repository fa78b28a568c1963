"""Reading and appending to an open record: what has been done, and one transaction per event."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.reader_study.record.answers import is_closed
from HierSynthLib.reader_study.record.database import explained, open_record, writing
from HierSynthLib.reader_study.record.events import (
    ANCHOR_FILE,
    Clock,
    Event,
    append,
    canonical,
    event_body,
    head,
    read_anchor,
    write_anchor,
)
from HierSynthLib.reader_study.record.refusals import StudyClosedError
from HierSynthLib.reader_study.study import RECORD_FILE, Study

CREATED, CLOSED, RECOVERED, MERGED = "created", "closed", "recovered", "merged"
SIGNED_IN, SIGNED_OUT = "signed_in", "signed_out"
SHOWN, WENT_BACK, WENT_FORWARD = "shown", "went_back", "went_forward"
ANSWERED, AMENDED, SUBMITTED, SKIPPED = "answered", "amended", "submitted", "skipped"
PAUSED, RESUMED = "paused", "resumed"
OVERRIDDEN = "washout_overridden"

ACCEPTED = "accepted"
"""Name, in the body of `CLOSED`, of the problems that the study was closed with, and the reason."""

LEFT = "left"
"""Name, in the body of an event, of the position that the reader left, and the time there that no other event tells."""


def create_record(folder: Path, study: Study, clock: Clock) -> None:
    """Make the record of a new study: its first event holds the SHA-256 of study.json.

    Raises:
        OutputError: it cannot be written.
    """
    with open_record(folder, create=True) as connection:
        with writing(connection):
            event = append(connection, "", CREATED, {"study": study.id, "study_sha256": study.sha256}, clock())
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    write_anchor(folder, event, durable=True)


class Store:
    """An open record of one study, with the checks that every writer makes."""

    def __init__(self, connection: sqlite3.Connection, study: Study, clock: Clock) -> None:
        self.connection, self.study, self.clock = connection, study, clock

    def require_fitting(self) -> None:
        """Raise `InputError` when study.json is not the one that the record began with, or the record lost its end."""
        first = self.connection.execute("SELECT body FROM events WHERE seq = 1").fetchone()
        if first is None or json.loads(first[0]).get("study_sha256") != self.study.sha256:
            raise InputError(
                "study.json was changed after the study began: form, protocol and schedule are fixed.",
                "Restore the original file. For another form or more cases create a new study.",
            )
        require_anchored(self.connection, self.study.folder)

    def append(
        self,
        reader: str,
        kind: str,
        body: Mapping[str, Any],
        *,
        check: Callable[[], None] | None = None,
        then: Callable[[Event], None] | None = None,
        durable: bool = True,
    ) -> Event:
        """Write one event and what follows from it in one transaction.

        Args:
            reader: code, or "".
            kind: see `Event`.
            body: see `Event`.
            check: raises when the event must not be written; runs inside the transaction.
            then: writes more into the same transaction.
            durable: whether to wait for the disk; False for what a power cut may take along, but not the end of the
                program. The next durable event saves it, too.

        Raises:
            InputError: the study is closed, or `check` says no.
            OutputError: it cannot be written; nothing of it is then.
        """
        with explained(self.study.folder / RECORD_FILE), writing(self.connection, durable=durable):
            if is_closed(self.connection):
                raise StudyClosedError
            if check is not None:
                check()
            event = append(self.connection, reader, kind, body, self.clock())
            if then is not None:
                then(event)
        with contextlib.suppress(OutputError):  # the event is safe without it
            if durable:  # the anchor must not know what the disk may lose
                write_anchor(self.study.folder, event, durable=kind in (SIGNED_OUT, CLOSED))
        return event

    def events_of(self, reader: str, *kinds: str) -> Iterator[Event]:
        """The events of a reader of some kinds, the last one first."""
        marks = ", ".join("?" for _ in kinds)
        query = f"SELECT * FROM events WHERE reader = ? AND kind IN ({marks}) ORDER BY seq DESC"  # noqa: S608
        return (Event(*row) for row in self.connection.execute(query, (reader, *kinds)))

    def last_of(self, reader: str, *kinds: str) -> Event | None:
        """The last event of a reader of some kinds."""
        return next(self.events_of(reader, *kinds), None)

    def submitted(self, reader: str) -> set[int]:
        """The positions that a reader has submitted."""
        rows = self.connection.execute("SELECT position FROM submissions WHERE reader = ?", (reader,))
        return {position for (position,) in rows}

    def skipped(self, reader: str) -> set[int]:
        """The positions that a reader has skipped at least once."""
        return {event_body(event).get("position", 0) for event in self.events_of(reader, SKIPPED)}


def require_anchored(connection: sqlite3.Connection, folder: Path) -> None:
    """Raise `InputError` when events that were written are not there any more, or others, or nobody can tell.

    Only a record that nobody has worked with may be without its anchor.
    """
    noted, last = read_anchor(folder), head(connection)
    if noted is None:
        if last is not None and last.seq == 1:
            return
        raise InputError(
            f"{folder} has no {ANCHOR_FILE}: whether the end of the record was cut off cannot be told.",
            "Restore it from a copy. If it is lost: 'hiersynth study recover' notes that and goes on.",
        )
    row = connection.execute("SELECT hash FROM events WHERE seq = ?", (noted[0],)).fetchone()
    if row is not None and row[0] == noted[1]:
        return
    what = "ends" if row is None else "has other contents"
    raise InputError(
        f"The record {what} at event {last.seq if last else 0}; event {noted[0]} was written before.",
        "Restore a copy of record.sqlite. After a power cut: 'hiersynth study recover' notes the loss and goes on.",
    )


def insert_answer(connection: sqlite3.Connection, event: Event, body: Mapping[str, Any]) -> None:
    """Write the row of an answer that an event tells of."""
    connection.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.seq, event.reader, body["session"], body["position"], body["presentation"], body["item"],
            canonical(body["value"]), event.at, body["active_s"], body["idle_s"], body["amendment_of"], body["reason"],
            int(body["training"]),
        ),
    )  # fmt: skip


def insert_submission(connection: sqlite3.Connection, event: Event, position: int) -> None:
    """Write the row of a submission that an event tells of."""
    connection.execute("INSERT INTO submissions VALUES (?, ?, ?)", (event.reader, position, event.seq))
