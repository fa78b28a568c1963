"""Relative CBV on a common scale: by normal-appearing white matter, or by the histogram of the whole brain."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from HierSynthLib.errors import InputError

Values = NDArray[np.float32]

LANDMARK_PERCENTILES = (2.0, 10.0, 25.0, 50.0, 75.0, 90.0, 98.0)
"""Percentiles of rCBV over the brain that are mapped to the reference scale (deciles and quartiles: Nyúl 2000)."""

REFERENCE_SCALE = (0.15, 0.65, 1.00, 1.50, 2.20, 3.30, 6.50)
"""Where they lie on the standard scale, in about nrCBV (design values)."""

LEAST_VOXELS = 20
_LEAST_BRAIN_VOXELS = 1000


def normalise_to_white_matter(rcbv: Values, white_matter: NDArray[np.bool_]) -> tuple[Values, float]:
    """NrCBV: rCBV divided by its mean over normal-appearing white matter (NAWM).

    Args:
        rcbv: relative CBV, any shape and unit.
        white_matter: NAWM, same shape.

    Returns:
        The map, and the mean by which it was divided.

    Raises:
        InputError: NAWM is too small, or its mean CBV is not positive.
    """
    values = rcbv[white_matter]
    if values.size < LEAST_VOXELS:
        raise InputError(
            f"The normal-appearing white matter has {values.size} voxels of the DSC series.",
            f"At least {LEAST_VOXELS} are needed; is it on the grid of the series and within the brain?",
        )
    mean = float(values.mean(dtype=np.float64))
    if not mean > 0:
        raise InputError(
            "The mean CBV of the normal-appearing white matter is not positive.",
            "Draw it in white matter away from lesions, vessels and the skull base.",
        )
    return np.asarray(rcbv / np.float32(mean)), mean


def landmarks(rcbv: Values, brain: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(7,) values of rCBV over the brain at `LANDMARK_PERCENTILES`.

    Raises:
        InputError: the brain is too small or its rCBV nearly constant.
    """
    values = rcbv[brain]
    if values.size < _LEAST_BRAIN_VOXELS:
        raise InputError(
            f"The brain has {values.size} voxels, too few to standardise rCBV.", "Give the mask of the whole brain."
        )
    found = np.percentile(values.astype(np.float64), LANDMARK_PERCENTILES)
    if np.any(np.diff(found) <= 0):
        raise InputError("rCBV is nearly constant over the brain.", "Check the brain mask and the series.")
    return np.asarray(found)


def standardise(rcbv: Values, brain: NDArray[np.bool_], scale: ArrayLike = REFERENCE_SCALE) -> Values:
    """Standardised rCBV: the landmarks of the histogram are mapped to a reference scale (Bedekar 2010, Nyúl 2000).

    Linear between the landmarks; beyond the outermost the nearest segment continues. It needs no reference region.

    Raises:
        InputError: as for `landmarks`, or the scale does not rise.
    """
    own, target = landmarks(rcbv, brain), np.asarray(scale, dtype=np.float64)
    if target.shape != own.shape or np.any(np.diff(target) <= 0):
        raise InputError(f"The reference scale needs {len(own)} rising values.", "Use the default.")
    segment = np.clip(np.searchsorted(own, rcbv, side="right") - 1, 0, len(own) - 2)
    slope = np.diff(target) / np.diff(own)
    return np.asarray(target[segment] + slope[segment] * (rcbv - own[segment]), dtype=np.float32)
