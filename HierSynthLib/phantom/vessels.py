"""Large arteries and veins near their places in MNI space, and procedural pial and penetrating vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from HierSynthLib.phantom.anatomy import Anatomy
from HierSynthLib.phantom.deformation import Deformation
from HierSynthLib.phantom.fields import Array, Axes

# Centrelines in template space (RAS mm; right side of paired vessels) and radii in mm at both ends: approximate, by design.
_ARTERIES: dict[str, tuple[list[tuple[float, float, float]], float, float]] = {
    "internal carotid": ([(26, -24, -85), (26, -20, -62), (25, -14, -44), (14, -4, -31), (12, 5, -26), (15, 3, -16)], 2.4, 1.9),
    "middle cerebral": ([(15, 3, -16), (25, 5, -18), (35, 4, -16), (40, 0, -8), (41, -8, 2), (40, -18, 11)], 1.5, 0.9),
    "superior M2": ([(36, 4, -15), (40, 10, -4), (39, 14, 6), (43, 10, 12), (52, 6, 16), (60, 0, 24)], 1.0, 0.5),
    "inferior M2": ([(40, -18, 11), (48, -24, 14), (58, -30, 18), (64, -38, 22)], 0.9, 0.5),
    "anterior cerebral": (
        [(15, 3, -16), (6, 7, -16), (2, 12, -13), (2, 22, -13), (2, 34, -8), (2, 40, 4), (2, 36, 17), (2, 22, 28), (2, 4, 34), (2, -14, 38)],
        1.2, 0.6,
    ),
    "callosomarginal": ([(2, 40, 4), (3, 47, 14), (3, 42, 30), (3, 26, 42), (3, 6, 48)], 0.8, 0.5),
    "posterior cerebral": ([(0, -12, -18), (8, -15, -17), (17, -24, -14), (21, -35, -8), (17, -52, -2), (12, -70, 3), (9, -88, 5)], 1.3, 0.6),
    "posterior communicating": ([(13, 1, -18), (12, -8, -18), (8, -15, -17)], 0.6, 0.6),
    "vertebral": ([(16, -42, -92), (14, -40, -78), (8, -30, -62), (0, -22, -51)], 1.7, 1.5),
}
_MIDLINE_ARTERIES: dict[str, tuple[list[tuple[float, float, float]], float, float]] = {
    "basilar": ([(0, -22, -51), (0, -14, -40), (0, -10, -29), (0, -12, -18)], 1.8, 1.6),
}
_VEINS: dict[str, tuple[list[tuple[float, float, float]], float, float]] = {
    "transverse sinus": ([(1, -104, -12), (20, -99, -17), (40, -84, -25), (54, -62, -32), (56, -48, -36)], 3.4, 3.2),
    "sigmoid sinus": ([(56, -48, -36), (50, -42, -48), (42, -40, -60), (34, -34, -72)], 3.2, 3.0),
    "internal cerebral vein": ([(3, 2, 10), (3, -12, 13), (3, -26, 13), (0, -38, 9)], 0.8, 1.1),
    "basal vein": ([(14, -6, -14), (18, -20, -10), (12, -34, 0), (0, -40, 8)], 0.7, 1.0),
    "vein of Labbé": ([(56, -20, 6), (60, -36, -4), (58, -50, -18), (54, -62, -30)], 0.8, 1.1),
}
_MIDLINE_VEINS: dict[str, tuple[list[tuple[float, float, float]], float, float]] = {
    "straight sinus": ([(0, -38, 9), (0, -48, 10), (0, -66, 4), (0, -86, -6), (0, -103, -12)], 1.8, 2.3),
}


_STEP_MM = 0.6  # distance of centreline points


@dataclass(frozen=True)
class Tubes:
    """Dense centreline points with their radii.

    Attributes:
        points: (3, n) frame mm.
        radii: (n,) mm.
    """

    points: Array
    radii: Array


@dataclass(frozen=True)
class _Path:
    """One vessel in template space: corners (3, m) in mm, radii in mm at both ends."""

    corners: Array
    start: float
    end: float


def draw_vessels(anatomy: Anatomy, deformation: Deformation, rng: np.random.Generator) -> tuple[Tubes, Tubes]:
    """Return the arteries and the veins of one person."""
    arteries = _named(_ARTERIES, (-1, 1), rng) + _named(_MIDLINE_ARTERIES, (1,), rng)
    veins = _named(_VEINS, (-1, 1), rng) + _named(_MIDLINE_VEINS, (1,), rng)
    veins.append(_sagittal_sinus(anatomy, rng))
    for paths, count in ((arteries, 170), (veins, 200)):
        paths += _pial(anatomy, rng, count)
        paths += _penetrating(anatomy, rng, 700)
    return _in_frame(arteries, deformation), _in_frame(veins, deformation)


def stamp(tubes: Tubes, axes: Axes) -> Array:
    """Return the fraction of every voxel that the tubes fill, (i, j, k), 0–1.

    A tube thinner than the voxel becomes a cone whose cross-section integrates to π r², a thicker one a disc with a border of
    one voxel, so volume is kept on any grid.
    """
    h = axes.step
    fraction = np.zeros(axes.shape)
    limit = np.array(axes.shape)[:, None]
    position = (tubes.points - np.array([[axes.i[0]], [axes.j[0]], [axes.k[0]]])) / h
    thin = tubes.radii < h / np.sqrt(3)
    reach = np.where(thin, 1, np.ceil(tubes.radii / h + 0.5).astype(int))
    for r in np.unique(reach):
        chosen = np.flatnonzero(reach == r)
        at, radius = position[:, chosen], tubes.radii[chosen]
        nearest = np.rint(at).astype(int)
        peak = np.minimum(1.0, 3 * (radius / h) ** 2)
        for shift in np.ndindex(2 * r + 1, 2 * r + 1, 2 * r + 1):
            voxel = nearest + (np.array(shift) - r)[:, None]
            distance = np.sqrt(np.sum((voxel - at) ** 2, axis=0)) * h
            value = np.where(thin[chosen], peak * (1 - distance / h), 0.5 + (radius - distance) / h).clip(0, 1)
            use = (value > 0) & np.all((voxel >= 0) & (voxel < limit), axis=0)
            np.maximum.at(fraction, tuple(voxel[:, use]), value[use])
    return fraction


def _in_frame(paths: list[_Path], deformation: Deformation) -> Tubes:
    """Bring all paths to the frame and fill them with centreline points."""
    ends = np.cumsum([p.corners.shape[1] for p in paths])
    moved = np.split(deformation.to_frame(np.concatenate([p.corners for p in paths], axis=1)), ends[:-1], axis=1)
    points, radii = [], []
    for path, corners in zip(paths, moved, strict=True):
        length = _lengths(corners)
        at = np.arange(0, length[-1], _STEP_MM)
        points.append(np.stack([np.interp(at, length, c) for c in corners]))
        radii.append(path.start + (path.end - path.start) * at / length[-1])
    return Tubes(np.concatenate(points, axis=1), np.concatenate(radii))


def _lengths(corners: Array) -> Array:
    result: Array = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(corners, axis=1), axis=0))])
    return result


def _rounded(corners: Array) -> Array:
    """Resample a polyline at 2 mm and round its corners."""
    length = _lengths(corners)
    at = np.linspace(0, length[-1], max(2, round(length[-1] / 2)))
    return ndimage.gaussian_filter1d(np.stack([np.interp(at, length, c) for c in corners]), 1.2, axis=1, mode="nearest")


def _named(
    table: dict[str, tuple[list[tuple[float, float, float]], float, float]], sides: tuple[int, ...], rng: np.random.Generator
) -> list[_Path]:
    """Return named vessels with this person's course and calibre."""
    paths = []
    for places, start, end in table.values():
        for side in sides:
            corners = np.array(places, float).T * [[side], [1], [1]]
            corners[:, 1:-1] += rng.normal(0.0, 0.8, corners[:, 1:-1].shape)  # ends stay: there branches join
            calibre = float(np.exp(rng.normal(0.0, 0.15)))
            paths.append(_Path(_rounded(corners), start * calibre, end * calibre))
    return paths


def _sagittal_sinus(anatomy: Anatomy, rng: np.random.Generator) -> _Path:
    """Follow the top of the brain in the midline, from the forehead to the confluence of sinuses."""
    angles = np.linspace(np.deg2rad(15), np.deg2rad(185), 60)
    distance = np.linspace(40, 130, 181)
    y = -20 + np.cos(angles)[:, None] * distance
    z = -5 + np.sin(angles)[:, None] * distance
    hull = anatomy.hull.at(np.stack([np.full(y.size, 1.0), y.ravel(), z.ravel()])).reshape(y.shape)
    edge = ndimage.gaussian_filter1d(distance[np.argmax(hull > 1.5, axis=1)], 2.0, mode="nearest")
    sideways = rng.normal(0, 1.0) * np.sin(2 * angles)
    return _Path(np.stack([sideways, -20 + np.cos(angles) * edge, -5 + np.sin(angles) * edge]), 1.3, 3.6)


def _pial(anatomy: Anatomy, rng: np.random.Generator, count: int) -> list[_Path]:
    """Let walkers wander over the brain surface, drawn into the sulci: every path is one vessel."""
    here = _surface_points(anatomy, rng, count)
    heading = _unit(rng.standard_normal(here.shape))
    lengths = rng.integers(18, 46, count)
    radii = 0.32 + rng.gamma(2.0, 0.12, count)
    walk = [here]
    for _ in range(45):
        pull = anatomy.fluid.gradient(here)
        outward = _unit(anatomy.hull.gradient(here))
        depth = anatomy.hull.at(here, "nearest")
        heading = heading + 0.35 * rng.standard_normal(here.shape) + 10 * pull
        along = heading - outward * np.sum(heading * outward, axis=0) * 0.6
        heading = _unit(along - outward * np.clip(depth - 0.5, 0, 4) * 0.8)
        here = here + 1.3 * heading
        walk.append(here)
    path = np.stack(walk)
    return [_Path(path[: lengths[n], :, n].T, radii[n], radii[n] * 0.6) for n in range(count)]


def _penetrating(anatomy: Anatomy, rng: np.random.Generator, count: int) -> list[_Path]:
    """Return straight thin vessels from the cortex towards the ventricles."""
    start = _surface_points(anatomy, rng, count)
    target = np.array([[0.0], [-15.0], [15.0]]) + rng.normal(0, 1, start.shape) * [[8.0], [24.0], [12.0]]
    end = start + _unit(target - start) * rng.uniform(8, 32, count)
    radii = rng.uniform(0.08, 0.18, count)
    return [_Path(np.stack([start[:, n], end[:, n]], axis=1), radii[n], radii[n] * 0.6) for n in range(count)]


def _surface_points(anatomy: Anatomy, rng: np.random.Generator, count: int) -> Array:
    """Return `count` random points (3, n) just under the surface of the brain."""
    found = np.empty((3, 0))
    while found.shape[1] < count:
        points = rng.uniform([[-72.0], [-107.0], [-60.0]], [[72.0], [73.0], [82.0]], (3, 4000))
        depth = anatomy.hull.at(points, "nearest")
        found = np.concatenate([found, points[:, (depth < 0) & (depth > -7)]], axis=1)
    return found[:, :count]


def _unit(vectors: Array) -> Array:
    result: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=0), 1e-9)
    return result
