"""Echo time and time between frames as a host knows them: read from what it stores, checked when a user enters them.

Nothing is guessed: what is not stated, or stated in two ways that differ, is None and has to be asked for. Imports
nothing but numpy, so that Slicer's process can have it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.series import TE_RANGE_S, TR_RANGE_S

ECHO_TIME = "MultiVolume.DICOM.EchoTime"
REPETITION_TIME = "MultiVolume.DICOM.RepetitionTime"
FLIP_ANGLE = "MultiVolume.DICOM.FlipAngle"
FRAME_LABELS = "MultiVolume.FrameLabels"
FRAME_TAG = "MultiVolume.FrameIdentifyingDICOMTagName"
FRAME_UNIT = "MultiVolume.FrameIdentifyingDICOMTagUnits"
ATTRIBUTES = (ECHO_TIME, REPETITION_TIME, FLIP_ANGLE, FRAME_LABELS, FRAME_TAG, FRAME_UNIT)
"""Attributes that Slicer's DICOM import (MultiVolumeImporter) gives to a series: ms, ms, degrees, what tells its frames
apart, which DICOM element that is, its unit."""

TIME_TAGS = ("AcquisitionTime", "ContentTime", "DeltaStartTime", "SeriesTime", "Time", "TriggerTime")
"""Elements by which that import tells frames apart and that say when a frame was acquired; echo times, for example, are
in ms, too."""

# Frames are as far apart as this share of their distance allows (design value: times in DICOM are rounded).
_EVEN = 0.05
# Repetition time and distance of the frames are the same within this share (design value).
_SAME = 0.05
_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3}


@dataclass(frozen=True)
class StatedTiming:
    """What a node says of the acquisition of a series; None where it says nothing.

    Attributes:
        te_ms: echo time in ms.
        tr_s: time between frames in s.
        flip_deg: flip angle in degrees.
        note: why the time between frames is not known although something is stated, or where it comes from if not from
            the times of the frames; "" otherwise.
    """

    te_ms: float | None = None
    tr_s: float | None = None
    flip_deg: float | None = None
    note: str = ""


def stated_timing(attributes: Mapping[str, str | None], index_values: Sequence[str], index_unit: str) -> StatedTiming:
    """Read the timing of a series from the attributes and the index of its node.

    Args:
        attributes: name → value of `ATTRIBUTES`, as far as the node has them.
        index_values: of the frames, in their order, as text.
        index_unit: of these values; only "s", "sec" and "ms" are times.

    Returns:
        Time between frames: the even distance of the frames' times. Whole numbers that count the frames are no times.
        Without times it is DICOM's repetition time, and so it is where the times are uneven but their mean distance is
        the same; where both differ, it is not known.
    """
    labels, unit = attributes.get(FRAME_LABELS), attributes.get(FRAME_UNIT) or ""
    times = _times_s(index_values, index_unit)
    if times is None and labels and (attributes.get(FRAME_TAG) or TIME_TAGS[0]) in TIME_TAGS:
        times = _times_s(labels.split(","), unit)
    repetition_ms = _number(attributes.get(REPETITION_TIME))
    repetition = None if repetition_ms is None else repetition_ms / 1000
    tr_s, note = _time_between(times, repetition)
    if times is None and labels and repetition is not None:
        note = (
            "The series does not say when its frames were acquired: the time between frames is DICOM's repetition time."
        )
    te_ms, flip_deg = _number(attributes.get(ECHO_TIME)), _number(attributes.get(FLIP_ANGLE))
    return StatedTiming(te_ms, tr_s, flip_deg, note)


def index_of_frames(
    frames: int, te_s: float | None, tr_s: float | None, flip_deg: float | None
) -> tuple[list[str], str, dict[str, str]]:
    """What a node has to state of a series, so that `stated_timing` reads it again.

    Args:
        frames: their number.
        te_s: echo time in s, where known.
        tr_s: time between frames in s, where known.
        flip_deg: flip angle in degrees, where known.

    Returns:
        The index value of each frame (its time, or its number where times are not known), their unit ("s" or ""), and
        the attributes.
    """
    unit = "" if tr_s is None else "s"
    values = [f"{number if tr_s is None else number * tr_s:.9g}" for number in range(frames)]
    stated = {
        ECHO_TIME: None if te_s is None else 1000 * te_s,
        REPETITION_TIME: None if tr_s is None else 1000 * tr_s,
        FLIP_ANGLE: flip_deg,
    }
    return values, unit, {name: f"{value:.9g}" for name, value in stated.items() if value is not None}


def agree(first_s: float, second_s: float) -> bool:
    """Whether two times between frames, in s, are the same within 5 % of the second."""
    return abs(first_s - second_s) <= _SAME * second_s


def frame_distance(times_s: NDArray[np.float64], rounding_s: float = 0.0) -> float | None:
    """Even distance of the times (T,) of frames, in s; None if it is uneven or they do not rise.

    Args:
        times_s: of two frames or more, in their order.
        rounding_s: by how much a distance may differ since the times are rounded, beyond the 5 % that are allowed.
    """
    steps: NDArray[np.float64] = np.diff(times_s)
    step = float(times_s[-1] - times_s[0]) / len(steps)
    if step <= 0 or np.abs(steps - step).max() > max(_EVEN * step, rounding_s):
        return None
    # Without the digits that come of sums of rounded times.
    return float(f"{step:.6g}")


def check_entered(te_ms: Sequence[float], tr_s: float | None) -> None:
    """Check an echo time in ms and a time between frames in s, as a user enters them.

    Raises:
        InputError: a value is absurd; if it would be right in the other unit, the message says so and asks.
    """
    for te in te_ms:
        low, high = (1000 * value for value in TE_RANGE_S)
        if TE_RANGE_S[0] <= te <= TE_RANGE_S[1]:
            raise _other_unit("echo time", te, "ms", "seconds", f"If it is {te:g} s, enter {1000 * te:g} ms.")
        _check_range("echo time", te, low, high, "ms")
    if tr_s is None:
        return
    low, high = TR_RANGE_S
    if low <= tr_s / 1000 <= high:
        hint = f"If it is {tr_s:g} ms, enter {tr_s / 1000:g} s."
        raise _other_unit("time between frames", tr_s, "s", "milliseconds", hint)
    _check_range("time between frames", tr_s, low, high, "s")


def _other_unit(name: str, value: float, unit: str, other: str, hint: str) -> InputError:
    return InputError(f"The {name} of the DSC series is given as {value:g} {unit}, which looks like {other}.", hint)


def _check_range(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:  # also catches NaN
        raise InputError(
            f"The {name} of the DSC series, {value:g} {unit}, is out of range.",
            f"It lies between {low:g} and {high:g} {unit}; look it up in the protocol.",
        )


def _time_between(times_s: NDArray[np.float64] | None, repetition_s: float | None) -> tuple[float | None, str]:
    """Time between frames in s as times and repetition time state it, and why it is not known."""
    if times_s is None:
        return repetition_s, ""
    even = frame_distance(times_s)
    distance = even if even is not None else float(times_s[-1] - times_s[0]) / (len(times_s) - 1)
    if repetition_s is not None and agree(repetition_s, distance):
        return (even if even is not None else repetition_s), ""
    ask = "enter the time between two frames."
    if repetition_s is not None:
        mean = "" if even is not None else " on average"
        return (
            None,
            f"The frames are {distance:.4g} s apart{mean}, but the repetition time is {repetition_s:.4g} s: {ask}",
        )
    if even is None:
        return None, f"The times of the frames are uneven: {ask}"
    return even, ""


def _times_s(values: Sequence[str], unit: str) -> NDArray[np.float64] | None:
    """Times of two frames or more, in s; None for what is no time, and for numbers of frames."""
    if unit not in _SECONDS or len(values) < 2:
        return None
    numbers = [_finite(value) for value in values]
    if any(number is None for number in numbers):
        return None
    times = np.array(numbers, dtype=np.float64)
    return None if np.all(np.diff(times) == 1) else times * _SECONDS[unit]


def _finite(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _number(text: str | None) -> float | None:
    """A number above 0; None for anything else: DICOM attributes that are missing come as "" or 0."""
    number = _finite(text)
    return number if number is not None and number > 0 else None
