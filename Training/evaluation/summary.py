"""From rows to what the report says: means, differences, decisions, robustness, calibration, spectra, speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from HierSynthLib.fidelity.cohort import statistics
from HierSynthLib.progress import Reporter
from Training.evaluation.calibration import LEVELS
from Training.evaluation.decisions import decide
from Training.evaluation.definitions import columns, primary
from Training.evaluation.grading import FEATURES, grade_experiment
from Training.evaluation.predictor import Method
from Training.evaluation.robustness import costs
from Training.evaluation.run import Rows
from Training.evaluation.table import Table, difference_entry, mean_entry
from Training.evaluation.texture import BINS


def summarise(
    rows: Rows,
    methods: Sequence[Method],
    reference: str | None,
    grades: Mapping[str, str],
    *,
    with_grading: bool,
    reporter: Reporter,
    texture_reference: str | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """The findings of evaluation.json.

    Args:
        rows: that were measured.
        methods: in the order of tables.
        reference: name of the method that the others are compared with; None for none.
        grades: "high" or "low" of cases by identifier; the others have that of their source.
        with_grading: whether the grading experiment is made.
        reporter: told about the progress.
        texture_reference: see `decide`.
        warnings: sentences that come first among those of the findings.
    """
    table = Table(rows, methods)
    names = [method.name for method in methods]
    graded = [grades.get(case.id) or case.grade for case in rows.cases]
    lost = [
        entry
        for name in names
        for entry in costs(
            name,
            (
                (case.patient, rows.rows[case.id, name, 0], less)
                for case in rows.cases
                for less in rows.less.get((case.id, name), ())
            ),
        )
    ]
    reporter.progress("statistics", 0.0)
    summary: dict[str, Any] = {
        "patients": len(table.patients),
        "examinations": [
            {"id": case.id, "patient": case.patient, "grade": grade, "key": rows.facts[case.id].case_key}
            | rows.facts[case.id].curves["facts"]
            for case, grade in zip(rows.cases, graded, strict=True)
        ],
        "excluded": rows.excluded,
        "methods": [_method(method) for method in methods],
        "reference": reference,
        "texture_reference": texture_reference,
        "means": [mean_entry(table, name, column) for column in columns() for name in names],
        "differences": _differences(table, names, reference),
        "decisions": decide(table, reference, lost, texture_reference),
        "robustness": lost,
        "calibration": _curves(table, "calibration", {"nominal": list(LEVELS)}),
        "spectrum": _spectra(table, rows),
        "speed": [_speed(rows, method) for method in methods],
        "grading": None,
    }
    if with_grading:
        synthetic = {
            name: np.column_stack([table.examinations(name, f"roi_{what}").mean(axis=1) for what in FEATURES]).tolist()
            for name in names
        }
        cases = [case.id for case in rows.cases]
        people = [case.patient for case in rows.cases]
        features = {case: rows.facts[case].curves["features"] for case in cases}
        target_name = rows.facts[cases[0]].curves["facts"]["target"]
        summary["grading"] = grade_experiment(features, synthetic, cases, people, graded, target_name, reporter)
    summary["warnings"] = [*warnings, *_warnings(summary["examinations"], methods)]
    reporter.progress("statistics", 1.0)
    return summary


def _differences(table: Table, names: Sequence[str], reference: str | None) -> list[dict[str, Any]]:
    """Differences of all primary columns, Holm-adjusted over all of them together."""
    if reference is None:
        return []
    found = [
        difference_entry(table, name, reference, column) for column in primary() for name in names if name != reference
    ]
    known = [entry["test"]["p"] for entry in found if entry["test"]["p"] is not None]
    adjusted = iter(statistics.holm(known))
    for entry in found:
        entry["p_holm"] = next(adjusted) if entry["test"]["p"] is not None else None
        entry["tests"] = len(known)
    return found


def _method(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "trainings": [
            {
                "title": model.title,
                "key": model.key,
                "sequences": [str(role) for role in model.sequences],
                "spacing_mm": list(model.spacing_mm),
                "simulated_training": model.simulated_training,
                "megabytes": round(model.megabytes, 3),
            }
            for model in method.trainings
        ],
    }


def _curves(table: Table, name: str, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Mean over patients of a curve, by method and region."""
    found = []
    for method in table.methods:
        for region in ("brain", "roi"):
            curves = table.curves(method, name, region)
            if curves is not None:
                found.append({"method": method, "region": region, "mean": curves.mean(axis=0).tolist(), **common})
    return found


def _spectra(table: Table, rows: Rows) -> list[dict[str, Any]]:
    """Geometric mean over patients of the power ratio in each bin; None where a patient's region lacks the bin."""
    nyquist = rows.facts[rows.cases[0].id].curves["facts"]["nyquist_per_mm"]
    centres = [(number + 0.5) / BINS * nyquist for number in range(BINS)]
    found = []
    for method in table.methods:
        for region in ("brain", "roi"):
            curves = table.curves(method, "spectrum", region)
            if curves is None:
                continue
            positive = np.isfinite(curves) & (np.nan_to_num(curves) > 0)
            logs = np.where(positive, np.log(np.where(positive, curves, 1.0)), 0.0).sum(axis=0)
            counts = positive.sum(axis=0)
            means = [float(np.exp(total / n)) if n else None for total, n in zip(logs, counts, strict=True)]
            found.append({"method": method, "region": region, "per_mm": centres, "ratio": means})
    return found


def _speed(rows: Rows, method: Method) -> dict[str, Any]:
    own = [row for (_, name, _), row in rows.rows.items() if name == method.name and row.slices]
    return {
        "method": method.name,
        "cases": len(own),
        "seconds_per_case": float(np.median([row.seconds for row in own])) if own else None,
        "seconds_per_slice": float(np.median([row.seconds / row.slices for row in own])) if own else None,
        "devices": sorted({row.device for row in own}),
        "megabytes": float(np.mean([model.megabytes for model in method.trainings])),
    }


def _warnings(examinations: Sequence[Mapping[str, Any]], methods: Sequence[Method]) -> list[str]:
    simulated = sum(1 for each in examinations if each["simulated"])
    found = []
    if 0 < simulated < len(examinations):
        found.append(
            f"{simulated} of {len(examinations)} examinations are simulated. Numbers over simulated and real patients "
            "together describe neither; evaluate them apart."
        )
    if len({each["target"] for each in examinations}) > 1:
        found.append("Some patients are compared with the true map, others with the acquired one. Choose --target.")
    trained = [method.name for method in methods if all(model.simulated_training for model in method.trainings)]
    if simulated < len(examinations) and trained:
        found.append(f"Trained on simulated brains only: {', '.join(trained)}. On patients they show no blood volume.")
    alone = [each["id"] for each in examinations if not each["lesion_voxels"]]
    if alone:
        found.append(f"{len(alone)} of {len(examinations)} examinations have no lesion: they have no ROI values.")
    told: dict[str, int] = {}
    for each in examinations:
        for warning in each["warnings"]:
            told[warning] = told.get(warning, 0) + 1
    return found + [f"{text} ({count} examination{'' if count == 1 else 's'})" for text, count in told.items()]
