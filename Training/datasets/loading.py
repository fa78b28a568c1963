"""From the settings to the patients of each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from HierSynthLib.case import Role
from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter, Silent
from Training.datasets.cache import fill_cache
from Training.datasets.cohort import Cohort, Exclusion, read_cohort
from Training.datasets.patient import Patient
from Training.datasets.phantoms import simulated_cohort
from Training.datasets.settings import SPLITS
from Training.datasets.splits import Division, find_division

if TYPE_CHECKING:
    from Training.config import TrainingConfig


@dataclass(frozen=True)
class Patients:
    """The prepared patients of each split.

    Attributes:
        train, validation, calibration, test: may be empty, except train.
        excluded: examinations that are not used, and why.
        warnings: sentences about the cohort and its division.
        cohort: name of the data set.
        simulated: whether all patients are simulated.
        division: what a model package says of the division, see `Division.record`.
        division_file: content of the file of the division, as JSON; empty for simulated patients.
    """

    train: list[Patient]
    validation: list[Patient]
    calibration: list[Patient]
    test: list[Patient]
    excluded: tuple[Exclusion, ...] = ()
    warnings: tuple[str, ...] = ()
    cohort: str = ""
    simulated: bool = False
    division: dict[str, Any] = field(default_factory=dict)
    division_file: dict[str, Any] = field(default_factory=dict)

    def members(self) -> dict[str, list[str]]:
        """Split, patient and key in the cache of every examination by its identifier: what a training depends on."""
        named = [(name, patient) for name in SPLITS for patient in getattr(self, name)]
        return {patient.id: [name, patient.patient or patient.id, patient.key] for name, patient in named}


def find_cohort(
    config: TrainingConfig, cache: Path, *, splits: Path | None = None, targets: bool = True
) -> tuple[Cohort, Division]:
    """The subjects that the settings name, and how they are divided; no volume is read.

    Args:
        config: names the data set.
        cache: where the division is stored if the settings name no file.
        splits: a copy of the division, which comes before that in the cache if it is there.
        targets: whether to refuse a cohort whose CBV maps cannot be used together.

    Raises:
        InputError: the data set is not there or empty, its maps cannot be mixed, or the stored division does not fit.
    """
    data = config.data
    if data.source == "phantoms":
        cohort, of = simulated_cohort(data, config.spacing_mm)
        seeds = {name: [found.start, found.stop] for name, found in data.seeds.items()}
        return cohort.without(data.exclude), Division(of, record={"cohort": cohort.name, "seeds": seeds})
    whole = read_cohort(data.source, Path(data.folder), data.cbv)
    cohort = whole.without(data.exclude)
    if targets:
        check_targets(cohort)
    file = cache / f"splits-{data.source}.json"
    if data.splits:
        file = Path(data.splits)
    elif splits is not None and splits.is_file():
        file = splits
    # The whole cohort is divided, so that nobody changes the split when somebody is excluded.
    division = find_division(whole, data, file)
    left = {subject.patient for subject in cohort.subjects}
    return cohort, replace(division, of={name: split for name, split in division.of.items() if name in left})


def check_targets(cohort: Cohort) -> None:
    """Refuse a cohort whose CBV maps have different units.

    Raises:
        InputError: some maps are in nrCBV and others not, or there is no map at all.
    """
    kinds: dict[str, list[str]] = {}
    for subject in cohort.subjects:
        if subject.target.rule == "none":
            continue
        units = subject.case.units.get(Role.CBV_ACQUIRED, "") if subject.target.rule == "map" else ""
        kinds.setdefault(units or "units that are not stated", []).append(subject.id)
    if len(kinds) > 1:
        words = "; ".join(f"{units}: {len(ids)} (e.g. {ids[0]})" for units, ids in kinds.items())
        raise InputError(
            f"The CBV maps of {cohort.name} have different units: {words}.",
            "State the units of every map, bring them to nrCBV, or exclude one group.",
        )
    if not kinds:
        raise InputError(
            f"{cohort.name} has no CBV maps to learn from.", "Synthesise its cases instead; see docs/datasets.md."
        )


def load_patients(
    config: TrainingConfig,
    cache: Path,
    workers: int = 2,
    *,
    reporter: Reporter | None = None,
    splits: Path | None = None,
    make: bool = True,
    retry: bool = False,
) -> Patients:
    """Find, divide and prepare the patients; what was prepared before is taken from the cache.

    Args:
        config: the settings.
        cache: folder of the prepared patients.
        workers: processes that prepare.
        reporter: told about progress; warnings are also in the result.
        splits: a copy of the division, see `find_cohort`.
        make: False for a process that only reads what another one has made.
        retry: whether to try again what could not be prepared before.

    Raises:
        InputError: the cohort is empty or inconsistent, no patient is left to train on, or the same images occur under
            the names of two patients in different splits.
        OutputError: the cache or the file of the division cannot be written.
        WorkerError: a process was ended from outside.
        Cancelled: the reporter said so.
    """
    reporter = reporter or Silent()
    cohort, division = find_cohort(config, cache, splits=splits)
    warnings = (*division.warnings, *cohort.gaps())
    for warning in warnings:
        reporter.warning(warning)
    used = [s for s in cohort.subjects if s.patient in division.of and s.target.rule != "none"]
    patients, failed = fill_cache(used, config, cache, workers, reporter, make=make, retry=retry)
    doubles, clashes = same_content([(p.id, p.patient, p.facts["content"]) for p in patients], division.of)
    if clashes:
        raise InputError(clashes[0], "Exclude one of them: nobody must be trained on and tested.")
    excluded = (*cohort.excluded, *failed)
    for failure in failed:
        reporter.warning(f"{failure.subject} is left out: {failure.reason}")
    of = {name: [p for p in patients if division.of[p.patient] == name] for name in SPLITS}
    if not of["train"]:
        first = (*failed, *excluded)[:1]
        why = "".join(f" {one.subject}: {one.reason}" for one in first)
        raise InputError(f"No patient of {cohort.name} is left to train on.", f"{len(excluded)} are left out.{why}")
    return Patients(
        of["train"],
        of["validation"],
        of["calibration"],
        of["test"],
        excluded,
        (*warnings, *doubles),
        cohort.name,
        cohort.simulated,
        division.record,
        division.content,
    )


def same_content(
    examinations: Sequence[tuple[str, str, Mapping[str, str]]], splits: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Images that occur under the names of several patients.

    Args:
        examinations: identifier, patient, and hash of the values by role.
        splits: split by patient.

    Returns:
        Sentences on those within a split, and on those in different splits.
    """
    owners: dict[str, tuple[str, str]] = {}
    within, across = [], []
    for name, patient, content in examinations:
        for role, digest in content.items():
            first, owner = owners.setdefault(digest, (name, patient))
            if owner == patient:
                continue
            both = f"{role} of {name} has the same values as a volume of {first}"
            if splits[owner] == splits[patient]:
                within.append(f"{both}.")
            else:
                across.append(f"{both}, but they are in different splits ({splits[patient]}, {splits[owner]}).")
    return within, across
