"""Frames that jump: an artefact that takes a whole frame, or some of its slices, out of line for a moment.

Such a frame would spoil the baseline, every integral and every fit. Its samples are replaced by what lies between the
frames before and after it, slice by slice, which comes to leaving it out. Within the first pass, where the signal
itself moves fast, nothing is judged. The limits are design values.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.baseline import Bolus

Signal = NDArray[np.float32]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

# A jump is larger than so many (scaled) median absolute deviations, and than this share of the signal.
_MOST_SD, _LEAST_JUMP = 5.0, 0.02
_NEIGHBOURS = 3
# The mean of fewer voxels is noisy; a frame that jumps in more than this share of the brain is left out as a whole.
_LEAST_VOXELS, _WHOLE_SHARE = 20, 0.5


def slice_means(echo: Signal, brain: Flags) -> tuple[Doubles, NDArray[np.intp]]:
    """Mean signal of each slice of the brain.

    Args:
        echo: (I, J, K, T) signal, a.u.
        brain: (I, J, K) mask.

    Returns:
        (K, T) means, 0 in slices without brain, and the (K,) number of voxels of each.

    Raises:
        InputError: the brain mask is empty.
    """
    counts = np.count_nonzero(brain, axis=(0, 1))
    if not counts.any():
        raise InputError("The brain mask is empty.", "Give a mask on the grid of the DSC series, or none.")
    frames = echo.shape[3]
    means = np.zeros((brain.shape[2], frames))
    for k in np.flatnonzero(counts):
        weights = (brain[:, :, k] / counts[k]).astype(np.float32)
        if echo.flags.f_contiguous:
            means[k] = weights.ravel(order="F") @ echo[:, :, k].reshape(-1, frames, order="F")
        else:
            means[k] = np.tensordot(weights, echo[:, :, k], 2)
    return means, counts


def brain_mean(means: Doubles, counts: NDArray[np.intp]) -> Doubles:
    """(T,) mean over the brain, from `slice_means`."""
    return np.asarray(counts @ means / counts.sum())


def find_jumps(means: Doubles, counts: NDArray[np.intp], bolus: Bolus) -> Flags:
    """(K, T) slices and frames, outside the first pass, whose mean jumps away from the frames before and after.

    What stays on its new level, as when the head moves, is no jump.

    Args:
        means: (K, T) of `slice_means`.
        counts: (K,) of `slice_means`.
        bolus: the steady state and the first pass.
    """
    frames = means.shape[1]
    judged = np.ones(frames, dtype=bool)
    judged[: bolus.steady] = judged[bolus.first_pass(frames)] = False
    large = counts >= _LEAST_VOXELS
    own, found = means[large], np.zeros((np.count_nonzero(large), frames), dtype=bool)
    level = np.median(own[:, bolus.baseline], axis=1, keepdims=True)
    for _ in range(2):  # the second of two bad frames hides behind the first at the end of the series
        before, after, both = _apart(np.where(found, np.nan, own), bolus.steady)
        together = np.sign(before) == np.sign(after)
        apart = np.where(together, np.minimum(np.abs(before), np.abs(after)), 0)
        spread = 1.4826 * np.median(np.abs(both[:, judged]), axis=1, keepdims=True)
        found |= judged & (apart > np.maximum(_MOST_SD * spread, _LEAST_JUMP * level))
    jumps = np.zeros(means.shape, dtype=bool)
    jumps[large] = found
    jumps[:, counts @ jumps > _WHOLE_SHARE * counts.sum()] = True
    return jumps


def _apart(values: Doubles, steady: int) -> tuple[Doubles, Doubles, Doubles]:
    """(K, T) how far each frame lies from the median of the frames before, after, and on both sides; NaN is left out.

    Where there is nothing on one side, the other stands for it.
    """
    before, after, both = (np.zeros_like(values) for _ in range(3))
    for frame in range(steady, values.shape[1]):
        left = values[:, max(steady, frame - _NEIGHBOURS) : frame]
        right = values[:, frame + 1 : frame + 1 + _NEIGHBOURS]
        sides = [_median(side) for side in (left, right, np.concatenate([left, right], axis=1))]
        for result, side in zip((before, after, both), sides, strict=True):
            result[:, frame] = values[:, frame] - np.where(np.isnan(side), sides[2], side)
    return np.nan_to_num(before), np.nan_to_num(after), np.nan_to_num(both)


def _median(values: Doubles) -> Doubles:
    """(K,) median of (K, n) without NaN; NaN where nothing is left."""
    there = ~np.isnan(values).all(axis=1)
    found = np.full(len(values), np.nan)
    found[there] = np.nanmedian(values[there], axis=1)
    return found


def mend(signal: NDArray[np.floating], slices: NDArray[np.intp], jumps: Flags, steady: int) -> None:
    """Replace, in place, the frames that jump by what lies between the nearest good frames, linearly in time.

    Args:
        signal: (n, T) of voxels.
        slices: (n,) number k of the slice of each voxel.
        jumps: (K, T) of `find_jumps`.
        steady: first frame that may serve.
    """
    for k in np.flatnonzero(jumps.any(axis=1)):
        rows = np.flatnonzero(slices == k)
        good = steady + np.flatnonzero(~jumps[k, steady:])
        if rows.size == 0 or good.size == 0:
            continue
        for frame in np.flatnonzero(jumps[k]):
            right = min(int(np.searchsorted(good, frame)), good.size - 1)
            first, last = good[max(0, right - (good[right] > frame))], good[right]
            share = (frame - first) / (last - first) if last > first else 0.0
            signal[rows, frame] = (1 - share) * signal[rows, first] + share * signal[rows, last]


def describe_jumps(jumps: Flags, counts: NDArray[np.intp]) -> str:
    """What a user should know of the frames that jump; frames and slices count from 1."""
    used = counts > 0
    whole = jumps[used].all(axis=0)
    parts = [f"frame {_ranges(np.flatnonzero(whole))}"] if whole.any() else []
    for frame in np.flatnonzero(jumps.any(axis=0) & ~whole):
        parts.append(f"frame {frame + 1}, slice {_ranges(np.flatnonzero(jumps[:, frame]))}")
    return (
        f"The signal jumps in {'; '.join(parts)} (counted from 1): left out, and replaced by what lies between the "
        "frames before and after."
    )


def _ranges(numbers: NDArray[np.intp]) -> str:
    """Numbers, counted from 1, as "3, 7–9"."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers.tolist()), lambda each: each[1] - each[0])]
    return ", ".join(f"{run[0] + 1}" if len(run) == 1 else f"{run[0] + 1}–{run[-1] + 1}" for run in runs)
