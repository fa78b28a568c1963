"""What the DICOM files of a DSC series say of its timing.

Attributes follow DICOM PS3.3 C.8.3.1 (MR Image Module), C.7.6.1 (General Image) and C.7.6.18 (Trigger Time); times of
day are written HHMMSS.FFFFFF (PS3.5 6.2).
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.dicom_series import acquisition_order
from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.timing import frame_distance

SAME = 0.01
"""Times of the images of a series are the same within this share: scanners write 1500 and 1500.5 (design value)."""

_NUMBERS = ("EchoTime", "RepetitionTime", "FlipAngle")
_ORDER = ("TemporalPositionIdentifier", "AcquisitionNumber", "InstanceNumber")
# In the order of trust: Content Time may be that of the reconstruction.
_TIMES = ("TriggerTime", "AcquisitionTime", "ContentTime")
_CLOCK = re.compile(r"(\d\d)(\d\d)(\d\d(?:\.\d*)?)\s*")
_DAY_S = 86400.0


@dataclass(frozen=True)
class DicomTiming:
    """What is stated, in s and degrees; empty or None where nothing is.

    Attributes:
        te_s: echo times of the images, rising; those within 1 % are one.
        repetition_s: likewise their repetition times.
        flip_deg: flip angle.
        distance_s: even distance of the frames by their times.
        uneven_s: smallest and largest distance of frames that are not even.
    """

    te_s: tuple[float, ...]
    repetition_s: tuple[float, ...]
    flip_deg: float | None
    distance_s: float | None
    uneven_s: tuple[float, float] | None


def read_dicom_timing(folder: Path) -> DicomTiming:
    """Read the headers of the images in a folder; files that are none are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about every harmless departure from the standard
        return _timing(_headers(folder))


def _headers(folder: Path) -> list[Any]:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    headers: list[Any] = []
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        try:
            wanted = [*_NUMBERS, *_ORDER, *_TIMES, "ImagePositionPatient", "SOPClassUID"]
            headers.append(dcmread(path, stop_before_pixels=True, specific_tags=wanted))
        except (InvalidDicomError, OSError, EOFError, ValueError):
            continue  # reading the images explains what is wrong
    return headers


def _timing(headers: list[Any]) -> DicomTiming:
    te_s, repetition_s, flips = ([value for each in headers if (value := _decimal(each, name))] for name in _NUMBERS)
    distance, uneven = _distance(headers)
    return DicomTiming(
        _different(te_s, 1e-3), _different(repetition_s, 1e-3), flips[0] if flips else None, distance, uneven
    )


def _different(values: list[float], scale: float) -> tuple[float, ...]:
    """The values that differ by more than `SAME`, rising; of those that are the same, the most frequent one."""
    found: list[float] = []
    numbers, counts = np.unique(values, return_counts=True)
    for number in numbers[np.argsort(-counts, kind="stable")]:
        if all(abs(number - other) > SAME * other for other in found):
            found.append(float(number))
    return tuple(sorted(float(f"{number * scale:.9g}") for number in found))


def _distance(headers: list[Any]) -> tuple[float | None, tuple[float, float] | None]:
    """Even distance of the frames in s, or the smallest and largest distance of uneven ones."""
    places: dict[tuple[str, ...], list[Any]] = {}
    for header in headers:
        places.setdefault(tuple(map(str, header.get("ImagePositionPatient") or ())), []).append(header)
    frames = max(places.values(), key=len, default=[])
    try:
        frames = sorted(frames, key=acquisition_order)
    except InputError:
        return None, None  # reading the images explains what is wrong
    for name in _TIMES:
        times = [_seconds(header.get(name), name) for header in frames]
        known = np.array([time for time in times if time is not None])
        if len(known) < len(times) or len(known) < 2:
            continue
        steps = np.diff(np.unwrap(known, period=_DAY_S) if name != "TriggerTime" else known)
        if (steps <= 0).any() and not (steps >= 0).all():
            continue
        if not steps.any():
            continue
        rounding = 1.0 if np.all(known % 1 == 0) else 0.0
        distance = frame_distance(np.concatenate([[0.0], np.cumsum(steps)]), rounding)
        if distance is not None:
            return distance, None
        if name != "ContentTime":
            return None, (float(steps.min()), float(steps.max()))
    return None, None


def _seconds(value: Any, name: str) -> float | None:
    """Trigger Time is in ms; the others are times of day."""
    if name == "TriggerTime":
        try:
            return None if value is None else float(value) / 1000
        except (TypeError, ValueError):
            return None
    match = _CLOCK.fullmatch(str(value or ""))
    return None if match is None else 3600 * float(match[1]) + 60 * float(match[2]) + float(match[3])


def _decimal(header: Any, name: str) -> float | None:
    """A positive DICOM decimal; None where it is absent, empty, 0 or no number."""
    try:
        number = float(header.get(name))
    except (TypeError, ValueError):
        return None
    return number if number > 0 else None
