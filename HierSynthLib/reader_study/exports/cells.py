"""Cells and rows of the exports' CSV files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from HierSynthLib.reader_study.analysis.readings import Readings

# A spreadsheet takes a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV with a heading: comma, decimal point, lines that end with a line feed."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(headings)
    table.writerows(rows)
    return file.getvalue()


def cell(value: Any) -> str:
    """A value as text: numbers in full, yes and no as 1 and 0, lists as JSON, nothing as an empty cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:.10g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def safe_text(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe is put before what begins like one."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def simulated_words(study: Readings) -> str:
    """Whether readers, patients, some patients, or readers and patients are simulated; "" if nothing is."""
    patients = "patients" if study.simulated_cases == len(study.cases) else "some patients"
    parts = ["readers"] * study.simulated_readers + [patients] * (study.simulated_cases > 0)
    return " and ".join(parts)
