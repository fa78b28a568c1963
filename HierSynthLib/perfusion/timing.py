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
FRAME_UNIT = "MultiVolume.FrameIdentifyingDICOMTagUnits"
ATTRIBUTES = (ECHO_TIME, REPETITION_TIME, FLIP_ANGLE, FRAME_LABELS, FRAME_UNIT)
"""Attributes that Slicer's DICOM import (MultiVolumeImporter) gives to a series: ms, ms, degrees, times, their unit."""

# Frames are as far apart as this share of their distance allows (design value: times in DICOM are rounded).
_EVEN = 0.05
# Repetition time and distance of the frames are the same within this share (design value).
_SAME = 0.01
_SECONDS = {"s": 1.0, "ms": 1e-3}


@dataclass(frozen=True)
class StatedTiming:
    """What a node says of the acquisition of a series; None where it says nothing.

    Attributes:
        te_ms: echo time in ms.
        tr_s: time between frames in s.
        flip_deg: flip angle in degrees.
        note: why the time between frames is not known although something is stated; "" otherwise.
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
        index_unit: of these values; only "s" and "ms" are times.

    Returns:
        Time between frames: the even distance of the frames' times. Whole numbers that count the frames are no times.
        Without times it is DICOM's repetition time; where both differ, it is not known.
    """
    labels, unit = attributes.get(FRAME_LABELS), attributes.get(FRAME_UNIT) or ""
    distance = _even_distance(index_values, index_unit)
    if distance is None and labels:
        distance = _even_distance(labels.split(","), unit)
    repetition_ms = _number(attributes.get(REPETITION_TIME))
    repetition = None if repetition_ms is None else repetition_ms / 1000
    note = ""
    tr_s = distance if distance is not None else repetition
    if distance is not None and repetition is not None and abs(distance - repetition) > _SAME * distance:
        tr_s = None
        note = (
            f"The frames are {distance:.4g} s apart, but the repetition time is {repetition:.4g} s: enter the time "
            "between two frames."
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


def _even_distance(values: Sequence[str], unit: str) -> float | None:
    """Distance in s of times that are evenly spaced; None for others, for no times, and for numbers of frames."""
    if unit not in _SECONDS or len(values) < 2:
        return None
    numbers = [_finite(value) for value in values]
    if any(number is None for number in numbers):
        return None
    times = np.array(numbers, dtype=np.float64)
    steps: NDArray[np.float64] = np.diff(times)
    if np.all(steps == 1):
        return None
    step = float(times[-1] - times[0]) / len(steps)
    if step <= 0 or np.abs(steps - step).max() > _EVEN * step:
        return None
    # Without the digits that come of sums of rounded times.
    return float(f"{step * _SECONDS[unit]:.6g}")


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
