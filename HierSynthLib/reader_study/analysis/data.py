"""Reading a closed study with its key: what was answered, with arms, cases and truth put in."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter, Silent
from HierSynthLib.reader_study.analysis.readings import Question, QuestionKind, Reading, Readings
from HierSynthLib.reader_study.analysis.roi_measures import measure_marks
from HierSynthLib.reader_study.form import ORIGINS, PREFERENCES, Form, Item
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.record.answers import AnswerRow, final_answers, read_answers
from HierSynthLib.reader_study.record.database import open_record
from HierSynthLib.reader_study.record.store import OVERRIDDEN, SUBMITTED
from HierSynthLib.reader_study.study import Study

_KINDS: Mapping[str, QuestionKind] = {
    "preference": "preference", "origin": "origin", "diagnosis": "diagnosis", "roi": "regions",
}  # fmt: skip
_PLAIN: Mapping[str, QuestionKind] = {
    "likert": "ordinal", "choice": "nominal", "confidence": "scale", "flag": "flag", "text": "text",
    "hotspots": "regions", "outline": "regions",
}  # fmt: skip


def load(folder: Path, key_path: Path, reporter: Reporter | None = None) -> Readings:
    """Read a closed study.

    Args:
        folder: of the study.
        key_path: the key that was written when the study was made.
        reporter: told while marked regions are measured.

    Raises:
        InputError: the study is not closed, the key belongs to another study or to another version of this one, or a
            file cannot be read.
        Cancelled: by the reporter.
    """
    study, rows = Study.read(folder), read_answers(folder)
    key = Key.read(key_path)
    if key.study != study.id or key.study_sha256 != study.sha256:
        raise InputError(
            f"The key {key_path} does not belong to the study in {folder}, or its study.json was changed.",
            "Give the key that was written with this study; 'hiersynth study verify' finds changes.",
        )
    readings = _readings(study, key, rows, _submissions(folder))
    used = {one.case for one in readings}
    arms = sorted(key.protocol.arms, key=lambda arm: not arm.reference)
    found = Readings(
        identifier=study.id,
        title=study.title,
        simulated_readers=study.protocol.simulated_readers,
        simulated_cases=study.simulated_cases,
        reference=arms[0].name,
        arms=tuple(arm.name for arm in arms),
        readers=study.readers,
        cases=tuple(case for case in sorted(set(key.cases.values())) if case in used),
        truth=key.truth,
        questions=questions(study.form, key.protocol.margin),
        readings=tuple(readings),
        expected={reader: sum(not slot.training for slot in study.slots(reader)) for reader in study.readers},
        amendments=dict(Counter(row.reader for row in rows if row.amendment_of is not None and not row.training)),
        overrides=tuple(_overrides(folder)),
    )
    return replace(found, regions=tuple(measure_marks(study, key, found, reporter or Silent())))


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
    )


def _readings(study: Study, key: Key, rows: Sequence[AnswerRow], submitted: Sequence[_Submission]) -> list[Reading]:
    """One per submitted position that is no training."""
    final: defaultdict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for row in final_answers(list(rows)):
        final[row.reader, row.position][row.item] = row.value
    seconds: defaultdict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:  # also what was answered first and changed before submission, but no later amendment
        if row.amendment_of is None:
            seconds[row.reader, row.position].append((row.active_s, row.idle_s))
    readings = []
    for one in submitted:
        slot, place = study.slots(one.reader)[one.position - 1], (one.reader, one.position)
        if slot.training:
            continue
        shown = slot.presentation
        times = [*seconds[place], (one.active_s, one.idle_s)]
        readings.append(
            Reading(
                reader=one.reader,
                case=key.cases[shown.images[0]],
                mode=shown.mode,
                arms=tuple(key.arms[image] for image in shown.images),
                presentation=shown.id,
                session=slot.session,
                position=one.position,
                repeats=key.duplicates.get(shown.id, ""),
                answers=final[place],
                active_s=sum(active for active, _ in times),
                idle_s=sum(idle for _, idle in times),
                submitted_at=one.at,
            )
        )
    return readings


class _Submission(NamedTuple):
    reader: str
    position: int
    at: str
    active_s: float
    idle_s: float


def _submissions(folder: Path) -> list[_Submission]:
    """Each reader's submitted positions, in order."""
    found = []
    for reader, at, body in _events(folder, SUBMITTED):
        found.append(_Submission(reader, body["position"], at, body["active_s"], body["idle_s"]))
    return sorted(found)


def _overrides(folder: Path) -> list[str]:
    """A sentence for every washout that was cut short."""
    return [
        f"{reader} read session {body['session']} {body['days']:.1f} instead of {body['required_days']:g} days after "
        f"the same cases. Reason: {body['reason']}"
        for reader, _, body in _events(folder, OVERRIDDEN)
    ]


def _events(folder: Path, kind: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Reader, time and body of the events of a kind."""
    with open_record(folder, readonly=True) as connection:
        rows = connection.execute("SELECT reader, at, body FROM events WHERE kind = ? ORDER BY seq", [kind])
        return [(reader, at, json.loads(body)) for reader, at, body in rows]
