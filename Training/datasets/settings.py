"""The settings of the data: which patients, how many, how they are divided."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from HierSynthLib.errors import InputError

Source = Literal["phantoms", "case-folders", "upenn-gbm", "brain-tumor-progression", "ucsf-pdgm", "isles", "bids"]
SOURCES: tuple[str, ...] = get_args(Source)
"""Names of the data sets; the modules of this package have the same names with underscores."""

SPLITS = ("train", "validation", "calibration", "test")
"""What patients are for: weights; choice of the best checkpoint; width of the uncertainty; figures to be reported."""

CbvRule = Literal["map", "dsc"]
GRADES = ("high", "low", "none")
_SEED_BLOCK = 10_000


@dataclass(frozen=True)
class DataConfig:
    """Which patients are used.

    Attributes:
        source: one of `SOURCES`.
        folder: where the data set lies; not used for phantoms.
        cbv: "map" takes the CBV map of the data set, "dsc" computes it from the DSC series.
        te_s: echo time in s of DSC series that do not state it; 0 where they do.
        tr_s: time between frames in s, likewise.
        shares: of the patients for train, validation, calibration and test; they add up to 1.
        folds: number of folds for cross-validation, each of which is the test set once; 0 for none.
        fold: which fold is tested, from 0.
        division_seed: of the division of the patients; apart from `TrainingConfig.seed`, so that trainings with
            different seeds test the same patients.
        splits: file of the division; empty for that of the run, or one beside the prepared patients.
        exclude: identifiers of patients or sessions to be left out.
        phantoms: number of simulated patients to train on; their seeds are `first_seed`, `first_seed` + 1, …
        validation: number of further simulated patients.
        calibration: number of further simulated patients.
        test: number of further simulated patients.
        first_seed: seed of the first patient to train on.
        held_out_seed: seed of the first validation patient; calibration starts 10 000 later, test 20 000 later, so that
            they stay the same when the number of training patients changes.
        grades: lesion grades of simulated patients, taken in turn.
        misalignment: whether simulated patients move between the sequences, which are then registered.
    """

    source: Source = "phantoms"
    folder: str = ""
    cbv: CbvRule = "map"
    te_s: float = 0.0
    tr_s: float = 0.0
    shares: tuple[float, ...] = (0.7, 0.1, 0.1, 0.1)
    folds: int = 0
    fold: int = 0
    division_seed: int = 1
    splits: str = ""
    exclude: tuple[str, ...] = ()
    phantoms: int = 48
    validation: int = 4
    calibration: int = 4
    test: int = 4
    first_seed: int = 10_000
    held_out_seed: int = 1_000_000
    grades: tuple[str, ...] = ("high", "low", "high", "none")
    misalignment: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Number of simulated patients in each split."""
        return dict(zip(SPLITS, (self.phantoms, self.validation, self.calibration, self.test), strict=True))

    @property
    def seeds(self) -> dict[str, range]:
        """Seeds of the simulated patients in each split."""
        starts = (self.first_seed, *(self.held_out_seed + n * _SEED_BLOCK for n in range(3)))
        return {
            name: range(start, start + count) for (name, count), start in zip(self.counts.items(), starts, strict=True)
        }

    def check(self, where: str) -> None:
        """Refuse what cannot be meant.

        Args:
            where: the file and section, for the message.

        Raises:
            InputError: a value is unknown or out of range.
        """
        if self.source == "phantoms":
            self._check_phantoms(where)
            return
        if not self.folder:
            raise InputError(f"{where}: folder: missing.", f"Name the folder of the data set {self.source}.")
        if len(self.shares) != len(SPLITS) or not math.isclose(sum(self.shares), 1.0, abs_tol=1e-6):
            raise InputError(f"{where}: shares: four numbers that add up to 1 expected.", "E.g. [0.7, 0.1, 0.1, 0.1].")
        if self.folds == 1 or (self.folds and self.fold >= self.folds):
            raise InputError(f"{where}: fold {self.fold} of {self.folds} does not exist.", "Count folds from 0.")

    def _check_phantoms(self, where: str) -> None:
        if self.phantoms < 1:
            raise InputError(f"{where}: phantoms: at least 1 patient to train on is needed.", "Correct the value.")
        unknown = [grade for grade in self.grades if grade not in GRADES]
        if unknown or not self.grades:
            raise InputError(
                f"{where}: grades: '{', '.join(unknown)}' is unknown.", f"Choose from {', '.join(GRADES)}."
            )
        ranges = [seeds for seeds in self.seeds.values() if len(seeds)]
        overlap = any(a.start < b.stop and b.start < a.stop for n, a in enumerate(ranges) for b in ranges[:n])
        if overlap:
            raise InputError(
                f"{where}: the seeds of training and held-out patients overlap.",
                f"Keep held_out_seed far above first_seed, and at most {_SEED_BLOCK} patients in each held-out split.",
            )
