"""The columns of the table of regions: headings, texts, and the numbers that they are sorted by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from HierSynthLib.fidelity.measures.definitions import ABSENT, Measure, format_value, measure, measures
from HierSynthLib.fidelity.report.tables import in_units
from HierSynthPanel.measured_maps import title_of

AGAINST = "against"
"""Key of the columns that set the synthetic against the acquired map; every other key is the name of a map."""

OF_BOTH_MAPS = ("ratio_to_nawm", "hotspot_mean", "p95")
"""Intensities that stand beside each other for both maps, after the mean and its difference."""

DIFFERENCE = "relative_bias"
"""Stands right after both means."""

Entry = Mapping[str, Any]
Cell = tuple[str, float | None]
"""Text, and number to sort by."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        heading: one or two lines.
        definition: in words, for the tooltip.
        cell: name of a region → what stands there.
    """

    heading: str
    definition: str
    cell: Callable[[str], Cell]


def choices(entry: Entry) -> list[tuple[str, str]]:
    """Key and title of the sets of columns that a measurement has."""
    found = [(AGAINST, _("Synthetic against acquired"))] if entry["agreement"] else []
    return found + [(each["name"], title_of(each["name"])) for each in entry["maps"]]


def columns(entry: Entry, key: str) -> list[Column]:
    """The columns of one set."""
    size = [_size(entry, "voxels"), _size(entry, "volume_ml")]
    if key != AGAINST:
        shown = [each for each in measures() if each.shown and each.group == "intensity"]
        wanted = [each for each in shown if each.id not in ("voxels", "volume_ml")]
        return size + [_intensity(entry, each, key, both=False) for each in wanted]
    pair = entry["agreement"][0]
    both = (pair["synthetic"], pair["acquired"])
    means = [_intensity(entry, measure("mean"), of_map, both=True) for of_map in both]
    difference = [_agreement(entry, measure(DIFFERENCE))]
    intensity = [_intensity(entry, measure(name), of_map, both=True) for name in OF_BOTH_MAPS for of_map in both]
    shown = [each for each in measures() if each.shown and each.group == "agreement" and each.id != DIFFERENCE]
    return means + difference + size + intensity + [_agreement(entry, each) for each in shown]


def _size(entry: Entry, name: str) -> Column:
    what = measure(name)
    values = {region["name"]: region[name] for region in entry["regions"]}
    return Column(_heading(what.short, what.unit), _definition(what), lambda region: _cell(name, values.get(region)))


def _intensity(entry: Entry, what: Measure, of_map: str, *, both: bool) -> Column:
    units = next(each["units"] for each in entry["maps"] if each["name"] == of_map)
    values = {e["region"]: e["values"].get(what.id) for e in entry["intensity"] if e["map"] == of_map}
    heading = _heading(what.short, title_of(of_map).lower() if both else in_units(what.unit, units))
    definition = f"{title_of(of_map)}. {_definition(what, units)}"
    return Column(heading, definition, lambda region: _cell(what.id, values.get(region)))


def _agreement(entry: Entry, what: Measure) -> Column:
    values = {each["region"]: each["values"] for each in entry["agreement"]}

    def cell(region: str) -> Cell:
        of_region = values.get(region, {})
        text, number = _cell(what.id, of_region.get(what.id))
        if what.id == "pearson_r" and number is not None:
            low, high = (format_value(name, of_region.get(name)) for name in ("pearson_low", "pearson_high"))
            text = _("{value} ({low} to {high})").format(value=text, low=low, high=high)
        return text, number

    heading = _heading(what.short, _("95 % interval") if what.id == "pearson_r" else what.unit)
    return Column(heading, _definition(what), cell)


def _cell(name: str, value: float | None) -> Cell:
    return (format_value(name, value), value) if value is not None else (ABSENT, None)


def _heading(short: str, below: str) -> str:
    return f"{short}\n{below}" if below else short


def _definition(what: Measure, units: str = "") -> str:
    facts = [what.definition, what.formula, in_units(what.unit, units)]
    return "\n".join([what.name, *(fact for fact in facts if fact)])
