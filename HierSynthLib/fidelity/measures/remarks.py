"""What the user should know about the maps and regions of a measurement, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from HierSynthLib.fidelity.measures.gridded import GriddedMap
from HierSynthLib.fidelity.regions.masks import RegionMask


def about_maps(maps: Sequence[GriddedMap], brain: RegionMask | None) -> list[str]:
    """Sentences on maps that were resampled, have voxels without values, or are missing, and on an empty brain mask."""
    found = []
    first = next((each for each in maps if not each.resampled), maps[0])
    for each in maps:
        if each.resampled:
            found.append(
                f"The {each.name} map lies on another grid or was moved: it was resampled in physical space (linear) "
                f"onto the grid of the {first.name} map."
            )
        if each.invalid_voxels:
            found.append(f"The {each.name} map has {each.invalid_voxels} NaN or infinite voxels, which are left out.")
    kinds = {each.kind for each in maps}
    for kind in ("synthetic", "acquired"):
        if kind not in kinds:
            found.append(f"There is no {kind} map: only intensity measures are given.")
    if brain is not None and not brain.count:
        found.append("The brain mask is empty in the maps: the whole brain is not measured.")
    return found


def about_regions(masks: Sequence[RegionMask]) -> list[str]:
    """Sentences on empty regions, and on overlapping ones that should not overlap.

    Hotspots lie in lesions, and everything lies in the brain.
    """
    found = [f"The region {mask.name} has no voxels in the maps." for mask in masks if not mask.count]
    hotspots = []
    for first, second in combinations([mask for mask in masks if mask.role != "brain"], 2):
        shared, roles = _shared(first, second), {first.role, second.role}
        if not shared or roles == {"lesion", "hotspot"}:
            continue
        share = _percent(shared / min(first.count, second.count))
        if roles == {"hotspot"}:  # those of two maps often do, and then all in one sentence
            hotspots.append(f"{first.name} and {second.name} ({share})")
        else:
            found.append(f"The regions {first.name} and {second.name} overlap: they share {share} of the smaller one.")
    if hotspots:
        found.append(f"Hotspots overlap, in parentheses by how much of the smaller one: {', '.join(hotspots)}.")
    return found


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _shared(first: RegionMask, second: RegionMask) -> int:
    """Number of voxels that two regions have in common."""
    start = np.maximum(first.start, second.start)
    stop = np.minimum(first.start + first.inside.shape, second.start + second.inside.shape)
    if (stop <= start).any():
        return 0
    parts = [
        mask.inside[tuple(slice(a, b) for a, b in zip(start - mask.start, stop - mask.start, strict=True))]
        for mask in (first, second)
    ]
    return int(np.count_nonzero(parts[0] & parts[1]))
