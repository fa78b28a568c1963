"""Scanner space: where the patient lies, the grids of the sequences, and sampling of the simulated signal on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.case import Role
from HierSynthLib.phantom.deformation import rotation
from HierSynthLib.phantom.fields import FOV_MM, Array, Axes, stream
from HierSynthLib.phantom.signal import block_mean

ACQUISITIONS = (Role.T1, Role.T2, Role.FLAIR, Role.ADC, Role.CBV_ACQUIRED)


@dataclass(frozen=True)
class ImageGrid:
    """The grid of an acquired volume.

    Attributes:
        shape: voxels along i, j, k.
        spacing: voxel edges in mm.
        frame: (4, 4) rigid: mm along the grid's axes from the centre of its field of view → RAS mm.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    frame: Array

    @classmethod
    def covering(cls, spacing: tuple[float, float, float], frame: Array) -> ImageGrid:
        """Return the grid of `spacing` that covers the field of view."""
        i, j, k = (int(np.ceil(extent / s - 1e-9)) for extent, s in zip(FOV_MM, spacing, strict=True))
        return cls((i, j, k), spacing, frame)

    @property
    def axes(self) -> Axes:
        """Voxel centres along the grid's axes, mm from the centre."""
        return Axes(*[(np.arange(n) - (n - 1) / 2) * s for n, s in zip(self.shape, self.spacing, strict=True)])

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) voxel → RAS mm."""
        place = np.diag([*self.spacing, 1.0])
        place[:3, 3] = [-(n - 1) / 2 * s for n, s in zip(self.shape, self.spacing, strict=True)]
        return np.asarray(self.frame @ place, np.float64)


@dataclass(frozen=True)
class Scene:
    """Grids and patient in scanner space.

    Attributes:
        frame: (4, 4) frame mm of the simulation → RAS mm, in the reference position of the patient.
        movement: per acquisition, (4, 4) rigid RAS mm: where a point of the reference position lies during it.
        frames: per acquisition, (4, 4): axes and centre of its field of view → RAS mm.
    """

    frame: Array
    movement: dict[Role, Array]
    frames: dict[Role, Array]

    @classmethod
    def drawn(cls, seed: int, misalignment: bool) -> Scene:
        """Draw an oblique reference grid and, with `misalignment`, a movement and a grid of its own per acquisition.

        Movements are at most 2.5° about each axis and 2.5 mm along it.
        """
        rng = stream(seed, "scanner")
        frame = _rigid(rng.normal(0, (5.0, 3.0, 4.0)).clip(-14, 14), rng.uniform(-15, 15, 3))
        movement, frames = {}, {}
        for role in ACQUISITIONS:
            turn, shift = rng.normal(0, 1.0, 3).clip(-2.5, 2.5), rng.normal(0, 1.0, 3).clip(-2.5, 2.5)
            tilt, move = rng.normal(0, 2.0, 3).clip(-5, 5), rng.uniform(-3, 3, 3)
            still = role is Role.T1 or not misalignment
            movement[role] = np.eye(4) if still else _about(frame[:3, 3], turn, shift)
            frames[role] = frame if still else frame @ _rigid(tilt, move)
        return cls(frame, movement, frames)

    def ras(self, point: Array) -> list[float]:
        """Return a frame point in RAS mm, rounded to 0.001 mm."""
        return [round(float(v), 3) for v in (self.frame @ [*point, 1.0])[:3]]


class Sampler:
    """Measures simulated signals on the grid of an acquisition, a few planes at a time.

    A voxel measures the mean of the signal over itself (its slice profile is rectangular): each is divided into parts
    of about the size of the simulated voxels, at whose centres the signal is interpolated linearly.
    """

    def __init__(self, affine: Array, grid: ImageGrid, movement: Array, in_plane_parts: int | None = None) -> None:
        """Prepare the map from parts of voxels to simulated voxels.

        Args:
            affine: (4, 4) simulated voxel → RAS mm in the reference position.
            grid: what to acquire, in scanner space.
            movement: (4, 4) rigid, reference position → position during the acquisition.
            in_plane_parts: parts per voxel along i and j instead of the number that follows from the spacing.
        """
        step = float(np.linalg.norm(affine[:3, 0]))
        parts = [max(1, round(s / step)) for s in grid.spacing]
        if in_plane_parts is not None:
            parts[:2] = [in_plane_parts] * 2
        self._parts = (parts[0], parts[1], parts[2])
        self._shape = tuple(n * p for n, p in zip(grid.shape, parts, strict=True))
        finer = np.diag([*(1 / p for p in parts), 1.0])
        finer[:3, 3] = [(1 / p - 1) / 2 for p in parts]
        self._matrix = np.linalg.inv(movement @ affine) @ grid.affine @ finer

    def planes(self, signal: Array, slab: slice) -> Array:
        """Return the mean of `signal` over the voxels of the planes `slab` along i; zero outside the simulation."""
        start, count = slab.start * self._parts[0], (slab.stop - slab.start) * self._parts[0]
        shape = (count, *self._shape[1:])
        offset = self._matrix[:3, 3] + self._matrix[:3, 0] * start
        whole = np.round(offset)
        if np.allclose(self._matrix[:3, :3], np.eye(3), atol=1e-9) and np.allclose(offset, whole, atol=1e-6):
            values = _cut(signal, [int(v) for v in whole], shape)
        else:
            values = ndimage.affine_transform(signal, self._matrix[:3, :3], offset, output_shape=shape, order=1)
        return block_mean(values, self._parts)


def _cut(signal: Array, start: list[int], shape: tuple[int, ...]) -> Array:
    """Return the block of `shape` at `start` where the grids agree, without interpolation; zero outside."""
    result = np.zeros(shape)
    source = tuple(slice(max(s, 0), max(min(s + n, m), 0)) for s, n, m in zip(start, shape, signal.shape, strict=True))
    target = tuple(slice(a.start - s, max(a.stop - s, 0)) for a, s in zip(source, start, strict=True))
    result[target] = signal[source]
    return result


def _rigid(degrees: Array, shift: Array) -> Array:
    result = np.eye(4)
    result[:3, :3] = rotation(np.deg2rad(degrees))
    result[:3, 3] = shift
    return result


def _about(centre: Array, degrees: Array, shift: Array) -> Array:
    """Return the rigid motion that turns about `centre` and then shifts."""
    result = _rigid(degrees, shift)
    result[:3, 3] += centre - result[:3, :3] @ centre
    return result
