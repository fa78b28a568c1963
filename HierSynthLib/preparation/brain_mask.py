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
_PLAUSIBLE_ML = (900.0, 2300.0)
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
        return given, MaskQuality("given", volume, "good", f"Brain mask from the case ({volume:.0f} ml).")
    stripped = _stripped(values, ml)
    if stripped is not None:
        volume = float(np.count_nonzero(stripped)) * ml
        words = f"The volume was skull-stripped already ({volume:.0f} ml)."
        return stripped, MaskQuality("skull-stripped input", volume, "good", words)
    mask, quality = _computed(values, grid, reporter)
    return mask, quality


def _stripped(values: NDArray[np.float32], ml: float) -> Mask | None:
    """The filled non-zero region if it can be a skull-stripped brain, else None."""
    nonzero = values != 0
    if not _STRIPPED_ML[0] <= np.count_nonzero(nonzero) * ml <= _STRIPPED_ML[1]:
        return None
    brain = largest_part(nonzero)
    if np.count_nonzero(brain) < _ONE_PIECE * np.count_nonzero(nonzero):
        return None
    return np.asarray(ndimage.binary_fill_holes(nonzero))


def _computed(values: NDArray[np.float32], grid: Grid, reporter: Reporter) -> tuple[Mask, MaskQuality]:
    """Expect the brain where the fitted template (or, without it, thresholds) says, then find its border."""
    coarse = grid.canonical().respaced(_WORKING_MM)
    signal = resample(values, grid.affine, coarse.shape, coarse.affine)
    head = head_of(signal, _WORKING_MM)
    level = tissue_level(signal, head, _WORKING_MM)
    if level <= 0:
        return np.zeros(grid.shape, dtype=bool), MaskQuality("none", 0.0, "poor", "No brain was found.")
    signal = np.clip(signal, 0.0, 2.0 * level)
    template = load_template()
    if template is not None:
        method = "template"
        to_head = fit_template(template, signal, head, coarse, reporter)
        expected = _placed(template, to_head, coarse)
    else:
        method = "thresholds"
        expected = brain_by_thresholds(signal, head, _WORKING_MM)
    if not expected.any():
        return np.zeros(grid.shape, dtype=bool), MaskQuality("none", 0.0, "poor", "No brain was found.")
    reporter.progress("brain mask", 0.8)
    found = refine(signal, signed_distance(expected, _WORKING_MM), _WORKING_MM)
    reporter.progress("brain mask", 0.95)
    smooth = ndimage.gaussian_filter(found.astype(np.float32), 0.7)
    mask = np.asarray(resample(smooth, coarse.affine, grid.shape, grid.affine) > _BORDER)
    return mask, _judge(method, found, expected)


def _placed(template: Template, to_head: NDArray[np.float64], grid: Grid) -> Mask:
    """The template's brain in the head."""
    brain = template.brain.astype(np.float32)
    back = np.asarray(np.linalg.inv(to_head), dtype=np.float64)
    return np.asarray(resample(brain, template.grid.affine, grid.shape, grid.affine, transform=back) > 0.5)


def _judge(method: str, found: Mask, expected: Mask) -> MaskQuality:
    """Rate a computed mask by its volume and by how far the image agreed with the expectation."""
    volume = float(np.count_nonzero(found)) * _WORKING_MM**3 / 1000
    sizes = int(np.count_nonzero(found)) + int(np.count_nonzero(expected))
    overlap = 2.0 * int(np.count_nonzero(found & expected)) / max(1, sizes)
    how = "the fitted MNI152 brain" if method == "template" else "thresholds"
    words = f"Brain found by {how} and the signal's border: {volume:.0f} ml, agreement {overlap:.2f}."
    plausible = _PLAUSIBLE_ML[0] <= volume <= _PLAUSIBLE_ML[1]
    if method == "template" and plausible and overlap >= 0.92:
        rating = "good"
    elif plausible and overlap >= 0.85:
        rating = "fair"
    else:
        rating = "poor"
    return MaskQuality(method, volume, rating, words)
