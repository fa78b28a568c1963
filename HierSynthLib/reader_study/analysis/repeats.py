"""How far a reader agrees with himself, from hidden duplicates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.cohort.statistics import Estimate, intraclass_correlation, paired
from HierSynthLib.fidelity.measures.words import REPEATABILITY_FACTOR
from HierSynthLib.reader_study.analysis.agreement import MOST_CATEGORIES
from HierSynthLib.reader_study.analysis.chance import gwet_ac
from HierSynthLib.reader_study.analysis.kappa import weighted_kappa

Values = NDArray[np.float64]


def repeatability(first: Values, second: Values, categories: Sequence[float] | None) -> dict[str, Any]:
    """First and second reading of the same presentation.

    Args:
        first: (pairs,), NaN where missing.
        second: (pairs,).
        categories: all that could be chosen, or None for a fine scale.

    Returns:
        "pairs"; "identical" (share, None without pairs); "within_sd"; "coefficient": 95 % of repeats are expected
        within it; "icc"; for categories also "kappa_quadratic" and "ac2".

    Source: Bland & Altman, Stat Methods Med Res 1999;8:135, section 2.1 (within-reader SD from duplicates).
    """
    one, other = paired(first, second)
    within = math.sqrt(float(((one - other) ** 2).mean()) / 2) if one.size else None
    found: dict[str, Any] = {
        "pairs": int(one.size),
        "identical": float((one == other).mean()) if one.size else None,
        "within_sd": within,
        "coefficient": None if within is None else REPEATABILITY_FACTOR * within,
        "icc": _icc(one, other).to_json(),
    }
    if categories is not None and 1 < len(categories) <= MOST_CATEGORIES:
        found["kappa_quadratic"] = weighted_kappa(one, other, categories, "quadratic").to_json()
        found["ac2"] = gwet_ac(np.column_stack([one, other]), categories, "quadratic").to_json()
    return found


def _icc(one: Values, other: Values) -> Estimate:
    return intraclass_correlation(one, other)
