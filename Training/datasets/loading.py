"""From the settings to the patients of each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
    """

    train: list[Patient]
    validation: list[Patient]
    calibration: list[Patient]
    test: list[Patient]
    excluded: tuple[Exclusion, ...] = ()
    warnings: tuple[str, ...] = ()
    cohort: str = ""
    simulated: bool = False


def find_cohort(config: TrainingConfig, cache: Path, *, targets: bool = True) -> tuple[Cohort, Division]:
    """The subjects that the settings name, and how they are divided; no volume is read.

    Args:
        config: names the data set.
        cache: where the division is stored if the settings name no file.
        targets: whether to refuse a cohort whose CBV maps cannot be used together.

    Raises:
        InputError: the data set is not there or empty, its maps cannot be mixed, or the stored division does not fit.
    """
    data = config.data
    if data.source == "phantoms":
        cohort, splits = simulated_cohort(data, config.spacing_mm)
        return cohort.without(data.exclude), Division(splits)
    cohort = read_cohort(data.source, Path(data.folder), data.cbv).without(data.exclude)
    if targets:
        check_targets(cohort)
    file = Path(data.splits) if data.splits else cache / f"splits-{data.source}.json"
    return cohort, find_division(cohort, data, file, config.seed)


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
    config: TrainingConfig, cache: Path, workers: int = 2, *, reporter: Reporter | None = None
) -> Patients:
    """Find, divide and prepare the patients; what was prepared before is taken from the cache.

    Args:
        config: the settings.
        cache: folder of the prepared patients.
        workers: processes that prepare.
        reporter: told about progress; warnings are also in the result.

    Raises:
        InputError: the cohort is empty or inconsistent, no patient is left to train on, or the same images occur under
            the names of two patients in different splits.
        OutputError: the cache or the file of the division cannot be written.
        Cancelled: the reporter said so.
    """
    reporter = reporter or Silent()
    cohort, division = find_cohort(config, cache)
    for warning in division.warnings:
        reporter.warning(warning)
    used = [s for s in cohort.subjects if s.patient in division.of and s.target.rule != "none"]
    patients, failed = fill_cache(used, config, cache, workers, reporter)
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
        (*division.warnings, *doubles),
        cohort.name,
        cohort.simulated,
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
