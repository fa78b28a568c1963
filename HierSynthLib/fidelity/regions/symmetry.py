"""The brain's plane of symmetry, between its hemispheres.

The plane is sought in which the image resembles its own mirror image most, as Ardekani et al. (IEEE Trans Med Imaging
16 (1997) 947–952) did, from coarse to fine and from many starting planes. As in the edge-based methods for diseased
brains (Liu, Collins, Rothfus, IEEE Trans Med Imaging 20 (2001) 175–192; Ruppert et al., IEEE ISBI 2011, 285–288), what
is compared is not the signal but its local contrast, of limited size: uneven reception has no influence, and a lesion
little more than its volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.masks import bounds
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.progress import Reporter

Vector = NDArray[np.float64]
Map = NDArray[np.float32]

_WORKING_MM = 2.5
# The first search is in a blurred image (Gaussian σ).
_COARSE_MM = 3.0
# Mirror images are compared at every second voxel along each axis.
_EVERY = 2
# Local contrast: relative to surroundings of this size (Gaussian σ), and limited to this many standard deviations.
_SURROUNDINGS_MM = 12.0
_LIMIT = 2.0
# The starting planes: turned (about superior) and tilted (about anterior) in steps, and shifted from the centroid.
_ANGLES_DEG = np.arange(-24.0, 25.0, 8.0)
_SHIFTS_MM = np.arange(-8.0, 9.0, 4.0)
_STARTS = 3
_FEWEST_VOXELS = 1000
# How much the agreement of the brain's outlines counts beside that of what is inside.
_OUTLINE = 0.5


@dataclass(frozen=True, eq=False)
class SymmetryPlane:
    """The plane between the hemispheres.

    Attributes:
        normal: (3,) unit vector in RAS that points to the patient's right.
        point: (3,) RAS mm, the point of the plane nearest to the centroid of the brain.
        correlation: normalised correlation of the local contrast with its mirror image within the brain, −1 to 1.
    """

    normal: Vector
    point: Vector
    correlation: float

    @property
    def superior(self) -> Vector:
        """(3,) unit vector in the plane, closest to superior."""
        up = np.array([0.0, 0.0, 1.0])
        up -= (up @ self.normal) * self.normal
        return np.asarray(up / np.linalg.norm(up))

    @property
    def axes(self) -> Vector:
        """(3, 3) unit vectors as columns: right, anterior, superior of the brain."""
        return np.stack([self.normal, np.cross(self.superior, self.normal), self.superior], axis=1)

    def side(self, point: Vector) -> float:
        """Distance (mm) of a RAS point from the plane, positive on the patient's right."""
        return float((np.asarray(point) - self.point) @ self.normal)


def find_symmetry(values: Map, grid: Grid, brain: NDArray[np.bool_], reporter: Reporter) -> SymmetryPlane:
    """Find the plane of symmetry of a brain whose head is turned and tilted by up to about 25°.

    Args:
        values: (I, J, K) signal of an anatomical volume.
        grid: its grid, with any orientation.
        brain: (I, J, K) brain mask.
        reporter: told about progress.

    Raises:
        InputError: the brain mask is (nearly) empty, or the image is constant in it.
    """
    reporter.progress("symmetry plane", 0.0)
    if not brain.any():
        raise InputError("The brain mask is empty.", "Check that it belongs to this examination.")
    crop = bounds(brain)
    grid = grid.cropped([extent.start for extent in crop], [extent.stop for extent in crop])
    working = _along_ras(grid, _WORKING_MM)
    inside = resample(brain[crop].astype(np.float32), grid.affine, working.shape, working.affine) > 0.5
    reporter.progress("symmetry plane", 0.05)
    if np.count_nonzero(inside) < _FEWEST_VOXELS:
        raise InputError(
            f"The brain mask has {np.count_nonzero(inside) * _WORKING_MM**3 / 1000:.1f} ml.",
            "Check that it belongs to this examination.",
        )
    finite = np.where(np.isfinite(values[crop]), values[crop], 0).astype(np.float32)
    signal = resample(finite, grid.affine, working.shape, working.affine)
    reporter.progress("symmetry plane", 0.15)
    contrast = _local_contrast(signal, inside)
    if not contrast.any():
        raise InputError("The anatomical volume is constant in the brain.", "Choose another one.")
    fine = _Mirror(contrast, inside, working)
    coarse = _Mirror(ndimage.gaussian_filter(contrast, _COARSE_MM / _WORKING_MM), inside, working)
    reporter.progress("symmetry plane", 0.25)
    starts = [np.array([*angles, shift]) for *angles, shift in product(_ANGLES_DEG, _ANGLES_DEG, _SHIFTS_MM)]
    scored = []
    for number, start in enumerate(starts):
        if number % 25 == 0:
            reporter.progress("symmetry plane", 0.25 + 0.4 * number / len(starts))
        scored.append((coarse.score(start), number))
    highest = [number for _, number in sorted(scored, reverse=True)[:_STARTS]]
    climbed = [coarse.climb(starts[number], reporter, 0.65 + 0.05 * n) for n, number in enumerate(highest)]
    best = max(climbed, key=coarse.score)
    best = fine.climb(best, reporter, 0.8, precision=0.02)
    reporter.progress("symmetry plane", 1.0)
    return fine.plane(best)


def _along_ras(grid: Grid, spacing_mm: float) -> Grid:
    """The isotropic grid along right, anterior and superior that holds another one and a margin."""
    corners = grid.corners()
    low, high = corners.min(axis=0) - 2 * spacing_mm, corners.max(axis=0) + 2 * spacing_mm
    i, j, k = (int(n) for n in np.ceil((high - low) / spacing_mm))
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low
    return Grid((i, j, k), affine)


def _local_contrast(signal: Map, inside: NDArray[np.bool_]) -> Map:
    """Deviation from the local mean in local standard deviations of the brain, limited; 0 outside it."""
    sigma = _SURROUNDINGS_MM / _WORKING_MM
    low, high = np.percentile(signal[inside], (1, 99))
    clipped = np.where(inside, np.clip(signal, low, high), 0).astype(np.float32)
    weight = np.maximum(ndimage.gaussian_filter(inside.astype(np.float32), sigma), 1e-3)
    mean = ndimage.gaussian_filter(clipped, sigma) / weight
    away = np.where(inside, clipped - mean, 0)
    spread = np.sqrt(ndimage.gaussian_filter(away**2, sigma) / weight)
    floor = 0.2 * float(np.sqrt(np.mean(away[inside] ** 2)))  # where there is no contrast, noise is not made large
    if floor <= 0:
        return np.zeros_like(clipped)
    return np.asarray(np.clip(away / np.maximum(spread, floor), -_LIMIT, _LIMIT) * inside, dtype=np.float32)


class _Mirror:
    """An image of the brain that can be compared with its mirror image in any plane.

    A plane is given by three numbers: turn (°, about superior), tilt (°, about anterior), and shift (mm) from the
    centroid of the brain along its normal.
    """

    def __init__(self, contrast: Map, inside: NDArray[np.bool_], grid: Grid) -> None:
        self._contrast, self._grid = contrast, grid
        self._outline = inside.astype(np.float32)
        voxels = np.argwhere(inside)
        self._centroid = grid.affine[:3, :3] @ voxels.mean(axis=0) + grid.affine[:3, 3]
        voxels = voxels[(voxels % _EVERY == 0).all(axis=1)]
        self._own = contrast[tuple(voxels.T)]
        self._places = voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3]

    def plane(self, parameters: Vector) -> SymmetryPlane:
        """The plane with its correlation."""
        normal = _normal(parameters)
        correlation, _ = self._agreement(parameters)
        return SymmetryPlane(normal, np.asarray(self._centroid + parameters[2] * normal), correlation)

    def score(self, parameters: Vector) -> float:
        """How well image and mirror image agree; larger is better."""
        correlation, overlap = self._agreement(parameters)
        return correlation + _OUTLINE * overlap

    def climb(self, start: Vector, reporter: Reporter, fraction: float, precision: float = 0.2) -> Vector:
        """The best plane near `start` (Nelder and Mead)."""

        def cost(parameters: Vector) -> float:
            reporter.progress("symmetry plane", fraction)
            return -self.score(parameters)

        simplex = start + np.vstack([np.zeros(3), np.diag([4.0, 4.0, 3.0])])
        options = {"initial_simplex": simplex, "xatol": precision, "fatol": 1e-4, "maxfev": 120}
        return np.asarray(optimize.minimize(cost, start, method="Nelder-Mead", options=options).x)

    def _agreement(self, parameters: Vector) -> tuple[float, float]:
        """Correlation of the contrast with its mirror image, and the share of the brain whose mirror place is brain."""
        normal = _normal(parameters)
        away = (self._places - self._centroid) @ normal - parameters[2]
        mirrored = self._places - 2 * away[:, None] * normal
        index = ((mirrored - self._grid.affine[:3, 3]) / np.diag(self._grid.affine)[:3]).T
        overlap = ndimage.map_coordinates(self._outline, index, order=1)
        other = ndimage.map_coordinates(self._contrast, index, order=1)
        both = overlap > 0.5
        own, other = self._own[both], other[both]
        size = float(np.sqrt((own @ own) * (other @ other)))
        return (float(own @ other) / size if size > 0 else 0.0), float(overlap.mean())


def _normal(parameters: Vector) -> Vector:
    """Unit vector: right, turned about superior, then tilted about anterior."""
    turn, tilt = np.deg2rad(parameters[:2])
    return np.array([np.cos(tilt) * np.cos(turn), np.cos(tilt) * np.sin(turn), np.sin(tilt)])
