"""Resampling of cases and readers, and sign flips of cases; the same study gives the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.cohort.statistics import CONFIDENCE, FEWEST_FOR_BOOTSTRAP, Estimate

Values = NDArray[np.float64]

RESAMPLES = 2000
"""Of a bootstrap (design value)."""

FLIPS = 9999
"""Random sign flips where all of them would be more (design value)."""

_SEED = 20261
# Up to 2¹³ sign patterns are all tried, so that the p of few cases is exact.
_ALL_PATTERNS_UP_TO = 13
# More resamples than this without the statistic, and the others no longer stand for all.
_MOST_LOST = 0.05
# Numbers held at once while many coincidence tables are resampled.
_BLOCK = 4_000_000


@lru_cache(maxsize=8)
def weights(units: int, *, salt: int = 0, resamples: int = RESAMPLES) -> Values:
    """How often each unit was drawn, with replacement, in each resample.

    Args:
        units: cases or readers.
        salt: another value gives other draws, for a second factor.
        resamples: how many.

    Returns:
        (resamples, units), read-only: many statistics of a study take the same draws.
    """
    generator = np.random.default_rng([_SEED, salt])
    drawn = generator.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


def case_bootstrap(value: float, parts: Values, statistic: Callable[[Values], Values]) -> Estimate:
    """Percentile interval of a statistic of sums over cases; cases are resampled, readers stay.

    Args:
        value: the statistic of all cases.
        parts: (cases, m) what each case contributes.
        statistic: (resamples, m) sums → (resamples,), NaN where it does not exist.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.
    """
    n, width = parts.shape
    if n < FEWEST_FOR_BOOTSTRAP:
        return Estimate(value, n=n, note=f"{n} cases: too few for an interval, which needs {FEWEST_FOR_BOOTSTRAP}.")
    drawn = weights(n)
    step = max(1, _BLOCK // max(1, width))
    found = [statistic(drawn[start : start + step] @ parts) for start in range(0, len(drawn), step)]
    return percentile_interval(value, np.concatenate(found), n)


def percentile_interval(value: float, resampled: Values, n: int) -> Estimate:
    """The middle 95 % of the resampled statistics; without interval where too many do not exist or all are the same."""
    known = resampled[np.isfinite(resampled)]
    if known.size < (1 - _MOST_LOST) * resampled.size:
        return Estimate(value, n=n, note="The statistic does not exist in many resamples, so there is no interval.")
    if not np.ptp(known):
        return Estimate(value, n=n, note="All resamples give the same value, so there is no interval.")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), n)


def two_way_means(table: Values) -> Values:
    """Means of resampled tables: readers and cases are each drawn with replacement, and a cell counts as both say.

    Args:
        table: (cases, readers), NaN where a value is missing.

    Returns:
        (resamples,), NaN where no value was drawn.

    Source: Owen, Ann Appl Stat 2007;1:386 ("pigeonhole bootstrap"; mildly conservative).
    """
    cases, readers = table.shape
    known = np.isfinite(table)
    by_case, by_reader = weights(cases), weights(readers, salt=1)
    sums = ((by_case @ np.where(known, table, 0.0)) * by_reader).sum(axis=1)
    counts = ((by_case @ known.astype(np.float64)) * by_reader).sum(axis=1)
    means: Values = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return means


def sign_flip_p(sums: Values) -> float | None:
    """Two-sided p of "each case's sum is as likely to have the other sign", for the total of the sums.

    All ratings of a case keep together, so readers who saw the same case need not be independent. With 13 cases or
    fewer all sign patterns are tried; else 9999 random ones, and p = (1 + as extreme) / (1 + 9999).

    Args:
        sums: (cases,), one per case; zeros say nothing.

    Returns:
        None where no sum differs from zero.

    Source: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 3rd ed. 2005; the added one: Phipson &
    Smyth, Stat Appl Genet Mol Biol 2010;9:39.
    """
    moved = sums[sums != 0]
    if not moved.size:
        return None
    total = abs(float(moved.sum())) * (1 - 1e-12)
    if moved.size <= _ALL_PATTERNS_UP_TO:
        bits = (np.arange(2**moved.size)[:, None] >> np.arange(moved.size)) & 1
        return float((np.abs((2.0 * bits - 1) @ moved) >= total).mean())
    generator = np.random.default_rng([_SEED, 2])
    signs = generator.integers(0, 2, size=(FLIPS, moved.size), dtype=np.int8)
    extreme = np.abs((2.0 * signs - 1) @ moved) >= total
    return float((1 + extreme.sum()) / (1 + FLIPS))
