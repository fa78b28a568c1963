"""What a perfusion job reads: the series, masks on its grid, the voxels of the arterial input function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.masks import rasterise
from HierSynthLib.perfusion.reading import read_series
from HierSynthLib.perfusion.request import PerfusionRequest
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.perfusion.voxel_curve import voxels_at
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.progress import Reporter
from HierSynthLib.volume import Volume, read_volume

WHITE_MATTER = "normal-appearing white matter"
_ENTER = "Enter it; the protocol of the series names it."

Mask = NDArray[np.bool_]


def read_all(request: PerfusionRequest, reporter: Reporter, told: list[str]) -> DscSeries:
    """Read the series of a request, from whole files or frame by frame.

    Args:
        request: names files and times.
        reporter: told about progress.
        told: gets a sentence for each contradiction between the times that are used and others.

    Raises:
        InputError: a file cannot be read, frames lie on different grids, a time is missing or absurd, or the series is
            unusable.
        Cancelled: from the reporter.
    """
    if not request.frames:
        return read_series(request.series, request.te_s, request.tr_s, request.flip_deg, told)
    if request.te_s is None:
        raise InputError("The echo time of the DSC series is unknown.", _ENTER)
    if request.tr_s is None:
        raise InputError("The time between the frames of the DSC series is unknown.", _ENTER)
    volumes = [read_frames(files, reporter) for files in request.frames]
    return DscSeries.from_volumes(volumes, request.te_s, request.tr_s, request.flip_deg)


def read_frames(files: tuple[Path, ...], reporter: Reporter) -> Volume:
    """Read the frames of one echo into a volume (I, J, K, T) of float32.

    Raises:
        InputError: a frame cannot be read, is not 3-D, or lies on another grid than the first.
        Cancelled: from the reporter.
    """
    first = read_volume(files[0])
    # Frames behind each other, as the processing wants them.
    series = np.empty((*first.grid, len(files)), dtype=np.float32, order="F")
    for number, path in enumerate(files):
        reporter.progress("reading", number / len(files))
        frame = first if number == 0 else read_volume(path)
        if frame.frames > 1:
            raise InputError(f"Frame {number + 1} of the DSC series is a series itself.", "Choose another node.")
        if not frame.same_grid(first):
            raise InputError(
                f"Frame {number + 1} of the DSC series lies on another grid than the first.",
                "Choose a series whose frames all have the same size and place.",
            )
        series[..., number] = frame.array.reshape(first.grid)
    return Volume(series, first.affine)


def white_matter(request: PerfusionRequest, series: DscSeries, told: list[str]) -> Mask | None:
    """The mask of normal-appearing white matter on the grid of the series; None where none is given.

    Raises:
        InputError: a file cannot be read, or no voxel of the series lies in it.
    """
    if request.nawm is not None:
        return read_mask(request.nawm, WHITE_MATTER, series, told, label=request.nawm_label)
    if request.nawm_region is None:
        return None
    region = rasterise(request.nawm_region, Grid(series.grid, series.affine), read_volume)
    if not region.count:
        raise InputError(
            f"The {WHITE_MATTER} holds no voxel of the DSC series.", "Are both of the same examination, and aligned?"
        )
    mask = np.zeros(series.grid, dtype=bool)
    mask[region.slices] = region.inside
    return mask


def read_mask(
    path: Path, name: str, series: DscSeries, told: list[str], *, label: int | None = None, any_label: bool = False
) -> Mask:
    """Read a mask and put it onto the grid of the series, by its position in the patient.

    Args:
        path: of the file.
        name: for messages.
        series: whose grid is wanted.
        told: gets a warning if the mask lay on another grid.
        label: the value that counts; None for all values but 0, of which there may be one only.
        any_label: whether several values may be there all the same.

    Returns:
        (I, J, K) mask.

    Raises:
        InputError: it cannot be read, is not 3-D, holds several labels, or nothing on the grid of the series.
    """
    volume = read_volume(path)
    if volume.array.ndim == 4:
        raise InputError(f"{path} has 4 dimensions; a mask has 3.", "Give the mask, not the series.")
    values = np.nan_to_num(volume.array.reshape(volume.grid))
    if label is not None:
        inside = values == label
    else:
        # Shares of a voxel between 0 and 1 count from a half; labels are whole numbers.
        inside = values > (0.5 if values.max() <= 1 else 0)
        labels = np.unique(values[inside])
        if values.max() > 1 and labels.size > 1 and not any_label:
            some = ", ".join(f"{value:g}" for value in labels[:6])
            raise InputError(
                f"{path} holds several values ({some}{' …' if labels.size > 6 else ''}).",
                f"Say which one is the {name} with --nawm-label.",
            )
    if not inside.any():
        what = "empty" if label is None else f"without the label {label}"
        raise InputError(f"The {name} {path} is {what}.", "Check the file.")
    reference = Volume(np.zeros(series.grid, dtype=np.uint8), series.affine)
    if Volume(inside, volume.affine).same_grid(reference):
        return np.asarray(inside)
    moved = resample(inside.astype(np.float32), volume.affine, series.grid, series.affine) > 0.5
    if not moved.any():
        raise InputError(
            f"The {name} {path} holds no voxel of the DSC series.", "Are both of the same examination, and aligned?"
        )
    told.append(
        f"The {name} lies on another grid than the DSC series and was brought onto it by position, "
        "without registration."
    )
    return np.asarray(moved)


def aif_voxels(request: PerfusionRequest, series: DscSeries) -> NDArray[np.intp] | None:
    """(n, 3) voxels of the arterial input function that the request names; None where they are to be found.

    Raises:
        InputError: a mask lies on another grid, cannot be read or is empty, or a point lies outside the series.
    """
    if request.aif_points is not None:
        return _at_points(request, series)
    if request.aif_voxels is not None:
        return np.asarray(request.aif_voxels, dtype=np.intp)
    if request.aif_mask is None:
        return None
    volume = read_volume(request.aif_mask)
    reference = Volume(np.zeros(series.grid, dtype=np.uint8), series.affine)
    if volume.array.ndim == 4 or not volume.same_grid(reference):
        raise InputError(
            f"The mask {request.aif_mask} of the arterial input function lies on another grid than the DSC series.",
            "Draw it on the series, or give the voxels.",
        )
    voxels = np.argwhere(np.nan_to_num(volume.array.reshape(volume.grid)) > 0)
    if not len(voxels):
        raise InputError(f"The mask {request.aif_mask} of the arterial input function is empty.", "Mark an artery.")
    return np.asarray(voxels, dtype=np.intp)


def _at_points(request: PerfusionRequest, series: DscSeries) -> NDArray[np.intp]:
    found = voxels_at(request.aif_points or (), series.affine)
    outside = np.flatnonzero(np.any((found < 0) | (found >= series.grid), axis=1))
    if outside.size:
        raise InputError(
            f"Point {outside[0] + 1} of the arterial input function lies outside the DSC series.",
            "Place it in an artery within the series, or remove it.",
        )
    # Two points in the same voxel are one.
    return np.unique(found, axis=0)
