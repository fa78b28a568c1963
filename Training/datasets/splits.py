"""Which patient is for what: drawn once, kept in a file, and used again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.errors import InputError
from HierSynthLib.files import write_text_atomically
from Training.datasets.cohort import Cohort
from Training.datasets.settings import SPLITS, DataConfig

VERSION = 1
_MAKE_ANEW = "Correct it, or move it away to have a new one made."


@dataclass(frozen=True)
class Division:
    """The split of each patient, and what should be known about it.

    Attributes:
        of: split by the patient's identifier; a patient that is not in it is not used.
        warnings: sentences: patients that vanished, and new ones that are in no split.
        record: what a model package says of it, without names: see `record_of`; for simulated patients their seeds.
        content: of its file, as JSON; empty for simulated patients.
    """

    of: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)


def divide(
    patients: Mapping[str, tuple[str, str]], shares: Sequence[float], seed: int, folds: int = 0
) -> list[dict[str, str]]:
    """Divide patients into train, validation, calibration and test.

    Every split gets its share of all patients, to the nearest whole number and at least one where there are enough, and
    about its share of every stratum.

    Args:
        patients: identifier → stratum (group, site).
        shares: of the four splits, adding up to 1.
        seed: of the order within a stratum.
        folds: 0, or the number of folds for cross-validation: then every patient is in the test set of one fold, and
            the others are divided by the first three shares.

    Returns:
        One division (patient → split), or one for each fold.

    Raises:
        InputError: there are fewer patients than folds.
    """
    order = _order(patients, seed)
    if not folds:
        return [_dealt(order, SPLITS, shares)]
    if len(order) < folds:
        raise InputError(f"{len(order)} patients cannot be divided into {folds} folds.", "Choose fewer folds.")
    rest = [share / sum(shares[:3]) for share in shares[:3]] if sum(shares[:3]) > 0 else [1.0, 0.0, 0.0]
    divisions = []
    for fold in range(folds):
        tested = dict.fromkeys(order[fold::folds], "test")
        others = [name for name in order if name not in tested]
        divisions.append(_dealt(others, SPLITS[:3], rest) | tested)
    return divisions


def _order(patients: Mapping[str, tuple[str, str]], seed: int) -> list[str]:
    """All patients, stratum after stratum, each in random order that depends on its own members only."""
    strata: dict[tuple[str, str], list[str]] = {}
    for name in sorted(patients):
        strata.setdefault(patients[name], []).append(name)
    ordered: list[str] = []
    for stratum in sorted(strata):
        random = np.random.default_rng((seed, *"\x00".join(stratum).encode()))
        names = strata[stratum]
        ordered += [names[n] for n in random.permutation(len(names))]
    return ordered


def _dealt(order: Sequence[str], splits: Sequence[str], shares: Sequence[float]) -> dict[str, str]:
    """Each patient in turn goes to the split that lags furthest behind its share so far."""
    counts = _counts(len(order), shares)
    given = [0] * len(splits)
    result = {}
    for number, name in enumerate(order, start=1):
        behind = [
            count * number / len(order) - own if own < count else -math.inf
            for count, own in zip(counts, given, strict=True)
        ]
        chosen = int(np.argmax(behind))
        given[chosen] += 1
        result[name] = splits[chosen]
    return result


def _counts(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers nearest to the shares of `total` that add up to it (largest remainder); at least 1 if possible."""
    exact = [share * total for share in shares]
    counts = [math.floor(value + 1e-9) for value in exact]
    order = sorted(range(len(shares)), key=lambda n: exact[n] - counts[n], reverse=True)
    for n in order[: total - sum(counts)]:
        counts[n] += 1
    wanted = [n for n, share in enumerate(shares) if share > 0]
    if total >= len(wanted):
        for n in wanted:
            if counts[n] == 0:
                counts[int(np.argmax(counts))] -= 1
                counts[n] = 1
    return counts


def record_of(cohort: str, division: Mapping[str, str], folds: int = 0, fold: int = 0) -> dict[str, Any]:
    """What identifies a division without naming anybody.

    Args:
        cohort: name of the data set.
        division: split by patient, as it is stored.
        folds: number of folds, 0 for none.
        fold: which one this is.

    Returns:
        "cohort", "folds", "fold", "patients" (their number by split), and "seen": SHA-256 over the patients for
        training, validation and calibration and their splits. Two divisions that agree in it keep the same patients
        from the test. All are hashed together: the hash of a single identifier could be found by guessing.
    """
    seen = sorted([name, split] for name, split in division.items() if split != "test")
    digest = hashlib.sha256(json.dumps([cohort, seen]).encode()).hexdigest()
    counts = {name: sum(split == name for split in division.values()) for name in SPLITS}
    return {"cohort": cohort, "folds": folds, "fold": fold, "patients": counts, "seen": digest}


def find_division(cohort: Cohort, config: DataConfig, file: Path) -> Division:
    """The division in a file, checked against the cohort; a new one is written where there is no such file.

    Args:
        cohort: all subjects.
        config: shares, folds and seed of a new division; which fold.
        file: the JSON file.

    Raises:
        InputError: the file is damaged, of another data set or number of folds, or none of its patients is there.
        OutputError: a new file cannot be written.
    """
    patients = {subject.patient: subject.stratum for subject in reversed(cohort.subjects)}
    warnings = []
    if file.exists():
        content = _read(file, cohort.name, config)
        for name, here in (("shares", list(config.shares)), ("seed", config.division_seed)):
            if content.get(name, here) != here:
                words = f"{file} was made with the {name} {content[name]}"
                warnings.append(f"{words}; it is used, not {here} as the configuration says.")
    else:
        divisions = divide(patients, config.shares, config.division_seed, config.folds)
        content = {"version": VERSION, "cohort": cohort.name, "seed": config.division_seed}
        content |= {"shares": list(config.shares), "folds": config.folds, "divisions": divisions}
        write_text_atomically(file, text_of(content))
    fold = config.fold if config.folds else 0
    stored = content["divisions"][fold]
    left_out = {exclusion.subject for exclusion in cohort.excluded}
    vanished = sorted(set(stored) - set(patients))
    new = sorted(set(patients) - set(stored))
    if len(vanished) == len(stored):
        raise InputError(f"None of the {len(stored)} patients in {file} is in the cohort.", _MAKE_ANEW)
    if vanished:
        known = [name for name in vanished if any(one.startswith(name) for one in left_out)]
        why = f"; {len(known)} of them are excluded" if known else ""
        warnings.append(f"{_listed(vanished)} of {file} {_are(vanished)} not in the cohort any more{why}.")
    if new:
        warnings.append(
            f"{_listed(new)} {_are(new)} not in {file} and therefore not used; move the file away to divide anew."
        )
    used = {name: split for name, split in stored.items() if name in patients}
    return Division(used, tuple(warnings), record_of(cohort.name, stored, config.folds, fold), content)


def text_of(content: Mapping[str, Any]) -> str:
    """The file of a division."""
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {'patient' if len(names) == 1 else 'patients'} ({shown})"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _read(file: Path, cohort: str, config: DataConfig) -> dict[str, Any]:
    """The content of a file, checked."""
    try:
        content: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: {' '.join(str(error).split())}.", _MAKE_ANEW) from error
    divisions = content.get("divisions") if isinstance(content, dict) else None
    if not isinstance(divisions, list) or not divisions or content.get("version") != VERSION:
        raise InputError(f"{file} is no division of patients of version {VERSION}.", _MAKE_ANEW)
    for division in divisions:
        if not isinstance(division, dict) or not division or not set(division.values()) <= set(SPLITS):
            raise InputError(f"{file}: every patient needs one of {', '.join(SPLITS)}.", _MAKE_ANEW)
    if content.get("cohort") != cohort:
        raise InputError(f"{file} divides {content.get('cohort')!r}, not {cohort}.", _MAKE_ANEW)
    if len(divisions) != max(1, config.folds):
        raise InputError(f"{file} has {content.get('folds')} folds, the configuration {config.folds}.", _MAKE_ANEW)
    return dict(content)
