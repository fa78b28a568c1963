"""Rigid movement of the head between the frames of a DSC series.

The bolus changes signal and contrast within seconds, so frames cannot be compared by their signal. Each frame is
explained as a smooth function (a polynomial) of the baseline image, moved rigidly: any change that is the same for
equal baseline signal, as the mean bolus of grey matter, of white matter and of CSF, is no movement. Vessels, which
change more, are down-weighted as outliers (Tukey's biweight). Movement and polynomial are found together by
Gauss–Newton steps. Resampling is SimpleITK's.

That is not all of it: blood comes earlier to one part of the brain than to another, and while it passes that looks like
movement, in simulated heads that keep still by up to 1 mm. So a frame of the first pass lies where the head lay before
it or after it, whichever is nearer, unless its own estimate is too far from both to be an effect of the bolus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from HierSynthLib.perfusion.baseline import Bolus
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.progress import Reporter

Doubles = NDArray[np.float64]
Image = NDArray[np.float32]

_WORKING_MM = 3.0
_LEVELS_MM = (4.0, 1.5)  # standard deviation of the smoothing, coarse to fine
_STEPS = 12
_SETTLED_MM = 0.01
_RIM_MM = 6.0  # the border of the brain, where most of the contrast is, belongs to the region
_DEGREE = 3
_TUKEY = 4.685  # 95 % efficiency for normal residuals (Holland & Welsch 1977)
_LEAST_VOXELS = 200
_MOST_VOXELS = 40_000  # of the region, spread evenly
_PASS_MM, _PASS_VOXELS = (
    1.0,
    0.3,
)  # what the bolus may feign: the larger of both, of the longest voxel edge (design value)
_AROUND_FRAMES = 5  # before and after the first pass, of which the most typical one is taken (design value)
_FAR_MM = 1.0  # a head this near to the baseline's place is found from either start


@dataclass(frozen=True, eq=False)
class Motion:
    """How the head moved.

    Attributes:
        transforms: (T, 4, 4) maps a RAS point (mm) of the baseline to the point of the frame.
        shift_mm: (T,) movement of the brain's centre, mm.
        angle_deg: (T,) rotation, degrees.
        largest_mm: (T,) largest movement of a voxel of the brain, mm.
        corrected: (T,) frames that were resampled.
    """

    transforms: Doubles
    shift_mm: Doubles
    angle_deg: Doubles
    largest_mm: Doubles
    corrected: NDArray[np.bool_]


def correct_motion(
    series: DscSeries, brain: NDArray[np.bool_], bolus: Bolus, options: Options, reporter: Reporter
) -> tuple[DscSeries, Motion]:
    """Register all frames to the mean of the baseline.

    Args:
        series: the series; movement is found in its first echo and undone in all.
        brain: (I, J, K) mask, which may be off by the movement itself.
        bolus: for the frames of the baseline.
        options: `motion_least_mm`.
        reporter: told the progress of "motion correction"; called at least once per frame.

    Returns:
        The series, frames that moved resampled by cubic B-splines, and the movement.
    """
    reporter.progress("motion correction", 0.0)
    points = _points(series, brain)
    transforms = _through_bolus(_estimate(series, brain, bolus, reporter), points, bolus, series)
    motion = _describe(transforms, points, options)
    moved = np.flatnonzero(motion.corrected)
    if moved.size == 0:
        reporter.progress("motion correction", 1.0)
        return series, motion
    echoes = []
    for number, echo in enumerate(series.echoes):
        still = echo.copy()
        for count, frame in enumerate(moved):
            done = (number + count / moved.size) / len(series.echoes)
            reporter.progress("motion correction", 0.6 + 0.4 * done)
            image = np.ascontiguousarray(echo[..., frame])
            new = resample(
                image, series.affine, series.grid, series.affine, transform=transforms[frame], interpolation="cubic"
            )
            still[..., frame] = np.maximum(new, 0)
        echoes.append(still)
    reporter.progress("motion correction", 1.0)
    return DscSeries(tuple(echoes), series.te_s, series.tr_s, series.affine, series.flip_deg), motion


def _estimate(series: DscSeries, brain: NDArray[np.bool_], bolus: Bolus, reporter: Reporter) -> Doubles:
    """(T, 4, 4) movement of every frame; twice, since the baseline itself may have moved."""
    grid = Grid(series.grid, series.affine)
    coarse = grid.respaced(np.maximum(grid.spacing, _WORKING_MM))
    signal = series.echoes[0]
    frames = np.empty((series.frames, *coarse.shape), dtype=np.float32)
    for frame in range(series.frames):
        reporter.progress("motion correction", 0.1 * frame / series.frames)
        image = np.ascontiguousarray(signal[..., frame])
        frames[frame] = resample(image, grid.affine, coarse.shape, coarse.affine)
    inside = resample(brain.astype(np.float32), grid.affine, coarse.shape, coarse.affine) > 0.5
    region = ndimage.distance_transform_edt(~inside, sampling=coarse.spacing) <= _RIM_MM
    transforms: Doubles = np.tile(np.eye(4), (series.frames, 1, 1))
    if np.count_nonzero(region) < _LEAST_VOXELS:
        return transforms
    baseline = range(*bolus.baseline.indices(series.frames))
    for turn in range(2):
        # Still frames of the baseline first: the mean over a baseline that moved is blurred.
        still = [_moved(frames[frame], coarse, transforms[frame]) for frame in baseline]
        reference = np.asarray(np.stack([np.maximum(image, 0) for image in still]).mean(axis=0))
        levels = [_Level(reference, region, coarse, sigma) for sigma in _LEVELS_MM]
        chosen = list(baseline) if turn == 0 else list(range(series.frames))
        for count, frame in enumerate(chosen):
            done = 0.15 * turn + (0.15, 0.35)[turn] * count / len(chosen)
            reporter.progress("motion correction", 0.1 + done)
            # The head is nearest to where it was in the frame before.
            start = transforms[frame - 1] if frame > chosen[0] and turn else transforms[frame]
            transforms[frame] = _follow(levels, frames[frame], start)
    return transforms


def _follow(levels: list[_Level], image: Image, start: Doubles) -> Doubles:
    """The movement of one frame from the nearer of two starts: the frame before and no movement."""
    coarse = levels[0].smooth(image)
    far = np.abs(start - np.eye(4)).max() > _FAR_MM
    starts = [start, np.eye(4)] if far else [start]
    transform, _ = min((levels[0].settle(coarse, begin) for begin in starts), key=lambda found: found[1])
    for level in levels[1:]:
        transform, _ = level.settle(level.smooth(image), transform)
    return transform


class _Level:
    """The baseline image at one smoothness, and how its functions change with movement."""

    def __init__(self, reference: Image, region: NDArray[np.bool_], grid: Grid, sigma_mm: float) -> None:
        # An odd step takes voxels of all slices.
        step = int(np.count_nonzero(region)) // _MOST_VOXELS // 2 * 2 + 1
        spread = np.flatnonzero(region)[::step]
        chosen = np.unravel_index(spread, region.shape)
        self._grid, self._region = grid, chosen
        self._sigma = sigma_mm / grid.spacing
        image = self.smooth(reference)
        slopes = np.stack(
            [np.gradient(image, axis=n) if image.shape[n] > 1 else np.zeros_like(image) for n in range(3)]
        )
        scale = float(np.mean(image[chosen])) or 1.0
        base = (image[chosen] / scale).astype(np.float64)
        # Slope per mm along R, A, S from the slope per voxel.
        slope = (
            np.linalg.inv(grid.affine[:3, :3]).T
            @ np.stack([slope[chosen] for slope in slopes]).astype(np.float64)
            / scale
        )
        points = np.stack(chosen, axis=1) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        self._centre = points.mean(axis=0)
        arm = points - self._centre
        self._radius = float(np.sqrt((arm**2).sum(axis=1).mean()))
        # How the baseline image changes by small rotations (in mm at the radius) about, and shifts along R, A, S.
        turning = np.cross(arm, slope.T).T / self._radius
        self._generators = np.concatenate([turning, slope]).T
        self._powers = np.stack([base**n for n in range(_DEGREE + 1)], axis=1)
        self._rises = np.stack([n * base ** max(n - 1, 0) for n in range(_DEGREE + 1)], axis=1)

    def smooth(self, image: Image) -> Image:
        return np.asarray(ndimage.gaussian_filter(image, self._sigma, mode="nearest"))

    def settle(self, image: Image, start: Doubles) -> tuple[Doubles, float]:
        """Follow the movement from `start` until it settles; returns it and the mean absolute residual."""
        transform, weights, mismatch = start, None, np.inf
        for _ in range(_STEPS):
            found = _moved(image, self._grid, transform)[self._region].astype(np.float64)
            seen = found >= 0
            if np.count_nonzero(seen) < max(_LEAST_VOXELS, 0.3 * seen.size):
                return transform, np.inf
            level = float(found[seen].mean()) or 1.0
            step, weights, mismatch = self._step(found / level, seen, weights)
            # The frame looks like the baseline moved by `step`: take that back before the movement so far.
            transform = transform @ np.linalg.inv(self._rigid(step))
            if np.abs(step).max() < _SETTLED_MM:
                break
        return transform, mismatch

    def _step(self, found: Doubles, seen: NDArray[np.bool_], weights: Doubles | None) -> tuple[Doubles, Doubles, float]:
        """Movement (6,) in mm, weights for the next step, and the mean absolute residual."""
        w = seen.astype(np.float64) if weights is None else weights * seen
        contrast = _solve(self._powers, found, w)
        model = self._powers @ contrast
        # Change of the model by movement: chain rule through the polynomial.
        design = np.concatenate([self._powers, (self._rises @ contrast)[:, None] * self._generators], axis=1)
        solution = _solve(design, found, w)
        residual = found - design @ solution
        spread = 1.4826 * float(np.median(np.abs(residual[seen]))) + 1e-9
        ratio = np.clip(np.abs(residual) / (_TUKEY * spread), 0, 1)
        mismatch = float(np.mean(np.minimum(np.abs(found - model)[seen], 1.0)))
        return solution[_DEGREE + 1 :], (1 - ratio**2) ** 2, mismatch

    def _rigid(self, step: Doubles) -> Doubles:
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_rotvec(step[:3] / self._radius).as_matrix()
        matrix[:3, 3] = self._centre - matrix[:3, :3] @ self._centre + step[3:]
        return matrix


def _solve(design: Doubles, values: Doubles, weights: Doubles) -> Doubles:
    weighted = design * weights[:, None]
    return np.asarray(np.linalg.lstsq(weighted.T @ design, weighted.T @ values, rcond=1e-12)[0], dtype=np.float64)


def _moved(image: Image, grid: Grid, transform: Doubles) -> Image:
    """The frame at the places to which the baseline's voxels have moved; −1 outside."""
    return np.asarray(resample(image, grid.affine, grid.shape, grid.affine, transform=transform, fill=-1.0))


def _points(series: DscSeries, brain: NDArray[np.bool_]) -> Doubles:
    """(n, 3) RAS mm of voxels spread over the brain."""
    points: Doubles = np.argwhere(brain) @ series.affine[:3, :3].T + series.affine[:3, 3]
    return points[:: max(1, len(points) // 2000)] if len(points) else np.zeros((1, 3))


def _apart(first: Doubles, second: Doubles, points: Doubles) -> float:
    """Largest distance in mm of the places to which two movements bring `points`."""
    between = first - second
    return float(np.linalg.norm(points @ between[:3, :3].T + between[:3, 3], axis=1).max())


def _through_bolus(transforms: Doubles, points: Doubles, bolus: Bolus, series: DscSeries) -> Doubles:
    """The movement (T, 4, 4), in the first pass without what the bolus feigns."""
    limit = max(_PASS_MM, _PASS_VOXELS * float(series.spacing.max()))
    during = bolus.first_pass(series.frames)
    behind = min(during.stop, series.frames - _AROUND_FRAMES)
    places = [
        _typical(transforms[max(0, bolus.stop - _AROUND_FRAMES) : bolus.stop], points),
        _typical(transforms[behind : behind + _AROUND_FRAMES], points),
    ]
    result = transforms.copy()
    for frame in range(during.start, during.stop):
        away = [_apart(transforms[frame], place, points) for place in places]
        nearest = int(np.argmin(away))
        if away[nearest] <= limit:
            result[frame] = places[nearest]
    return result


def _typical(transforms: Doubles, points: Doubles) -> Doubles:
    """The one of (n, 4, 4) movements that is nearest to the others."""
    sums = [sum(_apart(one, other, points) for other in transforms) for one in transforms]
    return np.asarray(transforms[int(np.argmin(sums))])


def _describe(transforms: Doubles, points: Doubles, options: Options) -> Motion:
    moves = np.einsum("tij,nj->tni", transforms[:, :3, :3], points) + transforms[:, None, :3, 3] - points
    largest = np.linalg.norm(moves, axis=2).max(axis=1)
    traces = np.trace(transforms[:, :3, :3], axis1=1, axis2=2)
    angle = np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1)))
    shift = np.linalg.norm(moves.mean(axis=1), axis=1)
    return Motion(transforms, shift, angle, largest, largest >= options.motion_least_mm)
