"""Intensities on a common scale: the same for training and inference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import Role

# ADC is a physical quantity in 10⁻³ mm²/s, so its scale is fixed: 0 is brain tissue, free water (3.0) is 4.4.
ADC_CENTRE, ADC_SCALE = 0.8, 0.5
LIMIT = 5.0
_MIN_VOXELS = 100


def normalise(
    role: Role, values: NDArray[np.float32], brain: NDArray[np.bool_], core: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Bring a sequence to the scale (x − centre) / scale inside the brain, clipped to ±5.

    ADC is quantitative: centre 0.8 and scale 0.5, both 10⁻³ mm²/s. Other sequences: centre = median and scale = half
    the distance of the 10th and the 90th percentile over `core`; so a linear change of the
    signal (gain, offset) does not change the result.

    Args:
        role: which sequence it is.
        values: (I, J, K) signal, ADC in 10⁻³ mm²/s; NaN where the sequence was not acquired.
        brain: (I, J, K) brain mask.
        core: (I, J, K) the brain without its rim, where the statistics are taken.

    Returns:
        Normalised values, 0 outside the brain and where not acquired, and {"centre": …, "scale": …}.
    """
    inside = brain & np.isfinite(values)
    if role == Role.ADC:
        centre, scale = ADC_CENTRE, ADC_SCALE
    else:
        centre, scale = _robust_range(values[inside & core], values[inside])
    result = np.zeros(values.shape, dtype=np.float32)
    result[inside] = np.clip((values[inside] - centre) / scale, -LIMIT, LIMIT)
    return result, {"centre": centre, "scale": scale}


def _robust_range(core: NDArray[np.float32], all_values: NDArray[np.float32]) -> tuple[float, float]:
    """Median and half the 10–90 % range of the tissue; (median or 0, 1) where there is nothing to measure."""
    values = core if core.size >= _MIN_VOXELS else all_values
    if not values.size:
        return 0.0, 1.0
    low, centre, high = (float(p) for p in np.percentile(values.astype(np.float64), (10, 50, 90)))
    scale = (high - low) / 2
    return centre, scale if scale > 0 else 1.0
