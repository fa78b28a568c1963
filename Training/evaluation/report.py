"""report.html of an evaluation: one file, nothing from the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from HierSynthLib.fidelity.measures.definitions import ABSENT
from HierSynthLib.fidelity.report import html
from HierSynthLib.fidelity.report.page import ReportFigure, banner, footer, moment
from Training.evaluation.decisions import MET, MISSED, UNDECIDED
from Training.evaluation.definitions import column, columns
from Training.evaluation.grading import FOLDS, REPEATS
from Training.evaluation.markdown import arrow, estimate_text, interval_text, mean_text, number_text, p_text, people

_STATUS = {MET: ("good", "● Met"), MISSED: ("poor", "■ Missed"), UNDECIDED: ("caution", "◆ Not decided")}
_OPEN = ("", "○ Not measured")

_METHODS = (
    (
        "Unit",
        "The patient. Voxels are never pooled over patients; examinations of a patient and trainings of a method are "
        "averaged per patient.",
    ),
    ("Mean and interval", "Bootstrap over patients, bias-corrected and accelerated (BCa), 9999 resamples."),
    ("± between trainings", "SD (n − 1) of the trainings' means over patients."),
    (
        "Interval with trainings",
        "Patients and trainings drawn anew together, percentiles of 9999 draws; too narrow for few trainings.",
    ),
    (
        "Tests",
        "Wilcoxon signed rank, two-sided, Holm-adjusted over all tests of the table; for a measure with a right value, "
        "of the distance from it.",
    ),
    (
        "Targets",
        "Comparisons are decided on the wider of both intervals, and only where both methods have several trainings.",
    ),
    ("Effect", "Rank-biserial correlation; above 0 the method is better than the reference."),
    (
        "Grading",
        f"Logistic regression (ridge), {FOLDS} outer folds × {REPEATS} repeats, penalty chosen in {FOLDS} inner folds; "
        "features of the lesion: mean, 95th percentile, entropy of each map; a patient is always in one "
        "fold, and counts once. Intervals and tests of DeLong 1988 on the "
        "out-of-fold probabilities; they take the fitted models as given.",
    ),
)


def evaluation_report(record: Mapping[str, Any], figures: Sequence[ReportFigure]) -> str:
    """The page.

    Args:
        record: contents of evaluation.json.
        figures: in the order in which they are shown.
    """
    title = f"Evaluation of synthetic CBV: {len(record['methods'])} methods, {people(record)}"
    parts = [
        html.heading(("SIMULATED BRAINS. " if record["simulated"] else "") + title, 1),
        html.paragraph(_facts(record), "facts"),
        *_decisions(record),
        *_listed("Warnings", record["warnings"]),
        *_excluded(record),
        html.heading("Means over patients"),
        _means(record, "primary", "In brackets the 95 % interval; ± the spread between trainings."),
        html.details(
            "All other measures", _means(record, "other", "") + _means(record, "feature", "Values of the maps.")
        ),
        *_shown(figures, "maps", "Maps"),
        *_differences(record, figures),
        *_shown(figures, "calibration", "Uncertainty"),
        *_shown(figures, "spectrum", "Fine structure"),
        *_robustness(record, figures),
        html.heading("Speed"),
        _speed(record),
        *_grading(record, figures),
        html.heading("Definitions, settings, provenance"),
        *_definitions(record),
    ]
    return html.page(title, banner(record["simulated"]), "\n".join(parts), footer(record))


def _facts(record: Mapping[str, Any]) -> str:
    examinations, settings = record["examinations"], record["settings"]
    simulated = sum(1 for each in examinations if each["simulated"])
    lesions = sum(1 for each in examinations if each["lesion_voxels"])
    grid = " × ".join(f"{edge:g}" for edge in settings["grid_mm"])
    names = ", ".join(
        f"{each['name']}{f' ({n} trainings)' if (n := len(each['trainings'])) > 1 else ''}"
        for each in record["methods"]
    )
    against = f" Reference: {record['reference']}." if record["reference"] else ""
    if record["texture_reference"]:
        against += f" Reference of the descriptors: {record['texture_reference']}."
    targets = " and ".join(sorted({each["target"] for each in examinations}))
    return (
        f"{people(record)}; {simulated} simulated, {lesions} with a lesion. Methods: {names}.{against} "
        f"Measured on {grid} mm against the {targets} map, cut off at {settings['ceiling']} nrCBV. "
        f"{moment(record['created'])}."
    )


def _decisions(record: Mapping[str, Any]) -> list[str]:
    parts = [html.heading("Targets")]
    for method in dict.fromkeys(entry["method"] for entry in record["decisions"]):
        own = [entry for entry in record["decisions"] if entry["method"] == method]
        parts.append(html.heading(method, 3))
        parts.append(
            html.said((*_STATUS.get(e["status"], _OPEN), f"{_capital(e['text'])}: {e['because']}.") for e in own)
        )
    return parts if record["decisions"] else []


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(title: str, sentences: Sequence[str]) -> list[str]:
    return [html.heading(title, 3), html.bullets(sentences)] if sentences else []


def _excluded(record: Mapping[str, Any]) -> list[str]:
    rows = [[each["id"], each["model"] or "all", each["reason"]] for each in record["excluded"]]
    table = html.table(["Case", "Method", "Reason"], rows, text_columns=3)
    return [html.heading("Not measured", 3), table] if rows else []


def _means(record: Mapping[str, Any], role: str, caption: str) -> str:
    names = [method["name"] for method in record["methods"]]
    cells = {(entry["method"], entry["column"]): entry for entry in record["means"]}
    rows = []
    for what in columns():
        if what.role != role:
            continue
        entries = [cells[name, what.id] for name in names]
        if any(entry["mean"]["n"] for entry in entries):
            patients = max(entry["mean"]["n"] for entry in entries)
            label = f"{what.title}{', ' + what.unit if what.unit else ''} {arrow(what)}".strip()
            rows.append([label, f"{patients}", *(mean_text(entry, what).replace(" [", "\n[") for entry in entries)])
    return html.table(["Measure", "Patients", *names], rows, caption=caption) if rows else ""


def _shown(figures: Sequence[ReportFigure], section: str, title: str) -> list[str]:
    found = [html.picture(figure.png, figure.caption) for figure in figures if figure.section == section]
    return ([html.heading(title)] if title else []) + found if found else []


def _differences(record: Mapping[str, Any], figures: Sequence[ReportFigure]) -> list[str]:
    if not record["differences"]:
        return []
    rows = []
    for entry in record["differences"]:
        what, test = column(entry["column"]), entry["test"]
        rows.append(
            [
                what.heading,
                entry["method"],
                f"{test['n']}",
                estimate_text(entry["difference"], what, signed=True),
                interval_text(entry["with_seeds"], what),
                f"{entry['better']} of {test['n']}",
                number_text(test["effect"]),
                p_text(test["p"]),
                p_text(entry["p_holm"]),
                test["note"],
            ]
        )  # fmt: skip
    headings = [
        "Measure", "Method", "Patients", "Difference [95 %]", "Interval with trainings", "Better in", "Rank-biserial",
        "p", "p (Holm)", "Note",
    ]  # fmt: skip
    caption = (
        f"Method − {record['reference']}, paired by patient; adjusted for {record['differences'][0]['tests']} tests."
    )
    table = html.table(headings, rows, caption=caption, text_columns=2, notes=True)
    return [html.heading(f"Differences to {record['reference']}"), *_shown(figures, "differences", ""), table]


def _robustness(record: Mapping[str, Any], figures: Sequence[ReportFigure]) -> list[str]:
    if not record["robustness"]:
        return []
    what = column("roi_ssim")
    rows = [
        [
            entry["method"],
            " + ".join(entry["without"]),
            f"{entry['cost']['n']}",
            estimate_text(entry["cost"], what, signed=True),
            estimate_text(entry["ssim"], what),
        ]
        for entry in record["robustness"]
    ]
    headings = ["Method", "Without", "Patients", "Loss of ROI SSIM [95 %]", "ROI SSIM left [95 %]"]
    caption = "First training of each method. The place of the map is still that of the first sequence of the case."
    table = html.details("All combinations", html.table(headings, rows, caption=caption, text_columns=2))
    return [html.heading("Missing sequences"), *_shown(figures, "robustness", ""), table]


def _speed(record: Mapping[str, Any]) -> str:
    rows = [
        [
            entry["method"],
            ABSENT if entry["seconds_per_case"] is None else f"{entry['seconds_per_case']:.2f}",
            ABSENT if entry["seconds_per_slice"] is None else f"{entry['seconds_per_slice']:.3f}",
            f"{entry['megabytes']:.1f}",
            ", ".join(entry["devices"]),
        ]
        for entry in record["speed"]
    ]
    caption = "Synthesis alone, without reading and preparation: median over cases, as the machine happened to be busy."
    headings = ["Method", "s per case", "s per slice", "Weights, MB", "Device"]
    return html.table(headings, rows, caption=caption, notes=True)


def _grading(record: Mapping[str, Any], figures: Sequence[ReportFigure]) -> list[str]:
    found = record["grading"]
    if found is None:
        return []
    if found["note"]:
        return [html.heading("Grading"), html.paragraph(found["note"])]
    curves = [
        [curve["features"], f"{curve['count']}", _auc(curve["auc"]), curve["auc"]["note"]] for curve in found["curves"]
    ]
    tests = [
        [f"{t['first']} − {t['second']}", number_text(t["difference"]), p_text(t["p"]), t["note"]]
        for t in found["tests"]
    ]
    kind = "simulated brains" if record["simulated"] else "patients"
    caption = f"{found['high']} high-grade and {found['low']} low-grade {kind}; out-of-fold."
    return [
        html.heading("Grading"),
        *_shown(figures, "grading", ""),
        html.table(
            ["Features of the lesion", "Number", "AUC (95 % interval)", "Note"], curves, caption=caption, notes=True
        ),
        html.table(["Difference of AUC", "Value", "p (DeLong)", "Note"], tests, notes=True),
    ]


def _auc(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return ABSENT
    interval = "" if found["low"] is None else f" ({found['low']:.3f} to {found['high']:.3f})"
    return f"{found['value']:.3f}{interval}"


def _definitions(record: Mapping[str, Any]) -> list[str]:
    defined = [[each["name"], each["unit"], each["formula"], each["definition"]] for each in record["definitions"]]
    settings = [[name.replace("_", " "), str(value)] for name, value in record["settings"].items()]
    models = [
        [method["name"], model["title"], f"{model['megabytes']:.1f}", model["key"]]
        for method in record["methods"]
        for model in method["trainings"]
    ]
    versions = [[name, str(value)] for name, value in record["versions"].items()]
    command = [[name, str(value)] for name, value in record["command"].items()]
    cases = [[e["id"], e["patient"], e["grade"] or "not known", e["key"][:16] + "…"] for e in record["examinations"]]
    return [
        html.table(["What", "How"], _METHODS, text_columns=2),
        html.details("Definitions", html.table(["Measure", "Unit", "Formula", "Definition"], defined, text_columns=4)),
        html.details("Settings", html.table(["Setting", "Value"], settings, text_columns=2)),
        html.details("Command", html.table(["Option", "Value"], command, text_columns=2)),
        html.details("Models", html.table(["Method", "Model", "MB", "Hash"], models, text_columns=4)),
        html.details("Versions", html.table(["What", "Version"], versions, text_columns=2)),
        html.details(
            f"Examinations ({len(cases)})", html.table(["Case", "Patient", "Grade", "Hash"], cases, text_columns=4)
        ),
    ]
