"""A head given by formulas: it can be sampled on any grid after any movement without interpolation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[Any]

# Semi-axes (mm) of the brain, the outside of the skull and the skin.
BRAIN_MM, SKULL_MM, SKIN_MM = (np.array([66.0, 82.0, 62.0]) + layer for layer in (0.0, 7.0, 13.0))


def turned(spacing: Any, shape: Any, *, angles_deg: Any = (0, 0, 0), centre: Any = (0, 0, 0)) -> Array:
    """(4, 4) affine of a grid whose middle lies at `centre`, turned about x, y, z."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix() * np.asarray(spacing, float)
    affine[:3, 3] = np.asarray(centre, float) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return affine


def places(affine: Array, shape: Any) -> Array:
    """(…, 3) RAS positions (mm) of the voxels."""
    return np.asarray(np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3])


def radius(points: Array, axes: Array) -> Array:
    """1 on the ellipsoid with these semi-axes, smaller inside."""
    return np.asarray(np.linalg.norm(points / axes, axis=-1))


def head(affine: Array, shape: Any, contrast: str = "T1", movement: Array | None = None) -> Array:
    """Signal of the head (float32) sampled on a grid; `movement` (4, 4) takes points of the head to where they are."""
    points = places(affine, shape)
    if movement is not None:
        back = np.linalg.inv(movement)
        points = points @ back[:3, :3].T + back[:3, 3]
    x, y, z = np.moveaxis(points, -1, 0)
    # Smooth folds of grey and white matter, and two ventricles.
    tissue = 0.5 + 0.5 * np.tanh(2 * (np.sin(x / 7 + 0.6 * np.sin(y / 11)) * np.cos(y / 9) + np.sin(z / 8 + x / 30)))
    ventricle = np.maximum(_blob(points, (9, 5, 8), (6, 22, 8)), _blob(points, (-10, 4, 7), (6, 20, 9)))
    grey, white, csf, bone, fat = {
        "T1": (70.0, 100.0, 30.0, 12.0, 220.0),
        "T2": (95.0, 75.0, 190.0, 10.0, 110.0),
    }[contrast]
    brain = (grey + (white - grey) * tissue) * (1 - ventricle) + csf * ventricle
    signal = np.where(radius(points, BRAIN_MM) < 1, brain, bone)
    signal = np.where(radius(points, SKULL_MM) < 1, signal, fat)
    return np.asarray(np.where(radius(points, SKIN_MM) < 1, signal, 0.0), dtype=np.float32)


def brain(affine: Array, shape: Any) -> Array:
    """(…) bool, the brain of the head on a grid."""
    return np.asarray(radius(places(affine, shape), BRAIN_MM) < 1)


def movement(angles_deg: Any, shift_mm: Any) -> Array:
    """(4, 4) rigid movement: turn about the origin, then shift."""
    return turned((1, 1, 1), (1, 1, 1), angles_deg=angles_deg, centre=shift_mm)


def largest_error_mm(found: Array, true: Array) -> float:
    """Largest distance between two transforms over the surface of the brain."""
    ball = np.random.default_rng(0).normal(size=(200, 3))
    surface = ball / np.linalg.norm(ball, axis=1, keepdims=True) * BRAIN_MM
    difference = surface @ (found - true)[:3, :3].T + (found - true)[:3, 3]
    return float(np.linalg.norm(difference, axis=1).max())


def _blob(points: Array, centre: Any, axes: Any) -> Array:
    return np.asarray(1 / (1 + np.exp(12 * (radius(points - np.asarray(centre), np.asarray(axes, float)) - 1))))
