"""Every measure: name, unit, formula, range and source, read from measures.json.

python -m HierSynthLib.fidelity.measures.definitions > docs/measures.md
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from HierSynthLib.fidelity.measures.settings import Settings

FRACTION = "fraction_above_"
ABSENT = "–"

_FILE = Path(__file__).with_name("measures.json")
_ANY_THRESHOLD = "<threshold>"
_INTRODUCTION = (
    "What every number of a fidelity table means. This page is written from ",
    "`HierSynthLib/fidelity/measures/measures.json` by",
    "`python -m HierSynthLib.fidelity.measures.definitions > docs/measures.md`; change the JSON file, not this page.",
    "The tests in `Testing/unit/test_fidelity_*.py` check each number against a published value, an analytic result or",
    "another library.",
    "",
    "A number that does not exist is empty (null in JSON), never NaN, and a note says why. The defaults named here are",
    "those of `HierSynthLib/fidelity/measures/settings.py`; every export states the settings that were used.",
)


@dataclass(frozen=True)
class Measure:
    """What one number means.

    Attributes:
        id: name in files, snake_case.
        name: name for users.
        short: heading of a table's column.
        group: "intensity", "texture", "agreement" or "cohort".
        unit: "" for none, "map" for the unit of the map.
        decimals: digits after the point.
        range: possible values, in words.
        formula: one line.
        definition: sentences that leave no choice open.
        library: what computes it.
        source: publication.
        shown: whether it is a column of the panel's table by default.
    """

    id: str
    name: str
    short: str
    group: str
    unit: str
    decimals: int
    range: str
    formula: str
    definition: str
    library: str
    source: str
    shown: bool


@dataclass(frozen=True)
class Group:
    """Measures that belong together."""

    id: str
    title: str
    introduction: str
    measures: tuple[Measure, ...]


@cache
def groups() -> tuple[Group, ...]:
    """The groups of measures; the fraction above a threshold stands once, for any threshold."""
    found = json.loads(_FILE.read_text("utf-8"))["groups"]
    return tuple(
        Group(
            group["id"],
            group["title"],
            group["introduction"],
            tuple(Measure(group=group["id"], **fields) for fields in group["measures"]),
        )
        for group in found
    )


def measures(thresholds: Sequence[float] = Settings().thresholds) -> tuple[Measure, ...]:
    """All measures in the order of tables, with one fraction for each threshold (nrCBV)."""
    every = (measure for group in groups() for measure in group.measures)
    return tuple(
        concrete
        for measure in every
        for concrete in (
            [_at(measure, float(value)) for value in thresholds] if _ANY_THRESHOLD in measure.id else [measure]
        )
    )


@cache
def ids(group: str, thresholds: tuple[float, ...] = Settings().thresholds) -> tuple[str, ...]:
    """The ids of a group's measures in the order of tables."""
    return tuple(measure.id for measure in measures(thresholds) if measure.group == group)


def measure(measure_id: str) -> Measure:
    """The measure of this id; `fraction_above_…` with any threshold.

    Raises:
        KeyError: there is no such measure.
    """
    if measure_id.startswith(FRACTION):
        template = _by_id()[FRACTION + _ANY_THRESHOLD]
        try:
            return _at(template, float(measure_id.removeprefix(FRACTION)))
        except ValueError as error:
            raise KeyError(measure_id) from error
    return _by_id()[measure_id]


def fraction_id(threshold: float) -> str:
    """The id of the fraction above a threshold, such as "fraction_above_1.75"."""
    return f"{FRACTION}{float(threshold)}"


def format_value(measure_id: str, value: float | None) -> str:
    """A value as users see it, without unit: "–" where there is none, a true minus sign, and never −0."""
    if value is None or not math.isfinite(value):
        return ABSENT
    decimals = measure(measure_id).decimals
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")


@cache
def _by_id() -> dict[str, Measure]:
    return {measure.id: measure for group in groups() for measure in group.measures}


def _at(template: Measure, threshold: float) -> Measure:
    words = {
        name: getattr(template, name).replace(_ANY_THRESHOLD, str(threshold))
        for name in ("id", "name", "short", "formula", "definition")
    }
    return replace(template, **words)


def markdown() -> str:
    """The page docs/measures.md."""
    lines = ["# Measures", "", *_INTRODUCTION]
    for group in groups():
        lines += ["", f"## {group.title}", "", group.introduction]
        for measure in group.measures:
            lines += ["", *_entry(measure)]
    return "\n".join(lines) + "\n"


def _entry(measure: Measure) -> list[str]:
    facts = {
        "Formula": f"`{measure.formula}`",
        "Unit": measure.unit or "none",
        "Range": measure.range,
        "Computed by": measure.library,
        "Source": measure.source,
    }
    lines = [f"### {measure.name} (`{measure.id}`)", "", measure.definition, ""]
    return lines + [f"- {name}: {text}" for name, text in facts.items() if text]


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdout.write(markdown())
