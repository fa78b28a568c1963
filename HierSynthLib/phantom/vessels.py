"""Large arteries and veins near their places in MNI space, and procedural pial and penetrating vessels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from HierSynthLib.phantom.anatomy import Anatomy
from HierSynthLib.phantom.deformation import Deformation
from HierSynthLib.phantom.fields import Array, Axes

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
    arteries = [*_named("artery", rng), *_pial(anatomy, rng, 170), *_penetrating(anatomy, rng, 700)]
    sinus = _sagittal_sinus(anatomy, rng)
    veins = [*_named("vein", rng), sinus, *_pial(anatomy, rng, 200), *_penetrating(anatomy, rng, 700)]
    return _in_frame(arteries, deformation), _in_frame(veins, deformation)


def stamp(tubes: Tubes, axes: Axes) -> Array:
    """Return the fraction of every voxel that the tubes fill, (i, j, k), 0–1.

    A tube thinner than the voxel becomes a cone whose cross-section integrates to π r², a thicker one a disc with a
    border of one voxel, so volume is kept on any grid.
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
    even = np.stack([np.interp(at, length, c) for c in corners])
    result: Array = ndimage.gaussian_filter1d(even, 1.2, axis=1, mode="nearest")
    return result


def _named(kind: str, rng: np.random.Generator) -> list[_Path]:
    """Return the large vessels of `vessels.json` with this person's course and calibre."""
    table = json.loads(Path(__file__).with_name("vessels.json").read_text(encoding="utf-8"))
    paths = []
    for vessel in table[kind]:
        for side in (-1, 1) if vessel["paired"] else (1,):
            corners = np.array(vessel["points"], float).T * [[side], [1], [1]]
            corners[:, 1:-1] += rng.normal(0.0, 0.8, corners[:, 1:-1].shape)  # ends stay: there branches join
            calibre = float(np.exp(rng.normal(0.0, 0.15)))
            start, end = vessel["radii"]
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
