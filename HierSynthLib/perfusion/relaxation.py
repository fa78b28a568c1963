"""ΔR2*: from signal to what is proportional to the concentration of the contrast agent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Curves = NDArray[np.float32]


def baseline_level(signal: Curves, baseline: slice) -> NDArray[np.float32]:
    """(N,) mean signal of the baseline of (N, T) curves, S0."""
    return np.asarray(signal[:, baseline].mean(axis=1))


def log_drop(signal: Curves, level: NDArray[np.float32], floor: float) -> Curves:
    """−ln(S/S0) of (N, T) signal and (N,) baseline; S/S0 is at least `floor`, and S0 ≤ 0 gives 0."""
    usable = level > 0
    ratio = signal / np.where(usable, level, np.float32(1))[:, None]
    np.maximum(ratio, np.float32(floor), out=ratio)
    np.log(ratio, out=ratio)
    np.negative(ratio, out=ratio)
    ratio[~usable] = 0
    return np.asarray(ratio)


def single_echo(drop: Curves, te_s: float) -> Curves:
    """ΔR2* = −(1/TE)·ln(S/S0) in 1/s (Rosen 1990), from `log_drop`; TE in s."""
    return np.asarray(drop * np.float32(1 / te_s))


def dual_echo(first: Curves, second: Curves, te_s: tuple[float, float]) -> Curves:
    """ΔR2* = ln[(S1/S1₀)/(S2/S2₀)]/(TE2 − TE1) in 1/s, free of T1 effects, from the `log_drop` of both echoes."""
    return np.asarray((second - first) * np.float32(1 / (te_s[1] - te_s[0])))
