"""Whether an uncertainty map says how large the errors are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.measures.agreement import rank_correlation
from Training.evaluation.settings import NOMINAL

Values = NDArray[np.float64]
Found = dict[str, float | None]

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Nominal shares of the calibration curve."""


def stretched(half_width: Values, interval: float, level: float) -> Values:
    """Half-width of the interval of another nominal share, for a Laplace error: −b·ln(1 − level).

    Args:
        half_width: nrCBV, of the share `interval`.
        interval: 0 to 1.
        level: wanted share, 0 to 1.
    """
    return half_width * (math.log1p(-level) / math.log1p(-interval))


def coverage(error: Values, half_width: Values) -> float:
    """Share of the errors within ± the half-width."""
    return float((np.abs(error) <= half_width).mean())


def calibration(error: Values, half_width: Values, interval: float) -> tuple[Found, list[float]]:
    """The measures of group "uncertainty" of a region, and the observed shares at `LEVELS`.

    Args:
        error: (N,) predicted − target, nrCBV, at least one.
        half_width: (N,) of the model's interval.
        interval: its nominal share.
    """
    curve = [coverage(error, stretched(half_width, interval, level)) for level in LEVELS]
    nominal = stretched(half_width, interval, NOMINAL)
    found: Found = {
        "coverage": coverage(error, nominal),
        "interval_width": float(2 * nominal.mean()),
        "uncertainty_error_r": rank_correlation(half_width, np.abs(error)),
        "calibration_error": float(np.abs(np.subtract(curve, LEVELS)).mean()),
    }
    return found, curve
