"""The acquired CBV map of a phantom, at the resolution of a DSC series.

A stand-in for a real acquisition: it blurs, samples and disturbs the true map. A simulated DSC series with real
processing replaces it later.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from HierSynthLib.phantom.fields import Array
from HierSynthLib.phantom.scanner import ImageGrid, Sampler
from HierSynthLib.progress import Reporter

DSC_SPACING_MM = (1.8, 1.8, 5.0)
NOISE_ML_PER_100G = 0.3
_FWHM_VOXELS = 1.3  # in-plane response of the echo train and the voxel together, by design


def acquire_cbv(
    cbv: Array,
    affine: Array,
    grid: ImageGrid,
    movement: Array,
    noise: float,
    rng: np.random.Generator,
    reporter: Reporter,
) -> Array:
    """Return the CBV map that a DSC acquisition would give, in ml/100 g, on `grid`.

    In-plane blur (Gaussian, full width 1.3 voxels), averaging over the slice, then noise that grows with CBV:
    σ = `noise` · (1 + 0.06·CBV). Negative values, as integration of noisy curves gives them, become zero.

    Args:
        cbv: true CBV in ml/100 g on the reference grid.
        affine: (4, 4) voxel → RAS mm in the reference position.
        grid: of the acquisition.
        movement: (4, 4) rigid, reference position → position during the acquisition.
        noise: standard deviation where CBV is 0, ml/100 g.
        rng: random stream of the noise.
        reporter: told the progress of "acquisition".
    """
    step = float(np.linalg.norm(affine[:3, 0]))
    # The blur runs along the reference grid, from whose axes those of the acquisition differ by a few degrees only.
    sigma = [_FWHM_VOXELS / 2.3548 * s / step for s in grid.spacing[:2]]
    blurred = cbv
    for axis in range(2):
        reporter.progress("acquisition", axis / 3)
        blurred = ndimage.gaussian_filter1d(blurred, sigma[axis], axis=axis, truncate=3.0)
    sampler = Sampler(affine, grid, movement, in_plane_parts=1)
    planes = []
    for slab in grid.axes.slabs(100_000, 1):
        reporter.progress("acquisition", (2 + slab.start / grid.shape[0]) / 3)
        planes.append(sampler.planes(blurred, slab))
    values = np.concatenate(planes)
    values += noise * (1 + 0.06 * values) * rng.standard_normal(values.shape)
    result: Array = np.maximum(values, 0.0)
    return result
