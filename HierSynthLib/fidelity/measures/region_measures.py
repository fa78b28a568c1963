"""All measures of one region: of each map, and of each pair of maps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.measures.agreement import agreement, rank_correlation
from HierSynthLib.fidelity.measures.definitions import ids
from HierSynthLib.fidelity.measures.effective import EffectiveCounts, effective_counts
from HierSynthLib.fidelity.measures.gridded import GriddedMap
from HierSynthLib.fidelity.measures.intensity import Found, entropy, fractions_above, hotspot_mean, intensity
from HierSynthLib.fidelity.measures.overlap import dice, hausdorff95
from HierSynthLib.fidelity.measures.plot_data import plot_data
from HierSynthLib.fidelity.measures.settings import Settings
from HierSynthLib.fidelity.measures.ssim import WINDOW, Box, Map, inner_box
from HierSynthLib.fidelity.measures.texture import (
    MOST_LEVELS,
    cooccurrence,
    first_order,
    glcm_texture,
    grey_levels,
    histogram,
    histogram_texture,
)
from HierSynthLib.fidelity.regions.masks import RegionMask
from HierSynthLib.preparation.grid import Grid

# Voxels whose edges differ by more than this are not isotropic.
_ISOTROPIC = 1.05

Mask = NDArray[np.bool_]


@dataclass
class Row:
    """The values of a region by id, and sentences on what is special about them."""

    values: Found
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Values and notes; what is not finite is null."""
        plain = {name: None if v is None or not math.isfinite(v) else v for name, v in self.values.items()}
        return {"values": plain, "notes": self.notes}


@dataclass(frozen=True, eq=False)
class Place:
    """A region on the grid, with the settings it is measured with.

    Attributes:
        whole_brain: whether hotspots, which would be vessels there, are left out.
    """

    mask: RegionMask
    grid: Grid
    settings: Settings
    whole_brain: bool = False

    @property
    def box(self) -> Box:
        """The region's bounding box in the grid."""
        return self.mask.slices

    @property
    def volume_ml(self) -> float:
        """Of all its voxels."""
        return self.mask.count * abs(float(np.linalg.det(self.grid.affine[:3, :3]))) / 1000

    @property
    def centre(self) -> list[float] | None:
        """RAS mm of its centre of gravity, from the counts along each axis; None without voxels."""
        if not self.mask.count:
            return None
        counts = [np.count_nonzero(self.mask.inside, axis=others) for others in ((1, 2), (0, 2), (0, 1))]
        middle = [float(np.average(np.arange(len(along)), weights=along)) for along in counts] + self.mask.start
        return [float(value) for value in self.grid.affine[:3, :3] @ middle + self.grid.affine[:3, 3]]


def measure_intensity(place: Place, image: GriddedMap) -> Row:
    """The measures of groups "intensity" (without the ratio to NAWM) and "texture" of a map in a region."""
    inside, settings = place.mask.inside, place.settings
    crop = image.array[place.box]
    usable = inside & np.isfinite(crop)
    ordered = np.sort(crop[usable]).astype(np.float64)
    missing = place.mask.count - len(ordered)
    row = Row(dict.fromkeys(ids("intensity", settings.thresholds)))
    row.values |= intensity(ordered) | {"volume_ml": place.volume_ml, "invalid_voxels": missing}
    if settings.texture:
        row.values |= dict.fromkeys(ids("texture"))
    if missing:
        row.notes.append(f"{_voxels(missing)} without a value {'is' if missing == 1 else 'are'} left out.")
    if not len(ordered):
        row.notes.append("There is no voxel with a value.")
    elif len(ordered) == 1:
        row.notes.append("A single voxel has no spread and no texture.")
    if not place.whole_brain and len(ordered):
        row.values["hotspot_mean"] = hotspot_mean(crop, usable, place.grid.spacing, settings.hotspot_mm)
        if row.values["hotspot_mean"] is None:
            row.notes.append(f"No sphere of {settings.hotspot_mm:g} mm fits into it: there is no hotspot mean.")
    if image.in_nrcbv:
        row.values |= fractions_above(ordered, settings.thresholds)
    _add_levels(row, place, image, ordered, usable)
    return row


def _add_levels(row: Row, place: Place, image: GriddedMap, ordered: NDArray[np.float64], usable: Mask) -> None:
    """Entropy and texture, which need levels of a known width."""
    settings = place.settings
    if not len(ordered):
        return
    if not image.in_nrcbv:
        row.notes.append("Entropy, texture and fractions above thresholds are for CBV maps in nrCBV only.")
        return
    if ordered[-1] >= MOST_LEVELS * settings.bin_width:
        row.notes.append(
            f"Its greatest value needs more than {MOST_LEVELS} levels of {settings.bin_width:g} nrCBV: "
            "there are no entropy and no texture."
        )
        return
    counts = histogram(grey_levels(ordered, settings.bin_width))
    row.values["entropy"] = entropy(counts)
    if not settings.texture or len(ordered) < 2:
        return
    row.values |= first_order(ordered) | histogram_texture(counts)
    levels = np.zeros(usable.shape, dtype=np.int16)
    levels[usable] = grey_levels(image.array[place.box][usable].astype(np.float64), settings.bin_width)
    pairs = cooccurrence(levels)
    if pairs.any():
        row.values |= glcm_texture(pairs)
    else:
        row.notes.append("No two of its voxels are neighbours: there are no GLCM measures.")
    spacing = place.grid.spacing
    if spacing.max() > _ISOTROPIC * spacing.min():
        edges = " × ".join(f"{edge:.2f}" for edge in spacing)
        row.notes.append(f"Its voxels of {edges} mm are not isotropic: neighbours in texture lie at unequal distances.")


@dataclass(frozen=True, eq=False)
class Pair:
    """A synthetic and an acquired map, and the uncertainty of the synthetic one where it is known."""

    synthetic: GriddedMap
    acquired: GriddedMap
    uncertainty: GriddedMap | None = None


@dataclass(frozen=True, eq=False)
class Compared:
    """How a pair of maps agrees in a region.

    Attributes:
        row: the measures of group "agreement".
        plot: the data of the plots.
        levels: "mean" and "hotspot_mean" of the synthetic and of the acquired map over the voxels that have a value in
            both; None where all voxels have, so that they are those of the maps themselves.
    """

    row: Row
    plot: dict[str, Any]
    levels: tuple[Found, Found] | None


def measure_agreement(place: Place, pair: Pair, similarity: Map | None) -> Compared:
    """Compare a pair of maps in a region.

    Args:
        place: the region.
        pair: the maps.
        similarity: (i, j, k) the SSIM in the region's box; None for an empty region.
    """
    x, y = pair.synthetic.array[place.box], pair.acquired.array[place.box]
    both = place.mask.inside & np.isfinite(x) & np.isfinite(y)
    synthetic, acquired = x[both], y[both]
    row = Row(dict.fromkeys(ids("agreement")))
    missing = place.mask.count - len(synthetic)
    if missing:
        verb = "is" if missing == 1 else "are"
        row.notes.append(f"{_voxels(missing)} without a value in both maps {verb} left out.")
    if not len(synthetic):
        row.notes.append("No voxel has a value in both maps: nothing can be compared.")
        return Compared(row, plot_data(synthetic, acquired), ({}, {}))
    counts = EffectiveCounts(None, None)
    if len(synthetic) > 1:
        counts = effective_counts(x, y, both, place.grid.spacing)
    row.values |= agreement(synthetic, acquired, place.settings.data_range, counts)
    row.notes += _explained(row.values, synthetic, acquired)
    _add_similarity(row, place, both, similarity)
    _add_overlap(row, place, both, x, y)
    row.values["uncertainty_error_r"] = _uncertainty_error(place, pair, both)
    levels = (_levels(place, x, both), _levels(place, y, both)) if missing else None
    return Compared(row, plot_data(synthetic, acquired), levels)


def _levels(place: Place, crop: Map, both: Mask) -> Found:
    hotspot = None
    if not place.whole_brain:
        hotspot = hotspot_mean(crop, both, place.grid.spacing, place.settings.hotspot_mm)
    return {"mean": float(crop[both].mean(dtype=np.float64)), "hotspot_mean": hotspot}


def _explained(values: Found, synthetic: Map, acquired: Map) -> list[str]:
    notes = []
    if len(synthetic) < 3:
        notes.append("Fewer than three voxels have no correlation.")
    elif values["pearson_r"] is None:
        constant = "synthetic" if synthetic.min() == synthetic.max() else "acquired"
        notes.append(f"The {constant} map is constant here: there is no correlation.")
    elif values["pearson_low"] is None:
        notes.append("The region is worth three independent voxels or fewer: r has no interval.")
    if values["psnr"] is None:
        notes.append("Both maps are the same here: there is no PSNR.")
    return notes


def _add_similarity(row: Row, place: Place, both: Mask, similarity: Map | None) -> None:
    if similarity is None:
        return
    row.values["ssim"] = float(similarity[both].mean(dtype=np.float64))
    inner = inner_box((slice(0, both.shape[0]), slice(0, both.shape[1]), slice(0, both.shape[2])))
    if inner is None:
        row.notes.append(f"An edge of its box is shorter than the window of {WINDOW} voxels: the box has no SSIM.")
        return
    within = similarity[inner]
    known = np.isfinite(within)
    row.values["ssim_box"] = float(within[known].mean(dtype=np.float64)) if known.any() else None


def _add_overlap(row: Row, place: Place, both: Mask, x: Map, y: Map) -> None:
    threshold = place.settings.hotspot_threshold
    first, second = both & (x > threshold), both & (y > threshold)
    row.values["hotspot_dice"] = dice(first, second)
    empty = [name for name, mask in (("synthetic", first), ("acquired", second)) if not mask.any()]
    if empty:
        row.notes.append(f"No voxel exceeds {threshold:g} nrCBV in the {' and the '.join(empty)} map.")
    elif not place.whole_brain:
        row.values["hotspot_hd95_mm"] = hausdorff95(first, second, place.grid.affine[:3, :3])


def _uncertainty_error(place: Place, pair: Pair, both: Mask) -> float | None:
    if pair.uncertainty is None:
        return None
    crop = pair.uncertainty.array[place.box]
    known = both & np.isfinite(crop)
    error = np.abs(pair.synthetic.array[place.box][known] - pair.acquired.array[place.box][known])
    return rank_correlation(crop[known].astype(np.float64), error.astype(np.float64))


def _voxels(count: int) -> str:
    return "1 voxel" if count == 1 else f"{count} voxels"
