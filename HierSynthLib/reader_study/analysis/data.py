"""Reading a closed study with its key: what was answered, with arms, cases and truth put in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from HierSynthLib.progress import Part, Reporter, Silent
from HierSynthLib.reader_study.analysis.diagnosis import unknown_truths
from HierSynthLib.reader_study.analysis.readings import Question, QuestionKind, Reading, Readings, RecordState
from HierSynthLib.reader_study.analysis.roi_measures import measure_marks
from HierSynthLib.reader_study.closed import ClosedRecord, read_closed
from HierSynthLib.reader_study.conduct import Conduct, planned_presentations
from HierSynthLib.reader_study.form import ORIGINS, PREFERENCES, Form, Item
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.record.answers import final_answers
from HierSynthLib.reader_study.record.events import Event, event_body
from HierSynthLib.reader_study.record.store import SUBMITTED
from HierSynthLib.reader_study.study import Study

_Place = tuple[str, int]

_KINDS: Mapping[str, QuestionKind] = {
    "preference": "preference", "origin": "origin", "diagnosis": "diagnosis", "roi": "regions",
}  # fmt: skip
_PLAIN: Mapping[str, QuestionKind] = {
    "likert": "ordinal", "choice": "nominal", "confidence": "scale", "flag": "flag", "text": "text",
    "hotspots": "regions", "outline": "regions",
}  # fmt: skip


def load(folder: Path, key_path: Path, reporter: Reporter | None = None, *, accept_damaged: str = "") -> Readings:
    """Read a closed study.

    Args:
        folder: of the study.
        key_path: the key that was written when the study was made.
        reporter: told while images are checked and marked regions are measured.
        accept_damaged: reason for going on although the record is not whole; it becomes a warning of the report.

    Raises:
        InputError: the study is not closed, the key belongs to another study or to another version of this one, a
            truth cannot be compared with the answers, or a file cannot be read.
        DamagedRecordError: the record is not whole and there is no reason.
        Cancelled: by the reporter.
    """
    reporter = reporter or Silent()
    study = Study.read(folder)
    key = Key.of(study, key_path)
    asked = [item for mode in study.protocol.modes for item in study.form.asked(mode.kind)]
    marked = any(item.purpose == "roi" for item in asked)
    record = read_closed(
        folder, images=marked, accept_damaged=accept_damaged, reporter=Part(reporter, 0.0, 0.5) if marked else None
    )
    readings = _readings(study, key, record)
    used = {one.case for one in readings}
    arms = sorted(key.protocol.arms, key=lambda arm: not arm.reference)
    cases = tuple(case for case in sorted(set(key.cases.values())) if case in used)
    state = record.verification
    found = Readings(
        identifier=study.id,
        title=study.title,
        simulated_readers=study.protocol.simulated_readers,
        simulated_cases=len(set(cases) & set(key.simulated)),
        reference=arms[0].name,
        arms=tuple(arm.name for arm in arms),
        readers=study.readers,
        cases=cases,
        truth=key.truth,
        questions=questions(study.form, key.protocol.margin),
        readings=tuple(readings),
        expected=dict(Counter(reader for reader, _ in planned_presentations(study))),
        amendments=dict(Counter(row.reader for row in record.answers if row.reason and not row.training)),
        warnings=tuple(_warnings(record, accept_damaged)),
        origins={arm.name: arm.origin for arm in arms},
        record=RecordState(state.receipt, state.events, state.whole, marked, tuple(state.notes)),
    )
    unknown_truths(found)  # a truth that cannot be compared is refused before anything is measured
    return replace(found, regions=tuple(measure_marks(study, key, found, Part(reporter, 0.5, 1.0))))


def questions(form: Form, margin: float) -> tuple[Question, ...]:
    """The items of a form as the analysis treats them.

    Args:
        form: of the study.
        margin: of non-inferiority where an item has none.
    """
    about = {item.about: item.id for item in form.items if item.about}
    return tuple(_question(item, margin, about.get(item.id, "")) for item in form.items)


def _question(item: Item, margin: float, confidence: str) -> Question:
    kind = _KINDS.get(item.purpose, _PLAIN[item.kind])
    options = tuple(option.value for option in item.options)
    labels = {option.value: option.label for option in item.options}
    positive: Any = item.positive
    if kind == "preference":
        options = tuple(value for value in PREFERENCES if value in options)
    if kind == "origin":
        positive = ORIGINS[1]
    return Question(
        item.id,
        item.text,
        kind,
        options,
        tuple(labels[value] for value in options),
        item.higher_is_better,
        margin if item.margin is None else item.margin,
        positive,
        item.truth,
        confidence,
        item.primary,
    )


def _readings(study: Study, key: Key, record: ClosedRecord) -> list[Reading]:
    """One per submitted position that is no training."""
    final: defaultdict[_Place, dict[str, Any]] = defaultdict(dict)
    for row in final_answers(record.answers):
        final[row.reader, row.position][row.item] = row.value
    seconds = _seconds(record)
    readings = []
    for reader, position, at in _submissions(record.events):
        slot = study.slots(reader)[position - 1]
        if slot.training:
            continue
        shown, times = slot.presentation, seconds[reader, position]
        readings.append(
            Reading(
                reader=reader,
                case=key.cases[shown.images[0]],
                mode=shown.mode,
                arms=tuple(key.arms[image] for image in shown.images),
                presentation=shown.id,
                session=slot.session,
                position=position,
                repeats=key.duplicates.get(shown.id, ""),
                answers=final[reader, position],
                active_s=sum(active for active, _ in times),
                idle_s=sum(idle for _, idle in times),
                submitted_at=at,
            )
        )
    return readings


def _submissions(events: Sequence[Event]) -> list[tuple[str, int, str]]:
    """Reader, position and time of what was submitted, each reader's in order."""
    return sorted(
        (event.reader, int(event_body(event)["position"]), event.at) for event in events if event.kind == SUBMITTED
    )


def _seconds(record: ClosedRecord) -> Mapping[_Place, list[tuple[float, float]]]:
    """Active and idle seconds of every position, in parts.

    A part ends with an answer, with the submission, or where the reader left the position open: went back or on, put it
    off, signed out. Amendments and looking back at what was submitted are no reading time.
    """
    found: defaultdict[_Place, list[tuple[float, float]]] = defaultdict(list)
    for row in record.answers:
        if not row.reason:
            found[row.reader, row.position].append((row.active_s, row.idle_s))
    for event in record.events:
        body = event_body(event)
        part = body if event.kind == SUBMITTED else body.get("left")
        if part and (event.kind == SUBMITTED or not part["submitted"]):
            found[event.reader, int(part["position"])].append((part["active_s"], part["idle_s"]))
    return found


def _warnings(record: ClosedRecord, accept_damaged: str) -> Iterator[str]:
    """What was not as the protocol says, or not as it was written."""
    state, conduct = record.verification, Conduct.of(record.events)
    if not state.whole:
        yield f"THE RECORD IS NOT WHOLE and was analysed all the same. Reason: {accept_damaged.strip()}"
        yield from state.problems
    if record.left_out:
        yield f"Answers and events that make no sense were left out: {record.left_out}."
    if state.accepted:
        yield f"The study was closed although its record was not whole. Reason: {state.accepted}"
        yield from state.accepted_problems
    if conduct.incomplete:
        yield f"The study was closed before everything was read. Reason: {conduct.incomplete}"
    yield from (override.sentence for override in conduct.overrides)
