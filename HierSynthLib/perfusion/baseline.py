"""When the bolus arrives, and which frames before it are the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import median_filter
from scipy.signal import find_peaks

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.options import Options

Doubles = NDArray[np.float64]

# A bolus stands out of the fluctuation of the brain's mean signal by more than this.
_LEAST_SD = 5.0
_MOST_UNSTEADY = 5
# A bolus is wider, at half its depth, than two artefact frames and narrower than a drift; and the signal comes back by
# at least this share of its fall (design values).
_LEAST_WIDTH, _MOST_WIDTH_SHARE, _LEAST_RECOVERY = 2.2, 0.5, 0.5
# A bolus that the end of the series cuts off takes fewer of its frames than a drift does.
_MOST_CUT_SHARE = 0.35
LEAST_LATE_FRAMES = 3


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

    @property
    def passed(self) -> int:
        """The frame after the first pass, which may lie beyond the end of a short series."""
        return self.peak + 2 * (self.peak - self.arrival) + 4

    def first_pass(self, frames: int) -> slice:
        """The frames of the first pass through brain and veins, in a series of `frames`."""
        return slice(self.first, min(frames, self.passed))

    def late(self, frames: int, count: int) -> slice:
        """The last `count` frames of a series of `frames`, without the first pass; at least three."""
        return slice(min(max(frames - count, self.passed), frames - LEAST_LATE_FRAMES), frames)


def find_bolus(mean_signal: ArrayLike, options: Options) -> Bolus:
    """Find the bolus in the mean signal of the brain.

    The bolus is the deepest dip of the curve (its running median of three frames, so that one bad frame is no dip) that
    is wider than an artefact, narrower than a drift, and after which the signal comes back.

    Its arrival follows from the 5 % stop rule, applied backwards from the peak so that fluctuations of the baseline do
    not end it: the bolus begins after the last frame whose signal lies within 5 % of the largest drop.

    Args:
        mean_signal: (T,) mean signal of the first echo over the brain, a.u.
        options: the stop rule and the length of the baseline.

    Raises:
        InputError: there is no bolus, it has not passed when the series ends, or the baseline is too short.
    """
    signal = np.asarray(mean_signal, dtype=np.float64)
    calm = median_filter(signal, 3, mode="mirror")
    dip, depth = _deepest_dip(calm)
    if dip is None:
        raise _no_dip(calm, options)
    peak = dip - 1 + int(np.argmin(signal[dip - 1 : dip + 2]))
    # Most frames lie before or well after the first pass, so the median is a first guess of the baseline.
    arrival = _arrival(calm, peak, float(np.median(signal)), options)
    for _ in range(2):
        end = max(1, arrival - options.baseline_guard_frames)
        before = signal[max(0, end - options.baseline_max_frames) : end]  # not more, for the sake of drift
        arrival = _arrival(calm, peak, float(np.median(before)), options)
    stop = arrival - options.baseline_guard_frames
    steady = _steady_from(signal[: max(0, stop)], options)
    frames = stop - steady
    start = max(steady, stop - options.baseline_max_frames)
    level = float(np.median(signal[start:stop])) if frames > 0 else float(signal[0])
    drop = 1 - float(signal[peak]) / level
    spread = _spread(signal[start:stop]) / level if frames > 1 else 0.0
    least = max(options.least_drop, _LEAST_SD * spread)
    if frames < options.baseline_min_frames and depth > options.least_drop * float(signal[peak]):
        raise _too_short(frames, options)
    if drop < least or depth < _LEAST_RECOVERY * level * max(drop, least):
        raise _cut_off() if depth >= level * least else _no_dip(calm, options)
    return Bolus(start, stop, arrival, peak, steady, drop)


def _deepest_dip(calm: Doubles) -> tuple[int | None, float]:
    """The frame and depth (below the lower of both sides) of the deepest dip that is as wide as a bolus."""
    dips, found = find_peaks(-calm, prominence=0.0, width=(_LEAST_WIDTH, _MOST_WIDTH_SHARE * len(calm)))
    if dips.size == 0:
        return None, 0.0
    deepest = int(np.argmax(found["prominences"]))
    return int(dips[deepest]), float(found["prominences"][deepest])


def _no_dip(calm: Doubles, options: Options) -> InputError:
    """What is wrong with a mean signal without a dip of the width of a bolus that ends."""
    level, lowest = float(np.percentile(calm, 90)), float(calm.min())
    fall = 1 - lowest / level if level > 0 else 0.0
    low = calm < (level + lowest) / 2
    if fall >= options.least_drop and np.count_nonzero(low) <= _MOST_CUT_SHARE * len(calm):
        high = np.flatnonzero(~low)
        if high[0] > 0 and high[0] == np.count_nonzero(low):
            return _too_short(0, options)
        if len(calm) - 1 - high[-1] > _LEAST_WIDTH and len(calm) - 1 - high[-1] == np.count_nonzero(low):
            return _cut_off()
    return InputError(
        f"The DSC series shows no bolus: the brain's signal falls by {max(0.0, fall):.1%} at most, and not as a bolus "
        "does, for some frames and back.",
        "Check that this is the perfusion series, with contrast agent, and that it was not cut.",
    )


def _cut_off() -> InputError:
    return InputError(
        "The DSC series ends before the bolus has passed: the brain's signal is still low in its last frames.",
        "Give the whole series; at least half a minute after the peak of the bolus is needed.",
    )


def _too_short(frames: int, options: Options) -> InputError:
    return InputError(
        f"The baseline of the DSC series is too short: {max(0, frames)} frames before the bolus.",
        f"At least {options.baseline_min_frames} in the steady state are needed; were frames cut off at the beginning?",
    )


def _arrival(signal: Doubles, peak: int, level: float, options: Options) -> int:
    threshold = level - options.baseline_stop * (level - signal[peak])
    before = np.flatnonzero(signal[:peak] >= threshold)
    return int(before[-1]) + 1 if before.size else 0


def _spread(values: Doubles) -> float:
    """Standard deviation from the median absolute deviation, which one dark frame does not change."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _steady_from(baseline: Doubles, options: Options) -> int:
    """The first frame after those, at the beginning, that are brighter than the later half of the baseline."""
    if len(baseline) < 2:
        return 0
    level = float(np.median(baseline[len(baseline) // 2 :]))
    bright = baseline[:_MOST_UNSTEADY] > (1 + options.steady_state) * level
    return int(np.argmin(bright)) if not bright.all() else len(bright)
