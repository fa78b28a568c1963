"""What a perfusion job is asked for: its parameters as they come from the worker's client, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.shapes import Region
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.timing import check_entered

FORMATS = ("nii.gz", "npy")

Point = tuple[float, float, float]
"""RAS mm."""

_KINDS: dict[str, tuple[type, ...]] = {
    "series": (list,),
    "frames": (list,),
    "output": (str,),
    "te_s": (list,),
    "te_ms": (list,),
    "tr_s": (int, float),
    "flip_deg": (int, float),
    "brain": (str,),
    "nawm": (str,),
    "nawm_label": (int,),
    "nawm_region": (dict,),
    "aif_mask": (str,),
    "aif_voxels": (list,),
    "aif_points_ras": (list,),
    "options": (dict,),
    "format": (str,),
    "case_id": (str,),
    "simulated": (bool,),
}


@dataclass(frozen=True)
class PerfusionRequest:
    """One processing.

    Attributes:
        series: one file or DICOM folder per echo, the shorter echo time first; empty where `frames` are given.
        frames: for each echo, one 3-D file per frame in their order instead.
        output: folder to be made; must not exist or be empty.
        te_s: echo times in s; None takes those of the files.
        tr_s: time between frames in s; None takes that of the files.
        flip_deg: flip angle in degrees; None takes that of the files.
        brain: file of the brain mask; None finds the brain in the series.
        nawm: file with normal-appearing white matter; without it there is no nrCBV.
        nawm_label: value of it in that file; None if it is the only one.
        nawm_region: normal-appearing white matter as a region in the patient instead.
        aif_mask: file on the grid of the series whose voxels are the arterial input function.
        aif_voxels: their indices i, j, k instead.
        aif_points: their positions instead, RAS mm; all three None finds them automatically.
        options: constants and methods.
        format: of the maps, "nii.gz", or "npy" for a client that wants arrays.
        case_id: for run.json.
        simulated: whether the patient is a simulated one.
    """

    series: tuple[Path, ...]
    output: Path
    frames: tuple[tuple[Path, ...], ...] = ()
    te_s: tuple[float, ...] | None = None
    tr_s: float | None = None
    flip_deg: float | None = None
    brain: Path | None = None
    nawm: Path | None = None
    nawm_label: int | None = None
    nawm_region: Region | None = None
    aif_mask: Path | None = None
    aif_voxels: tuple[tuple[int, int, int], ...] | None = None
    aif_points: tuple[Point, ...] | None = None
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
        _check_together(given)
        te_s = _echo_times(given)
        if not 0 < float(given.get("flip_deg", 90)) <= 180:
            raise InputError(f"A flip angle of {given['flip_deg']:g}° is out of range.", "Give it in degrees.")
        if given.get("format", "nii.gz") not in FORMATS:
            raise InputError(f"Unknown output format '{given['format']}'.", f"Choose one of: {', '.join(FORMATS)}.")
        region = given.get("nawm_region")
        values: dict[str, Any] = {
            name: Path(given[name]) for name in ("output", "brain", "nawm", "aif_mask") if name in given
        }
        values |= {name: given[name] for name in ("nawm_label", "format", "case_id", "simulated") if name in given}
        values |= {name: float(given[name]) for name in ("tr_s", "flip_deg") if name in given}
        return PerfusionRequest(
            series=tuple(Path(path) for path in given.get("series", [])),
            frames=tuple(tuple(Path(path) for path in echo) for echo in given.get("frames", [])),
            te_s=te_s,
            nawm_region=None if region is None else Region.from_json(region),
            aif_voxels=_voxels(given.get("aif_voxels")),
            aif_points=_points(given.get("aif_points_ras")),
            options=Options.from_json(given.get("options", {})),
            **values,
        )


def _check_together(given: Mapping[str, Any]) -> None:
    """Refuse what is missing, and what cannot be given with something else."""
    series, frames = given.get("series", []), given.get("frames", [])
    named = all(isinstance(path, str) for path in series) and all(
        isinstance(echo, list) and echo and all(isinstance(path, str) for path in echo) for echo in frames
    )
    if bool(series) == bool(frames) or "output" not in given or not named:
        raise InputError(
            "A perfusion job needs 'series' (files) or 'frames' (files of each echo), and 'output' (folder).",
            "Give one of the first two, and the folder.",
        )
    if len([name for name in ("aif_mask", "aif_voxels", "aif_points_ras") if name in given]) > 1:
        raise InputError(
            "The arterial input function is given in several ways (mask, voxels, points).", "Give one or the other."
        )
    if "nawm" in given and "nawm_region" in given:
        raise InputError("The normal-appearing white matter is given as a file and as a region.", "Give one of them.")
    if "nawm_label" in given and "nawm" not in given:
        raise InputError("A label is given, but no file with white matter.", "Give both.")


def _echo_times(given: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Echo times in s; None where they are to be read from the files."""
    if "te_s" in given and "te_ms" in given:
        raise InputError("The echo times are given in s and in ms.", "Give one of them.")
    name = "te_ms" if "te_ms" in given else "te_s"
    times = given.get(name)
    if times is None:
        return None
    if not all(_is_number(value) for value in times):
        unit = "milliseconds" if name == "te_ms" else "seconds"
        raise InputError("The echo times are not numbers.", f"Give one per echo, in {unit}.")
    if name == "te_s":
        return tuple(float(value) for value in times)
    check_entered(times, given.get("tr_s"))
    return tuple(value / 1000 for value in times)


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


def _points(given: Any) -> tuple[Point, ...] | None:
    if given is None:
        return None
    points = []
    for point in given:
        whole = isinstance(point, list | tuple) and len(point) == 3
        if not whole or not all(_is_number(value) and math.isfinite(value) for value in point):
            raise InputError(f"{point!r} is no position of an arterial input function.", "Give three numbers in mm.")
        points.append((float(point[0]), float(point[1]), float(point[2])))
    if not points:
        raise InputError("There is no point for the arterial input function.", "Place at least one in an artery.")
    return tuple(points)
