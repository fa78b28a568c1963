"""Prepared patients on the disk: made once, in several processes, and read slice by slice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib import __version__
from HierSynthLib.case import Role
from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.files import atomic_folder, write_text_atomically
from HierSynthLib.perfusion import VERSION as PERFUSION_VERSION
from HierSynthLib.perfusion.reading import sidecar_of
from HierSynthLib.phantom import GENERATOR_VERSION
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.progress import Part, Reporter, Silent
from Training.datasets.cohort import Exclusion, Subject
from Training.datasets.patient import Patient, SliceCounts
from Training.datasets.pool import in_processes
from Training.datasets.prepare import prepare_patient

if TYPE_CHECKING:
    from Training.config import TrainingConfig

FORMAT = 1
"""Changes with the layout of the cache, and with how a target is made."""

_VALUES, _MASKS, _RECORD = "values.npy", "masks.npy", "patient.json"
_MAPS = ("cbv", "low_pass")
_LEFT_OUT = "left-out"
_COUNTED = ("brain", "known", "lesion")


def cache_key(subject: Subject, config: TrainingConfig) -> str:
    """Names a prepared patient by everything that decides its content; files by size and time of change."""
    target = subject.target
    parts: list[Any] = [FORMAT, PREPARATION_VERSION, config.spacing_mm, config.target.ceiling]
    parts += [config.target.low_pass_mm, target.rule, target.normalisation, target.registered]
    if subject.case.simulated and not subject.case.files:
        parts += [GENERATOR_VERSION, subject.case.facts]
    else:
        files = {str(role): path for role, path in subject.case.files.items()} | subject.extra
        parts += [subject.id, subject.diffusion, subject.case.simulated, sorted(subject.case.labels.items())]
        parts += [sorted((str(role), units) for role, units in subject.case.units.items())]
        parts += [(name, _stamp(path)) for name, path in sorted(files.items())]
        parts += _of_series(subject, config) if target.rule == "dsc" else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def _of_series(subject: Subject, config: TrainingConfig) -> list[Any]:
    """What decides the CBV that is computed from a DSC series: its times, the JSON beside it, and how it is done."""
    path = subject.case.files.get(Role.DSC)
    beside = [] if path is None or path.is_dir() else _stamp(sidecar_of(path))
    return [config.data.te_s, config.data.tr_s, PERFUSION_VERSION, beside]


def _stamp(path: Path) -> list[list[int]]:
    """Size and time of change of a file, or of all files of a folder; empty where there is none."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return [[found.size, found.time] for found in map(_Stat.of, files)]


@dataclass(frozen=True)
class _Stat:
    size: int
    time: int

    @classmethod
    def of(cls, path: Path) -> _Stat:
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns)


def fill_cache(
    subjects: Sequence[Subject],
    config: TrainingConfig,
    cache: Path,
    workers: int,
    reporter: Reporter | None = None,
    *,
    make: bool = True,
    retry: bool = False,
) -> tuple[list[Patient], list[Exclusion]]:
    """The prepared patients; what is not in the cache yet is made there.

    A subject that cannot be prepared is left out. The reason is kept in the cache, so that all processes and all later
    parts of a run leave out the same ones; it is tried again when its files, the settings or HierSynth change.

    Args:
        subjects: to be prepared.
        config: decides how.
        cache: folder, made if need be.
        workers: number of processes.
        reporter: told about the stage "patients".
        make: False for a process that only reads what another one has made.
        retry: whether to try again what could not be prepared before.

    Returns:
        The patients, whose arrays stay on the disk, in the order of the subjects; and those left out.

    Raises:
        OutputError: the cache cannot be written, or without `make` lacks somebody.
        WorkerError: a process was ended from outside.
        Cancelled: the reporter said so; what is finished stays in the cache.
    """
    reporter = reporter or Silent()
    places = [cache / cache_key(subject, config) for subject in subjects]
    found = [read_patient(place, subject) for place, subject in zip(places, subjects, strict=True)]
    reasons = ["" if found[n] or retry else _remembered(place) for n, place in enumerate(places)]
    known = sum(map(bool, reasons))
    if known and make:
        reporter.warning(
            f"{known} examination(s) could not be prepared before and are not tried again; "
            "`python -m Training.datasets` does that."
        )
    missing = [n for n, patient in enumerate(found) if patient is None and not reasons[n]]
    if missing and not make:
        raise _not_there(subjects[missing[0]], cache, "All processes have to share this folder.")
    reporter.progress("patients", 0.0)
    jobs = [(subjects[n], config, places[n]) for n in missing]
    if len(jobs) > 1 and workers > 1:
        made = in_processes(_make, jobs, workers, reporter, "patients")
    else:
        made = _make_in_turn(jobs, reporter)
    reporter.progress("patients", 1.0)
    for n, reason in zip(missing, made, strict=True):
        reasons[n] = reason
        found[n] = None if reason else read_patient(places[n], subjects[n])
        if not reason and found[n] is None:
            raise _not_there(subjects[n], cache, "Start again.")
    excluded = [Exclusion(subject.id, reason) for subject, reason in zip(subjects, reasons, strict=True) if reason]
    return [patient for patient in found if patient is not None], excluded


def _not_there(subject: Subject, cache: Path, hint: str) -> OutputError:
    return OutputError(f"The prepared patient {subject.id} is not in {cache}.", hint)


def _reason_file(place: Path) -> Path:
    return place.parent / _LEFT_OUT / f"{place.name}.json"


def _remembered(place: Path) -> str:
    """Why this version of HierSynth could not prepare an examination; "" if nothing is known."""
    try:
        record = json.loads(_reason_file(place).read_text("utf-8"))
        return str(record["reason"]) if record["version"] == __version__ else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


_Job = tuple[Subject, "TrainingConfig", Path]


def _make_in_turn(jobs: Sequence[_Job], reporter: Reporter) -> list[str]:
    reasons = []
    for done, job in enumerate(jobs, start=1):
        reasons.append(_make(job, Part(reporter, (done - 1) / len(jobs), done / len(jobs))))
        reporter.progress(f"patients ({done} of {len(jobs)})", done / len(jobs))
    return reasons


def _make(job: _Job, reporter: Reporter | None = None) -> str:
    """Prepare one subject; why it cannot be, or "" if all is well."""
    subject, config, place = job
    try:
        patient = prepare_patient(subject, config, reporter)
    except InputError as error:
        record = {"version": __version__, "reason": str(error)}
        write_text_atomically(_reason_file(place), json.dumps(record) + "\n", overwrite=True)
        return str(error)
    try:
        with atomic_folder(place, overwrite=place.exists()) as folder:
            write_patient(folder, patient)
    except OutputError:
        if read_patient(place, subject) is None:  # another process may have made the same patient
            raise
    return ""


def write_patient(folder: Path, patient: Patient) -> None:
    """Write a prepared patient into an empty folder; slices first, so that a slice of all channels is in one piece."""
    channels = [*patient.sequences.values(), patient.cbv, patient.low_pass]
    masks = [patient.brain, patient.target_mask, patient.lesion]
    _save(folder / _VALUES, [array.astype(np.float16) for array in channels])
    _save(folder / _MASKS, masks)
    counts = patient.slice_counts()
    record = {
        "format": FORMAT,
        "roles": [str(role) for role in patient.sequences],
        "simulated": patient.simulated,
        "affine": patient.affine.tolist(),
        "facts": patient.facts,
        "counts": {name: getattr(counts, name).tolist() for name in _COUNTED},
    }
    (folder / _RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _save(path: Path, arrays: Sequence[NDArray[Any]]) -> None:
    stacked = np.stack([np.moveaxis(array, 2, 0) for array in arrays], axis=1)
    np.save(path, stacked, allow_pickle=False)


def read_patient(place: Path, subject: Subject) -> Patient | None:
    """The patient at a place of the cache; None where it is absent or damaged and has to be made."""
    try:
        record = json.loads((place / _RECORD).read_text("utf-8"))
        values = np.load(place / _VALUES, mmap_mode="r", allow_pickle=False)
        masks = np.load(place / _MASKS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, EOFError):
        return None
    roles = [Role(name) for name in record["roles"]]
    if values.ndim != 4 or values.shape[1] != len(roles) + len(_MAPS) or masks.shape[2:] != values.shape[2:]:
        return None
    volumes = [np.moveaxis(values[:, channel], 0, 2) for channel in range(values.shape[1])]
    brain, known, lesion = (np.moveaxis(masks[:, channel], 0, 2) for channel in range(len(_COUNTED)))
    return Patient(
        id=subject.id,
        sequences=dict(zip(roles, volumes, strict=False)),
        brain=brain,
        lesion=lesion,
        cbv=volumes[-2],
        low_pass=volumes[-1],
        known=known,
        patient=subject.patient,
        group=subject.group,
        simulated=bool(record["simulated"]),
        affine=np.array(record["affine"]),
        facts=record["facts"],
        counts=SliceCounts(*(np.array(record["counts"][name], dtype=np.int64) for name in _COUNTED)),
        key=place.name,
    )
