"""Parameters that need no deconvolution: time to peak, peak height, signal recovery."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Curves = NDArray[np.float32]
Values = NDArray[np.float32]


def peak_of(curves: Curves, tr_s: float) -> tuple[Values, Values]:
    """Peak height (PH, in the units of the curves) and time of the peak after the first frame in s, of (N, T) curves.

    A parabola through the highest value and its neighbours gives the time between frames; PH is the highest value.
    """
    rows = np.arange(len(curves))
    top = np.clip(curves.argmax(axis=1), 1, curves.shape[1] - 2)
    before, centre, after = curves[rows, top - 1], curves[rows, top], curves[rows, top + 1]
    bend = before - 2 * centre + after
    shift = np.where(bend < 0, (before - after) / (2 * np.where(bend < 0, bend, 1)), 0)
    return curves.max(axis=1), ((top + np.clip(shift, -1, 1)) * tr_s).astype(np.float32)


def signal_recovery(lowest: Values, late: Values) -> Values:
    """PSR = 100·(S1 − Smin)/(S0 − Smin) in % (Cha 2007), S1 the late and Smin the lowest signal, both relative to S0.

    0 where the signal does not fall.
    """
    fall = 1 - lowest
    return np.asarray(np.where(fall > 1e-6, 100 * (late - lowest) / np.maximum(fall, 1e-6), 0), dtype=np.float32)
