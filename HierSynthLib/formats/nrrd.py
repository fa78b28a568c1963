"""NRRD files: .nrrd, and .nhdr with its data in a second file.

Source of the layout: https://teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import bz2
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.formats.common import (
    COPY_AGAIN,
    EXPORT_AGAIN,
    LPS,
    Image,
    array_from,
    checked_affine,
    chunks,
    decompress_gzip,
    read_bytes,
    storable,
)

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPES = {name: np.dtype(code) for code, names in _TYPES.items() for name in names}
_RAS_PER_SPACE = {
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip


def read(path: Path) -> Image:
    """Array and affine of a NRRD file; the axis without a direction (vector, list, time) becomes the frames.

    Raises:
        InputError: missing, truncated or damaged; no orientation, or a sheared or singular one; a 2-D image.
    """
    content = read_bytes(path)
    fields, rest = _fields(content, path)
    try:
        dtype = _DTYPES[fields["type"].lower()].newbyteorder("<" if fields.get("endian", "little") == "little" else ">")
        shape = [int(size) for size in fields["sizes"].split()]
        axes = [_vector(text) for text in re.findall(r"none|\([^)]*\)", fields.get("space directions", ""))]
        if min(shape) < 1:
            raise ValueError("an axis has no voxels")
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} has a damaged or unsupported NRRD header ({error}).", EXPORT_AGAIN) from error
    frame_axes = [number for number, axis in enumerate(axes) if axis is None]
    affine = _affine([axis for axis in axes if axis is not None], fields, path)
    if len(axes) != len(shape) or len(shape) > 4:
        raise InputError(f"{path} has {len(shape)} dimensions; 3 (or 4, with time) are needed.", EXPORT_AGAIN)
    array = array_from(_data(fields, rest, path), dtype, shape, path)
    return (np.moveaxis(array, frame_axes[0], -1) if frame_axes else array), affine


def write(path: Path, array: NDArray[Any], affine: NDArray[np.float64], units: str = "") -> None:
    """Write a gzip-compressed .nrrd in LPS, frames last, as 3D Slicer does; equal arguments give equal bytes.

    Args:
        path: the file, which is replaced.
        array: (i, j, k[, frame]); booleans become uint8 and float16 becomes float32.
        affine: (4, 4), voxel index → RAS mm.
        units: kept as the key "units".

    Raises:
        OSError: it cannot be written.
    """
    voxels = storable(array)
    lps = LPS @ affine
    frames = array.ndim - 3
    header = [
        "NRRD0005",
        f"type: {_TYPES[voxels.dtype.str[1:]][0]}",
        f"dimension: {array.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, array.shape))}",
        f"space directions: {' '.join([*map(_text, lps[:3, :3].T), *['none'] * frames])}",
        f"kinds: {' '.join([*['domain'] * 3, *['list'] * frames])}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_text(lps[:3, 3])}",
        *([f"units:={units}"] if units else []),
    ]
    compressor = zlib.compressobj(1, wbits=31)  # gzip without a time stamp
    with path.open("wb") as file:
        file.write(("\n".join(header) + "\n\n").encode())
        for piece in chunks(voxels):
            file.write(compressor.compress(piece))
        file.write(compressor.flush())


def _fields(content: bytes, path: Path) -> tuple[dict[str, str], bytes]:
    """The fields of the header and the bytes after the empty line that ends it."""
    end = re.search(rb"\r?\n\r?\n", content)
    head, rest = (content[: end.start()], content[end.end() :]) if end else (content, b"")
    if not head.startswith(b"NRRD"):
        raise InputError(f"{path} is not a NRRD file, although its name says so.", EXPORT_AGAIN)
    lines = head.decode("utf-8", errors="replace").splitlines()[1:]
    pairs = (line.split(": ", 1) for line in lines if not line.startswith("#") and ": " in line and ":=" not in line)
    return {key.strip().lower(): value.strip() for key, value in pairs}, rest


def _vector(text: str) -> NDArray[np.float64] | None:
    """A vector "(x,y,z)", or None for "none"."""
    return None if text == "none" else np.array([float(part) for part in text.strip("() ").split(",")])


def _text(vector: NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(part)) for part in vector) + ")"


def _affine(axes: list[NDArray[np.float64]], fields: dict[str, str], path: Path) -> NDArray[np.float64]:
    if fields.get("dimension") == "2" or len(axes) == 2:
        raise InputError(f"{path} is a 2-D image; a volume is needed.", "Choose the whole series.")
    space = fields.get("space", "").lower()
    if space not in _RAS_PER_SPACE or len(axes) != 3 or any(len(axis) != 3 for axis in axes):
        raise InputError(
            f"{path} does not say how it lies in the patient, so left and right are unknown.", EXPORT_AGAIN
        )
    signs = np.array(_RAS_PER_SPACE[space], dtype=np.float64)
    try:
        origin = _vector(fields.get("space origin", "(0,0,0)"))
        if origin is None or origin.shape != (3,):
            raise ValueError("three numbers are needed")
    except ValueError as error:
        raise InputError(f"{path} has a damaged NRRD header (space origin).", EXPORT_AGAIN) from error
    return checked_affine(np.stack(axes, axis=1) * signs[:, None], origin * signs, path)


def _data(fields: dict[str, str], rest: bytes, path: Path) -> bytes:
    """The unpacked voxel data, from this file or from the one that the header names."""
    name = fields.get("data file", fields.get("datafile"))
    skips = {fields.get(key, "0") for key in ("line skip", "lineskip", "byte skip", "byteskip")} - {"0"}
    if skips or (name and (name.startswith("LIST") or "%" in name)):
        raise InputError(f"{path} spreads its data in a way that is not supported.", EXPORT_AGAIN)
    source = path
    if name:
        source = path.parent / name
        if not source.is_file():
            raise InputError(f"{path} lacks its data file {name}.", "Put both files into the same folder.")
        rest = read_bytes(source)
    encoding = fields.get("encoding", "raw").lower()
    if encoding == "raw":
        return rest
    if encoding in ("gzip", "gz"):
        return decompress_gzip(rest, source)
    if encoding in ("bzip2", "bz2"):
        try:
            return bz2.decompress(rest)
        except (OSError, ValueError) as error:
            raise InputError(f"{source} is damaged: its compressed data cannot be unpacked.", COPY_AGAIN) from error
    raise InputError(f"{path} uses the encoding {encoding}, which is not supported.", EXPORT_AGAIN)
