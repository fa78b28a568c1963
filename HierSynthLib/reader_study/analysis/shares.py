"""Shares of yes and no: Wilson's interval for one reader, and for all readers with their clustering."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from HierSynthLib.fidelity.cohort.statistics import CONFIDENCE, Estimate
from HierSynthLib.reader_study.analysis.crossed import crossed_mean

Values = NDArray[np.float64]

NORMAL_QUANTILE = float(stats.norm.ppf((1 + CONFIDENCE) / 2))


def wilson_interval(share: float, n: float, quantile: float = NORMAL_QUANTILE) -> tuple[float, float]:
    """Wilson's score interval.

    Args:
        share: 0–1.
        n: answers; an effective number need not be whole.
        quantile: of the normal distribution, or of t where the variance was estimated with few degrees of freedom.

    Source: Wilson, J Am Stat Assoc 1927;22:209; Newcombe, Stat Med 1998;17:857, method 3.
    """
    square = quantile**2
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = quantile * math.sqrt(share * (1 - share) / n + square / (4 * n**2)) / (1 + square / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def share_of(answers: Values) -> Estimate:
    """Share of ones with Wilson's interval, every answer independent: right for one reader.

    Args:
        answers: 0 or 1, NaN where missing.
    """
    known = answers[np.isfinite(answers)]
    if not known.size:
        return Estimate(None, note="There is no answer.")
    share = float(known.mean())
    return Estimate(share, *wilson_interval(share, known.size), known.size)


def clustered_share(table: Values) -> Estimate:
    """Share of ones over readers and cases, with Wilson's interval for the effective number of answers.

    The number of answers is divided by the design effect: the variance of the mean with random readers and random
    cases (`crossed_mean`) over that of independent answers, at least 1; the quantile is that of t with its degrees of
    freedom. Where that cannot be estimated (all answers the same, few cases), a case counts as one answer.

    Args:
        table: (cases, readers) of 0 and 1, NaN where missing.

    Source: Korn & Graubard, Surv Methodol 1998;24:193 (effective number, t); Dean & Pagano, J Surv Stat Methodol
    2015;3:484 (Wilson with it).
    """
    known = np.isfinite(table)
    n = int(known.sum())
    if not n:
        return Estimate(None, note="There is no answer.")
    share = float(table[known].mean())
    found = crossed_mean(table)
    if share in (0.0, 1.0) or found.standard_error is None or found.freedom is None:
        cases = int(known.any(axis=1).sum())
        note = "Too few different answers or cases to count the clustering; the interval counts one answer per case."
        return Estimate(share, *wilson_interval(share, cases), n, note)
    effect = max(1.0, found.standard_error**2 * n / (share * (1 - share)))
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, found.freedom))
    return Estimate(share, *wilson_interval(share, n / effect, quantile), n)
