"""What the statistics need of a study: what was asked, and what was answered where, with the arms known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.reader_study.analysis.ratings import Ratings

Values = NDArray[np.float64]

QuestionKind = Literal["ordinal", "nominal", "scale", "flag", "preference", "origin", "diagnosis", "regions", "text"]

LEFT, RIGHT, NEITHER = "left", "right", "none"
"""Values of a preference."""

ACQUIRED, SYNTHETIC = "acquired", "synthetic"
"""Where the maps of an arm come from."""

MODE_WORDS: Mapping[str, str] = {
    "single": "single map",
    "side_by_side": "side by side",
    "turing": "visual Turing test",
    "unblinded": "unblinded",
    "roi": "marking regions",
}
"""The modes of a protocol in words."""


@dataclass(frozen=True)
class Question:
    """One item of the form as the analysis treats it.

    Attributes:
        id: identifier of the item.
        text: what readers were asked.
        kind: "ordinal" (Likert), "nominal" (a choice), "scale" (0–100), "flag" (yes or no), "preference" (left, right,
            none), "origin" (synthetic or not), "diagnosis" (positive or not), "regions" (marks) or "text".
        categories: values that could be chosen, as they are stored; in ascending order for "ordinal".
        labels: their words, in the same order.
        higher_is_better: whether a larger value is better ("ordinal").
        margin: of non-inferiority, in points ("ordinal").
        positive: the category that counts as 1 ("origin": synthetic; "diagnosis": the positive one).
        truth: field of the truth that a diagnosis is compared with.
        confidence: identifier of the item with the confidence of this choice, or "".
        primary: whether it was declared a primary end point ("ordinal").
    """

    id: str
    text: str
    kind: QuestionKind
    categories: tuple[Any, ...] = ()
    labels: tuple[str, ...] = ()
    higher_is_better: bool = True
    margin: float | None = None
    positive: Any = None
    truth: str = ""
    confidence: str = ""
    primary: bool = False


@dataclass(frozen=True)
class Reading:
    """One submitted presentation, training left out.

    Attributes:
        reader: study code.
        case: identifier.
        mode: as in the protocol.
        arms: of the single map, or of the left and the right one.
        presentation: neutral identifier.
        session, position: when it was read.
        repeats: presentation of which this is a hidden duplicate, or "".
        answers: item → value.
        active_s: seconds at work; idle time is not in it.
        idle_s: seconds without input.
        submitted_at: ISO 8601, UTC.
    """

    reader: str
    case: str
    mode: str
    arms: tuple[str, ...]
    presentation: str
    session: int
    position: int
    repeats: str
    answers: Mapping[str, Any]
    active_s: float
    idle_s: float
    submitted_at: str


@dataclass(frozen=True)
class RecordState:
    """What the check of the record found when it was read for the analysis.

    Attributes:
        receipt: "number:hash" of the last event.
        events: how many there are.
        verified: whether every event, answer and submission is the one that was written.
        images_checked: whether every image was compared with its checksum, too.
        notes: sentences on what readers of the results should know, such as a clock that was set back.
    """

    receipt: str
    events: int
    verified: bool
    images_checked: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Readings:
    """A closed study with its key.

    Attributes:
        identifier: of the study.
        title: of the study.
        simulated_readers: whether no human read.
        simulated_cases: how many of the cases are phantoms.
        reference: the arm that others are compared with.
        arms: all, the reference first.
        readers: study codes.
        cases: identifiers.
        truth: case → field → value.
        questions: of the form, in its order.
        readings: submitted, each reader's in the order of reading.
        expected: reader → number of presentations in the schedule, training left out.
        amendments: reader → number of answers changed after submission.
        warnings: sentences on what was allowed against the protocol, such as a short washout, or a damaged record.
        regions: rows of what was measured in marked regions, see `RegionValue`.
        origins: arm → `ACQUIRED`, `SYNTHETIC`, or "" for neither.
        record: state of the record; None for readings that come from none.
    """

    identifier: str
    title: str
    simulated_readers: bool
    simulated_cases: int
    reference: str
    arms: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    truth: Mapping[str, Mapping[str, Any]]
    questions: tuple[Question, ...]
    readings: tuple[Reading, ...]
    expected: Mapping[str, int]
    amendments: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    regions: tuple[RegionValue, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    record: RecordState | None = None

    def question(self, identifier: str) -> Question:
        """The question of this identifier.

        Raises:
            KeyError: there is none.
        """
        return {one.id: one for one in self.questions}[identifier]

    def asked_in(self, question: Question) -> list[str]:
        """The modes in which it was answered, in the order of first use."""
        return list(dict.fromkeys(one.mode for one in self.readings if question.id in one.answers))

    def asked(self) -> list[tuple[Question, str]]:
        """Every question with each of its modes; where there are several, the mode stands behind its text."""
        found = []
        for question in self.questions:
            modes = self.asked_in(question)
            for mode in modes:
                place = "" if len(modes) == 1 else f" ({MODE_WORDS[mode]})"
                found.append((replace(question, text=question.text + place), mode))
        return found

    def firsts(self, mode: str) -> list[Reading]:
        """The readings of a mode without the hidden duplicates."""
        return [one for one in self.readings if one.mode == mode and not one.repeats]

    def ratings(self, question: Question, mode: str, number: Callable[[Any], float] | None = None) -> Ratings:
        """Answers of a mode as an array; the arm of a pair of maps is the one that is not the reference.

        Args:
            question: whose answers.
            mode: where.
            number: turns an answer into a number; by default `numbers` of the question.
        """
        turn = number or numbers(question)
        readings = [one for one in self.firsts(mode) if question.id in one.answers]
        return self.table(question.id, ((one, turn(one.answers[question.id])) for one in readings))

    def table(self, item: str, values: Iterable[tuple[Reading, float]]) -> Ratings:
        """Numbers of readings as an array; a reading counts once, the first where there are several."""
        rows = [(one, self.arm_of(one), value) for one, value in values]
        used = {arm for _, arm, _ in rows}
        arms = [arm for arm in self.arms if arm in used]
        seen = {one.case for one, _, _ in rows}
        cases = [case for case in self.cases if case in seen]
        places = [{name: place for place, name in enumerate(names)} for names in (arms, cases, self.readers)]
        array = np.full((len(arms), len(cases), len(self.readers)), np.nan)
        for one, arm, value in rows:
            place = places[0][arm], places[1][one.case], places[2][one.reader]
            if np.isnan(array[place]):
                array[place] = value
        return Ratings(item, tuple(arms), tuple(cases), self.readers, array)

    def arm_of(self, reading: Reading) -> str:
        """The arm of a single map; of a pair the one that is not the reference."""
        return next((arm for arm in reading.arms if arm != self.reference), reading.arms[0])


@dataclass(frozen=True)
class RegionValue:
    """One measure in the region that a reader marked for a case.

    Attributes:
        reader, case: who marked where.
        item: of the form.
        marked_on: arm that the reader saw.
        measured_on: arm whose map was measured.
        measure: identifier, see docs/measures.md.
        value: in the measure's unit.
    """

    reader: str
    case: str
    item: str
    marked_on: str
    measured_on: str
    measure: str
    value: float


def numbers(question: Question) -> Callable[[Any], float]:
    """How answers to a question become numbers: scales as they are, choices by their place, the positive one as 1."""
    if question.kind in ("origin", "diagnosis"):
        return lambda value: float(value == question.positive)
    if question.kind in ("nominal", "preference"):
        places = {value: place for place, value in enumerate(question.categories)}
        return lambda value: float(places.get(value, np.nan))
    return lambda value: float(value) if isinstance(value, bool | int | float) else float("nan")


def codes(question: Question) -> Sequence[float] | None:
    """The numbers that `numbers` can give, or None for a fine scale."""
    if question.kind in ("origin", "diagnosis", "flag"):
        return (0.0, 1.0)
    if question.kind in ("nominal", "preference"):
        return tuple(float(place) for place in range(len(question.categories)))
    return tuple(float(value) for value in question.categories) if question.kind == "ordinal" else None
