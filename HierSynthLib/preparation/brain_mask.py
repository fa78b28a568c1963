"""The brain in a head: given, recognised in a skull-stripped volume, or computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.preparation.morphology import (
    Mask,
    brain_by_thresholds,
    head_of,
    largest_part,
    signed_distance,
    tissue_level,
)
from HierSynthLib.preparation.refinement import refine
from HierSynthLib.preparation.template import Template, fit_template, load_template
from HierSynthLib.progress import Reporter

# Millilitres. A child's small brain to a large one with its outer CSF, as masks of stripped volumes hold it.
_STRIPPED_ML = (600.0, 2300.0)
# Share of the non-zero voxels that hang together in a skull-stripped volume.
_ONE_PIECE = 0.95
# Depths (mm) at which a head's skull lies, what is dark relative to the middle, and how much of the layer a skull makes
# dark: measured 0.05–0.15 in heads and slabs of heads (T1, T2, FLAIR), at most 0.01 in stripped brains.
_SKULL_MM, _DARK, _SKULL_SHARE = (4.0, 12.0), 0.35, 0.035
_PLAUSIBLE_ML = (900.0, 2300.0)
# Dice of the expected and the found brain from which a mask is good, and fair.
_AGREEMENT = (0.92, 0.85)
# Larger than this (the spinal cord and its surroundings), a cut through the brain means that part of it is missing.
_CUT_MM2 = 2000.0
_WORKING_MM = 2.0
# Below one half: the border lies a little outside the tissue, as in masks drawn by hand.
_BORDER = 0.35


@dataclass(frozen=True)
class MaskQuality:
    """How the brain mask was made and how far it can be trusted.

    Attributes:
        method: "given", "skull-stripped input", "template", "thresholds" or "none".
        volume_ml: volume of the mask.
        rating: "good", "fair" or "poor".
        words: one sentence for the user.
    """

    method: str
    volume_ml: float
    rating: str
    words: str


def brain_mask(
    values: NDArray[np.float32], grid: Grid, *, given: NDArray[np.bool_] | None, reporter: Reporter
) -> tuple[NDArray[np.bool_], MaskQuality]:
    """Find the brain in the reference volume.

    Args:
        values: (I, J, K) signal of the reference.
        grid: its grid.
        given: (I, J, K) mask from the user on the same grid, used as it is.
        reporter: told about progress.

    Returns:
        The mask on the same grid, and how good it is.
    """
    ml = float(np.prod(grid.spacing)) / 1000
    if given is not None:
        volume = float(np.count_nonzero(given)) * ml
        if _PLAUSIBLE_ML[0] <= volume <= _PLAUSIBLE_ML[1]:
            return given, MaskQuality("given", volume, "good", f"Brain mask from the case ({volume:.0f} ml).")
        words = f"The brain mask from the case has {volume:.0f} ml, unlike a whole brain; it is used as it is."
        return given, MaskQuality("given", volume, "fair", words)
    stripped = _stripped(values, grid)
    if stripped is not None:
        volume = float(np.count_nonzero(stripped)) * ml
        words = f"The volume was skull-stripped already ({volume:.0f} ml)."
        return stripped, MaskQuality("skull-stripped input", volume, "good", words)
    return _computed(values, grid, reporter)


def _stripped(values: NDArray[np.float32], grid: Grid) -> Mask | None:
    """The filled non-zero region if it can be a skull-stripped brain, else None.

    It has the volume of a brain, hangs together, and holds no dark layer under its surface, as a head does: the skull.
    """
    nonzero = values != 0
    volume = np.count_nonzero(nonzero) * float(np.prod(grid.spacing)) / 1000
    if not _STRIPPED_ML[0] <= volume <= _STRIPPED_ML[1]:
        return None
    if np.count_nonzero(largest_part(nonzero)) < _ONE_PIECE * np.count_nonzero(nonzero):
        return None
    filled = np.asarray(ndimage.binary_fill_holes(nonzero))
    coarse = grid.canonical().respaced(_WORKING_MM)
    inside = resample(filled.astype(np.float32), grid.affine, coarse.shape, coarse.affine) > 0.5
    signal = np.abs(resample(values, grid.affine, coarse.shape, coarse.affine))
    # Where the volume ends is no surface.
    depth = ndimage.distance_transform_edt(np.pad(inside, 1, mode="edge"))[1:-1, 1:-1, 1:-1] * _WORKING_MM
    deep = signal[depth > _SKULL_MM[1]]
    layer = signal[(depth > _SKULL_MM[0]) & (depth <= _SKULL_MM[1])]
    if not deep.size or not layer.size:
        return None
    return filled if np.mean(layer < _DARK * np.median(deep)) < _SKULL_SHARE else None


def _computed(values: NDArray[np.float32], grid: Grid, reporter: Reporter) -> tuple[Mask, MaskQuality]:
    """Expect the brain where the fitted template (or, without it, thresholds) says, then find its border."""
    reporter.progress("brain mask", 0.05)
    coarse = grid.canonical().respaced(_WORKING_MM)
    signal = resample(values, grid.affine, coarse.shape, coarse.affine)
    reporter.progress("brain mask", 0.07)
    head = head_of(signal, _WORKING_MM)
    level = tissue_level(signal, head, _WORKING_MM)
    if level <= 0:
        return np.zeros(grid.shape, dtype=bool), MaskQuality("none", 0.0, "poor", "No brain was found.")
    signal = np.clip(signal, 0.0, 2.0 * level)
    reporter.progress("brain mask", 0.1)
    template = load_template()
    if template is not None:
        method = "template"
        to_head = fit_template(template, signal, head, coarse, reporter)
        reporter.progress("brain mask", 0.75)
        expected = _placed(template, to_head, coarse)
    else:
        method = "thresholds"
        expected = signed_distance(brain_by_thresholds(signal, head, _WORKING_MM), _WORKING_MM)
    if not (expected > 0).any():
        return np.zeros(grid.shape, dtype=bool), MaskQuality("none", 0.0, "poor", "No brain was found.")
    reporter.progress("brain mask", 0.8)
    found = refine(signal, expected, _WORKING_MM)
    reporter.progress("brain mask", 0.95)
    smooth = ndimage.gaussian_filter(found.astype(np.float32), 0.7)
    mask = np.asarray(resample(smooth, coarse.affine, grid.shape, grid.affine) > _BORDER)
    return mask, _judge(method, found, expected > 0, whole=_within(found, head))


def _placed(template: Template, to_head: NDArray[np.float64], grid: Grid) -> NDArray[np.float32]:
    """Signed distance (mm, positive inside) to the surface of the template's brain, placed in the head.

    Measured in the template, so that where the head's volume ends is no surface and hides none beyond it.
    """
    distance, own_grid = template.distance()
    back = np.asarray(np.linalg.inv(to_head), dtype=np.float64)
    scale = float(np.cbrt(abs(np.linalg.det(to_head[:3, :3]))))
    placed = resample(distance, own_grid.affine, grid.shape, grid.affine, transform=back, fill=float(distance.min()))
    return np.asarray(placed * np.float32(scale))


def _within(found: Mask, head: Mask) -> bool:
    """Whether the volume ends nowhere within the brain, so that all of it was imaged."""
    faces = [np.take(found, end, axis) & np.take(head, end, axis) for axis in range(3) for end in (0, -1)]
    return not any(np.count_nonzero(face) * _WORKING_MM**2 > _CUT_MM2 for face in faces)


def _judge(method: str, found: Mask, expected: Mask, *, whole: bool) -> MaskQuality:
    """Rate a computed mask by its volume and by how far the image agreed with the expectation."""
    volume = float(np.count_nonzero(found)) * _WORKING_MM**3 / 1000
    sizes = int(np.count_nonzero(found)) + int(np.count_nonzero(expected))
    overlap = 2.0 * int(np.count_nonzero(found & expected)) / max(1, sizes)
    how = "the fitted MNI152 brain" if method == "template" else "thresholds"
    words = f"Brain found by {how} and the signal's border: {volume:.0f} ml, agreement {overlap:.2f}."
    if not whole:
        words += " The volume ends within the brain."
    # Part of a brain may be small.
    plausible = volume <= _PLAUSIBLE_ML[1] and (volume >= _PLAUSIBLE_ML[0] or not whole)
    if method == "template" and plausible and overlap >= _AGREEMENT[0]:
        rating = "good"
    elif plausible and overlap >= _AGREEMENT[1]:
        rating = "fair"
    else:
        rating = "poor"
    return MaskQuality(method, volume, rating, words)
