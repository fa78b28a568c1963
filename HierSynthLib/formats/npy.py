"""NumPy arrays (.npy) with a JSON file beside them that holds affine and units: fast, for the way between processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.formats.common import COPY_AGAIN, Image, checked_affine, read_bytes


def read(path: Path) -> tuple[Image, str]:
    """Array, affine and units of NAME.npy and NAME.json.

    Raises:
        InputError: one of the two files is missing, truncated or invalid; a sheared or singular affine.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Check the name and the folder.")
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)  # np.load would also open archives
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is empty, cut off or not a NumPy array of numbers.", COPY_AGAIN) from error
    if array.dtype.kind not in "biuf" or not 2 <= array.ndim <= 4:
        raise InputError(f"{path} holds no volume: {array.ndim} dimensions of {array.dtype}.", "Write 3-D numbers.")
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
    return (array, checked_affine(affine[:3, :3], affine[:3, 3], sidecar)), units


def write(path: Path, sidecar: Path, array: NDArray[Any], affine: NDArray[np.float64], units: str) -> None:
    """Write both files, which are replaced.

    Raises:
        OSError: they cannot be written.
    """
    with path.open("wb") as file:
        voxels = array if array.flags.c_contiguous or array.flags.f_contiguous else np.ascontiguousarray(array)
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(voxels))
        # file.write names a full disk as such; the tofile inside np.save does not.
        file.write(voxels.ravel(order="K").view(np.uint8).data)
    fields = {"affine": affine.tolist(), "units": units}
    sidecar.write_text(json.dumps(fields, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
