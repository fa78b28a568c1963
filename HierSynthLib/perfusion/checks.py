"""What a caller gives along with a series: masks and voxels on its grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.series import DscSeries

Mask = NDArray[np.bool_]


def checked_mask(mask: Mask | None, name: str, series: DscSeries) -> Mask | None:
    """A mask (I, J, K) on the grid of the series, as booleans; None if there is none.

    Raises:
        InputError: it has another size; `name` says which mask it is.
    """
    if mask is None:
        return None
    if mask.shape != series.grid:
        raise InputError(
            f"The {name} has {_size(mask.shape)} voxels, the DSC series {_size(series.grid)}.",
            "Resample the mask to the grid of the series.",
        )
    return np.asarray(mask, dtype=bool)


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def checked_voxels(voxels: ArrayLike, series: DscSeries) -> NDArray[np.intp]:
    """(n, 3) indices i, j, k of voxels of the series.

    Raises:
        InputError: they are no such list, or lie outside the series.
    """
    found = np.asarray(voxels)
    if found.ndim != 2 or found.shape[1] != 3 or len(found) == 0 or found.dtype.kind not in "iu":
        raise InputError(
            "The voxels of the arterial input function are not a list of indices (i, j, k).", "Give at least one."
        )
    if np.any(found < 0) or np.any(found >= series.grid):
        raise InputError(
            "A voxel of the arterial input function lies outside the DSC series.", "Place it in an artery within it."
        )
    return found.astype(np.intp)
