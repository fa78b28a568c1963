"""Writing what was measured of a cohort: cohort.csv, cohort.json, figures and report.html."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from HierSynthLib import __version__
from HierSynthLib.fidelity.cohort.cohort import QUANTITIES, Values, cohort_regions, summarise
from HierSynthLib.fidelity.cohort.plots import agreement_figure, fidelity_figure, roc_figure
from HierSynthLib.fidelity.cohort.report import cohort_report
from HierSynthLib.fidelity.measures.definitions import measure
from HierSynthLib.fidelity.report.output import FIGURES, REPORT, file_part
from HierSynthLib.fidelity.report.page import ReportFigure
from HierSynthLib.fidelity.report.plots import save_figure, statement, synthetic_title
from HierSynthLib.fidelity.report.record import SIMULATED_STATEMENT, STATEMENT
from HierSynthLib.fidelity.report.subject import ACQUIRED, WHOLE_LESION
from HierSynthLib.fidelity.report.tables import csv_text, tidy_rows
from HierSynthLib.progress import Reporter

CSV, JSON, CASES = "cohort.csv", "cohort.json", "cases"
_SHOWN = ("ssim", "mae", "ccc")


def describe_cohort(
    records: Sequence[Mapping[str, Any]], grades: Mapping[str, str], excluded: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """The contents of cohort.json; see `HierSynthLib.fidelity.cohort.cohort.summarise`."""
    simulated = any(record["simulated"] for record in records)
    return {
        "statement": STATEMENT,
        "synthetic": True,
        "simulated": simulated,
        "simulated_statement": SIMULATED_STATEMENT if simulated else "",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hiersynth": __version__,
        **summarise(records, grades, excluded),
        "references": dict(Counter(_reference(record) for record in records)),
        "placement": dict(Counter(_placement(record) for record in records)),
        "made": [entry for record in records for entry in _made(record)],
    }


def write_cohort(
    folder: Path, cohort: Mapping[str, Any], records: Sequence[Mapping[str, Any]], reporter: Reporter
) -> None:
    """Write the files of a cohort into a folder that is there.

    Args:
        folder: where to write.
        cohort: contents of cohort.json.
        records: of the patients.
        reporter: told about the figures.
    """
    reporter.progress("report", 0.0)
    figures = list(_figures(folder / FIGURES, cohort, Values([record["measurement"] for record in records])))
    reporter.progress("report", 0.7)
    rows = (row for record in records for row in _rows(record))
    (folder / CSV).write_text(csv_text(rows), encoding="utf-8", newline="\n")
    text = json.dumps(cohort, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    (folder / JSON).write_text(text, encoding="utf-8", newline="\n")
    (folder / REPORT).write_text(cohort_report(cohort, figures), encoding="utf-8", newline="\n")
    reporter.progress("report", 1.0)


def _rows(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a patient, under each name that a region has in the statistics."""
    names = cohort_regions(record["measurement"])
    for row in tidy_rows(record["measurement"], case=record["case"], simulated=record["simulated"]):
        for name in names.get(row["region"], [row["region"]]):
            yield row | {"region": name}


def _figures(folder: Path, cohort: Mapping[str, Any], values: Values) -> Iterator[ReportFigure]:
    note = statement(cohort["simulated"], cohort=True)
    if not values.pairs or not values.regions:
        return
    region = WHOLE_LESION if WHOLE_LESION in values.regions else values.regions[0]
    acquired = ACQUIRED if ACQUIRED in values.named("acquired") else values.named("acquired")[0]
    synthetic = values.named("synthetic")
    columns = {name: {one: values.of(region, name, one, acquired) for one in synthetic} for name in _SHOWN}
    means = {
        (entry["measure"], entry["synthetic"]): entry["mean"]
        for entry in cohort["fidelity"]
        if entry["region"] == region and entry["acquired"] == acquired
    }
    title = f"{region}: synthetic against {acquired}, patient by patient"
    figure = fidelity_figure(title, columns, means, note)
    paths = save_figure(figure, folder / "fidelity-per-patient")
    caption = f"{title}. Grey: patients. Diamond and bar: mean with 95 % interval. {note}"
    yield ReportFigure("plots", paths["png"], caption)
    for number, entry in enumerate(cohort["agreement"], start=1):
        if entry["region"] == region and entry["measure"] == "hotspot_mean":
            title = f"{region}, hotspot mean: {synthetic_title(entry['synthetic'])} and {entry['acquired']}"
            stem = folder / f"agreement-{number:02d}-{file_part(entry['synthetic'])}-{file_part(entry['acquired'])}"
            paths = save_figure(agreement_figure(title, entry, note), stem)
            yield ReportFigure("plots", paths["png"], f"{title}. Points: patients; whiskers: 95 % intervals. {note}")
    for name in QUANTITIES:
        curves = [c for c in (cohort["grading"] or {"curves": []})["curves"] if c["measure"] == name and c["curve"]]
        if curves:
            title = f"Grading by the {measure(name).name.lower()} of the whole lesion"
            paths = save_figure(roc_figure(title, curves, note), folder / f"roc-{file_part(name)}")
            yield ReportFigure("plots", paths["png"], f"{title}: ROC curves of high against low grade. {note}")


def _reference(record: Mapping[str, Any]) -> str:
    reference = record["measurement"]["reference"]
    return f"{reference['name']}: {reference['source']}" if reference else "none"


def _placement(record: Mapping[str, Any]) -> str:
    words = {
        "file": "as their files say",
        "simulation": "by the simulation's own record",
        "registration": "registered rigidly",
    }
    found = next((each["method"] for each in record["alignment"] if each["map"] == ACQUIRED), "")
    return words.get(found, "no acquired map")


def _made(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Which model made each of a patient's maps."""
    for each in record["measurement"]["maps"]:
        if each["kind"] != "synthetic":
            continue
        model = record["provenance"].get(each["name"], {}).get("model")
        model = model if isinstance(model, Mapping) else {}
        words = " ".join(str(model[key]) for key in ("name", "version") if key in model)
        yield {
            "id": record["case"],
            "map": each["name"],
            "model": words,
            "weights_sha256": str(model.get("weights_sha256", "")),
        }
