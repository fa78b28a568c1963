"""Writing what was measured of one patient: fidelity.csv, fidelity.json, figures and report.html, whole or absent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.fidelity.regions.shapes import Region
from HierSynthLib.fidelity.report.alignment import Placement
from HierSynthLib.fidelity.report.key_slices import PlacedMap, Scene, SliceDrawer, best_hotspot
from HierSynthLib.fidelity.report.page import ReportFigure, case_report
from HierSynthLib.fidelity.report.plots import pair_figure, save_figure, statement, synthetic_title
from HierSynthLib.fidelity.report.record import primary_region
from HierSynthLib.fidelity.report.subject import Subject
from HierSynthLib.fidelity.report.tables import measurement_csv
from HierSynthLib.files import atomic_folder
from HierSynthLib.progress import Reporter

CSV, JSON, REPORT, FIGURES = "fidelity.csv", "fidelity.json", "report.html", "figures"

# FLAIR shows a glioma and its oedema best.
_ANATOMY = (Role.FLAIR, *SEQUENCES)


def write_case(
    out: Path,
    record: Mapping[str, Any],
    subject: Subject,
    regions: Sequence[Region],
    placements: Sequence[Placement],
    reporter: Reporter,
) -> None:
    """Write the folder of one patient.

    Args:
        out: new or empty folder.
        record: contents of fidelity.json.
        subject: the patient.
        regions: that were measured.
        placements: how the volumes were brought together.
        reporter: told about the figures.

    Raises:
        OutputError: the folder is not empty or cannot be written. Nothing is left behind then.
        InputError: a volume cannot be read.
        Cancelled: the reporter said so.
    """
    measurement = record["measurement"]
    reporter.progress("report", 0.0)
    with atomic_folder(out) as folder:
        figures = [
            *_slice_figures(folder / FIGURES, record, subject, regions, placements, reporter),
            *_plot_figures(folder / FIGURES, record, reporter),
        ]
        text = measurement_csv(measurement, case=record["case"], simulated=record["simulated"])
        _write(folder / CSV, text)
        _write(folder / JSON, json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
        _write(folder / REPORT, case_report(record, figures))
        reporter.progress("report", 1.0)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _slice_figures(
    folder: Path,
    record: Mapping[str, Any],
    subject: Subject,
    regions: Sequence[Region],
    placements: Sequence[Placement],
    reporter: Reporter,
) -> Iterator[ReportFigure]:
    """For each synthetic map: the slices of the lesion, of its best hotspot and of the reference."""
    measurement = record["measurement"]
    first = primary_region(measurement)
    note = statement(record["simulated"])
    for number, each in enumerate(subject.synthetic):
        reporter.progress("pictures", 0.05 + 0.55 * number / len(subject.synthetic))
        own = file_part(each.name) if len(subject.synthetic) == 1 else f"{number + 1}-{file_part(each.name)}"
        drawer = SliceDrawer(_scene(each.name, subject, regions, placements, measurement))
        means = {e["region"]: e["values"].get("mean") for e in measurement["intensity"] if e["map"] == each.name}
        lesion = next((region for region in regions if region.name == first and region.role == "lesion"), None)
        hotspot = best_hotspot(regions, means)
        reference = next((region for region in regions if region.role == "reference"), None)
        wanted = (
            ("lesion", lesion, f"{first}, where it is largest"),
            ("hotspot", hotspot, f"Highest hotspot on {each.name}: {hotspot.name if hotspot else ''}"),
            ("reference", reference, "NAWM reference, where it is largest"),
        )
        drawn = False
        for kind, region, title in wanted:
            chosen = drawer.through(region) if region is not None else None
            if chosen is None:
                continue
            drawn = True
            stem = folder / f"slice-{kind}-{own}"
            yield _slice_figure(drawer, chosen, title, note, stem)
        if not drawn:
            stem = folder / f"slice-middle-{own}"
            yield _slice_figure(drawer, drawer.middle(), "Middle of the map", note, stem)


def _slice_figure(drawer: SliceDrawer, chosen: Any, title: str, note: str, stem: Path) -> ReportFigure:
    paths = save_figure(drawer.draw(chosen, title, note), stem)
    return ReportFigure("slices", paths["png"], f"{title}. All CBV maps have the same window. {note}")


def _plot_figures(folder: Path, record: Mapping[str, Any], reporter: Reporter) -> Iterator[ReportFigure]:
    """Histogram, scatter and Bland–Altman of the lesion, else the brain.

    The whole for every pair, each part of the lesion for the pairs with the first acquired map only. Nothing is
    drawn where no voxel has a value in both maps.
    """
    measurement = record["measurement"]
    lesions = [region["name"] for region in measurement["regions"] if region["role"] == "lesion"]
    names = lesions or [region["name"] for region in measurement["regions"] if region["role"] == "brain"]
    values = {(e["region"], e["synthetic"], e["acquired"]): e["values"] for e in measurement["agreement"]}
    first, acquired = primary_region(measurement), [m["name"] for m in measurement["maps"] if m["kind"] == "acquired"]
    plots = [
        (name, plot)
        for name in names
        for plot in measurement["plots"].get(name, [])
        if plot["histogram"]["edges"] and (name == first or plot["acquired"] == acquired[0])
    ]
    note = statement(record["simulated"])
    for number, (name, plot) in enumerate(plots):
        reporter.progress("plots", 0.6 + 0.35 * number / len(plots))
        pair = f"{synthetic_title(plot['synthetic'])} and {plot['acquired']}"
        key = (name, plot["synthetic"], plot["acquired"])
        figure = pair_figure(f"{name}: {pair}", plot, values.get(key, {}), note, measurement["settings"]["data_range"])
        stem = (
            folder
            / f"plots-{number + 1:02d}-{file_part(name)}-{file_part(plot['synthetic'])}-{file_part(plot['acquired'])}"
        )
        paths = save_figure(figure, stem)
        yield ReportFigure(
            "plots",
            paths["png"],
            f"{name}: {pair}. Left: share of the voxels by value. Middle: voxel by voxel, with the line of identity. "
            "Right: difference over mean, with bias, limits of agreement and, as whiskers, their 95 % intervals.",
        )


def _scene(
    name: str,
    subject: Subject,
    regions: Sequence[Region],
    placements: Sequence[Placement],
    measurement: Mapping[str, Any],
) -> Scene:
    transforms = {placement.map: placement.transform for placement in placements}
    role = next((role for role in _ANATOMY if role in subject.others), None)
    synthetic = next(each for each in subject.synthetic if each.name == name)
    return Scene(
        anatomy=None if role is None else PlacedMap(str(role), subject.others[role], transforms[str(role)]),
        synthetic=PlacedMap(name, synthetic.path, None, _factor(measurement, name)),
        acquired=tuple(
            PlacedMap(each, path, transforms[each], _factor(measurement, each))
            for each, path in subject.acquired.items()
        ),
        uncertainty=None if synthetic.uncertainty is None else PlacedMap("uncertainty", synthetic.uncertainty),
        regions=tuple(region for region in regions if region.role != "lesion" or _is_part(region, subject)),
        brain=subject.brain,
        window=float(measurement["settings"]["data_range"]),
    )


def _is_part(region: Region, subject: Subject) -> bool:
    """Whether a lesion region is one of the parts: the outline of the whole would only double theirs."""
    return len(subject.lesions) == 1 or region is not subject.lesions[0]


def _factor(measurement: Mapping[str, Any], name: str) -> float:
    """What the values of a map were multiplied with for the measurement."""
    fields = measurement.get("normalisation", {}).get(name)
    return 1.0 / fields["nawm_mean"] if fields and fields["applied"] else 1.0


def file_part(name: str) -> str:
    """A part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "region"
