"""Image files of the worker as VTK images, read in steps between which the application stays responsive."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from HierSynthLib.worker.transfer import ArrayFile


def load_image(path: str | Path) -> Generator[float, None, tuple[Any, np.ndarray]]:
    """Read a .npy file of the worker, step by step; the generator's value is the image and its affine.

    Raises:
        InputError: the file is missing, cut off or no volume.
    """
    file = ArrayFile.open(Path(path))
    scalars = vtk.vtkDataArray.CreateDataArray(get_vtk_array_type(file.dtype))
    scalars.SetNumberOfTuples(int(np.prod(file.shape)))
    yield from file.read_into(vtk_to_numpy(scalars))
    image = vtk.vtkImageData()
    image.SetDimensions(*file.shape)
    image.GetPointData().SetScalars(scalars)
    return image, file.affine
