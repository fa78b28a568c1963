"""What every column of an evaluation means, read from measures.json; measures of `fidelity` are taken from there."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from HierSynthLib.fidelity.measures import definitions as fidelity
from HierSynthLib.fidelity.measures.definitions import ABSENT, Measure

_FILE = Path(__file__).with_name("measures.json")

# Models of one family differ in the third digit; distances and decibels do not need it.
_DIGITS = 3
_COARSE_UNITS = ("mm", "dB", "bit")


@dataclass(frozen=True)
class Column:
    """A measure in a region.

    Attributes:
        id: in files.
        region: "brain" or "roi".
        measure: what is measured, with unit, formula and source.
        better: "higher", "lower", "none", or the value that is right.
        role: "primary" (tested and drawn), "other" or "feature" (of a lesion, for grading).
    """

    id: str
    region: str
    measure: Measure
    better: str | float
    role: str

    @property
    def title(self) -> str:
        """Name with its region."""
        return f"{self.measure.name}, {_regions()[self.region]}"

    @property
    def heading(self) -> str:
        """Short name with its region and unit, for a table."""
        where = "ROI " if self.region == "roi" else "brain "
        unit = self.measure.unit.replace("map", "nrCBV")
        return f"{where}{self.measure.short}{', ' + unit if unit else ''}"

    @property
    def unit(self) -> str:
        """Unit; "" for none."""
        return self.measure.unit.replace("map", "nrCBV")

    def text(self, value: float | None, *, signed: bool = False) -> str:
        """A value as users see it."""
        if value is None or not math.isfinite(value):
            return ABSENT
        digits = self.measure.decimals if self.unit in _COARSE_UNITS else max(_DIGITS, self.measure.decimals)
        return f"{round(value, digits) + 0.0:{'+' if signed else ''}.{digits}f}".replace("-", "−")

    def loss(self, value: float) -> float:
        """A value turned so that less is better: −x, x, or the distance from what is right."""
        if isinstance(self.better, float):
            return abs(value - self.better)
        return -value if self.better == "higher" else value


@cache
def columns() -> tuple[Column, ...]:
    """All columns in the order of tables."""
    found = json.loads(_FILE.read_text("utf-8"))
    own = {entry["id"]: Measure(group="evaluation", shown=False, **entry) for entry in found["measures"]}
    return tuple(
        Column(
            id=entry["id"],
            region=entry["region"],
            measure=own.get(entry["measure"]) or fidelity.measure(entry["measure"]),
            better=entry["better"],
            role=entry["role"],
        )
        for entry in found["columns"]
    )


@cache
def column(identifier: str) -> Column:
    """The column of this id.

    Raises:
        KeyError: there is none.
    """
    return {each.id: each for each in columns()}[identifier]


def primary() -> tuple[Column, ...]:
    """The columns that are tested and drawn."""
    return tuple(each for each in columns() if each.role == "primary")


def described() -> Iterator[dict[str, Any]]:
    """The columns with formula and source, for evaluation.json."""
    for each in columns():
        yield {
            "id": each.id,
            "name": each.title,
            "unit": each.unit,
            "better": each.better,
            "formula": each.measure.formula,
            "definition": each.measure.definition,
            "library": each.measure.library,
            "source": each.measure.source,
        }


@cache
def _regions() -> dict[str, str]:
    return dict(json.loads(_FILE.read_text("utf-8"))["regions"])
