"""Writing an evaluation: patients.csv, summary.csv, evaluation.json, table.md, figures and report.html."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from HierSynthLib import __version__
from HierSynthLib.fidelity.report.page import ReportFigure
from HierSynthLib.fidelity.report.plots import plain_text, save_figure, statement
from HierSynthLib.fidelity.report.record import SIMULATED_STATEMENT, STATEMENT
from HierSynthLib.files import atomic_file, write_text_atomically
from HierSynthLib.phantom import GENERATOR_VERSION
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.progress import Reporter
from Training.evaluation.decisions import targets
from Training.evaluation.definitions import columns, described
from Training.evaluation.markdown import markdown_table
from Training.evaluation.pictures import maps_figure
from Training.evaluation.plots import (
    calibration_figure,
    forest_figure,
    grading_figure,
    robustness_figure,
    spectrum_figure,
)
from Training.evaluation.predictor import Method
from Training.evaluation.report import evaluation_report
from Training.evaluation.run import Rows
from Training.evaluation.settings import EvaluationSettings
from Training.evaluation.store import REFERENCE, ROW_VERSION, Store

PATIENTS, SUMMARY, JSON, TABLE, REPORT, FIGURES = (
    "patients.csv", "summary.csv", "evaluation.json", "table.md", "report.html", "figures",
)  # fmt: skip

_OURS = re.compile(r"(maps-\d+|differences|calibration|spectrum|robustness|grading)\.(png|svg)")
_LIBRARIES = ("numpy", "scipy", "torch", "SimpleITK", "scikit-learn", "monai")
# A spreadsheet takes a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def describe(
    summary: Mapping[str, Any], settings: EvaluationSettings, grid: Sequence[float], command: Mapping[str, Any]
) -> dict[str, Any]:
    """The contents of evaluation.json.

    Args:
        summary: the findings.
        settings: of the evaluation.
        grid: voxel edges in mm of the measurement.
        command: options without paths, which may hold names of patients.
    """
    simulated = any(each["simulated"] for each in summary["examinations"])
    return {
        "statement": STATEMENT,
        "synthetic": True,
        "simulated": simulated,
        "simulated_statement": SIMULATED_STATEMENT if simulated else "",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hiersynth": __version__,
        "versions": {
            "rows": ROW_VERSION,
            "preparation": PREPARATION_VERSION,
            "phantom generator": GENERATOR_VERSION,
            **{name: _version(name) for name in _LIBRARIES},
        },
        "command": dict(command),
        "settings": settings.to_json() | {"grid_mm": list(grid)},
        "definitions": list(described()),
        "targets": targets(),
        **summary,
    }


def write_evaluation(
    store: Store, record: Mapping[str, Any], rows: Rows, methods: Sequence[Method], reporter: Reporter
) -> None:
    """Write all files into the folder of the evaluation; those of an earlier run of it are replaced.

    Args:
        store: of the evaluation.
        record: contents of evaluation.json.
        rows: that were measured.
        methods: in the order of tables.
        reporter: told about the progress.

    Raises:
        OutputError: a file cannot be written.
    """
    out = store.out
    reporter.progress("tables", 0.0)
    _write(out / PATIENTS, _csv(_patient_rows(rows, methods, record)))
    _write(out / SUMMARY, _csv(_summary_rows(record)))
    _write(out / TABLE, markdown_table(record))
    figures: list[ReportFigure] = []
    for figure in _figures(store, record, rows, methods):
        reporter.progress("figures", 0.1 + 0.8 * min(1.0, len(figures) / 10))
        figures.append(figure)
    _remove_old(out / FIGURES, {figure.png.stem for figure in figures})
    _write(out / JSON, json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    _write(out / REPORT, evaluation_report(record, figures))
    reporter.progress("done", 1.0)


def _remove_old(folder: Path, fresh: set[str]) -> None:
    """Remove our figures of an earlier run of this evaluation that this one does not have."""
    for path in sorted(folder.glob("*.*")) if folder.is_dir() else ():
        if path.stem not in fresh and _OURS.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    write_text_atomically(path, text, overwrite=True)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _csv(rows: Iterator[Mapping[str, Any]]) -> str:
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    heading: list[str] = []
    for row in rows:
        if not heading:
            heading = list(row)
            table.writerow(heading)
        table.writerow([_cell(row[name]) for name in heading])
    return file.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def _patient_rows(rows: Rows, methods: Sequence[Method], record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One line per examination, training and combination of sequences."""
    examinations = {each["id"]: each for each in record["examinations"]}
    for case in rows.cases:
        own = examinations[case.id]
        for method in methods:
            for number, model in enumerate(method.trainings):
                whole = rows.rows.get((case.id, method.name, number))
                less = rows.less.get((case.id, method.name), []) if number == 0 else []
                for row in [*([whole] if whole is not None else []), *less]:
                    yield {
                        "case": case.id,
                        "patient": case.patient,
                        "status": "SYNTHETIC, SIMULATED" if own["simulated"] else "SYNTHETIC",
                        "grade": own["grade"],
                        "target": own["target"],
                        "method": method.name,
                        "training": number + 1,
                        "model": model.title,
                        "model_key": model.key,
                        "case_key": row.case_key,
                        "without": " ".join(row.without),
                        "seconds": row.seconds or None,
                        "slices": row.slices or None,
                        **{column.id: row.values.get(column.id) for column in columns()},
                    }


def _summary_rows(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One line per method and measure, with the difference to the reference where it was tested."""
    tested = {(entry["method"], entry["column"]): entry for entry in record["differences"]}
    names = {entry["id"]: entry for entry in record["definitions"]}
    for entry in record["means"]:
        against = tested.get((entry["method"], entry["column"]))
        difference = against["difference"] if against else {}
        test = against["test"] if against else {}
        yield {
            "method": entry["method"],
            "measure": entry["column"],
            "name": names[entry["column"]]["name"],
            "unit": names[entry["column"]]["unit"],
            "patients": entry["mean"]["n"],
            "mean": entry["mean"]["value"],
            "ci_low": entry["mean"]["low"],
            "ci_high": entry["mean"]["high"],
            "sd": entry["sd"],
            "trainings": entry["trainings"],
            "seed_sd": entry["seed_sd"],
            "reference": against["reference"] if against else None,
            "difference": difference.get("value"),
            "difference_low": difference.get("low"),
            "difference_high": difference.get("high"),
            "with_trainings_low": against["with_seeds"]["low"] if against else None,
            "with_trainings_high": against["with_seeds"]["high"] if against else None,
            "wilcoxon_p": test.get("p"),
            "wilcoxon_p_holm": against["p_holm"] if against else None,
            "rank_biserial": test.get("effect"),
        }


def _figures(store: Store, record: Mapping[str, Any], rows: Rows, methods: Sequence[Method]) -> Iterator[ReportFigure]:
    folder = store.out / FIGURES
    note = statement(record["simulated"], cohort=True)
    yield from _map_figures(store, record, rows, methods, note)
    if record["differences"]:
        title = f"Difference to {record['reference']}, with 95 % intervals (thin: of patients and trainings)"
        yield _saved(
            folder / "differences",
            "differences",
            forest_figure(title, record["differences"], record["means"], note),
            title,
            note,
        )
    if record["calibration"]:
        title = "Calibration of the uncertainty"
        figure = calibration_figure(title, record["calibration"], note)
        caption = f"{title}: on the grey line, intervals hold what they promise; below it, they are too narrow."
        yield _saved(folder / "calibration", "calibration", figure, caption, note)
    if record["spectrum"]:
        title = "Power spectrum of the maps over that of the target"
        figure = spectrum_figure(title, record["spectrum"], note)
        caption = f"{title}: below 1 a map is smoother than the target. Geometric mean over patients."
        yield _saved(folder / "spectrum", "spectrum", figure, caption, note)
    if any(entry["cost"]["value"] is not None for entry in record["robustness"]):
        limit = next(target["most"] for target in record["targets"] if target["kind"] == "robustness")
        title = "What a missing sequence costs"
        figure = robustness_figure(title, record["robustness"], limit, note)
        yield _saved(
            folder / "robustness", "robustness", figure, f"{title}, mean over patients with 95 % interval.", note
        )
    grading = record["grading"]
    if grading and grading["curves"]:
        title = "Grading: high against low"
        figure = grading_figure(title, grading["curves"], note)
        yield _saved(folder / "grading", "grading", figure, f"{title}: AUC of out-of-fold probabilities.", note)


def _map_figures(
    store: Store, record: Mapping[str, Any], rows: Rows, methods: Sequence[Method], note: str
) -> Iterator[ReportFigure]:
    keys = {case.id: rows.facts[case.id].case_key for case in rows.cases}
    for number, case in enumerate(rows.pictured, start=1):
        shown = [
            (method.name, store.picture(keys[case], method.trainings[0].key)["synthetic"])
            for method in methods
            if (case, method.name, 0) in rows.rows
        ]
        title = f"{case}: SYNTHETIC CBV maps and the {_target(record, case)} map"
        figure = maps_figure(title, store.picture(keys[case], REFERENCE), shown, record["settings"]["data_range"], note)
        caption = f"{title}. All maps have the same window; outline: lesion. First training of each method."
        yield _saved(store.out / FIGURES / f"maps-{number:02d}", "maps", figure, caption, note)


def _target(record: Mapping[str, Any], case: str) -> str:
    return next(str(each["target"]) for each in record["examinations"] if each["id"] == case)


@plain_text()
def _saved(stem: Path, section: str, figure: Any, caption: str, note: str) -> ReportFigure:
    """Write a figure as PNG and SVG, each whole."""
    hidden = stem.with_name(f".{stem.name}")
    made = save_figure(figure, hidden)
    for kind, path in made.items():
        with atomic_file(stem.with_name(f"{stem.name}.{kind}"), overwrite=True, durable=False) as temporary:
            path.replace(temporary)
    return ReportFigure(section, stem.with_name(f"{stem.name}.png"), f"{caption} {note}")
