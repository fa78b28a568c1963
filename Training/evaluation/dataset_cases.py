"""Patients of a data set that the training knows, with the map that the training would learn from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import REFERENCE_LABEL, Role
from HierSynthLib.commands.cohort import nameless
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.cohort.cohort import high_or_low
from HierSynthLib.perfusion import VERSION as PERFUSION_VERSION
from HierSynthLib.perfusion.reading import sidecar_of
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.preparation import PreparedCase
from HierSynthLib.progress import Reporter
from Training.datasets.cohort import Cohort, Subject, read_cohort
from Training.datasets.reading import Loaded, load_subject
from Training.datasets.settings import SPLITS, DataConfig
from Training.datasets.splits import Division, find_division
from Training.datasets.target import make_cbv
from Training.evaluation.cases import Chosen, LoadedCase, digest, file_hash
from Training.evaluation.trained_on import EVERY


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
    def patient(self) -> str:
        """As the data set has it: splits and statistics count patients, not examinations."""
        return self.subject.patient

    @property
    def seed(self) -> int | None:
        """As the facts of a simulated patient say."""
        found = self.subject.case.facts.get("seed")
        return found if self.simulated and isinstance(found, int) else None

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
        case, target = self.subject.case, self.subject.target
        files = {str(role): path for role, path in case.files.items()} | self.subject.extra
        rules: list[Any] = [dataclasses.asdict(target), self.subject.diffusion]
        if target.rule == "dsc":
            rules += [self.config.te_s, self.config.tr_s, PERFUSION_VERSION]
            beside = sidecar_of(case.files[Role.DSC])
            files |= {"beside DSC": beside} if beside.is_file() else {}
        hashes = {name: file_hash(path) for name, path in files.items()}
        labels = {str(value): name for value, name in case.labels.items()}
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


def dataset_cases(config: DataConfig, splits: Path | None, split: str) -> Chosen:
    """The examinations of one split of a data set.

    Args:
        config: names the data set and its folder; which CBV map, who is left out, which fold.
        splits: the file in which the training has kept its division; needed unless all patients are wanted.
        split: "train", "validation", "calibration", "test" or "all".

    Raises:
        InputError: the data set or the division cannot be used, or the split is empty.
    """
    folder = Path(config.folder)
    whole = read_cohort(config.source, folder, config.cbv)
    cohort = whole.without(config.exclude)
    division = _division(whole, config, splits, split)
    chosen = [each for each in cohort.subjects if split == EVERY or division.of.get(each.patient) == split]
    if not chosen:
        raise InputError(f"The split '{split}' has no patient of {config.source}.", "Choose another split.")
    excluded = [{"id": each.subject, "reason": each.reason} for each in cohort.excluded]
    words = {"data": config.source, "split": split, "cbv": config.cbv, "excluded by the settings": len(config.exclude)}
    words |= {"fold": f"{config.fold} of {config.folds}"} if config.folds else {}
    cases = [DatasetCase(subject, config, folder) for subject in chosen]
    return Chosen(cases, excluded, division.warnings, division.record, words)


def _division(cohort: Cohort, config: DataConfig, splits: Path | None, split: str) -> Division:
    if split == EVERY:
        return Division({}, record={"cohort": cohort.name})
    if split not in SPLITS:
        raise InputError(f"The split '{split}' is unknown.", f"Choose {', '.join(SPLITS)} or {EVERY}.")
    if splits is None or not splits.is_file():
        raise InputError(
            "Which patients the models have not seen stands in the division of the training.",
            f"Give --splits FILE (splits.json of the training's folder), or --split {EVERY} for models trained "
            "elsewhere.",
        )
    return find_division(cohort, config, splits)
