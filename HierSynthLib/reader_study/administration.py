"""What the person in charge does with a running study: see how far it is, close it, go on after a loss."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.record import store as kinds
from HierSynthLib.reader_study.record.answers import is_closed
from HierSynthLib.reader_study.record.database import open_record, writing
from HierSynthLib.reader_study.record.events import Clock, append, head, read_anchor, utc_now, write_anchor
from HierSynthLib.reader_study.record.store import Store, require_anchored
from HierSynthLib.reader_study.study import Study


class ReaderStatus(NamedTuple):
    """How far one reader is; no answers.

    Attributes:
        reader: code.
        session: of the next presentation; 0 when everything is read.
        done, total: presentations.
        skipped: positions that were put off and are still open.
        last_at: time of the last event, or "".
    """

    reader: str
    session: int
    done: int
    total: int
    skipped: int
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


def close_study(folder: Path, *, incomplete: str = "", clock: Clock = utc_now) -> str:
    """End a study: nothing can be added afterwards, and it can be unblinded.

    Args:
        folder: of the study.
        incomplete: reason for closing it although something is not read.
        clock: tells the time with its zone.

    Returns:
        The receipt of the last event.

    Raises:
        InputError: something is not read and there is no reason, it is closed already, or the record is not whole.
    """
    study = Study.read(folder)
    with open_record(folder) as connection:
        store = Store(connection, study, clock)
        store.require_fitting()
        states = [_reader_status(store, reader) for reader in study.readers]
        still = [f"{each.reader} ({each.total - each.done})" for each in states if each.done < each.total]
        if still and not incomplete.strip():
            raise InputError(
                f"Not everything is read: {', '.join(still)}.",
                "Wait, or close it all the same with --incomplete REASON.",
            )
        body = {"incomplete": incomplete.strip() if still else "", "open": {e.reader: e.total - e.done for e in states}}
        event = store.append("", kinds.CLOSED, body)
    return f"{event.seq}:{event.hash}"


def recover_record(folder: Path, reason: str, *, clock: Clock = utc_now) -> str:
    """Go on with a record whose end was lost with the power, and note the loss in it.

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
    return f"Events {lost[0]} to {lost[1]} are lost." if lost else "The damaged anchor was renewed."


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
        return []
    if noted is None or noted[0] <= last:
        raise InputError("Events were changed, not lost.", "Restore a copy of record.sqlite.")
    return [last + 1, noted[0]]


def _reader_status(store: Store, reader: str) -> ReaderStatus:
    slots, submitted = store.study.slots(reader), store.submitted(reader)
    still = [slot for slot in slots if slot.position not in submitted]
    skipped = store.skipped(reader) - submitted
    fresh = [slot for slot in still if slot.position not in skipped] or still
    row = store.connection.execute("SELECT MAX(at) FROM events WHERE reader = ?", (reader,)).fetchone()
    session = fresh[0].session if fresh else 0
    return ReaderStatus(reader, session, len(submitted), len(slots), len(skipped), row[0] or "")
