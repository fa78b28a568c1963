"""Arrays between a host and its worker in pieces, so that the host's event loop can run between them.

The files are those of `formats.npy`: the array as .npy, affine and units as .json beside it. They are written with the
first index (i) fastest, which is the order of VTK's memory, so that neither side has to transpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.files import atomic_file
from HierSynthLib.formats import npy
from HierSynthLib.formats.common import COPY_AGAIN

PIECE = 1 << 22
"""Bytes that are read at a time."""


def write_in_pieces(array: NDArray[Any], affine: NDArray[np.float64], units: str, path: Path) -> Iterator[float]:
    """Write an array and its .json, whole or not at all, in pieces of at most 4 MiB.

    An array whose first index is fastest in memory, such as the transposed view of a VTK image, is written without a
    copy. The array must not change meanwhile. Closing the iterator before its end removes what was written.

    Args:
        array: (i, j, k) or (i, j, k, frame) numbers.
        affine: (4, 4) voxel index → RAS mm.
        units: what a value of 1 means.
        path: a new file NAME.npy; missing folders above it are created.

    Yields:
        The fraction that is done, after each piece; 1.0 once both files are there under their names.

    Raises:
        OutputError: a file exists, or cannot be written (permission, full disk).
        ValueError: the array does not hold 2-D to 4-D real numbers.
    """
    if array.dtype.kind not in "biuf" or not 2 <= array.ndim <= 4:
        raise ValueError(f"A volume holds 2-D to 4-D real numbers, not {array.ndim}-D {array.dtype}.")
    sidecar = path.with_suffix(".json")
    written = 0
    with ExitStack() as undo:
        with atomic_file(path, durable=False) as temporary:
            with closing(npy.write_array(temporary, array)) as pieces:
                for size in pieces:
                    written += size
                    if written < array.nbytes:
                        yield written / array.nbytes
            with atomic_file(sidecar, durable=False) as temporary_sidecar:
                npy.write_sidecar(temporary_sidecar, np.asarray(affine, dtype=np.float64), units)
            undo.callback(sidecar.unlink)
        undo.pop_all()
    yield 1.0


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """An array on disk whose values are still to be read.

    Attributes:
        path: the .npy.
        shape: number of voxels along i, j, k (and frames).
        dtype: type of the values.
        affine: (4, 4) voxel index → RAS mm.
        units: what a value of 1 means.
        fortran_order: whether the first index (i) varies fastest in the file, as in VTK's memory.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    affine: NDArray[np.float64]
    units: str
    fortran_order: bool
    _offset: int

    @classmethod
    def open(cls, path: Path) -> ArrayFile:
        """Read what the two files say about the array.

        Raises:
            InputError: one of them is missing, cut off or damaged, or the array is no volume.
        """
        path = Path(path)
        header = npy.read_header(path)
        affine, units = npy.read_sidecar(path)
        return cls(path, header.shape, header.dtype, affine, units, header.fortran_order, header.offset)

    def read_into(self, buffer: NDArray[Any]) -> Iterator[float]:
        """Read the values, in the order in which the file has them, into memory of the caller.

        Args:
            buffer: C-contiguous and writable, of the file's type and number of values, e.g. the scalars of a VTK image.

        Returns:
            An iterator that reads a piece of at most 4 MiB at every step and gives the fraction that is done.

        Raises:
            ValueError: the buffer does not fit the file.
            InputError: from the iterator: the file was cut off or cannot be read.
        """
        if buffer.dtype != self.dtype or buffer.size != int(np.prod(self.shape)):
            wanted = f"{int(np.prod(self.shape))} of {self.dtype}"
            raise ValueError(f"{self.path.name} holds {wanted}, the buffer {buffer.size} of {buffer.dtype}.")
        if not buffer.flags.c_contiguous or not buffer.flags.writeable:
            raise ValueError("The buffer is not C-contiguous or not writable.")
        return self._read(buffer.reshape(-1).view(np.uint8).data)

    def _read(self, memory: memoryview) -> Iterator[float]:
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self._offset)
                done = 0
                while done < len(memory):
                    count = file.readinto(memory[done : done + PIECE])
                    if not count:
                        raise InputError(f"{self.path} is cut off.", COPY_AGAIN)
                    done += count
                    yield done / len(memory)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}.", COPY_AGAIN) from error
