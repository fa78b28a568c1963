"""How far the readers agree on an item: every coefficient together, because each misleads alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.cohort.statistics import Estimate, icc_of_table
from HierSynthLib.reader_study.analysis.alpha import krippendorff_alpha
from HierSynthLib.reader_study.analysis.chance import Weighting, fleiss_kappa, gwet_ac, percent_agreement
from HierSynthLib.reader_study.analysis.kappa import mean_kappa, weighted_kappa

Values = NDArray[np.float64]

CAVEAT = (
    "Read these coefficients together. Where nearly all ratings fall into one or two categories, kappa and alpha drop "
    "towards 0 (or below) although the readers agree on most cases, because they count such agreement as chance; "
    "per cent agreement and Gwet's AC do not drop, but per cent agreement also counts what chance alone would give. "
    "The ICC needs cases that differ."
)

MOST_CATEGORIES = 11
"""Coefficients of categories are not computed for finer scales, such as 0–100 (design value)."""

# More than this share of all ratings in one category, and the caveat is repeated beside the item (design value).
_SKEWED = 0.75


def ordinal_agreement(table: Values, categories: Sequence[float], readers: Sequence[str]) -> dict[str, Any]:
    """All coefficients for ordered categories.

    Args:
        table: (cases, readers), NaN where a rating is missing.
        categories: all that could be chosen, ascending.
        readers: study codes.

    Returns:
        "coefficients": name → estimate; "pairs": kappas of every pair of readers; "skew": share of the most frequent
        category, and "note" where that is large.
    """
    found = {
        "percent": percent_agreement(table, categories, "identity"),
        "percent_weighted": percent_agreement(table, categories, "quadratic"),
        "kappa_linear": mean_kappa(table, categories, "linear"),
        "kappa_quadratic": mean_kappa(table, categories, "quadratic"),
        "fleiss": fleiss_kappa(table, categories),
        "ac1": gwet_ac(table, categories),
        "ac2": gwet_ac(table, categories, "quadratic"),
        "alpha_nominal": krippendorff_alpha(table, "nominal"),
        "alpha_ordinal": krippendorff_alpha(table, "ordinal"),
        "alpha_interval": krippendorff_alpha(table, "interval"),
        "icc": icc_of_complete(table),
    }
    return _described(found, pair_kappas(table, categories, readers, ("linear", "quadratic")), table)


def nominal_agreement(table: Values, categories: Sequence[float], readers: Sequence[str]) -> dict[str, Any]:
    """All coefficients for categories without order, such as a diagnosis or a flag; as `ordinal_agreement`."""
    found = {
        "percent": percent_agreement(table, categories, "identity"),
        "kappa": mean_kappa(table, categories, "identity"),
        "fleiss": fleiss_kappa(table, categories),
        "ac1": gwet_ac(table, categories),
        "alpha_nominal": krippendorff_alpha(table, "nominal"),
    }
    return _described(found, pair_kappas(table, categories, readers, ("identity",)), table)


def scale_agreement(table: Values) -> dict[str, Any]:
    """The coefficients for a fine scale, such as 0–100, or a measurement; as `ordinal_agreement`."""
    found = {"alpha_interval": krippendorff_alpha(table, "interval"), "icc": icc_of_complete(table)}
    return {"coefficients": _json(found), "pairs": [], "skew": None, "note": ""}


def icc_of_complete(table: Values) -> Estimate:
    """ICC(2,1) of the cases that every reader rated."""
    if table.shape[1] < 2:
        return Estimate(None, note="One reader only, so there is no ICC between readers.")
    return icc_of_table(table[np.isfinite(table).all(axis=1)])


def pair_kappas(
    table: Values, categories: Sequence[float], readers: Sequence[str], kinds: Sequence[Weighting]
) -> list[dict[str, Any]]:
    """Kappa of every pair of readers and each weighting."""
    return [
        {"first": readers[one], "second": readers[other]}
        | {kind: weighted_kappa(table[:, one], table[:, other], categories, kind).to_json() for kind in kinds}
        for one, other in combinations(range(len(readers)), 2)
    ]


def _described(found: dict[str, Estimate], pairs: list[dict[str, Any]], table: Values) -> dict[str, Any]:
    known = table[np.isfinite(table)]
    skew = float(np.unique(known, return_counts=True)[1].max() / known.size) if known.size else None
    note = ""
    if skew is not None and skew > _SKEWED:
        note = f"{100 * skew:.0f} % of all ratings are the same category: kappa and alpha say little here."
    return {"coefficients": _json(found), "pairs": pairs, "skew": skew, "note": note}


def _json(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_json() for name, estimate in found.items()}
