"""The brain in a DSC series, and the part of it that does not enhance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.options import Options
from HierSynthLib.preparation.morphology import Mask, largest_part

# The scalp and its bridges to the brain are thinner than twice this; the rim that is lost with them grows back.
_BRIDGE_MM, _RIM_MM = 4.0, 6.0
_BINS = 256
_LEAST_BRAIN_ML = 50.0


def brain_from_series(mean_image: NDArray[np.float32], spacing_mm: NDArray[np.float64]) -> Mask:
    """Find the brain in the mean image of a DSC series: bright, in one piece, without scalp.

    Echo-planar series suppress fat, so that the head is brain, a dark skull and a thin scalp. Holes in a slice are
    filled, so that vessels and necrosis belong to the brain.

    Args:
        mean_image: (I, J, K) mean signal over time, a.u.
        spacing_mm: (3,) voxel edge lengths in mm.

    Raises:
        InputError: there is nothing as large as part of a brain.
    """
    bright = mean_image > _otsu(mean_image)
    deep = ndimage.distance_transform_edt(bright, sampling=spacing_mm) > _BRIDGE_MM
    core = largest_part(deep)
    near = ndimage.distance_transform_edt(~core, sampling=spacing_mm) <= _RIM_MM if core.any() else core
    brain = bright & near
    for k in range(brain.shape[2]):
        brain[:, :, k] = ndimage.binary_fill_holes(brain[:, :, k])
    volume = np.count_nonzero(brain) * float(np.prod(spacing_mm)) / 1000
    if volume < _LEAST_BRAIN_ML:
        raise InputError(
            f"No brain was found in the DSC series ({volume:.0f} ml of bright tissue in one piece).",
            "Give a brain mask on the grid of the series.",
        )
    return np.asarray(brain)


def _otsu(values: NDArray[np.float32]) -> float:
    """The threshold between two classes with the largest variance between them (Otsu 1979)."""
    top = float(np.percentile(values, 99.5))
    counts, edges = np.histogram(np.clip(values, 0, top), bins=_BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts).astype(np.float64)
    above = below[-1] - below
    total = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(edges[1 + int(np.nanargmax(np.where(above > 0, between, 0)))])


def non_enhancing(
    late_drop: NDArray[np.float32],
    area: NDArray[np.float32],
    baseline_sd: NDArray[np.float32],
    usable: NDArray[np.bool_],
    options: Options,
) -> NDArray[np.bool_]:
    """Which voxels of the brain show no leakage: their late signal is that of the baseline (Boxerman 2006).

    Agent that keeps circulating lowers the late signal of all tissue in proportion to its blood volume. The median of
    that proportion over the brain is allowed for, so that grey matter is not taken for enhancing.

    Args:
        late_drop: (N,) −ln(S/S0) of the mean signal of the last frames.
        area: (N,) ∫ΔR2* of the first pass, in any unit.
        baseline_sd: (N,) standard deviation of the baseline's signal, relative to its mean.
        usable: (N,) voxels that have a curve.
        options: `non_enhancing_…`.

    Returns:
        (N,) mask; where too few voxels fulfil the rule, those nearest to it.

    Raises:
        InputError: no voxel is usable.
    """
    if not usable.any():
        raise InputError("No voxel of the brain has signal in all frames.", "Check the brain mask and the series.")
    # Where there is little blood, the proportion is noise.
    bloody = usable & (area > max(0.0, float(np.median(area[usable]))))
    circulating = float(np.median(late_drop[bloody] / area[bloody])) if bloody.any() else 0.0
    tolerance = np.maximum(baseline_sd, options.non_enhancing_least_sd)
    deviation = np.where(usable, np.abs(late_drop - circulating * area) / tolerance, np.inf)
    chosen = deviation <= options.non_enhancing_sd
    least = int(np.ceil(options.non_enhancing_least_share * np.count_nonzero(usable)))
    if np.count_nonzero(chosen) < least:
        chosen = np.zeros_like(usable)
        chosen[np.argpartition(deviation, least - 1)[:least]] = True
    return np.asarray(chosen & usable)
