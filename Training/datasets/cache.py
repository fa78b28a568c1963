"""Prepared patients on the disk: made once, in several processes, and read slice by slice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import Role
from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.phantom import GENERATOR_VERSION
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.progress import Part, Reporter, Silent
from Training.datasets.cohort import Exclusion, Subject
from Training.datasets.patient import Patient, SliceCounts
from Training.datasets.prepare import prepare_patient

if TYPE_CHECKING:
    from Training.config import TrainingConfig

FORMAT = 1
"""Changes with the layout of the cache, and with how a target is made."""

_VALUES, _MASKS, _RECORD = "values.npy", "masks.npy", "patient.json"
_MAPS = ("cbv", "low_pass")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
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
        parts += [config.data.te_s, config.data.tr_s] if target.rule == "dsc" else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


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
    subjects: Sequence[Subject], config: TrainingConfig, cache: Path, workers: int, reporter: Reporter | None = None
) -> tuple[list[Patient], list[Exclusion]]:
    """The prepared patients; what is not in the cache yet is made there.

    A subject that cannot be prepared is left out; it is tried again the next time.

    Args:
        subjects: to be prepared.
        config: decides how.
        cache: folder, made if need be.
        workers: number of processes.
        reporter: told about the stage "patients".

    Returns:
        The patients, whose arrays stay on the disk, in the order of the subjects; and those left out.

    Raises:
        OutputError: the cache cannot be written.
        Cancelled: the reporter said so; what is finished stays in the cache.
    """
    reporter = reporter or Silent()
    places = [cache / cache_key(subject, config) for subject in subjects]
    found = [read_patient(place, subject) for place, subject in zip(places, subjects, strict=True)]
    missing = [n for n, patient in enumerate(found) if patient is None]
    reporter.progress("patients", 0.0)
    jobs = [(subjects[n], config, places[n]) for n in missing]
    if len(jobs) > 1 and workers > 1:
        reasons = _make_in_parallel(jobs, workers, reporter)
    else:
        reasons = _make_in_turn(jobs, reporter)
    reporter.progress("patients", 1.0)
    excluded = []
    for n, reason in zip(missing, reasons, strict=True):
        if reason:
            excluded.append(Exclusion(subjects[n].id, reason))
            continue
        found[n] = read_patient(places[n], subjects[n])
        if found[n] is None:
            raise OutputError(f"The prepared patient {subjects[n].id} vanished from {cache}.", "Start again.")
    return [patient for patient in found if patient is not None], excluded


Job = tuple[Subject, "TrainingConfig", Path]


def _make_in_turn(jobs: Sequence[Job], reporter: Reporter) -> list[str]:
    reasons = []
    for done, job in enumerate(jobs, start=1):
        reasons.append(_make(job, Part(reporter, (done - 1) / len(jobs), done / len(jobs))))
        reporter.progress(f"patients ({done} of {len(jobs)})", done / len(jobs))
    return reasons


def _make_in_parallel(jobs: Sequence[Job], workers: int, reporter: Reporter) -> list[str]:
    with (
        _one_thread_each(),
        ProcessPoolExecutor(
            min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_single_threaded
        ) as pool,
    ):
        futures = [pool.submit(_make, job) for job in jobs]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()  # an error of the disk ends everything
                reporter.progress(f"patients ({done} of {len(jobs)})", done / len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are started meanwhile use one thread in linear algebra: they share the cores already.

    The libraries read this when they are loaded, so it has to be in the environment of the new process.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _single_threaded() -> None:
    """The same for SimpleITK."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _make(job: Job, reporter: Reporter | None = None) -> str:
    """Prepare one subject; why it cannot be, or "" if all is well."""
    subject, config, place = job
    try:
        patient = prepare_patient(subject, config, reporter)
    except InputError as error:
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
    )
