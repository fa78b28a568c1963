"""Seeded random streams and smooth random fields in physical space.

All fields live in the *frame* of a phantom: millimetres along the axes of its reference grid, zero in the centre of
the field of view. They are cubic B-splines on lattices fixed in millimetres, so the same seed gives the same field on
any grid.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FOV_MM = (192.0, 232.0, 192.0)
"""Field of view of the reference grid along i, j, k in mm."""

Array = NDArray[np.floating[Any]]


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random stream of one purpose; adding a purpose leaves the others as they are."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


@dataclass(frozen=True)
class Axes:
    """Where voxel centres lie along i, j, k, in frame millimetres."""

    i: Array
    j: Array
    k: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of positions along i, j, k."""
        return self.i.size, self.j.size, self.k.size

    @property
    def step(self) -> float:
        """Distance of neighbours in mm (the grids of the simulation are isotropic)."""
        return float(self.i[1] - self.i[0])

    def crop(self, box: tuple[slice, slice, slice]) -> Axes:
        """Return the part inside `box`."""
        return Axes(self.i[box[0]], self.j[box[1]], self.k[box[2]])

    def points(self) -> Array:
        """Return all positions, (3, n) in C order."""
        return np.stack([a.ravel() for a in np.meshgrid(self.i, self.j, self.k, indexing="ij")])

    def slabs(self, voxels: int, multiple: int) -> list[slice]:
        """Return slices along i of about `voxels` voxels each, their lengths multiples of `multiple`."""
        planes = max(1, round(voxels / (self.j.size * self.k.size) / multiple)) * multiple
        return [slice(start, min(start + planes, self.i.size)) for start in range(0, self.i.size, planes)]

    def box_around(self, centre: Array, radius: float) -> tuple[slice, slice, slice]:
        """Return the index box, possibly empty, that holds the ball of `radius` mm around `centre`."""
        sides = []
        for axis, c in zip((self.i, self.j, self.k), centre, strict=True):
            sides.append(slice(int(np.searchsorted(axis, c - radius)), int(np.searchsorted(axis, c + radius))))
        return sides[0], sides[1], sides[2]


def isotropic_axes(spacing: float) -> Axes:
    """Return the axes of the grid of `spacing` mm that covers the field of view, centred in it."""
    counts = [int(np.ceil(extent / spacing - 1e-9)) for extent in FOV_MM]
    return Axes(*[(np.arange(n) - (n - 1) / 2) * spacing for n in counts])


@dataclass(frozen=True)
class Spline:
    """A scalar cubic B-spline over the field of view.

    Attributes:
        coefficients: (a, b, c) on a lattice of `step` mm that reaches beyond the field of view.
        step: lattice spacing in mm.
    """

    coefficients: Array
    step: float

    def on(self, axes: Axes) -> Array:
        """Return the values on a grid, as (i, j, k); separable, hence fast."""
        result = self.coefficients
        for axis, positions in enumerate((axes.i, axes.j, axes.k)):
            weights = _basis(_lattice_index(positions, self.step, axis), self.coefficients.shape[axis])
            result = np.tensordot(result, weights, axes=(0, 1))  # the axes rotate once around in three steps
        return result

    def at(self, points: Array) -> Array:
        """Return the values at scattered `points` (3, n)."""
        index = np.stack([_lattice_index(points[axis], self.step, axis) for axis in range(3)])
        values: Array = ndimage.map_coordinates(self.coefficients, index, order=3, prefilter=False, mode="nearest")
        return values


def lattice_axes(step: float) -> Axes:
    """Return the node positions of the lattice of `step` mm."""
    return Axes(*[(np.arange(_nodes(step, axis)) - 2) * step - FOV_MM[axis] / 2 for axis in range(3)])


def interpolating_spline(values: Array, step: float) -> Spline:
    """Return the spline that passes through `values` at the nodes of `lattice_axes(step)`."""
    return Spline(ndimage.spline_filter(values, order=3, mode="nearest"), step)


def random_spline(rng: np.random.Generator, step: float) -> Spline:
    """Return a random field of mean 0, standard deviation 1 and a correlation length of about `step` mm."""
    shape = tuple(_nodes(step, axis) for axis in range(3))
    # White noise through a cubic B-spline keeps ∫B² = 151/315 of its variance per axis.
    return Spline(rng.standard_normal(shape) * (315 / 151) ** 1.5, step)


def _nodes(step: float, axis: int) -> int:
    return int(np.ceil(FOV_MM[axis] / step)) + 5


def _lattice_index(positions: Array, step: float, axis: int) -> Array:
    index: Array = (positions + FOV_MM[axis] / 2) / step + 2
    return index


def _basis(index: Array, nodes: int) -> Array:
    """Cubic B-spline weights of all nodes at fractional node indices, (n, nodes); nodes beyond the edge repeat it."""
    index = np.clip(index, 0, nodes - 1)
    weights = np.zeros((index.size, nodes))
    first = np.floor(index).astype(int) - 1
    rows = np.arange(index.size)
    for tap in range(4):
        distance = np.abs(index - (first + tap))
        near = 2 / 3 - distance**2 + distance**3 / 2
        far = np.maximum(2 - distance, 0) ** 3 / 6
        np.add.at(weights, (rows, np.clip(first + tap, 0, nodes - 1)), np.where(distance < 1, near, far))
    return weights
