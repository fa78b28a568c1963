"""Deconvolution of tissue curves by the arterial input function: CBF, MTT and Tmax.

C = CBF·(C_a ⊗ R) is solved for CBF·R by truncated singular value decomposition:

- sSVD (Østergaard 1996, MRM 36:715): lower triangular matrix, one threshold. CBF depends on the delay of the bolus.
- cSVD (Wu 2003, MRM 50:164): block-circulant matrix of twice the length, one threshold. The delay does not matter.
- oSVD (Wu 2003): the same with, for each voxel, the smallest threshold that keeps the oscillation of R below a limit.

A circulant matrix is diagonal in the Fourier basis, where its singular values are |FFT(C_a)| (Gall 2010, MAGMA 23:187);
truncation leaves out frequencies, and the solution needs no matrix. R is then known between the frames too: its peak is
looked for there, so that a delay by part of a frame does not change CBF either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from HierSynthLib.perfusion.options import Options

Curves = NDArray[np.float32]
Values = NDArray[np.float32]
Matrix = NDArray[np.float64]

# Thresholds that oSVD tries, from `osvd_first_threshold` on (design values).
_LADDER = (
    0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.12, 0.15, 0.18, 0.22, 0.26, 0.30, 0.35, 0.40, 0.50, 0.60, 0.75,
    0.90,
)  # fmt: skip
_PARTS = 2  # of a frame, at which R is evaluated when its peak is looked for


@dataclass(frozen=True, eq=False)
class Flow:
    """What deconvolution finds.

    Attributes:
        peak: (N,) largest value of CBF·R in 1/s; times `Options.blood_factor`·60 it is CBF in ml/100 g/min.
        tmax_s: (N,) time of it in s, negative where tissue fills before the artery of the AIF.
        threshold: (N,) share of the largest singular value below which singular values were left out.
    """

    peak: Values
    tmax_s: Values
    threshold: Values


class Deconvolution:
    """The deconvolution by one arterial input function, ready for any number of voxels."""

    def __init__(self, aif: NDArray[np.float64], tr_s: float, options: Options) -> None:
        """Prepare the inverse.

        Args:
            aif: (T,) arterial ΔR2* in 1/s.
            tr_s: time between frames in s.
            options: `deconvolution`, thresholds, `oscillation_limit`, `taper_s`.
        """
        self._options, self._tr = options, tr_s
        self._triangular: NDArray[np.float32] | None = None
        if options.deconvolution == "ssvd":
            inverse = _lower_triangular_inverse(_weighted(aif), tr_s, options.ssvd_threshold)
            self._triangular = inverse.astype(np.float32)
            return
        self._taper = _taper(len(aif), tr_s, options.taper_s).astype(np.float32)
        self._length = 2 * len(aif)  # padded, so that nothing wraps around
        spectrum = tr_s * np.fft.rfft(_weighted(aif * self._taper), self._length)
        self._size = np.abs(spectrum) / np.abs(spectrum).max()
        if options.deconvolution == "csvd":
            thresholds: tuple[float, ...] = (options.csvd_threshold,)
        else:
            thresholds = tuple(value for value in _LADDER if value >= options.osvd_first_threshold) or _LADDER[-1:]
        kept = [int(np.count_nonzero(self._size >= value)) for value in thresholds]
        # Thresholds between which no singular value lies are the same.
        self._thresholds = [value for n, value in enumerate(thresholds) if n == 0 or kept[n] < kept[n - 1]]
        self._inverse = np.zeros(spectrum.shape, dtype=np.complex64)
        used = self._size >= self._thresholds[0]
        self._inverse[used] = 1 / spectrum[used]

    def run(self, curves: Curves) -> Flow:
        """Deconvolve (N, T) curves of ΔR2* in 1/s."""
        count = len(curves)
        if self._triangular is not None:
            peak, tmax = _peak(curves @ self._triangular.T, self._tr, circular=False)
            return Flow(peak, tmax, np.full(count, self._options.ssvd_threshold, dtype=np.float32))
        spectra = fft.rfft(curves * self._taper, self._length, axis=1) * self._inverse
        peak, tmax, used = (np.zeros(count, dtype=np.float32) for _ in range(3))
        waiting = np.arange(count)
        for threshold in self._thresholds:
            kept = spectra[waiting] * (self._size >= threshold)
            now = np.arange(len(waiting))
            if threshold != self._thresholds[-1]:
                oscillation = _oscillation(fft.irfft(kept, self._length, axis=1))
                now = np.flatnonzero(oscillation <= self._options.oscillation_limit)
            rows = waiting[now]
            peak[rows], tmax[rows] = self._between_frames(kept[now])
            used[rows] = threshold
            waiting = np.delete(waiting, now)
            if waiting.size == 0:
                break
        return Flow(peak, tmax, used)

    def _between_frames(self, spectra: NDArray[np.complex64]) -> tuple[Values, Values]:
        """Peak of the residue functions with these spectra, on a grid finer than the frames."""
        # The highest frequency counts once at whole frames and twice on a finer grid.
        spectra[:, -1] /= 2
        residue = fft.irfft(spectra, self._length * _PARTS, axis=1) * np.float32(_PARTS)
        return _peak(residue, self._tr / _PARTS, circular=True)


def _peak(residue: Curves, step_s: float, *, circular: bool) -> tuple[Values, Values]:
    """Height and time (s) of the peak of (n, L) residue functions, by a parabola through three values."""
    rows, length = np.arange(len(residue)), residue.shape[1]
    top = residue.argmax(axis=1)
    before, centre, after = residue[rows, top - 1], residue[rows, top], residue[rows, (top + 1) % length]
    bend = before - 2 * centre + after
    inner = (bend < 0) & (circular | ((top > 0) & (top < length - 1)))
    shift = np.where(inner, (before - after) / (2 * np.where(inner, bend, 1)), 0)
    height = centre - (before - after) * shift / 4
    position = top + shift
    if circular:  # the second half stands for negative times
        position = np.where(position >= length / 2, position - length, position)
    return height.astype(np.float32), (position * step_s).astype(np.float32)


def _weighted(aif: NDArray[np.float64]) -> NDArray[np.float64]:
    """(a₋ + 4a + a₊)/6: the convolution of an AIF and a residue that are linear between frames (Østergaard 1996)."""
    padded = np.pad(aif, 1, mode="edge")
    return np.asarray((padded[:-2] + 4 * aif + padded[2:]) / 6)


def _lower_triangular_inverse(aif: NDArray[np.float64], tr_s: float, threshold: float) -> Matrix:
    frames = len(aif)
    lag = np.subtract.outer(np.arange(frames), np.arange(frames))
    matrix = np.where(lag >= 0, tr_s * aif[np.maximum(lag, 0)], 0.0)
    left, size, right = np.linalg.svd(matrix)
    keep = size >= threshold * size[0]
    return np.asarray((right[keep].T / size[keep]) @ left[:, keep].T)


def _taper(frames: int, tr_s: float, taper_s: float) -> NDArray[np.float64]:
    """(T,) 1, and a cosine towards 0 over the last `taper_s`.

    The series ends before all agent has left; taken as periodic, the step would appear as oscillations. A taper that is
    slow against the transit times commutes with the convolution, so that both sides of C = CBF·(C_a ⊗ R) may have it.
    """
    weights = np.ones(frames)
    count = min(int(taper_s / tr_s), frames // 2)
    if count:
        weights[-count:] = 0.5 + 0.5 * np.cos(np.pi * np.arange(1, count + 1) / (count + 1))
    return weights


def _oscillation(residue: Curves) -> Values:
    """(1/L)·(1/max R)·Σ|R(k) − 2R(k−1) + R(k−2)| of (N, L) residue functions (Gobbel & Fike 1994, Wu 2003)."""
    bend = residue[:, 2:] - residue[:, 1:-1]
    bend -= residue[:, 1:-1]
    bend += residue[:, :-2]
    np.abs(bend, out=bend)
    top = residue.max(axis=1)
    return np.asarray(bend.sum(axis=1) / (residue.shape[1] * np.maximum(top, np.float32(1e-20))))
