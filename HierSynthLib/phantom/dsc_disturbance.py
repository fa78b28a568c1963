"""What disturbs a DSC series: noise, drift of the scanner, motion between frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.phantom.deformation import rotation
from HierSynthLib.phantom.fields import Array
from HierSynthLib.phantom.scanner import ImageGrid
from HierSynthLib.phantom.signal import rician
from HierSynthLib.progress import Reporter

# Design values: slow restlessness, and one jerk after which the head stays where it is.
_RESTLESS_MM, _RESTLESS_DEG, _RESTLESS_FRAMES = 0.25, 0.2, 6.0
_JERK_MM, _JERK_DEG = 1.0, 0.8
_DRIFT = 0.02  # standard deviation of the relative change of the signal over the whole series


def drawn_drift(rng: np.random.Generator, frames: int) -> Array:
    """Return the gain of every frame, (frames,): 1 at the first and a straight line from there, at most ±4 %."""
    change = float(np.clip(_DRIFT * rng.standard_normal(), -2 * _DRIFT, 2 * _DRIFT))
    result: Array = 1 + change * np.linspace(0.0, 1.0, frames)
    return result


def drawn_motion(rng: np.random.Generator, frames: int, centre: Array) -> Array:
    """Return where the head lies in every frame, (frames, 4, 4) rigid, RAS mm: first frame → this frame.

    Args:
        rng: random stream.
        frames: their number.
        centre: (3,) RAS mm about which the head turns.
    """
    slow = ndimage.gaussian_filter1d(rng.standard_normal((frames, 6)), _RESTLESS_FRAMES, axis=0, mode="nearest")
    slow /= max(float(slow.std()), 1e-9)
    slow *= [_RESTLESS_DEG] * 3 + [_RESTLESS_MM] * 3
    jerk = rng.standard_normal(6).clip(-2, 2) * ([_JERK_DEG] * 3 + [_JERK_MM] * 3)
    slow[int(rng.integers(frames // 5, 4 * frames // 5)) :] += jerk
    slow -= slow[0]
    result = np.tile(np.eye(4), (frames, 1, 1))
    for matrix, pose in zip(result, slow, strict=True):
        matrix[:3, :3] = rotation(np.deg2rad(pose[:3]))
        matrix[:3, 3] = pose[3:] + centre - matrix[:3, :3] @ centre
    return result


def move(series: NDArray[np.float32], motion: Array, grid: ImageGrid, reporter: Reporter) -> None:
    """Move every frame of `series` (i, j, k, frames), which has no noise yet, in place.

    The frames are interpolated (cubic spline) on the grid of the series, as a registration of a real series would see
    them: the spins' history and the changing distortion are left out.

    Args:
        series: what is moved.
        motion: (frames, 4, 4) from `drawn_motion`.
        grid: of the series.
        reporter: told the progress of "acquisition".
    """
    to_voxels = np.linalg.inv(grid.affine)
    for n, matrix in enumerate(motion):
        reporter.progress("acquisition", n / len(motion))
        if np.array_equal(matrix, np.eye(4)):
            continue
        back = to_voxels @ np.linalg.inv(matrix) @ grid.affine
        frame = np.ascontiguousarray(series[..., n])
        moved = ndimage.affine_transform(frame, back[:3, :3], back[:3, 3], order=3, mode="nearest")
        series[..., n] = np.maximum(moved, 0.0)


def add_noise(series: NDArray[np.float32], sigma: float, rng: np.random.Generator, reporter: Reporter) -> None:
    """Replace `series` (i, j, k, frames) by its magnitude with Rician noise, rounded to whole numbers as stored.

    Args:
        series: changed in place.
        sigma: standard deviation of the real and of the imaginary part.
        rng: random stream.
        reporter: told the progress of "acquisition".
    """
    for i in range(series.shape[0]):
        reporter.progress("acquisition", i / series.shape[0])
        # In float64, whose last bits, which differ between processors, do not reach the whole numbers.
        series[i] = np.rint(rician(series[i].astype(np.float64), sigma, rng))
