"""Volume: an image in physical space; reading and writing it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from HierSynthLib import dicom_series
from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.files import atomic_file
from HierSynthLib.formats import metaimage, nifti, npy, nrrd

_READERS = {
    ".nii.gz": nifti.read,
    ".nii": nifti.read,
    ".nrrd": nrrd.read,
    ".nhdr": nrrd.read,
    ".mha": metaimage.read,
}


@dataclass(frozen=True, eq=False)
class Volume:
    """An image with its place in the patient and its units.

    Attributes:
        array: voxel values, indexed (i, j, k) or (i, j, k, frame); a 2-D array is one slice.
        affine: (4, 4) float64, voxel index (i, j, k, 1) → RAS position in mm; columns orthogonal (no shear).
        units: what a value of 1 means, e.g. "nrCBV", "10⁻³ mm²/s"; "" for arbitrary signal intensity.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    units: str = ""

    def __post_init__(self) -> None:
        """Raise `ValueError` for an array that is not 2-D to 4-D numbers or an affine that is not 4 × 4 and finite."""
        array = np.asarray(self.array)
        if not 2 <= array.ndim <= 4:
            raise ValueError(f"A volume has 2 to 4 dimensions, not {array.ndim}.")
        if array.dtype.kind not in "biuf":
            raise ValueError(f"A volume holds real numbers, not {array.dtype}.")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.array_equal(affine[3], [0, 0, 0, 1]):
            raise ValueError("An affine is a finite 4 × 4 matrix whose last row is 0 0 0 1.")
        affine.setflags(write=False)
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel edge lengths in mm along i, j, k."""
        spacing: NDArray[np.float64] = np.linalg.norm(self.affine[:3, :3], axis=0)
        return spacing

    @property
    def direction(self) -> NDArray[np.float64]:
        """(3, 3) unit vectors of the i, j, k axes in RAS, as columns."""
        return self.affine[:3, :3] / self.spacing

    @property
    def origin(self) -> NDArray[np.float64]:
        """RAS position in mm of the centre of voxel (0, 0, 0)."""
        return self.affine[:3, 3]

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k (without frames)."""
        i, j, k = (*self.array.shape, 1)[:3]
        return i, j, k

    @property
    def frames(self) -> int:
        """Number of frames: 1 for a 3-D volume."""
        return self.array.shape[3] if self.array.ndim == 4 else 1

    def positions(self, indices: ArrayLike) -> NDArray[np.float64]:
        """RAS positions in mm, (…, 3), of voxel indices (…, 3), which need not be whole numbers."""
        return np.asarray(indices, dtype=np.float64) @ self.affine[:3, :3].T + self.origin

    def indices(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Voxel indices (…, 3), not rounded, of RAS positions (…, 3) in mm: the inverse of `positions`."""
        return (np.asarray(positions, dtype=np.float64) - self.origin) @ np.linalg.inv(self.affine[:3, :3]).T

    @property
    def corners(self) -> NDArray[np.float64]:
        """(8, 3) RAS positions in mm of the centres of the corner voxels."""
        return self.positions(list(product(*((0, count - 1) for count in self.grid))))

    def same_grid(self, other: Volume, tolerance_mm: float = 1e-2) -> bool:
        """Whether both grids have the same counts and their corner voxels coincide within `tolerance_mm`."""
        if self.grid != other.grid:
            return False
        distances = np.linalg.norm(self.corners - other.corners, axis=1)
        return bool(distances.max() <= tolerance_mm)


def read_volume(path: Path, units: str = "") -> Volume:
    """Read an image file, or a folder that holds the DICOM files of one series.

    Formats: .nii, .nii.gz, .nrrd, .nhdr, .mha, .npy (with a .json beside it that holds "affine" and "units") and DICOM
    series. Vectors and time become the fourth dimension. The data type of the file is kept where its values need no
    scaling.

    Args:
        path: the file or folder.
        units: what a value of 1 means; "" takes the units of the .npy's .json, and otherwise leaves them open.

    Raises:
        InputError: it is missing, empty, cut off, damaged or of another format, or its orientation is missing, sheared
            or singular; for a series also when slices are missing or there is more than one series.
    """
    path = Path(path)
    if path.is_dir():
        return Volume(*dicom_series.read_dicom_series(path), units)
    suffix = _suffix(path)
    if suffix == ".npy":
        image, own_units = npy.read(path)
        return Volume(*image, units or own_units)
    if suffix not in _READERS:
        raise InputError(f"{path} has an unknown format.", f"Known are {', '.join(_READERS)}, .npy and DICOM folders.")
    return Volume(*_READERS[suffix](path), units)


def write_volume(
    volume: Volume, path: Path, *, overwrite: bool = False, description: str = "", frame_s: float | None = None
) -> None:
    """Write an image file, whole or not at all, in the format of its suffix: .nii, .nii.gz, .nrrd or .npy (+ .json).

    The same volume gives the same bytes. Booleans become uint8, except in .npy. A DICOM series is written by
    `HierSynthLib.dicom_series.write_dicom_series`.

    Args:
        volume: any volume without shear.
        path: the file; missing folders above it are created.
        overwrite: whether an existing file may be replaced; never a .npy, which cannot change at once with its .json.
        description: for the header of a NIfTI file (79 bytes); the units where it is "".
        frame_s: time between frames in s, for the header of a NIfTI file.

    Raises:
        OutputError: the file exists, its format is unknown, or it cannot be written (permission, full disk).
    """
    path = Path(path)
    suffix = _suffix(path)
    if suffix == ".npy":
        _write_pair(volume, path)
        return
    with atomic_file(path, overwrite=overwrite) as temporary:
        if suffix in (".nii", ".nii.gz"):
            nifti.write(temporary, volume.array, volume.affine, description or volume.units, frame_s)
        elif suffix == ".nrrd":
            nrrd.write(temporary, volume.array, volume.affine, volume.units)
        else:
            raise OutputError(f"{path} has an unknown format.", "Use .nii.gz, .nii, .nrrd or .npy.")


def _write_pair(volume: Volume, path: Path) -> None:
    """Write a .npy and its .json, which are for another process, not to last; without the .npy there is no .json."""
    sidecar = path.with_suffix(".json")
    with ExitStack() as undo:
        with atomic_file(path, durable=False) as temporary:
            with atomic_file(sidecar, durable=False) as temporary_sidecar:
                npy.write(temporary, temporary_sidecar, volume.array, volume.affine, volume.units)
            undo.callback(sidecar.unlink)
        undo.pop_all()


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()
