"""How the values of one map in a region are distributed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.measures.definitions import fraction_id
from HierSynthLib.fidelity.regions.masks import TOUCH_MM

Values = NDArray[np.float64]
Found = dict[str, float | None]

PERCENTILES = (5, 25, 75, 90, 95)


def intensity(ordered: Values) -> Found:
    """The measures of group "intensity" that need the values alone.

    Args:
        ordered: (N,) finite, ascending.

    Returns:
        voxels, mean, sd, median, p5 … p95, max and cv; None for what does not exist (see docs/measures.md).
    """
    count = len(ordered)
    found: Found = {"voxels": count}
    if not count:
        return found | dict.fromkeys(["mean", "sd", "median", *(f"p{p}" for p in PERCENTILES), "max", "cv"])
    mean = float(ordered.mean())
    spread = float(ordered.std(ddof=1)) if count > 1 else None
    median, *others = percentiles(ordered, (50, *PERCENTILES))
    found |= {"mean": mean, "sd": spread, "median": median}
    found |= {f"p{p}": value for p, value in zip(PERCENTILES, others, strict=True)}
    return found | {"max": float(ordered[-1]), "cv": None if spread is None or mean == 0 else spread / mean}


def percentiles(ordered: Values, wanted: Sequence[float]) -> list[float]:
    """Percentiles of ascending values by linear interpolation (type 7 of Hyndman & Fan 1996), without sorting again."""
    places = np.asarray(wanted) / 100 * (len(ordered) - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, len(ordered) - 1)
    found = ordered[below] + (places - below) * (ordered[above] - ordered[below])
    return [float(value) for value in found]


def fractions_above(ordered: Values, thresholds: Sequence[float]) -> Found:
    """The fraction of ascending values above each threshold, by id."""
    count = len(ordered)
    above = count - np.searchsorted(ordered, np.asarray(thresholds, dtype=np.float64), side="right")
    return {fraction_id(t): n / count if count else None for t, n in zip(thresholds, above.tolist(), strict=True)}


def dot(x: Values, y: Values) -> float:
    """Σxᵢyᵢ without BLAS, whose threads take longer to wake than such a sum takes."""
    return float(np.einsum("i,i->", x, y))


def entropy(counts: NDArray[np.int64]) -> float:
    """Shannon entropy in bits of a histogram's counts; 0 for an empty one."""
    used = counts[counts > 0]
    share = used / used.sum()
    return float(abs((share * np.log2(share)).sum()))  # abs: a single level gives −0


def hotspot_mean(
    crop: NDArray[np.float32], usable: NDArray[np.bool_], spacing: Values, diameter_mm: float
) -> float | None:
    """The greatest mean of a sphere that lies wholly in a region.

    Args:
        crop: (i, j, k) values; any where not usable.
        usable: (i, j, k) voxels of the region with a value.
        spacing: (3,) mm along i, j, k.
        diameter_mm: of the sphere. Centres are voxel centres; a voxel belongs to it when its own centre does.

    Returns:
        The mean, or None where no such sphere fits.
    """
    rows, reach = _sphere_rows(spacing, diameter_mm / 2)
    room = [n - 2 * r for n, r in zip(crop.shape, reach, strict=True)]
    if min(room) < 1:
        return None
    # Running sums along k: a row of the sphere is the difference of two of them.
    counts, sums = _running(usable), _running(np.where(usable, crop, 0))
    held, total = np.zeros(room), np.zeros(room)
    for row in rows:
        held += _row(counts, row, reach, room)
    fits = held == sum(2 * half + 1 for _, _, half in rows)
    if not fits.any():
        return None
    for row in rows:
        total += _row(sums, row, reach, room)
    return float(total[fits].max() / held.max())


def _sphere_rows(spacing: Values, radius_mm: float) -> tuple[list[tuple[int, int, int]], list[int]]:
    """The rows (di, dj, half length along k) of a sphere in voxels, and its reach along i, j, k."""
    # Spacings from a file are rounded to float32.
    limit = radius_mm + TOUCH_MM
    reach = [int(limit / step) for step in spacing]
    rows = []
    for di in range(-reach[0], reach[0] + 1):
        for dj in range(-reach[1], reach[1] + 1):
            left = limit**2 - (di * spacing[0]) ** 2 - (dj * spacing[1]) ** 2
            if left >= 0:
                rows.append((di, dj, int(math.sqrt(left) / spacing[2])))
    return rows, reach


def _running(array: NDArray[np.generic]) -> Values:
    i, j, k = array.shape
    sums = np.zeros((i, j, k + 1))
    np.cumsum(array, axis=2, dtype=np.float64, out=sums[:, :, 1:])
    return sums


def _row(sums: Values, row: tuple[int, int, int], reach: Sequence[int], room: Sequence[int]) -> Values:
    di, dj, half = row
    i, j, k = reach[0] + di, reach[1] + dj, reach[2]
    part = sums[i : i + room[0], j : j + room[1]]
    return part[:, :, k + half + 1 : k + half + 1 + room[2]] - part[:, :, k - half : k - half + room[2]]
