"""Structural similarity (SSIM) of two maps at every voxel.

Wang et al., IEEE Transactions on Image Processing 2004;13:600–612, with its Gaussian window (σ = 1.5 voxels) in three
dimensions, a fixed data range L and C₁ = (0.01 L)², C₂ = (0.03 L)².
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

SIGMA = 1.5
RADIUS = 5
"""Where the window is cut, in voxels (3.5 σ, rounded, as scikit-image has it)."""
WINDOW = 2 * RADIUS + 1

_K1, _K2 = 0.01, 0.03
# Slabs keep the temporary arrays small; margins make thin ones wasteful.
_SLAB = 16
_THREADS = 2
_WEIGHTS = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
_WEIGHTS /= _WEIGHTS.sum()
# Below it, the weight of a window is rounding error.
_LEAST_WEIGHT = 1e-4


def ssim_map(first: Map, second: Map, box: Box, data_range: float) -> Map:
    """The SSIM of two maps in a box.

    At the edges of the maps, windows are continued by reflection. A voxel without a value (NaN or infinite) in one of
    the maps has no weight in any window, and no SSIM.

    Args:
        first: (I, J, K).
        second: (I, J, K).
        box: where the SSIM is wanted; windows reach beyond it.
        data_range: L, in the unit of the maps.

    Returns:
        (i, j, k) of the box, −1 to 1; NaN where a map has no value.
    """
    result = np.empty([along.stop - along.start for along in box], dtype=np.float32)

    def fill(slab: slice) -> None:
        wanted = (slab, box[1], box[2])
        crop, inner = _with_margin(wanted, first.shape)
        here = slice(slab.start - box[0].start, slab.stop - box[0].start)
        result[here] = _ssim(first[crop], second[crop], inner, data_range)

    # The filters release Python's lock, so threads share the work.
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(fill, _slabs(box[0])))
    return result


def inner_box(box: Box) -> Box | None:
    """The voxels whose windows lie wholly in a box; None where it is shorter than the window along an axis."""
    i, j, k = (slice(along.start + RADIUS, along.stop - RADIUS) for along in box)
    return (i, j, k) if all(along.stop > along.start for along in (i, j, k)) else None


def _slabs(along: slice) -> Iterator[slice]:
    for start in range(along.start, along.stop, _SLAB):
        yield slice(start, min(start + _SLAB, along.stop))


def _with_margin(wanted: Box, shape: tuple[int, ...]) -> tuple[Box, Box]:
    """The box that the windows need, cut at the edges of the map, and where the wanted one lies in it."""
    crop, inner = [], []
    for along, size in zip(wanted, shape, strict=True):
        start = max(0, along.start - RADIUS)
        crop.append(slice(start, min(size, along.stop + RADIUS)))
        inner.append(slice(along.start - start, along.stop - start))
    return (crop[0], crop[1], crop[2]), (inner[0], inner[1], inner[2])


def _filtered(field: Map, inner: Box) -> Map:
    """The weighted means of a field over the windows of its inner voxels."""
    for axis, along in enumerate(inner):
        field = ndimage.correlate1d(field, _WEIGHTS, axis, mode="reflect")
        # What is not wanted along this axis need not be filtered along the next.
        field = field[tuple(along if other == axis else slice(None) for other in range(3))]
    return field


def _ssim(x: Map, y: Map, inner: Box, data_range: float) -> Map:
    """SSIM of the inner voxels of two crops, whose edges are those of the maps or far enough away."""
    valid = np.isfinite(x) & np.isfinite(y)
    if not valid.any():
        return np.full(valid[inner].shape, np.nan, dtype=np.float32)
    # Variances of float32 suffer when the mean is far from 0: they are taken of the maps less a constant each.
    shifts = [np.float32(field[valid].mean(dtype=np.float64)) for field in (x, y)]
    x, y = (np.where(valid, field - shift, np.float32(0)) for field, shift in zip((x, y), shifts, strict=True))
    with np.errstate(over="ignore", invalid="ignore"):  # values of 10¹⁹ and more have no SSIM
        mean_x, mean_y, product = _filtered(x, inner), _filtered(y, inner), _filtered(x * y, inner)
        x *= x
        y *= y
        x += y
        squares = _filtered(x, inner)
        if not valid.all():
            weight = np.maximum(_filtered(valid.astype(np.float32), inner), np.float32(_LEAST_WEIGHT))
            for field in (mean_x, mean_y, product, squares):
                np.divide(field, weight, out=field)
        product -= mean_x * mean_y
        squares -= mean_x * mean_x + mean_y * mean_y
        mean_x += shifts[0]
        mean_y += shifts[1]
        c1, c2 = np.float32((_K1 * data_range) ** 2), np.float32((_K2 * data_range) ** 2)
        found = (2 * mean_x * mean_y + c1) * (2 * product + c2)
        found /= (mean_x * mean_x + mean_y * mean_y + c1) * (squares + c2)
    found[~valid[inner]] = np.nan
    return np.asarray(found)
