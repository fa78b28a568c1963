"""A coarse view of a volume, for checks that must not take time."""

from __future__ import annotations

import numpy as np

from HierSynthLib.volume import Volume

_VOXELS_PER_AXIS = 64


def sample(volume: Volume) -> Volume:
    """Every n-th voxel along each axis, so that at most 64 (and one frame in n) are left; in the same place in space.

    The values are a view, not a copy.
    """
    steps = [max(1, -(-count // _VOXELS_PER_AXIS)) for count in volume.array.shape]
    affine = volume.affine.copy()
    affine[:3, : min(3, len(steps))] *= steps[:3]
    return Volume(volume.array[tuple(slice(None, None, step) for step in steps)], affine, volume.units)


def occupied_sample(volume: Volume) -> Volume:
    """As `sample`; where a mask is too small to appear in every n-th voxel, the box around what is not 0.

    An empty mask stays empty.
    """
    coarse = sample(volume)
    return coarse if np.any(coarse.array) else _occupied_box(volume)


def _occupied_box(volume: Volume) -> Volume:
    array, start = volume.array, np.zeros(3)
    for axis in reversed(range(min(3, array.ndim))):
        # Slice by slice: the last axis first, along which the slices of most images are contiguous in memory.
        slices = np.moveaxis(array, axis, 0)
        occupied = [number for number, voxels in enumerate(slices) if voxels.any()]
        if not occupied:
            return sample(volume)
        start[axis] = occupied[0]
        array = np.moveaxis(slices[occupied[0] : occupied[-1] + 1], 0, axis)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.positions(start)
    return Volume(array, affine, volume.units)
