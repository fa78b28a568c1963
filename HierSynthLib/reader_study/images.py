"""The images of a study: the arms of a case on one grid, equally sharp, within one mask, range and precision."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.case import SEQUENCES, Case, Role
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.report.alignment import align
from HierSynthLib.fidelity.report.subject import (
    ACQUIRED,
    TRUE,
    Choices,
    Subject,
    SyntheticMap,
    describe_subject,
    open_synthetic,
)
from HierSynthLib.formats import nifti
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.progress import Reporter
from HierSynthLib.reader_study.matching import covered, on_one_lattice, on_target, quantum, shared_smoothing
from HierSynthLib.reader_study.protocol import Arm, DisplaySettings, Protocol
from HierSynthLib.volume import Volume, read_volume

Matrix = NDArray[np.float64]

LEAST_LEVELS = 32
"""Steps within the window below which a map is too coarsely stored to be compared (design value)."""

FILE_TIME = 946684800
"""1 January 2000: the time of every image file, s since 1970, so that it tells nothing."""

_NAMED_ROLES = {Role.CBV_ACQUIRED: ACQUIRED, Role.CBV_TRUE: TRUE}
_REGISTER = {"auto": None, "files": False, "register": True}


@dataclass(frozen=True, eq=False)
class Placed:
    """A volume and how it is brought to the common space.

    Attributes:
        volume: of the file.
        transform: (4, 4) maps a RAS point (mm) of the common space to the volume's; identity where they are the same.
    """

    volume: Volume
    transform: Matrix


def arm_file(arm: Arm, case: Case, folder: Path) -> Path:
    """The file, or the folder of a synthesis, that an arm means for a case.

    Raises:
        InputError: the case lacks it.
    """
    if arm.source in list(Role):
        path = case.files.get(Role(arm.source))
        if path is None:
            hint = "Leave the case out."
            if case.simulated and arm.source == Role.CBV_ACQUIRED:
                hint = "It comes from the DSC series: make the phantom without --no-dsc."
            raise InputError(f"The case {case.id} has no {arm.source} for the arm {arm.name}.", hint)
    elif "{id}" in arm.source:
        path = Path(arm.source.replace("{id}", case.id))
    else:
        path = folder / arm.source
    if not path.exists():
        raise InputError(f"Case {case.id}, arm {arm.name}: {path} does not exist.", "Correct the arm's source.")
    return path


def place_case(
    case: Case, folder: Path, protocol: Protocol, roles: Sequence[str], reporter: Reporter
) -> tuple[dict[str, Placed], dict[str, Volume]]:
    """Read the maps and sources of a case and bring them into one space.

    Args:
        case: of the patient.
        folder: of the case.
        protocol: with arms.
        roles: of the images shown beside.
        reporter: told about a registration.

    Returns:
        Arm → placed map, and role → source with an affine (rigidly moved) in the common space.

    Raises:
        InputError: something is missing or cannot be read.
    """
    files = {arm.name: arm_file(arm, case, folder) for arm in protocol.arms}
    named = {arm.name: _NAMED_ROLES[Role(arm.source)] for arm in protocol.arms if arm.source in _NAMED_ROLES}
    maps = {name: open_synthetic(name, path) for name, path in files.items() if name not in named}
    subject = _subject(case, maps, roles)
    placements = {each.map: each for each in align(subject, _REGISTER[protocol.align], reporter)}

    def transform(name: str) -> Matrix:
        placement = placements.get(name)
        return np.eye(4) if placement is None or placement.transform is None else np.asarray(placement.transform)

    placed = {
        name: Placed(
            _single(read_volume(maps[name].path if name in maps else path), path), transform(named.get(name, ""))
        )
        for name, path in files.items()
    }
    sources = {}
    for role in roles:
        volume = _single(read_volume(case.files[Role(role)]), case.files[Role(role)])
        sources[role] = Volume(volume.array, np.linalg.inv(transform(role)) @ volume.affine)
    return placed, sources


def equalise(
    placed: Mapping[str, Placed], display: DisplaySettings, reporter: Reporter | None = None
) -> tuple[dict[str, NDArray[np.float32]], Matrix]:
    """Bring the maps of a case onto one grid, and make them alike in everything but what they show.

    The grid is that of the map with the largest voxels. Where all maps lie on one lattice none is interpolated;
    otherwise all of them, also the coarsest, pass the same Gaussian (see `matching`). Outside the voxels where every
    map has values, all are 0; inside, values are clipped and rounded to multiples of `step`, or of the coarsest step
    in which one of the maps was stored.

    Args:
        placed: arm → map, at least two.
        display: ceiling and step, nrCBV.
        reporter: told about each map.

    Returns:
        Arm → (I, J, K) float32 array, and the (4, 4) affine that all share.

    Raises:
        InputError: the maps have no place in common, or one was stored in steps that the eye sees.
    """
    grids = {name: _grid(each) for name, each in placed.items()}
    target = max(grids.values(), key=lambda grid: abs(np.linalg.det(grid.affine[:3, :3]))).canonical()
    together = [*grids.values()]
    covariance = None if on_one_lattice(together) else shared_smoothing(target, together)
    arrays = {
        name: np.nan_to_num(each.volume.array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        for name, each in placed.items()
    }
    inside = np.ones(target.shape, bool)
    for name, array in arrays.items():
        support = ndimage.binary_fill_holes(array != 0).astype(np.float32)
        inside &= covered(support, grids[name], target, covariance)
    if not inside.any():
        raise InputError(
            "The maps of the arms have no voxel in common.", 'They may lie in other coordinates; try "align: register".'
        )
    values = {}
    for number, (name, array) in enumerate(arrays.items()):
        if reporter:
            reporter.progress("images", number / len(placed))
        values[name] = on_target(array, grids[name], target, inside, covariance)
    return _equally_fine(values, inside, display), target.affine


def _equally_fine(
    values: Mapping[str, NDArray[np.float32]], inside: NDArray[np.bool_], display: DisplaySettings
) -> dict[str, NDArray[np.float32]]:
    """Clip, and round to one step; a map that was stored in smaller ones is first spread evenly over each of them."""
    own = {name: quantum(array[inside]) for name, array in values.items()}
    coarsest = max(own, key=lambda name: own[name])
    step = max(display.step, own[coarsest])
    most = (display.window[1] - display.window[0]) / LEAST_LEVELS
    if step > max(display.step, most):
        raise InputError(
            f"The map of the arm {coarsest} was stored in steps of {step:.2g} nrCBV, which would be seen.",
            "Export it with more precision, or leave the case out.",
        )
    random = np.random.default_rng(0)
    result = {}
    for name, array in values.items():
        found = array[inside].astype(np.float64)
        if own[name] > display.step:
            found += random.uniform(-0.5, 0.5, found.size) * own[name]
        result[name] = np.zeros(array.shape, np.float32)
        result[name][inside] = np.clip(np.rint(found / step), 1, np.floor(display.ceiling / step * (1 + 1e-9))) * step
    return result


def write_image(path: Path, array: NDArray[Any], affine: Matrix) -> None:
    """Write an image described by nothing but its neutral name, so that no two files are equal, with one time for all.

    Neither is it written at once nor awaited on the disk: that is done for the folder of the study as a whole.
    """
    nifti.write(path, array, affine, path.stem)
    os.utime(path, (FILE_TIME, FILE_TIME))


def _subject(case: Case, maps: Mapping[str, SyntheticMap], roles: Sequence[str]) -> Subject:
    """What `align` needs: the space is that of the first map that is no role of the case, or else of the anatomy."""
    space = next(iter(maps.values()), None)
    if space is None:
        anatomy = next((case.files[role] for role in SEQUENCES if role in case.files), None)
        if anatomy is None:
            anatomy = next(iter(case.files.values()))
        space = SyntheticMap("space", anatomy)
    also = tuple(Role(role) for role in roles)
    return describe_subject(case, [space], Choices(also=also))


def _single(volume: Volume, path: Path) -> Volume:
    if volume.array.ndim == 4:
        raise InputError(f"{path} has {volume.frames} frames; a map or image has one.", "Give a 3-D volume.")
    return volume if volume.array.ndim == 3 else Volume(volume.array[:, :, None], volume.affine)


def _grid(each: Placed) -> Grid:
    """Where the voxels of a map lie in the common space."""
    i, j, k = each.volume.array.shape
    return Grid((i, j, k), np.linalg.inv(each.transform) @ each.volume.affine)
