"""Krippendorff's alpha for any number of readers, missing ratings and levels of measurement."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.cohort.statistics import FEWEST_FOR_AGREEMENT, Estimate
from HierSynthLib.reader_study.analysis.chance import ALL_ALIKE
from HierSynthLib.reader_study.analysis.resampling import case_bootstrap

Values = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]

_NOTHING = 1e-12


def krippendorff_alpha(table: Values, level: Level) -> Estimate:
    """Alpha = 1 − observed / expected disagreement, with the interval of a bootstrap over cases.

    Args:
        table: (cases, readers), NaN where a rating is missing; cases with one rating are left out.
        level: of measurement; decides how far two ratings are apart.

    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability, University of Pennsylvania, 2011.
    """
    table = table[np.isfinite(table).sum(axis=1) > 1]
    n = len(table)
    if n < FEWEST_FOR_AGREEMENT:
        note = f"{n} cases with two ratings or more: too few for alpha, which needs {FEWEST_FOR_AGREEMENT}."
        return Estimate(None, n=n, note=note)
    if level == "interval":
        parts, statistic = _moments(table), _interval_alpha
    else:
        categories = np.unique(table[np.isfinite(table)])
        parts, statistic = _coincidences(table, categories), partial(_table_alpha, q=len(categories), level=level)
    value = float(statistic(parts.sum(axis=0)[None])[0])
    if not math.isfinite(value):
        return Estimate(None, n=n, note=ALL_ALIKE)
    return case_bootstrap(value, parts, statistic)


def _moments(table: Values) -> Values:
    """(cases, 4): ratings, their sum and sum of squares, and Σ of the products of each pair / (ratings − 1)."""
    known = np.isfinite(table)
    values = np.where(known, table - table[known].mean(), 0.0)
    count, total, squares = known.sum(axis=1), values.sum(axis=1), (values**2).sum(axis=1)
    return np.column_stack([count, total, squares, (total**2 - squares) / (count - 1)])


def _interval_alpha(sums: Values) -> Values:
    """(k, 4) sums of moments → (k,); δ² = (a − b)², multiplied out so that no table of all values is needed."""
    n, total, squares, products = sums.T
    return _one_minus((squares - products) / n, (n * squares - total**2) / (n * (n - 1)))


def _coincidences(table: Values, categories: Values) -> Values:
    """(cases, q²): pairs of values within each case, each pair weighing 1 / (ratings − 1)."""
    counts = (table[:, :, None] == categories).sum(axis=1).astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(len(categories))
    pairs[:, diagonal, diagonal] -= counts
    found: Values = (pairs / (counts.sum(axis=1) - 1)[:, None, None]).reshape(len(table), -1)
    return found


def _table_alpha(coincidences: Values, q: int, level: Level) -> Values:
    """(k, q²) sums of coincidences → (k,)."""
    tables = coincidences.reshape(-1, q, q)
    margins = tables.sum(axis=2)
    if level == "nominal":
        distances = 1 - np.eye(q)[None]
    else:  # Σ of the margins from one category to the other, both ends half: a difference of mid-ranks
        places = np.cumsum(margins, axis=1) - margins / 2
        distances = (places[:, :, None] - places[:, None, :]) ** 2
    n = margins.sum(axis=1)
    observed = (tables * distances).sum(axis=(1, 2)) / n
    expected = (margins[:, :, None] * margins[:, None, :] * distances).sum(axis=(1, 2)) / (n * (n - 1))
    return _one_minus(observed, expected)


def _one_minus(observed: Values, expected: Values) -> Values:
    found: Values = 1 - np.divide(observed, expected, out=np.full(len(observed), np.nan), where=expected > _NOTHING)
    return found
