"""Reading a DSC series with its echo and repetition time.

Times come from the caller, from the JSON file beside a NIfTI or NRRD file (BIDS: EchoTime, RepetitionTime in s,
FlipAngle in degrees), or from the DICOM attributes (Echo Time, Repetition Time in ms). They are never guessed, and
never taken from the header of a NIfTI file, where the time between frames is often wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.volume import read_volume

_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".npy")
_GIVE_TE = "Give it in seconds with --te, once per echo; the protocol of the series names it."
_GIVE_TR = "Give the time between frames in seconds with --tr; the protocol of the series names it."


@dataclass(frozen=True)
class Timing:
    """What a file says of its acquisition; None where it says nothing.

    Attributes:
        te_s: echo time in s.
        tr_s: time between frames in s.
        flip_deg: flip angle in degrees.
        source: where it stands, for messages.
    """

    te_s: float | None = None
    tr_s: float | None = None
    flip_deg: float | None = None
    source: str = ""


def read_series(
    paths: Sequence[Path],
    te_s: Sequence[float] | None = None,
    tr_s: float | None = None,
    flip_deg: float | None = None,
) -> DscSeries:
    """Read a DSC series from one file or DICOM folder per echo.

    Args:
        paths: the files or folders, the shorter echo first.
        te_s: echo time of each echo in s; from the files if None.
        tr_s: time between frames in s; from the files if None.
        flip_deg: flip angle in degrees; from the files if None.

    Raises:
        InputError: a file cannot be read, a time is missing, contradictory or absurd, or the series is unusable.
    """
    if not paths:
        raise InputError("No DSC series was given.", "Give one file or folder per echo.")
    found = [read_timing(Path(path)) for path in paths]
    if te_s is None:
        for path, timing in zip(paths, found, strict=True):
            if timing.te_s is None:
                raise InputError(f"The echo time of {path} is unknown.", _GIVE_TE)
        te_s = [timing.te_s for timing in found if timing.te_s is not None]
    if tr_s is None:
        known = sorted({timing.tr_s for timing in found if timing.tr_s is not None})
        if not known:
            raise InputError(f"The time between the frames of {paths[0]} is unknown.", _GIVE_TR)
        if len(known) > 1:
            raise InputError(
                f"The echoes have different repetition times ({known[0]:g} and {known[-1]:g} s).", _GIVE_TR
            )
        tr_s = known[0]
    if flip_deg is None:
        flip_deg = next((timing.flip_deg for timing in found if timing.flip_deg is not None), None)
    return DscSeries.from_volumes([read_volume(Path(path)) for path in paths], te_s, tr_s, flip_deg)


def read_timing(path: Path) -> Timing:
    """Echo time, repetition time and flip angle that a DICOM folder or the JSON beside a file states.

    Raises:
        InputError: the JSON is damaged, or a DICOM folder holds several echo or repetition times.
    """
    return _from_dicom(path) if path.is_dir() else _from_sidecar(path)


def sidecar_of(path: Path) -> Path:
    """The JSON file that belongs to an image file: the same name with the ending .json."""
    ending = next((ending for ending in _ENDINGS if path.name.lower().endswith(ending)), path.suffix)
    return path.with_name(path.name[: len(path.name) - len(ending)] + ".json")


def _from_sidecar(path: Path) -> Timing:
    sidecar = sidecar_of(path)
    if not sidecar.is_file():
        return Timing()
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{sidecar} cannot be read as JSON.", "Repair it, or give --te and --tr.") from error
    if not isinstance(content, dict):
        raise InputError(f"{sidecar} holds no JSON object.", "Repair it, or give --te and --tr.")

    def number(name: str) -> float | None:
        value = content.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{name} in {sidecar} is no number: {value!r}.", "Repair it, or give --te and --tr.")
        return float(value)

    return Timing(number("EchoTime"), number("RepetitionTime"), number("FlipAngle"), str(sidecar))


def _from_dicom(folder: Path) -> Timing:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    wanted = ["EchoTime", "RepetitionTime", "FlipAngle", "SOPClassUID"]
    values: dict[str, set[float]] = {name: set() for name in wanted[:3]}
    for path in sorted(folder.iterdir()):
        if not path.is_file():
            continue
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(wanted))
        except (InvalidDicomError, OSError, EOFError, ValueError):
            continue  # reading the images explains what is wrong
        for name, known in values.items():
            value = _decimal(header.get(name))
            if value is not None:
                known.add(value)
    if len(values["EchoTime"]) > 1:
        times = ", ".join(f"{value:g}" for value in sorted(values["EchoTime"]))
        raise InputError(
            f"The folder {folder} holds images of several echo times ({times} ms).",
            "Give one folder per echo, the shorter echo time first.",
        )
    if len(values["RepetitionTime"]) > 1:
        raise InputError(f"The images in {folder} have different repetition times.", _GIVE_TR)
    te, tr, flip = (next(iter(values[name]), None) for name in wanted[:3])
    return Timing(None if te is None else te / 1000, None if tr is None else tr / 1000, flip, str(folder))


def _decimal(value: Any) -> float | None:
    """A positive DICOM decimal; None where it is absent, empty, 0 or no number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number > 0 else None
