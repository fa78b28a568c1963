"""The white matter that a CBV map is divided by, where no region was drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.cluster.vq import kmeans

from HierSynthLib.case import Role
from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.masks import rasterise
from HierSynthLib.fidelity.regions.reference import suggest_reference
from HierSynthLib.fidelity.regions.symmetry import find_symmetry
from HierSynthLib.preparation import Grid, PreparedCase
from HierSynthLib.progress import Reporter, Silent
from HierSynthLib.volume import Volume, read_volume

Mask = NDArray[np.bool_]

# White matter is looked for this far from the lesion and the edge of the brain (design values).
_FROM_LESION_MM, _FROM_EDGE_MM = 10.0, 6.0
# Of the voxels that look like white matter, those without a neighbour of another class.
_LEAST_VOXELS = 200
_BRIGHT = {Role.T1: 1, Role.T2: -1, Role.FLAIR: -1}


@dataclass(frozen=True, eq=False)
class WhiteMatter:
    """Where normal-appearing white matter is, (I, J, K), and how it was found."""

    mask: Mask
    source: str


def find_white_matter(
    volumes: dict[Role, Volume],
    prepared: PreparedCase,
    lesion: Mask,
    reporter: Reporter | None = None,
) -> WhiteMatter:
    """Normal-appearing white matter on the working grid of a prepared case.

    First the three spheres in the contralateral centrum semiovale that `suggest_reference` finds; without them, all
    voxels away from the lesion that look like white matter.

    Args:
        volumes: the sequences as acquired; those that had to be moved are not looked at.
        prepared: the same, prepared.
        lesion: (I, J, K) on the working grid.
        reporter: told about progress.

    Raises:
        InputError: no white matter was found.
    """
    reporter = reporter or Silent()
    grid = prepared.grid
    brain = Volume(prepared.brain, prepared.affine)
    still = [role for role, matrix in prepared.transforms.items() if np.allclose(matrix, np.eye(4))]
    anatomy = {str(role): volumes[role] for role in prepared.sequences if role in still}
    first = volumes[next(role for role in prepared.sequences if role in still)]
    home = Grid(first.grid, first.affine)
    signal = np.nan_to_num(first.array.astype(np.float32), posinf=0, neginf=0)
    places = np.argwhere(lesion) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    try:
        inside = _on(brain, home)
        plane = find_symmetry(signal, home, inside, reporter)
        found = suggest_reference(anatomy, brain, plane, places, reporter)
    except InputError:
        found = None
    if found is not None and found.region is not None:
        spheres = rasterise(found.region, grid, read_volume)
        mask = np.zeros(grid.shape, bool)
        mask[spheres.slices] = spheres.inside
        return WhiteMatter(mask & prepared.brain & ~lesion, f"suggested NAWM, {found.side} centrum semiovale")
    return WhiteMatter(_by_signal(prepared, lesion), "white matter by its signal")


def _on(volume: Volume, grid: Grid) -> Mask:
    from HierSynthLib.preparation import resample

    inside = resample(volume.array, volume.affine, grid.shape, grid.affine, interpolation="nearest")
    return np.asarray(inside, dtype=bool)


def _by_signal(prepared: PreparedCase, lesion: Mask) -> Mask:
    """The brightest (T1) or darkest (T2, FLAIR) of three classes of signal, without its rim."""
    role = next((role for role in _BRIGHT if role in prepared.sequences), None)
    if role is None:
        raise InputError("No white matter can be found without T1, T2 or FLAIR.", "Give a map in nrCBV.")
    spacing = prepared.grid.spacing
    near = ndimage.distance_transform_edt(~lesion, sampling=spacing) if lesion.any() else np.full(lesion.shape, np.inf)
    depth = ndimage.distance_transform_edt(prepared.brain, sampling=spacing)
    where = (near > _FROM_LESION_MM) & (depth > _FROM_EDGE_MM)
    signal = prepared.sequences[role]
    values = signal[where].astype(np.float64)
    if values.size < _LEAST_VOXELS:
        raise InputError("Too little normal brain was found to look for white matter.", "Check the segmentation.")
    starts = np.percentile(values, (10, 50, 90))
    centres = np.sort(kmeans(values, starts)[0])
    edge = float((centres[-1] + centres[-2]) / 2 if _BRIGHT[role] > 0 else (centres[0] + centres[1]) / 2)
    white = where & (_BRIGHT[role] * (signal - edge) > 0)
    inner = ndimage.binary_erosion(white)
    mask = inner if np.count_nonzero(inner) >= _LEAST_VOXELS else white
    if np.count_nonzero(mask) < _LEAST_VOXELS:
        raise InputError("No white matter was found.", "Give a map in nrCBV.")
    return np.asarray(mask, dtype=bool)
