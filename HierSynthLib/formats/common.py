"""What the readers of all formats share: bytes, decompression, arrays and the check of the geometry."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from HierSynthLib.errors import InputError

Image = tuple[NDArray[Any], NDArray[np.float64]]
"""An array and its affine (voxel index → RAS mm)."""

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS ↔ LPS, its own inverse."""

COPY_AGAIN = "Copy or download the file again."
RESAMPLE = "Resample it to a grid with right angles, for example with a Resample module of 3D Slicer."
EXPORT_AGAIN = "Export the image again, for example from 3D Slicer as .nii.gz."

_PIECE = 1 << 22  # bytes: large enough for speed, small enough to be written or read between two frames of a display
_SHEAR_TOLERANCE = 1e-3  # cosine between two axes: a quarter of a millimetre across a head


def read_bytes(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        InputError: the file is missing, empty, a folder or not readable.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.", "Check the name and the folder.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the file and its permissions.") from error
    if not data:
        raise InputError(f"{path} is empty (0 bytes).", COPY_AGAIN)
    return data


def decompress_gzip(data: bytes, path: Path) -> bytes:
    """The content of a gzip stream, verified against its length and checksum.

    Raises:
        InputError: the stream is truncated or damaged.
    """
    try:
        return gzip.decompress(data)
    except EOFError as error:
        raise InputError(f"{path} is cut off: its compressed data ends too early.", COPY_AGAIN) from error
    except (OSError, zlib.error) as error:
        raise InputError(f"{path} is damaged: its compressed data cannot be unpacked.", COPY_AGAIN) from error


def array_from(data: bytes | memoryview, dtype: np.dtype[Any], shape: Sequence[int], path: Path) -> NDArray[Any]:
    """A writable array of native byte order whose first index varies fastest in `data`; surplus bytes are ignored.

    Raises:
        InputError: `data` is too short.
    """
    count = int(np.prod([int(size) for size in shape], dtype=object))
    needed = count * dtype.itemsize
    if len(data) < needed:
        raise InputError(f"{path} is cut off: {len(data)} of {needed} bytes of voxel data are there.", COPY_AGAIN)
    return np.frombuffer(data, dtype, count).reshape(tuple(shape), order="F").astype(dtype.newbyteorder("="))


def storable(array: NDArray[Any]) -> NDArray[Any]:
    """The array in a little-endian type that image formats know: bool becomes uint8, float16 becomes float32."""
    wider = {np.dtype(bool): np.uint8, np.dtype(np.float16): np.float32, np.dtype(np.longdouble): np.float64}
    dtype = np.dtype(wider.get(array.dtype, array.dtype))
    return array.astype(dtype.newbyteorder("<"), copy=False)


def chunks(array: NDArray[Any]) -> Iterator[memoryview]:
    """The bytes of an array, first index fastest, in pieces of at most `_PIECE`.

    No second copy of the whole is made; an array that lies in memory in this order is not copied at all.
    """
    for frame in np.moveaxis(array, 3, 0) if array.ndim == 4 else (array,):
        thickness = max(1, _PIECE * frame.shape[-1] // max(1, frame.nbytes))
        for start in range(0, frame.shape[-1], thickness):
            slab = frame[..., start : start + thickness].ravel(order="F").view(np.uint8).data
            for first in range(0, len(slab), _PIECE):
                yield slab[first : first + _PIECE]


def checked_affine(linear: ArrayLike, origin: ArrayLike, path: Path) -> NDArray[np.float64]:
    """The affine with the given axes (columns, mm per voxel) and origin (mm), both in RAS.

    Raises:
        InputError: it has a value that is not finite, an axis without length, or axes that are not at right angles.
    """
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = origin
    flaw = flaw_of_axes(affine[:3, :3]) if np.isfinite(affine).all() else "an orientation that is not finite"
    if flaw:
        raise InputError(f"{path} has {flaw}.", RESAMPLE)
    return affine


def flaw_of_axes(linear: NDArray[np.float64]) -> str:
    """What is wrong with finite voxel axes (columns of a 3 × 3 matrix), to follow "… has"; "" where nothing is."""
    lengths = np.linalg.norm(linear, axis=0)
    if lengths.min() <= 0:
        return "a singular orientation: an axis has no length"
    direction = linear / lengths
    if abs(np.linalg.det(direction)) < _SHEAR_TOLERANCE:
        return "a singular orientation: its axes lie in one plane"
    if np.abs(direction.T @ direction - np.eye(3)).max() > _SHEAR_TOLERANCE:
        return "a sheared orientation: its axes are not at right angles"
    return ""
