"""Grids in physical space, and moving an array from one grid to another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from HierSynthLib.errors import InputError

Interpolation = Literal["linear", "nearest", "cubic"]

_INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "cubic": sitk.sitkBSpline3}
_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
# A source voxel may be this much smaller than the target voxel before the source is smoothed against aliasing.
_ALIASING_RATIO = 1.5


@dataclass(frozen=True, eq=False)
class Grid:
    """A lattice of voxels in the patient.

    Attributes:
        shape: number of voxels along i, j, k.
        affine: (4, 4) voxel index (i, j, k, 1) → RAS position in mm.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel edge lengths in mm along i, j, k."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def centre(self) -> NDArray[np.float64]:
        """RAS position in mm of the middle of the grid."""
        middle = (np.asarray(self.shape) - 1) / 2
        return np.asarray(self.affine[:3, :3] @ middle + self.affine[:3, 3])

    def canonical(self) -> Grid:
        """The same voxels with the axes permuted and flipped to run closest to right, anterior and superior."""
        direction = self.affine[:3, :3] / self.spacing
        order = max(permutations(range(3)), key=lambda p: sum(abs(direction[a, p[a]]) for a in range(3)))
        affine = np.eye(4)
        affine[:3, 3] = self.affine[:3, 3]
        for axis, stored in enumerate(order):
            step = self.affine[:3, stored]
            if direction[axis, stored] < 0:
                affine[:3, 3] += step * (self.shape[stored] - 1)
                step = -step
            affine[:3, axis] = step
        return Grid((self.shape[order[0]], self.shape[order[1]], self.shape[order[2]]), affine)

    def respaced(self, spacing_mm: ArrayLike) -> Grid:
        """The grid of voxels of `spacing_mm` (one length or three) that covers the same box from the same corner."""
        spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=float), 3)
        factor = spacing / self.spacing
        counts = np.maximum(1, np.ceil(np.asarray(self.shape) / factor - 1e-6)).astype(int)
        affine = self.affine.copy()
        affine[:3, :3] *= factor
        # Voxel centres: the outer corner of the box, −½ voxel, stays where it is.
        affine[:3, 3] += self.affine[:3, :3] @ (factor / 2 - 0.5)
        return Grid((int(counts[0]), int(counts[1]), int(counts[2])), affine)

    def cropped(self, start: ArrayLike, stop: ArrayLike) -> Grid:
        """The part from voxel `start` up to, not including, voxel `stop`; may reach beyond the grid."""
        first = np.asarray(start, dtype=int)
        counts = np.asarray(stop, dtype=int) - first
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ first
        return Grid((int(counts[0]), int(counts[1]), int(counts[2])), affine)

    def corners(self) -> NDArray[np.float64]:
        """(8, 3) RAS positions in mm of the outer corners of the box."""
        index = np.array(list(product(*((-0.5, n - 0.5) for n in self.shape))))
        return np.asarray(index @ self.affine[:3, :3].T + self.affine[:3, 3])

    def same(self, other: Grid, tolerance_mm: float = 1e-2) -> bool:
        """Whether both have the same counts and every corner at the same place within `tolerance_mm`."""
        return self.shape == other.shape and bool(np.abs(self.corners() - other.corners()).max() <= tolerance_mm)


def resample(
    array: NDArray[Any],
    affine: NDArray[np.float64],
    shape: tuple[int, int, int],
    target_affine: NDArray[np.float64],
    *,
    transform: NDArray[np.float64] | None = None,
    interpolation: Interpolation = "linear",
    fill: float = 0.0,
) -> NDArray[Any]:
    """Sample an array at the voxel centres of another grid, in physical space.

    Where target voxels are more than 1.5 times as large as source voxels along a source axis, the source is first
    smoothed along it by a Gaussian that brings its resolution (full width at half maximum: one voxel) to the target's;
    not for "nearest", which is for labels.

    Args:
        array: (I, J, K) source values.
        affine: (4, 4) source voxel index → RAS mm.
        shape: voxel counts of the target grid.
        target_affine: (4, 4) target voxel index → RAS mm.
        transform: (4, 4) maps a RAS point of the target to the RAS point of the source that belongs there; identity
            if None. To undo a resampling, pass the inverse.
        interpolation: "linear", "cubic" (B-spline) or "nearest".
        fill: value of target voxels whose centre lies outside the source's box.

    Returns:
        Array of `shape`; of the source's type for "nearest", otherwise float32.

    Raises:
        InputError: the affine of the source cannot be inverted, or the array is not 3-D.
    """
    if array.ndim != 3:
        raise InputError(f"An image has {array.ndim} dimensions where 3 are needed.", "Give a single 3-D volume.")
    try:
        source_index = np.linalg.inv(affine) @ (np.eye(4) if transform is None else transform) @ target_affine
    except np.linalg.LinAlgError as error:
        raise InputError("The affine of an image is singular.", "Repair its header (direction and spacing).") from error
    values = array.astype(np.uint8) if array.dtype == bool else array
    if interpolation != "nearest":
        values = _smoothed_for(values.astype(np.float32), source_index)
    # Both grids are given to SimpleITK in voxel units and the whole geometry in one transform: no change between RAS
    # and LPS, and no restriction on the affine.
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    to_source = sitk.AffineTransform(3)
    to_source.SetMatrix(source_index[:3, :3].ravel().tolist())
    to_source.SetTranslation(source_index[:3, 3].tolist())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape])
    resampler.SetTransform(to_source)
    resampler.SetInterpolator(_INTERPOLATORS[interpolation])
    resampler.SetDefaultPixelValue(float(fill))
    result = np.ascontiguousarray(sitk.GetArrayFromImage(resampler.Execute(image)).T)
    return result.astype(bool) if array.dtype == bool and interpolation == "nearest" else result


def _smoothed_for(values: NDArray[np.float32], source_index: NDArray[np.float64]) -> NDArray[np.float32]:
    """Smooth along each source axis on which the target voxels are larger than `_ALIASING_RATIO` source voxels."""
    ratios = np.linalg.norm(source_index[:3, :3], axis=1)
    for axis, ratio in enumerate(ratios):
        if ratio > _ALIASING_RATIO and values.shape[axis] > 1:
            sigma = np.sqrt(ratio**2 - 1.0) / _FWHM_PER_SIGMA
            values = ndimage.gaussian_filter1d(values, sigma, axis=axis, mode="nearest", truncate=3.0)
    return values
