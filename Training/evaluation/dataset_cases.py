"""Patients of a data set that the training knows, with the map that the training would learn from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import REFERENCE_LABEL, Role
from HierSynthLib.commands.cohort import nameless
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.cohort.cohort import high_or_low
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.preparation import PreparedCase
from HierSynthLib.progress import Reporter
from Training.datasets.cohort import Cohort, Subject, read_cohort
from Training.datasets.reading import Loaded, load_subject
from Training.datasets.settings import SPLITS, DataConfig
from Training.datasets.splits import find_division
from Training.datasets.target import make_cbv
from Training.evaluation.cases import LoadedCase, digest, file_hash

EVERY = "all"
"""Instead of a split: all patients of the data set."""


@dataclass(frozen=True, eq=False)
class _LearntMap:
    """The CBV map as the training takes it: placed and normalised by the rules of the data set."""

    subject: Subject
    loaded: Loaded
    config: DataConfig

    def on(
        self, case: PreparedCase, lesion: NDArray[np.bool_], reporter: Reporter
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """See `make_cbv`."""
        found = make_cbv(self.subject, self.loaded, case, lesion, self.config, reporter)
        return found.values, found.known


@dataclass(frozen=True)
class DatasetCase:
    """An examination of a data set."""

    subject: Subject
    config: DataConfig
    folder: Path

    @property
    def id(self) -> str:
        """As the data set has it."""
        return self.subject.id

    @property
    def simulated(self) -> bool:
        """Whether it is a simulated patient."""
        return self.subject.case.simulated

    @property
    def grade(self) -> str | None:
        """Of the group, where it is a grade."""
        return high_or_low(self.subject.group)

    def key(self) -> str:
        """Hash of all files and of the rules for the map."""
        hashes = {str(role): file_hash(path) for role, path in self.subject.case.files.items()}
        rules = [dataclasses.asdict(self.subject.target), self.subject.diffusion, self.config.te_s, self.config.tr_s]
        labels = {str(value): name for value, name in self.subject.case.labels.items()}
        return digest(["data set", hashes, rules, labels, PREPARATION_VERSION])

    def load(self, target: str, reporter: Reporter) -> LoadedCase:
        """Read the volumes.

        Raises:
            InputError: a file cannot be used, or the data set has no such target.
        """
        own = "true" if self.subject.target.rule == "truth" else "acquired"
        if target not in ("auto", own):
            raise InputError(f"The data set has no {target} map, but the {own} one.", "Leave --target out.")
        loaded = load_subject(self.subject, reporter)
        volumes = dict(loaded.sequences)
        if loaded.roi is not None:
            volumes[Role.ROI] = loaded.roi
        return LoadedCase(
            volumes=volumes,
            target=_LearntMap(self.subject, loaded, self.config),
            target_name=own,
            labels=dict.fromkeys(loaded.reference, REFERENCE_LABEL),
            warnings=loaded.notes,
        )

    def neutral(self, text: str) -> str:
        """Without the folder of the data set."""
        return nameless(text, self.folder, self.id, self.id)


def dataset_cases(
    name: str, folder: Path, splits: Path | None, split: str
) -> tuple[list[DatasetCase], list[dict[str, str]]]:
    """The examinations of one split of a data set, and "id" and "reason" of those that cannot be used.

    Args:
        name: of the data set, see `read_cohort`.
        folder: where it lies.
        splits: the file in which the training has kept its division; needed unless all patients are wanted.
        split: "train", "validation", "calibration", "test" or "all".

    Raises:
        InputError: the data set or the division cannot be used, or the split is empty.
    """
    config = DataConfig(source=name, folder=str(folder))  # type: ignore[arg-type]  # read_cohort checks the name
    cohort = read_cohort(name, folder, config.cbv)
    chosen = _of_split(cohort, config, splits, split)
    if not chosen:
        raise InputError(f"The split '{split}' has no patient of {name}.", "Choose another split.")
    excluded = [{"id": each.subject, "reason": each.reason} for each in cohort.excluded]
    return [DatasetCase(subject, config, folder) for subject in chosen], excluded


def _of_split(cohort: Cohort, config: DataConfig, splits: Path | None, split: str) -> list[Subject]:
    if split == EVERY:
        return list(cohort.subjects)
    if split not in SPLITS:
        raise InputError(f"The split '{split}' is unknown.", f"Choose {', '.join(SPLITS)} or {EVERY}.")
    if splits is None or not splits.is_file():
        raise InputError(
            "Which patients the models have not seen stands in the division of the training.",
            f"Give --splits FILE (splits.json of the training), or --split {EVERY} for models trained elsewhere.",
        )
    division = find_division(cohort, config, splits, seed=0)
    return [subject for subject in cohort.subjects if division.of.get(subject.patient) == split]
