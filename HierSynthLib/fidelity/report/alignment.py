"""Where a case's volumes lie relative to the synthetic map: from the simulation, a registration or the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import Role
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.report.subject import ACQUIRED, TRUE, Subject
from HierSynthLib.preparation.brain_mask import brain_mask
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.preparation.morphology import dilated
from HierSynthLib.preparation.registration import Image, register_rigid
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.volume import Volume, read_volume

Matrix = NDArray[np.float64]
Point = NDArray[np.float64]

# As for the sequences of the synthesis: the brain and the edge between brain, CSF and skull.
_RIM_MM, _COARSE_MM = 8.0, 3.0


@dataclass(frozen=True, eq=False)
class Placement:
    """How a volume is brought to the synthetic map.

    Attributes:
        map: name of the volume.
        method: "file" (positions of the files), "simulation" (the simulation's own record), "synthesis" (as registered
            for the synthesis), "registration" or "reference" (the synthetic map lies on its grid).
        transform: (4, 4) maps a RAS point (mm) of the synthetic map to the volume's point; None for identity.
        words: one sentence for the report.
    """

    map: str
    method: str
    transform: Matrix | None
    words: str

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values."""
        matrix = None if self.transform is None else np.round(self.transform, 6).tolist()
        return {"map": self.map, "method": self.method, "transform": matrix, "words": self.words}


def align(subject: Subject, register: bool | None, reporter: Reporter) -> list[Placement]:
    """Decide for every volume that is not synthetic how it is brought to the synthetic map, and do it.

    Args:
        subject: the patient.
        register: True registers the acquired map to the reference anatomy; False trusts the files; None takes the
            simulation's own record where there is one, and otherwise trusts the files.
        reporter: told about the registration.

    Raises:
        InputError: a volume that has to be registered cannot be read.
    """
    record = _record(subject) if register is None else {}
    centre = _grid(read_volume(subject.synthetic[0].path)).centre
    placements = []
    for name in subject.acquired:
        if name == ACQUIRED and register:
            placements.append(_registered(subject, reporter))
        else:
            placements.append(_recorded(subject, name, record, centre))
    return placements + [_other(subject, role, record, centre) for role in subject.others]


def movement(matrix: Matrix, centre: Point) -> tuple[float, float]:
    """How far (mm) a rigid transform moves a point, and by how many degrees it turns."""
    shift = float(np.linalg.norm(matrix[:3, :3] @ centre + matrix[:3, 3] - centre))
    angle = float(np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1))))
    return shift, angle


def _record(subject: Subject) -> dict[str, Matrix]:
    """The simulation's transforms: a point in the position of the anatomy → the point of a series."""
    facts = subject.case.facts.get("transforms")
    if not subject.case.simulated or not isinstance(facts, Mapping):
        return {}
    found = {str(role): _matrix(value) for role, value in facts.items()}
    return {role: matrix for role, matrix in found.items() if matrix is not None}


def _matrix(value: object) -> Matrix | None:
    """A (4, 4) transform that can be inverted, or None."""
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-6:
        return None
    return matrix


def _recorded(subject: Subject, name: str, record: Mapping[str, Matrix], centre: Point) -> Placement:
    role = {ACQUIRED: Role.CBV_ACQUIRED, TRUE: Role.CBV_TRUE}[name]
    own = subject.own_acquired or name == TRUE
    known = role in record or (name == TRUE and bool(record))
    if not own or not known:
        what = "" if name == ACQUIRED else " of the simulation"
        return Placement(
            name,
            "file",
            None,
            f"The {name} map{what} is taken to lie where its file says; a movement between the series is not "
            "corrected (--register does).",
        )
    transform = record.get(role, np.eye(4)) @ np.linalg.inv(record.get(str(subject.space), np.eye(4)))
    if np.allclose(transform, np.eye(4), atol=1e-9):
        return Placement(name, "simulation", None, f"The {name} map lies in the position of the anatomy.")
    return Placement(
        name,
        "simulation",
        transform,
        f"The {name} map was brought into place by the simulation's own record of the movement "
        f"({_moved(transform, centre)}).",
    )


def _other(subject: Subject, role: Role, record: Mapping[str, Matrix], centre: Point) -> Placement:
    if role == subject.space:
        return Placement(str(role), "reference", None, f"The synthetic map lies on the grid of {role}.")
    preparation = (subject.synthetic[0].run or {}).get("preparation")
    transforms = preparation.get("transforms") if isinstance(preparation, Mapping) else None
    found = _matrix(transforms.get(str(role))) if isinstance(transforms, Mapping) else None
    if found is not None:
        return Placement(
            str(role), "synthesis", found, f"{role} lies where the synthesis registered it ({_moved(found, centre)})."
        )
    if role in record:
        transform = record[role] @ np.linalg.inv(record.get(str(subject.space), np.eye(4)))
        return Placement(
            str(role),
            "simulation",
            transform,
            f"{role} was brought into place by the simulation's own record ({_moved(transform, centre)}).",
        )
    return Placement(str(role), "file", None, f"{role} is taken to lie where its file says.")


def _registered(subject: Subject, reporter: Reporter) -> Placement:
    space = subject.space
    if space is None or space not in subject.case.files:
        raise InputError(
            "The acquired map cannot be registered: the case has no anatomical volume to register it to.",
            "Add the volume on whose grid the synthetic map lies, or leave --register out.",
        )
    reporter.progress("reading", 0.0)
    anatomy = _image(Path(subject.case.files[space]))
    acquired = _image(subject.acquired[ACQUIRED])
    mask = _brain(subject, anatomy, Part(reporter, 0.1, 0.3))
    found = register_rigid(anatomy, mask, acquired, reporter=Part(reporter, 0.3, 1.0), name="the acquired map")
    reporter.progress("registration", 1.0)
    if found.method == "rejected":
        return Placement(
            ACQUIRED,
            "file",
            None,
            f"Registering the acquired map to {space} gave no plausible result, so its position is that of its file.",
        )
    if found.method == "co-registered":
        return Placement(ACQUIRED, "registration", None, f"The acquired map was found to be in register with {space}.")
    return Placement(
        ACQUIRED,
        "registration",
        found.transform,
        f"The acquired map was registered rigidly to {space} by mutual information "
        f"({found.shift_mm:.1f} mm, {found.angle_deg:.1f}°). Check in the pictures that it fits.",
    )


def _brain(subject: Subject, anatomy: Image, reporter: Reporter) -> Image:
    """A coarse image of the brain and its rim."""
    if subject.brain is not None:
        brain = _image(subject.brain)
    else:
        mask, _ = brain_mask(anatomy.values, anatomy.grid, given=None, reporter=reporter)
        brain = Image(mask.astype(np.float32), anatomy.grid)
    coarse = brain.grid.canonical().respaced(_COARSE_MM)
    return Image(dilated(brain.on(coarse) > 0.5, _RIM_MM, _COARSE_MM).astype(np.float32), coarse)


def _image(path: Path) -> Image:
    volume = read_volume(path)
    values = np.nan_to_num(volume.array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if values.ndim != 3:
        raise InputError(f"{path} has {values.ndim} dimensions where 3 are needed.", "Give a single 3-D volume.")
    return Image(values, _grid(volume))


def _grid(volume: Volume) -> Grid:
    return Grid(volume.grid, volume.affine)


def _moved(transform: Matrix, centre: Point) -> str:
    """Shift at the middle of the synthetic map, and turn, in words."""
    shift, angle = movement(transform, centre)
    return f"{shift:.1f} mm, {angle:.1f}°"
