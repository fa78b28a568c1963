"""What is wrong with the volumes of a case: content, dimensions, place in space, plausible values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case.adc import convert_adc
from HierSynthLib.case.problem import Problem
from HierSynthLib.case.roles import SEQUENCES, Role
from HierSynthLib.case.sampling import occupied_sample, sample
from HierSynthLib.formats.common import flaw_of_axes
from HierSynthLib.volume import Volume

_MASKS = (Role.ROI, Role.BRAIN)
_WITH_TIME = (Role.DSC, Role.ASL)
_THICK_MM = 4.9  # so that 5 mm, the usual thick clinical series, counts in spite of rounding
_EXTENT_MM = (80.0, 600.0)  # a head is about 200 mm long; what is outside this has other units than mm
_CBV_RANGE = (0.3, 5.0)  # plausible median of a map in which white matter is 1 and grey matter about 2
_LITTLE_OVERLAP = 0.5
_SAMPLES_PER_AXIS = 32

Severity = Literal["error", "warning"]


def examine(
    volumes: Mapping[Role, Volume],
    *,
    reference: Role | None = None,
    labels: Mapping[int, str] | None = None,
    expected: Collection[Role] = SEQUENCES,
    quick: bool = False,
) -> list[Problem]:
    """List everything that is wrong with a set of volumes.

    Args:
        volumes: the volumes at hand.
        reference: the volume on whose grid the result will lie; None takes the first of `SEQUENCES` at hand.
        labels: names of the ROI's labels; None where they are unknown, and then not checked.
        expected: the volumes that should be there.
        quick: look at the values of some voxels only, at most 64 along each axis.

    Returns:
        The problems in the order of the roles; an empty list where there are none. Nothing is raised for bad volumes.
    """
    found = {role: examine_alone(role, volumes[role], quick=quick) for role in Role if role in volumes}
    problems = [*find_missing(volumes, reference, expected), *(problem for each in found.values() for problem in each)]
    sound = {role: volumes[role] for role, each in found.items() if not has_error(each)}
    base = reference or first_sequence(sound)
    head = Head(sound[base], base) if base in sound else None
    for role, volume in sound.items():
        problems += examine_values(role, volume, labels, quick=quick)
        if head:
            problems += head.examine_place(role, volume, quick=quick)
    return problems


def has_error(problems: Iterable[Problem]) -> bool:
    """Whether one of the problems makes its volume unusable."""
    return any(problem.severity == "error" for problem in problems)


def first_sequence(roles: Collection[Role]) -> Role | None:
    """The first of `SEQUENCES` that is there: the reference where none is chosen."""
    return next((role for role in SEQUENCES if role in roles), None)


def examine_alone(role: Role, volume: Volume, *, quick: bool = False) -> list[Problem]:
    """What is wrong with a volume's grid, and whether its values hold nothing or no numbers.

    What a quick look finds wrong with the values is looked at again in full, so that its words are exact.
    """
    problems = list(_check_geometry(role, volume))
    if not quick or any(_check_content(role, sample(volume))):
        problems += _check_content(role, volume)
    return problems


def examine_values(
    role: Role, volume: Volume, labels: Mapping[int, str] | None = None, *, quick: bool = False
) -> list[Problem]:
    """Whether the values of a volume without errors so far are plausible for its role."""
    return list(_check_values(role, _coarse(role, volume) if quick else volume, labels))


def _coarse(role: Role, volume: Volume) -> Volume:
    return occupied_sample(volume) if role in _MASKS else sample(volume)


def find_missing(roles: Collection[Role], reference: Role | None, expected: Collection[Role]) -> list[Problem]:
    """What is wrong with the volumes that are not there; one error without a role where there is no sequence at all."""
    missing = [role for role in expected if role not in roles]
    if missing and first_sequence(roles) is None and set(SEQUENCES) <= set(expected):
        what = "There is no T1, T2, FLAIR or ADC volume."
        return [Problem(None, "error", what, "Give at least the T1 volume.")]
    problems = []
    for role in missing:
        if role == reference:
            what = f"{role} is missing, but the result shall lie on its grid."
            problems.append(Problem(role, "error", what, f"Add {role}, or choose another volume as the reference."))
        else:
            what = f"{role} is missing, so the model has to fill in for it."
            problems.append(Problem(role, "warning", what, f"Add {role} if it was acquired."))
    return problems


def _check_geometry(role: Role, volume: Volume) -> Iterator[Problem]:
    def problem(severity: Severity, what: str, todo: str) -> Problem:
        return Problem(role, severity, f"{role} {what}", todo)

    shape = volume.array.shape
    if volume.array.size == 0:
        yield problem("error", "has no voxels.", "Choose another volume.")
        return
    if min(volume.grid) == 1:
        yield problem("error", "is a single slice, not a volume.", "Choose the whole series.")
    if volume.frames > 1 and role not in _WITH_TIME:
        what = f"is a series of {volume.frames} volumes ({' × '.join(map(str, shape))} voxels), not a single one."
        yield problem("error", what, "Choose a 3-D volume.")
    if role == Role.DSC and volume.frames == 1:
        yield problem("error", "is a single volume, not a series over time.", "Choose the perfusion series.")
    flaw = flaw_of_axes(volume.affine[:3, :3])
    if flaw:
        yield problem("error", f"has {flaw}.", "Resample it to a grid with right angles.")
        return
    extent = volume.spacing * volume.grid
    if extent.max() < _EXTENT_MM[0] or extent.max() > _EXTENT_MM[1]:
        what = f"is {' × '.join(f'{edge:.3g}' for edge in extent)} mm large, unlike a head."
        yield problem("warning", what, "Check the voxel size in the file.")
    elif volume.spacing.max() > _THICK_MM:
        what = f"has thick slices ({volume.spacing.max():.1f} mm), between which details are lost."
        yield problem("warning", what, "Use a series with thinner slices if there is one.")


def _check_content(role: Role, volume: Volume) -> Iterator[Problem]:
    array = volume.array
    if array.size == 0:
        return
    if array.dtype.kind == "f":
        broken = array.size - int(np.count_nonzero(np.isfinite(array)))
        if broken:
            share = 100 * broken / array.size
            what = f"{role} has {broken} voxels ({share:.2g} %) whose value is not a number or infinite."
            yield Problem(role, "error", what, "Replace them, for example by 0 outside the head.")
            return
    low, high = array.min(), array.max()
    if low != high:
        return
    if role == Role.ROI and low == 0:
        yield Problem(role, "warning", "ROI is empty: no voxel has a label.", "Draw the regions, or leave ROI out.")
    elif not (role in _MASKS and low > 0):
        what = f"{role} holds only zeros." if low == 0 else f"{role} has the same value ({low:.4g}) everywhere."
        yield Problem(role, "error", what, "Choose another volume, or export it again.")


def _check_values(role: Role, volume: Volume, labels: Mapping[int, str] | None) -> Iterator[Problem]:
    if role == Role.ADC:
        yield from convert_adc(volume)[1]
    elif role in (Role.CBV_ACQUIRED, Role.CBV_TRUE):
        positive = volume.array[volume.array > 0]
        typical = float(np.median(positive)) if positive.size else 0.0
        if not _CBV_RANGE[0] <= typical <= _CBV_RANGE[1]:
            what = f"{role} does not look normalised to white matter = 1: its median is {typical:.3g}."
            yield Problem(role, "warning", what, "Divide it by its mean in normal-appearing white matter.")
    elif role in _MASKS:
        yield from _check_labels(role, volume, labels)


def _check_labels(role: Role, volume: Volume, labels: Mapping[int, str] | None) -> Iterator[Problem]:
    labelled = volume.array[volume.array != 0]
    if labelled.size and (labelled.min() < 0 or not np.array_equal(labelled, np.rint(labelled))):
        what = f"{role} has values that are no labels: they should be whole numbers and not negative."
        yield Problem(role, "error", what, "Choose a label map; resample label maps with nearest neighbour only.")
    elif role == Role.ROI and labels is not None:
        unnamed = [str(int(value)) for value in np.unique(labelled) if int(value) not in labels]
        if unnamed:
            what = f"ROI has labels without a name: {', '.join(unnamed)}."
            yield Problem(role, "warning", what, 'Name them under "labels" in case.json.')


class Head:
    """The reference volume, and roughly which of its voxels are head rather than air."""

    def __init__(self, volume: Volume, role: Role) -> None:
        self._volume, self._role = volume, role
        array = volume.array[..., 0] if volume.array.ndim == 4 else volume.array
        self._array = array.reshape(volume.grid)
        axes = [np.unique(np.linspace(0, count - 1, _SAMPLES_PER_AXIS).round().astype(int)) for count in volume.grid]
        sample = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        values = self._array[tuple(sample.T)]
        bright = values > values.mean()
        # Half of what is bright would lose dark tissue (CSF in T1, necrosis); air is far below a tenth.
        self._air = 0.1 * float(values[bright].mean()) if bright.any() else -np.inf
        self._points = volume.positions(sample[bright] if bright.any() else sample)

    def examine_place(self, role: Role, volume: Volume, *, quick: bool = False) -> list[Problem]:
        """Whether another volume is where the head is; nothing for the reference itself."""
        if role == self._role:
            return []
        if role == Role.ROI:
            return list(self._check_roi(occupied_sample(volume) if quick else volume))
        return list(self._check_overlap(role, volume))

    def _check_overlap(self, role: Role, volume: Volume) -> Iterator[Problem]:
        covered = float(_inside(volume, self._points).mean())
        if covered == 0:
            what = f"{role} and {self._role} do not overlap in space."
            yield Problem(role, "error", what, "Check that both are of the same examination, or register them first.")
        elif covered < _LITTLE_OVERLAP:
            what = f"{role} covers only {100 * covered:.0f} % of the head in {self._role}."
            yield Problem(
                role, "warning", what, "Check that both are of the same examination and show the whole brain."
            )

    def _check_roi(self, roi: Volume) -> Iterator[Problem]:
        labelled = np.argwhere(roi.array.reshape(roi.grid) > 0)
        if not len(labelled):
            return
        points = roi.positions(labelled)
        inside = _inside(self._volume, points)
        outside = 1 - float(inside.mean())
        todo = f"Check that the ROI was drawn on this patient's {self._role}."
        if outside == 1:
            yield Problem(Role.ROI, "error", f"ROI lies outside {self._role}.", todo)
            return
        nearest = self._volume.indices(points[inside]).round().astype(int)
        in_air = float((self._array[tuple(nearest.T)] <= self._air).mean()) * (1 - outside) + outside
        if in_air > 0.5:
            what = f"ROI lies mostly ({100 * in_air:.0f} %) outside the head in {self._role}."
            yield Problem(Role.ROI, "warning", what, todo)
        elif outside > 0.01:
            yield Problem(Role.ROI, "warning", f"{100 * outside:.0f} % of ROI lies outside {self._role}.", todo)


def _inside(volume: Volume, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points, (n, 3) RAS mm, lie in a voxel of the volume, half a voxel beyond the outer centres included."""
    indices = volume.indices(points)
    within = (indices >= -0.5) & (indices <= np.array(volume.grid) - 0.5)
    inside: NDArray[np.bool_] = np.all(within, axis=1)
    return inside
