"""From files to files: what the worker runs to process a DSC series, for the panel and for the command line."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib import __version__
from HierSynthLib.errors import InputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.perfusion.maps import PerfusionMaps
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.reading import read_series
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.perfusion.write import (
    CURVES,
    MAPS,
    QC,
    RUN,
    describe_aif,
    describe_quality,
    write_curves,
    write_json,
    write_maps,
)
from HierSynthLib.preparation.grid import resample
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.requirements import installed_version
from HierSynthLib.synthesis.provenance import hash_input
from HierSynthLib.volume import Volume, read_volume

FORMATS = ("nii.gz", "npy")
LIBRARIES = ("numpy", "scipy", "SimpleITK", "pydicom")
STATEMENT = "Perfusion maps of a DSC series, for research only; not cleared for clinical use."

Mask = NDArray[np.bool_]

# Median CBV of a brain, ml/100 g, beyond which the AIF cannot be of the right size (design values; 3 to 4 is normal).
_PLAUSIBLE_CBV = (1.0, 20.0)

_KINDS: dict[str, tuple[type, ...]] = {
    "series": (list,),
    "output": (str,),
    "te_s": (list,),
    "tr_s": (int, float),
    "flip_deg": (int, float),
    "brain": (str,),
    "nawm": (str,),
    "nawm_label": (int,),
    "aif_mask": (str,),
    "aif_voxels": (list,),
    "options": (dict,),
    "format": (str,),
    "case_id": (str,),
    "simulated": (bool,),
}


@dataclass(frozen=True)
class PerfusionRequest:
    """One processing.

    Attributes:
        series: one file or DICOM folder per echo, the shorter echo time first.
        output: folder to be made; must not exist or be empty.
        te_s: echo times in s; None takes those of the files.
        tr_s: time between frames in s; None takes that of the files.
        flip_deg: flip angle in degrees; None takes that of the files.
        brain: file of the brain mask; None finds the brain in the series.
        nawm: file with normal-appearing white matter; without it there is no nrCBV.
        nawm_label: value of it in that file; None if it is the only one.
        aif_mask: file on the grid of the series whose voxels are the arterial input function.
        aif_voxels: their indices i, j, k instead; both None finds them automatically.
        options: constants and methods.
        format: of the maps, "nii.gz", or "npy" for a client that wants arrays.
        case_id: for run.json.
        simulated: whether the patient is a simulated one.
    """

    series: tuple[Path, ...]
    output: Path
    te_s: tuple[float, ...] | None = None
    tr_s: float | None = None
    flip_deg: float | None = None
    brain: Path | None = None
    nawm: Path | None = None
    nawm_label: int | None = None
    aif_mask: Path | None = None
    aif_voxels: tuple[tuple[int, int, int], ...] | None = None
    options: Options = field(default_factory=Options)
    format: str = "nii.gz"
    case_id: str = "case"
    simulated: bool = False

    @staticmethod
    def parse(parameters: Mapping[str, Any]) -> PerfusionRequest:
        """Read the parameters of a job as they come from the worker's client; None stands for what is not given.

        Raises:
            InputError: a parameter is missing, unknown or of the wrong kind.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        for name, value in given.items():
            if name not in _KINDS:
                raise InputError(f"Unknown parameter '{name}' of a perfusion job.", f"Known are: {', '.join(_KINDS)}.")
            if not isinstance(value, _KINDS[name]) or (isinstance(value, bool) and bool not in _KINDS[name]):
                raise InputError(
                    f"Parameter '{name}' of a perfusion job is {value!r}.", f"Give a {_KINDS[name][-1].__name__}."
                )
        paths = given.get("series", [])
        if not paths or "output" not in given or not all(isinstance(path, str) for path in paths):
            raise InputError("A perfusion job needs 'series' (files) and 'output' (folder).", "Give both.")
        times = given.get("te_s")
        if times is not None and not all(_is_number(value) for value in times):
            raise InputError("The echo times are not numbers.", "Give one per echo, in seconds.")
        if not 0 < float(given.get("flip_deg", 90)) <= 180:
            raise InputError(f"A flip angle of {given['flip_deg']:g}° is out of range.", "Give it in degrees.")
        if given.get("format", "nii.gz") not in FORMATS:
            raise InputError(f"Unknown output format '{given['format']}'.", f"Choose one of: {', '.join(FORMATS)}.")
        if "aif_mask" in given and "aif_voxels" in given:
            raise InputError("The arterial input function is given as a mask and as voxels.", "Give one or the other.")
        if "nawm_label" in given and "nawm" not in given:
            raise InputError("A label is given, but no file with white matter.", "Give both.")
        values: dict[str, Any] = {
            name: Path(given[name]) for name in ("output", "brain", "nawm", "aif_mask") if name in given
        }
        values |= {name: given[name] for name in ("nawm_label", "format", "case_id", "simulated") if name in given}
        values |= {name: float(given[name]) for name in ("tr_s", "flip_deg") if name in given}
        return PerfusionRequest(
            series=tuple(Path(path) for path in paths),
            te_s=None if times is None else tuple(float(value) for value in times),
            aif_voxels=_voxels(given.get("aif_voxels")),
            options=Options.from_json(given.get("options", {})),
            **values,
        )


def run_job(parameters: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Process a DSC series and write its maps into a new folder.

    Args:
        parameters: see `PerfusionRequest.parse`.
        reporter: told about progress and warnings; asked whether to stop.

    Returns:
        {"output": folder, "maps": {name: file}, "masks": {name: file}, "units": {name: units}, "curves": file,
        "qc": file, "run": file, "description": file of maps.json, "quality": contents of qc.json, "aif": its voxels
        and shape or None, "seconds": {stage: seconds}}.

    Raises:
        InputError, OutputError: see their messages; nothing is left half-written.
        Cancelled: from the reporter.
    """
    request = PerfusionRequest.parse(parameters)
    begun = time.perf_counter()
    told: list[str] = []
    # Arrays are for a client that reads them at once: nothing is gained from waiting for the disk.
    with atomic_folder(request.output, durable=request.format != "npy") as folder:
        reporter.progress("reading", 0.0)
        series = read_series(request.series, request.te_s, request.tr_s, request.flip_deg)
        reporter.progress("reading", 0.08)
        brain = nawm = None
        if request.brain is not None:
            brain = read_mask(request.brain, "brain mask", series, told, any_label=True)
        if request.nawm is not None:
            nawm = read_mask(request.nawm, "normal-appearing white matter", series, told, label=request.nawm_label)
        voxels = _aif_voxels(request, series)
        for warning in told:
            reporter.warning(warning)
        read = time.perf_counter()
        reporter.progress("processing", 0.1)
        result = process(
            series, request.options, brain=brain, nawm=nawm, aif_voxels=voxels, reporter=Part(reporter, 0.1, 0.9)
        )
        processed = time.perf_counter()
        write_maps(folder, result, request.format, simulated=request.simulated, reporter=Part(reporter, 0.9, 0.99))
        write_curves(folder / CURVES, result)
        quality = describe_quality(result)
        implausible = scale_warnings(result)
        for warning in implausible:
            reporter.warning(warning)
        quality["warnings"] = [*told, *quality["warnings"], *implausible]
        write_json(folder / QC, quality)
        seconds = {
            "reading": read - begun,
            "processing": processed - read,
            "writing": time.perf_counter() - processed,
        }
        write_json(folder / RUN, describe_run(request, series, result, seconds, quality["warnings"]))
        reporter.progress("done", 1.0)
    output, ending = request.output, request.format
    masks = ["brain_mask", "non_enhancing_mask", *(["aif_mask"] if result.aif is not None else [])]
    return {
        "output": str(output),
        "maps": {name: str(output / f"{name}.{ending}") for name in result.maps},
        "masks": {name: str(output / f"{name}.{ending}") for name in masks},
        "units": result.units,
        "curves": str(output / CURVES),
        "qc": str(output / QC),
        "run": str(output / RUN),
        "description": str(output / MAPS),
        "quality": quality,
        "aif": None if result.aif is None else describe_aif(result.aif, result.affine),
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
    }


def read_mask(
    path: Path, name: str, series: DscSeries, told: list[str], *, label: int | None = None, any_label: bool = False
) -> Mask:
    """Read a mask and put it onto the grid of the series, by its position in the patient.

    Args:
        path: of the file.
        name: for messages.
        series: whose grid is wanted.
        told: gets a warning if the mask lay on another grid.
        label: the value that counts; None for all values but 0, of which there may be one only.
        any_label: whether several values may be there all the same.

    Returns:
        (I, J, K) mask.

    Raises:
        InputError: it cannot be read, is not 3-D, holds several labels, or nothing on the grid of the series.
    """
    volume = read_volume(path)
    if volume.array.ndim == 4:
        raise InputError(f"{path} has 4 dimensions; a mask has 3.", "Give the mask, not the series.")
    values = np.nan_to_num(volume.array.reshape(volume.grid))
    if label is not None:
        inside = values == label
    else:
        # Shares of a voxel between 0 and 1 count from a half; labels are whole numbers.
        inside = values > (0.5 if values.max() <= 1 else 0)
        labels = np.unique(values[inside])
        if values.max() > 1 and labels.size > 1 and not any_label:
            some = ", ".join(f"{value:g}" for value in labels[:6])
            raise InputError(
                f"{path} holds several values ({some}{' …' if labels.size > 6 else ''}).",
                f"Say which one is the {name} with --nawm-label.",
            )
    if not inside.any():
        what = "empty" if label is None else f"without the label {label}"
        raise InputError(f"The {name} {path} is {what}.", "Check the file.")
    reference = Volume(np.zeros(series.grid, dtype=np.uint8), series.affine)
    if Volume(inside, volume.affine).same_grid(reference):
        return np.asarray(inside)
    moved = resample(inside.astype(np.float32), volume.affine, series.grid, series.affine) > 0.5
    if not moved.any():
        raise InputError(
            f"The {name} {path} holds no voxel of the DSC series.", "Are both of the same examination, and aligned?"
        )
    told.append(
        f"The {name} lies on another grid than the DSC series and was brought onto it by position, "
        "without registration."
    )
    return np.asarray(moved)


def scale_warnings(result: PerfusionMaps) -> list[str]:
    """What is to be said if absolute CBV cannot be right; relative maps do not depend on the size of the AIF."""
    inside = result.brain & (result.maps["PH"] > 0)
    if "CBV" not in result.maps or not inside.any():
        return []
    median = float(np.median(result.maps["CBV"][inside]))
    if _PLAUSIBLE_CBV[0] <= median <= _PLAUSIBLE_CBV[1]:
        return []
    return [
        f"Absolute CBV and CBF are implausible (median CBV {median:.3g} ml/100 g, normal is 3 to 4): the arterial "
        "input function has the wrong size. Relative CBV, MTT and Tmax do not depend on it."
    ]


def _aif_voxels(request: PerfusionRequest, series: DscSeries) -> NDArray[np.intp] | None:
    if request.aif_voxels is not None:
        return np.asarray(request.aif_voxels, dtype=np.intp)
    if request.aif_mask is None:
        return None
    volume = read_volume(request.aif_mask)
    reference = Volume(np.zeros(series.grid, dtype=np.uint8), series.affine)
    if volume.array.ndim == 4 or not volume.same_grid(reference):
        raise InputError(
            f"The mask {request.aif_mask} of the arterial input function lies on another grid than the DSC series.",
            "Draw it on the series, or give the voxels.",
        )
    voxels = np.argwhere(np.nan_to_num(volume.array.reshape(volume.grid)) > 0)
    if not len(voxels):
        raise InputError(f"The mask {request.aif_mask} of the arterial input function is empty.", "Mark an artery.")
    return np.asarray(voxels, dtype=np.intp)


def describe_run(
    request: PerfusionRequest, series: DscSeries, result: PerfusionMaps, seconds: dict[str, float], warnings: list[str]
) -> dict[str, Any]:
    """The contents of run.json: what was computed from what, and how.

    Input files are identified by their SHA-256, not by name or path: both may hold a patient's name.
    """
    files = {f"echo {number}": path for number, path in enumerate(request.series, 1)}
    files |= {name: path for name in ("brain", "nawm", "aif_mask") if (path := getattr(request, name)) is not None}
    return {
        "statement": STATEMENT,
        "simulated": request.simulated,
        "case": request.case_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hiersynth": __version__,
        "inputs": {name: {"sha256": hash_input(path)} for name, path in files.items()},
        "series": {
            "grid": list(series.grid),
            "frames": series.frames,
            "spacing_mm": [round(float(value), 4) for value in series.spacing],
            "te_s": list(series.te_s),
            "tr_s": series.tr_s,
            "flip_deg": series.flip_deg,
        },
        "given": {
            "brain_mask": request.brain is not None,
            "nawm": request.nawm is not None,
            "nawm_label": request.nawm_label,
            "aif": None if result.aif is None else result.aif.method,
        },
        "options": result.options.to_json(),
        "outputs": MAPS,
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "libraries": {
            "python": platform.python_version(),
            "platform": sys.platform,
            **{name: installed_version(name) for name in LIBRARIES},
        },
        "warnings": warnings,
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _voxels(given: Any) -> tuple[tuple[int, int, int], ...] | None:
    if given is None:
        return None
    voxels = []
    for voxel in given:
        whole = isinstance(voxel, list | tuple) and len(voxel) == 3
        if not whole or not all(isinstance(index, int) and not isinstance(index, bool) for index in voxel):
            raise InputError(
                f"{voxel!r} is no voxel of an arterial input function.", "Give three whole numbers i, j, k."
            )
        voxels.append((voxel[0], voxel[1], voxel[2]))
    if not voxels:
        raise InputError("The list of voxels of the arterial input function is empty.", "Give at least one, or none.")
    return tuple(voxels)
