"""The values of the maps at one place, in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from HierSynthLib.case import CBV_UNITS

NOTHING = "–"
OUTSIDE = "outside"


def readout_lines(values: Mapping[str, float | None], acquired_units: str = CBV_UNITS) -> list[tuple[str, str]]:
    """Label and value for each of the maps under the cursor.

    Args:
        values: "synthetic", "acquired", "difference" (synthetic − acquired) and "uncertainty" (half-width of its
            interval) in nrCBV; None outside the map. Maps that are not given have no line.
        acquired_units: of "acquired", where these are others.

    Returns:
        Such as ("Synthetic", "2.31 nrCBV"), ("Difference", "+0.18"), ("Uncertainty", "±0.42"), always in this order. A
        value that is None or not finite is "outside"; where none has a value, all are "–".
    """
    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    absent = OUTSIDE if known else NOTHING
    forms = {name: form for name, (_label, form) in _LINES.items()}
    if acquired_units != CBV_UNITS:
        forms["acquired"] = lambda value: f"{value:.3g}".replace("-", "−") + f" {acquired_units}"
    return [
        (label, forms[name](known[name]) if name in known else absent)
        for name, (label, _form) in _LINES.items()
        if name in values
    ]


def _plain(value: float) -> str:
    return f"{_rounded(value):.2f} {CBV_UNITS}".replace("-", "−")


def _signed(value: float) -> str:
    rounded = _rounded(value)
    return f"{rounded:+.2f}".replace("-", "−") if rounded else "0.00"


def _half_width(value: float) -> str:
    return f"±{abs(_rounded(value)):.2f}"


def _rounded(value: float) -> float:
    """To two digits, and never −0."""
    return round(value, 2) + 0.0


_LINES: dict[str, tuple[str, Callable[[float], str]]] = {
    "synthetic": ("Synthetic", _plain),
    "acquired": ("Acquired", _plain),
    "difference": ("Difference", _signed),
    "uncertainty": ("Uncertainty", _half_width),
}
