"""Shapes in millimetres on isotropic grids, and a brain found by thresholds alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.preparation.grid import Grid

Mask = NDArray[np.bool_]

# Air and noise lie below this share of the bright part of a head.
_AIR = 0.15


def dilated(mask: Mask, mm: float, spacing_mm: float) -> Mask:
    """Everything within `mm` of the mask."""
    return np.asarray(ndimage.distance_transform_edt(~mask) * spacing_mm <= mm)


def eroded(mask: Mask, mm: float, spacing_mm: float) -> Mask:
    """What lies more than `mm` inside the mask; the edge of the array does not count as outside."""
    return np.asarray(ndimage.distance_transform_edt(mask) * spacing_mm > mm)


def closed(mask: Mask, mm: float, spacing_mm: float) -> Mask:
    """The mask with gaps narrower than twice `mm` filled."""
    pad = int(np.ceil(mm / spacing_mm)) + 1
    grown = dilated(np.pad(mask, pad, mode="edge"), mm, spacing_mm)
    inner = (slice(pad, -pad),) * 3
    return np.asarray(eroded(grown, mm, spacing_mm)[inner])


def opened(mask: Mask, mm: float, spacing_mm: float) -> Mask:
    """The part of the mask that a ball of radius `mm` reaches without leaving it."""
    return dilated(eroded(mask, mm, spacing_mm), mm, spacing_mm) & mask


def largest_part(mask: Mask) -> Mask:
    """The largest connected part; the mask itself if it is empty."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    return np.asarray(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))


def signed_distance(mask: Mask, spacing_mm: float) -> NDArray[np.float32]:
    """Distance in mm to the mask's surface, positive inside."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    return np.asarray(np.where(mask, inside - 0.5, 0.5 - outside) * spacing_mm, dtype=np.float32)


def head_of(values: NDArray[np.float32], spacing_mm: float) -> Mask:
    """The head without the air around it."""
    smooth = ndimage.gaussian_filter(values, 3.0 / spacing_mm)
    head = largest_part(smooth > _AIR * np.percentile(smooth, 95))
    return np.asarray(ndimage.binary_fill_holes(closed(head, 12.0, spacing_mm)))


def top_of_head(head: Mask, grid: Grid) -> NDArray[np.float64]:
    """RAS point (mm): middle of the head's upper 120 mm from left to right and front to back, at its highest level."""
    points = np.argwhere(head) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    if not len(points):
        return grid.centre
    top = float(np.percentile(points[:, 2], 99.9))
    upper = points[points[:, 2] > top - 120.0]
    low, high = np.percentile(upper[:, :2], (1, 99), axis=0)
    return np.array([*((low + high) / 2), top])


def tissue_level(values: NDArray[np.float32], head: Mask, spacing_mm: float) -> float:
    """Median signal of the middle of the head, which is mostly brain."""
    depth = ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1, 1:-1] * spacing_mm
    middle = head & (depth > min(25.0, 0.6 * float(depth.max())))
    return float(np.median(values[middle])) if middle.any() else 0.0


def brain_by_thresholds(values: NDArray[np.float32], head: Mask, spacing_mm: float) -> Mask:
    """The largest part of brain-like signal that hangs together, at some distance from the skin.

    A rough brain for heads to which no template can be fitted.
    """
    level = tissue_level(values, head, spacing_mm)
    deep = eroded(np.pad(head, 1), 8.0, spacing_mm)[1:-1, 1:-1, 1:-1]
    tissue = deep & (values > 0.5 * level) & (values < 1.6 * level)
    core = largest_part(eroded(tissue, 5.0, spacing_mm))
    return np.asarray(ndimage.binary_fill_holes(closed(dilated(core, 6.0, spacing_mm) & tissue, 6.0, spacing_mm)))
