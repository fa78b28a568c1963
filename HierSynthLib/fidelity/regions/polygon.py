"""Closed polygons in space: the plane they lie in, and which points they enclose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane that fits some points best in the sense of least squares, and the points in it.

    Attributes:
        origin: (3,) mean of the points, mm.
        axes: (3, 3) unit vectors as columns: two in the plane, and its normal.
        polygon: (N, 2) mm of the points along the first two axes.
        departure: largest distance of a point from the plane, mm.
    """

    origin: Vector
    axes: Vector
    polygon: Vector
    departure: float


def fit_plane(points: Vector) -> Plane:
    """Fit a plane to points (N, 3), N ≥ 3, by the singular value decomposition of their distances from their mean."""
    origin = points.mean(axis=0)
    away = points - origin
    axes = np.linalg.svd(away, full_matrices=True)[2].T
    along = away @ axes
    return Plane(origin, axes, along[:, :2], float(np.abs(along[:, 2]).max()))


@dataclass(frozen=True, eq=False)
class Winding:
    """How a closed polygon goes around points.

    Attributes:
        odd: (M,) bool, whether a ray from the point crosses it an odd number of times: inside by the even-odd rule.
        crossing: whether it goes around any two of the points in opposite directions, or around one more than once;
            a polygon that does not cross itself does neither.
    """

    odd: NDArray[np.bool_]
    crossing: bool


def winding(polygon: Vector, points: Vector) -> Winding:
    """Count how often a closed polygon (N, 2) goes around each of some points (M, 2).

    A ray from each point along the first axis is followed (crossing number and winding number; Hormann and Agathos,
    Computational Geometry 20 (2001) 131–144). The points are sorted once, so each edge only looks at those beside it.
    """
    order = np.argsort(points[:, 1], kind="stable")
    x, y = points[order].T
    count, turns = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    ends = np.roll(polygon, -1, axis=0)
    first = np.searchsorted(y, np.minimum(polygon[:, 1], ends[:, 1]))
    last = np.searchsorted(y, np.maximum(polygon[:, 1], ends[:, 1]))
    for (ax, ay), (bx, by), start, stop in zip(polygon, ends, first, last, strict=True):
        if start == stop:  # no point beside it, or along the ray
            continue
        beside = slice(start, stop)
        hit = x[beside] < ax + (y[beside] - ay) * ((bx - ax) / (by - ay))
        count[beside] += hit
        turns[beside] += hit if by > ay else -hit.astype(np.int64)
    odd = np.empty(len(order), bool)
    odd[order] = count % 2 == 1
    around = turns[turns != 0]
    crossing = bool(around.size and (np.abs(around).max() > 1 or around.min() != around.max()))
    return Winding(odd, crossing)
