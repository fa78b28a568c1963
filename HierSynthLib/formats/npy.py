"""NumPy arrays (.npy) with a JSON file beside them that holds affine and units: fast, for the way between processes."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.formats.common import COPY_AGAIN, Image, checked_affine, chunks, read_bytes


@dataclass(frozen=True)
class Header:
    """What the first bytes of a .npy say.

    Attributes:
        shape: number of voxels along each axis.
        dtype: type of the values.
        fortran_order: whether the first index varies fastest in the file.
        offset: bytes before the first value.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    offset: int


def read(path: Path) -> tuple[Image, str]:
    """Array, affine and units of NAME.npy and NAME.json.

    Raises:
        InputError: one of the two files is missing, truncated or invalid; a sheared or singular affine.
    """
    read_header(path)
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)  # np.load would also open archives
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path) from error
    affine, units = read_sidecar(path)
    return (array, affine), units


def read_header(path: Path) -> Header:
    """The header of a .npy that holds a whole volume.

    Raises:
        InputError: the file is missing, cut off, or holds something else than 2-D to 4-D numbers.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Check the name and the folder.")
    try:
        with path.open("rb") as file:
            shape, fortran_order, dtype = _parse_header(file)
            header = Header(shape, dtype, fortran_order, file.tell())
        size = path.stat().st_size
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path) from error
    if dtype.kind == "O":
        raise _damaged(path)
    if dtype.kind not in "biuf" or not 2 <= len(shape) <= 4:
        raise InputError(f"{path} holds no volume: {len(shape)} dimensions of {dtype}.", "Write 3-D numbers.")
    if size < header.offset + int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise _damaged(path)
    return header


def read_sidecar(path: Path) -> tuple[NDArray[np.float64], str]:
    """Affine and units from the NAME.json beside NAME.npy.

    Raises:
        InputError: it is missing or invalid; a sheared or singular affine.
    """
    sidecar = path.with_suffix(".json")
    text = read_bytes(sidecar)
    try:
        fields = json.loads(text)
        affine = np.array(fields["affine"], dtype=np.float64)
        units = fields.get("units", "")
        if affine.shape != (4, 4) or not isinstance(units, str):
            raise ValueError("affine is no 4 × 4 matrix or units is no text")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{sidecar} does not give the affine (4 × 4, voxel index → RAS mm) and units of {path.name}.",
            'Write {"affine": [[…], […], […], [0, 0, 0, 1]], "units": "…"}.',
        ) from error
    return checked_affine(affine[:3, :3], affine[:3, 3], sidecar), units


def write(path: Path, sidecar: Path, array: NDArray[Any], affine: NDArray[np.float64], units: str) -> None:
    """Write both files, which are replaced.

    Raises:
        OSError: they cannot be written.
    """
    write_sidecar(sidecar, affine, units)
    for _ in write_array(path, array):
        pass


def write_array(path: Path, array: NDArray[Any]) -> Generator[int, None, None]:
    """Write the .npy in pieces of a few megabytes, first index fastest (as VTK has it); yields the bytes of each piece.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array) | {"fortran_order": True}
        np.lib.format.write_array_header_1_0(file, header)
        for piece in chunks(array):
            # file.write names a full disk as such; the tofile inside np.save does not.
            yield file.write(piece)


def write_sidecar(sidecar: Path, affine: NDArray[np.float64], units: str) -> None:
    """Write the .json, which is replaced. Raises `OSError`."""
    fields = {"affine": affine.tolist(), "units": units}
    sidecar.write_text(json.dumps(fields, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def _parse_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"version {version} of the .npy format is for named fields")


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is empty, cut off or not a NumPy array of numbers.", COPY_AGAIN)
