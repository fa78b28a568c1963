"""How far the texture of a prediction is from that of the target, in the descriptors that the training uses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]
Pictures = NDArray[np.float32]

Offsets = tuple[tuple[int, int], ...]

Describe = Callable[[Pictures, int, Offsets | None], NDArray[np.floating]]
"""(N, H, W) pictures in nrCBV, patch edge, neighbours whose co-occurrence is counted (None: those of the training) →
(N, rows, columns, K); patches half a patch apart."""

HELD_OUT_OFFSETS: Offsets = ((1, 1), (2, 0))
"""Neighbours (rows, columns) that no loss of the training looks at; design value."""

# So many slices are described at a time: the descriptors' intermediate arrays are large.
_SLICES_AT_A_TIME = 8

# As the weights of the perfusion-aware constraint have it, a patch counts by its share of lesion; below this it is out.
LEAST_SHARE = 0.25
# A descriptor that hardly varies between the target's patches would otherwise count beyond measure.
LEAST_SPREAD = 1e-3


def describe(pictures: Pictures, patch: int, offsets: Offsets | None = None) -> NDArray[np.floating]:
    """The descriptors φ of `Training/losses/descriptors.py`."""
    from Training.losses.descriptors import OFFSETS, describe_patches

    return np.asarray(describe_patches(pictures, patch, offsets=offsets or OFFSETS))


class DescriptorError:
    """Distance of descriptors between a prediction and one target, in standard deviations of the target's patches.

    Patches of axial slices of the fine structure (y − G_σ∗y); those of which at least a quarter is lesion count.
    """

    def __init__(
        self,
        target: Values,
        brain: Mask,
        roi: Mask,
        patch: int,
        describe: Describe = describe,
        offsets: Offsets | None = None,
    ) -> None:
        """Describe the target.

        Args:
            target: (I, J, K) fine structure of the target, 0 outside the brain.
            brain: (I, J, K).
            roi: (I, J, K), at least one voxel.
            patch: edge in voxels.
            describe: gives the descriptors.
            offsets: neighbours whose co-occurrence is counted; None for those of the training.
        """
        self._patch, self._describe, self._offsets = patch, describe, offsets
        self._slices = np.flatnonzero(roi.any(axis=(0, 1)))
        share = _patch_share(roi[:, :, self._slices], patch)
        self._counted = share >= min(LEAST_SHARE, float(share.max(initial=0.0)))
        self._counted &= share > 0
        self._target = self._of(target)
        inside = _patch_share(brain[:, :, self._slices], patch) > 0.5
        pool = self._target[inside | self._counted]
        self._spread = np.maximum(pool.std(axis=0), LEAST_SPREAD)

    def __call__(self, predicted: Values) -> float | None:
        """Mean over patches and descriptors of |φ(prediction) − φ(target)| / SD; None where no patch fits."""
        if not self._counted.any():
            return None
        gap = np.abs(self._of(predicted)[self._counted] - self._target[self._counted]) / self._spread
        return float(gap.mean())

    def _of(self, fine: Values) -> Values:
        pictures = np.ascontiguousarray(np.moveaxis(fine[:, :, self._slices], 2, 0), dtype=np.float32)
        if min(pictures.shape[1:]) < self._patch:
            return np.zeros((*self._counted.shape, 1))
        parts = [
            np.asarray(
                self._describe(pictures[start : start + _SLICES_AT_A_TIME], self._patch, self._offsets),
                dtype=np.float64,
            )
            for start in range(0, len(pictures), _SLICES_AT_A_TIME)
        ]
        return np.concatenate(parts)


def _patch_share(mask: Mask, patch: int) -> Values:
    """Share of each patch that lies in a mask: (K, rows, columns) of (I, J, K)."""
    if min(mask.shape[:2]) < patch:
        return np.zeros((mask.shape[2], 0, 0))
    sums = np.pad(np.cumsum(np.cumsum(mask, axis=0, dtype=np.int64), axis=1), ((1, 0), (1, 0), (0, 0)))
    i = np.arange(0, mask.shape[0] - patch + 1, patch // 2)
    j = np.arange(0, mask.shape[1] - patch + 1, patch // 2)
    held = (
        sums[np.ix_(i + patch, j + patch)]
        - sums[np.ix_(i, j + patch)]
        - sums[np.ix_(i + patch, j)]
        + sums[np.ix_(i, j)]
    )
    return np.asarray(np.moveaxis(held, 2, 0) / patch**2)
