"""Leakage correction: what the contrast agent outside the vessels adds to or takes from ΔR2*.

Boxerman–Schmainda–Weisskoff (Boxerman 2006, AJNR 27:859): ΔR2*(t) ≈ K1·m(t) − K2·∫m, m the mean ΔR2* of brain that
does not enhance; what is left after + K2·∫m is the intravascular part. K2 > 0 is leakage that acts through T1, K2 < 0
through T2*.

Bidirectional exchange (Leu 2016, AJNR 37:1440): agent also returns to the blood, at the rate k_ep:
ΔR2*(t) ≈ K1·m(t) − K2·∫m(τ)·e^(−k_ep·(t − τ))dτ.

Both take every voxel's intravascular curve to be a multiple of m. A delay or another transit time is then mistaken for
leakage (Bjørnerud 2011, JCBFM 31:2041). To first order a delay adds the derivative of m; if the residue functions are
exponentials, another transit time θ adds m ⊗ e^(−t/θ), here for one shorter and one longer than usual; the second
derivative takes up what remains of both. With these terms in the regression the model stays linear. That is a design of
this project; it can be switched off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.perfusion.integration import product, washed_out
from HierSynthLib.perfusion.options import Options

Curves = NDArray[np.float32]
Values = NDArray[np.float32]

_SLOWEST_KEP = 1e-3  # 1/s; slower exchange cannot be told from none within two minutes


@dataclass(frozen=True, eq=False)
class Corrected:
    """Curves without leakage, and its parameters.

    Attributes:
        curves: (N, T) intravascular ΔR2*, 1/s.
        k1: (N,) size of the intravascular curve relative to m.
        k2: (N,) leakage in 1/s, positive where T1 effects dominate.
        kep: (N,) rate of return in 1/s; 0 for "bsw" and "none".
    """

    curves: Curves
    k1: Values
    k2: Values
    kep: Values


class LeakageModel:
    """The regression of curves on the reference curve of one series, ready for any number of voxels."""

    def __init__(self, reference: NDArray[np.float64], tr_s: float, first: int, options: Options) -> None:
        """Prepare the regressions.

        Args:
            reference: (T,) mean ΔR2* of non-enhancing brain, m, in 1/s.
            tr_s: time between frames in s.
            first: frame at which the fit begins; m before it counts as 0.
            options: `leakage…`, `largest_kep`, `kep_steps`.
        """
        m = np.where(np.arange(len(reference)) >= first, reference, 0.0)
        shape = [m]
        if options.leakage_shape:
            slope = np.gradient(m, tr_s)
            # Divided by θ, so that it has the area of m and its coefficient adds to K1.
            shape += [washed_out(m, 1 / theta, tr_s) / theta for theta in options.leakage_transits_s]
            shape += [slope, np.gradient(slope, tr_s)]
        rates = _rates(options)
        self._rates = np.asarray(rates, dtype=np.float32)
        self._leaked = [washed_out(m, rate, tr_s).astype(np.float32) for rate in rates]
        self._inverses: list[NDArray[np.float32]] = []
        self._bases: list[NDArray[np.float32]] = []
        for rate in rates:
            design = np.stack([-washed_out(m, rate, tr_s), *shape], axis=1)[first:]
            self._inverses.append(np.linalg.pinv(design).astype(np.float32))
            self._bases.append(np.linalg.qr(design)[0].astype(np.float32))
        self._first = first
        self._amplitude = (m[first:] / max(float(m[first:] @ m[first:]), 1e-30)).astype(np.float32)
        self._multiples = slice(1, 2 + (len(options.leakage_transits_s) if options.leakage_shape else 0))

    def correct(self, curves: Curves) -> Corrected:
        """Separate (N, T) curves of ΔR2* (1/s) into leakage and the intravascular rest."""
        if not self._leaked:
            nothing = np.zeros(len(curves), dtype=np.float32)
            return Corrected(
                curves, product(curves[:, self._first :], self._amplitude[:, None])[:, 0], nothing, nothing
            )
        fitted = curves[:, self._first :]
        choice = self._best(fitted)
        k1, k2 = np.empty((2, len(curves)), dtype=np.float32)
        corrected = np.empty_like(curves)
        for number, (inverse, leaked) in enumerate(zip(self._inverses, self._leaked, strict=True)):
            rows = np.flatnonzero(choice == number)
            if rows.size == 0:
                continue
            weights = product(fitted[rows], inverse.T)
            k2[rows] = weights[:, 0]
            k1[rows] = weights[:, self._multiples].sum(axis=1)
            corrected[rows] = curves[rows] + weights[:, :1] * leaked
        return Corrected(corrected, k1, k2, self._rates[choice])

    def _best(self, fitted: Curves) -> NDArray[np.intp]:
        """(N,) number of the k_ep whose model leaves the smallest squares."""
        if len(self._bases) == 1:
            return np.zeros(len(fitted), dtype=np.intp)
        # With an orthonormal basis Q, what a fit explains is |Q'y|².
        explained = np.stack([(product(fitted, basis) ** 2).sum(axis=1) for basis in self._bases])
        return np.asarray(explained.argmax(axis=0))


def _rates(options: Options) -> list[float]:
    if options.leakage == "none":
        return []
    if options.leakage == "bsw" or options.kep_steps == 1 or options.largest_kep <= _SLOWEST_KEP:
        return [0.0]
    return [0.0, *np.geomspace(_SLOWEST_KEP, options.largest_kep, options.kep_steps - 1).tolist()]
