"""From tissue to MR signal, and from signal to an acquired volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from HierSynthLib.phantom.fields import Array

B_VALUE = 1000.0
"""Diffusion weighting of the simulated DWI in s/mm²."""


@dataclass(frozen=True)
class Protocol:
    """Timing of one sequence in ms; `TI` is None for a spin echo."""

    TR: float
    TE: float
    TI: float | None = None


PROTOCOLS = {
    "T1": Protocol(TR=600, TE=10),
    "T2": Protocol(TR=5000, TE=100),
    "FLAIR": Protocol(TR=9000, TE=120, TI=2500),
    "DWI": Protocol(TR=5000, TE=75),
}


def spin_echo(PD: ArrayLike, T1: ArrayLike, T2: ArrayLike, *, TR: float, TE: float) -> Array:
    """Return the spin-echo signal PD · (1 − e^(−TR/T1)) · e^(−TE/T2); times in ms."""
    PD, T1, T2 = np.asarray(PD, float), np.asarray(T1, float), np.asarray(T2, float)
    result: Array = PD * (1 - np.exp(-TR / T1)) * np.exp(-TE / T2)
    return result


def inversion_recovery(PD: ArrayLike, T1: ArrayLike, T2: ArrayLike, *, TR: float, TE: float, TI: float) -> Array:
    """Return the magnitude PD · |1 − 2e^(−TI/T1) + e^(−TR/T1)| · e^(−TE/T2) of FLAIR; times in ms."""
    PD, T1, T2 = np.asarray(PD, float), np.asarray(T1, float), np.asarray(T2, float)
    result: Array = PD * np.abs(1 - 2 * np.exp(-TI / T1) + np.exp(-TR / T1)) * np.exp(-TE / T2)
    return result


def sequence_signal(protocol: Protocol, PD: ArrayLike, T1: ArrayLike, T2: ArrayLike) -> Array:
    """Return the signal of a spin echo or, where the protocol has a TI, of an inversion recovery."""
    if protocol.TI is None:
        return spin_echo(PD, T1, T2, TR=protocol.TR, TE=protocol.TE)
    return inversion_recovery(PD, T1, T2, TR=protocol.TR, TE=protocol.TE, TI=protocol.TI)


def diffusion_weighted(S0: ArrayLike, ADC: ArrayLike, b: float = B_VALUE) -> Array:
    """Return S0 · e^(−b·ADC), with ADC in 10⁻³ mm²/s and b in s/mm²."""
    result: Array = np.asarray(S0, float) * np.exp(-b * 1e-3 * np.asarray(ADC, float))
    return result


def apparent_diffusion(S0: Array, Sb: Array, floor: float, b: float = B_VALUE) -> Array:
    """Return the ADC in 10⁻³ mm²/s, ln(S0/Sb)/b, clipped to 0–4; zero where S0 or Sb does not exceed `floor`."""
    usable = (floor < S0) & (Sb > 0.02 * floor)
    ratio = np.where(usable, S0, 1.0) / np.where(usable, Sb, 1.0)
    result: Array = np.where(usable, np.clip(np.log(ratio) / (b * 1e-3), 0.0, 4.0), 0.0)
    return result


def rician(signal: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Return the magnitude of `signal` with Gaussian noise of `sigma` in its real and its imaginary part."""
    real = rng.standard_normal(signal.shape)
    real *= sigma
    real += signal
    imaginary = rng.standard_normal(signal.shape)
    imaginary *= sigma
    np.hypot(real, imaginary, out=real)
    return real


def block_mean(values: Array, times: tuple[int, ...]) -> Array:
    """Return the mean over blocks of `times` voxels along the axes: voxel size and slice thickness."""
    for axis, n in enumerate(times):
        if n > 1:
            shape = (*values.shape[:axis], values.shape[axis] // n, n, *values.shape[axis + 1 :])
            values = values.reshape(shape).mean(axis=axis + 1)
    return values
