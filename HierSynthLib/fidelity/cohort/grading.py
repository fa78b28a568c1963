"""Grading across patients: ROC curve, AUC with DeLong's interval and test, agreement at a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from HierSynthLib.fidelity.cohort.statistics import CONFIDENCE, Column, Estimate

Values = NDArray[np.float64]

# The variance of an AUC needs two patients in each group; fewer than this make its normal interval misleading.
FEWEST_PER_GRADE = 4
FEWEST_FOR_KAPPA = 5

# An AUC without variance is 1, 0, or 0.5 of ties only.
_STANDING = {
    1.0: "The grades are told apart completely",
    0.0: "The grades are told apart completely, but reversed: every high-grade patient has the lower value",
}
_ALIKE = "All patients have the same value"


@dataclass(frozen=True)
class Roc:
    """How well a value tells high-grade from low-grade patients.

    Attributes:
        auc: area under the curve with DeLong's interval, cut at 0 and 1.
        high, low: numbers of patients.
        curve: (false-positive rate, true-positive rate) from (0, 0) to (1, 1), the threshold falling.
    """

    auc: Estimate
    high: int
    low: int
    curve: tuple[tuple[float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


@dataclass(frozen=True)
class AucTest:
    """DeLong's test of two AUCs of the same patients: difference (first − second), z and two-sided p."""

    n: int
    difference: float | None = None
    z: float | None = None
    p: float | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


@dataclass(frozen=True)
class Kappa:
    """Whether two maps put the same patients above a threshold.

    Attributes:
        kappa: Cohen's kappa with the interval of its large-sample standard error.
        agreement: share of patients on the same side.
        counts: {"both", "first", "second", "neither"}: patients above the threshold in both maps, one, or none.
    """

    kappa: Estimate
    agreement: float | None
    counts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


def roc(values: Column, is_high: Sequence[bool]) -> Roc:
    """ROC of a value that is expected to be larger in high-grade patients.

    Args:
        values: one per patient; patients without one are left out.
        is_high: whether the patient is of high grade.

    Source: DeLong, DeLong & Clarke-Pearson, Biometrics 1988;44:837.
    """
    high, low = _groups(values, is_high)
    counts = high.size, low.size
    if min(counts) < FEWEST_PER_GRADE:
        return Roc(Estimate(None, n=sum(counts), note=_too_few(*counts)), *counts)
    by_high, by_low = placements(high, low)
    auc = float(by_high.mean())
    variance = float(by_high.var(ddof=1) / high.size + by_low.var(ddof=1) / low.size)
    if variance == 0:
        note = f"{_STANDING.get(auc, _ALIKE)}, and DeLong's interval then has no width."
        return Roc(Estimate(auc, n=sum(counts), note=note), *counts, _curve(high, low))
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    return Roc(Estimate(auc, max(0.0, auc - half), min(1.0, auc + half), sum(counts)), *counts, _curve(high, low))


def compare_auc(first: Column, second: Column, is_high: Sequence[bool]) -> AucTest:
    """DeLong's test between two values of the same patients; patients with only one of them are left out."""
    one, other = np.array(first, dtype=np.float64), np.array(second, dtype=np.float64)
    both = np.isfinite(one) & np.isfinite(other)
    grades = np.asarray(is_high, dtype=bool)[both]
    high, low = (np.column_stack([one[both][part], other[both][part]]) for part in (grades, ~grades))
    n = len(high) + len(low)
    if min(len(high), len(low)) < FEWEST_PER_GRADE:
        return AucTest(n, note=_too_few(len(high), len(low)))
    aucs, covariance = delong_covariance(high, low)
    difference = float(aucs[0] - aucs[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 1e-12:
        return AucTest(n, difference, note="Both maps rank the patients alike, so there is nothing to test.")
    z = difference / math.sqrt(variance)
    return AucTest(n, difference, z, float(2 * stats.norm.sf(abs(z))))


def delong_covariance(high: Values, low: Values) -> tuple[Values, Values]:
    """AUCs of several values of the same patients, and their covariance.

    Args:
        high: (high-grade patients, k values).
        low: (low-grade patients, k).

    Returns:
        (k,) AUCs and (k, k) covariance.

    Source: DeLong, DeLong & Clarke-Pearson, Biometrics 1988;44:837.
    """
    pairs = [placements(high[:, one], low[:, one]) for one in range(high.shape[1])]
    by_high, by_low = (np.stack([pair[group] for pair in pairs]) for group in (0, 1))
    covariance = np.atleast_2d(np.cov(by_high)) / len(high) + np.atleast_2d(np.cov(by_low)) / len(low)
    return by_high.mean(axis=1), covariance


def threshold_agreement(first: Column, second: Column, threshold: float) -> Kappa:
    """Cohen's kappa of "at least `threshold`" in two maps.

    Source: Cohen, Educ Psychol Meas 1960;20:37, with SE² = pₒ(1 − pₒ) / (n(1 − pₑ)²).
    """
    one, other = np.array(first, dtype=np.float64), np.array(second, dtype=np.float64)
    both = np.isfinite(one) & np.isfinite(other)
    above, also = one[both] >= threshold, other[both] >= threshold
    n = int(both.sum())
    counts = {
        "both": int((above & also).sum()),
        "first": int((above & ~also).sum()),
        "second": int((~above & also).sum()),
        "neither": int((~above & ~also).sum()),
    }
    if n < FEWEST_FOR_KAPPA:
        note = f"{n} patient{'' if n == 1 else 's'}: too few for kappa, which needs at least {FEWEST_FOR_KAPPA}."
        return Kappa(Estimate(None, n=n, note=note), None, counts)
    observed = float((above == also).mean())
    expected = float(above.mean() * also.mean() + (1 - above.mean()) * (1 - also.mean()))
    if expected == 1:
        note = "All patients are on the same side of the threshold in both maps, so kappa does not exist."
        return Kappa(Estimate(None, n=n, note=note), observed, counts)
    value = (observed - expected) / (1 - expected)
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(observed * (1 - observed) / n) / (1 - expected)
    if half == 0:
        note = "All patients agree, and the large-sample interval then has no width."
        return Kappa(Estimate(value, n=n, note=note), observed, counts)
    return Kappa(Estimate(value, max(-1.0, value - half), min(1.0, value + half), n), observed, counts)


def _groups(values: Column, is_high: Sequence[bool]) -> tuple[Values, Values]:
    array, grades = np.array(values, dtype=np.float64), np.asarray(is_high, dtype=bool)
    known = np.isfinite(array)
    return array[known & grades], array[known & ~grades]


def placements(high: Values, low: Values) -> tuple[Values, Values]:
    """For each high-grade patient the share of low-grade ones below it, and the other way round; ties count half."""
    both = stats.rankdata(np.concatenate([high, low]))
    by_high = (both[: high.size] - stats.rankdata(high)) / low.size
    by_low = 1 - (both[high.size :] - stats.rankdata(low)) / high.size
    return by_high, by_low


def _curve(high: Values, low: Values) -> tuple[tuple[float, float], ...]:
    thresholds = np.unique(np.concatenate([high, low]))[::-1]
    points = [(float((low >= t).mean()), float((high >= t).mean())) for t in thresholds]
    return ((0.0, 0.0), *points)


def _too_few(high: int, low: int) -> str:
    return (
        f"{high} high-grade and {low} low-grade patients: too few for an ROC curve, "
        f"which needs at least {FEWEST_PER_GRADE} of each."
    )
