"""An evaluation from cases and models to a folder with report, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.progress import Part, Reporter
from Training.evaluation.cases import CaseSource
from Training.evaluation.descriptors import Describe
from Training.evaluation.descriptors import describe as describe_patches
from Training.evaluation.output import JSON, PATIENTS, REPORT, SUMMARY, TABLE, describe, write_evaluation
from Training.evaluation.predictor import Method
from Training.evaluation.run import Evaluation, spacings_of
from Training.evaluation.settings import EvaluationSettings
from Training.evaluation.store import Store
from Training.evaluation.subject import measuring_spacing
from Training.evaluation.summary import summarise


def evaluate(
    cases: Sequence[CaseSource],
    methods: Sequence[Method],
    out: Path,
    settings: EvaluationSettings,
    *,
    reference: str | None = None,
    texture_reference: str | None = None,
    grades: Mapping[str, str] | None = None,
    with_grading: bool = True,
    excluded: Sequence[Mapping[str, str]] = (),
    warnings: Sequence[str] = (),
    command: Mapping[str, Any] | None = None,
    reporter: Reporter,
    describe_patch: Describe = describe_patches,
) -> dict[str, Any]:
    """Measure models in patients and write the folder of the evaluation.

    What an earlier run has measured into the same folder, with the same settings, models and cases, is not measured
    again; a killed evaluation goes on where it stopped.

    Args:
        cases: with different identifiers.
        methods: with different names.
        out: new or empty folder, or that of an earlier evaluation.
        settings: what is measured.
        reference: name of the method that the others are compared with.
        texture_reference: name of the method that they are compared with in descriptors; None for `reference`.
        grades: "high" or "low" of cases by identifier.
        with_grading: whether the grading experiment is made.
        excluded: "id" and "reason" of cases that could not even be opened.
        warnings: sentences for the report.
        command: options for evaluation.json.
        reporter: told about the progress; asked whether to stop.
        describe_patch: gives the descriptors of patches.

    Returns:
        The contents of evaluation.json, and as paths "output", "report", "patients_csv", "summary_csv", "json" and
        "table".

    Raises:
        InputError: no case can be measured, an identifier stands there twice, or the reference is not among the models.
        ModelError, DeviceError: a model cannot be used.
        OutputError: the folder cannot be written.
        Cancelled: from the reporter; what was measured stays.
    """
    names = [method.name for method in methods]
    for each in (reference, texture_reference):
        if each is not None and each not in names:
            raise InputError(f"The reference '{each}' is none of the models.", f"Models are: {', '.join(names)}.")
    if not cases:
        raise InputError("There is no case to evaluate.", "Give case folders, a folder of cases, or --phantoms N.")
    twice = [case.id for number, case in enumerate(cases) if case.id in [each.id for each in cases[:number]]]
    if twice:
        raise InputError(f"The identifier {twice[0]!r} stands there twice.", "Give each case its own.")
    grid = measuring_spacing(spacings_of(methods), settings)
    store = Store(out, settings, grid)
    rows = Evaluation(methods, settings, store, describe_patch).run(cases, Part(reporter, 0.0, 0.9))
    rows.excluded[:0] = [{"id": each["id"], "model": "", "reason": each["reason"]} for each in excluded]
    summary = summarise(
        rows,
        methods,
        reference,
        grades or {},
        with_grading=with_grading,
        reporter=Part(reporter, 0.9, 0.93),
        texture_reference=texture_reference,
        warnings=warnings,
    )
    record = describe(summary, settings, grid, command or {})
    write_evaluation(store, record, rows, methods, Part(reporter, 0.93, 1.0))
    files = {"report": REPORT, "patients_csv": PATIENTS, "summary_csv": SUMMARY, "json": JSON, "table": TABLE}
    return record | {"output": str(out)} | {name: str(out / file) for name, file in files.items()}
