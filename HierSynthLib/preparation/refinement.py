"""From the place where the brain is expected to the border that the image shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.preparation.morphology import Mask, closed, dilated, eroded, largest_part

# Shells of the expected brain (mm from its surface, positive inside) that are surely brain, and mostly not brain.
_CORE_MM = 6.0
_OUTSIDE_MM = (-14.0, -3.0)
# The evidence of the position: one nat per this many mm inside.
_PRIOR_MM = 2.5
_EVIDENCE_LIMIT = 3.0
_BIAS_MM = 20.0
_BINS = 64
_OPENING_MM, _CLOSING_MM = 3.0, 6.0


def refine(values: NDArray[np.float32], expected: NDArray[np.float32], spacing_mm: float) -> Mask:
    """Move the border of the brain to where the signal changes.

    The logarithm of the odds that a voxel is brain is the sum of what its signal says (histograms of the signal,
    relative to the local brain signal, surely inside and outside of the expected brain) and of what its position says
    (the signed distance to the expected surface). The result is opened, to cut what hangs on the brain, and closed, to
    hold the sulci.

    Args:
        values: (I, J, K) signal on an isotropic grid.
        expected: (I, J, K) signed distance in mm to the expected surface, positive inside.
        spacing_mm: voxel edge.

    Returns:
        (I, J, K) the brain with its sulci and ventricles.
    """
    relative = _relative_to_brain(values, expected, spacing_mm)
    evidence = _log_odds(relative, expected)
    odds = ndimage.gaussian_filter(evidence, 1.5 / spacing_mm) + np.clip(expected / _PRIOR_MM, -8, 8)
    likely = odds > 0
    core = largest_part(eroded(likely, _OPENING_MM, spacing_mm))
    mask = dilated(core, _OPENING_MM + 0.5 * spacing_mm, spacing_mm) & likely
    return np.asarray(ndimage.binary_fill_holes(closed(mask, _CLOSING_MM, spacing_mm)))


def _relative_to_brain(
    values: NDArray[np.float32], expected: NDArray[np.float32], spacing_mm: float
) -> NDArray[np.float32]:
    """Signal divided by the local mean of the brain's, which removes the receive coils' shading."""
    inside = expected > _CORE_MM / 2
    level = float(np.median(values[inside]))
    brain = (inside & (values > 0.6 * level) & (values < 1.5 * level)).astype(np.float32)
    sigma = _BIAS_MM / spacing_mm
    weight = ndimage.gaussian_filter(brain, sigma, truncate=3.0)
    mean = ndimage.gaussian_filter(brain * values, sigma, truncate=3.0)
    local = (mean + 1e-3 * level) / (weight + 1e-3)
    return np.asarray(values / np.maximum(local, 1e-3 * abs(level) + 1e-12), dtype=np.float32)


def _log_odds(relative: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logarithm of the ratio of the two histograms at each voxel's signal, within ± `_EVIDENCE_LIMIT`."""
    edges = np.linspace(0.0, 2.5, _BINS + 1)
    index = np.clip(np.digitize(relative, edges) - 1, 0, _BINS - 1)
    inside = np.bincount(index[expected > _CORE_MM], minlength=_BINS).astype(float)
    shell = (expected > _OUTSIDE_MM[0]) & (expected < _OUTSIDE_MM[1])
    outside = np.bincount(index[shell], minlength=_BINS).astype(float)
    share = [ndimage.gaussian_filter1d(h / max(h.sum(), 1.0), 1.0, mode="nearest") + 1e-4 for h in (inside, outside)]
    table = np.clip(np.log(share[0] / share[1]), -_EVIDENCE_LIMIT, _EVIDENCE_LIMIT)
    return np.asarray(table[index], dtype=np.float32)
