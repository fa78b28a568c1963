"""Whether a record is what was written: every event, every answer, its end, and the images."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter, Silent
from HierSynthLib.reader_study.checksums import image_checksum
from HierSynthLib.reader_study.record import store as kinds
from HierSynthLib.reader_study.record.database import open_record
from HierSynthLib.reader_study.record.events import (
    CLOCK_SET_BACK,
    START,
    Event,
    all_events,
    canonical,
    chain_hash,
    event_body,
    read_anchor,
)
from HierSynthLib.reader_study.record.refusals import DamagedRecordError
from HierSynthLib.reader_study.record.rules import broken_rules
from HierSynthLib.reader_study.study import Study

_SHOWN = 5


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        problems: sentences, each an alteration or a loss; empty for a record that is whole.
        notes: sentences about what readers of the results should know: amendments, overrides, clock, recoveries.
        events, answers: how many there are.
        receipt: "number:hash" of the last event.
        accepted: reason that was given when the study was closed although the record was not whole, otherwise "".
        accepted_problems: what was wrong with it then.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    events: int = 0
    answers: int = 0
    receipt: str = ""
    accepted: str = ""
    accepted_problems: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


def verify_record(
    folder: Path, receipts: Sequence[str] = (), *, images: bool = True, reporter: Reporter | None = None
) -> Verification:
    """Check everything that can be checked without the key.

    Found are: an event or answer that was edited, deleted, inserted or moved; events that no reader can have caused,
    such as an answer after submission; an end that was cut off, as far as the anchor or a receipt tells; a study.json
    or image that was changed. Not found are a record that was made anew as a whole together with its anchor and
    study.json, unless a receipt was kept elsewhere, and answers that somebody gave under another reader's code.

    Args:
        folder: of the study.
        receipts: all that readers were given when they signed out, "number:hash".
        images: whether to read every image.
        reporter: told about the progress.

    Raises:
        InputError: there is no study or record, or a receipt is none.
    """
    study, expected = Study.read(folder), [_receipt(receipt) for receipt in receipts]
    # First, because a reader may be at work: the log may be ahead of the anchor, never behind.
    anchor, problems = _anchor(folder)
    with open_record(folder, readonly=True) as connection:
        try:
            connection.execute("BEGIN")  # one and the same state for everything that follows
            (state,) = connection.execute("PRAGMA integrity_check").fetchone()
            problems += [] if state == "ok" else [f"The file is damaged: {state}."]
            events = list(all_events(connection))
            problems += _chain_problems(events)
            problems += _answer_problems(connection, events)
            problems += _submission_problems(connection, events)
        except sqlite3.DatabaseError as error:
            return Verification([f"The file is damaged: {error}."])
    problems += _end_problems(anchor, events, expected)
    changed = list(_study_problems(study, events))
    problems += changed or broken_rules(study, events)  # another schedule says nothing about the order of events
    if images:
        problems += _image_problems(study, reporter or Silent())
    count = sum(event.kind in (kinds.ANSWERED, kinds.AMENDED) for event in events)
    receipt = f"{events[-1].seq}:{events[-1].hash}" if events else ""
    notes = _notes(events) + (_not_covered(events, max(seq for seq, _ in expected)) if expected else [])
    accepted, before = _accepted(events)
    if accepted:
        notes.append(f"Closed although the record was not whole ({accepted}): {' '.join(before)}")
    return Verification(problems, notes, len(events), count, receipt, accepted, before)


def _chain_problems(events: Sequence[Event]) -> Iterator[str]:
    previous = START
    for place, event in enumerate(events, start=1):
        if event.seq != place:
            yield f"Event {place} is missing or its number was changed (found {event.seq})."
            return
        if event.previous != previous:
            yield f"Event {event.seq} does not follow the one before it: something was inserted, removed or moved."
        if chain_hash(*event[:6]) != event.hash:
            yield f"Event {event.seq} ({event.kind}) was changed."
        previous = event.hash
    if not events:
        yield "The log is empty."


def _answer_problems(connection: sqlite3.Connection, events: Sequence[Event]) -> Iterator[str]:
    found = {row[0]: row[1:] for row in connection.execute("SELECT * FROM answers")}
    told = {event.seq: _answer_of(event) for event in events if event.kind in (kinds.ANSWERED, kinds.AMENDED)}
    yield from _differences("answers", found, told)


def _answer_of(event: Event) -> tuple[Any, ...]:
    body = event_body(event)
    names = ("session", "position", "presentation", "item")
    return (
        event.reader,
        *(body.get(name) for name in names),
        canonical(body.get("value")),
        event.at,
        *(body.get(name) for name in ("active_s", "idle_s", "amendment_of", "reason")),
        int(bool(body.get("training"))),
    )


def _submission_problems(connection: sqlite3.Connection, events: Sequence[Event]) -> Iterator[str]:
    found = {row[0]: row[1:] for row in connection.execute("SELECT event, reader, position FROM submissions")}
    told = {e.seq: (e.reader, event_body(e).get("position")) for e in events if e.kind == kinds.SUBMITTED}
    yield from _differences("submissions", found, told)


def _differences(table: str, found: dict[int, Any], told: dict[int, Any]) -> Iterator[str]:
    for seq in sorted(found.keys() | told.keys()):
        if seq not in found:
            yield f"The row of event {seq} was removed from {table}."
        elif seq not in told:
            yield f"There is a row {seq} of {table} that the log does not tell of."
        elif found[seq] != told[seq]:
            yield f"The row of event {seq} in {table} is not the one that the log tells of."


def _anchor(folder: Path) -> tuple[tuple[int, str] | None, list[str]]:
    """The anchor, and what is wrong with it."""
    try:
        anchor = read_anchor(folder)
    except InputError as error:
        return None, [error.message]
    missing = "record.anchor is missing: whether the end of the log was cut off cannot be told."
    return anchor, [] if anchor else [missing]


def _end_problems(
    anchor: tuple[int, str] | None, events: Sequence[Event], receipts: list[tuple[int, str]]
) -> Iterator[str]:
    hashes = {event.seq: event.hash for event in events}
    known = [("a receipt", receipt) for receipt in receipts] + ([("the anchor", anchor)] if anchor else [])
    for name, (seq, expected) in known:
        if seq not in hashes:
            yield f"The end of the log was cut off: {name} knows event {seq}, the last is {len(events)}."
        elif hashes[seq] != expected:
            yield f"Event {seq} is another one than {name} says: the log was made anew."


def _study_problems(study: Study, events: Sequence[Event]) -> Iterator[str]:
    if events and event_body(events[0]).get("study_sha256") != study.sha256:
        yield "study.json was changed after the study began."


def _image_problems(study: Study, reporter: Reporter) -> Iterator[str]:
    wrong = []
    for number, (image, expected) in enumerate(study.checksums.items()):
        reporter.progress("images", number / len(study.checksums))
        path = study.image_file(image)
        if not path.is_file():
            wrong.append(f"{path.name} is missing")
        elif _checksum(image, path) != expected:
            wrong.append(f"{path.name} was changed")
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        yield f"Images: {', '.join(wrong[:_SHOWN])}{more}."


def _checksum(image: str, path: Path) -> str:
    try:
        return image_checksum(image, path)
    except OSError:
        return ""


def _not_covered(events: Sequence[Event], last: int) -> list[str]:
    """Answers that came after the last receipt: whether all are there, and unchanged, no receipt tells."""
    late = Counter(
        event.reader for event in events if event.kind in (kinds.ANSWERED, kinds.AMENDED) and event.seq > last
    )
    counts = ", ".join(f"{reader} ({number})" for reader, number in sorted(late.items()))
    return [f"Answers after the last of these receipts: {counts}."] if late else []


def _notes(events: Sequence[Event]) -> list[str]:
    words = {
        kinds.AMENDED: "Answers amended after submission",
        kinds.OVERRIDDEN: "Sessions begun before the washout was over",
        kinds.SKIPPED: "Positions put off",
        CLOCK_SET_BACK: "Clock set back",
        kinds.RECOVERED: "Recoveries after a loss",
        kinds.MERGED: "Records merged",
    }
    counts = Counter(event.kind for event in events)
    return [f"{text}: {counts[kind]}." for kind, text in words.items() if counts[kind]]


def _accepted(events: Sequence[Event]) -> tuple[str, list[str]]:
    """Why the study was closed although it was not whole, and what was wrong."""
    for event in events:
        given = event_body(event).get(kinds.ACCEPTED) if event.kind == kinds.CLOSED else None
        if isinstance(given, dict):
            return str(given.get("reason")), [str(each) for each in given.get("problems", [])]
    return "", []


def _receipt(text: str) -> tuple[int, str]:
    number, _, digest = text.strip().partition(":")
    if not number.isdigit() or len(digest) != len(START):
        raise InputError(f"{text!r} is no receipt.", "A receipt is the line NUMBER:HASH that a reader got at the end.")
    return int(number), digest


def require_whole(
    folder: Path,
    *,
    accept_damaged: str = "",
    acceptable: bool = True,
    images: bool = False,
    reporter: Reporter | None = None,
) -> Verification:
    """Verify a record before something is made of it.

    Args:
        folder: of the study.
        accept_damaged: reason for going on with a record that is not whole.
        acceptable: whether the user could give such a reason, so that the hint says so.
        images: whether to read every image.
        reporter: told about the progress.

    Raises:
        DamagedRecordError: it is not whole, and there is no reason.
        InputError: there is no study or record.
    """
    found = verify_record(folder, images=images, reporter=reporter)
    if found.problems and not accept_damaged.strip():
        raise DamagedRecordError(found.problems, acceptable=acceptable)
    return found
