"""Making the maps of a case equally sharp and equally fine-grained, so that neither tells where a map comes from.

Interpolation takes away noise and detail, most half-way between voxels and nothing at a voxel. Were one map left as
it is and another one interpolated, the sharper one would be known. Therefore either all maps lie on one lattice and
none is interpolated, or every map, also the coarsest, passes the same Gaussian, wide enough that what is left of it can
be sampled anywhere without a further loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from HierSynthLib.preparation.grid import Grid, resample

Matrix = NDArray[np.float64]
Values = NDArray[np.float32]

SMOOTHING = 0.6
"""Standard deviation of the Gaussian in edges of the largest voxel: white noise of any lattice that is sampled anywhere
then has the same standard deviation within 3 % (design value, measured in test_study_matching)."""

WHOLE_SUPPORT = 0.999
"""Share of a resampled voxel that must lie where an arm has values, so that no arm fades at its rim (design value)."""

_SAME_LATTICE = 0.02
"""Deviation, in voxels, below which two lattices are taken as one (design value)."""

_REACH = 4.0
"""Standard deviations after which a Gaussian has ended."""

_FINER = 1.5
"""How much finer the lattice is made on which a cubic spline interpolates (design value)."""

_FINE_ENOUGH = 1.0
"""Standard deviation of the Gaussian, in voxels, from which on the spline needs no finer lattice: the highest frequency
is then left with 0.7 %."""

_NOTHING = 1e-9
"""Parts of a rotation below it are rounding errors."""

_ROUNDING = 1e-5
"""Values nearer to each other are the same; that is the rounding error of float32 below 100 nrCBV."""

_USUAL_SHARE = 0.99
"""Share of the voxels from whose values, the most frequent ones, the step is found (design value)."""


def on_one_lattice(grids: Sequence[Grid]) -> bool:
    """Whether the voxels of all grids lie at the same places, where they overlap; axes may be swapped or flipped."""
    first, *others = grids
    return all(_steps_are_whole(np.linalg.inv(first.affine) @ other.affine, other) for other in others)


def _steps_are_whole(to_first: Matrix, grid: Grid) -> bool:
    whole = np.rint(to_first)
    if not np.array_equal(np.abs(whole[:3, :3]).sum(axis=0), [1, 1, 1]) or abs(np.linalg.det(whole)) < 0.5:
        return False
    corners = np.linalg.solve(grid.affine[:3, :3], (grid.corners() - grid.affine[:3, 3]).T)
    off = (to_first - whole)[:3, :3] @ corners + (to_first - whole)[:3, 3:]
    return bool(np.abs(off).max() < _SAME_LATTICE)


def shared_smoothing(target: Grid, grids: Sequence[Grid]) -> Matrix:
    """(3, 3) covariance, mm², of the Gaussian for all maps: along each target axis as the largest voxel needs it."""
    axes = target.affine[:3, :3] / target.spacing
    edges = [((axes.T @ grid.affine[:3, :3]) ** 2).sum(axis=1) for grid in grids]
    return np.asarray(SMOOTHING**2 * (axes * np.max(edges, axis=0)) @ axes.T)


def covered(support: Values, grid: Grid, target: Grid, covariance: Matrix | None) -> NDArray[np.bool_]:
    """Where on a target a map has a value: `support` is 1 where it has one on its own grid, and otherwise 0."""
    if covariance is None:
        return np.asarray(resample(support, grid.affine, target.shape, target.affine, interpolation="nearest") > 0)
    return np.asarray(resample(support, grid.affine, target.shape, target.affine) >= WHOLE_SUPPORT)


def on_target(array: Values, grid: Grid, target: Grid, inside: NDArray[np.bool_], covariance: Matrix | None) -> Values:
    """Bring a map onto a target.

    Args:
        array: (I, J, K), finite.
        grid: where it lies, in the common space.
        target: where it shall be known.
        inside: voxels of the target in which every map has a value; what a map has elsewhere is not used, so that all
            are smoothed alike at the rim.
        covariance: of the Gaussian, mm²; None where both lie on one lattice, so that values are only copied.
    """
    if covariance is None:
        return resample(array, grid.affine, target.shape, target.affine, interpolation="nearest")
    weight = resample(inside, target.affine, grid.shape, grid.affine, interpolation="nearest").astype(np.float32)
    to_index = np.linalg.inv(grid.affine) @ target.affine
    # Divided by the equally smoothed weight, the rim is no darker than the inside.
    total, share = (
        _smooth_and_sample(each, grid, covariance, to_index, target.shape) for each in (array * weight, weight)
    )
    return np.divide(total, share, out=np.zeros_like(total), where=inside & (share > 0))


def _smooth_and_sample(
    array: Values, grid: Grid, covariance: Matrix, to_index: Matrix, shape: tuple[int, int, int]
) -> Values:
    """Smooth by a Gaussian of any direction and sample between the voxels as if by the sinc, both by the spectrum.

    The spectrum is widened by zeros, which puts the values on a finer lattice, where a cubic spline passes through them
    nearly as the sinc does. A cubic B-spline at the voxels is (1, 4, 1)/6 along each axis, with the spectrum
    (2 + cos 2πf)/3; the coefficients whose spline passes through the values are these divided by it (Unser, IEEE Trans
    Signal Process 1993;41:821).
    """
    back = np.linalg.inv(grid.affine[:3, :3])
    spread = back @ covariance @ back.T  # voxels²
    widths = np.sqrt(np.diag(spread))
    size = [fft.next_fast_len(int(n + np.ceil(_REACH * w)) + 2) for n, w in zip(array.shape, widths, strict=True)]
    finer = np.where(widths < _FINE_ENOUGH, _FINER, 1.0)
    wide = [fft.next_fast_len(int(np.ceil(n * factor))) for n, factor in zip(size, finer, strict=True)]
    ratio = np.divide(wide, size)
    cycles = np.meshgrid(fft.fftfreq(size[0]), fft.fftfreq(size[1]), fft.rfftfreq(size[2]), indexing="ij", sparse=True)
    pairs = [(i, j) for i in range(3) for j in range(3) if abs(spread[i, j]) > _NOTHING]
    exponent = sum(spread[i, j] * cycles[i] * cycles[j] for i, j in pairs)
    response = np.exp(-2 * np.pi**2 * exponent) * ratio.prod()
    for each, factor in zip(cycles, ratio, strict=True):
        response = response * (3.0 / (2.0 + np.cos(2 * np.pi * each / factor)))
    spectrum = fft.rfftn(array, size) * response.astype(np.float32)
    coefficients = fft.irfftn(_widened(spectrum, size, wide), wide)
    matrix = to_index[:3, :3] * ratio[:, None]
    sampled: Values = ndimage.affine_transform(
        coefficients.astype(np.float32, copy=False),
        np.diag(matrix) if np.abs(matrix - np.diag(np.diag(matrix))).max() < _NOTHING else matrix,  # faster
        to_index[:3, 3] * ratio,
        shape,
        np.float32,
        order=3,
        mode="grid-wrap",  # beyond the margin the period begins again
        prefilter=False,
    )
    return sampled


def _widened(spectrum: NDArray[Any], size: Sequence[int], wide: Sequence[int]) -> NDArray[Any]:
    """The half spectrum of a real array of `size` as that of one of `wide`, with zeros at the higher frequencies."""
    if list(size) == list(wide):
        return spectrum
    result = np.zeros((wide[0], wide[1], wide[2] // 2 + 1), spectrum.dtype)
    i, j, k = ((n - 1) // 2 for n in size)
    for first in (slice(0, i + 1), slice(-i, None)):
        for second in (slice(0, j + 1), slice(-j, None)):
            result[first, second, : k + 1] = spectrum[first, second, : k + 1]
    return result


def quantum(values: NDArray[Any]) -> float:
    """The step between neighbouring values of a map that was stored in steps; 0 for one that was not.

    Args:
        values: (n,) of the voxels inside, nrCBV.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if 2 * distinct.size > values.size:
        return 0.0
    frequent = np.argsort(-counts, kind="stable")
    held = np.cumsum(counts[frequent]) <= _USUAL_SHARE * values.size
    gaps = np.diff(np.sort(distinct[frequent[held]].astype(np.float64)))
    return float(gaps.min(where=gaps > _ROUNDING, initial=np.inf)) if (gaps > _ROUNDING).any() else 0.0
