"""The table of a measurement as tidy rows: one row per region, map or pair of maps, and measure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
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
)
"""Columns of fidelity.csv. `status` says SYNTHETIC or ACQUIRED, and SIMULATED; an empty value does not exist."""

NO_REFERENCE = "none"

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
        status = _status(one["kind"] in ("synthetic", "uncertainty"), simulated)
        row = common | _region(regions[entry["region"]], entry) | {"map": one["name"], "compared_with": ""}
        yield from _values(row | {"status": status}, entry["values"], entry.get("units") or one.get("units") or "")
    for entry in measurement["agreement"]:
        row = common | _region(regions[entry["region"]], entry)
        row |= {"map": entry["synthetic"], "compared_with": entry["acquired"], "status": _status(True, simulated)}
        yield from _values(row, entry["values"], "nrCBV")


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


def _settings(measurement: Mapping[str, Any]) -> Row:
    reference, settings = measurement.get("reference"), measurement["settings"]
    return {
        "reference": reference["name"] if reference else NO_REFERENCE,
        "reference_source": reference["source"] if reference else "",
        "data_range": settings["data_range"],
        "bin_width": settings["bin_width"],
    }


def _region(region: Mapping[str, Any], entry: Mapping[str, Any]) -> Row:
    notes = " ".join([*region.get("notes", []), *entry.get("notes", [])])
    return {
        "region": region["name"],
        "role": region["role"],
        "region_source": region.get("source", ""),
        "notes": notes,
    }


def _status(synthetic: bool, simulated: bool) -> str:
    return ("SYNTHETIC" if synthetic else "ACQUIRED") + (", SIMULATED" if simulated else "")


def _values(row: Row, values: Mapping[str, float | None], units: str) -> Iterator[Row]:
    for identifier, value in values.items():
        what = measure(identifier)
        yield row | {
            "measure": identifier,
            "name": what.name,
            "group": what.group,
            "unit": in_units(what.unit, units),
            "value": value,
        }


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | str):
        text = str(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else f"{value:.0f}"
