"""What the maps show in the regions that readers marked, measured after the study on every map of the case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from HierSynthLib.fidelity.measures.intensity import intensity
from HierSynthLib.fidelity.regions.masks import rasterise
from HierSynthLib.fidelity.regions.shapes import Curve, Region, Shape, Sphere
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.progress import Reporter
from HierSynthLib.reader_study.analysis.readings import Reading, Readings, RegionValue
from HierSynthLib.volume import Volume, read_volume

if TYPE_CHECKING:
    from HierSynthLib.reader_study.key import Key
    from HierSynthLib.reader_study.study import Study

MEASURES = ("mean", "max")
"""What is measured in a marked region, see docs/measures.md."""


def measure_marks(study: Study, key: Key, readings: Readings, reporter: Reporter) -> Iterator[RegionValue]:
    """Measure the regions of every answer on the maps of all arms of the case.

    Args:
        study: where the maps lie; those of a case share one grid.
        key: which map is which.
        readings: with answers that are marks; hidden duplicates are left out.
        reporter: told after each case.

    Raises:
        InputError: a map is missing or damaged.
        Cancelled: by the reporter.
    """
    items = [question.id for question in readings.questions if question.kind == "regions"]
    marked = [
        (one, item)
        for one in readings.readings
        for item in items
        if not one.repeats and len(one.arms) == 1 and one.answers.get(item)
    ]
    cases = [case for case in readings.cases if any(one.case == case for one, _ in marked)]
    for number, case in enumerate(cases):
        reporter.progress("marked regions", number / len(cases))
        # A map has an image for each time that it is shown; their voxels are equal.
        images = {arm: image for image, arm in sorted(key.arms.items()) if key.cases[image] == case}
        maps = {arm: read_volume(study.image_file(image)) for arm, image in images.items()}
        for one, item in marked:
            if one.case == case:
                yield from _values(one, item, maps)


def _values(reading: Reading, item: str, maps: dict[str, Volume]) -> Iterator[RegionValue]:
    for arm, volume in maps.items():
        grid = Grid((volume.grid[0], volume.grid[1], volume.grid[2]), volume.affine)
        region = Region(item, "hotspot", shapes=tuple(_shape(mark, grid) for mark in reading.answers[item]))
        inside = rasterise(region, grid, read_volume).of(volume.array)
        found = intensity(np.sort(inside[np.isfinite(inside)].astype(np.float64)))
        for name in MEASURES:
            value = found.get(name)
            if value is not None:
                yield RegionValue(reading.reader, reading.case, item, reading.arms[0], arm, name, value)


def _shape(mark: dict[str, Any], grid: Grid) -> Shape:
    """A sphere, or the prism over a curve, as thick as the voxels are at most: the slice in which it was drawn."""
    if "radius_mm" in mark:
        return Sphere(np.array(mark["centre_mm"]), mark["radius_mm"])
    return Curve(np.array(mark["points_mm"]), float(grid.spacing.max()))
