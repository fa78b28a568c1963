"""A synthetic and an acquired CBV map on one grid: the acquired one resampled, difference, checkerboard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import CBV_UNITS
from HierSynthLib.errors import InputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.preparation.grid import resample
from HierSynthLib.progress import Reporter
from HierSynthLib.volume import Volume, read_volume, write_volume

SQUARE_MM = 20.0

Map = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two maps on the grid of the synthetic one, nrCBV.

    Attributes:
        acquired_on_grid: (I, J, K) the acquired map, linear in physical space; 0 where it has no value.
        difference: (I, J, K) synthetic − acquired; 0 where the acquired map has no value.
        checkerboard: (I, J, K) cubes of both maps in turn, see `checkerboard`.
        covered: (I, J, K) where the acquired map has a value: inside its box, and not NaN or infinite.
    """

    acquired_on_grid: Map
    difference: Map
    checkerboard: Map
    covered: NDArray[np.bool_]


def compare(synthetic: Volume, acquired: Volume, square_mm: float = SQUARE_MM) -> Comparison:
    """Compare two maps in physical space.

    Nothing is known outside the acquired map's field of view. There both the resampled map and the difference are 0,
    because what displays them has no place for NaN; `covered` tells these voxels from real zeros.

    Args:
        synthetic: (I, J, K), nrCBV, on whose grid everything will lie.
        acquired: (I', J', K'), nrCBV, on any grid.
        square_mm: edge of the checkerboard's cubes.

    Raises:
        InputError: a map is not 3-D, they do not overlap, or the edge is not a positive length.
    """
    if not (math.isfinite(square_mm) and square_mm > 0):
        raise InputError(f"Squares of {square_mm} mm cannot be drawn.", "Give their edge in mm, for example 20.")
    grid = (synthetic.grid, synthetic.affine)
    known = np.isfinite(acquired.array)
    covered = resample(known, acquired.affine, *grid, interpolation="nearest") > 0
    if not covered.any():
        raise InputError(
            "The acquired map and the synthetic map do not overlap in space.",
            "Check that both are of the same examination, or register them first.",
        )
    values = np.where(known, acquired.array, 0).astype(np.float32)
    on_grid = np.where(covered, resample(values, acquired.affine, *grid), 0).astype(np.float32)
    own = synthetic.array.reshape(synthetic.grid).astype(np.float32)
    difference = np.where(covered, own - on_grid, 0).astype(np.float32)
    odd = checkerboard(synthetic, square_mm)
    return Comparison(on_grid, difference, np.where(odd, on_grid, own).astype(np.float32), covered)


def checkerboard(volume: Volume, square_mm: float) -> NDArray[np.bool_]:
    """Which voxels belong to the odd cubes of a checkerboard along the volume's own axes.

    Cubes of `square_mm` are counted from the outer corner of voxel (0, 0, 0); a voxel belongs to the one that holds its
    centre.

    Returns:
        (I, J, K), False in the cube at the corner.
    """
    centres = [(np.arange(count) + 0.5) * step for count, step in zip(volume.grid, volume.spacing, strict=True)]
    i, j, k = np.ix_(*(np.floor(along / square_mm).astype(int) for along in centres))
    odd: NDArray[np.bool_] = (i + j + k) % 2 == 1
    return odd


def compare_files(
    synthetic: Path, acquired: Path, output: Path, square_mm: float, reporter: Reporter
) -> dict[str, Any]:
    """Compare two files and write the maps as .npy, in the order of VTK's memory.

    Returns:
        {"maps": {"acquired_on_grid" | "difference" | "checkerboard" | "covered": path}}; "covered" is 0 or 1.

    Raises:
        InputError: a file cannot be read or says that it is in other units than nrCBV, or see `compare`.
        OutputError: the folder cannot be written.
    """
    reporter.progress("reading", 0.0)
    first, second = _read(synthetic, "synthetic"), _read(acquired, "acquired")
    reporter.progress("comparing", 0.2)
    found = compare(first, second, square_mm)
    arrays: dict[str, NDArray[Any]] = {
        "acquired_on_grid": found.acquired_on_grid,
        "difference": found.difference,
        "checkerboard": found.checkerboard,
        "covered": found.covered.astype(np.uint8),
    }
    with atomic_folder(output, durable=False) as folder:
        for number, (key, array) in enumerate(arrays.items()):
            reporter.progress("writing", 0.8 + 0.2 * number / len(arrays))
            units = "" if key == "covered" else CBV_UNITS
            write_volume(Volume(array, first.affine, units), folder / f"{key}.npy")
        reporter.progress("writing", 1.0)
    return {"maps": {key: str(output / f"{key}.npy") for key in arrays}}


def _read(path: Path, which: str) -> Volume:
    volume = read_volume(path)
    if volume.units not in ("", CBV_UNITS):
        raise InputError(
            f"The {which} map is in {volume.units}; only maps in {CBV_UNITS} can be compared.",
            "Divide it by its mean in normal-appearing white matter first.",
        )
    return volume
