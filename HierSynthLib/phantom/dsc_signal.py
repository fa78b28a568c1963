"""The signal of a spoiled gradient echo with an echo planar read-out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from HierSynthLib.phantom.fields import Array


def saturation(R1: ArrayLike, tr_s: float, flip_deg: float) -> Array:
    """Return sin α·(1 − E1)/(1 − cos α·E1), E1 = e^(−TR·R1): the steady state of a spoiled gradient echo.

    Args:
        R1: longitudinal relaxation rate in 1/s.
        tr_s: repetition time in s.
        flip_deg: flip angle α in degrees.
    """
    angle = np.deg2rad(flip_deg)
    E1 = np.exp(-tr_s * np.asarray(R1, float))
    result: Array = np.sin(angle) * (1 - E1) / (1 - np.cos(angle) * E1)
    return result


def gradient_echo(
    S0: ArrayLike, R1: ArrayLike, R2star: ArrayLike, *, tr_s: float, te_s: float, flip_deg: float
) -> Array:
    """Return S0·sin α·(1 − E1)/(1 − cos α·E1)·e^(−TE·R2*); rates in 1/s, times in s."""
    result: Array = np.asarray(S0, float) * saturation(R1, tr_s, flip_deg) * np.exp(-te_s * np.asarray(R2star, float))
    return result
