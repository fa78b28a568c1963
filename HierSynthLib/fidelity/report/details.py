"""The back of a report: all measures, definitions and settings, provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from HierSynthLib.fidelity.measures.definitions import format_value, measure
from HierSynthLib.fidelity.report import html
from HierSynthLib.fidelity.report.tables import in_units, kind_of_map, pair_units, unit_of_pair
from HierSynthLib.synthesis.summary import provenance_lines

_EFFECTIVE = (
    "Voxels of one patient resemble their neighbours, so intervals within a patient use an effective number of voxels "
    "instead of their count: 'Eff. n for r', and 'Eff. n for the difference' for bias and limits of agreement. No "
    "voxel-wise p-values are given."
)


def full_tables(measurement: Mapping[str, Any]) -> list[str]:
    """Every measure of every region, one folded table per map and per pair."""
    found = []
    regions = [region["name"] for region in measurement["regions"]]
    for each in measurement["maps"]:
        values = {e["region"]: e["values"] for e in measurement["intensity"] if e["map"] == each["name"]}
        table = _pivot(regions, values, partial(in_units, map_units=each["units"] or ""))
        found.append(html.details(f"{each['name']} ({kind_of_map(each)})", table))
    pairs = list(dict.fromkeys((entry["synthetic"], entry["acquired"]) for entry in measurement["agreement"]))
    for synthetic, acquired in pairs:
        values = {
            e["region"]: e["values"]
            for e in measurement["agreement"]
            if (e["synthetic"], e["acquired"]) == (synthetic, acquired)
        }
        table = _pivot(regions, values, partial(unit_of_pair, units=pair_units(measurement, acquired)))
        found.append(html.details(f"{synthetic} (SYNTHETIC) against {acquired}", table))
    note = (
        "The same numbers stand in fidelity.csv, one per line, and in fidelity.json with all digits. "
        "Measures that exist in no region of a map are left out here."
    )
    return [html.paragraph(note, "note"), *found, *_notes(measurement)]


def definitions_section(record: Mapping[str, Any]) -> list[str]:
    """What was measured with which settings, and what the measures mean."""
    measurement = record["measurement"]
    settings, reference = measurement["settings"], measurement["reference"]
    used = [identifier for entry in measurement["agreement"][:1] for identifier in entry["values"]]
    used += [identifier for entry in measurement["intensity"][:1] for identifier in entry["values"]]
    shown = [measure(identifier) for identifier in used if not identifier.startswith("ibsi_")]
    rows = [
        ("Data range of SSIM, PSNR and NRMSE", f"0 to {settings['data_range']:g} nrCBV, fixed"),
        ("Grey-level width of entropy and texture", f"{settings['bin_width']:g} nrCBV, fixed"),
        ("Thresholds of fractions", ", ".join(f"{value:g}" for value in settings["thresholds"]) + " nrCBV"),
        ("Threshold of hotspot overlap", f"{settings['hotspot_threshold']:g} nrCBV"),
        ("Diameter of hotspots", f"{settings['hotspot_mm']:g} mm"),
        ("Divided by their NAWM mean", ", ".join(settings["normalise"]) or "no map"),
        ("NAWM reference", _reference(reference)),
        *((f"Place of {each['map']}", each["words"]) for each in record["alignment"]),
        ("Difference", "synthetic − acquired"),
        ("Intervals within a patient", _EFFECTIVE),
    ]
    meanings = html.table(
        ["Measure", "Unit", "Formula", "Definition", "Source"],
        [[each.name, each.unit, each.formula, each.definition, each.source] for each in shown],
        text_columns=5,
    )
    grid = measurement["grid"]
    size = " × ".join(str(count) for count in grid["shape"])
    spacing = " × ".join(f"{edge:.2f}" for edge in grid["spacing_mm"])
    rows.append(("Grid", f"that of the first synthetic map: {size} voxels of {spacing} mm"))
    regions = [
        [
            region["name"],
            region["role"],
            region["source"] or "–",
            f"{region['voxels']}",
            _position(region.get("centre")),
        ]
        for region in measurement["regions"]
    ]
    return [
        html.heading("Definitions and settings"),
        html.table(["Setting", "Value"], rows, text_columns=2),
        html.table(
            ["Region", "Role", "Where it comes from", "Voxels", "Centre (R, A, S), mm"], regions, text_columns=3
        ),
        html.details("What the measures mean", meanings),
    ]


def provenance_section(record: Mapping[str, Any]) -> list[str]:
    """Which model made the maps of what, which files were measured, and what was suggested."""
    parts = [html.heading("Provenance")]
    for name, run in record["provenance"].items():
        parts.append(html.heading(f"Map {name}", 3))
        parts.append(html.table(["Field", "Value"], [list(line) for line in provenance_lines(run)], text_columns=2))
        versions = run.get("libraries")
        if isinstance(versions, Mapping):
            parts.append(html.paragraph("Libraries: " + ", ".join(f"{k} {v}" for k, v in versions.items()), "note"))
    synthetic = [each["name"] for each in record["measurement"]["maps"] if each["kind"] == "synthetic"]
    unknown = [name for name in synthetic if name not in record["provenance"]]
    if unknown:
        parts.append(html.paragraph(f"No run.json came with {', '.join(unknown)}: how it was made is not known."))
    hashes = [[name, value] for name, value in record["files"].items()]
    parts.append(html.table(["File", "SHA-256"], hashes, caption="What was measured.", text_columns=2))
    audit = [
        [entry["region"], entry["action"], _position(entry["to"]), entry["map"] or "–", entry["note"] or "–"]
        for entry in record["audit"]
    ]
    headings = ["Region", "Action", "Place (R, A, S), mm", "On", "Note"]
    parts.append(html.details("Audit of reference and hotspots", html.table(headings, audit, text_columns=5)))
    return parts


def _pivot(
    regions: Sequence[str], values: Mapping[str, Mapping[str, float | None]], unit_of: Callable[[str], str]
) -> str:
    identifiers = list(dict.fromkeys(identifier for found in values.values() for identifier in found))
    shown = [name for name in regions if name in values]
    rows = []
    for identifier in identifiers:
        if all(values[name].get(identifier) is None for name in shown):
            continue
        what = measure(identifier)
        cells = [format_value(identifier, values[name].get(identifier)) for name in shown]
        rows.append([what.name, unit_of(what.unit), *cells])
    return html.table(["Measure", "Unit", *shown], rows, text_columns=2)


def _notes(measurement: Mapping[str, Any]) -> list[str]:
    """Why some numbers do not exist, or what to know about a region."""
    notes = [f"{region['name']}: {note}" for region in measurement["regions"] for note in region.get("notes", [])]
    for entry in (*measurement["intensity"], *measurement["agreement"]):
        on = entry.get("map") or f"{entry['synthetic']} against {entry['acquired']}"
        notes += [f"{entry['region']}, {on}: {note}" for note in entry.get("notes", [])]
    unique = list(dict.fromkeys(notes))
    return [html.details(f"Notes on the measures ({len(unique)})", html.bullets(unique))] if unique else []


def _reference(reference: Mapping[str, Any] | None) -> str:
    if not reference:
        return "none was measured"
    means = ", ".join(f"{name} {format_value('mean', mean)}" for name, mean in reference["means"].items())
    volume = format_value("volume_ml", reference["volume_ml"])
    return f"{reference['name']}: {reference['source']}; {volume} ml. Means: {means}."


def _position(centre: Sequence[float] | None) -> str:
    return "–" if centre is None else ", ".join(f"{value:.1f}" for value in centre).replace("-", "−")
