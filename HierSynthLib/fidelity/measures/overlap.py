"""How the voxels above a threshold coincide in two maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]


def dice(first: Mask, second: Mask) -> float | None:
    """Dice's coefficient (1945) of two masks of the same shape; None where both are empty."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total else None


def hausdorff95(first: Mask, second: Mask, steps: NDArray[np.float64]) -> float | None:
    """The 95 % Hausdorff distance of the surfaces of two masks.

    Args:
        first: (i, j, k).
        second: (i, j, k).
        steps: (3, 3) mm, one step along i, j and k as columns.

    Returns:
        The greater of the two 95th percentiles of the distances in mm from each surface voxel of one mask to the
        nearest of the other; None where one is empty.
    """
    if not (first.any() and second.any()):
        return None
    a, b = (np.argwhere(surface(mask)) @ steps.T for mask in (first, second))
    there, back = cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def surface(mask: Mask) -> Mask:
    """The voxels of a mask that have a face neighbour outside it; beyond the crop is outside."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(3):
        for start in (0, 2):
            shifted = [slice(1, -1)] * 3
            shifted[axis] = slice(start, start + mask.shape[axis])
            inner &= padded[tuple(shifted)]
    return mask & ~inner
