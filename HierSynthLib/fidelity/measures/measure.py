"""Measuring maps in regions: from volumes and shapes to the tables, plots and sentences of a case."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.case import CBV_UNITS
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.measures.gridded import GriddedMap, MapInput, common_grid, put_on_grid
from HierSynthLib.fidelity.measures.reference_level import ReferenceLevel, find_level
from HierSynthLib.fidelity.measures.region_measures import (
    Compared,
    Pair,
    Place,
    Row,
    measure_agreement,
    measure_intensity,
)
from HierSynthLib.fidelity.measures.remarks import about_maps, about_regions
from HierSynthLib.fidelity.measures.settings import Settings
from HierSynthLib.fidelity.measures.ssim import Box, Map, ssim_map
from HierSynthLib.fidelity.measures.words import region_words
from HierSynthLib.fidelity.regions.masks import RegionMask, bounds, rasterise
from HierSynthLib.fidelity.regions.shapes import Labels, Region
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.progress import Part, Reporter, Silent
from HierSynthLib.volume import Volume, read_volume

WHOLE_BRAIN = "Whole brain"

ReadLabels = Callable[[Path], Volume]
Names = tuple[str, str]


@dataclass(frozen=True)
class Measurement:
    """What was measured, each field as it stands in JSON (see docs/measures.md for the values).

    Attributes:
        grid: "shape", "spacing_mm" and "affine" of the grid on which everything was measured.
        settings: of the measurement.
        maps: "name", "kind", "units", "resampled", "invalid_voxels" of each map.
        reference: "name", "source", "voxels", "volume_ml" and "means" of the NAWM reference; None without one.
        regions: "name", "role", "source", "voxels", "volume_ml", "centre" (RAS mm or None) and "notes".
        intensity: "region", "map", "units", "values" and "notes".
        agreement: "region", "synthetic", "acquired", "values" and "notes".
        words: "region", "synthetic", "acquired", "level" and "text".
        plots: by region, for each pair "synthetic", "acquired", "histogram", "scatter" and "bland_altman".
        normalisation: by map, "nawm_mean", "expected", "doubtful" and "applied".
        warnings: sentences.
    """

    grid: dict[str, Any]
    settings: dict[str, Any]
    maps: list[dict[str, Any]]
    reference: dict[str, Any] | None
    regions: list[dict[str, Any]]
    intensity: list[dict[str, Any]]
    agreement: list[dict[str, Any]]
    words: list[dict[str, Any]]
    plots: dict[str, list[dict[str, Any]]]
    normalisation: dict[str, dict[str, Any]]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """The fields; numbers that do not exist are None."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class _Rows:
    """What was measured in a region, without what depends on the reference."""

    intensity: dict[str, Row]
    compared: dict[Names, Compared]


@dataclass(frozen=True, eq=False)
class _Entry:
    """A region of this measurement; `key` is the same for regions with the same voxels."""

    key: str
    place: Place

    @property
    def mask(self) -> RegionMask:
        return self.place.mask


class Measurer:
    """Measures the same maps in changing regions; what does not change is computed once."""

    def __init__(
        self,
        maps: Sequence[MapInput],
        brain: Volume | None = None,
        settings: Settings | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        """Bring the maps onto one grid: that of the first synthetic map, else of the first map.

        Args:
            maps: at least one, with different names.
            brain: mask of the brain on any grid, above 0 inside; adds the whole brain as a region.
            settings: of the measurement.
            reporter: told about the progress.

        Raises:
            InputError: a map cannot be used, or the settings name a map that is not there.
            Cancelled: from the reporter.
        """
        self.settings = settings or Settings()
        for name in self.settings.normalise:
            if name not in [each.name for each in maps]:
                raise InputError(f"There is no map '{name}' to normalise.", "Name one of the maps.")
        self.grid = common_grid(maps)
        given = []
        for number, each in enumerate(maps):
            (reporter or Silent()).progress("placing maps", number / len(maps))
            given.append(put_on_grid(each, self.grid))
        self._given = tuple(given)
        self._brain = None if brain is None else _brain_region(brain, self.grid)
        self._divisors: dict[str, float] = {}
        self.maps = self._given
        self._entries: dict[str, _Entry] = {}
        self._rows: dict[str, _Rows] = {}
        self._similarity: dict[Names, tuple[Box, Map]] = {}

    def measure(
        self, regions: Sequence[Region], reporter: Reporter | None = None, read_labels: ReadLabels = read_volume
    ) -> Measurement:
        """Measure all maps and pairs in all regions, and in the whole brain where it is known.

        A region of the last measurement is not measured again, as long as its shapes, the files of its labels and the
        divisors of normalised maps are the same.

        Args:
            regions: in RAS mm; the first with the role "reference" is the NAWM reference.
            reporter: told about the progress.
            read_labels: gives the volume of a label map's file.

        Raises:
            InputError: the labels of a region cannot be read.
            Cancelled: from the reporter.
        """
        reporter = reporter or Silent()
        entries = self._placed(regions, Part(reporter, 0.0, 0.1), read_labels)
        level = find_level([entry.mask for entry in entries], self._given, self.settings)
        self._normalise(level.divisors)
        self._measure(entries, Part(reporter, 0.1, 1.0))
        return self._assembled(entries, level)

    @property
    def pairs(self) -> list[Pair]:
        """Every synthetic map with every acquired one."""
        return [
            Pair(synthetic, acquired, self._uncertainty(synthetic.name))
            for synthetic in self._of_kind("synthetic")
            for acquired in self._of_kind("acquired")
        ]

    def _of_kind(self, kind: str) -> list[GriddedMap]:
        return [each for each in self.maps if each.kind == kind]

    def _uncertainty(self, synthetic: str) -> GriddedMap | None:
        """The uncertainty of a synthetic map; one that does not say whose it is belongs to the only one."""
        alone = len(self._of_kind("synthetic")) == 1
        wanted = (synthetic, None) if alone else (synthetic,)
        return next((each for each in self._of_kind("uncertainty") if each.of in wanted), None)

    def _placed(self, regions: Sequence[Region], reporter: Reporter, read_labels: ReadLabels) -> list[_Entry]:
        """The regions on the grid, under names of their own, and the whole brain."""
        entries = []
        names = _unique([*(region.name for region in regions), WHOLE_BRAIN])
        for number, (region, name) in enumerate(zip(regions, names[:-1], strict=True)):
            reporter.progress("regions", number / len(regions))
            key = _key(region)
            known = self._entries.get(key)
            mask = known.mask if known else rasterise(region, self.grid, read_labels)
            mask = replace(mask, name=name, role=region.role, source=region.source)
            entries.append(_Entry(key, Place(mask, self.grid, self.settings)))
        self._entries = {entry.key: entry for entry in entries}
        if self._brain is not None and self._brain.count:
            whole = Place(replace(self._brain, name=names[-1]), self.grid, self.settings, whole_brain=True)
            entries.append(_Entry("brain", whole))
        return entries

    def _normalise(self, divisors: dict[str, float]) -> None:
        """Divide the maps that shall be normalised; what was measured with other divisors is dropped."""
        if divisors == self._divisors:
            return
        self._divisors = divisors
        self._rows.clear()
        self._similarity.clear()
        self.maps = tuple(
            each.scaled(1 / divisors[each.name]) if each.name in divisors else each for each in self._given
        )

    def _measure(self, entries: Sequence[_Entry], reporter: Reporter) -> None:
        pairs = self.pairs
        steps = [each for each in entries if each.key not in self._rows]
        rows = {entry.key: self._rows[entry.key] for entry in entries if entry.key in self._rows}
        self._rows = rows
        for number, entry in enumerate(steps):
            part = Part(reporter, number / len(steps), (number + 1) / len(steps))
            found = _Rows({}, {})
            for step, each in enumerate(self.maps):
                part.progress("measuring", 0.5 * step / len(self.maps))
                found.intensity[each.name] = measure_intensity(entry.place, each)
            for step, pair in enumerate(pairs):
                part.progress("comparing", 0.5 + 0.5 * step / len(pairs))
                names = (pair.synthetic.name, pair.acquired.name)
                similarity = self._similarity_in(entry.place, pair) if entry.mask.count else None
                found.compared[names] = measure_agreement(entry.place, pair, similarity)
            rows[entry.key] = found

    def _similarity_in(self, place: Place, pair: Pair) -> Map:
        """The SSIM in a region's box: cut from that of the whole brain where it lies in it."""
        maps = (pair.synthetic.array, pair.acquired.array)
        names = (pair.synthetic.name, pair.acquired.name)
        data_range = self.settings.data_range
        if names not in self._similarity and self._brain is not None and self._brain.count:
            box = self._brain.slices
            self._similarity[names] = (box, ssim_map(*maps, box, data_range))
        if names in self._similarity:
            box, known = self._similarity[names]
            if all(a.start <= b.start and b.stop <= a.stop for a, b in zip(box, place.box, strict=True)):
                i, j, k = (slice(b.start - a.start, b.stop - a.start) for a, b in zip(box, place.box, strict=True))
                return known[i, j, k]
        return ssim_map(*maps, place.box, data_range)

    def _assembled(self, entries: Sequence[_Entry], level: ReferenceLevel) -> Measurement:
        return Measurement(
            grid={
                "shape": list(self.grid.shape),
                "spacing_mm": self.grid.spacing.tolist(),
                "affine": self.grid.affine.tolist(),
            },
            settings=self.settings.to_json(),
            maps=[_described(each) for each in self.maps],
            reference=None if level.mask is None else _reference(level, entries),
            regions=[_region(entry.place) for entry in entries],
            intensity=[
                {"region": entry.mask.name, "map": each.name, "units": each.units}
                | _with_ratio(self._rows[entry.key].intensity[each.name], self._level_of(each, level)).to_json()
                for entry in entries
                for each in self.maps
            ],
            agreement=[
                {"region": entry.mask.name, "synthetic": names[0], "acquired": names[1]} | compared.row.to_json()
                for entry in entries
                for names, compared in self._rows[entry.key].compared.items()
            ],
            words=[self._words(entry, names, level) for entry in entries for names in self._rows[entry.key].compared],
            plots={
                entry.mask.name: [
                    {"synthetic": names[0], "acquired": names[1]} | compared.plot
                    for names, compared in self._rows[entry.key].compared.items()
                ]
                for entry in entries
            },
            normalisation=level.normalisation,
            warnings=[*about_maps(self.maps, self._brain), *level.warnings, *about_regions([e.mask for e in entries])],
        )

    def _level_of(self, each: GriddedMap, level: ReferenceLevel) -> float | None:
        """The mean in the reference of a map as it was measured; None for an uncertainty, which has no ratio."""
        mean = None if each.kind == "uncertainty" else level.means[each.name]
        return None if mean is None else mean / self._divisors.get(each.name, 1.0)

    def _words(self, entry: _Entry, names: Names, level: ReferenceLevel) -> dict[str, Any]:
        rows = self._rows[entry.key]
        of_maps = tuple(rows.intensity[name].values for name in names)
        synthetic, acquired = rows.compared[names].levels or of_maps
        units = next(each.units for each in self.maps if each.name == names[1])
        found = region_words(
            entry.mask.role,
            synthetic,
            acquired,
            synthetic_name=names[0],
            acquired_name=names[1],
            doubtful=level.doubtful(names[1]),
            units=units or CBV_UNITS,
        )
        return {
            "region": entry.mask.name,
            "synthetic": names[0],
            "acquired": names[1],
            "level": found.level,
            "text": found.text,
        }


def _brain_region(brain: Volume, grid: Grid) -> RegionMask:
    """The brain mask on the grid as a region; at the nearest neighbour where it lies on another one."""
    inside = brain.array.reshape(brain.grid) > 0
    if not Grid(brain.grid, brain.affine).same(grid):
        inside = resample(inside, brain.affine, grid.shape, grid.affine, interpolation="nearest")
    if not inside.any():
        return RegionMask(WHOLE_BRAIN, "brain", "brain mask", np.zeros(3, np.int64), np.zeros((0, 0, 0), bool))
    box = bounds(inside)
    start = np.array([along.start for along in box], dtype=np.int64)
    return RegionMask(WHOLE_BRAIN, "brain", "brain mask", start, np.ascontiguousarray(inside[box]))


def _key(region: Region) -> str:
    """The same for regions with the same voxels: their shapes, and the state of the files of their labels."""
    files = [shape.file.stat() for shape in region.shapes if isinstance(shape, Labels) and shape.file.exists()]
    states = [(state.st_mtime_ns, state.st_size) for state in files]
    return json.dumps([region.to_json()["shapes"], states])


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with a number behind each that was there before."""
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name} ({number})"
        found.append(free)
    return found


def _described(each: GriddedMap) -> dict[str, Any]:
    return {
        "name": each.name,
        "kind": each.kind,
        "units": each.units,
        "resampled": each.resampled,
        "invalid_voxels": each.invalid_voxels,
    }


def _region(place: Place) -> dict[str, Any]:
    mask = place.mask
    return {
        "name": mask.name,
        "role": mask.role,
        "source": mask.source,
        "voxels": mask.count,
        "volume_ml": place.volume_ml,
        "centre": place.centre,
        "notes": list(mask.notes),
    }


def _reference(level: ReferenceLevel, entries: Sequence[_Entry]) -> dict[str, Any]:
    place = next(entry.place for entry in entries if entry.mask is level.mask)
    fields = ("name", "source", "voxels", "volume_ml")
    return {name: value for name, value in _region(place).items() if name in fields} | {"means": level.means}


def _with_ratio(row: Row, reference: float | None) -> Row:
    mean = row.values["mean"]
    ratio = mean / reference if mean is not None and reference else None
    return Row(row.values | {"ratio_to_nawm": ratio}, row.notes)
