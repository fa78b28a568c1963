"""Shares of yes and no: Wilson's interval for one reader, and for all readers with their clustering."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def clustered_share(*groups: Values) -> Estimate:
    """Share of ones over readers and cases, with Wilson's interval for the effective number of answers.

    With several groups it is the mean of their shares, each group weighing the same however many answers it has: the
    share correct among synthetic maps and that among acquired ones make the balanced accuracy. All answers of a reader
    to a case keep together, whatever their group or arm, because a hard case is hard in every arm.

    The effective number is share · (1 − share) over the variance of the share with random readers and random cases
    (`crossed_mean` of the linearised answers), but no more than the number of answers; the quantile is that of t with
    its degrees of freedom. Where that cannot be estimated (all answers the same, few cases), a case counts as one
    answer.

    Args:
        groups: (cases, readers) or (arms, cases, readers) of 0 and 1, NaN where missing; the same cases and readers.

    Returns:
        n is the number of answers; no value where a group has no answer.

    Source: Korn & Graubard, Surv Methodol 1998;24:193 (effective number, t); Dean & Pagano, J Surv Stat Methodol
    2015;3:484 (Wilson with it); linearised ratios: Särndal, Swensson & Wretman, Model Assisted Survey Sampling, 1992,
    ch. 5; balanced accuracy: Brodersen et al., Proc ICPR 2010;3121.
    """
    tables = [table.reshape(-1, *table.shape[-2:]) for table in groups]
    counts = [int(np.isfinite(table).sum()) for table in tables]
    if not counts or not all(counts):
        return Estimate(None, note="There is no answer." if not any(counts) else "One of the two kinds has no answer.")
    share, cells = _linearised(tables, counts)
    most = len(counts) ** 2 / sum(1 / count for count in counts)  # what answers that are all independent are worth
    found = crossed_mean(cells)
    if share in (0.0, 1.0) or found.standard_error is None or found.freedom is None:
        cases = int(np.isfinite(cells).any(axis=1).sum())
        note = "Too few different answers or cases to count the clustering; the interval counts one answer per case."
        return Estimate(share, *wilson_interval(share, cases), sum(counts), note)
    effective = min(most, share * (1 - share) / found.standard_error**2)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, found.freedom))
    return Estimate(share, *wilson_interval(share, effective, quantile), sum(counts))


def _linearised(tables: Sequence[Values], counts: Sequence[int]) -> tuple[float, Values]:
    """Mean of the groups' shares, and a (cases, readers) table that has it as mean and its variance.

    A cell is the share plus what its answers add to it, times the number of cells. Where every reader gave one answer
    per case and group, it is the mean of the cell's answers.
    """
    shares = [float(table[np.isfinite(table)].mean()) for table in tables]
    value = float(np.mean(shares))
    added = np.zeros(tables[0].shape[1:])
    for table, share, count in zip(tables, shares, counts, strict=True):
        added += np.where(np.isfinite(table), table - share, 0.0).sum(axis=0) / (count * len(tables))
    known = np.concatenate([np.isfinite(table) for table in tables]).any(axis=0)
    return value, np.where(known, value + known.sum() * added, np.nan)
