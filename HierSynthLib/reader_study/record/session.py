"""Signing a reader in: at the session that comes next, or to look back at one that was read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.record.activity import ActivityClock
from HierSynthLib.reader_study.record.answers import is_closed
from HierSynthLib.reader_study.record.database import open_record
from HierSynthLib.reader_study.record.events import Clock, moment_of, utc_now
from HierSynthLib.reader_study.record.reading import ReadingSession
from HierSynthLib.reader_study.record.refusals import ReadEverythingError, StudyClosedError
from HierSynthLib.reader_study.record.store import SIGNED_IN, SIGNED_OUT, Store
from HierSynthLib.reader_study.record.washout import require_washout
from HierSynthLib.reader_study.study import Slot, Study


@contextmanager
def sign_in(
    folder: Path,
    reader: str,
    *,
    session: int | None = None,
    override: str = "",
    attach: bool = False,
    wait_s: float | None = None,
    clock: Clock = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[ReadingSession]:
    """Open the record for a reader, at the item where the reader stopped.

    Args:
        folder: of the study.
        reader: code.
        session: number of one that was begun, to look back at it; otherwise it is the one to be read next.
        override: reason for beginning a session before the washout is over; logged.
        attach: whether to go on with the reader's last sitting if it was not ended, as one command after another does.
        wait_s: how long a writer waits for another one; None takes `database.BUSY_S`.
        clock: tells the time with its zone.
        monotonic: tells seconds that never step back.

    Raises:
        InputError: the study or the reader is unknown, or the study was changed; `StudyClosedError`: it is closed;
            `ReadEverythingError`: nothing is left to read; `WashoutError`: it is too early.
        OutputError: the record cannot be written; `BusyError`: another process is writing.
    """
    study = Study.read(folder)
    slots = study.slots(reader)
    with open_record(folder, wait_s=wait_s) as connection:
        store = Store(connection, study, clock)
        store.require_fitting()
        if is_closed(connection):
            raise StudyClosedError
        number = _begun(store, reader, slots, session) if session else _next_session(store, reader, slots)
        require_washout(store, reader, number, override)
        activity = ActivityClock(study.protocol.idle_after_s, monotonic)
        last = store.last_of(reader, SIGNED_IN, SIGNED_OUT)
        if attach and last is not None and last.kind == SIGNED_IN and json.loads(last.body)["session"] == number:
            latest = connection.execute("SELECT at FROM events WHERE reader = ? ORDER BY seq DESC LIMIT 1", (reader,))
            activity.restart((clock() - moment_of(latest.fetchone()[0])).total_seconds())
            sitting = last.seq
        else:
            sitting = store.append(reader, SIGNED_IN, {"session": number}).seq
        yield ReadingSession(store, reader, number, sitting, activity)


def _next_session(store: Store, reader: str, slots: tuple[Slot, ...]) -> int:
    """The session of the first open position; skipped ones count only when nothing else is left."""
    submitted, skipped = store.submitted(reader), store.skipped(reader)
    still = [slot for slot in slots if slot.position not in submitted]
    fresh = [slot for slot in still if slot.position not in skipped]
    if not still:
        raise ReadEverythingError(reader)
    return (fresh or still)[0].session


def _begun(store: Store, reader: str, slots: tuple[Slot, ...], session: int) -> int:
    """The session, if the reader may look back at it."""
    begun = {slots[position - 1].session for position in store.submitted(reader)}
    if not store.study.protocol.allow_back:
        raise InputError("The protocol of this study does not allow to go back.", "Submitted answers stay as they are.")
    if session not in begun:
        known = ", ".join(map(str, sorted(begun))) or "none yet"
        raise InputError(f"{reader} has submitted nothing in session {session}.", f"Sessions to look back at: {known}.")
    return session


__all__ = ["ReadingSession", "sign_in"]
