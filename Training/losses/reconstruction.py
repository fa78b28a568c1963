"""Voxel-wise terms of the loss.

Each takes (B, 1, H, W) tensors in nrCBV and returns a sum over voxels divided by B × `area`, a constant of the training
data (mean number of brain voxels per slice), not by the mask of the batch: so the mean over micro-batches or processes
of equal size is exactly the loss of the whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from HierSynthLib.synthesis.layers import full_precision

DATA_RANGE = 6.0
"""Data range of SSIM in nrCBV, as in the evaluation."""

WINDOW = 1.5
"""Standard deviation of SSIM's Gaussian window in pixels; Wang et al. 2004."""


def per_slice(values: Tensor, area: float) -> Tensor:
    """Sum of `values` (B, …) / (B × area)."""
    return values.sum() / (values.shape[0] * area)


def weighted_l1(prediction: Tensor, target: Tensor, weight: Tensor, area: float) -> Tensor:
    """Σ w·|prediction − target| / (B·area)."""
    return per_slice(weight * (prediction - target).abs(), area)


def weighted_l2(prediction: Tensor, target: Tensor, weight: Tensor, area: float) -> Tensor:
    """Σ w·(prediction − target)² / (B·area)."""
    return per_slice(weight * (prediction - target).square(), area)


def gaussian_filter(image: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian, truncated at 3 σ (σ in pixels), zero beyond the border; (B, C, H, W)."""
    radius = max(1, round(3 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    planes = image.flatten(0, 1)[:, None]
    planes = functional.conv2d(planes, kernel.view(1, 1, -1, 1), padding=(radius, 0))
    return functional.conv2d(planes, kernel.view(1, 1, 1, -1), padding=(0, radius)).view(image.shape)


def ssim_loss(prediction: Tensor, target: Tensor, mask: Tensor, area: float) -> Tensor:
    """Σ (1 − SSIM) inside `mask` / (B·area); Gaussian window σ = 1.5, data range nrCBV 0–6.

    Source: Wang et al., "Image quality assessment", IEEE Transactions on Image Processing 13:600, 2004, eq. 13.
    """
    with full_precision(prediction.device):
        p, t = prediction.float(), target.float()
        c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
        moments = gaussian_filter(torch.cat([p, t, p * p, t * t, p * t], dim=1), WINDOW)
        mean_p, mean_t, square_p, square_t, product = moments.split(1, dim=1)
        var_p, var_t, covariance = square_p - mean_p**2, square_t - mean_t**2, product - mean_p * mean_t
        similar = (2 * mean_p * mean_t + c1) * (2 * covariance + c2)
        ssim = similar / ((mean_p**2 + mean_t**2 + c1) * (var_p + var_t + c2))
        return per_slice((1 - ssim) * mask, area)


def laplace_scale_loss(error: Tensor, log_scale: Tensor, mask: Tensor, area: float) -> Tensor:
    """Negative log-likelihood of a Laplace error, |e|/b + log b, with the error held fixed; Σ inside `mask` / (B·area).

    Only the scale learns from it: the error itself has its own terms, whose weights must not depend on b.
    """
    likelihood = error.detach().abs() * torch.exp(-log_scale) + log_scale
    return per_slice(likelihood * mask, area)


def low_pass_residual(residual: Tensor, outside: Tensor, sigma: float, area: float) -> Tensor:
    """Magnitude of the residual's low-pass part outside the lesion; structure there is the global module's."""
    return per_slice(gaussian_filter(residual, sigma).abs() * outside, area)
