"""The table of a measurement as tidy rows: one row per region, map or pair of maps, and measure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from HierSynthLib.fidelity.measures.definitions import measure

COLUMNS = (
    "case",
    "status",
    "region",
    "role",
    "map",
    "compared_with",
    "measure",
    "name",
    "group",
    "unit",
    "value",
    "region_source",
    "reference",
    "reference_source",
    "data_range",
    "bin_width",
    "notes",
    "normalised",
    "hotspot_threshold",
    "hotspot_mm",
)
"""Columns of fidelity.csv; an empty value does not exist. `status` says SYNTHETIC, ACQUIRED or SIMULATED TRUTH, and
SIMULATED. `normalised` is the NAWM mean that the map, or the acquired map of a pair, was divided by."""

NO_REFERENCE = "none"

CBV_UNITS = "nrCBV"
SYNTHETIC = "SYNTHETIC"

# Name of the map that only a simulation knows; see `HierSynthLib.fidelity.report.subject`.
_TRUE = "true"

# A spreadsheet takes a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = dict[str, Any]


def tidy_rows(measurement: Mapping[str, Any], *, case: str, simulated: bool) -> Iterator[Row]:
    """The rows of a measurement, with the keys `COLUMNS`.

    Args:
        measurement: as `Measurement.to_json` of `HierSynthLib.fidelity.measures.measure` gives it.
        case: identifier of the patient, without a name.
        simulated: whether the patient is simulated.

    Yields:
        One row per region × map × measure, then per region × pair × measure; "value" is a number or None.
    """
    regions = {region["name"]: region for region in measurement["regions"]}
    maps = {each["name"]: each for each in measurement["maps"]}
    common = {"case": case, **_settings(measurement)}
    for entry in measurement["intensity"]:
        one = maps[entry["map"]]
        status = _status(kind_of_map(one), simulated)
        row = common | _region(regions[entry["region"]], entry) | {"map": one["name"], "compared_with": ""}
        row |= {"normalised": _divisor(measurement, one["name"])}
        units = entry.get("units") or one.get("units") or ""
        yield from _values(row | {"status": status}, entry["values"], partial(in_units, map_units=units))
    for entry in measurement["agreement"]:
        row = common | _region(regions[entry["region"]], entry)
        row |= {"map": entry["synthetic"], "compared_with": entry["acquired"], "status": _status(SYNTHETIC, simulated)}
        row |= {"normalised": _divisor(measurement, entry["acquired"])}
        units = pair_units(measurement, entry["acquired"])
        yield from _values(row, entry["values"], partial(unit_of_pair, units=units))


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a heading: comma, decimal point, six significant digits, UTF-8 signs in the units."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow([_cell(row[column]) for column in COLUMNS])
    return file.getvalue()


def measurement_csv(measurement: Mapping[str, Any], *, case: str, simulated: bool) -> str:
    """The text of fidelity.csv of one patient; the same for the command line and for a panel's export."""
    return csv_text(tidy_rows(measurement, case=case, simulated=simulated))


def in_units(unit: str, map_units: str) -> str:
    """The unit of a measure, with "map" replaced by the units of the map; "" where those are not known.

    >>> in_units("map²", "nrCBV"), in_units("map²", "10⁻³ mm²/s"), in_units("bit", "")
    ('nrCBV²', '(10⁻³ mm²/s)²', 'bit')
    """
    if "map" not in unit:
        return unit
    if not map_units:
        return ""
    return unit.replace("map", f"({map_units})" if " " in map_units and unit != "map" else map_units)


def pair_units(measurement: Mapping[str, Any], acquired: str) -> str:
    """The units in which a synthetic map is compared with this one: nrCBV, or "" where this one has other units."""
    units = next((each["units"] for each in measurement["maps"] if each["name"] == acquired), "")
    return CBV_UNITS if units in ("", None, CBV_UNITS) else ""


def unit_of_pair(unit: str, units: str) -> str:
    """The unit of a measure of a pair; "" where it is in nrCBV and the pair is not, see `pair_units`."""
    return "" if CBV_UNITS in unit and not units else unit


def kind_of_map(described: Mapping[str, Any]) -> str:
    """SYNTHETIC, ACQUIRED or SIMULATED TRUTH, of an entry of a measurement's "maps"."""
    if described["kind"] in ("synthetic", "uncertainty"):
        return SYNTHETIC
    return "SIMULATED TRUTH" if (described["kind"], described["name"]) == ("acquired", _TRUE) else "ACQUIRED"


def _divisor(measurement: Mapping[str, Any], name: str) -> float | None:
    """The NAWM mean that a map was divided by; None where it was not."""
    fields = measurement.get("normalisation", {}).get(name)
    return fields["nawm_mean"] if fields and fields["applied"] else None


def _settings(measurement: Mapping[str, Any]) -> Row:
    reference, settings = measurement.get("reference"), measurement["settings"]
    return {
        "reference": reference["name"] if reference else NO_REFERENCE,
        "reference_source": reference["source"] if reference else "",
        "data_range": settings["data_range"],
        "bin_width": settings["bin_width"],
        "hotspot_threshold": settings["hotspot_threshold"],
        "hotspot_mm": settings["hotspot_mm"],
    }


def _region(region: Mapping[str, Any], entry: Mapping[str, Any]) -> Row:
    notes = " ".join([*region.get("notes", []), *entry.get("notes", [])])
    return {
        "region": region["name"],
        "role": region["role"],
        "region_source": region.get("source", ""),
        "notes": notes,
    }


def _status(kind: str, simulated: bool) -> str:
    return kind + (", SIMULATED" if simulated and "SIMULATED" not in kind else "")


def _values(row: Row, values: Mapping[str, float | None], unit_of: Callable[[str], str]) -> Iterator[Row]:
    for identifier, value in values.items():
        what = measure(identifier)
        yield row | {
            "measure": identifier,
            "name": what.name,
            "group": what.group,
            "unit": unit_of(what.unit),
            "value": value,
        }


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | str):
        text = str(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else f"{value:.0f}"
