"""A REDCap project: its data dictionary, and one record per submitted presentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from HierSynthLib.reader_study.analysis.readings import Question, Reading, Readings
from HierSynthLib.reader_study.exports.cells import cell, csv_lines, simulated_words

DICTIONARY, RECORDS = "redcap-data-dictionary.csv", "redcap-records.csv"

DICTIONARY_COLUMNS = (
    "Variable / Field Name",
    "Form Name",
    "Section Header",
    "Field Type",
    "Field Label",
    "Choices, Calculations, OR Slider Labels",
    "Field Note",
    "Text Validation Type OR Show Slider Number",
    "Text Validation Min",
    "Text Validation Max",
    "Identifier?",
    "Branching Logic (Show field only if...)",
    "Required Field?",
    "Custom Alignment",
    "Question Number (surveys only)",
    "Matrix Group Name",
    "Matrix Ranking?",
    "Field Annotation",
)
"""The 18 columns of a data dictionary, as REDCap's own download has them."""

FORM = "reading"
_COMPLETE, _COMPLETED = f"{FORM}_complete", "2"
# REDCap warns of longer variable names.
_LONGEST_NAME = 26
_PLAIN_CODE = re.compile(r"[A-Za-z0-9_]+")

_FIXED = {
    "record_id": ("Record", ""),
    "study": ("Study", ""),
    "simulated": ("Simulated (readers, patients, or both; empty if neither)", ""),
    "reader": ("Reader (study code)", ""),
    "case_id": ("Case", ""),
    "mode": ("Mode", ""),
    "arm": ("Arm of the map", ""),
    "left_arm": ("Arm of the left map", ""),
    "right_arm": ("Arm of the right map", ""),
    "session": ("Session", "integer"),
    "position": ("Position", "integer"),
    "presentation": ("Presentation", ""),
    "repeats": ("Presentation that this hidden duplicate repeats", ""),
    "submitted_at": ("Submitted (UTC)", "datetime_seconds_ymd"),
    "active_s": ("Active time, s", "number"),
    "idle_s": ("Idle time, s", "number"),
}


def redcap_files(study: Readings) -> dict[str, str]:
    """redcap-data-dictionary.csv and redcap-records.csv.

    Upload the dictionary first (Designer → Data Dictionary), then the records (Data Import Tool, rows are records,
    dates as Y-M-D).

    Args:
        study: closed, with its key.

    Returns:
        Name of the file → text.
    """
    names = variable_names(study)
    codes = {question.id: choice_codes(question) for question in study.questions}
    headings = [*_FIXED, *names.values(), _COMPLETE]
    records = [_record(study, one, names, codes) for one in study.readings]
    return {
        DICTIONARY: csv_lines(DICTIONARY_COLUMNS, _dictionary(study, names, codes)),
        RECORDS: csv_lines(headings, ([record.get(name, "") for name in headings] for record in records)),
    }


def variable_names(study: Readings) -> dict[str, str]:
    """Item → variable name: lower case letters, digits and underscores, a letter first, at most 26, all different."""
    taken = {*_FIXED, _COMPLETE}
    names = {}
    for question in study.questions:
        stem = re.sub(r"[^a-z0-9]+", "_", question.id.lower()).strip("_")
        stem = stem if stem[:1].isalpha() else f"item_{stem}".strip("_")
        name, number = stem[:_LONGEST_NAME].rstrip("_"), 2
        while name in taken:
            name, number = f"{stem[: _LONGEST_NAME - 4].rstrip('_')}_{number}", number + 1
        taken.add(name)
        names[question.id] = name
    return names


def choice_codes(question: Question) -> dict[Any, str]:
    """Value of a choice → raw code: the value itself where REDCap can take it, else its number from 1."""
    if question.kind == "text" or not question.categories:
        return {}
    plain = all(_PLAIN_CODE.fullmatch(str(value)) for value in question.categories)
    return {value: str(value) if plain else str(n) for n, value in enumerate(question.categories, start=1)}


def _dictionary(
    study: Readings, names: Mapping[str, str], codes: Mapping[str, Mapping[Any, str]]
) -> Iterator[list[str]]:
    for name, (label, validation) in _FIXED.items():
        yield _field(name, "text", label, validation=validation)
    for place, question in enumerate(study.questions):
        header = "Answers" if place == 0 else ""
        yield _item_field(question, names[question.id], codes[question.id], header)


def _item_field(question: Question, name: str, codes: Mapping[Any, str], header: str) -> list[str]:
    if codes:
        choices = " | ".join(
            f"{codes[value]}, {_one_line(label or str(value))}"
            for value, label in zip(question.categories, question.labels, strict=True)
        )
        return _field(name, "radio", question.text, choices=choices, header=header)
    if question.kind == "flag":
        return _field(name, "yesno", question.text, header=header)
    if question.kind == "scale":
        return _field(name, "text", question.text, validation="number", limits=("0", "100"), header=header)
    note = "JSON, RAS mm" if question.kind == "regions" else ""
    return _field(name, "notes", question.text, note=note, header=header)


def _field(
    name: str,
    kind: str,
    label: str,
    *,
    choices: str = "",
    note: str = "",
    validation: str = "",
    limits: tuple[str, str] = ("", ""),
    header: str = "",
) -> list[str]:
    cells = [name, FORM, header, kind, _one_line(label), choices, note, validation, *limits]
    return cells + [""] * (len(DICTIONARY_COLUMNS) - len(cells))


def _record(
    study: Readings, one: Reading, names: Mapping[str, str], codes: Mapping[str, Mapping[Any, str]]
) -> dict[str, str]:
    sides = one.arms if len(one.arms) == 2 else ("", "")
    record = {
        "record_id": f"{one.reader}-{one.position:04d}",
        "study": study.identifier,
        "simulated": simulated_words(study),
        "reader": one.reader,
        "case_id": one.case,
        "mode": one.mode,
        "arm": study.arm_of(one),
        "left_arm": sides[0],
        "right_arm": sides[1],
        "session": str(one.session),
        "position": str(one.position),
        "presentation": one.presentation,
        "repeats": one.repeats,
        "submitted_at": one.submitted_at[:19].replace("T", " "),
        "active_s": f"{one.active_s:.3f}",
        "idle_s": f"{one.idle_s:.3f}",
        _COMPLETE: _COMPLETED,
    }
    for item, value in one.answers.items():
        coded = isinstance(value, str | int | float) and not isinstance(value, bool) and codes[item]
        record[names[item]] = codes[item][value] if coded else cell(value)
    return record


def _one_line(text: str) -> str:
    """A label: one line, without the sign that separates choices."""
    return " ".join(text.split()).replace("|", "/")
