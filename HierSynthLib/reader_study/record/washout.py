"""The time that must pass between two readings of the same cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from HierSynthLib.reader_study.record import store as kinds
from HierSynthLib.reader_study.record.events import moment_of
from HierSynthLib.reader_study.record.refusals import WashoutError
from HierSynthLib.reader_study.record.store import Store

_DAY_S = 86400.0
_SHOWING = (kinds.SHOWN, kinds.WENT_BACK, kinds.ANSWERED, kinds.AMENDED, kinds.SUBMITTED)
"""Events at whose time the reader saw the case of their position."""

_LEAVING = (kinds.WENT_BACK, kinds.WENT_FORWARD, kinds.SKIPPED, kinds.SIGNED_OUT)
"""Events until whose time the reader saw the case that was left."""


def require_washout(store: Store, reader: str, session: int, override: str = "") -> None:
    """Refuse a session that would show the cases of another one too early; every session shows all cases.

    What counts is when a case was last on the screen, answered or not; training cases do not count.

    Args:
        store: open record.
        reader: code.
        session: that the reader wants to read.
        override: reason for reading it all the same; it is logged with the days that had passed.

    Raises:
        WashoutError: the washout is not over and there is no reason; the message says when it is.
    """
    slots = store.study.slots(reader)
    others = {slot.position for slot in slots if slot.session != session and not slot.training}
    seen = [(at, seq) for at, seq, position in _sightings(store, reader) if position in others]
    if not seen:
        return
    slot = next(slot for slot in slots if slot.session == session)
    days = store.study.protocol.mode(slot.presentation.mode).washout_days
    last, now = moment_of(max(at for at, _ in seen)), store.clock()
    passed = (now - last).total_seconds() / _DAY_S
    if passed >= days or _overridden(store, reader, session, since=max(seq for _, seq in seen)):
        return
    if not override.strip():
        raise WashoutError(reader, session, last + timedelta(days=days), days, passed)
    body = {"session": session, "days": round(passed, 3), "required_days": days, "reason": override.strip()}
    store.append(reader, kinds.OVERRIDDEN, body)


def _sightings(store: Store, reader: str) -> Iterator[tuple[str, int, Any]]:
    """Time and number of each event that tells of a case on the screen, and its position."""
    for event in store.events_of(reader, *{*_SHOWING, *_LEAVING}):
        body = json.loads(event.body)
        if event.kind in _SHOWING:
            yield event.at, event.seq, body["position"]
        if event.kind in _LEAVING and body.get(kinds.LEFT):
            yield event.at, event.seq, body[kinds.LEFT]["position"]


def _overridden(store: Store, reader: str, session: int, since: int) -> bool:
    """Whether this session was allowed after the last sight of another one."""
    event = store.last_of(reader, kinds.OVERRIDDEN)
    return event is not None and event.seq > since and json.loads(event.body)["session"] == session
