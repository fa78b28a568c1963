"""Measuring one patient from the command line: place the volumes, suggest regions, measure, in the worker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from HierSynthLib.commands.jobs import run_job
from HierSynthLib.commands.terminal import Display
from HierSynthLib.progress import Silent
from HierSynthLib.worker.client import WorkerClient

if TYPE_CHECKING:
    from HierSynthLib.fidelity.measures.settings import Settings
    from HierSynthLib.fidelity.regions.shapes import Region
    from HierSynthLib.fidelity.report.alignment import Placement
    from HierSynthLib.fidelity.report.subject import Subject


@dataclass(frozen=True)
class Plan:
    """How every patient is measured.

    Attributes:
        settings: of the measures.
        hotspots: how many are suggested per map; 0 for none.
        register: see `HierSynthLib.fidelity.report.alignment.align`.
    """

    settings: Settings
    hotspots: int = 4
    register: bool | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured patient.

    Attributes:
        record: the contents of fidelity.json.
        subject: the patient.
        regions: all that were measured.
        placements: how the volumes were brought together.
    """

    record: dict[str, Any]
    subject: Subject
    regions: tuple[Region, ...]
    placements: tuple[Placement, ...]


def measure_subject(client: WorkerClient, subject: Subject, plan: Plan, *, title: str, debug: bool) -> Measured:
    """Measure one patient.

    Args:
        client: of the worker.
        subject: the patient.
        plan: how to measure.
        title: what stands in front of the progress.
        debug: whether the worker's log is shown.

    Raises:
        JobError: what the worker reported.
        InputError: a volume cannot be read.
        Cancelled: after Ctrl-C.
    """
    from HierSynthLib.fidelity.measures.job_parameters import Staging, found_regions
    from HierSynthLib.fidelity.report.alignment import align
    from HierSynthLib.fidelity.report.record import make_record, normalisation_offers

    with _reporter(title, shown=plan.register is True) as reporter:
        placements = align(subject, plan.register, reporter)
    with TemporaryDirectory(prefix="hiersynth-") as folder:
        staging = Staging(Path(folder), subject, placements)
        reference, warnings = subject.reference, [*staging.warnings]
        hotspots: dict[str, list[Region]] = {}
        wanted = _wanted(subject, plan)
        if wanted:
            suggestion = staging.suggestion(wanted, plan.hotspots, plan.settings.hotspot_mm)
            result, _ = run_job(
                client, "suggest_regions", suggestion, output=Path(folder) / "regions", title=title, debug=debug
            )
            suggested, hotspots = found_regions(result)
            reference = reference or suggested
            warnings += result["warnings"]
        regions = (*subject.lesions, *(spot for found in hotspots.values() for spot in found))
        regions += () if reference is None else (reference,)
        output = Path(folder) / "measurement.json"
        parameters = staging.measurement(regions, plan.settings, output)
        _, told = run_job(client, "measure", parameters, output=output, title=title, debug=debug)
        measurement = json.loads(output.read_text("utf-8"))
    record = make_record(
        subject,
        measurement=measurement,
        placements=placements,
        hotspots=hotspots,
        reference=reference,
        warnings=[*warnings, *told, *measurement["warnings"], *normalisation_offers(measurement)],
    )
    return Measured(record, subject, regions, tuple(placements))


def _wanted(subject: Subject, plan: Plan) -> Sequence[str]:
    reference = ["reference"] if subject.reference is None and subject.others else []
    return reference + (["hotspots"] if plan.hotspots and subject.lesions else [])


@contextmanager
def _reporter(title: str, *, shown: bool) -> Iterator[Display | Silent]:
    if not shown:
        yield Silent()
        return
    with Display(title) as display:
        yield display
