"""The curve of one voxel beside those of the AIF and of non-enhancing brain, ready to be drawn.

Imports nothing but numpy, so that Slicer's process can have it: a curve follows the mouse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.relaxation import baseline_level, log_drop, single_echo

Curve = NDArray[np.float64]
Range = tuple[float, float]

# The AIF is divided by one of these so that it is at most so many times as high as the rest (design values).
_DIVISORS = (1, 2, 5, 10, 20, 50, 100)
_MOST_HIGHER = 2.0
# Above and below the curves there is room of this share of their span (design value).
_MARGIN = 0.05


@dataclass(frozen=True, eq=False)
class VoxelCurves:
    """What the plots of one voxel show.

    Attributes:
        times_s: (T,) times of the frames, s.
        signal: (T,) signal of the voxel, a.u.
        relaxation: (T,) ΔR2* of the voxel, 1/s.
        non_enhancing: (T,) mean ΔR2* of non-enhancing brain, 1/s.
        aif: (T,) ΔR2* of the AIF divided by `aif_divisor`, 1/s; None where there is no AIF.
        aif_divisor: 1 or more, so that the curve of tissue can be seen beside the AIF.
        time_range, signal_range, relaxation_range: of the axes.
    """

    times_s: Curve
    signal: Curve
    relaxation: Curve
    non_enhancing: Curve
    aif: Curve | None
    aif_divisor: int
    time_range: Range
    signal_range: Range
    relaxation_range: Range


def voxel_at(position: ArrayLike, affine: ArrayLike, grid: Sequence[int]) -> tuple[int, int, int] | None:
    """The voxel that contains a position.

    Args:
        position: (3,) RAS mm.
        affine: (4, 4) voxel index → RAS mm, invertible.
        grid: number of voxels along i, j, k.

    Returns:
        Its indices; None outside the grid.
    """
    found = voxels_at(np.asarray(position, dtype=np.float64)[None], affine)[0]
    if np.any(found < 0) or np.any(found >= np.asarray(grid)):
        return None
    return int(found[0]), int(found[1]), int(found[2])


def voxels_at(positions: ArrayLike, affine: ArrayLike) -> NDArray[np.intp]:
    """(n, 3) indices of the voxels whose centres are nearest to (n, 3) positions in RAS mm; may lie outside a grid."""
    to_index = np.linalg.inv(np.asarray(affine, dtype=np.float64))
    indices = np.asarray(positions, dtype=np.float64) @ to_index[:3, :3].T + to_index[:3, 3]
    return np.asarray(np.floor(indices + 0.5), dtype=np.intp)


def centres_of(voxels: ArrayLike, affine: ArrayLike) -> list[list[float]]:
    """Centres, RAS mm, of (n, 3) voxels of a grid whose affine (4, 4) takes voxel index → RAS mm."""
    to_ras = np.asarray(affine, dtype=np.float64)
    centres = np.asarray(voxels, dtype=np.float64).reshape(-1, 3) @ to_ras[:3, :3].T + to_ras[:3, 3]
    return [[float(axis) for axis in centre] for centre in centres]


def voxel_curves(signal: ArrayLike, te_s: float, mean_curves: Mapping[str, Any]) -> VoxelCurves:
    """The curve of a voxel as the processing computes it, beside the mean curves of the processing.

    Frames before the steady state count as 0, as in the maps. The frames are taken as they are, not moved back.

    Args:
        signal: (T,) of the voxel, a.u.
        te_s: echo time in s.
        mean_curves: "times_s", "non_enhancing" and "aif" (T,) (or None), and "steady_frame", "baseline_first_frame",
            "baseline_last_frame", as the job's result has them.
    """
    own = np.nan_to_num(np.asarray(signal, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    baseline = slice(int(mean_curves["baseline_first_frame"]), int(mean_curves["baseline_last_frame"]) + 1)
    row = own.astype(np.float32)[None]
    drop = log_drop(row, baseline_level(row, baseline), Options().signal_floor)
    relaxation = single_echo(drop, te_s)[0].astype(np.float64)
    relaxation[: int(mean_curves["steady_frame"])] = 0
    non_enhancing = np.asarray(mean_curves["non_enhancing"], dtype=np.float64)
    given = mean_curves["aif"]
    divisor = 1 if given is None else _divisor(float(np.max(given)), float(max(relaxation.max(), non_enhancing.max())))
    aif = None if given is None else np.asarray(given, dtype=np.float64) / divisor
    times = np.asarray(mean_curves["times_s"], dtype=np.float64)
    return VoxelCurves(
        times_s=times,
        signal=own,
        relaxation=relaxation,
        non_enhancing=non_enhancing,
        aif=aif,
        aif_divisor=divisor,
        time_range=(0.0, float(times[-1])),
        signal_range=_range(own),
        relaxation_range=_range(relaxation, non_enhancing, *(() if aif is None else (aif,))),
    )


def _divisor(aif_peak: float, other_peak: float) -> int:
    highest = _MOST_HIGHER * max(other_peak, 1e-9)
    return next((divisor for divisor in _DIVISORS if aif_peak / divisor <= highest), _DIVISORS[-1])


def _range(*curves: Curve) -> Range:
    """From below the lowest to above the highest value, 0 included."""
    low = min(0.0, *(float(curve.min()) for curve in curves))
    high = max(0.0, *(float(curve.max()) for curve in curves))
    room = _MARGIN * (high - low) or 1.0
    return (low - room if low < 0 else 0.0), high + room
