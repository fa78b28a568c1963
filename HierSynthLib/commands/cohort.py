"""Measuring a cohort: every case folder of a folder, with the cases that cannot be measured told and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from HierSynthLib.commands.measuring import Measured, Plan, measure_subject
from HierSynthLib.commands.terminal import Display, one_line
from HierSynthLib.errors import HierSynthError, InputError, OutputError
from HierSynthLib.worker.client import WorkerClient

if TYPE_CHECKING:
    from HierSynthLib.case import Case, Role

IDENTIFIER = "{id}"

# Shorter names of folders are parts of words, and of no patient.
_SHORTEST_NAME = 2


@dataclass(frozen=True)
class CohortOrder:
    """What of every patient is measured, and how.

    Attributes:
        synthetic: name and pattern of each map.
        acquired, roi: patterns of files instead of the case's, or None.
        reference: see `HierSynthLib.fidelity.report.subject.Choices`.
        also: see there.
        plan: how to measure.
        grades: CSV file of the grades, or None.
        per_case_reports: whether each patient gets a folder of its own.
    """

    synthetic: Sequence[tuple[str, str]]
    acquired: str | None
    roi: str | None
    reference: str
    also: tuple[Role, ...] | None
    plan: Plan
    grades: Path | None = None
    per_case_reports: bool = False


def resolve_pattern(pattern: str, folder: Path, identifier: str) -> Path:
    """The file that a pattern means for one case.

    Args:
        pattern: contains "{id}", or is a path inside the case folder.
        folder: of the case.
        identifier: of the case.

    Raises:
        InputError: it is an absolute path without "{id}", and would be the same for all.
    """
    if IDENTIFIER in pattern:
        return Path(pattern.replace(IDENTIFIER, identifier))
    if Path(pattern).is_absolute():
        raise InputError(
            f"{pattern} is the same file for every patient.", "Use {id}, or a path inside each case folder."
        )
    return folder / pattern


def measure_cohort(
    client: WorkerClient, folders: Sequence[Path], order: CohortOrder, out: Path, *, debug: bool = False
) -> dict[str, Any]:
    """Measure all cases and write the folder of the cohort.

    Args:
        client: of the worker.
        folders: of the cases.
        order: what to measure.
        out: new folder.
        debug: whether the worker's log is shown.

    Returns:
        "output", "report", "csv", "json" (paths), "sentences", "statement", "simulated", "measured", "excluded" and
        "warnings".

    Raises:
        InputError: an option cannot be used, or not a single case could be measured.
        OutputError: the folder cannot be written.
        Cancelled: after Ctrl-C.
    """
    from HierSynthLib.fidelity.cohort.cohort import read_grades
    from HierSynthLib.fidelity.cohort.output import CSV, JSON, describe_cohort, write_cohort
    from HierSynthLib.fidelity.cohort.report import summary_sentences
    from HierSynthLib.fidelity.report.output import REPORT
    from HierSynthLib.fidelity.report.record import statement_line
    from HierSynthLib.files import atomic_folder

    for _, pattern in order.synthetic:
        resolve_pattern(pattern, folders[0], "")
    grades = read_grades(order.grades) if order.grades else {}
    with atomic_folder(out) as temporary:
        records, excluded, names = _measure_all(client, folders, order, temporary, debug=debug)
        if not records:
            reasons = " ".join(f"{each['id']}: {each['reason']}" for each in excluded[:3])
            raise InputError(f"None of {len(folders)} cases could be measured. {reasons}", "Check --synthetic.")
        grades = {names.get(known_as, known_as): grade for known_as, grade in grades.items()}
        cohort = describe_cohort(records, grades, excluded)
        with Display("drawing the report") as display:
            for warning in cohort["warnings"]:
                display.warning(warning)
            write_cohort(temporary, cohort, records, display)
    return {
        "output": str(out),
        "report": str(out / REPORT),
        "csv": str(out / CSV),
        "json": str(out / JSON),
        "sentences": summary_sentences(cohort),
        "statement": statement_line(cohort),
        "simulated": cohort["simulated"],
        "measured": [record["case"] for record in records],
        "excluded": excluded,
        "warnings": cohort["warnings"],
    }


def _measure_all(
    client: WorkerClient, folders: Sequence[Path], order: CohortOrder, out: Path, *, debug: bool
) -> tuple[list[dict[str, Any]], list[dict[str, str]], dict[str, str]]:
    """Records without their plots; the cases left out, with the reason; neutral identifiers by those the user knows."""
    from HierSynthLib.fidelity.report.subject import open_case

    records: list[dict[str, Any]] = []
    excluded: list[dict[str, str]] = []
    names: dict[str, str] = {}
    for number, folder in enumerate(folders, start=1):
        title = f"case {number} of {len(folders)}"
        name = known_as = f"case {number}"
        try:
            case, known_as = open_case(folder, otherwise=name)
            name = names[known_as] = case.id
            measured = _measure_case(client, folder, case, known_as, order, title, debug=debug)
            if name in [record["case"] for record in records]:
                raise InputError(f"The identifier {name!r} stands in two case folders.", "Give each its own.")
            if order.per_case_reports:
                _write_case(measured, out, title)
        except OutputError:
            raise
        except HierSynthError as error:
            reason = nameless(one_line(f"{error.message} {error.hint}"), folder, known_as, name)
            excluded.append({"id": name, "reason": reason})
            with Display(title) as display:
                display.warning(f"{name} is left out: {reason}")
            continue
        measured.record["measurement"].pop("plots")
        records.append(measured.record)
    return records, excluded, names


def nameless(text: str, folder: Path, known_as: str, identifier: str) -> str:
    """A text for the report without the path of a case: names of folders and files may be a patient's name."""
    for path in (folder.absolute(), folder):
        text = text.replace(str(path), "(case folder)")
    for name in {folder.name, known_as} - {identifier}:
        if len(name) > _SHORTEST_NAME:
            text = text.replace(name, "(case)")
    return text


def _measure_case(
    client: WorkerClient, folder: Path, case: Case, known_as: str, order: CohortOrder, title: str, *, debug: bool
) -> Measured:
    from HierSynthLib.fidelity.report.subject import Choices, describe_subject, open_synthetic

    maps = [open_synthetic(name, resolve_pattern(path, folder, known_as)) for name, path in order.synthetic]
    choices = Choices(
        acquired=None if order.acquired is None else resolve_pattern(order.acquired, folder, known_as),
        roi=None if order.roi is None else resolve_pattern(order.roi, folder, known_as),
        reference=order.reference,
        also=order.also,
    )
    subject = describe_subject(case, [each.called(case.id, known_as) for each in maps], choices)
    return measure_subject(client, subject, order.plan, title=title, debug=debug)


def _write_case(measured: Measured, out: Path, title: str) -> None:
    from HierSynthLib.fidelity.cohort.output import CASES
    from HierSynthLib.fidelity.report.output import file_part, write_case

    name = file_part(measured.record["case"])
    numbered = (f"{name}-{number}" for number in count(2))  # two identifiers may look alike as names of folders
    folder = next(out / CASES / each for each in chain([name], numbered) if not (out / CASES / each).exists())
    with Display(title) as display:
        write_case(folder, measured.record, measured.subject, measured.regions, measured.placements, display)
