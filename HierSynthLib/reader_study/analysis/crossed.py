"""Means over readers and cases that both stand for others: the interval counts the scatter of both."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from HierSynthLib.fidelity.cohort.statistics import CONFIDENCE, FEWEST_FOR_AGREEMENT, Estimate

Values = NDArray[np.float64]

# Of the variance; less is rounding.
_NOTHING = 1e-15


@dataclass(frozen=True)
class CrossedMean:
    """Mean of a crossed table of readers and cases.

    Attributes:
        mean: with its 95 % interval; n is the number of cases.
        standard_error: None where it cannot be estimated.
        freedom: degrees of freedom of the t interval.
        values: how many there are.
    """

    mean: Estimate
    standard_error: float | None
    freedom: float | None
    values: int


def crossed_mean(table: Values) -> CrossedMean:
    """Mean of x = μ + reader + case + rest, readers and cases random, with Satterthwaite's t interval.

    The variance of the mean is that between readers plus that between cases minus the rest, which both contain; where
    one of the first two is no larger than the rest, it is left out with the rest. In a complete table these are
    MS_readers, MS_cases and MS_rest over (readers · cases). With one reader the interval speaks of that reader only.

    Args:
        table: (cases, readers), NaN where a value is missing.

    Source: Searle, Casella & McCulloch, Variance Components, 1992, ch. 4 (complete table); Cameron, Gelbach & Miller,
    J Bus Econ Stat 2011;29:238 (sums over clusters where values are missing); Satterthwaite, Biometrics Bull
    1946;2:110.
    """
    known = np.isfinite(table)
    used = np.ix_(known.any(axis=1), known.any(axis=0))
    table, known = table[used], known[used]
    n, cases = int(known.sum()), len(table)
    if not n:
        return CrossedMean(Estimate(None, n=0, note="There is no value."), None, None, 0)
    mean = float(table[known].mean())
    if cases < FEWEST_FOR_AGREEMENT:
        note = f"{cases} cases: too few for an interval, which needs at least {FEWEST_FOR_AGREEMENT}."
        return CrossedMean(Estimate(mean, n=cases, note=note), None, None, n)
    parts = _parts(np.where(known, table - mean, 0.0), known)
    variance = sum(part for part, _ in parts)
    if variance <= _NOTHING:
        note = "All values are the same, so there is no interval."
        return CrossedMean(Estimate(mean, n=cases, note=note), None, None, n)
    freedom = variance**2 / sum(part**2 / df for part, df in parts)
    error = math.sqrt(variance)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return CrossedMean(Estimate(mean, mean - half, mean + half, cases), error, freedom, n)


def _parts(centred: Values, known: NDArray[np.bool_]) -> list[tuple[float, int]]:
    """What adds up to the variance of the mean, each part with its degrees of freedom."""
    cases, readers = known.shape
    n = int(known.sum())

    def between(sums: Values, clusters: int) -> float:
        return float((sums**2).sum()) / n**2 * clusters / (clusters - 1)

    of_cases = between(centred.sum(axis=1), cases)
    if readers == 1:
        return [(of_cases, cases - 1)]
    of_readers = between(centred.sum(axis=0), readers)
    square, freedom = _rest(centred, known)
    if freedom < 1:  # every case has one reader: what is between cases and what is left cannot be told apart
        return [max((of_readers, readers - 1), (of_cases, cases - 1))]
    rest = square / n
    if of_readers > rest and of_cases > rest:
        return [(of_readers, readers - 1), (of_cases, cases - 1), (-rest, freedom)]
    if of_readers > rest:
        return [(of_readers, readers - 1)]
    return [(of_cases, cases - 1)] if of_cases > rest else [(rest, freedom)]


def _rest(centred: Values, known: NDArray[np.bool_]) -> tuple[float, int]:
    """Mean square around the least-squares fit of case + reader, and its degrees of freedom."""
    per_case = known.sum(axis=1)
    within = np.where(known, centred - (centred.sum(axis=1) / per_case)[:, None], 0.0)
    shares = known / per_case[:, None]
    normal = np.diag(known.sum(axis=0).astype(np.float64)) - known.T.astype(np.float64) @ shares
    right = within.sum(axis=0)
    effects, _, rank, _ = np.linalg.lstsq(normal, right, rcond=1e-9)
    freedom = int(known.sum()) - len(known) - int(rank)
    if freedom < 1:
        return 0.0, freedom
    return max(0.0, float((within**2).sum()) - float(effects @ right)) / freedom, freedom
