"""Reading a DSC series with its echo and repetition time.

Times come from the caller, from the JSON file beside a NIfTI or NRRD file (BIDS: EchoTime, RepetitionTime in s,
FlipAngle in degrees), or from the DICOM attributes. They are never guessed, and never taken from the header of a NIfTI
file, where the time between frames is often wrong. What contradicts the times that are used is told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.formats.nifti import NiftiNote, read_note
from HierSynthLib.perfusion.dicom_timing import SAME, read_dicom_timing
from HierSynthLib.perfusion.series import DscSeries, check_frames
from HierSynthLib.perfusion.timing import agree
from HierSynthLib.volume import read_volume

SIMULATED = "SIMULATED"
"""How the description of every simulated image begins."""

_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".npy")
_GIVE_TE = "Give it in seconds with --te, once per echo; the protocol of the series names it."
_GIVE_TR = "Give the time between frames in seconds with --tr; the protocol of the series names it."
_REPAIR = "Repair it, or give --te and --tr."
_BESIDE = "the JSON beside the series"
# Written by programs that know no time between frames.
_NO_TIME_S = 1.0

Stated = float | InputError | None
"""A value that a file states; what is wrong with it, if it cannot be used; None where it states nothing."""


@dataclass(frozen=True)
class Timing:
    """What a file says of its acquisition; None where it says nothing.

    Attributes:
        te_s: echo time in s.
        tr_s: time between frames in s.
        flip_deg: flip angle in degrees.
    """

    te_s: float | None = None
    tr_s: float | None = None
    flip_deg: float | None = None


@dataclass(frozen=True)
class _Statement:
    """What a file says, used or not.

    Attributes:
        te_s, tr_s, flip_deg: see `Timing`.
        source: where it stands, without the name of a file.
        frames_s: distance of the frames by their own times, in s.
        note: what else the user should know; "" for nothing.
        simulated: whether it says that it is simulated.
    """

    te_s: Stated = None
    tr_s: Stated = None
    flip_deg: Stated = None
    source: str = ""
    frames_s: float | None = None
    note: str = ""
    simulated: bool = False


def read_series(
    paths: Sequence[Path],
    te_s: Sequence[float] | None = None,
    tr_s: float | None = None,
    flip_deg: float | None = None,
    told: list[str] | None = None,
) -> DscSeries:
    """Read a DSC series from one file or DICOM folder per echo.

    Args:
        paths: the files or folders, the shorter echo first.
        te_s: echo time of each echo in s; from the files if None.
        tr_s: time between frames in s; from the files if None.
        flip_deg: flip angle in degrees; from the files if None.
        told: gets a sentence for each contradiction between the times that are used and others.

    Raises:
        InputError: a file cannot be read, a time is missing, contradictory or absurd, or the series is unusable.
    """
    if not paths:
        raise InputError("No DSC series was given.", "Give one file or folder per echo.")
    paths = [Path(path) for path in paths]
    told = [] if told is None else told
    volumes = [read_volume(path) for path in paths]
    for number, volume in enumerate(volumes, 1):
        check_frames(volume.array, f"Echo {number} of the DSC series")
    found = [_statement(path) for path in paths]
    told += [each.note for each in found if each.note]
    echo_times = _echo_times(paths, found, te_s, told)
    distance = _distance(paths, found, tr_s, told)
    if flip_deg is None:
        flip_deg = next((each.flip_deg for each in found if isinstance(each.flip_deg, float)), None)
    series = DscSeries.from_volumes(volumes, echo_times, distance, flip_deg)
    for path in paths:
        _compare_header(path, distance, told)
    return series


def read_timing(path: Path) -> Timing:
    """Echo time, time between frames and flip angle that a DICOM folder or the JSON beside a file states.

    Raises:
        InputError: the JSON is damaged, or a DICOM folder holds several echo or repetition times, or frames at other
            distances than their repetition time.
    """
    found = _statement(path)
    flip = found.flip_deg if isinstance(found.flip_deg, float) else None
    return Timing(_usable(found.te_s), _usable(found.tr_s), flip)


def is_simulated(path: Path) -> bool:
    """Whether an image file says that it is of a simulated patient: its header, or the JSON beside it."""
    note = _note_of(path)
    if note is not None and note.description.startswith(SIMULATED):
        return True
    return not path.is_dir() and _from_sidecar(path).simulated


def sidecar_of(path: Path) -> Path:
    """The JSON file that belongs to an image file: the same name with the ending .json."""
    ending = next((ending for ending in _ENDINGS if path.name.lower().endswith(ending)), path.suffix)
    return path.with_name(path.name[: len(path.name) - len(ending)] + ".json")


def _echo_times(
    paths: Sequence[Path], found: Sequence[_Statement], given: Sequence[float] | None, told: list[str]
) -> Sequence[float]:
    if given is None:
        for path, each in zip(paths, found, strict=True):
            if _usable(each.te_s) is None:
                raise InputError(f"The echo time of {path} is unknown.", _GIVE_TE)
        return [each.te_s for each in found if isinstance(each.te_s, float)]
    # A different number of echo times is refused by the series.
    for value, each in zip(given, found, strict=False):
        _compare("echo time", value, each.te_s, each.source, told)
    return given


def _distance(paths: Sequence[Path], found: Sequence[_Statement], given: float | None, told: list[str]) -> float:
    """Time between frames in s."""
    if given is not None:
        for each in found:
            stated = each.tr_s if each.frames_s is None else each.frames_s
            _compare("time between frames", given, stated, each.source, told)
        return given
    known = sorted({value for each in found if (value := _usable(each.tr_s)) is not None})
    if not known:
        raise InputError(f"The time between the frames of {paths[0]} is unknown.", _GIVE_TR)
    if known[-1] - known[0] > SAME * known[0]:
        raise InputError(f"The echoes have different repetition times ({known[0]:g} and {known[-1]:g} s).", _GIVE_TR)
    return known[0]


def _compare(name: str, given: float, stated: Stated, source: str, told: list[str]) -> None:
    """Tell if the value that was given, and is used, is not the one that is stated.

    Without the names of files, since warnings are kept in files that are passed on.
    """
    if isinstance(stated, InputError):
        told.append(f"The {name} that was given, {given:g} s, is used; that of {source} cannot be.")
    elif stated is not None and abs(given - stated) > SAME * stated:
        told.append(f"The {name} that was given, {given:g} s, is used; {source} says {stated:g} s.")


def _compare_header(path: Path, distance: float, told: list[str]) -> None:
    """Tell if the header of a NIfTI file states another time between frames, with its unit, than the one used."""
    note = _note_of(path)
    if note is None or note.frame_s is None or note.frame_s == _NO_TIME_S or agree(note.frame_s, distance):
        return
    told.append(
        f"The header of the series says that its frames are {note.frame_s:g} s apart; {distance:g} s is used. Check "
        "which one is right."
    )


def _note_of(path: Path) -> NiftiNote | None:
    """What stands in the header of a NIfTI file; None for other files."""
    return read_note(path) if path.name.lower().endswith((".nii", ".nii.gz")) and path.is_file() else None


def _usable(value: Stated) -> float | None:
    if isinstance(value, InputError):
        raise value
    return value


def _statement(path: Path) -> _Statement:
    return _from_dicom(path) if path.is_dir() else _from_sidecar(path)


def _from_sidecar(path: Path) -> _Statement:
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return _Statement()
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return _unreadable(sidecar, "cannot be read as JSON")
    if not isinstance(content, dict):
        return _unreadable(sidecar, "holds no JSON object")
    te_s, tr_s, flip_deg = (_number(content, name, sidecar) for name in ("EchoTime", "RepetitionTime", "FlipAngle"))
    return _Statement(te_s, tr_s, flip_deg, _BESIDE, simulated=content.get("Simulated") is True)


def _unreadable(sidecar: Path, what: str) -> _Statement:
    error = InputError(f"{sidecar} {what}.", _REPAIR)
    return _Statement(error, error, error, _BESIDE)


def _number(content: dict[str, Any], name: str, sidecar: Path) -> Stated:
    value = content.get(name)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        shown = repr(value)[:40]
        return InputError(f"{name} in {sidecar} is no number: {shown}.", _REPAIR)
    return number


def _from_dicom(folder: Path) -> _Statement:
    found = read_dicom_timing(folder)
    if len(found.te_s) > 1:
        times = ", ".join(f"{1000 * value:g}" for value in found.te_s)
        raise InputError(
            f"The folder {folder} holds images of several echo times ({times} ms).",
            "Give one folder per echo, the shorter echo time first.",
        )
    note = ""
    if found.uneven_s is not None:
        low, high = found.uneven_s
        note = f"The frames are not evenly spaced in time: they were taken {low:.3g} to {high:.3g} s apart."
    tr_s: Stated = found.distance_s
    if len(found.repetition_s) > 1:
        low, high = found.repetition_s[0], found.repetition_s[-1]
        tr_s = InputError(f"The images in {folder} have different repetition times ({low:g} to {high:g} s).", _GIVE_TR)
    elif found.repetition_s:
        tr_s = _agreed(found.repetition_s[0], found.distance_s, folder)
    te_s = found.te_s[0] if found.te_s else None
    return _Statement(te_s, tr_s, found.flip_deg, "DICOM", found.distance_s, note)


def _agreed(repetition: float, distance: float | None, folder: Path) -> Stated:
    """The time between frames from the repetition time and the distance of the frames by their times."""
    if distance is None or abs(distance - repetition) <= SAME * repetition:
        return repetition
    if agree(distance, repetition):
        return distance
    return InputError(
        f"The frames in {folder} were taken {distance:g} s apart, but their repetition time is {repetition:g} s.",
        _GIVE_TR,
    )
