"""How long reading took."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.cohort.statistics import Estimate, finite
from HierSynthLib.reader_study.analysis.crossed import crossed_mean
from HierSynthLib.reader_study.analysis.ratings import Ratings

Values = NDArray[np.float64]


def summary(seconds: Values) -> dict[str, Any]:
    """Number, median and quartiles of positive times, in seconds; None without any."""
    known = finite(seconds)
    if not known.size:
        return {"n": 0, "median": None, "q1": None, "q3": None, "total": 0.0}
    q1, median, q3 = (float(value) for value in np.quantile(known, [0.25, 0.5, 0.75]))
    return {"n": int(known.size), "median": median, "q1": q1, "q3": q3, "total": float(known.sum())}


def reading_time(seconds: Ratings, reference: str) -> dict[str, Any]:
    """Times per arm and reader, and the ratio of each arm to the reference.

    Args:
        seconds: active time of each presentation, > 0.
        reference: arm.

    Returns:
        "arms": arm → summary; "by_reader": reader → arm → summary; "ratios": arm → ratio of geometric means (arm /
        reference) with readers and cases random, see `crossed_mean`.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(seconds.values > 0, np.log(seconds.values), np.nan)
    logged = seconds.with_values(logs)
    return {
        "arms": {arm: summary(seconds.of(arm)) for arm in seconds.arms},
        "by_reader": {
            reader: {arm: summary(seconds.of(arm)[:, number]) for arm in seconds.arms}
            for number, reader in enumerate(seconds.readers)
        },
        "ratios": {
            arm: _exponential(crossed_mean(logged.difference(arm, reference)).mean).to_json()
            for arm in seconds.arms
            if arm != reference
        },
    }


def _exponential(found: Estimate) -> Estimate:
    value, low, high = (None if one is None else float(np.exp(one)) for one in (found.value, found.low, found.high))
    return Estimate(value, low, high, found.n, found.note)
