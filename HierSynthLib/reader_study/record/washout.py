"""The time that must pass between two readings of the same cases."""

from __future__ import annotations

import json
from datetime import timedelta

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.record.events import moment_of, timestamp
from HierSynthLib.reader_study.record.store import OVERRIDDEN, Store

_DAY_S = 86400.0


class WashoutError(InputError):
    """A session would begin too early; with a reason it may begin all the same."""


def require_washout(store: Store, reader: str, session: int, override: str = "") -> None:
    """Refuse a session that would show the cases of another one too early; every session shows all cases.

    Args:
        store: open record.
        reader: code.
        session: that the reader wants to read.
        override: reason for reading it all the same; it is logged with the days that had passed.

    Raises:
        WashoutError: the washout is not over and there is no reason; the message says when it is.
    """
    row = store.connection.execute(
        "SELECT MAX(given_at), MAX(id) FROM answers WHERE reader = ? AND session <> ? AND training = 0",
        (reader, session),
    ).fetchone()
    if row[0] is None:
        return
    slot = next(slot for slot in store.study.slots(reader) if slot.session == session)
    days = store.study.protocol.mode(slot.presentation.mode).washout_days
    last, now = moment_of(row[0]), store.clock()
    passed = (now - last).total_seconds() / _DAY_S
    if passed >= days or _overridden(store, reader, session, since=row[1]):
        return
    if not override.strip():
        due = timestamp(last + timedelta(days=days))[:16].replace("T", " ")
        clock = " The clock of this machine is behind the record." if passed < 0 else ""
        raise WashoutError(
            f"Session {session} of {reader} may begin on {due} UTC, {days:g} days after the same cases.{clock}",
            "Come back then, or give a reason for reading earlier; it is logged.",
        )
    body = {"session": session, "days": round(passed, 3), "required_days": days, "reason": override.strip()}
    store.append(reader, OVERRIDDEN, body)


def _overridden(store: Store, reader: str, session: int, since: int) -> bool:
    """Whether this session was allowed after the last answer of another one."""
    event = store.last_of(reader, OVERRIDDEN)
    return event is not None and event.seq > since and json.loads(event.body)["session"] == session
