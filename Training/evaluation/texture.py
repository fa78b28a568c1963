"""Fine structure of a map: what a Gaussian takes away, and how power is spread over spatial frequencies."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from Training.datasets.patient import low_pass

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]
Values = NDArray[np.float64]

BANDS = ((1 / 16, 1 / 8), (1 / 8, 1 / 4), (1 / 4, 1 / 2), (1 / 2, 1.0))
"""Bands of spatial frequency (octaves) in parts of the Nyquist frequency of the coarsest axis."""

BINS = 24
"""Radial bins of the curve from 0 to the Nyquist frequency."""


def high_pass(values: Map, brain: Mask, sigma: Values) -> Values:
    """What `low_pass` takes away, y − G_σ∗y; 0 outside the brain.

    Args:
        values: (I, J, K).
        brain: (I, J, K).
        sigma: (3,) standard deviation in voxels.
    """
    return np.where(brain, values.astype(np.float64) - low_pass(values, brain, sigma), 0)


def spread_ratio(predicted: Values, target: Values, region: Mask) -> float | None:
    """SD of the prediction over SD of the target in a region; None where the target is constant."""
    if np.count_nonzero(region) < 2:
        return None
    spread = float(target[region].std())
    return float(predicted[region].std()) / spread if spread > 0 else None


class RadialPower:
    """Power of a map in a region by radial frequency: the same frequencies for prediction and target.

    The map less its mean in the region, 0 outside, in the region's box; |DFT|² averaged over all frequencies whose
    length lies in a bin. Both maps have the same window, so that its effect cancels in the ratio where it is the same.
    """

    def __init__(self, region: Mask, spacing: Values) -> None:
        """Prepare the frequencies of a region.

        Args:
            region: (I, J, K), at least one voxel.
            spacing: (3,) mm.
        """
        self._box = ndimage.find_objects(region.astype(np.uint8))[0]
        self._inside = region[self._box]
        self._shape = [fft.next_fast_len(n, real=True) for n in self._inside.shape]
        self.nyquist = float(0.5 / spacing.max())
        """Cycles per mm."""
        axes = [np.fft.fftfreq(n, step) for n, step in zip(self._shape[:2], spacing[:2], strict=True)]
        axes.append(np.fft.rfftfreq(self._shape[2], spacing[2]))
        i, j, k = np.ix_(*axes)
        self._radius = np.sqrt(i**2 + j**2 + k**2) / self.nyquist
        # A real map's spectrum is symmetric: what the half-transform leaves out counts twice.
        twice = np.full(self._radius.shape[2], 2.0)
        twice[0] = 1.0
        if self._shape[2] % 2 == 0:
            twice[-1] = 1.0
        self._weight = np.broadcast_to(twice, self._radius.shape)

    def of(self, values: Map) -> Values:
        """Power at each frequency of the half-transform."""
        crop = values[self._box].astype(np.float64)
        centred = np.where(self._inside, crop - crop[self._inside].mean(), 0)
        return np.asarray(np.abs(fft.rfftn(centred, self._shape)) ** 2)

    def bands(self, power: Values) -> list[float | None]:
        """Mean power in each of `BANDS`; None where the region is too small to have such a frequency."""
        return [self._mean(power, (self._radius > low) & (self._radius <= high)) for low, high in BANDS]

    def curve(self, power: Values) -> list[float | None]:
        """Mean power in `BINS` bins from 0 to the Nyquist frequency."""
        place = np.ceil(self._radius * BINS).astype(np.int64) - 1
        return [self._mean(power, place == number) for number in range(BINS)]

    def _mean(self, power: Values, where: NDArray[np.bool_]) -> float | None:
        weight = float(self._weight[where].sum())
        return float((power[where] * self._weight[where]).sum()) / weight if weight else None


def ratio(first: float | None, second: float | None) -> float | None:
    """A quotient; None where a part is missing or the divisor is 0."""
    if first is None or second is None or second == 0 or not math.isfinite(first / second):
        return None
    return first / second
