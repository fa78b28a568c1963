"""Where the patients of an evaluation come from: case folders, or phantoms made on the fly."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import SEQUENCES, Case, Role, load_case, require_usable
from HierSynthLib.commands.cohort import nameless
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.cohort.cohort import high_or_low
from HierSynthLib.phantom import GENERATOR_VERSION, make_phantom
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.preparation import PreparedCase, resample
from HierSynthLib.progress import Reporter
from HierSynthLib.synthesis.provenance import hash_input
from HierSynthLib.volume import Volume

Mask = NDArray[np.bool_]

_TARGET_ROLES = {"true": Role.CBV_TRUE, "acquired": Role.CBV_ACQUIRED}
# Tissue fractions that only a simulation knows.
TISSUES = ("grey_matter", "white_matter", "vessel")


class Target(Protocol):
    """The CBV map that the models shall find."""

    def on(self, case: PreparedCase, lesion: Mask, reporter: Reporter) -> tuple[NDArray[np.float32], Mask]:
        """Values (nrCBV) on the grid of a prepared case, and the voxels of the brain at which there is one.

        Args:
            case: the case on the grid of the measurement.
            lesion: (I, J, K) on the same grid.
            reporter: told about the progress.
        """


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A map whose place is known.

    Attributes:
        volume: in nrCBV.
        movement: (4, 4) maps a RAS point (mm) of the reference sequence to the point of the map; None for identity.
    """

    volume: Volume
    movement: NDArray[np.float64] | None

    def on(self, case: PreparedCase, lesion: Mask, reporter: Reporter) -> tuple[NDArray[np.float32], Mask]:
        """Resampled; beyond the map, and where it is not finite, there is no value."""
        grid = case.grid
        values = resample(
            self.volume.array.astype(np.float32),
            self.volume.affine,
            grid.shape,
            grid.affine,
            transform=self.movement,
            fill=math.nan,
        )
        known = case.brain & np.isfinite(values)
        return np.where(known, values, 0).astype(np.float32), known


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """The volumes of a patient in memory.

    Attributes:
        volumes: sequences and, where there, BRAIN and ROI.
        target: the CBV map (nrCBV) that the models shall find.
        target_name: "true" or "acquired".
        labels: names of the values in ROI.
        still: whether the sequences are known to lie in register.
        tissues: fractions (0–1) by name, see `TISSUES`; empty where nobody knows them.
        warnings: sentences.
    """

    volumes: dict[Role, Volume]
    target: Target
    target_name: str
    labels: dict[int, str]
    still: bool = False
    tissues: dict[str, Volume] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class CaseSource(Protocol):
    """An examination of a patient that can be loaded."""

    @property
    def id(self) -> str:
        """A neutral identifier."""

    @property
    def patient(self) -> str:
        """A neutral identifier of the patient, who may have several examinations."""

    @property
    def seed(self) -> int | None:
        """Of a simulated patient, where known: who was trained on is told by it."""

    @property
    def simulated(self) -> bool:
        """Whether it is a simulated patient."""

    @property
    def grade(self) -> str | None:
        """Grade "high" or "low" of the lesion, where known."""

    def key(self) -> str:
        """A hash of everything that decides the volumes."""

    def load(self, target: str, reporter: Reporter) -> LoadedCase:
        """Read or make the volumes; see `EvaluationSettings.target`."""

    def neutral(self, text: str) -> str:
        """A text without paths and names of folders, which may be those of a patient."""


@dataclass(frozen=True)
class Chosen:
    """Who shall be evaluated.

    Attributes:
        cases: the examinations.
        excluded: "id" and "reason" of those that cannot be used.
        warnings: sentences.
        division: of the data set, see `Training.datasets.splits.record_of`; empty for none.
        command: the choice in words, for evaluation.json.
    """

    cases: Sequence[CaseSource]
    excluded: Sequence[Mapping[str, str]] = ()
    warnings: Sequence[str] = ()
    division: Mapping[str, Any] = field(default_factory=dict)
    command: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FolderCase:
    """A case folder."""

    case: Case
    folder: Path
    known_as: str

    @property
    def id(self) -> str:
        """The identifier of the case."""
        return self.case.id

    @property
    def patient(self) -> str:
        """As the facts of case.json name it; otherwise the case is its own patient."""
        return str(self.case.facts.get("patient") or "") or self.case.id

    @property
    def seed(self) -> int | None:
        """As the facts of a simulated patient say."""
        found = self.case.facts.get("seed")
        return found if self.simulated and isinstance(found, int) else None

    @property
    def simulated(self) -> bool:
        """As case.json says."""
        return self.case.simulated

    @property
    def grade(self) -> str | None:
        """As the facts of a simulated patient say."""
        found = self.case.facts.get("grade")
        return high_or_low(found) if isinstance(found, str) else None

    def key(self) -> str:
        """Hash of the files that are read."""
        roles = [*SEQUENCES, Role.BRAIN, Role.ROI, *_TARGET_ROLES.values()]
        hashes = {str(role): file_hash(self.case.files[role]) for role in roles if role in self.case.files}
        facts = self.case.facts.get("transforms")
        return digest(["folder", hashes, {str(k): v for k, v in self.case.labels.items()}, facts, PREPARATION_VERSION])

    def load(self, target: str, reporter: Reporter) -> LoadedCase:
        """Read the volumes.

        Raises:
            InputError: there is no target, no sequence, or a volume cannot be used.
        """
        name = self._target(target)
        roles = [*SEQUENCES, Role.BRAIN, Role.ROI, _TARGET_ROLES[name]]
        volumes, problems = load_case(self.case, roles, reporter=reporter)
        require_usable(problems)
        return LoadedCase(
            volumes={role: volume for role, volume in volumes.items() if role != _TARGET_ROLES[name]},
            target=PlacedMap(
                volumes[_TARGET_ROLES[name]],
                recorded_movement(self.case.facts, _TARGET_ROLES[name], volumes) if self.simulated else None,
            ),
            target_name=name,
            labels=dict(self.case.labels),
            warnings=tuple(str(problem) for problem in problems),
        )

    def neutral(self, text: str) -> str:
        """Without the folder's name."""
        return nameless(text, self.folder, self.known_as, self.id)

    def _target(self, wanted: str) -> str:
        order = ("true", "acquired") if wanted == "auto" else (wanted,)
        found = next((name for name in order if _TARGET_ROLES[name] in self.case.files), None)
        if found is None:
            missing = " or ".join(str(_TARGET_ROLES[name]) for name in order)
            raise InputError(f"The case {self.id} has no {missing} to compare with.", "Add the map, or leave it out.")
        return found


@dataclass(frozen=True)
class PhantomCase:
    """A simulated patient that is made when it is needed, and never written.

    Attributes:
        seed, lesion, spacing_mm: see `make_phantom`.
        moved: whether the patient moves between the sequences and the brain mask has to be found, as in a case of a
            user. Otherwise the sequences lie in register and the true mask is given, as in training.
        thick_slices: as in training, three of ten have thick slices (None); or none has (False).
    """

    seed: int
    lesion: str
    spacing_mm: float
    moved: bool = False
    thick_slices: bool | None = None

    @property
    def id(self) -> str:
        """As `write_phantom` names it."""
        return f"phantom-{self.lesion}-{self.seed}"

    @property
    def patient(self) -> str:
        """The seed is the person, the grade only the lesion."""
        return f"phantom-{self.seed}"

    @property
    def simulated(self) -> bool:
        """Always."""
        return True

    @property
    def grade(self) -> str | None:
        """Of the lesion."""
        return high_or_low(self.lesion)

    def key(self) -> str:
        """Hash of the seed and of the versions that decide how it looks."""
        own = [self.seed, self.lesion, self.spacing_mm, self.moved, self.thick_slices]
        return digest(["phantom", *own, GENERATOR_VERSION, PREPARATION_VERSION])

    def load(self, target: str, reporter: Reporter) -> LoadedCase:
        """Simulate the patient."""
        name = "true" if target == "auto" else target
        made = make_phantom(
            self.seed,
            self.lesion,
            spacing_mm=self.spacing_mm,
            misalignment=self.moved,
            thick_slices=self.thick_slices,
            dsc=name == "acquired",
            reporter=reporter,
        )
        volumes = dict(made.volumes)
        found = volumes[_TARGET_ROLES[name]]
        for role in (*_TARGET_ROLES.values(), *([Role.BRAIN] if self.moved else [])):
            volumes.pop(role, None)
        affine = made.volumes[Role.ROI].affine  # that of the reference grid
        return LoadedCase(
            volumes=volumes,
            target=PlacedMap(found, recorded_movement(made.facts, _TARGET_ROLES[name], volumes)),
            target_name=name,
            labels=dict(made.labels),
            still=not self.moved,
            tissues={tissue: Volume(made.truth[tissue], affine, "") for tissue in TISSUES},
        )

    def neutral(self, text: str) -> str:
        """As it is: a simulated patient has no name."""
        return text


def recorded_movement(
    facts: Mapping[str, Any], role: Role, volumes: Mapping[Role, Volume]
) -> NDArray[np.float64] | None:
    """From the position of the reference sequence to that of a map, by the simulation's own record; None for none."""
    record = facts.get("transforms")
    if not isinstance(record, Mapping):
        return None
    reference = next((str(each) for each in SEQUENCES if each in volumes), "")
    try:
        there, here = (np.array(record.get(str(name), np.eye(4)), dtype=np.float64) for name in (role, reference))
        return np.asarray(there @ np.linalg.inv(here))
    except (ValueError, np.linalg.LinAlgError) as error:
        raise InputError(
            f"The record of the movement ('transforms') is damaged: {error}.", "Write it again."
        ) from error


def open_folders(folders: Sequence[Path]) -> tuple[list[FolderCase], list[dict[str, str]]]:
    """The cases of some folders, and "id" and "reason" of those that cannot be read.

    Raises:
        InputError: two have the same identifier, so that their rows could not be told apart.
    """
    from HierSynthLib.fidelity.report.subject import open_case

    found: list[FolderCase] = []
    excluded = []
    for number, folder in enumerate(folders, start=1):
        try:
            case, known_as = open_case(folder, otherwise=f"case {number}")
        except InputError as error:
            name = f"case {number}"
            excluded.append({"id": name, "reason": nameless(str(error), folder, folder.name, name)})
            continue
        if case.id in [each.id for each in found]:
            raise InputError(f"The identifier {case.id!r} stands in two case folders.", "Give each its own.")
        found.append(FolderCase(case, folder, known_as))
    return found, excluded


def phantoms(
    seeds: Sequence[int], spacing_mm: float, grades: Sequence[str], *, moved: bool = False, thin: bool = False
) -> list[PhantomCase]:
    """Simulated patients of these seeds, the grades in turn; see `PhantomCase`."""
    thick = False if thin else None
    return [PhantomCase(seed, grades[n % len(grades)], spacing_mm, moved, thick) for n, seed in enumerate(seeds)]


def digest(parts: object) -> str:
    """SHA-256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file or of a folder of files.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return hash_input(path)
    except OSError as error:  # without the path, which may hold a patient's name
        raise InputError(f"A file of the case cannot be read: {error.strerror}.", "Check the case folder.") from error
