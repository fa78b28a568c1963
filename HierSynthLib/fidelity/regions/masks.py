"""Which voxels of a grid belong to a region.

Everything is decided in physical space, so a grid may be oblique and its voxels of any shape. A voxel belongs to a
shape when its centre lies inside. A shape too small or too flat to hold any centre takes the voxels that it lies in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.polygon import fit_plane, winding
from HierSynthLib.fidelity.regions.shapes import Box, Curve, Labels, Region, Shape, Sphere
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.volume import Volume

OUTSIDE = "lies outside the map"
PARTLY_OUTSIDE = "lies partly outside the map; only the part inside counts"
SMALL = "holds no voxel centre; the nearest voxels that it lies in count"
EMPTY_LABELS = "has no voxel in its label map"
CROSSING = "crosses itself; what it encloses twice does not count"
NOT_FLAT = "is not flat; its points were moved by up to {:.1f} mm into one plane"

# Positions within this of a face lie on it (mm): a face that touches centres on both sides takes those of one side.
TOUCH_MM = 1e-6
_EDGE_VOXELS = 1e-3

Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]
ReadLabels = Callable[[Path], Volume]


@dataclass(frozen=True, eq=False)
class RegionMask:
    """The voxels of a region on a grid.

    Attributes:
        name, role, source: those of the region.
        start: (3,) int, the voxel of the grid at which the crop begins.
        inside: (i, j, k) bool, the smallest crop that holds all voxels of the region; (0, 0, 0) for none.
        notes: sentences on what the user should know, such as that it lies partly outside the map.
    """

    name: str
    role: str
    source: str
    start: NDArray[np.int64]
    inside: Mask
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.inside))

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Where the crop lies in an array of the grid."""
        i, j, k = (slice(int(a), int(a) + n) for a, n in zip(self.start, self.inside.shape, strict=True))
        return i, j, k

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """The values of an array of the grid in the region, (count,)."""
        return np.asarray(array[self.slices][self.inside])

    def centre(self, grid: Grid) -> Vector | None:
        """RAS mm of the centre of gravity of the voxels; None without voxels."""
        if not self.count:
            return None
        middle = np.argwhere(self.inside).mean(axis=0) + self.start
        return np.asarray(grid.affine[:3, :3] @ middle + grid.affine[:3, 3])


def rasterise(region: Region, grid: Grid, read_labels: ReadLabels) -> RegionMask:
    """Find the voxels of a region: those of any of its shapes.

    A closed curve lies in the plane that fits its points best; where it crosses itself, the even-odd rule holds, so
    what it encloses twice is outside. A label map on another grid is sampled at the nearest neighbour.

    Args:
        region: in RAS mm.
        grid: any affine that can be inverted.
        read_labels: gives the volume of a label map's file; it may remember it.

    Raises:
        InputError: a label map cannot be read or is not 3-D, or the affine of the grid is singular.
    """
    try:
        np.linalg.inv(grid.affine)
    except np.linalg.LinAlgError as error:
        raise InputError("The affine of a map is singular.", "Repair its header (direction and spacing).") from error
    parts = [_rasterise_shape(shape, grid, read_labels) for shape in region.shapes]
    notes = []
    for number, part in enumerate(parts, start=1):
        subject = "It" if len(parts) == 1 else f"Shape {number} of {len(parts)}"
        notes += [f"{subject} {note}." for note in part.notes]
    start, inside = _union([part for part in parts if part.inside.any()])
    return RegionMask(region.name, region.role, region.source, start, inside, tuple(notes))


@dataclass(frozen=True, eq=False)
class _Part:
    """The voxels of one shape: a crop of the grid from `start`, not yet the smallest."""

    start: NDArray[np.int64]
    inside: Mask
    notes: tuple[str, ...] = ()


_NOWHERE = np.zeros(3, np.int64)


def _nothing(*notes: str) -> _Part:
    return _Part(_NOWHERE, np.zeros((0, 0, 0), bool), notes)


def _union(parts: list[_Part]) -> tuple[NDArray[np.int64], Mask]:
    """The smallest crop that holds all parts, none of which is empty."""
    if not parts:
        return _NOWHERE, np.zeros((0, 0, 0), bool)
    start = np.min([part.start for part in parts], axis=0)
    stop = np.max([part.start + part.inside.shape for part in parts], axis=0)
    together = np.zeros(stop - start, bool)
    for part in parts:
        first = part.start - start
        together[tuple(slice(a, a + n) for a, n in zip(first, part.inside.shape, strict=True))] |= part.inside
    box = bounds(together)
    return start + [extent.start for extent in box], np.ascontiguousarray(together[box])


def bounds(mask: Mask) -> tuple[slice, slice, slice]:
    """The smallest crop that holds every True of a mask, which has at least one."""
    crop = [slice(None)] * 3
    for axis in range(3):
        hit = np.flatnonzero(mask[tuple(crop)].any(axis=tuple({0, 1, 2} - {axis})))
        crop[axis] = slice(int(hit[0]), int(hit[-1]) + 1)
    return crop[0], crop[1], crop[2]


def _rasterise_shape(shape: Shape, grid: Grid, read_labels: ReadLabels) -> _Part:
    if isinstance(shape, Labels):
        return _labels(shape, grid, read_labels)
    if isinstance(shape, Sphere):
        return _sphere(shape, grid)
    prism = _Prism.of_box(shape) if isinstance(shape, Box) else _Prism.of_curve(shape)
    return prism.rasterise(grid)


def _to_index(grid: Grid) -> NDArray[np.float64]:
    """(4, 4) RAS mm → voxel index."""
    return np.asarray(np.linalg.inv(grid.affine), dtype=np.float64)


def _at(matrix: Vector, points: Vector) -> Vector:
    """Points (…, 3) through an affine (4, 4)."""
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


@dataclass(frozen=True, eq=False)
class _Window:
    """The voxels of a grid within the bounds of a shape.

    Attributes:
        start, stop: first voxel, and the one after the last.
        beyond: whether the shape reaches over the edge of the grid.
    """

    grid: Grid
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    beyond: bool

    @classmethod
    def around(cls, grid: Grid, low: Vector, high: Vector) -> _Window:
        """From the bounds of the shape in voxel indices, not rounded."""
        edge = np.asarray(grid.shape) - 0.5
        beyond = bool((low < -0.5 - _EDGE_VOXELS).any() or (high > edge + _EDGE_VOXELS).any())
        start = np.clip(np.ceil(low - _EDGE_VOXELS), 0, grid.shape).astype(np.int64)
        stop = np.clip(np.floor(high + _EDGE_VOXELS) + 1, start, grid.shape).astype(np.int64)
        return cls(grid, start, stop, beyond)

    def along(self, directions: Vector, origin: Vector) -> list[Vector]:
        """Coordinates (i, j, k) of the voxel centres from `origin` along each of some directions (columns), mm."""
        steps = directions.T @ self.grid.affine[:3, :3]
        first = directions.T @ (self.grid.affine[:3, 3] - origin)
        i, j, k = np.ogrid[tuple(slice(int(a), int(b)) for a, b in zip(self.start, self.stop, strict=True))]
        return [a + s[0] * i + s[1] * j + s[2] * k for a, s in zip(first, steps, strict=True)]

    def part(self, inside: Mask, *notes: str) -> _Part:
        """The part of a shape that holds at least one voxel centre of the window."""
        return _Part(self.start, inside, (*notes, *([PARTLY_OUTSIDE] if self.beyond else [])))


def _voxels_at(grid: Grid, points: Vector, *notes: str) -> _Part:
    """The voxels that hold the points (N, 3) of a shape without a voxel centre."""
    index = np.floor(_at(_to_index(grid), points) + 0.5).astype(np.int64)
    here = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
    if not len(here):
        return _nothing(OUTSIDE)
    start = here.min(axis=0)
    inside = np.zeros(here.max(axis=0) - start + 1, bool)
    inside[tuple((here - start).T)] = True
    return _Part(start, inside, (*notes, SMALL))


def _sphere(sphere: Sphere, grid: Grid) -> _Part:
    to_index = _to_index(grid)
    middle = _at(to_index, sphere.centre)
    reach = sphere.radius_mm * np.linalg.norm(to_index[:3, :3], axis=1)
    window = _Window.around(grid, middle - reach, middle + reach)
    x, y, z = window.along(np.eye(3), sphere.centre)
    inside = x * x + y * y + z * z <= (sphere.radius_mm + TOUCH_MM) ** 2
    return window.part(inside) if inside.any() else _voxels_at(grid, sphere.centre[None])


@dataclass(frozen=True, eq=False)
class _Prism:
    """A polygon with a thickness.

    Attributes:
        origin: (3,) RAS mm, a point of the plane.
        axes: (3, 3) unit vectors as columns: two in the plane, and its normal.
        polygon: (N, 2) mm along the first two axes.
        thickness: mm along the third.
        departure: how far points had to be moved into the plane, mm.
    """

    origin: Vector
    axes: Vector
    polygon: Vector
    thickness: float
    departure: float = 0.0

    @classmethod
    def of_box(cls, box: Box) -> _Prism:
        """A cuboid as a rectangle with its shortest edge as thickness."""
        order = np.argsort(-box.size_mm, kind="stable")
        u, v, thickness = box.size_mm[order]
        rectangle = np.array([(-u, -v), (u, -v), (u, v), (-u, v)]) / 2
        return cls(box.centre, box.axes[:, order], rectangle, float(thickness))

    @classmethod
    def of_curve(cls, curve: Curve) -> _Prism:
        """A closed curve in the plane that fits it best."""
        plane = fit_plane(curve.points)
        departure = plane.departure if plane.departure > curve.thickness_mm / 2 else 0.0
        return cls(plane.origin, plane.axes, plane.polygon, curve.thickness_mm, departure)

    def rasterise(self, grid: Grid) -> _Part:
        """The voxels whose centres lie in the prism."""
        notes = (NOT_FLAT.format(self.departure),) if self.departure else ()
        window, inside, crossing = self._inside(grid, self.thickness)
        if not inside.any():
            return self._thin(grid, *notes)
        return window.part(inside, *notes, *((CROSSING,) if crossing else ()))

    def _thin(self, grid: Grid, *notes: str) -> _Part:
        """The voxels that the middle plane cuts; for a shape that is small in the plane too, that of its middle."""
        across = float(np.abs(self.axes[:, 2] @ grid.affine[:3, :3]).sum())
        window, inside, _ = self._inside(grid, max(self.thickness, across))
        if inside.any():
            return window.part(inside, *notes, SMALL)
        middle = self.origin + self.axes[:, :2] @ self.polygon.mean(axis=0)
        return _voxels_at(grid, middle[None], *notes)

    def _inside(self, grid: Grid, thickness: float) -> tuple[_Window, Mask, bool]:
        """The window, the voxels of it in the prism, and whether the polygon encloses some of them twice."""
        half = thickness / 2
        around = [
            self.origin + self.axes @ [u, v, w]
            for (u, v), w in product(self.polygon, (-half, half))
        ]  # fmt: skip
        index = _at(_to_index(grid), np.array(around))
        window = _Window.around(grid, index.min(axis=0), index.max(axis=0))
        u, v, w = window.along(self.axes, self.origin)
        # A face belongs to the prism on one side only: a box of 10 mm holds 10 voxels of 1 mm, wherever it lies.
        inside = (w >= -half - TOUCH_MM) & (w < half - TOUCH_MM)
        turns = winding(self.polygon, np.stack([u[inside], v[inside]], axis=1) + TOUCH_MM)
        inside[inside] = turns.odd
        return window, inside, turns.crossing


def _labels(labels: Labels, grid: Grid, read_labels: ReadLabels) -> _Part:
    volume = read_labels(labels.file)
    if volume.frames != 1 or volume.array.ndim > 3:
        raise InputError(
            f"{labels.file} holds {volume.frames} images instead of one label map.",
            "Export the segments as one label map.",
        )
    own = Grid(volume.grid, volume.affine)
    array = volume.array.reshape(volume.grid)
    hit = array == labels.values[0]
    for value in labels.values[1:]:
        hit |= array == value
    if not hit.any():
        return _nothing(EMPTY_LABELS)
    box = bounds(hit)
    first = np.array([extent.start for extent in box])
    hit = np.ascontiguousarray(hit[box])
    if own.same(grid):
        return _Part(first, hit)
    return _resampled(hit, own.cropped(first, first + hit.shape), grid)


def _resampled(hit: Mask, own: Grid, grid: Grid) -> _Part:
    """Labelled voxels on another grid: the voxels of `grid` whose nearest neighbour is labelled."""
    index = _at(_to_index(grid), own.corners())
    window = _Window.around(grid, index.min(axis=0), index.max(axis=0))
    if (window.stop <= window.start).any():
        return _voxels_at(grid, _places(hit, own))
    target = grid.cropped(window.start, window.stop)
    inside = resample(hit, own.affine, target.shape, target.affine, interpolation="nearest")
    if not inside.any():
        return _voxels_at(grid, _places(hit, own))
    notes = (PARTLY_OUTSIDE,) if window.beyond and _leaves(_places(hit, own), grid) else ()
    return _Part(window.start, inside, notes)


def _places(hit: Mask, own: Grid) -> Vector:
    """(N, 3) RAS mm of the labelled voxels."""
    return _at(own.affine, np.argwhere(hit).astype(np.float64))


def _leaves(points: Vector, grid: Grid) -> bool:
    index = _at(_to_index(grid), points)
    return bool(((index < -0.5) | (index > np.asarray(grid.shape) - 0.5)).any())
