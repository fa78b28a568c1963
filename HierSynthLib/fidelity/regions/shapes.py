"""Regions of interest as shapes in the patient's space, and their form as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from HierSynthLib.errors import InputError

Role = Literal["lesion", "hotspot", "reference", "brain"]
"""What a region is for; "brain" is the whole brain, which no user draws."""

Vector = NDArray[np.float64]

_RIGHT_ANGLES = 1e-3


@dataclass(frozen=True, eq=False)
class Sphere:
    """A ball.

    Attributes:
        centre: (3,) RAS mm.
        radius_mm: above 0.
    """

    centre: Vector
    radius_mm: float

    def __post_init__(self) -> None:
        """Raise `InputError` for a field that is no position or length."""
        _set(self, centre=_numbers(self.centre, (3,), "centre"), radius_mm=_length(self.radius_mm, "radius_mm"))


@dataclass(frozen=True, eq=False)
class Box:
    """A cuboid in any direction.

    Attributes:
        centre: (3,) RAS mm.
        axes: (3, 3) unit vectors of its edges as columns, at right angles.
        size_mm: (3,) full lengths of its edges, above 0.
    """

    centre: Vector
    axes: Vector
    size_mm: Vector

    def __post_init__(self) -> None:
        """Raise `InputError` for a field that is no position, direction or length."""
        axes = _numbers(self.axes, (3, 3), "axes")
        if np.abs(axes.T @ axes - np.eye(3)).max() > _RIGHT_ANGLES:
            raise InputError("axes are not three unit vectors at right angles.", "Give the directions as columns.")
        size = _numbers(self.size_mm, (3,), "size_mm")
        if (size <= 0).any():
            raise InputError(f"size_mm is {size.tolist()}.", "Give three lengths in mm above 0.")
        _set(self, centre=_numbers(self.centre, (3,), "centre"), axes=axes, size_mm=size)


@dataclass(frozen=True, eq=False)
class Curve:
    """A closed polygon with a thickness: a prism over the polygon in its best-fit plane.

    Attributes:
        points: (N, 3) RAS mm, at least three different ones; the last is joined to the first.
        thickness_mm: above 0; half of it lies on each side of the plane.
    """

    points: Vector
    thickness_mm: float

    def __post_init__(self) -> None:
        """Raise `InputError` for a field that is no polygon or length."""
        points = _numbers(self.points, (-1, 3), "points")
        different = len(np.unique(points, axis=0))
        if different < 3:
            raise InputError(f"points has {different} different points.", "A closed curve needs at least three.")
        _set(self, points=points, thickness_mm=_length(self.thickness_mm, "thickness_mm"))


@dataclass(frozen=True, eq=False)
class Labels:
    """The voxels of a label map that have one of some values.

    Attributes:
        file: any format of `HierSynthLib.volume.read_volume`.
        values: whole numbers, at least one.
    """

    file: Path
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raise `InputError` for a file without name or values that are not whole numbers."""
        if not isinstance(self.file, str | Path) or not str(self.file).strip():
            raise InputError("file is not the name of a label map.", "Give its path.")
        values = tuple(self.values) if isinstance(self.values, list | tuple) else ()
        if not values or not all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values):
            raise InputError(f"values is {self.values!r}.", "Give a list of whole numbers, for example [1, 2].")
        _set(self, file=Path(self.file), values=tuple(int(v) for v in values))


Shape = Sphere | Box | Curve | Labels


@dataclass(frozen=True, eq=False)
class Region:
    """A region of interest.

    Attributes:
        name: as the user sees it, not empty.
        role: what it is for.
        shapes: at least one; the region is their union.
        source: where it comes from, in words for the export, such as "segment Tumour of Segmentation".
    """

    name: str
    role: Role = "lesion"
    shapes: tuple[Shape, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        """Raise `InputError` for a region without name or shapes, or with an unknown role."""
        if not isinstance(self.name, str) or not self.name.strip():
            raise InputError("A region has no name.", "Give every region a name.")
        if self.role not in get_args(Role):
            raise InputError(
                f"The region '{self.name}' has the unknown role {self.role!r}.",
                f"Choose {', '.join(get_args(Role))}.",
            )
        if not isinstance(self.source, str):
            raise InputError(f"The source of the region '{self.name}' is no text.", "Say in words where it comes from.")
        if not self.shapes:
            raise InputError(f"The region '{self.name}' has no shapes.", "Draw it again, or leave it out.")
        _set(self, shapes=tuple(self.shapes))

    def to_json(self) -> dict[str, Any]:
        """The region as plain lists, numbers and texts; see `from_json`."""
        shapes = [{"kind": _KIND_OF[type(shape)]} | _plain(vars(shape)) for shape in self.shapes]
        return {"name": self.name, "role": self.role, "source": self.source, "shapes": shapes}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Region:
        """The region that `to_json` described.

        Args:
            fields: "name", "shapes" and, if wanted, "role" and "source". A shape has a "kind" ("sphere", "box",
                "curve" or "labels") and the fields of its class; "axes" is a list of three rows.

        Raises:
            InputError: a field is missing, unknown or impossible; the message names region, shape and field.
        """
        if not isinstance(fields, Mapping):
            raise InputError(f"A region is {_shown(fields)} instead of fields.", "Give name, role and shapes.")
        unknown = sorted(str(key) for key in set(fields) - {"name", "role", "source", "shapes"})
        name = fields.get("name")
        if unknown:
            raise InputError(f"The region {name!r} has the unknown field '{unknown[0]}'.", "Leave it out.")
        shapes = fields.get("shapes")
        if not isinstance(shapes, list | tuple):
            raise InputError(f"The shapes of the region {name!r} are no list.", "Give a list of shapes.")
        return cls(
            name=name,  # type: ignore[arg-type]  # checked when the region is made
            role=fields.get("role", "lesion"),
            shapes=tuple(_shape(shape, f"The region {name!r}, shape {n}") for n, shape in enumerate(shapes, start=1)),
            source=fields.get("source", ""),
        )


_KINDS: dict[str, type[Shape]] = {"sphere": Sphere, "box": Box, "curve": Curve, "labels": Labels}
_KIND_OF = {kind: name for name, kind in _KINDS.items()}


def _shape(fields: object, where: str) -> Shape:
    if not isinstance(fields, Mapping) or not isinstance(fields.get("kind"), str) or fields["kind"] not in _KINDS:
        kind = fields.get("kind") if isinstance(fields, Mapping) else fields
        raise InputError(f"{where}: the kind is {_shown(kind)}.", f"Choose {', '.join(_KINDS)}.")
    kind = _KINDS[fields["kind"]]
    given, wanted = set(fields) - {"kind"}, set(kind.__dataclass_fields__)
    if given != wanted:
        fault = next((f"'{name}' is missing" for name in sorted(wanted - given)), None)
        fault = fault or f"'{min(map(str, given - wanted))}' is unknown"
        needed = ", ".join(kind.__dataclass_fields__)
        raise InputError(f"{where}: {fault}.", f"A {fields['kind']} has {needed}.")
    try:
        return kind(**{name: fields[name] for name in wanted})
    except InputError as error:
        raise InputError(f"{where}: {error.message}", error.hint) from error


def _numbers(value: ArrayLike, shape: tuple[int, ...], field: str) -> Vector:
    """A finite array of this shape (−1: any count) that nobody can change."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        array = np.asarray(None)
    fits = array.ndim == len(shape) and all(n in (-1, m) for n, m in zip(shape, array.shape, strict=True))
    if array.dtype.kind not in "iuf" or not fits or not np.isfinite(array).all():
        wanted = " × ".join("N" if n == -1 else str(n) for n in shape)
        raise InputError(f"{field} is {_shown(value)}.", f"Give {wanted} finite numbers.")
    result = array.astype(np.float64)
    result.setflags(write=False)
    return result


def _length(value: object, field: str) -> float:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        raise InputError(f"{field} is {_shown(value)}.", "Give a length in mm above 0.")
    return float(value)  # type: ignore[arg-type]


def _shown(value: object) -> str:
    """The value as it stands in a message of one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "…"


def _set(shape: object, **fields: Any) -> None:
    """Set checked fields of a frozen object while it is made."""
    for name, value in fields.items():
        object.__setattr__(shape, name, value)


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in fields.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.ndarray | tuple):
        return np.asarray(value).tolist()
    return str(value) if isinstance(value, Path) else value
