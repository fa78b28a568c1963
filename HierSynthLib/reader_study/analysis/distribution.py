"""How often each answer was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.cohort.statistics import finite, standard_deviation
from HierSynthLib.reader_study.analysis.ratings import Ratings

Values = NDArray[np.float64]


def distribution(values: Values, categories: Sequence[float] | None) -> dict[str, Any]:
    """Number, mean, SD, median and quartiles of answers; "counts" of each category where there are categories."""
    known = finite(values)
    quartiles = [float(value) for value in np.quantile(known, [0.25, 0.5, 0.75])] if known.size else [None] * 3
    return {
        "n": int(known.size),
        "missing": int(values.size - known.size),
        "mean": float(known.mean()) if known.size else None,
        "sd": standard_deviation(known),
        "q1": quartiles[0],
        "median": quartiles[1],
        "q3": quartiles[2],
        "counts": None if categories is None else [int((known == category).sum()) for category in categories],
    }


def distributions(ratings: Ratings, categories: Sequence[float] | None) -> dict[str, Any]:
    """Of one item: "arms" (arm → distribution of all readers) and "by_reader" (reader → arm → distribution)."""
    return {
        "arms": {arm: distribution(ratings.of(arm), categories) for arm in ratings.arms},
        "by_reader": {
            reader: {arm: distribution(ratings.of(arm)[:, number], categories) for arm in ratings.arms}
            for number, reader in enumerate(ratings.readers)
        },
    }
