"""2.5-D input: neighbouring slices of every sequence as channels of one picture, for training and inference alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import Role


class SliceStacks:
    """Cuts network inputs out of a prepared case.

    Channels of a stack: for each sequence its `slices` neighbouring slices, inferior first; then one availability plane
    per sequence (1 inside the picture where the sequence exists, else 0); last the brain mask of the centre slice.

    Args:
        sequences: normalised volumes (I, J, K) by role, float32, or float16 where memory is short; a role of `order`
            that is absent becomes zeros.
        brain: (I, J, K) bool.
        order: the roles in the order in which the model was trained.
        slices: number of neighbouring slices, odd.
        step: distance of neighbouring slices in voxels.
        multiple: pictures are padded with zeros to multiples of this.

    Raises:
        ValueError: shapes differ or `slices` is even.
    """

    def __init__(
        self,
        sequences: Mapping[Role, NDArray[np.floating]],
        brain: NDArray[np.bool_],
        *,
        order: Sequence[Role],
        slices: int,
        step: int,
        multiple: int,
    ) -> None:
        if slices % 2 == 0:
            raise ValueError(f"slices must be odd, not {slices}")
        for role in order:
            if role in sequences and sequences[role].shape != brain.shape:
                raise ValueError(f"{role} has shape {sequences[role].shape}, the brain mask {brain.shape}")
        i, j, k = brain.shape
        self.shape = (i, j)
        self.padding = ((-i) % multiple // 2, (-j) % multiple // 2)
        self.padded = (i + (-i) % multiple, j + (-j) % multiple)
        self.offsets = (np.arange(slices) - slices // 2) * step
        self.available = np.array([role in sequences for role in order])
        precision = np.result_type(np.float16, *(array.dtype for array in sequences.values()))
        self._planes = np.zeros((k, len(order), *self.padded), precision)
        self._brain = np.zeros((k, *self.padded), bool)
        window = self._window()
        self._brain[:, *window] = np.moveaxis(brain, 2, 0)
        for channel, role in enumerate(order):
            if role in sequences:
                self._planes[:, channel, *window] = np.moveaxis(sequences[role], 2, 0)

    def _window(self) -> tuple[slice, slice]:
        (top, left), (i, j) = self.padding, self.shape
        return slice(top, top + i), slice(left, left + j)

    def batch(self, centres: Sequence[int]) -> NDArray[np.float32]:
        """The stacks of the slices `centres`: (B, M·slices + M + 1, H, W) float32.

        Beyond the first and the last slice the outermost slice is repeated.
        """
        neighbours = np.clip(np.asarray(centres)[:, None] + self.offsets, 0, len(self._brain) - 1)
        stack = self._planes[neighbours]  # (B, slices, M, H, W)
        stack = np.moveaxis(stack, 2, 1).reshape(len(centres), -1, *self.padded)
        available = np.broadcast_to(
            self.available[None, :, None, None].astype(np.float32), (len(centres), len(self.available), *self.padded)
        )
        brain = self._brain[np.asarray(centres)][:, None]
        return np.concatenate([stack, available, brain], axis=1, dtype=np.float32)

    def unpad(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, H, W) as the network returns them → (B, I, J)."""
        return pictures[:, *self._window()]


def occupied_slices(brain: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Indices k of the slices that contain brain; the others need no synthesis."""
    return np.flatnonzero(brain.any(axis=(0, 1)))
