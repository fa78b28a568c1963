"""One row per answer, and a codebook that explains every column and every item."""

from __future__ import annotations

from collections.abc import Iterator

from HierSynthLib.reader_study.analysis.readings import Question, Reading, Readings
from HierSynthLib.reader_study.exports.cells import cell, csv_lines, safe_text, simulated_words

ANSWERS, CODEBOOK = "answers.csv", "codebook.csv"

_COLUMNS = {
    "study": "identifier of the study",
    "simulated": "readers, patients, or both, if they are simulated; otherwise empty",
    "reader": "study code of the reader",
    "case": "identifier of the case",
    "mode": "how the maps were shown",
    "arm": "arm of the map; of two maps the one that is not the reference",
    "left_arm": "side by side: arm of the left map",
    "right_arm": "side by side: arm of the right map",
    "session": "number of the reading session",
    "position": "place in the reader's order, from 1",
    "presentation": "neutral identifier of what was shown",
    "repeats": "of a hidden duplicate: the presentation that it repeats; such rows are left out of all comparisons",
    "submitted_at": "time of the submission, UTC",
    "active_s": "seconds at work on this presentation",
    "idle_s": "seconds without any input on this presentation",
    "item": "identifier of the item, see the rows “item …” of the codebook",
    "value": "the answer: a number, a word, 1 or 0 for yes or no, text, or JSON for marked regions (mm, RAS)",
    "label": "what the reader saw for this value, where it has a label",
}


def long_files(study: Readings) -> dict[str, str]:
    """answers.csv and codebook.csv.

    Args:
        study: closed, with its key.

    Returns:
        Name of the file → text.
    """
    return {
        ANSWERS: csv_lines(list(_COLUMNS), (list(row) for row in _rows(study))),
        CODEBOOK: csv_lines(["name", "meaning", "type", "values"], _codebook(study)),
    }


def _rows(study: Readings) -> Iterator[tuple[str, ...]]:
    known = {question.id: question for question in study.questions}
    simulated = simulated_words(study)
    for one in study.readings:
        for item, value in one.answers.items():
            text = cell(value)
            yield (
                study.identifier,
                simulated,
                one.reader,
                safe_text(one.case),
                one.mode,
                study.arm_of(one),
                *_sides(one),
                str(one.session),
                str(one.position),
                one.presentation,
                one.repeats,
                one.submitted_at,
                f"{one.active_s:.3f}",
                f"{one.idle_s:.3f}",
                item,
                safe_text(text) if isinstance(value, str) else text,
                safe_text(_label(known[item], value)),
            )


def _sides(one: Reading) -> tuple[str, str]:
    return (one.arms[0], one.arms[1]) if len(one.arms) == 2 else ("", "")


def _label(question: Question, value: object) -> str:
    labels = dict(zip(question.categories, question.labels, strict=False))
    return labels.get(value, "") if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _codebook(study: Readings) -> Iterator[list[str]]:
    for name, meaning in _COLUMNS.items():
        yield [name, meaning, "column", "; ".join(study.arms) if name == "arm" else ""]
    for question in study.questions:
        values = "; ".join(
            f"{cell(value)} = {label}" if label and label != value else cell(value)
            for value, label in zip(question.categories, question.labels, strict=False)
        )
        meaning = question.text
        if question.kind == "ordinal":
            better = "more is better" if question.higher_is_better else "less is better"
            margin = "" if question.margin is None else f", margin {question.margin:g} points"
            meaning += f" ({better}{margin}{', a primary end point' if question.primary else ''})"
        if question.kind == "diagnosis":
            meaning += f" (positive: {question.positive}; compared with the truth's {question.truth})"
        yield [f"item {question.id}", safe_text(meaning), question.kind, safe_text(values)]
