"""From volumes as acquired to sequences on one grid, on one scale, inside one brain mask."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.errors import InputError
from HierSynthLib.preparation.brain_mask import MaskQuality, brain_mask
from HierSynthLib.preparation.grid import Grid, Interpolation, resample
from HierSynthLib.preparation.morphology import dilated, eroded
from HierSynthLib.preparation.normalisation import normalise
from HierSynthLib.preparation.registration import Image, Registration, register_rigid
from HierSynthLib.progress import Part, Reporter, Silent
from HierSynthLib.volume import Volume

# Around the brain's box: room for the networks' field of view and for a mask that is a little too tight.
_MARGIN_MM = 6.0
# The registration looks at the brain and the edge between brain, CSF and skull.
_REGISTRATION_RIM_MM = 8.0
_NEAR_MM = 3.0
# The rim of the mask is left out of the statistics of the signal: it holds the errors of the mask.
_STATISTICS_RIM_MM, _CORE_MM = 4.0, 2.0


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A patient's sequences as the networks read them.

    Attributes:
        sequences: role → float32 (I, J, K) on the working grid; normalised, 0 outside the brain.
        brain: (I, J, K) bool, the brain on the working grid.
        affine: (4, 4) working grid's voxel index → RAS mm of the reference; axes run closest to right, anterior,
            superior.
        reference: grid of the reference volume as stored, where the maps go back to.
        mask_quality: how the brain mask was made and how good it is.
        transforms: role → (4, 4) maps a RAS point (mm) of the reference to that sequence's point.
        registrations: role → what the registration found.
        normalisation: role → {"centre", "scale"} of (x − centre) / scale.
        seconds: stage → time taken.
    """

    sequences: dict[Role, NDArray[np.float32]]
    brain: NDArray[np.bool_]
    affine: NDArray[np.float64]
    reference: Grid
    mask_quality: MaskQuality
    transforms: dict[Role, NDArray[np.float64]]
    registrations: dict[Role, Registration]
    normalisation: dict[Role, dict[str, float]]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """The working grid."""
        shape = self.brain.shape
        return Grid((shape[0], shape[1], shape[2]), self.affine)


def prepare(
    volumes: Mapping[Role, Volume],
    *,
    reference: Role = Role.T1,
    spacing_mm: ArrayLike = (1.0, 1.0, 1.0),
    register: bool = True,
    reporter: Reporter | None = None,
) -> PreparedCase:
    """Bring a patient's sequences onto one grid and one scale, inside the brain.

    Finds the brain in the reference, registers every other sequence to the reference, samples all on a grid along the
    reference's own axes around the brain, and normalises each (see `normalise`). NaN and infinite values count as 0.

    Args:
        volumes: 3-D volumes by role. Read are T1, T2, FLAIR, ADC (10⁻³ mm²/s) and, if there, BRAIN: a mask in the
            space of the reference.
        reference: the sequence that defines the space.
        spacing_mm: voxel edges of the working grid along its i, j, k.
        register: whether to register; without it, positions are taken from the files.
        reporter: told about the stages "brain mask", "registration" and "resampling".

    Returns:
        The prepared case.

    Raises:
        InputError: the reference is missing or not 3-D, or no brain is found.
        Cancelled: the reporter said so.
    """
    reporter = reporter or Silent()
    seconds: dict[str, float] = {}
    roles = [role for role in SEQUENCES if role in volumes]
    if reference not in roles:
        raise InputError(f"The reference {reference} is missing.", "Give it, or choose another sequence as reference.")
    images = {role: Image(_clean(volumes[role], role), _grid(volumes[role])) for role in roles}
    home = images[reference].grid

    started = time.perf_counter()
    reporter.progress("brain mask", 0.0)
    given = _given_mask(volumes.get(Role.BRAIN), home)
    mask, quality = brain_mask(images[reference].values, home, given=given, reporter=Part(reporter, 0.0, 0.4))
    if not mask.any():
        raise InputError(f"No brain was found in {reference}.", "Give a brain mask with the case.")
    working = _working_grid(mask, home, spacing_mm)
    reporter.progress("brain mask", 0.4)
    brain = resample(mask.astype(np.float32), home.affine, working.shape, working.affine) > 0.5
    seconds["brain mask"] = time.perf_counter() - started

    started = time.perf_counter()
    registrations = {role: Registration(np.eye(4), "off") for role in roles}
    registrations[reference] = Registration(np.eye(4), "reference")
    if register:
        reporter.progress("registration", 0.4)
        rim = _near(mask, home, _REGISTRATION_RIM_MM)
        others = [role for role in roles if role != reference]
        for number, role in enumerate(others):
            part = Part(reporter, 0.4 + 0.4 * number / len(others), 0.4 + 0.4 * (number + 1) / len(others))
            registrations[role] = register_rigid(images[reference], rim, images[role], reporter=part, name=str(role))
    seconds["registration"] = time.perf_counter() - started

    started = time.perf_counter()
    reporter.progress("resampling", 0.8)
    core = _core(brain, working)
    sequences, normalisation = {}, {}
    for number, role in enumerate(roles):
        reporter.progress("resampling", 0.8 + 0.2 * number / len(roles))
        values = resample(
            images[role].values,
            images[role].grid.affine,
            working.shape,
            working.affine,
            transform=registrations[role].transform,
            fill=np.nan,
        )
        sequences[role], normalisation[role] = normalise(role, values, brain, core)
    seconds["resampling"] = time.perf_counter() - started
    reporter.progress("resampling", 1.0)
    return PreparedCase(
        sequences=sequences,
        brain=brain,
        affine=working.affine,
        reference=home,
        mask_quality=quality,
        transforms={role: found.transform for role, found in registrations.items()},
        registrations=registrations,
        normalisation=normalisation,
        seconds=seconds,
    )


def to_reference(
    array: NDArray[Any], prepared: PreparedCase, *, interpolation: Interpolation = "linear"
) -> NDArray[np.float32]:
    """Put a map from the working grid onto the grid of the reference volume.

    Values are averaged over brain voxels only, so that the zeros around the brain do not darken its rim.

    Args:
        array: (I, J, K) map on the working grid.
        prepared: the case it was computed from.
        interpolation: "linear" or "cubic".

    Returns:
        float32 map on the reference's grid, 0 outside the brain.
    """
    home = prepared.reference

    def back(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(
            resample(values, prepared.affine, home.shape, home.affine, interpolation=interpolation), dtype=np.float32
        )

    share = back(prepared.brain.astype(np.float32))
    values = back(np.where(prepared.brain, array, 0).astype(np.float32))
    inside = share > 0.5
    result = np.zeros(home.shape, dtype=np.float32)
    result[inside] = values[inside] / share[inside]
    return result


def _clean(volume: Volume, role: Role) -> NDArray[np.float32]:
    if volume.array.ndim != 3:
        raise InputError(f"{role} has {volume.array.ndim} dimensions.", "Give a single 3-D volume.")
    return np.nan_to_num(volume.array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _grid(volume: Volume) -> Grid:
    shape = volume.array.shape
    return Grid((shape[0], shape[1], shape[2]), np.asarray(volume.affine, dtype=np.float64))


def _given_mask(volume: Volume | None, home: Grid) -> NDArray[np.bool_] | None:
    """The user's mask on the reference's grid."""
    if volume is None:
        return None
    mask = (_clean(volume, Role.BRAIN) > 0).astype(np.uint8)
    return np.asarray(resample(mask, volume.affine, home.shape, home.affine, interpolation="nearest") > 0)


def _working_grid(mask: NDArray[np.bool_], home: Grid, spacing_mm: ArrayLike) -> Grid:
    """The brain's box and a margin, along the reference's own axes, within the reference's box."""
    own = home.canonical()
    index = resample(mask.astype(np.uint8), home.affine, own.shape, own.affine, interpolation="nearest") > 0
    fine = own.respaced(spacing_mm)
    start, stop = [], []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        used = np.flatnonzero(index.any(axis=others))
        # Edges of the brain in mm from the corner of the box.
        low = used[0] * own.spacing[axis] - _MARGIN_MM
        high = (used[-1] + 1) * own.spacing[axis] + _MARGIN_MM
        start.append(max(0, int(np.floor(low / fine.spacing[axis] + 1e-6))))
        stop.append(min(fine.shape[axis], int(np.ceil(high / fine.spacing[axis] - 1e-6))))
    return fine.cropped(start, stop)


def _core(brain: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """The brain without its rim."""
    coarse = grid.respaced(_CORE_MM)
    # `eroded` measures from the first voxel centre outside, half a voxel beyond the surface.
    rim = _STATISTICS_RIM_MM + _CORE_MM / 2
    low = eroded(Image(brain.astype(np.float32), grid).on(coarse) > 0.5, rim, _CORE_MM)
    return brain & (Image(low.astype(np.float32), coarse).on(grid) > 0.5)


def _near(mask: NDArray[np.bool_], grid: Grid, mm: float) -> Image:
    """A coarse image of the mask and everything within `mm` of it."""
    coarse = grid.canonical().respaced(_NEAR_MM)
    low = Image(mask.astype(np.float32), grid).on(coarse) > 0.5
    return Image(dilated(low, mm, _NEAR_MM).astype(np.float32), coarse)
