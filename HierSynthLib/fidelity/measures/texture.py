"""IBSI first-order and GLCM texture of a region, with levels of a fixed width from 0.

Definitions: Zwanenburg et al., Radiology 2020;295:328–338, and the reference manual of the Image Biomarker
Standardisation Initiative (arXiv:1612.07003); the names are its tags.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.measures.intensity import Found, Values, dot, entropy, percentiles

# A map that needs more levels is not in nrCBV: 256 levels of 0.25 reach 64 times the NAWM.
MOST_LEVELS = 256
PREFIX = "ibsi_"

# Half of the 26 neighbours, one of each opposite pair: those that come later in memory.
DIRECTIONS = tuple(d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0))

Levels = NDArray[np.int16]
Counts = NDArray[np.int64]

_BLOCK = 1 << 16


def grey_levels(values: Values, width: float) -> Levels:
    """Levels of a fixed width from 0: ⌊x / width⌋ + 1; values below 0 are in level 1."""
    return (np.maximum(np.floor(values / width), 0) + 1).astype(np.int16)


def histogram(levels: Levels) -> Counts:
    """How many voxels have each level, from level 1."""
    counts: Counts = np.bincount(levels)[1:]
    return counts


def first_order(ordered: Values) -> Found:
    """Intensity-based statistics of ascending values (N,), N ≥ 1."""
    mean, median = float(ordered.mean()), float(np.median(ordered))
    centred = ordered - mean
    squares = centred * centred
    variance = float(squares.mean())
    # Rounding leaves a constant map with a spread of about 1e-16.
    constant = ordered[0] == ordered[-1]
    p10, p25, p75, p90 = percentiles(ordered, (10, 25, 75, 90))
    first, last = np.searchsorted(ordered, p10, side="left"), np.searchsorted(ordered, p90, side="right")
    middle = ordered[first:last]
    energy = dot(ordered, ordered)
    found = {
        "mean": mean,
        "var": 0.0 if constant else variance,
        "skew": 0.0 if constant else dot(squares, centred) / len(ordered) / variance**1.5,
        "kurt": 0.0 if constant else dot(squares, squares) / len(ordered) / variance**2 - 3,
        "median": median,
        "min": float(ordered[0]),
        "p10": p10,
        "p90": p90,
        "max": float(ordered[-1]),
        "iqr": p75 - p25,
        "range": float(ordered[-1] - ordered[0]),
        "mad": 0.0 if constant else float(np.abs(centred).mean()),
        "rmad": float(np.abs(middle - middle.mean()).mean()) if len(middle) else 0.0,
        "medad": float(np.abs(ordered - median).mean()),
        "cov": None if mean == 0 else (0.0 if constant else math.sqrt(variance) / mean),
        "qcod": None if p75 + p25 == 0 else (p75 - p25) / (p75 + p25),
        "energy": energy,
        "rms": math.sqrt(energy / len(ordered)),
    }
    return {f"{PREFIX}stat_{name}": value for name, value in found.items()}


def histogram_texture(counts: Counts) -> Found:
    """Entropy (bits) and uniformity of the histogram."""
    share = counts / counts.sum()
    return {f"{PREFIX}ih_entropy": entropy(counts), f"{PREFIX}ih_uniformity": float(share @ share)}


def cooccurrence(levels: Levels) -> Counts:
    """The symmetric grey-level co-occurrence matrix of a crop, merged over the 13 directions at one voxel's distance.

    Args:
        levels: (i, j, k), 1 … N in the region and 0 outside.

    Returns:
        (N, N) counts; (i, j) is the number of neighbouring pairs of levels i + 1 and j + 1, each counted both ways.
    """
    side = int(levels.max(initial=0)) + 1
    # One layer of zeros behind each axis: a step over an edge, in either direction, then ends outside the region.
    padded = np.pad(levels, ((0, 1), (0, 1), (0, 1)))
    flat = padded.ravel()
    shape = padded.shape
    steps = [(di * shape[1] + dj) * shape[2] + dk for di, dj, dk in DIRECTIONS]
    counts = np.zeros(side * side, dtype=np.int64)
    for start in range(0, flat.size, _BLOCK):  # blocks stay in the processor's cache
        first = flat[start : start + _BLOCK].astype(np.int64) * side
        for step in steps:
            second = flat[start + step : start + step + _BLOCK]
            counts += np.bincount(first[: second.size] + second, minlength=side * side)
    pairs = counts.reshape(side, side)[1:, 1:]
    return np.asarray(pairs + pairs.T)


def glcm_texture(counts: Counts) -> Found:
    """Features of a symmetric co-occurrence matrix (N, N) that holds at least one pair."""
    p = counts / counts.sum()
    size = len(p)
    level = np.arange(1, size + 1, dtype=np.float64)
    i, j = level[:, None], level[None, :]
    gap = np.abs(i - j)
    marginal = p.sum(axis=1)
    mean = float(marginal @ level)
    variance = float(marginal @ (level - mean) ** 2)
    sums = _collected((i + j).astype(np.int64), p)
    gaps = _collected(gap.astype(np.int64), p)
    k_sum, k_gap = np.arange(len(sums)), np.arange(len(gaps))
    mean_sum, mean_gap = float(sums @ k_sum), float(gaps @ k_gap)
    cluster = i + j - 2 * mean
    upper = gap > 0
    found = {
        "joint_max": p.max(),
        "joint_avg": mean,
        "joint_var": variance,
        "joint_entr": _bits(p),
        "diff_avg": mean_gap,
        "diff_var": gaps @ (k_gap - mean_gap) ** 2,
        "diff_entr": _bits(gaps),
        "sum_avg": mean_sum,
        "sum_var": sums @ (k_sum - mean_sum) ** 2,
        "sum_entr": _bits(sums),
        "energy": (p * p).sum(),
        "contrast": (p * gap**2).sum(),
        "dissimilarity": (p * gap).sum(),
        "inv_diff": (p / (1 + gap)).sum(),
        "inv_diff_norm": (p / (1 + gap / size)).sum(),
        "inv_diff_mom": (p / (1 + gap**2)).sum(),
        "inv_diff_mom_norm": (p / (1 + gap**2 / size**2)).sum(),
        "inv_var": (p[upper] / gap[upper] ** 2).sum(),
        "auto_corr": (p * i * j).sum(),
        "clust_tend": (p * cluster**2).sum(),
        "clust_shade": (p * cluster**3).sum(),
        "clust_prom": (p * cluster**4).sum(),
    }
    several = np.count_nonzero(marginal) > 1
    correlation = ((p * i * j).sum() - mean * mean) / variance if several else None
    every: Found = {name: float(value) for name, value in found.items()} | {"corr": correlation}
    every |= _information(p, marginal)
    return {f"{PREFIX}cm_{name}": None if value is None else float(value) for name, value in every.items()}


def _information(p: Values, marginal: Values) -> Found:
    """The two measures of information correlation; the first does not exist for a single level."""
    joint, own = _bits(p), _bits(marginal)
    independent = marginal[:, None] * marginal[None, :]
    used = independent > 0
    logarithm = np.log2(independent[used])
    first, second = -float(p[used] @ logarithm), -float(independent[used] @ logarithm)
    return {
        "info_corr1": (joint - first) / own if own > 0 else None,
        "info_corr2": math.sqrt(max(0.0, 1 - math.exp(-2 * (second - joint)))),
    }


def _collected(place: Counts, share: Values) -> Values:
    """The shares summed over all pairs with the same place."""
    return np.bincount(place.ravel(), weights=share.ravel()).astype(np.float64)


def _bits(share: Values) -> float:
    used = share[share > 0]
    return float(abs((used * np.log2(used)).sum()))
