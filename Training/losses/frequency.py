"""Spectral term of the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from HierSynthLib.synthesis.layers import full_precision
from Training.losses.reconstruction import per_slice


def focal_frequency_loss(prediction: Tensor, target: Tensor, area: float) -> Tensor:
    """Squared spectral error weighted by its own magnitude (α = 1), so that badly matched frequencies count most.

    With the orthonormal transform and all weights 1 it would be the squared error per brain voxel (Parseval).

    Args:
        prediction: (B, 1, H, W).
        target: (B, 1, H, W).
        area: mean number of brain voxels per slice.

    Source: Jiang et al., "Focal frequency loss for image reconstruction and synthesis", ICCV 2021, eq. 8–10.
    """
    with full_precision(prediction.device):
        difference = torch.fft.rfft2((prediction - target).float(), norm="ortho")
        distance = difference.real**2 + difference.imag**2
        weight = distance.detach().sqrt()
        weight = weight / weight.amax(dim=(-2, -1), keepdim=True).clamp(min=1e-8)
        # The half spectrum of a real picture holds every frequency twice, but for column 0 and, if W is even, the last.
        count = torch.full((difference.shape[-1],), 2.0, device=weight.device)
        count[0] = 1.0
        if prediction.shape[-1] % 2 == 0:
            count[-1] = 1.0
        return per_slice(weight * distance * count, area)
