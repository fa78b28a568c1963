"""What the values of an image say about what it is, where its name does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case.adc import possible_units

_FEWEST_VALUES = 12  # a label map has fewer different values, an image more
_FEWEST_VOXELS = 100
_SOME_VALUES = 5000
_CORE = 0.28  # half-width of the inner part of the head, as a share of the head's extent

# The inner part of the head is brain with its ventricles. There the 95th percentile is 1.8 to 3.5 times the median in
# T2, and the values are skewed to the bright side; in T1 and FLAIR fluid is dark. Found on simulated patients (with
# noise and bias fields) and two real ones: T2 is told apart from T1 and FLAIR, those two not reliably from each other.
_FLUID_TO_BRAIN = 1.7
_SKEW = 0.19

# Median and 98th percentile in the inner part of the head, in 10⁻³ mm²/s: brain, and its fluid.
_ADC_BRAIN = (0.55, 1.3)
_ADC_FLUID = (1.6, 4.0)


def why_no_image(sample: NDArray[Any]) -> str:
    """Why some voxels of an image, (i, j, k), cannot be those of an MR image, to follow "it"; "" where they can."""
    values = sample[np.isfinite(sample)]
    if values.size == 0:
        return "holds no numbers"
    if values.min() == values.max():
        return "has the same value everywhere"
    some = values[:: max(1, values.size // _SOME_VALUES)]  # most images show more at a glance
    if np.unique(some).size < _FEWEST_VALUES <= values.size / 100 and np.unique(values).size < _FEWEST_VALUES:
        return "has only a few different values, like a label map"
    return ""


def can_be_adc(sample: NDArray[Any]) -> bool:
    """Whether the values are diffusion coefficients of a head in a usual unit."""
    positive = sample[np.isfinite(sample) & (sample > 0)]
    return bool(positive.size) and possible_units(float(np.median(positive))) is not None


def is_adc_in_mm2_per_s(sample: NDArray[Any]) -> bool:
    """Whether the values are diffusion coefficients in mm²/s: so small that hardly any other image has them."""
    inner = _Inner.of(sample)
    return inner is not None and inner.is_diffusion(1e3)


def is_t2(sample: NDArray[Any]) -> bool:
    """Whether an MR image of the head is T2-weighted: fluid is bright, and the values are no diffusion coefficients."""
    inner = _Inner.of(sample)
    if inner is None or inner.skew < _SKEW or inner.fluid < _FLUID_TO_BRAIN * inner.median:
        return False
    return not any(inner.is_diffusion(factor) for factor in (1.0, 1e-3, 1e3))


@dataclass(frozen=True)
class _Inner:
    """Percentiles of the positive values in the middle of the head: 2nd, 50th, 95th and 98th."""

    dark: float
    median: float
    fluid: float
    brightest: float

    @classmethod
    def of(cls, sample: NDArray[Any]) -> _Inner | None:
        """Those of an image, (i, j, k); None where too little of it is head."""
        values = np.where(np.isfinite(sample), sample, 0).astype(float)
        head = np.argwhere(values > 0.15 * np.percentile(values, 99))
        if sample.ndim != 3 or len(head) < _FEWEST_VOXELS:
            return None
        low, high = np.percentile(head, [3, 97], axis=0)
        first = np.maximum(0, np.floor((low + high) / 2 - _CORE * (high - low))).astype(int)
        last = np.ceil((low + high) / 2 + _CORE * (high - low)).astype(int)
        inner = values[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
        inner = inner[inner > 0]
        return cls(*np.percentile(inner, [2, 50, 95, 98]).tolist()) if inner.size >= _FEWEST_VOXELS else None

    @property
    def skew(self) -> float:
        """From −1 (all spread is on the dark side of the median) to 1 (on the bright side)."""
        spread = self.brightest - self.dark
        return (self.brightest - 2 * self.median + self.dark) / spread if spread > 0 else 0.0

    def is_diffusion(self, factor: float) -> bool:
        """Whether the values times `factor` are those of brain and fluid in 10⁻³ mm²/s."""
        brain, fluid = self.median * factor, self.brightest * factor
        return _ADC_BRAIN[0] <= brain <= _ADC_BRAIN[1] and _ADC_FLUID[0] <= fluid <= _ADC_FLUID[1]
