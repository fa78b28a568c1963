"""Simulated curves of single voxels for the tests of the perfusion processing, and tests that they are right.

Written without the code under test: integrals by fine sums, signal by the spoiled gradient-echo equation.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammainc

STEP_S = 0.01
DENSITY, HAEMATOCRIT_FACTOR, HAEMATOCRIT = 1.04, 0.73, 0.45
R1, R2STAR = 4.5, 87.0  # 1/(mM s)
TE_S, TR_S, FRAMES = 0.03, 1.5, 90


def gamma_variate(times, start=20.0, shape=3.0, width=1.5):
    """(t − t0)^r·e^(−(t − t0)/b) with a peak of 1."""
    since = np.clip(np.asarray(times, float) - start, 0, None)
    return (since / (shape * width)) ** shape * np.exp(shape - since / width)


@dataclass(frozen=True)
class Injection:
    """One bolus, sampled finely; `frames` picks the frames out of fine curves."""

    tr_s: float = TR_S
    count: int = FRAMES
    peak: float = 5.0
    recirculation: float = 0.0

    @property
    def times(self):
        return np.arange(0, self.count * self.tr_s, STEP_S)

    def artery(self, delay_s=0.0):
        times = self.times - delay_s
        second = gamma_variate(times, start=32.0, width=3.0)
        return self.peak * (gamma_variate(times) + self.recirculation * second)

    def frames(self, fine):
        return np.interp(np.arange(self.count) * self.tr_s, self.times, fine)


def convolve(curve, kernel):
    """∫curve(τ)·kernel(t − τ)dτ on the fine grid, the kernel's first sample halved (trapezoid rule)."""
    size = 1 << int(np.ceil(np.log2(2 * len(curve))))
    halved = np.r_[kernel[0] / 2, kernel[1:]]
    return np.fft.irfft(np.fft.rfft(curve, size) * np.fft.rfft(halved, size), size)[: len(curve)] * STEP_S


def residue(times, mtt_s, kind="exponential"):
    """R(t) with R(0) = 1 and ∫R = MTT."""
    if kind == "box":
        return (times < mtt_s).astype(float)
    if kind == "gamma":  # transit times gamma-distributed with shape 3
        return 1 - gammainc(3, 3 * times / mtt_s)
    return np.exp(-times / mtt_s)


def tissue(injection, cbv, cbf, *, delay_s=0.0, kind="exponential"):
    """C_t in mM, fine: (ρ/k_H)·CBF·(C_a ⊗ R), CBV in ml/100 g, CBF in ml/100 g/min."""
    kernel = residue(injection.times, 60 * cbv / cbf, kind)
    return DENSITY / HAEMATOCRIT_FACTOR * cbf / 6000 * convolve(injection.artery(delay_s), kernel)


def leaked(injection, ktrans, v_e=0.29, delay_s=0.0):
    """v_e·C_e in mM, fine: K^trans·∫C_p·e^(−k_ep(t − τ))dτ, K^trans in 1/min."""
    plasma = injection.artery(delay_s) / (1 - HAEMATOCRIT)
    return ktrans / 60 * convolve(plasma, np.exp(-ktrans / v_e / 60 * injection.times))


def signal(vessels, outside, *, T1=1.4, flip=60.0, tr_s=TR_S, te_s=TE_S, r2star_outside=10.0, T2star=0.05, S0=1000.0):
    """Spoiled gradient echo; T1 shortened by agent outside the vessels, T2* by agent inside and outside."""
    E1 = np.exp(-tr_s * (1 / T1 + R1 * outside))
    angle = np.deg2rad(flip)
    decay = np.exp(-te_s * (1 / T2star + R2STAR * vessels + r2star_outside * outside))
    return S0 * np.sin(angle) * (1 - E1) / (1 - np.cos(angle) * E1) * decay


def relaxation(values, te_s=TE_S, baseline=10):
    """ΔR2* in 1/s of signal (…, T) whose first frames are the baseline."""
    return -np.log(values / values[..., :baseline].mean(axis=-1, keepdims=True)) / te_s


def rician(values, sd, seed=0):
    rng = np.random.default_rng(seed)
    return np.hypot(values + rng.normal(scale=sd, size=values.shape), rng.normal(scale=sd, size=values.shape))


@pytest.mark.parametrize("time", [24.0, 31.5, 60.0])
def test_a_tissue_curve_is_the_convolution_integral(time):
    injection = Injection()
    scale = DENSITY / HAEMATOCRIT_FACTOR * 60 / 6000
    expected, _ = quad(lambda x: 5 * gamma_variate(x) * np.exp(-(time - x) / 4), 20, time, limit=200)
    found = np.interp(time, injection.times, tissue(injection, 4, 60))
    assert found == pytest.approx(scale * expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["exponential", "box", "gamma"])
def test_every_residue_has_its_transit_time_as_area(kind):
    times = np.arange(0, 200, STEP_S)
    assert np.trapezoid(residue(times, 5.0, kind), times) == pytest.approx(5.0, rel=2e-3)


def test_leaked_agent_returns_at_its_rate():
    injection = Injection()
    late = leaked(injection, 0.1)[injection.times > 80]
    expected = np.exp(-0.1 / 0.29 / 60 * (len(late) - 1) * STEP_S)
    assert late[-1] / late[0] == pytest.approx(expected, rel=1e-6)
