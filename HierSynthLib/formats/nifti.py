"""NIfTI-1 and NIfTI-2 single files (.nii, .nii.gz).

Source of the layout: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h and nifti2.h.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.formats.common import (
    EXPORT_AGAIN,
    Image,
    array_from,
    checked_affine,
    chunks,
    decompress_gzip,
    read_bytes,
    storable,
)

_NIFTI1 = np.dtype(
    [
        ("sizeof_hdr", "<i4"), ("data_type", "S10"), ("db_name", "S18"), ("extents", "<i4"), ("session_error", "<i2"),
        ("regular", "S1"), ("dim_info", "u1"), ("dim", "<i2", 8), ("intent_p", "<f4", 3), ("intent_code", "<i2"),
        ("datatype", "<i2"), ("bitpix", "<i2"), ("slice_start", "<i2"), ("pixdim", "<f4", 8), ("vox_offset", "<f4"),
        ("scl_slope", "<f4"), ("scl_inter", "<f4"), ("slice_end", "<i2"), ("slice_code", "u1"), ("xyzt_units", "u1"),
        ("cal_max", "<f4"), ("cal_min", "<f4"), ("slice_duration", "<f4"), ("toffset", "<f4"), ("glmax", "<i4"),
        ("glmin", "<i4"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "<i2"), ("sform_code", "<i2"),
        ("quatern", "<f4", 3), ("qoffset", "<f4", 3), ("srow", "<f4", (3, 4)), ("intent_name", "S16"), ("magic", "S4"),
    ]
)  # fmt: skip
_NIFTI2 = np.dtype(
    [
        ("sizeof_hdr", "<i4"), ("magic", "S8"), ("datatype", "<i2"), ("bitpix", "<i2"), ("dim", "<i8", 8),
        ("intent_p", "<f8", 3), ("pixdim", "<f8", 8), ("vox_offset", "<i8"), ("scl_slope", "<f8"),
        ("scl_inter", "<f8"), ("cal_max", "<f8"), ("cal_min", "<f8"), ("slice_duration", "<f8"), ("toffset", "<f8"),
        ("slice_start", "<i8"), ("slice_end", "<i8"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "<i4"),
        ("sform_code", "<i4"), ("quatern", "<f8", 3), ("qoffset", "<f8", 3), ("srow", "<f8", (3, 4)),
        ("slice_code", "<i4"), ("xyzt_units", "<i4"), ("intent_code", "<i4"), ("intent_name", "S16"),
        ("dim_info", "u1"), ("unused", "S15"),
    ]
)  # fmt: skip
_DATATYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_CODES = {np.dtype(name): code for code, name in _DATATYPES.items()}
_MM_PER_UNIT = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}  # unknown (taken as mm), metre, millimetre, micrometre
_SECONDS_PER_UNIT = {8: 1.0, 16: 1e-3, 24: 1e-6}  # second, millisecond, microsecond
_Order = Literal["<", ">"]
_ORDERS: tuple[_Order, ...] = ("<", ">")
_DATA_OFFSET = 352  # header and the four bytes that say "no extensions"


def read(path: Path) -> Image:
    """Array and affine of a NIfTI file; the sform is used where it is set, otherwise the qform.

    The array keeps the data type of the file, unless the header scales the values: then it is float32 (float64 for
    integers of more than 16 bits and for float64).

    Raises:
        InputError: missing, truncated, damaged or no NIfTI file; no orientation, or a sheared or singular one.
    """
    data = read_bytes(path)
    if data[:2] == b"\x1f\x8b":
        data = decompress_gzip(data, path)
    header, order = _header(data, path)
    dtype, offset = _layout(header, order, path)
    array = array_from(memoryview(data)[offset:], dtype, _shape(header, path), path)
    return _scaled(array, float(header["scl_slope"]), float(header["scl_inter"])), _affine(header, path)


@dataclass(frozen=True)
class NiftiNote:
    """What stands in a header beside the image.

    Attributes:
        description: free text.
        frame_s: time between frames in s; None where it or its unit is not stated.
    """

    description: str
    frame_s: float | None


def read_note(path: Path) -> NiftiNote:
    """Description and time between frames of a NIfTI file, from its header alone.

    Raises:
        InputError: missing, truncated, damaged or no NIfTI file.
    """
    header = _header_alone(path)
    step = float(header["pixdim"][4]) * _SECONDS_PER_UNIT.get(int(header["xyzt_units"]) & 56, 0.0)
    description = bytes(header["descrip"]).split(b"\0")[0].decode("utf-8", errors="replace")
    return NiftiNote(description, float(f"{step:.6g}") if np.isfinite(step) and step > 0 else None)


def read_shape(path: Path) -> tuple[int, ...]:
    """Number of voxels and frames of a NIfTI file, from its header alone.

    Raises:
        InputError: missing, truncated, damaged or no NIfTI file.
    """
    return _shape(_header_alone(path), path)


@dataclass(frozen=True, eq=False)
class Header:
    """What the first bytes of a NIfTI file say.

    Attributes:
        shape: number of voxels along each axis; the first index varies fastest in the file.
        dtype: type of the values, with their byte order.
        affine: (4, 4), voxel index → RAS mm.
        offset: bytes before the first value.
        scaled: whether the header scales the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    affine: NDArray[np.float64]
    offset: int
    scaled: bool


def read_header(path: Path) -> Header:
    """The header of a NIfTI file that is not compressed; no voxel is read.

    Raises:
        InputError: missing, truncated, damaged, compressed or no NIfTI file; no orientation, or a sheared or singular
            one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_NIFTI2.itemsize)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the file and its permissions.") from error
    header, order = _header(data, path)
    dtype, offset = _layout(header, order, path)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    return Header(_shape(header, path), dtype, _affine(header, path), offset, not _is_plain(slope, intercept))


def write(
    path: Path,
    array: NDArray[Any],
    affine: NDArray[np.float64],
    description: str = "",
    frame_s: float | None = None,
) -> None:
    """Write a NIfTI-1 file, compressed if the name ends with .gz; equal arguments give equal bytes.

    Booleans become uint8 and float16 becomes float32; other types are kept. The fastest compression is used: a higher
    level makes the file of a noisy map less than 5 % smaller.

    Args:
        path: the file, which is replaced.
        array: (i, j[, k[, frame]]).
        affine: (4, 4), voxel index → RAS mm, without shear.
        description: at most 79 bytes of UTF-8 are kept.
        frame_s: time between frames in s, of a series over time.

    Raises:
        OSError: it cannot be written.
    """
    voxels = storable(array)
    compressor = zlib.compressobj(1, wbits=31) if path.suffix == ".gz" else None  # 31: gzip without a time stamp
    with path.open("wb") as file:
        head = memoryview(_new_header(voxels, affine, description, frame_s).tobytes() + bytes(4))
        for piece in (head, *chunks(voxels)):
            file.write(compressor.compress(piece) if compressor else piece)
        if compressor:
            file.write(compressor.flush())


def _header_alone(path: Path) -> np.void:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as file:
            return _header(file.read(_NIFTI2.itemsize), path)[0]
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read.", EXPORT_AGAIN) from error


def _header(data: bytes, path: Path) -> tuple[np.void, _Order]:
    """The header and its byte order."""
    for layout, magic in ((_NIFTI1, b"n+1"), (_NIFTI2, b"n+2")):
        if len(data) >= layout.itemsize:
            for order in _ORDERS:
                header = np.frombuffer(data, layout.newbyteorder(order), 1)[0]
                if header["sizeof_hdr"] == layout.itemsize and header["magic"][:3] == magic:
                    return header, order
    raise InputError(f"{path} is not a NIfTI file, although its name says so.", EXPORT_AGAIN)


def _layout(header: np.void, order: _Order, path: Path) -> tuple[np.dtype[Any], int]:
    """Type of the values, and the bytes before the first."""
    code = int(header["datatype"])
    if code not in _DATATYPES:
        raise InputError(f"{path} holds colours or complex numbers, not one real value per voxel.", EXPORT_AGAIN)
    offset = int(header["vox_offset"]) if np.isfinite(header["vox_offset"]) else -1
    if offset < header.dtype.itemsize:
        raise InputError(f"{path} has a damaged NIfTI header: the place of the voxel data is invalid.", EXPORT_AGAIN)
    return np.dtype(_DATATYPES[code]).newbyteorder(order), offset


def _shape(header: np.void, path: Path) -> tuple[int, ...]:
    """Two to four dimensions; a vector in the fifth one becomes the frames, dimensions of one voxel at the end go."""
    count = int(header["dim"][0])
    shape = tuple(int(size) for size in header["dim"][1 : count + 1])
    if not 1 <= count <= 7 or min(shape) < 1:
        raise InputError(f"{path} has a damaged NIfTI header: its dimensions are invalid.", EXPORT_AGAIN)
    shape = shape[:3] + tuple(size for size in shape[3:] if size > 1)
    if not 2 <= len(shape) <= 4:
        raise InputError(f"{path} has {len(shape)} dimensions; 3 (or 4, with time) are needed.", EXPORT_AGAIN)
    return shape


def _scaled(array: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    if _is_plain(slope, intercept):
        return array
    small = array.dtype.itemsize <= 2 or array.dtype == np.float32
    scaled: NDArray[Any] = (array * np.float64(slope) + intercept).astype(np.float32 if small else np.float64)
    return scaled


def _is_plain(slope: float, intercept: float) -> bool:
    """Whether the values in the file are those that are meant."""
    return slope == 0 or not bool(np.isfinite((slope, intercept)).all()) or (slope, intercept) == (1, 0)


def _affine(header: np.void, path: Path) -> NDArray[np.float64]:
    unit = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    if header["sform_code"] > 0:
        srow = header["srow"].astype(np.float64) * unit
        return checked_affine(srow[:, :3], srow[:, 3], path)
    if header["qform_code"] > 0:
        pixdim = header["pixdim"].astype(np.float64)
        edges = pixdim[1:4] * (1, 1, -1 if pixdim[0] < 0 else 1)
        rotation = _rotation(header["quatern"].astype(np.float64), path)
        return checked_affine(rotation * edges * unit, header["qoffset"].astype(np.float64) * unit, path)
    raise InputError(
        f"{path} does not say how it lies in the patient (sform and qform are not set): left and right are unknown.",
        EXPORT_AGAIN,
    )


def _rotation(bcd: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    """Rotation matrix of the unit quaternion a + bi + cj + dk with a ≥ 0 (nifti1.h, method 2)."""
    squares = float(bcd @ bcd)
    if not squares <= 1 + 1e-4:
        raise InputError(f"{path} has a singular orientation: its qform is no rotation.", EXPORT_AGAIN)
    # Single precision cannot tell a half turn (a = 0) from nearly one; a half turn, as in many files, is meant then.
    half_turn = squares > 1 - 3 * np.finfo(np.float32).eps
    a = 0.0 if half_turn else np.sqrt(1 - squares)
    b, c, d = bcd / np.sqrt(squares) if half_turn else bcd
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def _quaternion(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """(b, c, d) of the unit quaternion, with a ≥ 0, of a rotation matrix.

    The quaternion is the eigenvector of the largest eigenvalue of Bar-Itzhack's symmetric matrix (J. Guid. Control Dyn.
    23(6), 2000, version 3), which needs no case distinction.
    """
    r = rotation
    symmetric = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [0, r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2]],
            [0, 0, r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2]],
            [0, 0, 0, r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    abcd = np.linalg.eigh(symmetric, UPLO="U").eigenvectors[:, -1]
    bcd: NDArray[np.float64] = abcd[1:] * (-1 if abcd[0] < 0 else 1)
    return bcd


def _new_header(
    array: NDArray[Any], affine: NDArray[np.float64], description: str, frame_s: float | None
) -> NDArray[np.void]:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = affine[:3, :3] / spacing
    left_handed = np.linalg.det(direction) < 0
    header = np.zeros((), _NIFTI1)
    header["sizeof_hdr"] = _NIFTI1.itemsize
    header["regular"] = b"r"
    header["dim"] = (array.ndim, *array.shape, *[1] * (7 - array.ndim))
    header["datatype"] = _CODES[array.dtype.newbyteorder("=")]
    header["bitpix"] = 8 * array.dtype.itemsize
    header["pixdim"] = (-1 if left_handed else 1, *spacing, frame_s or 1, 1, 1, 1)
    header["vox_offset"] = _DATA_OFFSET
    header["scl_slope"] = 1
    header["xyzt_units"] = 2 if frame_s is None else 2 | 8  # mm, s
    header["descrip"] = description.encode()[:79].decode(errors="ignore").encode()
    header["qform_code"] = header["sform_code"] = 1  # scanner coordinates
    header["quatern"] = _quaternion(direction * (1, 1, -1) if left_handed else direction)
    header["qoffset"] = affine[:3, 3]
    header["srow"] = affine[:3]
    header["magic"] = b"n+1"
    return header
