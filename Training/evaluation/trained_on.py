"""What a model package says about the patients that it has seen, and whether an evaluation would look at them again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from HierSynthLib.errors import InputError
from HierSynthLib.synthesis.package import METADATA
from Training.config import read_config
from Training.config_file import build
from Training.datasets.settings import SPLITS, DataConfig, Source

if TYPE_CHECKING:
    from Training.evaluation.cases import CaseSource
    from Training.evaluation.predictor import Method

SETTINGS = "docs/training.json"
TEST, EVERY = "test", "all"
"""The only split that no training has looked at; and, instead of a split, all patients of a data set."""

_SEEN = tuple(split for split in SPLITS if split != TEST)
# What decides who is evaluated against which map; the rest of `DataConfig` is about preparation and training.
_DECISIVE = ("cbv", "te_s", "tr_s", "folds", "fold", "exclude")


@dataclass(frozen=True)
class TrainedOn:
    """What a package says of its data.

    Attributes:
        data: settings of the data, without folders; None where it does not tell, or in a way that is not understood.
        division: who was for what without naming anybody, see `Training.datasets.splits.record_of`; empty where
            unknown.
    """

    data: DataConfig | None = None
    division: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cohort(self) -> str:
        """Name of the data set; "" where unknown."""
        return str(self.division.get("cohort") or (self.data.source if self.data else ""))

    @property
    def seeds(self) -> dict[str, range]:
        """Seeds of simulated patients by split; empty where there are none or they are unknown."""
        recorded = self.division.get("seeds")
        if isinstance(recorded, Mapping):
            return {name: range(*ends) for name, ends in recorded.items()}
        return self.data.seeds if self.data is not None and self.data.source == "phantoms" else {}


def read_trained_on(folder: Path) -> TrainedOn:
    """Read it from a package whose files have been verified; what is missing or not understood stays unknown."""
    block = json.loads((folder / METADATA).read_text("utf-8")).get("hiersynth", {})
    division = block.get("division") if isinstance(block, dict) else None
    data = None
    try:
        settings = json.loads((folder / SETTINGS).read_text("utf-8"))
        data = build(DataConfig, settings.get("data"), SETTINGS)
    except (OSError, ValueError, AttributeError, InputError):
        pass  # made elsewhere, or by a version whose settings were others
    return TrainedOn(data, division if isinstance(division, dict) else {})


def data_settings(
    name: str, folder: Path, methods: Sequence[Method], config: Path | None = None, fold: int | None = None
) -> DataConfig:
    """The settings with which a data set is read: those that the models were trained with.

    Args:
        name: of the data set.
        folder: where it lies.
        methods: the models; those that were trained on other data have no say.
        config: a training configuration that is taken instead of what the packages say.
        fold: of a cross-validation, instead of the one that the settings name.

    Raises:
        InputError: the models were trained with different settings, or there is no such fold.
    """
    if config is not None:
        found = read_config(config, {"data": {"source": name, "folder": str(folder)}}).data
    else:
        told = [
            (method.name, model.trained_on.data)
            for method in methods
            for model in method.trainings
            if model.trained_on.data is not None and model.trained_on.cohort == name
        ]
        agreed = _agreed([(who, data) for who, data in told if data is not None])
        found = replace(agreed, source=cast(Source, name), folder=str(folder), splits="")
    if fold is not None:
        if not 0 <= fold < found.folds:
            raise InputError(f"There is no fold {fold}: the settings have {found.folds} folds.", "Count from 0.")
        found = replace(found, fold=fold)
    return found


def _agreed(told: Sequence[tuple[str, DataConfig]]) -> DataConfig:
    first = told[0] if told else ("", DataConfig())
    for who, data in told[1:]:
        for entry in fields(DataConfig):
            one, other = getattr(first[1], entry.name), getattr(data, entry.name)
            if entry.name in _DECISIVE and one != other:
                raise InputError(
                    f"'{first[0]}' was trained with data.{entry.name} = {one!r}, '{who}' with {other!r}.",
                    "Evaluate them apart, or say with --config FILE which settings hold for all.",
                )
    return first[1]


def require_unseen(
    methods: Sequence[Method], cases: Iterable[CaseSource], division: Mapping[str, Any], split: str
) -> list[str]:
    """Refuse patients that a model has been trained with.

    Args:
        methods: the models.
        cases: that shall be evaluated; simulated ones are known by their seeds.
        division: record of the division from which patients of a data set are taken; empty for none.
        split: that was asked for; only for "test" it matters that nobody has been seen.

    Returns:
        Warnings.

    Raises:
        InputError: a model has another division of the same data set, or has seen a simulated patient.
    """
    given = list(cases)
    seeds = sorted({case.seed for case in given if case.seed is not None})
    warnings = []
    for method in methods:
        for model in method.trainings:
            trained = model.trained_on
            if given and not trained.cohort:
                warnings.append(
                    f"{method.name}: the package does not say on whom it was trained; whether it has seen these "
                    "patients is not checked."
                )
            elif trained.cohort == division.get("cohort"):
                warnings += _division_warnings(method.name, trained, division, split)
            used = _used(trained, seeds)
            if used and split == TEST:
                raise InputError(
                    f"'{method.name}' has seen simulated patients of these seeds: {used}.",
                    "Choose another --first-seed, or --split-of MODEL for those that it has kept apart.",
                )
            if used:
                warnings.append(f"{method.name} has seen simulated patients of these seeds: {used}.")
    return list(dict.fromkeys(warnings))


def _division_warnings(name: str, trained: TrainedOn, division: Mapping[str, Any], split: str) -> list[str]:
    if split != TEST:
        return [f"{name}: patients that it was trained with may be among these (split '{split}')."]
    if "seen" not in trained.division:
        return [f"{name}: the package does not record its division; whether it fits that file is not checked."]
    if trained.division["seen"] != division.get("seen"):
        raise InputError(
            f"'{name}' was trained with another division of {trained.cohort} than that of --splits: it may have seen "
            "these patients.",
            "Give the splits.json of its own run (and its --fold), or evaluate it by itself.",
        )
    return []


def _used(trained: TrainedOn, seeds: Sequence[int]) -> str:
    """Words on the splits in which some of these seeds were; "" for none."""
    found = []
    for split in _SEEN:
        own = [seed for seed in seeds if seed in trained.seeds.get(split, range(0))]
        if own:
            found.append(f"{own[0]}{f' and {len(own) - 1} more' if len(own) > 1 else ''} ({split})")
    return ", ".join(found)


def held_out(trained: TrainedOn, split: str, count: int) -> tuple[range, tuple[str, ...], bool]:
    """The simulated patients of a split of a training: seeds, grades in turn, and whether they move.

    Args:
        trained: of the package.
        split: which.
        count: how many; 0 for as many as the training had.

    Raises:
        InputError: the model was not trained on simulated patients, or does not say on which.
    """
    if trained.data is None or trained.data.source != "phantoms":
        raise InputError("--split-of: this model does not say on which simulated patients it was trained.", "")
    if split not in SPLITS:
        raise InputError(f"The split '{split}' is unknown.", f"Choose {', '.join(SPLITS)}.")
    own = trained.seeds[split]
    seeds = range(own.start, own.start + (count or len(own)))
    return seeds, trained.data.grades, trained.data.misalignment
