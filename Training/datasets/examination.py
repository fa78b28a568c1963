"""What a subject's files hold: grids, values, units, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.case import Role, examine
from HierSynthLib.errors import InputError
from HierSynthLib.files import write_text_atomically
from HierSynthLib.progress import Reporter, Silent
from HierSynthLib.volume import Volume
from Training.datasets.cohort import Subject
from Training.datasets.pool import in_processes
from Training.datasets.reading import load_subject
from Training.datasets.series import check_series
from Training.datasets.settings import DataConfig

VERSION = 2
_PERCENTILES = (1, 50, 99)


@dataclass(frozen=True)
class VolumeFacts:
    """One volume.

    Attributes:
        grid: numbers of voxels.
        spacing_mm: edges of a voxel.
        values: 1st, 50th and 99th percentile of the voxels that are not 0.
        units: "" where they are arbitrary or not stated.
    """

    grid: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    values: tuple[float, ...]
    units: str


@dataclass(frozen=True)
class SubjectFacts:
    """One examination: its volumes, hashes of their values, remarks, and why it cannot be used ("" if it can)."""

    volumes: dict[str, VolumeFacts] = field(default_factory=dict)
    content: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    reason: str = ""

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> SubjectFacts:
        """The inverse of `dataclasses.asdict`, through JSON."""
        volumes = {
            role: VolumeFacts(tuple(v["grid"]), tuple(v["spacing_mm"]), tuple(v["values"]), v["units"])
            for role, v in content["volumes"].items()
        }
        return cls(volumes, content["content"], tuple(content["remarks"]), content["reason"])


def examine_subject(subject: Subject, config: DataConfig) -> SubjectFacts:
    """Read the volumes of a subject and describe them; what is wrong with them is in the result.

    Of a DSC series, which is large, header and times only.
    """
    try:
        if subject.target.rule == "dsc":
            check_series(subject.case.files[Role.DSC], config)
        loaded = load_subject(subject)
    except InputError as error:
        return SubjectFacts(reason=str(error))
    volumes: dict[Role, Volume] = dict(loaded.sequences)
    if loaded.cbv is not None:
        volumes[Role.CBV_ACQUIRED] = loaded.cbv
    if loaded.roi is not None:
        volumes[Role.ROI] = loaded.roi
    problems = examine(volumes, reference=loaded.first, expected=(), quick=True)
    if subject.target.normalisation != "nrCBV":  # a map that shall be normalised need not look normalised
        problems = [
            problem for problem in problems if problem.role is not Role.CBV_ACQUIRED or problem.severity == "error"
        ]
    errors = [problem.what for problem in problems if problem.severity == "error"]
    return SubjectFacts(
        {str(role): _facts(volume) for role, volume in volumes.items()},
        loaded.content,
        (*loaded.notes, *(problem.what for problem in problems if problem.severity == "warning")),
        " ".join(errors),
    )


def _facts(volume: Volume) -> VolumeFacts:
    values = volume.array[np.isfinite(volume.array) & (volume.array != 0)]
    percentiles = np.percentile(values.astype(np.float64), _PERCENTILES) if values.size else np.zeros(3)
    return VolumeFacts(
        tuple(int(n) for n in volume.grid),
        tuple(round(float(edge), 4) for edge in volume.spacing),
        tuple(float(f"{value:.4g}") for value in percentiles),
        volume.units,
    )


def examine_all(
    subjects: Sequence[Subject],
    config: DataConfig,
    files: Sequence[Path],
    workers: int,
    reporter: Reporter | None = None,
) -> list[SubjectFacts]:
    """Describe many subjects; what was described before is read from its file.

    Args:
        subjects: with files, not simulated on demand.
        config: times of DSC series.
        files: where the description of each is kept; its name changes with the content.
        workers: number of processes.
        reporter: told about the stage "examining".

    Raises:
        OutputError: a description cannot be written.
        WorkerError: a process was ended from outside.
        Cancelled: the reporter said so.
    """
    reporter = reporter or Silent()
    found = [_read(file) for file in files]
    missing = [n for n, facts in enumerate(found) if facts is None]
    jobs = [(subjects[n], config, files[n]) for n in missing]
    if len(jobs) > 1 and workers > 1:
        described = in_processes(_describe, jobs, workers, reporter, "examining")
    else:
        described = []
        for done, job in enumerate(jobs, start=1):
            described.append(_describe(job))
            reporter.progress("examining", done / len(jobs))
    for n, facts in zip(missing, described, strict=True):
        found[n] = facts
    return [facts for facts in found if facts is not None]


def _describe(job: tuple[Subject, DataConfig, Path]) -> SubjectFacts:
    """Describe one subject, and keep it unless its files are unusable: those may be mended."""
    subject, config, file = job
    facts = examine_subject(subject, config)
    if not facts.reason:
        write_text_atomically(file, json.dumps({"version": VERSION, **asdict(facts)}) + "\n", overwrite=True)
    return facts


def _read(file: Path) -> SubjectFacts | None:
    try:
        content = json.loads(file.read_text("utf-8"))
        return SubjectFacts.from_json(content) if content["version"] == VERSION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
