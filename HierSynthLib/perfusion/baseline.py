"""When the bolus arrives, and which frames before it are the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.options import Options

# A bolus stands out of the fluctuation of the brain's mean signal by more than this.
_LEAST_SD = 5.0
_MOST_UNSTEADY = 5


@dataclass(frozen=True)
class Bolus:
    """The passage of the bolus in the mean curve of the brain.

    Attributes:
        start: first frame of the baseline.
        stop: frame after the last of the baseline.
        arrival: first frame in which the bolus is seen.
        peak: frame of the lowest signal.
        steady: first frame in the steady state.
        drop: largest drop of the signal, relative to the baseline, 0–1.
    """

    start: int
    stop: int
    arrival: int
    peak: int
    steady: int
    drop: float

    @property
    def baseline(self) -> slice:
        """The frames of the baseline."""
        return slice(self.start, self.stop)

    @property
    def first(self) -> int:
        """The frame from which curves are fitted and integrated: the last of the baseline."""
        return self.stop - 1

    def first_pass(self, frames: int) -> slice:
        """The frames of the first pass through brain and veins, in a series of `frames`."""
        return slice(self.first, min(frames, self.peak + 2 * (self.peak - self.arrival) + 4))


def find_bolus(mean_signal: ArrayLike, options: Options) -> Bolus:
    """Find the bolus in the mean signal of the brain.

    The 5 % stop rule, applied backwards from the peak so that fluctuations of the baseline do not end it: the bolus
    begins after the last frame whose signal lies within 5 % of the largest drop from the baseline.

    Args:
        mean_signal: (T,) mean signal of the first echo over the brain, a.u.
        options: the stop rule and the length of the baseline.

    Raises:
        InputError: there is no bolus, or the baseline is too short.
    """
    signal = np.asarray(mean_signal, dtype=np.float64)
    smooth = np.convolve(signal, np.ones(3) / 3, mode="valid")  # one frame with an artefact is no bolus
    middle = 1 + int(np.argmin(smooth))
    peak = middle - 1 + int(np.argmin(signal[middle - 1 : middle + 2]))
    # Most frames lie before or well after the first pass, so the median is a first guess of the baseline.
    arrival = _arrival(signal, peak, float(np.median(signal)), options)
    for _ in range(2):
        before = signal[: max(1, arrival - options.baseline_guard_frames)]
        arrival = _arrival(signal, peak, float(np.median(before)), options)
    stop = arrival - options.baseline_guard_frames
    steady = _steady_from(signal[: max(0, stop)], options)
    frames = stop - steady
    level = float(np.mean(signal[steady:stop])) if frames > 0 else float(signal[0])
    drop = 1 - float(signal[peak]) / level
    spread = _spread(signal[steady:stop]) / level if frames > 1 else 0.0
    if drop < max(options.least_drop, _LEAST_SD * spread):
        if frames < options.baseline_min_frames and signal[peak:].max() > (1 + options.least_drop) * signal[peak]:
            raise _too_short(frames, options)
        raise InputError(
            f"The DSC series shows no bolus: the brain's signal falls by {max(0.0, drop):.1%} at most.",
            "Check that this is the perfusion series, with contrast agent, and that it was not cut.",
        )
    if frames < options.baseline_min_frames:
        raise _too_short(frames, options)
    return Bolus(max(steady, stop - options.baseline_max_frames), stop, arrival, peak, steady, drop)


def _too_short(frames: int, options: Options) -> InputError:
    return InputError(
        f"The baseline of the DSC series is too short: {max(0, frames)} frames before the bolus.",
        f"At least {options.baseline_min_frames} in the steady state are needed; were frames cut off at the beginning?",
    )


def _arrival(signal: NDArray[np.float64], peak: int, level: float, options: Options) -> int:
    threshold = level - options.baseline_stop * (level - signal[peak])
    before = np.flatnonzero(signal[:peak] >= threshold)
    return int(before[-1]) + 1 if before.size else 0


def _spread(values: NDArray[np.float64]) -> float:
    """Standard deviation from the median absolute deviation, which one dark frame does not change."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _steady_from(baseline: NDArray[np.float64], options: Options) -> int:
    """The first frame after those, at the beginning, that are brighter than the later half of the baseline."""
    if len(baseline) < 2:
        return 0
    level = float(np.median(baseline[len(baseline) // 2 :]))
    bright = baseline[:_MOST_UNSTEADY] > (1 + options.steady_state) * level
    return int(np.argmin(bright)) if not bright.all() else len(bright)
