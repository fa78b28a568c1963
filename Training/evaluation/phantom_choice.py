"""Which phantoms an evaluation makes: of seeds that no training has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.synthesis.package import find_model, verify_model
from Training.datasets.settings import GRADES
from Training.evaluation.cases import PhantomCase, phantoms
from Training.evaluation.predictor import Method
from Training.evaluation.trained_on import TEST, held_out, read_trained_on

FIRST_SEED = 9_000_000
"""Far from the seeds of shipped configurations, and from those with which the methods were designed."""

USUAL_GRADES: tuple[str, ...] = ("high", "low")
"""Every patient has a lesion, and grading has both classes."""

_FINEST, _COARSEST = 0.8, 6.0


@dataclass(frozen=True)
class PhantomOptions:
    """Phantoms as they are asked for on the command line.

    Attributes:
        count: 0 for none, or, with `split_of`, for as many as the training had.
        split_of: model whose held-out patients they shall be.
        split: which of its splits.
        first_seed: None for `FIRST_SEED`.
        spacing_mm: voxel size; None for the finest of the models'.
        grades: separated by commas; None for `USUAL_GRADES`, or those of the model.
        moved, thin: see `PhantomCase`.
    """

    count: int = 0
    split_of: str | None = None
    split: str = TEST
    first_seed: int | None = None
    spacing_mm: float | None = None
    grades: str | None = None
    moved: bool = False
    thin: bool = False


def choose_phantoms(options: PhantomOptions, methods: Sequence[Method]) -> tuple[list[PhantomCase], dict[str, Any]]:
    """The simulated patients, and the choice in words for evaluation.json.

    Raises:
        InputError: an option is unknown or out of range, or options contradict each other.
        ModelError: from `split_of`.
    """
    if not options.count and options.split_of is None:
        return [], {}
    first = FIRST_SEED if options.first_seed is None else options.first_seed
    seeds, grades, moved = range(first, first + options.count), USUAL_GRADES, False
    if options.split_of is not None:
        if options.first_seed is not None:
            raise InputError("--split-of and --first-seed contradict each other.", "Give one of them.")
        trained = read_trained_on(verify_model(find_model(options.split_of)).folder)
        seeds, grades, moved = held_out(trained, options.split, options.count)
    if options.grades is not None:
        grades = tuple(grade.strip() for grade in options.grades.split(",") if grade.strip())
        if not grades or not set(grades) <= set(GRADES):
            raise InputError(f"--phantom-grades {options.grades!r} is not known.", "Give a list of high, low and none.")
    models = [model for method in methods for model in method.trainings]
    spacing = options.spacing_mm or min(min(model.spacing_mm) for model in models)
    if not _FINEST <= spacing <= _COARSEST:
        raise InputError(f"--spacing {spacing:g} is out of range.", f"Choose {_FINEST:g} to {_COARSEST:g} mm.")
    moved = moved or options.moved
    words = {
        "phantoms": len(seeds),
        "seeds": f"{seeds.start} to {seeds.stop - 1}",
        "spacing": f"{spacing:g} mm",
        "grades": ",".join(grades),
        "moved": moved,
        "thick slices": "none" if options.thin else "three of ten, as in training",
    }
    return phantoms(seeds, spacing, grades, moved=moved, thin=options.thin), words
