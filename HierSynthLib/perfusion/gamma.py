"""Gamma-variate fit of the first pass, all voxels at the same time.

The curve C0·(t − t0)^r·e^(−(t − t0)/b) is fitted in the form A·u^r·e^(r·(1 − u)) with u = (t − t0)/t_p and t_p = r·b
(Madsen 1992, Phys Med Biol 37:1597), whose parameters hardly depend on each other: A is the height and t_p the time of
the peak after arrival. Its area is A·t_p·e^r·Γ(r + 1)/r^(r + 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Curves = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Ranges that no bolus leaves (design values): shape, and time from arrival to peak in s.
_SHAPE, _RISE_S = (0.5, 20.0), (0.5, 30.0)
_ITERATIONS = 30
_GOOD_FIT = 0.7  # explained share of the variance over the fitted frames (design value)
_LEAST_FRAMES = 5


@dataclass(frozen=True, eq=False)
class GammaFit:
    """Fitted first passes.

    Attributes:
        height: (N,) A, in the units of the curves.
        arrival_s: (N,) t0 after the first frame, in s.
        rise_s: (N,) t_p, from arrival to peak, in s.
        shape: (N,) r.
        residual: (N,) root of the mean squared distance over the fitted frames, in the units of the curves.
        fitted: (N,) whether the fit explains the curve; the other voxels have height 0.
    """

    height: Doubles
    arrival_s: Doubles
    rise_s: Doubles
    shape: Doubles
    residual: Doubles
    fitted: NDArray[np.bool_]

    @property
    def area(self) -> Doubles:
        """(N,) ∫ of the fitted curve, in the units of the curves times s."""
        r = self.shape
        return np.asarray(self.height * self.rise_s * np.exp(r + gammaln(r + 1) - (r + 1) * np.log(r)))

    def curves(self, times_s: Doubles) -> Doubles:
        """(N, T) the fitted curves at `times_s` (T,) after the first frame."""
        parameters = np.stack([self.height, self.arrival_s, np.log(self.rise_s), np.log(self.shape)])
        return _model(parameters, times_s)[0]


def fit_gamma_variate(curves: Curves, tr_s: float, first: int, until: float) -> GammaFit:
    """Fit the first pass of (N, T) curves by Levenberg–Marquardt least squares.

    Args:
        curves: ΔR2* in 1/s.
        tr_s: time between frames in s.
        first: first frame of the fit, just before the bolus arrives.
        until: the fit ends in the frame after the peak in which the curve has fallen to this share of it.
    """
    y, weight = _first_pass(curves, first, until)
    times = np.asarray((first + np.arange(y.shape[1])) * tr_s, dtype=np.float64)
    height = np.maximum((y * weight).max(axis=1), 1e-12)
    scaled = y / height[:, None]
    parameters = _start(scaled, times, tr_s)
    parameters, residual = _descend(parameters, scaled, weight, times)
    count = weight.sum(axis=1)
    mean = (scaled * weight).sum(axis=1) / count
    variance = ((scaled - mean[:, None]) ** 2 * weight).sum(axis=1)
    fitted = (residual <= (1 - _GOOD_FIT) * variance) & (count >= _LEAST_FRAMES) & (height > 1e-12)
    fitted &= parameters[0] > 0
    return GammaFit(
        np.where(fitted, parameters[0] * height, 0.0),
        parameters[1],
        np.exp(parameters[2]),
        np.exp(parameters[3]),
        np.sqrt(residual / count) * height,
        fitted,
    )


def _first_pass(curves: Curves, first: int, until: float) -> tuple[Doubles, Doubles]:
    """Curves from `first` to the last fitted frame of any voxel, and which frames of each voxel are fitted."""
    y = curves[:, first:].astype(np.float64)
    frame = np.arange(y.shape[1])
    peak = y.argmax(axis=1)
    top = y[np.arange(len(y)), peak]
    fallen = (frame > peak[:, None]) & (y <= until * top[:, None])
    end = np.where(fallen.any(axis=1), fallen.argmax(axis=1), y.shape[1] - 1)
    last = int(end.max()) + 1 if len(end) else 1
    return y[:, :last], (frame[:last] <= end[:, None]).astype(np.float64)


def _start(scaled: Doubles, times: Doubles, tr_s: float) -> Doubles:
    """First guess: the bolus rises from 10 % to its peak, with the shape r = 3."""
    peak = scaled.argmax(axis=1)
    below = (np.arange(scaled.shape[1]) < peak[:, None]) & (scaled < 0.1)
    last_below = np.where(below.any(axis=1), below.shape[1] - 1 - below[:, ::-1].argmax(axis=1), 0)
    arrival = times[last_below] - tr_s / 2
    rise = np.clip(times[peak] - arrival, max(_RISE_S[0], tr_s), _RISE_S[1])
    return np.stack([np.ones(len(peak)), arrival, np.log(rise), np.full(len(peak), np.log(3.0))])


def _model(parameters: Doubles, times: Doubles) -> tuple[Doubles, Doubles]:
    """(N, T) curves and their (4, N, T) derivatives by A, t0, ln t_p and ln r."""
    height, arrival, log_rise, log_shape = parameters[:, :, None]
    rise, r = np.exp(log_rise), np.exp(log_shape)
    u = np.maximum((times - arrival) / rise, 1e-9)
    unit = np.exp(r * (np.log(u) + 1 - u))
    y = height * unit
    slope = y * r * (1 - u)  # dy/d ln u
    return y, np.stack([unit, -slope / (u * rise), -slope, y * r * (np.log(u) + 1 - u)])


def _descend(parameters: Doubles, y: Doubles, weight: Doubles, times: Doubles) -> tuple[Doubles, Doubles]:
    """Levenberg–Marquardt in all voxels that still improve; returns the parameters and the residual squares."""
    parameters = parameters.copy()
    damping = np.full(len(y), 1e-2)
    residual = ((y - _model(parameters, times)[0]) ** 2 * weight).sum(axis=1)
    active = np.arange(len(y))
    for _ in range(_ITERATIONS):
        now = parameters[:, active]
        model, slopes = _model(now, times)
        w, error = weight[active], y[active] - model
        normal = np.einsum("ant,bnt,nt->nab", slopes, slopes, w, optimize=True)
        gradient = np.einsum("ant,nt->na", slopes, error * w)
        diagonal = np.einsum("naa->na", normal)
        damped = normal + (damping[active, None] * diagonal + 1e-12)[:, None, :] * np.eye(4)
        step = np.linalg.solve(damped, gradient[..., None])[..., 0].T
        tried = _bounded(now + step, times)
        squares = ((y[active] - _model(tried, times)[0]) ** 2 * w).sum(axis=1)
        better = squares < residual[active]
        done = better & (residual[active] - squares < 1e-9 * residual[active] + 1e-15)
        stuck = ~better & (damping[active] > 1e6)
        parameters[:, active[better]] = tried[:, better]
        residual[active[better]] = squares[better]
        damping[active] *= np.where(better, 0.2, 5.0)
        active = active[~(done | stuck)]
        if active.size == 0:
            break
    return parameters, residual


def _bounded(parameters: Doubles, times: Doubles) -> Doubles:
    height, arrival, log_rise, log_shape = parameters
    return np.stack(
        [
            np.clip(height, 0.0, 10.0),
            np.clip(arrival, times[0] - _RISE_S[1], times[-1]),
            np.clip(log_rise, *np.log(_RISE_S)),
            np.clip(log_shape, *np.log(_SHAPE)),
        ]
    )
