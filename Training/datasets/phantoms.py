"""Simulated patients, made when they are needed; seed and grade say everything about them."""

from __future__ import annotations

from HierSynthLib.case import Case
from HierSynthLib.phantom import Phantom, make_phantom
from HierSynthLib.progress import Reporter
from Training.datasets.cohort import Cohort, Subject, Target
from Training.datasets.settings import DataConfig


def simulated_cohort(config: DataConfig, spacing_mm: tuple[float, ...]) -> tuple[Cohort, dict[str, str]]:
    """The simulated patients that the settings name, and the split of each by its identifier.

    Args:
        config: seeds, numbers and grades.
        spacing_mm: of the working grid; they are simulated at its finest edge.
    """
    subjects, splits = [], {}
    for split, seeds in config.seeds.items():
        for number, seed in enumerate(seeds):
            grade = config.grades[number % len(config.grades)]
            facts = {
                "seed": seed,
                "grade": grade,
                "spacing_mm": min(spacing_mm),
                "misalignment": config.misalignment,
            }
            name = f"phantom-{seed}-{grade}"
            case = Case(name, {}, simulated=True, facts=facts)
            subjects.append(Subject(name, name, case, Target("truth", "nrCBV", True, "true CBV"), group=grade))
            splits[name] = split
    return Cohort("phantoms", tuple(subjects), simulated=True, notes=("All patients are simulated.",)), splits


def simulate(subject: Subject, reporter: Reporter | None = None) -> Phantom:
    """The phantom of a subject of `simulated_cohort`. Three of ten have thick slices."""
    facts = subject.case.facts
    return make_phantom(
        facts["seed"],
        facts["grade"],
        spacing_mm=facts["spacing_mm"],
        misalignment=facts["misalignment"],
        thick_slices=None,
        dsc=False,
        reporter=reporter,
    )
