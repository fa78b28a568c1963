"""The parameters of the worker's jobs "suggest_regions" and "measure" for one patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.case import ADC_UNITS, CBV_UNITS, SEQUENCES, Role, convert_adc
from HierSynthLib.fidelity.measures.settings import Settings
from HierSynthLib.fidelity.regions.shapes import Region
from HierSynthLib.fidelity.report.alignment import Placement
from HierSynthLib.fidelity.report.subject import ACQUIRED, TRUE, Subject
from HierSynthLib.preparation.grid import resample
from HierSynthLib.volume import Volume, read_volume, write_volume


class Staging:
    """Copies of volumes for the worker, in a folder that is removed afterwards.

    The ADC map comes in 10⁻³ mm²/s, and for the suggestions, which look at the files as they lie, every volume that is
    moved comes on the grid of the synthetic map.
    """

    def __init__(self, folder: Path, subject: Subject, placements: Sequence[Placement]) -> None:
        """Prepare for one patient.

        Args:
            folder: for the copies; exists.
            subject: the patient.
            placements: of `align`.
        """
        self._folder = folder
        self._subject = subject
        self._transforms = {placement.map: placement.transform for placement in placements}
        self._files = {str(role): path for role, path in subject.others.items()} | subject.acquired
        self._units = {str(role): subject.case.units.get(role, "") for role in subject.others}
        self.warnings: list[str] = []
        if Role.ADC in subject.others:
            self._convert_adc()

    def suggestion(self, what: Sequence[str], count: int, diameter_mm: float) -> dict[str, Any]:
        """Parameters of "suggest_regions"."""
        subject = self._subject
        first = subject.synthetic[0]
        maps = {each.name: each.path for each in subject.synthetic} if "hotspots" in what else {}
        found_on = next((name for name in (ACQUIRED, TRUE) if name in subject.acquired), None)
        if maps and found_on:
            maps[found_on] = self._in_place(found_on, first.path)
        anatomy = [str(role) for role in SEQUENCES if role in subject.others]
        return {
            "what": list(what),
            "anatomy": {name: str(self._in_place(name, first.path)) for name in anatomy},
            "brain": _text(subject.brain),
            "lesion": [region.to_json() for region in subject.lesions],
            "maps": {name: str(path) for name, path in maps.items()},
        } | ({"count": count, "diameter_mm": diameter_mm} if "hotspots" in what else {})

    def measurement(self, regions: Sequence[Region], settings: Settings, output: Path) -> dict[str, Any]:
        """Parameters of "measure"."""
        subject = self._subject
        maps: list[dict[str, Any]] = [
            _map(each.name, "synthetic", each.path, CBV_UNITS, None) for each in subject.synthetic
        ]
        maps += [
            _map(f"{each.name} uncertainty", "uncertainty", each.uncertainty, CBV_UNITS, None) | {"of": each.name}
            for each in subject.synthetic
            if each.uncertainty
        ]
        for name in subject.acquired:
            role = {ACQUIRED: Role.CBV_ACQUIRED, TRUE: Role.CBV_TRUE}[name]
            own = subject.own_acquired or name == TRUE
            units = (subject.case.units.get(role) if own else None) or CBV_UNITS
            maps.append(_map(name, "acquired", self._files[name], units, self._transforms[name]))
        for other in map(str, subject.measured):
            maps.append(_map(other, "other", self._files[other], self._units[other], self._transforms[other]))
        return {
            "maps": maps,
            "brain": _text(subject.brain),
            "regions": [region.to_json() for region in regions],
            "settings": settings.to_json(),
            "output": str(output),
        }

    def _in_place(self, name: str, target: Path) -> Path:
        """A volume as it lies, or its copy on the grid of the synthetic map where it has to be moved."""
        transform = self._transforms[name]
        if transform is None:
            return self._files[name]
        copy = self._folder / f"{name}-moved.npy"
        if not copy.exists():
            volume, grid = read_volume(self._files[name]), read_volume(target)
            values = np.nan_to_num(volume.array.reshape(volume.grid), nan=0.0, posinf=0.0, neginf=0.0)
            moved = resample(values, volume.affine, grid.grid, grid.affine, transform=transform)
            write_volume(Volume(moved, grid.affine, volume.units), copy)
        return copy

    def _convert_adc(self) -> None:
        role = str(Role.ADC)
        volume = read_volume(self._files[role], self._units[role])
        converted, problems = convert_adc(volume)
        self.warnings += [str(problem) for problem in problems]
        if any(problem.severity == "error" for problem in problems):
            return
        self._units[role] = ADC_UNITS
        if converted.array is not volume.array:
            self._files[role] = self._folder / "ADC-converted.npy"
            write_volume(converted, self._files[role])


def _map(name: str, kind: str, path: Path, units: str, transform: Any) -> dict[str, Any]:
    fields = {"name": name, "kind": kind, "path": str(path), "units": units}
    return fields if transform is None else fields | {"transform": np.asarray(transform).tolist()}


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def found_regions(result: Mapping[str, Any]) -> tuple[Region | None, dict[str, list[Region]]]:
    """Reference and hotspots in the result of "suggest_regions"."""
    reference = result.get("reference")
    hotspots = {name: [Region.from_json(each) for each in found] for name, found in result["hotspots"].items()}
    return (None if reference is None else Region.from_json(reference)), hotspots
