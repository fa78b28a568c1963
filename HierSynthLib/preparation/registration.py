"""Rigid registration of one sequence to another by mutual information."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.preparation.morphology import head_of, top_of_head
from HierSynthLib.preparation.similarity import UNIT_MM, Comparison, to_image, to_ras, to_units
from HierSynthLib.progress import Reporter

Point = NDArray[np.float64]

# A larger movement between two series of one session is a failure of the registration, not of the patient.
MAX_SHIFT_MM, MAX_ANGLE_DEG = 40.0, 30.0
# Same grid and similarity peaking this near to no movement: aligned.
_ALIGNED_MM = 0.5
# Same grid and overlap (Dice) of the non-zero regions: cut out with one mask, so co-registered by whoever did that.
_SAME_CUT = 0.95
_LEVELS_MM = (6.0, 4.0, 2.0)
_SAMPLES = 30_000
_HEAD_MM = 4.0
# A result may be this much less similar than no movement before it counts as worse.
_SLACK = 0.03
# How the head may be turned between two series before the gradient finds the way: nodding and shaking.
_NODS_DEG, _SHAKES_DEG = (-15.0, 0.0, 15.0), (-20.0, -10.0, 0.0, 10.0, 20.0)
_STARTS = 3
# Deeper below the skin than this, most of the head is brain.
_DEEP_MM = 20.0


@dataclass(frozen=True, eq=False)
class Registration:
    """What registering one sequence found.

    Attributes:
        transform: (4, 4) maps a RAS point (mm) of the reference to the point of the sequence.
        method: "rigid", "co-registered" (nothing to do), "rejected" (implausible, identity kept), "off" or "reference".
        shift_mm: how far the centre of the reference's brain moves.
        angle_deg: by how much it turns.
    """

    transform: NDArray[np.float64]
    method: str
    shift_mm: float = 0.0
    angle_deg: float = 0.0


@dataclass(frozen=True, eq=False)
class Image:
    """Signal (I, J, K), its grid and, where it is known, the RAS point (mm) at the top of the head."""

    values: NDArray[np.float32]
    grid: Grid
    top: Point | None = None

    def on(self, target: Grid) -> NDArray[np.float32]:
        """The signal on another grid."""
        return np.asarray(resample(self.values, self.grid.affine, target.shape, target.affine))

    def reduced(self) -> Image:
        """The signal at about `_LEVELS_MM[-1]` mm, limited to what occurs deep in the head.

        Otherwise bright fat would use up the histogram. Thick slices are not cut into thinner ones.
        """
        grid = self.grid.canonical()
        grid = grid.respaced(np.maximum(grid.spacing, _LEVELS_MM[-1]))
        small = Image(self.on(grid), grid)
        coarse = small.on(grid.respaced(_HEAD_MM))
        head = head_of(coarse, _HEAD_MM)
        depth = ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1, 1:-1] * _HEAD_MM
        deep = coarse[depth > min(_DEEP_MM, 0.5 * float(depth.max()))]
        if not deep.size:
            return small
        low, high = np.percentile(deep, (1, 99))
        top = top_of_head(head, grid.respaced(_HEAD_MM))
        return Image(np.clip(small.values, min(0.0, low), high), grid, top)


def register_rigid(
    reference: Image, mask: Image, moving: Image, *, reporter: Reporter, name: str = "the sequence"
) -> Registration:
    """Find the rigid movement that maps the reference onto another sequence of the same head.

    Mattes mutual information within `mask` at 6, 4 and 2 mm. Of several starts (positions from the files, superimposed
    centres or tops of the head; turned or not) the three most similar and "no movement" are followed. Nothing is done
    for two volumes on the same grid if both were cut out with one mask (non-zero regions overlap with Dice ≥ 0.95 and
    are at most half of the volume) or if the similarity peaks within 0.5 mm of no movement.

    Args:
        reference: the reference.
        mask: where to compare (values > 0.5), in the space of the reference: the brain, a little dilated.
        moving: the other sequence.
        reporter: told about progress and implausible results.
        name: what to call the sequence in a warning.

    Returns:
        The movement; identity, with a warning, if it is implausible: more than 40 mm or 30°, or less similar than none.
    """
    centre = _centre_of(mask)
    identity = _euler(np.zeros(3), np.zeros(3), centre)
    same_grid = reference.grid.same(moving.grid)
    if same_grid and _same_cut(reference.values, moving.values):
        return Registration(np.eye(4), "co-registered")
    small_reference = reference.reduced()
    reporter.progress("registration", 0.03)
    small_moving = moving.reduced()
    levels = []
    for mm in _LEVELS_MM:
        reporter.progress("registration", 0.06)
        levels.append(_comparison(small_reference, mask, small_moving, mm))
    reporter.progress("registration", 0.1)
    if same_grid and _peaks_at_identity(levels[1], centre):
        return Registration(np.eye(4), "co-registered")

    found = _coarse(levels[0], small_reference, mask, small_moving, centre, reporter)
    for number, (level, mm) in enumerate(zip(levels[1:], _LEVELS_MM[1:], strict=True)):
        found, _ = level.optimise(found, mm / 4, reporter, "registration", 0.4 + 0.3 * number)
    transform = to_ras(found)
    shift = float(np.linalg.norm(transform[:3, :3] @ centre + transform[:3, 3] - centre))
    angle = float(np.degrees(np.arccos(np.clip((np.trace(transform[:3, :3]) - 1) / 2, -1, 1))))
    value = levels[-1].dissimilarity(found)
    # The optimiser sees a sample of the voxels: where nothing moved, it may end a hair beside the best of all.
    worse = not np.isfinite(value) or value > (1 - _SLACK) * levels[-1].dissimilarity(identity)
    if shift > MAX_SHIFT_MM or angle > MAX_ANGLE_DEG or worse:
        reporter.warning(
            f"Registration of {name} to the reference gave no plausible result ({shift:.0f} mm, {angle:.0f}°); "
            "its position from the file is used."
        )
        return Registration(np.eye(4), "rejected")
    return Registration(transform, "rigid", shift, angle)


def _comparison(reference: Image, mask: Image, moving: Image, mm: float) -> Comparison:
    """Both images at `mm`, or as fine as they are; the reference in the mask's box only."""
    fixed_grid = reference.grid.respaced(np.maximum(reference.grid.spacing, mm))
    inside = mask.on(fixed_grid) > 0.5
    used = np.argwhere(inside)
    if len(used):
        first, last = used.min(axis=0), used.max(axis=0) + 1
        fixed_grid = fixed_grid.cropped(first, last)
        inside = inside[tuple(slice(*pair) for pair in zip(first, last, strict=True))]
    moving_grid = moving.grid.respaced(np.maximum(moving.grid.spacing, mm))
    return Comparison(
        to_image(reference.on(fixed_grid), fixed_grid),
        to_image(moving.on(moving_grid), moving_grid),
        to_image(inside.astype(np.uint8), fixed_grid),
        _SAMPLES,
    )


def _coarse(level: Comparison, reference: Image, mask: Image, moving: Image, centre: Point, reporter: Reporter) -> Any:
    """The best of several starts, each followed at the coarsest level.

    Mutual information grows when little of the images overlaps, so it is weighted by the share of the mask that lies
    within the moving image.
    """
    apart = [moving.grid.centre - reference.grid.centre]
    if moving.top is not None and reference.top is not None:
        apart.append(moving.top - reference.top)
    points = _points(mask)
    points = points[:: max(1, len(points) // 2000)]
    to_index = np.linalg.inv(moving.grid.affine)
    limits = np.array(moving.grid.shape) - 0.5

    def badness(transform: Any, value: float) -> float:
        to_voxel = to_index @ to_ras(transform)
        index = points @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        share = float(np.mean(np.all((index > -0.5) & (index < limits), axis=1)))
        return value * share if share > 0 and np.isfinite(value) else np.inf

    shifts = [np.zeros(3)]
    for shift in apart:
        if all(np.linalg.norm(shift - other) > _LEVELS_MM[0] for other in shifts):
            shifts.append(shift)
    starts = []
    for shift, nod, shake in product(shifts, _NODS_DEG, _SHAKES_DEG):
        start = _euler(np.radians([nod, 0.0, shake]), shift, centre)
        starts.append((badness(start, level.dissimilarity(start)), start))
        reporter.progress("registration", 0.1)
    ranked = [start for _, start in sorted(starts, key=lambda pair: pair[0])[:_STARTS]]
    followed = []
    for start in [_euler(np.zeros(3), np.zeros(3), centre), *ranked]:
        found, value = level.optimise(start, _LEVELS_MM[0] / 3, reporter, "registration", 0.2)
        followed.append((badness(found, value), found))
    return min(followed, key=lambda pair: pair[0])[1]


def _same_cut(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    one, other = first != 0, second != 0
    sizes = np.count_nonzero(one), np.count_nonzero(other)
    if max(sizes) > 0.5 * one.size or min(sizes) == 0:
        return False
    return bool(2 * np.count_nonzero(one & other) >= _SAME_CUT * sum(sizes))


def _peaks_at_identity(level: Comparison, centre: Point) -> bool:
    """Whether a parabola through three values peaks within `_ALIGNED_MM` of 0 for each of the six parameters."""
    at_zero = level.dissimilarity(_euler(np.zeros(3), np.zeros(3), centre))
    step_mm = 2.0
    for axis in range(6):
        # A turn by step_mm / UNIT_MM moves the surface of the head by about step_mm.
        move = np.eye(6)[axis] * np.r_[np.full(3, step_mm / UNIT_MM), np.full(3, step_mm)]
        before, after = (level.dissimilarity(_euler(s * move[:3], s * move[3:], centre)) for s in (-1, 1))
        curvature = before - 2 * at_zero + after
        if not np.isfinite(curvature) or curvature <= 0:
            return False
        if abs((before - after) / (2 * curvature) * step_mm) > _ALIGNED_MM:
            return False
    return True


def _euler(angles_rad: Point, shift_mm: Point, centre: Point) -> Any:
    """Turns about the x, y and z axis through `centre` and a shift; centre and shift in RAS mm."""
    transform = sitk.Euler3DTransform()
    transform.SetCenter(to_units(centre))
    # The x and y axes of LPS point the other way.
    transform.SetRotation(-float(angles_rad[0]), -float(angles_rad[1]), float(angles_rad[2]))
    transform.SetTranslation(to_units(shift_mm))
    return transform


def _points(mask: Image) -> Point:
    """(n, 3) RAS positions in mm of the mask's voxels."""
    return np.asarray(np.argwhere(mask.values > 0.5) @ mask.grid.affine[:3, :3].T + mask.grid.affine[:3, 3])


def _centre_of(mask: Image) -> Point:
    """RAS position in mm of the mask's centre of mass; of the grid's centre if the mask is empty."""
    points = _points(mask)
    return np.asarray(points.mean(axis=0)) if len(points) else mask.grid.centre
