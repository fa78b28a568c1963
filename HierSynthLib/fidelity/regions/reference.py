"""A suggestion for the reference of nrCBV: three spheres in the white matter opposite the lesion.

The reference of DSC perfusion is normal-appearing white matter (NAWM) of the contralateral centrum semiovale. The
brain's symmetry plane, vertex, length and width say where that is expected; around these places the most homogeneous
white matter is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial

from HierSynthLib.fidelity.regions.shapes import Region, Sphere
from HierSynthLib.fidelity.regions.symmetry import SymmetryPlane
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.volume import Volume

NAME = "NAWM reference"
RADIUS_MM = 5.0

Vector = NDArray[np.float64]
Map = NDArray[np.float64]

# Centrum semiovale in MNI space (mm right of the middle, anterior, superior), and the extent there of the brain of
# MNI152: half its width, its length and the middle of it, and its vertex.
_MNI_CENTRES = np.array([(25.0, 10.0, 33.0), (26.0, -8.0, 35.0), (26.0, -25.0, 34.0)])
_MNI_HALF_WIDTH, _MNI_LENGTH, _MNI_MIDDLE, _MNI_VERTEX = 69.0, 173.0, -16.5, 78.0
# How far a sphere may be from its expected place along each axis of the brain (mm).
_REACH_MM = np.array([15.0, 18.0, 12.0])
_STEP_MM = 1.5
# White matter should go on around the sphere, because the maps are not aligned to better than this.
_MARGIN_MM = 1.5
_FROM_LESION_MM = 10.0
_FROM_MIDDLE_MM = 8.0
_NEAR_MIDDLE_MM = 10.0
_APART_MM = 2 * RADIUS_MM + 2.0
_NORMAL_ADC = (0.6, 0.95)
# Where the brightest tissue is white matter (+1) and where the darkest (−1), the best witness first.
_BRIGHT = {"T1": 1, "T2": -1, "FLAIR": -1, "ADC": -1}
_SECOND_WITNESS = 0.3
# Standard deviation in the sphere, and deviation of its mean from the level of white matter, relative to that level.
_HOMOGENEOUS, _ACCEPTABLE = 0.07, 0.12
_FLAIR_HYPERINTENSE = 1.15
# Cost of being 10 mm from the expected place, compared with such relative deviations.
_DISPLACED = 0.015
_PLAUSIBLE_LENGTH_MM = (120.0, 210.0)
_CUT_MM2 = 400.0
# The extent of the brain is measured at voxels this far apart.
_SAMPLED_MM = 2.0
_WORTHLESS, _DOUBTFUL = 0.15, 0.3


@dataclass(frozen=True)
class Reference:
    """A suggested reference.

    Attributes:
        region: the three spheres; None where no white matter could be found.
        side: "left" or "right", the side of the patient; "" without region.
        warnings: sentences for the user.
    """

    region: Region | None
    side: str
    warnings: tuple[str, ...]


def suggest_reference(
    anatomy: Mapping[str, Volume],
    brain: Volume,
    plane: SymmetryPlane,
    lesion: Vector,
    reporter: Reporter,
) -> Reference:
    """Suggest three spheres of 5 mm radius in normal-appearing white matter.

    Args:
        anatomy: any of T1, T2, FLAIR and ADC (10⁻³ mm²/s), 3-D, each on its own grid.
        brain: (I, J, K) mask.
        plane: of the same brain.
        lesion: (N, 3) RAS mm of its voxels; (0, 3) where there is none.
        reporter: told about progress.

    Returns:
        The spheres, opposite the centroid of the lesion and at least 10 mm from it. Without a lesion they lie where
        white matter is more homogeneous. Where the suggestion is unsure, or not possible, the warnings say why.
    """
    reporter.progress("reference", 0.0)
    witnesses = {name: anatomy[name] for name in _BRIGHT if name in anatomy}
    if not witnesses:
        return _none("There is no T1, T2, FLAIR or ADC volume in which white matter could be found.")
    if plane.correlation < _WORTHLESS:
        return _none(f"The plane between the hemispheres was not found (correlation {plane.correlation:.2f}).")
    extent = _Extent.of(brain, plane)
    if isinstance(extent, str):
        return _none(extent)
    warnings = []
    if plane.correlation < _DOUBTFUL:
        warnings.append(f"The plane between the hemispheres is unsure (correlation {plane.correlation:.2f}).")
    sides, why = _sides(plane, lesion)
    if len(lesion) and abs(plane.side(lesion.mean(axis=0))) < _NEAR_MIDDLE_MM:
        warnings.append("The lesion lies near the middle of the brain, so that no side is surely normal.")
    found = [
        _Search(witnesses, brain, plane, extent, lesion, side).run(Part(reporter, n / len(sides), (n + 1) / len(sides)))
        for n, side in enumerate(sides)
    ]
    reporter.progress("reference", 1.0)
    whole = [spheres for spheres in found if spheres is not None]
    if not whole:
        where = f"on the {_word(sides[0])} side" if len(sides) == 1 else "on either side"
        return _none(f"No three spheres of homogeneous normal-appearing white matter were found {where}.")
    best = min(whole, key=lambda spheres: spheres.cost)
    if best.deviation > _HOMOGENEOUS:
        warnings.append(f"The white matter in the suggested reference varies by {100 * best.deviation:.0f} %.")
    if best.witness == "ADC":
        warnings.append("ADC alone hardly tells white from grey matter.")
    side = _word(best.side)
    source = (
        f"three suggested spheres of {RADIUS_MM:g} mm radius in the {side} centrum semiovale, {why}; "
        f"symmetry {plane.correlation:.2f}, variation of {best.witness} {100 * best.deviation:.1f} %"
    )
    region = Region(NAME, "reference", tuple(Sphere(centre, RADIUS_MM) for centre in best.centres), source)
    return Reference(region, side, tuple(f"{warning} Check the suggested reference." for warning in warnings))


def _none(why: str) -> Reference:
    return Reference(None, "", (f"No reference is suggested: {why} Place it by hand.",))


def _word(side: int) -> str:
    return "right" if side > 0 else "left"


def _sides(plane: SymmetryPlane, lesion: Vector) -> tuple[tuple[int, ...], str]:
    """The sides to look at (1 right, −1 left), and why, in words."""
    if not len(lesion):
        return (1, -1), "where white matter is more homogeneous, because no lesion was given"
    side = -1 if plane.side(lesion.mean(axis=0)) > 0 else 1
    return (side,), f"opposite the lesion on the {_word(-side)}"


@dataclass(frozen=True)
class _Extent:
    """The upper part of a brain along the axes of its symmetry plane, mm from the plane's point.

    Attributes:
        vertex: its highest point, superior.
        middle: the middle of its length, anterior.
        length, half_width: its size.
    """

    vertex: float
    middle: float
    length: float
    half_width: float

    @classmethod
    def of(cls, brain: Volume, plane: SymmetryPlane) -> _Extent | str:
        """Measured in a brain mask; a sentence on what is wrong where it does not hold the vertex."""
        mask = brain.array.reshape(brain.grid) > 0
        steps = np.maximum(1, np.floor(_SAMPLED_MM / brain.spacing)).astype(int)
        voxels = np.argwhere(mask[tuple(slice(None, None, step) for step in steps)]) * steps
        if not len(voxels):
            return "The brain mask is empty."
        right, anterior, superior = ((brain.positions(voxels) - plane.point) @ plane.axes).T
        vertex = float(np.percentile(superior, 99.95))
        if _cut_mm2(mask, brain, plane, vertex - 20) > _CUT_MM2:
            return "The volume ends below the vertex of the brain."
        upper = (superior > vertex - 75) & (superior < vertex - 25)
        if not upper.any():
            return "Too little of the brain was imaged."
        back, front = np.percentile(anterior[upper], (0.5, 99.5))
        length, half_width = float(front - back), float(np.percentile(np.abs(right[upper]), 99))
        if not _PLAUSIBLE_LENGTH_MM[0] <= length <= _PLAUSIBLE_LENGTH_MM[1]:
            return f"The upper brain is {length:.0f} mm long, which no whole brain is."
        return cls(vertex, float(front + back) / 2, length, half_width)

    def expected(self, side: int) -> Vector:
        """(3, 3) rows: expected centres of the spheres along the axes of the plane, mm."""
        scale = self.length / _MNI_LENGTH
        x, y, z = _MNI_CENTRES.T
        right = side * x * self.half_width / _MNI_HALF_WIDTH
        return np.stack([right, self.middle + (y - _MNI_MIDDLE) * scale, self.vertex + (z - _MNI_VERTEX) * scale], 1)


def _cut_mm2(mask: NDArray[np.bool_], brain: Volume, plane: SymmetryPlane, above: float) -> float:
    """Area of the faces of the volume that cut the brain higher than `above` (mm along the plane's superior axis)."""
    area = 0.0
    for axis, end in product(range(3), (0, -1)):
        if mask.shape[axis] > 1:
            face = np.argwhere(np.take(mask, [end], axis))
            face[:, axis] = end % mask.shape[axis]
            height = (brain.positions(face) - plane.point) @ plane.superior
            area += np.count_nonzero(height > above) * float(np.prod(brain.spacing) / brain.spacing[axis])
    return area


@dataclass(frozen=True, eq=False)
class _Spheres:
    """Three spheres on one side: centres (3, 3) RAS mm as rows, their cost, and how homogeneous they are."""

    side: int
    centres: Vector
    cost: float
    witness: str
    deviation: float


class _Search:
    """Looks for homogeneous white matter around the expected places on one side."""

    def __init__(
        self,
        anatomy: Mapping[str, Volume],
        brain: Volume,
        plane: SymmetryPlane,
        extent: _Extent,
        lesion: Vector,
        side: int,
    ) -> None:
        self._anatomy, self._brain, self._plane, self._lesion, self._side = anatomy, brain, plane, lesion, side
        self._expected = extent.expected(side)
        reach = _REACH_MM + RADIUS_MM + _MARGIN_MM + _STEP_MM
        low, high = self._expected.min(axis=0) - reach, self._expected.max(axis=0) + reach
        i, j, k = (int(n) for n in np.ceil((high - low) / _STEP_MM))
        affine = np.eye(4)
        affine[:3, :3] = plane.axes * _STEP_MM
        affine[:3, 3] = plane.point + plane.axes @ low
        self._grid, self._low = Grid((i, j, k), affine), low

    def run(self, reporter: Reporter) -> _Spheres | None:
        """The best three spheres; None where there are not three."""
        possible = self._allowed()
        cost = np.zeros(self._grid.shape)
        deviation, first = np.zeros(self._grid.shape), ""
        for number, (name, volume) in enumerate(self._anatomy.items()):
            reporter.progress("reference", number / len(self._anatomy))
            mean, spread = self._spheres(volume)
            level = _white_matter(mean, spread, possible & np.isfinite(mean), _BRIGHT[name])
            if level is None:
                continue
            off = np.abs(mean - level) / level
            varying = spread / level
            with np.errstate(invalid="ignore"):
                if name == "ADC":
                    possible &= (mean >= _NORMAL_ADC[0]) & (mean <= _NORMAL_ADC[1])
                elif name == "FLAIR":
                    possible &= mean <= _FLAIR_HYPERINTENSE * level
            if not first:
                first, deviation = name, np.maximum(varying, off)
                with np.errstate(invalid="ignore"):
                    possible &= deviation <= _ACCEPTABLE
                cost += varying + off
            else:
                cost += _SECOND_WITNESS * np.where(np.isfinite(mean), varying + off, 0)
        return self._chosen(cost, deviation, possible, first) if first else None

    def _allowed(self) -> NDArray[np.bool_]:
        """Where a sphere's centre may be: in the brain, away from the middle and from the lesion."""
        brain = self._brain.array.reshape(self._brain.grid) > 0
        inside = resample(brain, self._brain.affine, self._grid.shape, self._grid.affine, interpolation="nearest")
        deep = ndimage.binary_erosion(inside, _ball(RADIUS_MM + _MARGIN_MM))
        right = self._low[0] + _STEP_MM * np.arange(self._grid.shape[0])
        deep &= (self._side * right >= _FROM_MIDDLE_MM + RADIUS_MM)[:, None, None]
        if len(self._lesion) and deep.any():
            centres = np.argwhere(deep)
            places = centres @ self._grid.affine[:3, :3].T + self._grid.affine[:3, 3]
            away = spatial.cKDTree(self._lesion).query(places, distance_upper_bound=_FROM_LESION_MM + RADIUS_MM)[0]
            deep[tuple(centres[np.isfinite(away)].T)] = False
        return np.asarray(deep)

    def _spheres(self, volume: Volume) -> tuple[Map, Map]:
        """Mean and standard deviation in the sphere (with margin) around each voxel; NaN where it leaves the volume."""
        grid = self._grid
        array = volume.array.reshape(volume.grid).astype(np.float32)
        known = np.isfinite(array)
        values = resample(np.where(known, array, 0), volume.affine, grid.shape, grid.affine).astype(np.float64)
        covered = resample(known, volume.affine, grid.shape, grid.affine, interpolation="nearest")
        kernel = _ball(RADIUS_MM + _MARGIN_MM).astype(np.float64)
        kernel /= kernel.sum()
        mean = ndimage.convolve(values, kernel, mode="constant")
        square = ndimage.convolve(values**2, kernel, mode="constant")
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        outside = ~ndimage.binary_erosion(covered, kernel > 0)
        mean[outside] = spread[outside] = np.nan
        return mean, spread

    def _chosen(self, cost: Map, deviation: Map, possible: NDArray[np.bool_], witness: str) -> _Spheres | None:
        voxels = np.argwhere(possible)
        places = self._low + _STEP_MM * voxels
        own = cost[tuple(voxels.T)]
        away = places[:, None] - self._expected
        costs = own[:, None] + _DISPLACED * (np.linalg.norm(away, axis=2) / 10) ** 2
        costs[(np.abs(away) > _REACH_MM).any(axis=2)] = np.inf
        chosen, total = {}, 0.0
        for _ in self._expected:
            if not np.isfinite(costs).any():
                return None
            voxel, place = np.unravel_index(np.argmin(costs), costs.shape)
            chosen[int(place)] = int(voxel)
            total += float(costs[voxel, place])
            costs[np.linalg.norm(places - places[voxel], axis=1) < _APART_MM] = np.inf
            costs[:, place] = np.inf
        picked = [chosen[place] for place in sorted(chosen)]
        centres = self._plane.point + places[picked] @ self._plane.axes.T
        worst = float(deviation[tuple(voxels[picked].T)].max())
        return _Spheres(self._side, centres, total, witness, worst)


def _ball(radius_mm: float) -> NDArray[np.bool_]:
    """Which voxels of the search grid lie within a sphere around the middle one."""
    count = int(radius_mm // _STEP_MM)
    steps = np.arange(-count, count + 1) * _STEP_MM
    i, j, k = np.meshgrid(steps, steps, steps, indexing="ij")
    return np.asarray(i**2 + j**2 + k**2 <= radius_mm**2)


def _white_matter(mean: Map, spread: Map, where: NDArray[np.bool_], bright: int) -> float | None:
    """The level of white matter: that of the most homogeneous spheres in the brighter (or darker) half of all."""
    means, spreads = mean[where], spread[where]
    half = bright * means >= bright * np.median(means) if means.size else np.zeros(0, bool)
    if not half.any():
        return None
    means, spreads = means[half], spreads[half]
    level = float(np.median(means[spreads <= np.percentile(spreads, 20)]))
    return level if level > 0 else None
