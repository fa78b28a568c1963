"""Agreement of any number of readers on categories: per cent, Fleiss' kappa, Gwet's AC1 and AC2; ratings may miss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from HierSynthLib.fidelity.cohort.statistics import CONFIDENCE, FEWEST_FOR_AGREEMENT, Estimate

Values = NDArray[np.float64]
Weighting = Literal["identity", "linear", "quadratic"]

_POWER = {"linear": 1, "quadratic": 2}
ALL_ALIKE = "All ratings are the same, so there is no agreement beyond chance to measure."


def agreement_weights(categories: Sequence[float], kind: Weighting) -> Values:
    """How much two categories agree, 1 on the diagonal.

    Args:
        categories: (q,) their values, q ≥ 2; for "identity" only their number counts.
        kind: "identity" (only the same category agrees), or 1 − (|a − b| / range)ᵖ with p = 1 ("linear") or 2
            ("quadratic").

    Returns:
        (q, q), 0–1.

    Source: Cohen, Psychol Bull 1968;70:213; Gwet, Handbook of Inter-Rater Reliability, 4th ed. 2014, ch. 3.
    """
    if kind == "identity":
        return np.eye(len(categories))
    values = np.asarray(categories, dtype=np.float64)
    distance = np.abs(values[:, None] - values[None, :])
    found: Values = 1 - (distance / distance.max()) ** _POWER[kind]
    return found


def counts_of(table: Values, categories: Sequence[float]) -> Values:
    """How many readers put a case into a category.

    Args:
        table: (cases, readers), NaN where a rating is missing.
        categories: (q,).

    Returns:
        (cases, q).

    Raises:
        ValueError: a rating is none of the categories.
    """
    counts: Values = (table[:, :, None] == np.asarray(categories, dtype=np.float64)).sum(axis=1).astype(np.float64)
    if counts.sum() != np.isfinite(table).sum():
        raise ValueError("A rating is none of the categories.")
    return counts


def percent_agreement(table: Values, categories: Sequence[float], kind: Weighting) -> Estimate:
    """Share of pairs of readers that agree on a case, averaged over cases (0–1); with weights, near categories count.

    Args:
        table: (cases, readers), NaN where a rating is missing; cases with one rating are left out.
        categories: (q,) all that could be chosen.
        kind: see `agreement_weights`.

    Source: Gwet 2014, ch. 2 (with the variance between cases).
    """
    return _coefficient(table, categories, kind, None)


def fleiss_kappa(table: Values, categories: Sequence[float], kind: Weighting = "identity") -> Estimate:
    """Fleiss' kappa, for missing ratings and weights as generalised by Gwet.

    Args:
        table: as in `percent_agreement`.
        categories: (q,).
        kind: see `agreement_weights`.

    Source: Fleiss, Psychol Bull 1971;76:378; Gwet 2014, ch. 2–3 and 5 (variance, t interval over cases).
    """
    return _coefficient(table, categories, kind, "fleiss")


def gwet_ac(table: Values, categories: Sequence[float], kind: Weighting = "identity") -> Estimate:
    """Gwet's AC1 (identity weights) or AC2 (others): chance agreement that does not grow with skew.

    Args:
        table: as in `percent_agreement`.
        categories: (q,) all that could be chosen, used or not: chance agreement depends on their number.
        kind: see `agreement_weights`.

    Source: Gwet, Br J Math Stat Psychol 2008;61:29; Gwet 2014, ch. 5 (missing ratings, weights, variance, t interval).
    """
    return _coefficient(table, categories, kind, "gwet")


def _coefficient(table: Values, categories: Sequence[float], kind: Weighting, chance: str | None) -> Estimate:
    """(pₐ − pₑ) / (1 − pₑ) with the variance of its linearisation over cases."""
    counts = counts_of(table, categories)
    counts = counts[counts.sum(axis=1) > 0]
    raters = counts.sum(axis=1)
    several = raters > 1
    n, pairs = len(counts), int(several.sum())
    if pairs < FEWEST_FOR_AGREEMENT:
        note = f"{pairs} cases with two ratings or more: too few for agreement, which needs {FEWEST_FOR_AGREEMENT}."
        return Estimate(None, n=pairs, note=note)
    weights = agreement_weights(categories, kind)
    observed = np.zeros(n)
    some = counts[several]
    possible = raters[several] * (raters[several] - 1)
    observed[several] = (some * (some @ weights - 1)).sum(axis=1) / possible * (n / pairs)
    expected, by_case = _expected(counts / raters[:, None], weights, chance)
    if expected >= 1 - 1e-12:
        return Estimate(None, n=n, note=ALL_ALIKE)
    value = float(observed.mean() - expected) / (1 - expected)
    own = (observed - expected * several * (n / pairs)) / (1 - expected)
    linear = own - 2 * (1 - value) * (by_case - expected) / (1 - expected)
    variance = float(((linear - value) ** 2).sum()) / (n * (n - 1))
    if variance <= 0:
        return Estimate(value, n=n, note="All cases agree alike, so there is no interval.")
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * math.sqrt(variance)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), n)


def _expected(shares: Values, weights: Values, chance: str | None) -> tuple[float, Values]:
    """Agreement by chance, and what each case contributes to it."""
    if chance is None:
        return 0.0, np.zeros(len(shares))
    mean = shares.mean(axis=0)
    if chance == "fleiss":
        return float(mean @ weights @ mean), shares @ (weights @ mean)
    q = len(weights)
    factor = float(weights.sum()) / (q * (q - 1))
    return factor * float((mean * (1 - mean)).sum()), factor * (shares * (1 - mean)).sum(axis=1)
