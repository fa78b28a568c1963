"""What a log cannot say if it was written by this program: anybody can make a chain of hashes, so its sense counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.record import store as kinds
from HierSynthLib.reader_study.record.answers import AnswerRow
from HierSynthLib.reader_study.record.events import CLOCK_SET_BACK, Event, event_body
from HierSynthLib.reader_study.study import Slot, Study

_BY_NOBODY = (kinds.CREATED, kinds.MERGED, kinds.RECOVERED, kinds.CLOSED, CLOCK_SET_BACK)
"""Kinds of events that no reader causes."""

_AFTER_CLOSING = (kinds.RECOVERED, CLOCK_SET_BACK)

_Fields = Mapping[str, type | tuple[type, ...]]

_FIELDS: Mapping[str, _Fields] = {
    kinds.SUBMITTED: {"position": int, "active_s": (int, float), "idle_s": (int, float)},
    kinds.AMENDED: {"training": bool},
    kinds.OVERRIDDEN: {"session": int, "days": (int, float), "required_days": (int, float), "reason": str},
}
"""What an evaluation needs of the body of an event."""

_LEFT: _Fields = {"position": int, "active_s": (int, float), "idle_s": (int, float), "submitted": bool}
"""The same of what an event says about the position that was left."""


def broken_rules(study: Study, events: Sequence[Event]) -> Iterator[str]:
    """A sentence for every event that could not have happened."""
    slots = {reader: {slot.position: slot for slot in study.slots(reader)} for reader in study.readers}
    asked: dict[str, set[str]] = {
        mode.kind: {item.id for item in study.form.asked(mode.kind)} for mode in study.protocol.modes
    }
    submitted: set[tuple[str, int]] = set()
    answers: dict[int, tuple[str, int, str]] = {}
    closed = False
    for event in events:
        if closed and event.kind not in _AFTER_CLOSING:
            yield f"Event {event.seq} ({event.kind}) came after the study was closed."
        closed |= event.kind == kinds.CLOSED
        if event.reader not in slots:
            if event.reader or event.kind not in _BY_NOBODY:
                yield f'Event {event.seq} ({event.kind}) is by "{event.reader}", who is no reader of the study.'
            continue
        if event.kind not in (kinds.ANSWERED, kinds.AMENDED, kinds.SUBMITTED):
            continue
        body = event_body(event)
        position = body.get("position")
        place = (event.reader, position if isinstance(position, int) else 0)
        yield from _misplaced(event, body, slots[event.reader].get(place[1]), asked)
        wrong = _out_of_turn(event, body, place in submitted, answers)
        if wrong:
            yield f"Event {event.seq}: {event.reader} {wrong} position {place[1]}."
        if event.kind == kinds.SUBMITTED:
            submitted.add(place)
        else:
            answers[event.seq] = (*place, str(body.get("item")))


def _misplaced(
    event: Event, body: Mapping[str, Any], slot: Slot | None, asked: Mapping[str, set[str]]
) -> Iterator[str]:
    """Whether the schedule has such a position, and the form such an item."""
    if slot is None or slot.presentation.id != body.get("presentation"):
        yield f"Event {event.seq} tells of a position that is not in the schedule of {event.reader}."
    elif event.kind != kinds.SUBMITTED and (
        str(body.get("item")) not in asked[slot.presentation.mode] or body.get("session") != slot.session
    ):
        yield f"Event {event.seq} answers what was not asked at position {slot.position} of {event.reader}."


def _out_of_turn(
    event: Event, body: Mapping[str, Any], submitted: bool, answers: Mapping[int, tuple[str, int, str]]
) -> str:
    """What a reader did against the order of answering, submitting and amending; "" for nothing."""
    if event.kind == kinds.SUBMITTED:
        return "submitted twice" if submitted else ""
    old = body.get("amendment_of")
    same = (event.reader, body.get("position"), str(body.get("item")))
    if event.kind == kinds.ANSWERED:
        return "answered after submission, and without amending," if submitted else ""
    if not submitted:
        return "amended before submission"
    if not str(body.get("reason", "")).strip():
        return "amended without a reason"
    known = answers.get(old) if isinstance(old, int) else None
    return "amended an answer to something else at" if old is not None and known != same else ""


def usable_events(study: Study, events: Iterable[Event]) -> Iterator[Event]:
    """The events that an evaluation can use: all of a record that is whole, and of another one those with sense.

    Left out are readers and submitted positions that the study does not have, second submissions, and bodies without
    what their kind needs.
    """
    submitted: set[tuple[str, int]] = set()
    for event in events:
        body = event_body(event)
        left = body.get(kinds.LEFT)
        known = not event.reader or event.reader in study.schedules
        whole = _has(body, _FIELDS.get(event.kind, {})) and (left is None or _has(left, _LEFT))
        if not known or not whole:
            continue
        if event.kind == kinds.SUBMITTED:
            place = (event.reader, body["position"])
            if place in submitted or _slot(study, *place) is None:
                continue
            submitted.add(place)
        yield event


def usable_answer(study: Study, row: AnswerRow) -> bool:
    """Whether the study has the place of an answer, asks its item there, and offers its value."""
    slot = _slot(study, row.reader, row.position)
    item = next((item for item in study.form.items if item.id == row.item), None)
    if slot is None or item is None or slot.presentation.mode not in item.modes:
        return False
    try:
        item.check(row.value)
    except InputError:
        return False
    return all(isinstance(seconds, int | float) for seconds in (row.active_s, row.idle_s))


def _has(body: object, fields: _Fields) -> bool:
    return isinstance(body, dict) and all(isinstance(body.get(name), kind) for name, kind in fields.items())


def _slot(study: Study, reader: str, position: object) -> Slot | None:
    slots = study.schedules.get(reader, ())
    return slots[position - 1] if isinstance(position, int) and 1 <= position <= len(slots) else None
