"""Volumes as SimpleITK images and back: SimpleITK is the independent reader that several tests compare with."""

from typing import Any

import numpy as np
import SimpleITK as sitk

from HierSynthLib.formats.common import LPS
from HierSynthLib.volume import Volume


def to_sitk(volume: Volume) -> Any:
    """The `SimpleITK.Image` (LPS, array order zyx) of a 3-D volume; a boolean array becomes uint8."""
    if volume.array.ndim != 3:
        raise ValueError(f"Only a 3-D volume becomes a SimpleITK image, not one with shape {volume.array.shape}.")
    array = volume.array.view(np.uint8) if volume.array.dtype == bool else volume.array
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    lps = LPS @ volume.affine
    direction = (lps[:3, :3] / volume.spacing).round(15)  # ITK cannot invert a matrix with denormal numbers
    image.SetSpacing(volume.spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def from_sitk(image: Any, units: str = "") -> Volume:
    """The `Volume` (RAS, array order ijk) of a 3-D `SimpleITK.Image`; a vector image gets its components as frames."""
    array = sitk.GetArrayFromImage(image)
    axes = (2, 1, 0, 3) if array.ndim == 4 and image.GetDimension() == 3 else range(array.ndim)[::-1]
    direction = np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * image.GetSpacing()[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    return Volume(np.transpose(array, axes), LPS @ affine, units)
