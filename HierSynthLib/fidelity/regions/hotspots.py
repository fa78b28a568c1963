"""A suggestion for hotspots: the spheres of a fixed size in a lesion where a map is highest on average."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.masks import TOUCH_MM, bounds
from HierSynthLib.fidelity.regions.shapes import Sphere
from HierSynthLib.progress import Reporter
from HierSynthLib.volume import Volume

COUNT = 4
DIAMETER_MM = 6.0
INSIDE = 0.9
"""Share of a hotspot's voxels that must lie in the lesion and have a value."""

VESSEL_PEAK = 3.0
"""Peak of a sphere relative to its median above which it holds a vessel: in simulated tumours without one it is at most
1.6, with one 4 to 11 in the true map, but below 2 in one blurred by an acquisition."""

_MOST_VOXELS = 100_000


@dataclass(frozen=True, eq=False)
class Hotspot:
    """A suggested hotspot.

    Attributes:
        sphere: where it is; its centre is the centre of a voxel.
        mean: of the map in it, over the voxels that `HierSynthLib.fidelity.regions.masks` gives it.
    """

    sphere: Sphere
    mean: float


def find_hotspots(
    volume: Volume,
    lesion: NDArray[np.bool_],
    reporter: Reporter,
    *,
    count: int = COUNT,
    diameter_mm: float = DIAMETER_MM,
) -> tuple[list[Hotspot], list[str]]:
    """Choose one sphere after the other: the highest mean of all that do not touch those chosen before.

    At least 90 % of a sphere's voxels lie in the lesion and have a value. Everything is measured in mm, on the map's
    own voxels, so the result does not depend on their shape more than the map itself does.

    Spheres with a peak of more than three times their median are left out: a vessel runs through them. In maps as
    sharp as the vessel this recognises it; where a map is blurred, a vessel can be a hotspot, and the user moves it.

    Args:
        volume: (I, J, K) the map.
        lesion: (I, J, K) where hotspots may be.
        reporter: told about progress.
        count: how many are wanted.
        diameter_mm: of the spheres.

    Returns:
        At most `count` hotspots, the highest first, and a warning where fewer fit.

    Raises:
        InputError: the count or the diameter is not positive, or one sphere would hold more than 100 000 voxels.
    """
    if count < 1 or not (np.isfinite(diameter_mm) and diameter_mm > 0):
        raise InputError(
            f"{count} hotspots of {diameter_mm} mm cannot be found.", "Give a count and a diameter above 0."
        )
    values = volume.array.reshape(volume.grid)
    usable = lesion & np.isfinite(values)
    if not usable.any():
        return [], ["No hotspot is suggested: the lesion has no voxel with a value."]
    crop = bounds(usable)
    corner = np.array([extent.start for extent in crop])
    offsets = _offsets(volume.affine, diameter_mm / 2)
    means, shares = _spheres(values, usable, crop, offsets, reporter)
    candidates = np.argwhere(shares >= INSIDE - 1e-9)
    order = np.argsort(-means[tuple(candidates.T)], kind="stable")
    candidates = candidates[order]
    places = volume.positions(candidates + corner)
    free = np.ones(len(candidates), bool)
    found: list[Hotspot] = []
    tried = 0
    while len(found) < count and free.any():
        best = int(np.argmax(free))
        free[best] = False
        tried += 1
        if tried % 64 == 0:
            reporter.progress("hotspots", 1.0)
        if _holds_vessel(values, corner + candidates[best] + offsets):
            continue
        mean = float(means[tuple(candidates[best])])
        found.append(Hotspot(Sphere(places[best], diameter_mm / 2), mean))
        free &= np.linalg.norm(places - places[best], axis=1) > diameter_mm + 2 * TOUCH_MM
    reporter.progress("hotspots", 1.0)
    return found, [] if len(found) == count else [_too_few(len(found), count, diameter_mm)]


def _too_few(found: int, count: int, diameter_mm: float) -> str:
    fit = f"Only {found} of {count} hotspots" if found else "No hotspot"
    return f"{fit} of {diameter_mm:g} mm diameter fit{'' if found > 1 else 's'} into the lesion without overlap."


def _holds_vessel(values: NDArray[Any], voxels: NDArray[np.int64]) -> bool:
    """Whether a sphere has a peak that tissue does not have."""
    inside = values[tuple(voxels[((voxels >= 0) & (voxels < values.shape)).all(axis=1)].T)]
    known = inside[np.isfinite(inside)]
    median = float(np.median(known))
    return median > 0 and float(known.max()) > VESSEL_PEAK * median


def _offsets(affine: NDArray[np.float64], radius_mm: float) -> NDArray[np.int64]:
    """(N, 3) voxels within a sphere around a voxel, relative to it."""
    reach = np.floor(radius_mm * np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1) + 1e-3).astype(int)
    if np.prod(2.0 * reach + 1) > _MOST_VOXELS:
        raise InputError(
            f"A hotspot of {2 * radius_mm:g} mm holds more than {_MOST_VOXELS} voxels.", "Choose a smaller diameter."
        )
    voxels = np.array(list(product(*(range(-n, n + 1) for n in reach))))
    away = np.linalg.norm(voxels @ affine[:3, :3].T, axis=1)
    return np.asarray(voxels[away <= radius_mm + TOUCH_MM])


def _spheres(
    values: NDArray[Any],
    usable: NDArray[np.bool_],
    crop: tuple[slice, slice, slice],
    offsets: NDArray[np.int64],
    reporter: Reporter,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of the sphere around each voxel of a crop, and the share of its voxels that are usable."""
    known = np.isfinite(values)
    total = np.zeros([extent.stop - extent.start for extent in crop])
    number, inside = np.zeros(total.shape, np.int32), np.zeros(total.shape, np.int32)
    reach = np.abs(offsets).max(axis=0)
    around = tuple(slice(max(0, a.start - n), a.stop + n) for a, n in zip(crop, reach, strict=True))
    # Voxels beyond the map are neither known nor usable.
    missing = [
        (n - (a.start - b.start), n - (min(b.stop, size) - a.stop))
        for a, b, n, size in zip(crop, around, reach, values.shape, strict=True)
    ]
    padded = np.pad(np.where(known[around], values[around], 0).astype(np.float64), missing)
    padded_known, padded_usable = np.pad(known[around], missing), np.pad(usable[around], missing)
    for done, offset in enumerate(offsets):
        if done % 16 == 0:
            reporter.progress("hotspots", done / len(offsets))
        there = tuple(slice(int(a), int(a) + n) for a, n in zip(reach + offset, total.shape, strict=True))
        total += padded[there]
        number += padded_known[there]
        inside += padded_usable[there]
    return total / np.maximum(number, 1), inside / len(offsets)
