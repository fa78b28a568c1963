"""A cohort: its subjects, what is missing in them, and who belongs together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Literal

from HierSynthLib.case import SEQUENCES, Case, Role
from HierSynthLib.errors import InputError
from Training.datasets.settings import SOURCES

Normalisation = Literal["nrCBV", "white matter"]


@dataclass(frozen=True)
class Target:
    """Where a subject's CBV comes from and what its values are.

    Attributes:
        rule: "truth" (simulated), "map" (the file of CBV_ACQUIRED), "dsc" (computed from the file of DSC) or "none".
        normalisation: "nrCBV" where normal-appearing white matter is 1 already; "white matter" where the map shall be
            divided by its mean there.
        registered: whether the map lies on the anatomy already, by the data set's description; otherwise it is
            registered.
        words: what the data set says of its map, for the report.
    """

    rule: Literal["truth", "map", "dsc", "none"]
    normalisation: Normalisation = "white matter"
    registered: bool = False
    words: str = ""


@dataclass(frozen=True)
class Subject:
    """One examination of a patient.

    Attributes:
        id: identifier of the examination, unique in the cohort and fit for a file name.
        patient: identifier of the patient: examinations with the same one stay in the same split.
        case: the files by role, their units and the names of the ROI's labels.
        target: the CBV map to be learnt.
        group: grade or diagnosis, where known: splits are balanced by it.
        site: where or by which scanner it was acquired, where known: splits are balanced by it.
        diffusion: "ADC" where that file is a map of the apparent diffusion coefficient; "trace" where it is the sum of
            the eigenvalues of the diffusion tensor, which is divided by 3.
        extra: further files: "AD" and "RD" (axial and radial diffusivity), by which a trace is recognised.
        absent: what the data set could have but this examination has not, as sentences.
    """

    id: str
    patient: str
    case: Case
    target: Target
    group: str = ""
    site: str = ""
    diffusion: Literal["ADC", "trace"] = "ADC"
    extra: dict[str, Path] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def stratum(self) -> tuple[str, str]:
        """What splits are balanced by."""
        return self.group, self.site


@dataclass(frozen=True)
class Exclusion:
    """An examination that is not used, and why (one sentence)."""

    subject: str
    reason: str


@dataclass(frozen=True)
class Cohort:
    """The subjects of a data set.

    Attributes:
        name: one of `SOURCES`.
        subjects: in the order of their identifiers.
        excluded: what was found but cannot be used.
        simulated: whether all are simulated.
        notes: sentences on the whole data set, for the report.
        expected: sequences that an examination of this data set normally has.
    """

    name: str
    subjects: tuple[Subject, ...]
    excluded: tuple[Exclusion, ...] = ()
    simulated: bool = False
    notes: tuple[str, ...] = ()
    expected: tuple[Role, ...] = SEQUENCES

    @classmethod
    def of(
        cls,
        name: str,
        found: Iterable[Subject | Exclusion],
        notes: Sequence[str] = (),
        expected: tuple[Role, ...] = SEQUENCES,
    ) -> Cohort:
        """The cohort of what an adapter found."""
        entries = list(found)
        subjects = tuple(entry for entry in entries if isinstance(entry, Subject))
        excluded = tuple(entry for entry in entries if isinstance(entry, Exclusion))
        simulated = bool(subjects) and all(subject.case.simulated for subject in subjects)
        return cls(name, subjects, excluded, simulated, tuple(notes), expected)

    def gaps(self) -> list[str]:
        """Sentences on sequences that most examinations lack although the data set has them.

        A folder that is called otherwise than the adapter expects looks like this.
        """
        read = [subject for subject in self.subjects if subject.case.files]
        counts = {role: sum(role not in subject.case.files for subject in read) for role in self.expected}
        return [
            f"{role} is absent in {count} of {len(read)} examinations: compare the folders with the layout in "
            "docs/datasets.md. A model that is trained so cannot make use of it."
            for role, count in counts.items()
            if count > len(read) / 2
        ]

    def without(self, names: Sequence[str]) -> Cohort:
        """The cohort without some patients or examinations, which are then among the excluded.

        Raises:
            InputError: a name is unknown.
        """
        known = {subject.id for subject in self.subjects} | {subject.patient for subject in self.subjects}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(
                f"exclude: '{unknown[0]}' is neither a patient nor an examination of {self.name}.", "Check the name."
            )
        left = tuple(s for s in self.subjects if s.id not in names and s.patient not in names)
        gone = tuple(Exclusion(s.id, "Excluded by the configuration.") for s in self.subjects if s not in left)
        return replace(self, subjects=left, excluded=self.excluded + gone)


Finder = Callable[[Path, str], Cohort]


def read_cohort(name: str, folder: Path, cbv: str = "map") -> Cohort:
    """Find the subjects of a data set by its layout; no volume is read.

    Args:
        name: one of `SOURCES` except "phantoms".
        folder: where it lies.
        cbv: "map" or "dsc", see `DataConfig`.

    Raises:
        InputError: the name is unknown, there is no such folder, or no subject in it.
    """
    if name not in SOURCES or name == "phantoms":
        raise InputError(f"The data set '{name}' is unknown.", f"Choose one of {', '.join(SOURCES[1:])}.")
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", f"Name the folder of the data set {name}.")
    module = import_module(f"Training.datasets.{name.replace('-', '_')}")
    find: Finder = module.find
    cohort = find(folder, cbv)
    if not cohort.subjects:
        why = f" ({cohort.excluded[0].subject}: {cohort.excluded[0].reason})" if cohort.excluded else ""
        raise InputError(
            f"{folder} holds no subject of {name} that can be used{why}.",
            f"Its layout should be: {module.LAYOUT} See docs/datasets.md.",
        )
    return cohort
