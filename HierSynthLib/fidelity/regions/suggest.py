"""The worker's job "suggest_regions": the NAWM reference and the hotspots, for the user to check and move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import ADC_UNITS, SEQUENCES, Role, convert_adc
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.hotspots import COUNT, DIAMETER_MM, find_hotspots
from HierSynthLib.fidelity.regions.masks import rasterise
from HierSynthLib.fidelity.regions.reference import suggest_reference
from HierSynthLib.fidelity.regions.shapes import Region
from HierSynthLib.fidelity.regions.symmetry import SymmetryPlane, find_symmetry
from HierSynthLib.preparation.brain_mask import brain_mask
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.volume import Volume, read_volume

_KINDS = ("reference", "hotspots")


def suggest_regions(parameters: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Suggest regions in one patient.

    Args:
        parameters: "what" (list of "reference", "hotspots"), "anatomy" (file by T1, T2, FLAIR, ADC), "brain" (file of
            the mask, or null to compute it), "lesion" (list of regions as JSON), "maps" (file by name), "count" and
            "diameter_mm" of the hotspots. What is not needed may be left out.
        reporter: told about progress; the warnings are in the result.

    Returns:
        "reference" (region as JSON, or null), "hotspots" (regions as JSON by map, the highest first), "means" (of the
        hotspots on their map, in the same order), "symmetry" ({"normal", "point", "correlation"}, or null where no
        plane was sought or found) and "warnings" (sentences).

    Raises:
        InputError: a parameter is not valid or a file cannot be read.
        Cancelled: from the reporter.
    """
    order = _Order.parse(parameters)
    reporter.progress("reading", 0.0)
    warnings: list[str] = []
    reference, plane = None, None
    if "reference" in order.what:
        reference, plane = _reference(order, warnings, Part(reporter, 0.0, 0.7 if "hotspots" in order.what else 1.0))
    hotspots: dict[str, list[Region]] = {}
    means: dict[str, list[float]] = {}
    if "hotspots" in order.what:
        hotspots, means = _hotspots(order, warnings, Part(reporter, 0.7 if "reference" in order.what else 0.0, 1.0))
    reporter.progress("done", 1.0)
    return {
        "reference": None if reference is None else reference.to_json(),
        "hotspots": {name: [region.to_json() for region in found] for name, found in hotspots.items()},
        "means": means,
        "symmetry": None if plane is None else _symmetry(plane),
        "warnings": list(dict.fromkeys(warnings)),
    }


@dataclass(frozen=True)
class _Order:
    """The parameters, checked."""

    what: tuple[str, ...]
    anatomy: dict[str, Path]
    brain: Path | None
    lesion: tuple[Region, ...]
    maps: dict[str, Path]
    count: int
    diameter_mm: float

    @classmethod
    def parse(cls, parameters: Mapping[str, Any]) -> _Order:
        what = parameters.get("what", _KINDS)
        if not isinstance(what, list | tuple) or not what or not set(map(str, what)) <= set(_KINDS):
            raise InputError(f"Regions of the kind {what!r} cannot be suggested.", f"Choose {' or '.join(_KINDS)}.")
        brain, lesion = parameters.get("brain"), parameters.get("lesion") or []
        if not isinstance(brain, str | None):
            raise InputError("brain is not the name of a file.", "Give the brain mask, or null to have it computed.")
        if not isinstance(lesion, list | tuple):
            raise InputError("lesion is no list of regions.", "Give a list, which may be empty.")
        count, diameter = parameters.get("count", COUNT), parameters.get("diameter_mm", DIAMETER_MM)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InputError(f"count is {count!r}.", "Give how many hotspots are wanted, at least 1.")
        if isinstance(diameter, bool) or not isinstance(diameter, int | float) or not 0 < diameter < np.inf:
            raise InputError(f"diameter_mm is {diameter!r}.", "Give the diameter of a hotspot in mm, above 0.")
        regions = tuple(Region.from_json(region) for region in lesion)
        anatomy, maps = _files(parameters, "anatomy"), _files(parameters, "maps")
        mask = Path(brain) if brain else None
        return cls(tuple(map(str, what)), anatomy, mask, regions, maps, count, float(diameter))


def _files(parameters: Mapping[str, Any], field: str) -> dict[str, Path]:
    files = parameters.get(field) or {}
    if not isinstance(files, Mapping) or not all(isinstance(path, str) for path in files.values()):
        raise InputError(f"{field} does not give a file by name.", 'Write {"name": "path", …}.')
    return {str(name): Path(path) for name, path in files.items()}


def _reference(order: _Order, warnings: list[str], reporter: Reporter) -> tuple[Region | None, SymmetryPlane | None]:
    """The suggested reference and the plane of symmetry; adds to the warnings why there is none."""
    anatomy = _anatomy(order, warnings, Part(reporter, 0.0, 0.2))
    if not anatomy:
        warnings.append("No reference is suggested: there is no T1, T2, FLAIR or ADC volume. Place it by hand.")
        return None, None
    first = next(iter(anatomy.values()))
    grid = Grid(first.grid, first.affine)
    signal = np.nan_to_num(first.array.reshape(first.grid).astype(np.float32), posinf=0, neginf=0)
    brain, inside = _brain(order, signal, grid, warnings, Part(reporter, 0.2, 0.6))
    try:
        plane = find_symmetry(signal, grid, inside, Part(reporter, 0.6, 0.9))
    except InputError as error:  # hotspots may still be possible
        warnings.append(f"No reference is suggested: {error.message} {error.hint}".strip())
        return None, None
    lesion = _places(_lesion_mask(order.lesion, grid, warnings), grid)
    found = suggest_reference(anatomy, brain, plane, lesion, Part(reporter, 0.9, 1.0))
    warnings += found.warnings
    return found.region, plane


def _anatomy(order: _Order, warnings: list[str], reporter: Reporter) -> dict[str, Volume]:
    """The anatomical volumes, the best witness of white matter first; ADC in 10⁻³ mm²/s."""
    volumes = {}
    known = [role for role in SEQUENCES if role in order.anatomy]
    for number, role in enumerate(known):
        reporter.progress("reading", number / len(known))
        volume = _read(order.anatomy[role])
        if role is Role.ADC:
            volume, problems = convert_adc(volume)
            warnings += [str(problem) for problem in problems]
            if any(problem.severity == "error" for problem in problems) or volume.units != ADC_UNITS:
                continue
        volumes[str(role)] = volume
    return volumes


def _brain(
    order: _Order, signal: NDArray[np.float32], grid: Grid, warnings: list[str], reporter: Reporter
) -> tuple[Volume, NDArray[np.bool_]]:
    """The brain mask on its own grid, and on the grid of the first anatomical volume."""
    if order.brain is not None:
        brain = _read(order.brain)
        reporter.progress("reading", 0.5)
        given = brain.array.reshape(brain.grid) > 0
        if grid.same(Grid(brain.grid, brain.affine)):
            return brain, given
        return brain, resample(given, brain.affine, grid.shape, grid.affine, interpolation="nearest")
    inside, quality = brain_mask(signal, grid, given=None, reporter=reporter)
    if quality.rating != "good":
        warnings.append(f"Brain mask for the reference ({quality.rating}): {quality.words}")
    return Volume(inside, grid.affine), inside


def _hotspots(
    order: _Order, warnings: list[str], reporter: Reporter
) -> tuple[dict[str, list[Region]], dict[str, list[float]]]:
    """Hotspots of each map and their means."""
    if not order.lesion:
        warnings.append("No hotspots are suggested: there is no lesion to look in. Draw or choose one.")
        return {name: [] for name in order.maps}, {name: [] for name in order.maps}
    regions: dict[str, list[Region]] = {}
    means: dict[str, list[float]] = {}
    for number, (name, path) in enumerate(order.maps.items()):
        part = Part(reporter, number / len(order.maps), (number + 1) / len(order.maps))
        part.progress("reading", 0.0)
        volume = _read(path)
        lesion = _lesion_mask(order.lesion, Grid(volume.grid, volume.affine), warnings, f" ({name})")
        found, remarks = find_hotspots(volume, lesion, part, count=order.count, diameter_mm=order.diameter_mm)
        warnings += [f"{remark} ({name})" for remark in remarks]
        means[name] = [hotspot.mean for hotspot in found]
        size = f"{order.diameter_mm:g} mm"
        regions[name] = [
            Region(
                f"Hotspot {n} ({name})",
                "hotspot",
                (hotspot.sphere,),
                f"suggested on {name}: sphere of {size} diameter with the {_rank(n)} mean in the lesion",
            )
            for n, hotspot in enumerate(found, start=1)
        ]
    return regions, means


def _rank(number: int) -> str:
    return "highest" if number == 1 else f"{number}{ {2: 'nd', 3: 'rd'}.get(number, 'th') } highest"


def _lesion_mask(lesion: Sequence[Region], grid: Grid, warnings: list[str], where: str = "") -> NDArray[np.bool_]:
    """The voxels of all lesion regions on a grid."""
    whole = np.zeros(grid.shape, bool)
    for region in lesion:
        mask = rasterise(region, grid, _read)
        whole[mask.slices] |= mask.inside
        warnings += [f"{region.name}{where}: {note}" for note in mask.notes]
    return whole


def _places(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float64]:
    """(N, 3) RAS mm of the voxels of a mask."""
    return np.asarray(np.argwhere(mask) @ grid.affine[:3, :3].T + grid.affine[:3, 3])


def _read(path: Path) -> Volume:
    volume = read_volume(path)
    if volume.frames != 1:
        raise InputError(f"{path} holds {volume.frames} images instead of one.", "Give a single 3-D volume.")
    return volume


def _symmetry(plane: SymmetryPlane) -> dict[str, Any]:
    return {
        "normal": plane.normal.tolist(),
        "point": plane.point.tolist(),
        "correlation": round(plane.correlation, 4),
    }
