"""What the plots of a pair of maps in a region show: histograms, scatter, Bland–Altman."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Sample = NDArray[np.float32]

MOST_POINTS = 2000
BINS = 40
_SEED = 20150
# More digits than a screen has pixels only make the file long.
_DIGITS = 3


def plot_data(synthetic: Sample, acquired: Sample) -> dict[str, Any]:
    """The data of the plots of a region.

    Args:
        synthetic: (N,) finite, nrCBV.
        acquired: (N,) finite, of the same voxels.

    Returns:
        "histogram": 41 "edges" from the least to the greatest value of both maps, and the counts "synthetic" and
        "acquired" of all voxels. "scatter": the values of both maps in at most 2000 voxels, the same ones whenever they
        are drawn from as many. "bland_altman": "mean" and "difference" (synthetic − acquired) of these voxels, and
        "bias", "lower" and "upper" of all voxels. Empty lists and null without voxels.
    """
    count = len(synthetic)
    if not count:
        empty: list[float] = []
        return {
            "histogram": {"edges": empty, "synthetic": empty, "acquired": empty},
            "scatter": {"synthetic": empty, "acquired": empty},
            "bland_altman": {"mean": empty, "difference": empty, "bias": None, "lower": None, "upper": None},
        }
    low = float(min(synthetic.min(), acquired.min()))
    high = float(max(synthetic.max(), acquired.max()))
    reach = (low, high if high > low else low + 1)
    chosen = np.arange(count)
    if count > MOST_POINTS:
        chosen = np.sort(np.random.default_rng(_SEED).choice(count, MOST_POINTS, replace=False, shuffle=False))
    x, y = synthetic[chosen].astype(np.float64), acquired[chosen].astype(np.float64)
    difference = np.subtract(synthetic, acquired, dtype=np.float64)
    bias = float(difference.mean())
    limit = 1.96 * float(difference.std(ddof=1)) if count > 1 else None
    counts = [np.histogram(values, BINS, reach)[0].tolist() for values in (synthetic, acquired)]
    return {
        "histogram": {
            "edges": _rounded(np.linspace(*reach, BINS + 1)),
            "synthetic": counts[0],
            "acquired": counts[1],
        },
        "scatter": {"synthetic": _rounded(x), "acquired": _rounded(y)},
        "bland_altman": {
            "mean": _rounded((x + y) / 2),
            "difference": _rounded(x - y),
            "bias": bias,
            "lower": None if limit is None else bias - limit,
            "upper": None if limit is None else bias + limit,
        },
    }


def _rounded(values: NDArray[np.floating[Any]]) -> list[float]:
    return [float(value) for value in np.round(values, _DIGITS).tolist()]
