"""A patient as training and evaluation see it: everything on one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.case import Role


@dataclass(frozen=True, eq=False)
class SliceCounts:
    """Numbers of voxels in each slice k, (K,) each.

    Attributes:
        brain: of the brain.
        known: where the CBV is known.
        lesion: of the lesion.
    """

    brain: NDArray[np.int64]
    known: NDArray[np.int64]
    lesion: NDArray[np.int64]

    @classmethod
    def of(cls, brain: NDArray[np.bool_], known: NDArray[np.bool_], lesion: NDArray[np.bool_]) -> SliceCounts:
        """Counted in (I, J, K) masks."""
        return cls(*(np.count_nonzero(mask, axis=(0, 1)).astype(np.int64) for mask in (brain, known, lesion)))


@dataclass(frozen=True, eq=False)
class Patient:
    """A prepared examination: (I, J, K) arrays on the working grid.

    From the cache, the arrays are float16 or bool views of files on the disk, which are read when they are used.

    Attributes:
        id: identifier of the examination.
        sequences: normalised signal by role, 0 outside the brain.
        brain: the brain.
        lesion: voxels of the lesion, within the brain.
        cbv: in nrCBV, cut off at the ceiling, 0 where it is not known.
        low_pass: its low-pass part, 0 where it is not known.
        known: where the CBV is known; None for the whole brain.
        patient: identifier of the patient; "" for that of the examination.
        group: grade or diagnosis, "" where unknown.
        simulated: whether it is a simulated patient.
        affine: (4, 4) voxel index → RAS mm.
        facts: how it was prepared, as JSON.
        counts: numbers of voxels in each slice; None to have them counted.
        key: its name in the cache, which changes with its content; "" where it does not come from there.
    """

    id: str
    sequences: Mapping[Role, NDArray[np.floating]]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_]
    cbv: NDArray[np.floating]
    low_pass: NDArray[np.floating]
    known: NDArray[np.bool_] | None = None
    patient: str = ""
    group: str = ""
    simulated: bool = False
    affine: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    facts: dict[str, Any] = field(default_factory=dict)
    counts: SliceCounts | None = None
    key: str = ""

    @property
    def target_mask(self) -> NDArray[np.bool_]:
        """Where the CBV is known."""
        return self.brain if self.known is None else self.known

    def slice_counts(self) -> SliceCounts:
        """Numbers of voxels in each slice."""
        return self.counts or SliceCounts.of(self.brain, self.target_mask, self.lesion)


def low_pass(cbv: NDArray[np.floating], brain: NDArray[np.bool_], sigma: NDArray[np.float64]) -> NDArray[np.float32]:
    """Gaussian mean over the brain only, G(cbv·brain)/G(brain): the edge of the brain is not darkened by the air.

    Args:
        cbv: (I, J, K).
        brain: (I, J, K).
        sigma: standard deviation in voxels along each axis.

    Returns:
        (I, J, K), 0 outside the brain.
    """
    weight = ndimage.gaussian_filter(brain.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter((cbv * brain).astype(np.float32), sigma)
    result: NDArray[np.float32] = np.where(brain, smooth / np.maximum(weight, 1e-3), 0).astype(np.float32)
    return result
