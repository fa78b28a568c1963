"""What the person in charge does with a running study: see how far it is, close it, go on after a loss."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter
from HierSynthLib.reader_study.record import store as kinds
from HierSynthLib.reader_study.record.answers import is_closed
from HierSynthLib.reader_study.record.database import open_record, writing
from HierSynthLib.reader_study.record.events import (
    Clock,
    append,
    event_body,
    head,
    read_anchor,
    utc_now,
    write_anchor,
)
from HierSynthLib.reader_study.record.refusals import StudyClosedError
from HierSynthLib.reader_study.record.store import Store, require_anchored
from HierSynthLib.reader_study.study import Study
from HierSynthLib.reader_study.verify import require_whole


class ReaderStatus(NamedTuple):
    """How far one reader is; no answers.

    Attributes:
        reader: code.
        session: of the next presentation; 0 when everything is read.
        done, total: presentations.
        skipped: positions that were put off and are still open.
        last_session: that of the last submission, which can be looked back at; 0 for none.
        last_at: time of the last event, or "".
    """

    reader: str
    session: int
    done: int
    total: int
    skipped: int
    last_session: int
    last_at: str


def study_status(folder: Path) -> dict[str, Any]:
    """How far a study is.

    Returns:
        "study", "title", "closed" and "readers" (a list of `ReaderStatus` as objects).

    Raises:
        InputError: there is no study or record.
    """
    study = Study.read(folder)
    with open_record(folder, readonly=True) as connection:
        store = Store(connection, study, utc_now)
        readers = [_reader_status(store, reader)._asdict() for reader in study.readers]
        return {"study": study.id, "title": study.title, "closed": is_closed(connection), "readers": readers}


def last_session(folder: Path, reader: str) -> int:
    """The session that a reader submitted something in last; 0 for none, or for an unknown reader."""
    return next((each["last_session"] for each in study_status(folder)["readers"] if each["reader"] == reader), 0)


def close_study(
    folder: Path,
    *,
    incomplete: str = "",
    accept_damaged: str = "",
    clock: Clock = utc_now,
    reporter: Reporter | None = None,
) -> str:
    """Verify a study with its images and end it: nothing can be added afterwards, and it can be unblinded.

    Args:
        folder: of the study.
        incomplete: reason for closing it although something is not read.
        accept_damaged: reason for closing it although it is not whole; it is recorded with what was found.
        clock: tells the time with its zone.
        reporter: told while the images are read.

    Returns:
        The receipt of the last event.

    Raises:
        InputError: something is not read and there is no reason, or it is closed already.
        DamagedRecordError: record, study.json or images are not whole, and there is no reason.
    """
    study = Study.read(folder)
    with open_record(folder) as connection:
        store = Store(connection, study, clock)
        if is_closed(connection):
            raise StudyClosedError
        states = [_reader_status(store, reader) for reader in study.readers]
        still = [f"{each.reader} ({each.total - each.done})" for each in states if each.done < each.total]
        if still and not incomplete.strip():
            raise InputError(
                f"Not everything is read: {', '.join(still)}.",
                "Wait, or close it all the same with --incomplete REASON.",
            )
        found = require_whole(folder, accept_damaged=accept_damaged, images=True, reporter=reporter)
        body: dict[str, Any] = {
            "incomplete": incomplete.strip() if still else "",
            "open": {each.reader: each.total - each.done for each in states},
        }
        if not found.whole:
            body[kinds.ACCEPTED] = {"reason": accept_damaged.strip(), "problems": found.problems}
        event = store.append("", kinds.CLOSED, body)
    return f"{event.seq}:{event.hash}"


def recover_record(folder: Path, reason: str, *, clock: Clock = utc_now) -> str:
    """Go on with a record whose end or anchor was lost with the power, and note the loss in it.

    Returns:
        A sentence on what was lost.

    Raises:
        InputError: nothing is lost, an event was changed rather than lost, or there is no reason.
    """
    if not reason.strip():
        raise InputError("A recovery needs a reason.", "Say what happened, for instance --reason 'power cut'.")
    study = Study.read(folder)
    with open_record(folder) as connection:
        last = head(connection)
        if last is None:
            raise InputError("The record is empty.", "Restore record.sqlite from a copy.")
        if _fits(connection, folder):
            raise InputError("Nothing is lost: the record fits its anchor.", "Just go on.")
        lost = _lost(folder, last.seq)
        body = {"study": study.id, "reason": reason.strip(), "lost": lost}
        with writing(connection):
            event = append(connection, "", kinds.RECOVERED, body, clock())
        write_anchor(folder, event, durable=True)
    return f"Events {lost[0]} to {lost[1]} are lost." if lost else "The anchor was renewed."


def _fits(connection: sqlite3.Connection, folder: Path) -> bool:
    try:
        require_anchored(connection, folder)
    except InputError:
        return False
    return True


def _lost(folder: Path, last: int) -> list[int]:
    """First and last number of the events that the anchor knows and the record does not."""
    try:
        noted = read_anchor(folder)
    except InputError:
        noted = None
    if noted is None:
        return []
    if noted[0] <= last:
        raise InputError("Events were changed, not lost.", "Restore a copy of record.sqlite.")
    return [last + 1, noted[0]]


def _reader_status(store: Store, reader: str) -> ReaderStatus:
    slots, submitted = store.study.slots(reader), store.submitted(reader)
    still = [slot for slot in slots if slot.position not in submitted]
    skipped = store.skipped(reader) & {slot.position for slot in still}
    fresh = [slot for slot in still if slot.position not in skipped] or still
    row = store.connection.execute("SELECT MAX(at) FROM events WHERE reader = ?", (reader,)).fetchone()
    session = fresh[0].session if fresh else 0
    return ReaderStatus(
        reader, session, len(submitted), len(slots), len(skipped), _last_session(store, reader), row[0] or ""
    )


def _last_session(store: Store, reader: str) -> int:
    positions = {slot.position: slot.session for slot in store.study.slots(reader)}
    last = store.last_of(reader, kinds.SUBMITTED)
    return 0 if last is None else positions.get(event_body(last).get("position", 0), 0)
