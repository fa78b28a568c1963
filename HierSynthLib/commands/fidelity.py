"""`hiersynth fidelity`: synthetic maps against acquired ones, of one patient or of a cohort."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from HierSynthLib.commands.jobs import worker
from HierSynthLib.commands.measuring import Measured, Plan, measure_subject
from HierSynthLib.commands.options import Debug, Json
from HierSynthLib.commands.results import print_result, require_free
from HierSynthLib.commands.terminal import Display, one_line
from HierSynthLib.errors import InputError
from HierSynthLib.worker.client import WorkerClient

if TYPE_CHECKING:
    from HierSynthLib.case import Role
    from HierSynthLib.fidelity.measures.settings import Settings
    from HierSynthLib.fidelity.report.subject import Choices

TITLE = "fidelity"


def fidelity(
    case: Annotated[Path, typer.Argument(metavar="CASE", help="Case folder, or a folder of case folders (a cohort).")],
    synthetic: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]PATH",
            help="Synthetic map, or the folder of a synthesis; repeat it to compare maps. "
            "For a cohort: a path inside each case folder, or one that contains {id}.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for report, table and figures.")],
    acquired: Annotated[str | None, typer.Option(metavar="PATH", help="Acquired map instead of the case's.")] = None,
    roi: Annotated[str | None, typer.Option(metavar="PATH", help="Label map instead of the case's.")] = None,
    reference: Annotated[
        str,
        typer.Option(
            metavar="NAME|NUMBER|auto",
            help="Label of the NAWM reference; auto takes 'NAWM reference', else suggests spheres.",
        ),
    ] = "auto",
    also: Annotated[
        str | None,
        typer.Option(
            metavar="ADC,FLAIR,…|none", help="Volumes to measure too. [T1, T2, FLAIR, ADC, T1CE, where there]"
        ),
    ] = None,
    hotspots: Annotated[int, typer.Option(min=0, max=20, help="Hotspots that are suggested per map.")] = 4,
    threshold: Annotated[
        list[float] | None, typer.Option(help="Threshold of a fraction, nrCBV; may be repeated. [1.0 and 1.75]")
    ] = None,
    data_range: Annotated[float, typer.Option(help="Range of SSIM, PSNR and NRMSE: 0 to this, nrCBV.")] = 6.0,
    bin_width: Annotated[float, typer.Option(help="Grey-level width of entropy and texture, nrCBV.")] = 0.25,
    texture: Annotated[bool, typer.Option("--texture/--no-texture", help="Measure texture.")] = True,
    normalise_acquired: Annotated[
        bool, typer.Option("--normalise-acquired", help="Divide the acquired map by its mean in the NAWM reference.")
    ] = False,
    register: Annotated[
        bool | None,
        typer.Option(
            "--register/--no-register",
            help="Register the acquired map to the anatomy, or trust the files. "
            "[files; a simulated patient's own record]",
        ),
    ] = None,
    grades: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Cohort: grades, columns id,grade.")] = None,
    per_case_reports: Annotated[
        bool, typer.Option("--per-case-reports", help="Cohort: a folder with report and figures for each case, too.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how synthetic maps agree with acquired ones, region by region, and write a report.

    With a folder of case folders, every patient is measured and the report is about all of them.
    """
    from HierSynthLib.case.finding import find_cases
    from HierSynthLib.commands.cohort import CohortOrder, measure_cohort
    from HierSynthLib.fidelity.report.subject import parse_names

    named = parse_names(synthetic)
    plan = Plan(_settings(threshold, data_range, bin_width, texture, normalise_acquired), hotspots, register)
    folders = find_cases(case)
    start = time.monotonic()
    if folders is None:
        if grades is not None or per_case_reports:
            raise InputError("--grades and --per-case-reports are for a cohort.", "Leave them out for a single case.")
        choices = _choices(case, acquired, roi, reference, also)
        require_free(out)
        with worker() as client:
            result = report_case(client, case, [(n, Path(p)) for n, p in named], choices, plan, out, debug=debug)
    else:
        require_free(out)
        order = CohortOrder(named, acquired, roi, reference, also_roles(also), plan, grades, per_case_reports)
        with worker() as client:
            result = measure_cohort(client, folders, order, out, debug=debug)
    seconds = time.monotonic() - start
    files = {"report": result["report"], "table": result["csv"], "everything": result["json"]}
    print_result(
        result | {"elapsed_seconds": round(seconds, 2)},
        [
            *result["sentences"],
            *([""] if result["sentences"] else []),
            *(f"{name:<10}  {path}" for name, path in files.items()),
            f"Measured in {seconds:.1f} s. {result['statement']}",
        ],
        json=json,
    )


def report_case(
    client: WorkerClient,
    case: Path,
    synthetic: list[tuple[str, Path]],
    choices: Choices,
    plan: Plan,
    out: Path,
    *,
    debug: bool = False,
) -> dict[str, Any]:
    """Measure one case and write its folder.

    Args:
        client: of the worker.
        case: case folder.
        synthetic: name and path of each map.
        choices: what is measured.
        plan: how.
        out: new folder.
        debug: whether the worker's log is shown.

    Returns:
        "output", "report", "csv", "json" (paths), "sentences", "statement", "simulated" and "warnings".

    Raises:
        HierSynthError: something is missing or cannot be read, measured or written.
        Cancelled: after Ctrl-C.
    """
    from HierSynthLib.fidelity.report.subject import describe_subject, open_case, open_synthetic

    maps = [open_synthetic(name, path) for name, path in synthetic]
    opened, known_as = open_case(case, otherwise="case")
    subject = describe_subject(opened, [each.called(opened.id, known_as) for each in maps], choices)
    measured = measure_subject(client, subject, plan, title=TITLE, debug=debug)
    return write_measured(measured, out)


def write_measured(measured: Measured, out: Path) -> dict[str, Any]:
    """Write the folder of one patient, and tell the warnings; see `report_case` for the result."""
    from HierSynthLib.fidelity.report.output import CSV, JSON, REPORT, write_case
    from HierSynthLib.fidelity.report.record import main_sentences, statement_line

    record = measured.record
    with Display("drawing the report") as display:
        for warning in record["warnings"]:
            display.warning(warning)
        write_case(out, record, measured.subject, measured.regions, measured.placements, display)
    return {
        "output": str(out),
        "report": str(out / REPORT),
        "csv": str(out / CSV),
        "json": str(out / JSON),
        "sentences": [one_line(sentence) for sentence in main_sentences(record["measurement"])],
        "statement": statement_line(record),
        "simulated": record["simulated"],
        "warnings": record["warnings"],
    }


def also_roles(also: str | None) -> tuple[Role, ...] | None:
    """The roles of `--also`; None where it is not given.

    Raises:
        InputError: it names something that cannot be measured.
    """
    from HierSynthLib.fidelity.report.subject import OTHERS

    if also is None:
        return None
    names = [name.strip() for name in also.split(",") if name.strip()]
    if names in ([], ["none"]):
        return ()
    known = {str(role).lower(): role for role in OTHERS}
    unknown = [name for name in names if name.lower() not in known]
    if unknown:
        raise InputError(f"--also: {unknown[0]!r} is not known.", f"Known are {', '.join(map(str, OTHERS))}, or none.")
    return tuple(dict.fromkeys(known[name.lower()] for name in names))


def _choices(case: Path, acquired: str | None, roi: str | None, reference: str, also: str | None) -> Choices:
    from HierSynthLib.fidelity.report.subject import Choices

    if not case.exists():
        raise InputError(f"{case} does not exist.", "Check the name of the case folder.")
    return Choices(
        acquired=None if acquired is None else Path(acquired),
        roi=None if roi is None else Path(roi),
        reference=reference,
        also=also_roles(also),
    )


def _settings(
    thresholds: list[float] | None, data_range: float, bin_width: float, texture: bool, normalise_acquired: bool
) -> Settings:
    from HierSynthLib.fidelity.measures.settings import Settings
    from HierSynthLib.fidelity.report.subject import ACQUIRED

    defaults = Settings()
    return Settings(
        data_range=data_range,
        thresholds=tuple(thresholds) if thresholds else defaults.thresholds,
        bin_width=bin_width,
        texture=texture,
        normalise=(ACQUIRED,) if normalise_acquired else (),
    )
