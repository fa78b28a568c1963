"""MetaImage files with their data inside (.mha).

Source of the layout: https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from HierSynthLib.errors import InputError
from HierSynthLib.formats.common import COPY_AGAIN, EXPORT_AGAIN, LPS, Image, array_from, checked_affine, read_bytes

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_LAST_FIELD = b"ElementDataFile"


def read(path: Path) -> Image:
    """Array and affine of a .mha file; channels become the frames.

    Raises:
        InputError: missing, truncated or damaged; a sheared or singular orientation; not 3-D.
    """
    content = read_bytes(path)
    head, mark, rest = content.partition(_LAST_FIELD)
    place, _, data = rest.partition(b"\n")
    lines = head.decode("utf-8", errors="replace").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    if not mark or "NDims" not in fields:
        raise InputError(f"{path} is not a MetaImage file, although its name says so.", EXPORT_AGAIN)
    if place.strip(b" =\r") != b"LOCAL":
        raise InputError(f"{path} keeps its data in another file, which is not supported.", EXPORT_AGAIN)
    if fields["NDims"] != "3":
        raise InputError(f"{path} has {fields['NDims']} dimensions; 3 are needed.", EXPORT_AGAIN)
    try:
        big_endian = "true" in (
            fields.get(key, "").lower() for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
        )
        dtype = np.dtype(_TYPES[fields["ElementType"]]).newbyteorder(">" if big_endian else "<")
        shape = [int(size) for size in fields["DimSize"].split()]
        channels = int(fields.get("ElementNumberOfChannels", "1"))
        spacing = np.array([float(size) for size in fields["ElementSpacing"].split()])
        # A row of the file is the direction of an axis, so the transpose has the directions as columns.
        direction = np.array([float(part) for part in fields["TransformMatrix"].split()]).reshape(3, 3).T
        origin = np.array([float(part) for part in fields.get("Offset", fields.get("Position", "0 0 0")).split()])
        if len(shape) != 3 or min(*shape, channels) < 1 or spacing.shape != (3,) or origin.shape != (3,):
            raise ValueError("sizes or positions that are impossible in 3-D")
        linear, origin = LPS[:3, :3] @ (direction * spacing), LPS[:3, :3] @ origin
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} has a damaged or unsupported MetaImage header ({error}).", EXPORT_AGAIN) from error
    affine = checked_affine(linear, origin, path)
    if fields.get("CompressedData", "").lower() == "true":
        try:
            data = zlib.decompress(data)
        except zlib.error as error:
            raise InputError(f"{path} is cut off or damaged: its data cannot be unpacked.", COPY_AGAIN) from error
    if channels == 1:
        return array_from(data, dtype, shape, path), affine
    return np.moveaxis(array_from(data, dtype, [channels, *shape], path), 0, -1), affine
