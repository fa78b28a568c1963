"""report.html of one patient: what was found, in words, pictures and tables, and how it came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from HierSynthLib.fidelity.measures.definitions import ABSENT, format_value, measure
from HierSynthLib.fidelity.report import html
from HierSynthLib.fidelity.report.details import definitions_section, full_tables, provenance_section
from HierSynthLib.fidelity.report.plots import synthetic_title
from HierSynthLib.fidelity.report.record import SIMULATED_STATEMENT, primary_region
from HierSynthLib.fidelity.report.tables import CBV_UNITS, pair_units, unit_of_pair

_LEVELS = {
    "good": ("good", "● Good"),
    "caution": ("caution", "▲ Caution"),
    "poor": ("poor", "■ Poor"),
    "none": ("", "○ No statement"),
}
_ROLE_ORDER = ("lesion", "brain", "reference", "hotspot")

# Measures that get their interval: id, lower and upper limit.
_INTERVALS = {
    "ba_bias": ("ba_bias_low", "ba_bias_high"),
    "pearson_r": ("pearson_low", "pearson_high"),
}
_AGREEMENT = ("ba_bias", "ssim", "mae", "pearson_r", "ccc", "effective_n", "effective_n_difference")
# What the intervals of r, and those of bias and limits of agreement, are made with.
_HEADINGS = {"effective_n": "Eff. n for r", "effective_n_difference": "Eff. n for the difference"}


@dataclass(frozen=True)
class ReportFigure:
    """A picture of the report.

    Attributes:
        section: "slices" or "plots".
        png: its file.
        caption: one or two sentences.
    """

    section: str
    png: Path
    caption: str


def banner(simulated: bool) -> str:
    """What every report begins with."""
    word = "SYNTHETIC · SIMULATED" if simulated else "SYNTHETIC"
    lines = ["Synthetic CBV map. For research only, not for clinical use."]
    lines += [SIMULATED_STATEMENT] if simulated else []
    return f"<strong>{word}</strong>" + "".join(html.paragraph(line) for line in lines)


def case_report(record: Mapping[str, Any], figures: Sequence[ReportFigure]) -> str:
    """The page.

    Args:
        record: contents of fidelity.json.
        figures: in the order in which they are shown.
    """
    measurement = record["measurement"]
    parts = [
        html.heading(f"Fidelity of synthetic CBV: case {record['case']}", 1),
        html.paragraph(_facts(record), "facts"),
        html.heading("Summary"),
        *_summary(measurement),
        *_warnings(record["warnings"]),
    ]
    parts += _figures("Key slices", "slices", figures)
    parts += [html.heading("Regions"), *_pair_tables(measurement), *_intensity_tables(measurement)]
    parts += _hotspots(record)
    parts += _figures("Plots", "plots", figures)
    parts += [html.heading("All measures"), *full_tables(measurement)]
    parts += definitions_section(record)
    parts += provenance_section(record)
    title = f"Fidelity of synthetic CBV: {record['case']}"
    return html.page(title, banner(record["simulated"]), "\n".join(parts), footer(record))


def footer(record: Mapping[str, Any]) -> str:
    """What every report ends with."""
    simulated = f" {SIMULATED_STATEMENT}" if record["simulated"] else ""
    return (
        f"{record['statement']}{simulated} Written by HierSynth {record['hiersynth']} on {moment(record['created'])}."
    )


def moment(created: str) -> str:
    """A time of ISO 8601 in UTC as people read it."""
    return f"{created[:16].replace('T', ' ')} UTC"


def ordered_regions(measurement: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Lesion regions first, then brain, reference and hotspots."""
    regions: list[Mapping[str, Any]] = sorted(
        measurement["regions"], key=lambda region: _ROLE_ORDER.index(region["role"])
    )
    return regions


def pairs_of(measurement: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Synthetic and acquired map of every pair that was compared."""
    return list(dict.fromkeys((entry["synthetic"], entry["acquired"]) for entry in measurement["agreement"]))


def with_interval(identifier: str, values: Mapping[str, float | None]) -> str:
    """A value and, on a line of its own, its 95 % interval where it has one."""
    text = format_value(identifier, values.get(identifier))
    limits = [values.get(limit) for limit in _INTERVALS.get(identifier, ())]
    if not limits or None in limits:
        return text
    low, high = (format_value(identifier, limit) for limit in limits)
    return f"{text}\n({low} to {high})"


def _facts(record: Mapping[str, Any]) -> str:
    kinds: dict[str, list[str]] = {"synthetic": [], "acquired": []}
    for each in record["measurement"]["maps"]:
        kinds.setdefault(each["kind"], []).append(each["name"])
    judged = ", ".join(kinds["synthetic"])
    against = f" compared with {' and '.join(kinds['acquired'])}" if kinds["acquired"] else ""
    return (
        f"{'Simulated patient. ' if record['simulated'] else ''}Maps: {judged} (synthetic){against}. "
        f"Reference of nrCBV: {_reference(record['measurement'])}. {moment(record['created'])}."
    )


def _reference(measurement: Mapping[str, Any]) -> str:
    reference = measurement["reference"]
    return f"{reference['name']} ({reference['source']})" if reference else "none was measured"


def _summary(measurement: Mapping[str, Any]) -> list[str]:
    """Per pair the sentences of lesion and brain, the most important region first."""
    roles = {region["name"]: region["role"] for region in measurement["regions"]}
    shown = [word for word in measurement["words"] if roles.get(word["region"]) in ("lesion", "brain")]
    if not shown:
        return [html.paragraph("Nothing is compared: no region was measured on a synthetic and an acquired map.")]
    first = primary_region(measurement)
    shown.sort(key=lambda word: word["region"] != first)
    parts = []
    for synthetic, acquired in pairs_of(measurement):
        own = [word for word in shown if (word["synthetic"], word["acquired"]) == (synthetic, acquired)]
        parts.append(html.heading(f"{synthetic_title(synthetic)} against {acquired}", 3))
        parts.append(html.said((*_LEVELS[word["level"]], f"{word['region']}: {word['text']}") for word in own))
    return parts


def _warnings(warnings: Iterable[str]) -> list[str]:
    listed = list(warnings)
    return [html.heading("Warnings", 3), html.bullets(listed)] if listed else []


def _figures(title: str, section: str, figures: Sequence[ReportFigure]) -> list[str]:
    shown = [html.picture(figure.png, figure.caption) for figure in figures if figure.section == section]
    return [html.heading(title), *shown] if shown else []


def _pair_tables(measurement: Mapping[str, Any]) -> list[str]:
    means = {(entry["region"], entry["map"]): entry["values"] for entry in measurement["intensity"]}
    agreement = {(e["region"], e["synthetic"], e["acquired"]): e["values"] for e in measurement["agreement"]}
    tables = []
    for synthetic, acquired in pairs_of(measurement):
        headings = ["Region", "Voxels", "Volume, ml"]
        headings += [f"{what}, {name}" for what in ("Mean", "Hotspot") for name in (synthetic, acquired)]
        units = pair_units(measurement, acquired)
        headings += [_heading(identifier, units) for identifier in _AGREEMENT] + ["Limits of agreement"]
        rows = []
        for region in ordered_regions(measurement):
            values = agreement.get((region["name"], synthetic, acquired))
            if values is None or region["role"] == "hotspot":
                continue
            voxels = _voxels(region, measurement["plots"], synthetic, acquired)
            row = [region["name"], voxels, format_value("volume_ml", region["volume_ml"])]
            for identifier in ("mean", "hotspot_mean"):
                row += [
                    format_value(identifier, means.get((region["name"], name), {}).get(identifier))
                    for name in (synthetic, acquired)
                ]
            row += [with_interval(identifier, values) for identifier in _AGREEMENT] + [_limits(values)]
            rows.append(row)
        scale = f"CBV in {CBV_UNITS}" if units == CBV_UNITS else f"{acquired} is not in {CBV_UNITS}"
        caption = f"{synthetic_title(synthetic)} against {acquired}. {scale}; in brackets 95 % intervals."
        tables.append(html.table(headings, rows, caption=caption))
    return tables


def _voxels(region: Mapping[str, Any], plots: Mapping[str, Any], synthetic: str, acquired: str) -> str:
    """How many voxels were compared, and of how many where a map has no value in some."""
    count = region["voxels"]
    pair = (synthetic, acquired)
    plot = next((p for p in plots.get(region["name"], []) if (p["synthetic"], p["acquired"]) == pair), None)
    compared = count if plot is None else sum(plot["histogram"]["synthetic"])
    return f"{count}" if compared == count else f"{compared} of {count}"


def _heading(identifier: str, units: str) -> str:
    what = measure(identifier)
    unit = unit_of_pair(what.unit, units)
    return f"{_HEADINGS.get(identifier, what.short)}{', ' + unit if unit else ''}"


def _limits(values: Mapping[str, float | None]) -> str:
    low, high = values.get("ba_lower"), values.get("ba_upper")
    if low is None or high is None:
        return ABSENT
    return f"{format_value('ba_lower', low)} to\n{format_value('ba_upper', high)}"


def _intensity_tables(measurement: Mapping[str, Any]) -> list[str]:
    """Mean ± SD of every map in every region, so that ADC, FLAIR … stand beside CBV."""
    values = {(entry["region"], entry["map"]): entry["values"] for entry in measurement["intensity"]}
    maps = measurement["maps"]
    headings = ["Region"] + [f"{each['name']}{', ' + each['units'] if each['units'] else ''}" for each in maps]
    rows = []
    for region in ordered_regions(measurement):
        cells = [values.get((region["name"], each["name"]), {}) for each in maps]
        rows.append([region["name"], *(_mean_and_sd(cell) for cell in cells)])
    return [html.table(headings, rows, caption="The same regions on all maps and volumes: mean ± SD.")]


def _mean_and_sd(values: Mapping[str, float | None]) -> str:
    if values.get("mean") is None:
        return ABSENT
    return f"{format_value('mean', values['mean'])} ± {format_value('sd', values.get('sd'))}"


def _hotspots(record: Mapping[str, Any]) -> list[str]:
    spots = record["hotspots"]
    if not spots:
        return []
    maps = [each["name"] for each in record["measurement"]["maps"] if each["kind"] in ("synthetic", "acquired")]
    headings = ["Hotspot", "Found on", "R, mm", "A, mm", "S, mm", "Radius, mm", *(f"Mean, {name}" for name in maps)]
    rows = [
        [
            spot["region"],
            spot["found_on"],
            *(f"{value:.1f}".replace("-", "−") for value in spot["centre_ras_mm"]),
            f"{spot['radius_mm']:.1f}",
            *(format_value("mean", spot["means"].get(name)) for name in maps),
        ]
        for spot in spots
    ]
    note = (
        "Suggested automatically: spheres of fixed size with the highest mean in the lesion. Nobody moved them. "
        "On a blurred map a vessel can be a hotspot: look at the slices."
    )
    return [html.heading("Hotspots"), html.table(headings, rows, text_columns=2), html.paragraph(note, "note")]
