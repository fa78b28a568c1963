"""The terms of the training loss; each takes (B, 1, H, W) tensors in nrCBV and returns a scalar."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

DATA_RANGE = 6.0


def weighted_l1(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Σ w·|prediction − target| / Σ w."""
    return (weight * (prediction - target).abs()).sum() / weight.sum().clamp(min=1.0)


def gaussian_filter(image: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian, truncated at 3 σ (σ in pixels), zero beyond the border."""
    radius = max(1, round(3 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    image = functional.conv2d(image, kernel.view(1, 1, -1, 1), padding=(radius, 0))
    return functional.conv2d(image, kernel.view(1, 1, 1, -1), padding=(0, radius))


def ssim_loss(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """1 − mean structural similarity inside `mask`, Gaussian window σ = 1.5, data range nrCBV 0–6.

    Source: Wang et al., "Image quality assessment", IEEE Transactions on Image Processing 13:600, 2004, eq. 13.
    """
    c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
    mean_p, mean_t = gaussian_filter(prediction, 1.5), gaussian_filter(target, 1.5)
    var_p = gaussian_filter(prediction**2, 1.5) - mean_p**2
    var_t = gaussian_filter(target**2, 1.5) - mean_t**2
    covariance = gaussian_filter(prediction * target, 1.5) - mean_p * mean_t
    ssim = ((2 * mean_p * mean_t + c1) * (2 * covariance + c2)) / ((mean_p**2 + mean_t**2 + c1) * (var_p + var_t + c2))
    return 1 - (ssim * mask).sum() / mask.sum().clamp(min=1.0)


def laplace_scale_loss(error: Tensor, log_scale: Tensor, mask: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace error, |e|/b + log b, with the error held fixed.

    Only the scale learns from it: the error itself has its own terms, whose weights must not depend on b.
    """
    likelihood = error.detach().abs() * torch.exp(-log_scale) + log_scale
    return (likelihood * mask).sum() / mask.sum().clamp(min=1.0)


def focal_frequency_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared spectral error weighted by its own magnitude (α = 1), so that badly matched frequencies count most.

    Source: Jiang et al., "Focal frequency loss for image reconstruction and synthesis", ICCV 2021, eq. 8–10.
    """
    difference = torch.fft.fft2((prediction - target).float(), norm="ortho")
    distance = difference.real**2 + difference.imag**2
    weight = distance.detach().sqrt()
    weight = weight / weight.amax(dim=(-2, -1), keepdim=True).clamp(min=1e-8)
    loss: Tensor = (weight * distance).mean()
    return loss


def low_pass_residual(residual: Tensor, outside: Tensor, sigma: float) -> Tensor:
    """Mean magnitude of the residual's low-pass part outside the lesion; structure there is the global module's."""
    return (gaussian_filter(residual, sigma).abs() * outside).sum() / outside.sum().clamp(min=1.0)
