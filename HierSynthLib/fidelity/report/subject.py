"""What of a case is measured: its maps, its regions, and where the synthetic maps come from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.case import REFERENCE_LABEL, SEQUENCES, Case, Role
from HierSynthLib.case.folder import FILE_NAME
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.shapes import Labels, Region
from HierSynthLib.volume import read_volume

ACQUIRED, TRUE, SYNTHETIC = "acquired", "true", "synthetic"
WHOLE_LESION = "Whole lesion"
REFERENCE_NAME = "NAWM reference"
AUTOMATIC = "auto"

OTHERS = (*SEQUENCES, Role.T1CE, Role.ASL)
"""The volumes on which the same regions can be measured."""

_USUAL = (*SEQUENCES, Role.T1CE)  # ASL may be a series over time

# matplotlib leaves what begins with an underscore out of legends.
_NAME = re.compile(r"[^\W_][\w .()+-]{0,39}")
_MOST_LABELS = 64


@dataclass(frozen=True)
class SyntheticMap:
    """A map that is judged.

    Attributes:
        name: short, unique among the maps of a measurement.
        path: of its file.
        run: contents of the run.json that came with it, or None.
        uncertainty, brain: files of the same synthesis, or None.
    """

    name: str
    path: Path
    run: Mapping[str, Any] | None = None
    uncertainty: Path | None = None
    brain: Path | None = None

    @property
    def reference(self) -> str | None:
        """The sequence on whose grid it lies, where it is known."""
        role = (self.run or {}).get("reference")
        return role if role in list(Role) else None

    def called(self, identifier: str, known_as: str) -> SyntheticMap:
        """The map whose run.json has the neutral identifier of a case instead of the name of its folder."""
        if self.run is None or self.run.get("case") != known_as:
            return self
        return replace(self, run={**self.run, "case": identifier})

    @property
    def simulated(self) -> bool:
        """Whether it was made of a simulated patient."""
        return (self.run or {}).get("simulated") is True


@dataclass(frozen=True)
class Choices:
    """What the user chose; the same for all patients of a cohort.

    Attributes:
        acquired: file of the acquired map instead of the case's.
        roi: label map instead of the case's.
        reference: name or number of the reference's label, or `AUTOMATIC`.
        also: roles to measure too; None takes the sequences and T1CE, as far as the case has them.
    """

    acquired: Path | None = None
    roi: Path | None = None
    reference: str = AUTOMATIC
    also: tuple[Role, ...] | None = None


@dataclass(frozen=True)
class Subject:
    """A patient whose maps are measured.

    Attributes:
        case: the patient's volumes.
        synthetic: the maps that are judged, at least one.
        acquired: what they are compared with, by name: "acquired" and, for simulated patients, "true".
        own_acquired: whether the acquired map is the one of the case.
        others: the patient's other volumes, by which the reference is suggested and the pictures are drawn.
        measured: those of them on which the same regions are measured.
        lesions: the lesion's regions.
        reference: the NAWM that a label marks; None where it has to be suggested.
        roi: the label map, or None.
        brain: file of a brain mask, or None.
        warnings: sentences.
    """

    case: Case
    synthetic: tuple[SyntheticMap, ...]
    acquired: dict[str, Path]
    own_acquired: bool
    others: dict[Role, Path]
    measured: tuple[Role, ...]
    lesions: tuple[Region, ...]
    reference: Region | None
    roi: Path | None
    brain: Path | None
    warnings: tuple[str, ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether the patient is simulated, by its case.json or by the run.json of a map."""
        return self.case.simulated or any(each.simulated for each in self.synthetic)

    @property
    def space(self) -> Role | None:
        """The sequence in whose space the measuring happens: that of the first synthetic map."""
        known = self.synthetic[0].reference
        if known is not None:
            return Role(known)
        return next((role for role in SEQUENCES if role in self.case.files), None)


def open_case(folder: Path, otherwise: str) -> tuple[Case, str]:
    """A case under a neutral identifier.

    Args:
        folder: of the case.
        otherwise: identifier of a case without case.json, whose folder may have a patient's name.

    Returns:
        The case, and the identifier by which the user knows it: that of its case.json, else the name of its folder.

    Raises:
        InputError: it cannot be read.
    """
    case = Case.open(folder)
    described = not Path(folder).is_dir() or (Path(folder) / FILE_NAME).exists()
    return case if described else replace(case, id=otherwise), case.id


def describe_subject(case: Case, synthetic: Sequence[SyntheticMap], choices: Choices) -> Subject:
    """Collect what is there of a case and of the maps that are judged.

    Raises:
        InputError: a file is missing, the label map cannot be used, or the reference's label does not exist.
    """
    acquired = {ACQUIRED: choices.acquired or case.files.get(Role.CBV_ACQUIRED), TRUE: case.files.get(Role.CBV_TRUE)}
    given = {name: Path(path) for name, path in acquired.items() if path is not None}
    measured = _wanted(case, choices.also)
    others = {role: Path(case.files[role]) for role in OTHERS if role in measured or role in _usual(case)}
    roi = choices.roi or case.files.get(Role.ROI)
    brain = next((each.brain for each in synthetic if each.brain), None) or case.files.get(Role.BRAIN)
    masks = {Role.ROI: roi, Role.BRAIN: brain}
    _require_files(
        given
        | {str(role): path for role, path in others.items()}
        | {str(role): Path(path) for role, path in masks.items() if path is not None}
    )
    lesions, reference = _regions(case, None if roi is None else Path(roi), choices.reference)
    return Subject(
        case=case,
        synthetic=tuple(synthetic),
        acquired=given,
        own_acquired=choices.acquired is None,
        others=others,
        measured=tuple(measured),
        lesions=lesions,
        reference=reference,
        roi=None if roi is None else Path(roi),
        brain=brain,
        warnings=tuple(_warnings(synthetic, lesions, brain)),
    )


def parse_names(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Name and path of each `[NAME=]PATH`; a single map without a name is "synthetic".

    Raises:
        InputError: a name is not plain, missing among several, given twice, or one that the measurement uses itself.
    """
    found: list[tuple[str, str]] = []
    for argument in arguments:
        name, sign, path = argument.partition("=")
        if not sign or "/" in name or "\\" in name or Path(argument).exists():
            name, path = "", argument
        if name and not _NAME.fullmatch(name):
            raise InputError(
                f"--synthetic: {name!r} is no name of a map.",
                "Use up to 40 letters, digits, spaces; begin with a letter or digit.",
            )
        if not path:
            raise InputError(
                f"--synthetic {argument!r} names no file.", "Give NAME=PATH, for example global=map.nii.gz."
            )
        found.append((name, path))
    if len(found) > 1 and not all(name for name, _ in found):
        raise InputError("Several synthetic maps are given without names.", "Give each as NAME=PATH.")
    named = [(name or SYNTHETIC, path) for name, path in found]
    taken = [ACQUIRED, TRUE, *map(str, Role)]
    for number, (name, _) in enumerate(named):
        if name in taken or name.endswith(" uncertainty"):
            raise InputError(f"--synthetic: the name {name!r} has another meaning.", "Choose another name.")
        if name in [other for other, _ in named[:number]]:
            raise InputError(f"--synthetic: the name {name!r} is given twice.", "Give each map its own name.")
    return named


def open_synthetic(name: str, path: Path) -> SyntheticMap:
    """A map by its file, by the folder of its DICOM series, or by the folder of the synthesis that made it.

    A file that lies beside the run.json that lists it brings its provenance along.

    Raises:
        InputError: it does not exist, or the folder's run.json cannot be used.
    """
    path = Path(path).absolute()
    if not path.exists():
        raise InputError(f"Synthetic map {name!r}: {path} does not exist.", "Check the name and the folder.")
    if path.is_dir():
        if not (path / "run.json").exists():
            return SyntheticMap(name, path)
        run = _read_run(path / "run.json")
        files = _outputs(path, run)
        if SYNTHETIC not in files:
            raise InputError(f"{path / 'run.json'} names no synthetic map.", "Give the folder of a finished synthesis.")
        return SyntheticMap(name, files[SYNTHETIC], run, files.get("uncertainty"), files.get("brain"))
    try:
        run = _read_run(path.with_name("run.json"))
    except InputError:
        return SyntheticMap(name, path)
    files = _outputs(path.parent, run)
    if path not in files.values():
        return SyntheticMap(name, path)
    uncertainty = files.get("uncertainty") if path == files.get(SYNTHETIC) else None
    return SyntheticMap(name, path, run, uncertainty, files.get("brain"))


def _read_run(path: Path) -> Mapping[str, Any]:
    try:
        run = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}).", "Give the folder of a finished synthesis.") from error
    if not isinstance(run, dict) or not isinstance(run.get("outputs"), dict):
        raise InputError(f"{path} does not describe a synthesis.", "Give the folder of a finished synthesis.")
    return run


def _outputs(folder: Path, run: Mapping[str, Any]) -> dict[str, Path]:
    """The files that run.json lists and that lie in its folder."""
    named = {key: file for key, file in run["outputs"].items() if isinstance(file, str) and Path(file).name == file}
    return {key: folder / file for key, file in named.items() if (folder / file).exists()}


def _usual(case: Case) -> list[Role]:
    return [role for role in _USUAL if role in case.files]


def _wanted(case: Case, also: tuple[Role, ...] | None) -> list[Role]:
    if also is None:
        return _usual(case)
    missing = [str(role) for role in also if role not in case.files]
    if missing:
        raise InputError(f"--also: the case {case.id} has no {', '.join(missing)}.", "Leave out what it does not have.")
    return list(also)


def _require_files(files: Mapping[str, Path]) -> None:
    missing = [f"{name}: {path} does not exist." for name, path in files.items() if not path.exists()]
    if missing:
        raise InputError(" ".join(missing), "Check the case folder and the options.")


def _regions(case: Case, roi: Path | None, wanted: str) -> tuple[tuple[Region, ...], Region | None]:
    """The lesion's regions and the reference, from the label map."""
    if roi is None:
        if wanted != AUTOMATIC:
            raise InputError(
                f"--reference {wanted!r} needs a label map, and the case has none.", "Give --roi, or leave it out."
            )
        return (), None
    values = _labels_in(roi)
    names = {value: case.labels.get(value, f"label {value}") for value in values}
    marked = _reference_labels(names, wanted)
    by_name: dict[str, list[int]] = {}
    for value, name in names.items():
        if value not in marked and name != REFERENCE_LABEL:
            by_name.setdefault(name, []).append(value)
    lesions = [_region(name, "lesion", roi, numbers, names) for name, numbers in by_name.items()]
    if len(lesions) > 1:
        everything = [value for numbers in by_name.values() for value in numbers]
        lesions.insert(0, _region(WHOLE_LESION, "lesion", roi, everything, names))
    return tuple(lesions), _region(REFERENCE_NAME, "reference", roi, marked, names) if marked else None


def _labels_in(roi: Path) -> list[int]:
    """The labels of a label map, without the background 0."""
    array = read_volume(roi).array
    values = np.unique(array)
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values.min() < 0:
        raise InputError(f"{roi} is no label map: it has values that are no labels.", "Give whole numbers from 0.")
    if len(values) > _MOST_LABELS + 1:
        raise InputError(
            f"{roi} has {len(values) - 1} labels, which looks like an image.", "Give a label map with few labels."
        )
    return [int(value) for value in values if value]


def _reference_labels(names: Mapping[int, str], wanted: str) -> list[int]:
    if wanted == AUTOMATIC:
        return [value for value, name in names.items() if name == REFERENCE_LABEL]
    found = [value for value, name in names.items() if wanted in (name, str(value))]
    if not found:
        known = ", ".join(f"{value} ({name})" for value, name in names.items()) or "none"
        raise InputError(f"--reference: the label map has no label {wanted!r}.", f"It has: {known}.")
    return found


def _region(name: str, role: Any, roi: Path, values: Sequence[int], names: Mapping[int, str]) -> Region:
    listed = ", ".join(f"{value} ({names[value]})" for value in values)
    source = f"label{'s' if len(values) > 1 else ''} {listed} of the label map"
    return Region(name, role, (Labels(roi, tuple(values)),), source)


def _warnings(synthetic: Sequence[SyntheticMap], lesions: Sequence[Region], brain: Path | None) -> list[str]:
    found = []
    for each in synthetic:
        if (each.run or {}).get("reference") in [role for role in SEQUENCES if role != Role.T1] and lesions:
            found.append(
                f"The map '{each.name}' lies on the grid of {each.reference}; the label map is used where its file "
                "says that it lies. Check in the pictures that it fits."
            )
    if not lesions:
        found.append("There is no label map with lesion labels, so no lesion is measured.")
    if brain is None:
        found.append("There is no brain mask, so the whole brain is not measured.")
    return found
