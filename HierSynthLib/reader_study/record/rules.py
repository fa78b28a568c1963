"""What a log cannot say if it was written by this program: anybody can make a chain of hashes, so its sense counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from HierSynthLib.reader_study.record import store as kinds
from HierSynthLib.reader_study.record.events import CLOCK_SET_BACK, Event, event_body
from HierSynthLib.reader_study.study import Slot, Study

_BY_NOBODY = (kinds.CREATED, kinds.MERGED, kinds.RECOVERED, kinds.CLOSED, CLOCK_SET_BACK)
"""Kinds of events that no reader causes."""

_AFTER_CLOSING = (kinds.RECOVERED, CLOCK_SET_BACK)


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
    return "amended an answer to something else at" if old is not None and answers.get(old) != same else ""
