"""Kappa of two readers, weighted for ordered categories, and its mean over all pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.cohort.statistics import FEWEST_FOR_AGREEMENT, Estimate, paired
from HierSynthLib.reader_study.analysis.chance import ALL_ALIKE, Weighting, agreement_weights
from HierSynthLib.reader_study.analysis.resampling import case_bootstrap
from HierSynthLib.reader_study.analysis.shares import NORMAL_QUANTILE

Values = NDArray[np.float64]


def weighted_kappa(first: Values, second: Values, categories: Sequence[float], kind: Weighting) -> Estimate:
    """Kappa of two readers (or of two readings) with the interval of its large-sample standard error.

    Args:
        first: (cases,), NaN where a rating is missing.
        second: (cases,).
        categories: (q,) all that could be chosen.
        kind: "identity" for Cohen's kappa of 1960, "linear" or "quadratic".

    Source: Cohen, Psychol Bull 1968;70:213; standard error: Fleiss, Cohen & Everitt, Psychol Bull 1969;72:323.
    """
    one, other = paired(first, second)
    n = one.size
    if n < FEWEST_FOR_AGREEMENT:
        note = f"{n} cases that both rated: too few for kappa, which needs at least {FEWEST_FOR_AGREEMENT}."
        return Estimate(None, n=n, note=note)
    weights = agreement_weights(categories, kind)
    sums = _parts(one[:, None], other[:, None], categories, weights).sum(axis=0)[None]
    value = float(_kappas(sums, weights)[0, 0])
    if not math.isfinite(value):
        return Estimate(None, n=n, note=ALL_ALIKE)
    half = NORMAL_QUANTILE * _standard_error(value, one, other, categories, weights)
    if half < 1e-9:
        return Estimate(value, n=n, note="The large-sample interval has no width with these ratings.")
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), n)


def mean_kappa(table: Values, categories: Sequence[float], kind: Weighting) -> Estimate:
    """Mean of the kappas of all pairs of readers for which it exists, with the interval of a bootstrap over cases.

    Args:
        table: (cases, readers), NaN where a rating is missing.
        categories: (q,).
        kind: see `weighted_kappa`.

    Source: Light, Psychol Bull 1971;76:365 (mean over pairs).
    """
    pairs = list(combinations(range(table.shape[1]), 2))
    if not pairs or len(table) < FEWEST_FOR_AGREEMENT:
        return Estimate(None, n=len(table), note="Too few readers or cases for a mean kappa.")
    weights = agreement_weights(categories, kind)
    one, other = np.array(pairs).T
    parts = _parts(table[:, one], table[:, other], categories, weights)

    def mean_over_pairs(sums: Values) -> Values:
        kappas = _kappas(sums, weights)
        there = np.isfinite(kappas)
        count = there.sum(axis=1)
        total = np.where(there, kappas, 0.0).sum(axis=1)
        means: Values = np.divide(total, count, out=np.full(len(sums), np.nan), where=count > 0)
        return means

    value = float(mean_over_pairs(parts.sum(axis=0)[None])[0])
    if not math.isfinite(value):
        return Estimate(None, n=len(table), note=ALL_ALIKE)
    return case_bootstrap(value, parts, mean_over_pairs)


def _parts(first: Values, second: Values, categories: Sequence[float], weights: Values) -> Values:
    """What each case adds to the kappas of pairs of readers.

    Returns:
        (cases, pairs · (1 + 2q)): for each pair the weight of its two ratings, and the category of each; zeros where
        one is missing.
    """
    both = (np.isfinite(first) & np.isfinite(second))[..., None]
    values = np.asarray(categories, dtype=np.float64)
    one, other = (first[..., None] == values) & both, (second[..., None] == values) & both
    agreed = ((one @ weights) * other).sum(axis=-1, keepdims=True)
    found: Values = np.concatenate([agreed, one, other], axis=-1).reshape(len(first), -1)
    return found


def _kappas(sums: Values, weights: Values) -> Values:
    """(k, pairs · (1 + 2q)) sums of parts → (k, pairs); NaN where kappa does not exist."""
    q = len(weights)
    pairs = sums.reshape(len(sums), -1, 1 + 2 * q)
    rows, columns = pairs[..., 1 : 1 + q], pairs[..., 1 + q :]
    n = rows.sum(axis=-1)
    some = np.where(n > 0, n, np.nan)
    observed = pairs[..., 0] / some
    expected = ((rows @ weights) * columns).sum(axis=-1) / some**2
    beyond = 1 - expected
    found: Values = np.divide(observed - expected, beyond, out=np.full_like(observed, np.nan), where=beyond > 1e-12)
    return found


def _standard_error(kappa: float, first: Values, second: Values, categories: Sequence[float], weights: Values) -> float:
    values = np.asarray(categories, dtype=np.float64)
    shares = (first[:, None] == values).astype(np.float64).T @ (second[:, None] == values) / first.size
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    expected = float(rows @ weights @ columns)
    mean = (weights @ columns)[:, None] + (rows @ weights)[None, :]
    square = float((shares * (weights - mean * (1 - kappa)) ** 2).sum()) - (kappa - expected * (1 - kappa)) ** 2
    return math.sqrt(max(square, 0.0) / first.size) / (1 - expected)
