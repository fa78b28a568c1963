"""How two maps agree over the voxels of a region."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from HierSynthLib.fidelity.measures.effective import EffectiveCounts
from HierSynthLib.fidelity.measures.intensity import Found, Values, dot
from HierSynthLib.fidelity.measures.words import LEAST_FOR_PERCENT

Samples = NDArray[np.floating[Any]]

# 97.5 % quantile of the normal distribution, with the two digits of the published formulas.
_NORMAL = 1.96
# Ranks of more voxels than this take long and change the third digit of a rank correlation at most.
MOST_RANKED = 200_000


def agreement(synthetic: Samples, acquired: Samples, data_range: float, effective: EffectiveCounts) -> Found:
    """The measures of group "agreement" that need the values alone.

    Args:
        synthetic: (N,) finite, nrCBV; sorted faster as float32.
        acquired: (N,) finite, of the same voxels.
        data_range: nrCBV.
        effective: numbers of independent voxels, for the intervals.

    Returns:
        Values by id; None for what does not exist (see docs/measures.md).
    """
    x, y = synthetic.astype(np.float64), acquired.astype(np.float64)
    difference = x - y
    mse = dot(difference, difference) / len(difference)
    found: Found = {
        "mae": float(np.abs(difference).mean()),
        "mse": mse,
        "nrmse": math.sqrt(mse) / data_range,
        "psnr": 10 * math.log10(data_range**2 / mse) if mse > 0 else None,
        "bias": float(difference.mean()),
        "relative_bias": relative_bias(x.mean(), y.mean()),
        "histogram_distance": histogram_distance(synthetic, acquired),
        "effective_n": effective.correlation,
        "effective_n_difference": effective.mean_difference,
    }
    found |= correlation(x, y, effective.correlation)
    return found | bland_altman(difference, effective.mean_difference)


def relative_bias(synthetic: float, acquired: float) -> float | None:
    """Difference of two means in per cent of the acquired one; None where that is too small for a percentage."""
    return None if abs(acquired) < LEAST_FOR_PERCENT else float(100 * (synthetic - acquired) / abs(acquired))


def histogram_distance(x: Samples, y: Samples) -> float:
    """The Wasserstein-1 distance of two samples of the same size: the mean distance of the sorted values."""
    return float(np.abs(np.subtract(np.sort(x), np.sort(y), dtype=np.float64)).mean())


def correlation(x: Values, y: Values, effective_n: float | None) -> Found:
    """Pearson's r with the 95 % interval of Fisher's z, and Lin's concordance correlation.

    Args:
        x: (N,).
        y: (N,).
        effective_n: number of independent pairs for the interval; None leaves it out.
    """
    mean_x, mean_y = x.mean(), y.mean()
    dx, dy = x - mean_x, y - mean_y
    xx, yy, xy = dot(dx, dx), dot(dy, dy), dot(dx, dy)
    constant = [bool(values.min() == values.max()) for values in (x, y)]
    r = low = high = ccc = None
    if not any(constant) and len(x) > 2 and xx > 0 and yy > 0:
        r = min(1.0, max(-1.0, xy / math.sqrt(xx * yy)))
        if effective_n is not None and effective_n > 3:
            low, high = fisher_interval(r, effective_n)
    if not all(constant):
        ccc = 2 * xy / (xx + yy + len(x) * float(mean_x - mean_y) ** 2)
    return {"pearson_r": r, "pearson_low": low, "pearson_high": high, "ccc": ccc}


def fisher_interval(r: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a correlation of n > 3 independent pairs (Fisher 1921)."""
    if abs(r) >= 1:
        return r, r
    z, half = math.atanh(r), _NORMAL / math.sqrt(n - 3)
    return math.tanh(z - half), math.tanh(z + half)


def bland_altman(difference: Values, effective_n: float | None) -> Found:
    """Bias and limits of agreement with their 95 % intervals (Bland & Altman 1999).

    Args:
        difference: (N,).
        effective_n: number of independent differences for the intervals; they need more than one.
    """
    names = ("ba_bias", "ba_lower", "ba_upper")
    if len(difference) < 2:
        return dict.fromkeys(f"{name}{end}" for name in names for end in ("", "_low", "_high"))
    bias, spread = float(difference.mean()), float(difference.std(ddof=1))
    centres = (bias, bias - _NORMAL * spread, bias + _NORMAL * spread)
    found: Found = {}
    for name, centre, width in zip(names, centres, _half_widths(spread, effective_n), strict=True):
        found[name] = centre
        found[f"{name}_low"] = None if width is None else centre - width
        found[f"{name}_high"] = None if width is None else centre + width
    return found


def _half_widths(spread: float, n: float | None) -> tuple[float | None, float | None, float | None]:
    if spread == 0:
        return 0.0, 0.0, 0.0
    if n is None or n <= 1:
        return None, None, None
    t = float(special.stdtrit(n - 1, 0.975))
    limit = t * spread * math.sqrt(1 / n + _NORMAL**2 / (2 * (n - 1)))
    return t * spread / math.sqrt(n), limit, limit


def rank_correlation(x: Values, y: Values) -> float | None:
    """Spearman's ρ with mean ranks for ties; None for fewer than three values or a constant.

    Of more than 200 000 values, an evenly spaced part is used.
    """
    step = max(1, math.ceil(len(x) / MOST_RANKED))
    ranked_x, ranked_y = (stats.rankdata(values[::step]).astype(np.float64) for values in (x, y))
    return correlation(ranked_x, ranked_y, effective_n=None)["pearson_r"]
