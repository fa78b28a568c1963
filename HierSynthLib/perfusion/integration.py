"""Integrals of curves that are linear between their samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]


def trapezoid_weights(frames: int, tr_s: float, start: int = 0, stop: int | None = None) -> Curve:
    """(T,) weights w with Σ w·y = ∫y dt from frame `start` to frame `stop` − 1, in s; 0 outside."""
    weights = np.zeros(frames)
    window = weights[start:stop]
    window[:] = tr_s
    window[[0, -1]] /= 2
    return weights


def washed_out(curve: Curve, rate: float, tr_s: float) -> Curve:
    """(T,) ∫curve(τ)·e^(−rate·(t − τ))dτ from the first frame on, exact between samples; rate in 1/s, 0 or more."""
    x = rate * tr_s
    # ∫ of a line times an exponential over one step; near 0 its series, to avoid differences of nearly equal numbers.
    if x < 1e-4:
        now, before = tr_s * (0.5 - x / 6), tr_s * (0.5 - x / 3)
    else:
        whole = -np.expm1(-x) / x
        now, before = (1 - whole) / rate, (whole - np.exp(-x)) / rate
    keep = np.exp(-x)
    result = np.zeros_like(curve)
    for frame in range(1, len(curve)):
        result[frame] = keep * result[frame - 1] + before * curve[frame - 1] + now * curve[frame]
    return result


def product(curves: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, n) `curves` (N, T) @ `columns` (T, n) for few columns.

    Without BLAS, whose own threads get into the way of the processing's (they wait for each other in busy loops).
    """
    return np.stack([np.einsum("nt,t->n", curves, np.ascontiguousarray(column)) for column in columns.T], axis=1)
