"""All statistics of a closed study, as one JSON object."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from HierSynthLib.progress import Reporter
from HierSynthLib.reader_study.analysis.agreement import (
    CAVEAT,
    MOST_CATEGORIES,
    nominal_agreement,
    ordinal_agreement,
    scale_agreement,
)
from HierSynthLib.reader_study.analysis.choices import flags, preference, turing
from HierSynthLib.reader_study.analysis.completion import completion
from HierSynthLib.reader_study.analysis.diagnosis import diagnoses, diagnostic_accuracy, unknown_truths
from HierSynthLib.reader_study.analysis.distribution import distributions
from HierSynthLib.reader_study.analysis.ratings import Ratings
from HierSynthLib.reader_study.analysis.readings import (
    LEFT,
    NEITHER,
    SYNTHETIC,
    Question,
    Reading,
    Readings,
    RegionValue,
    codes,
    numbers,
)
from HierSynthLib.reader_study.analysis.regions import region_agreement
from HierSynthLib.reader_study.analysis.repeats import repeatability
from HierSynthLib.reader_study.analysis.timing import reading_time
from HierSynthLib.reader_study.analysis.verdicts import comparisons

_STAGE = "statistics"
_KINDS_WITH_NUMBERS = ("ordinal", "nominal", "scale", "flag", "diagnosis", "origin")

# Fewer readers than this, and intervals that count the readers are wide and rest on their distribution (design value).
_FEW_READERS = 3


def analyse(study: Readings, reporter: Reporter) -> dict[str, Any]:
    """Analyse a study.

    Args:
        study: closed, with its key.
        reporter: told after each item.

    Returns:
        Plain JSON: "study", "completion", "items", "comparisons", "flags", "preferences", "turing", "diagnosis",
        "repeats", "regions", "times", "caveat", "warnings". Every estimate has value, low, high, n and note.

    Raises:
        Cancelled: by the reporter.
    """
    asked = study.asked()
    items = []
    for number, (question, mode) in enumerate(asked):
        reporter.progress(_STAGE, number / len(asked))
        if question.kind in _KINDS_WITH_NUMBERS:
            items.append(_item(study, question, mode))
    reporter.progress(_STAGE, 0.9)
    found = {
        "study": _facts(study),
        "completion": completion(study),
        "items": items,
        "comparisons": comparisons(study, asked),
        "flags": [_flag(study, question, mode) for question, mode in asked if question.kind == "flag"],
        "preferences": [
            _preference(study, question, mode) for question, mode in asked if question.kind == "preference"
        ],
        "turing": [_turing(study, question, mode) for question, mode in asked if question.kind == "origin"],
        "diagnosis": [diagnostic_accuracy(found) for found in diagnoses(study)],
        "repeats": _repeats(study, asked),
        "regions": _regions(study),
        "times": _times(study),
        "caveat": CAVEAT,
        "warnings": _warnings(study),
    }
    reporter.progress(_STAGE, 1.0)
    return found


def _facts(study: Readings) -> dict[str, Any]:
    return {
        "identifier": study.identifier,
        "title": study.title,
        "simulated_readers": study.simulated_readers,
        "simulated_cases": study.simulated_cases,
        "record": None if study.record is None else asdict(study.record),
        "readers": list(study.readers),
        "cases": len(study.cases),
        "arms": list(study.arms),
        "reference": study.reference,
        "modes": list(dict.fromkeys(one.mode for one in study.readings)),
    }


def _item(study: Readings, question: Question, mode: str) -> dict[str, Any]:
    ratings = study.ratings(question, mode)
    categories = codes(question)
    return {
        "id": question.id,
        "text": question.text,
        "kind": question.kind,
        "mode": mode,
        "labels": list(question.labels),
        "higher_is_better": question.higher_is_better,
        "categories": None if categories is None else list(categories),
        **distributions(ratings, categories),
        "agreement": {arm: _agreement(question, ratings, arm) for arm in ratings.arms},
    }


def _agreement(question: Question, ratings: Ratings, arm: str) -> dict[str, Any]:
    table, categories = ratings.of(arm), codes(question)
    if categories is None or len(categories) > MOST_CATEGORIES:
        return scale_agreement(table)
    if question.kind == "ordinal":
        return ordinal_agreement(table, categories, ratings.readers)
    return nominal_agreement(table, categories, ratings.readers)


def _flag(study: Readings, question: Question, mode: str) -> dict[str, Any]:
    ratings = study.ratings(question, mode)
    return {
        "id": question.id,
        "text": question.text,
        "mode": mode,
        "arms": {arm: flags(ratings.of(arm), ratings.readers) for arm in ratings.arms},
    }


def _preference(study: Readings, question: Question, mode: str) -> dict[str, Any]:
    """Answers "left" and "right" as arms; pairs without the reference arm are left out."""
    readings = [
        one for one in study.firsts(mode) if question.id in one.answers and study.reference in one.arms and _pair(one)
    ]
    chosen = study.table(question.id, ((one, _preferred(study, one, one.answers[question.id])) for one in readings))
    sides = study.table(question.id, ((one, _side(one.answers[question.id])) for one in readings))
    return {
        "id": question.id,
        "text": question.text,
        "mode": mode,
        "reference": study.reference,
        "arms": {arm: preference(chosen.of(arm), sides.of(arm), chosen.readers) for arm in chosen.arms},
    }


def _pair(reading: Reading) -> bool:
    return len(set(reading.arms)) == 2


def _preferred(study: Readings, reading: Reading, answer: Any) -> float:
    if answer == NEITHER:
        return 0.0
    return -1.0 if reading.arms[0 if answer == LEFT else 1] == study.reference else 1.0


def _side(answer: Any) -> float:
    return float("nan") if answer == NEITHER else float(answer == LEFT)


def _turing(study: Readings, question: Question, mode: str) -> dict[str, Any]:
    """Against where the maps come from; arms that are neither acquired nor synthetic are left out."""
    ratings = study.ratings(question, mode)
    arms = [arm for arm in ratings.arms if study.origins.get(arm)]
    called = np.stack([ratings.of(arm) for arm in arms]) if arms else np.empty((0, 1, len(ratings.readers)))
    synthetic = np.array([study.origins[arm] == SYNTHETIC for arm in arms], dtype=bool)
    found = {
        "id": question.id,
        "text": question.text,
        "mode": mode,
        "synthetic": [arm for arm in arms if study.origins[arm] == SYNTHETIC],
        "acquired": [arm for arm in arms if study.origins[arm] != SYNTHETIC],
    }
    return found | turing(called, synthetic, ratings.readers)


def _repeats(study: Readings, asked: list[tuple[Question, str]]) -> list[dict[str, Any]]:
    """Per item with numbers: every reader's hidden duplicates, and all readers' together."""
    first = {(one.reader, one.presentation): one for one in study.readings if not one.repeats}
    pairs = [
        (first[one.reader, one.repeats], one)
        for one in study.readings
        if one.repeats and (one.reader, one.repeats) in first
    ]
    rows = []
    for question, mode in asked:
        both = [
            (one, again)
            for one, again in pairs
            if one.mode == mode and question.id in one.answers and question.id in again.answers
        ]
        if not both or question.kind not in (*_KINDS_WITH_NUMBERS, "preference"):
            continue
        for reader in ("all", *study.readers):
            own = [pair for pair in both if reader in ("all", pair[0].reader)]
            values = np.array([[_number(study, question, one) for one in pair] for pair in own], dtype=np.float64)
            values = values.reshape(-1, 2)
            categories = (-1.0, 0.0, 1.0) if question.kind == "preference" else codes(question)
            found = repeatability(values[:, 0], values[:, 1], categories)
            rows.append({"id": question.id, "text": question.text, "mode": mode, "reader": reader} | found)
    return rows


def _number(study: Readings, question: Question, reading: Reading) -> float:
    answer = reading.answers[question.id]
    return _preferred(study, reading, answer) if question.kind == "preference" else numbers(question)(answer)


def _regions(study: Readings) -> list[dict[str, Any]]:
    """Each region on the map on which it was marked, and the regions marked on one arm measured on the maps of all."""
    own = [row for row in study.regions if row.marked_on == row.measured_on]
    found = _region_groups(study, own, "each region on the map on which it was marked")
    for arm in study.arms:
        rows = [row for row in study.regions if row.marked_on == arm]
        if any(row.measured_on != arm for row in rows):
            found += _region_groups(study, rows, f"regions marked on {arm}, measured on all maps")
    return found


def _region_groups(study: Readings, rows: list[RegionValue], placement: str) -> list[dict[str, Any]]:
    groups = []
    for item, measure in dict.fromkeys((row.item, row.measure) for row in rows):
        own = [row for row in rows if (row.item, row.measure) == (item, measure)]
        arms = tuple(arm for arm in study.arms if any(row.measured_on == arm for row in own))
        if study.reference not in arms:
            continue
        with_marks = {row.case for row in own}
        cases = tuple(case for case in study.cases if case in with_marks)
        array = np.full((len(arms), len(cases), len(study.readers)), np.nan)
        for row in own:
            array[arms.index(row.measured_on), cases.index(row.case), study.readers.index(row.reader)] = row.value
        ratings = Ratings(item, arms, cases, study.readers, array)
        found = {"measure": measure, "placement": placement}
        groups.append(found | region_agreement(ratings, study.reference))
    return groups


def _times(study: Readings) -> list[dict[str, Any]]:
    found = []
    for mode in dict.fromkeys(one.mode for one in study.readings):
        seconds = study.table("active_s", ((one, one.active_s) for one in study.firsts(mode)))
        paired = study.reference not in seconds.arms  # both maps were seen at once
        reference = seconds.arms[0] if paired else study.reference
        labels = {arm: f"{study.reference} and {arm}" if paired else arm for arm in seconds.arms}
        found.append({"mode": mode, "reference": reference, "labels": labels} | reading_time(seconds, reference))
    return found


def _warnings(study: Readings) -> list[str]:
    sentences = [*study.warnings, *unknown_truths(study)]
    if len(study.readers) < _FEW_READERS:
        sentences.append(
            f"{len(study.readers)} reader{'' if len(study.readers) == 1 else 's'}: results that are meant to hold for "
            "other readers rest on very few."
        )
    done = {reader: sum(one.reader == reader for one in study.readings) for reader in study.readers}
    lacking = [
        f"{reader} ({done[reader]} of {study.expected[reader]})"
        for reader in study.readers
        if done[reader] < study.expected.get(reader, 0)
    ]
    if lacking:
        sentences.append(f"Not all presentations were read: {', '.join(lacking)}. Missing answers are left out.")
    return sentences
