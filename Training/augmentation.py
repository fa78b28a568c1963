"""Random changes of the network's input that an acquisition could also have made."""

from __future__ import annotations

import torch
from torch import Tensor

from HierSynthLib.synthesis.networks import NetworkConfig
from Training.config import AugmentationConfig


def augment(x: Tensor, network: NetworkConfig, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Change contrast, add noise and leave out sequences, per slice and sequence; the brain mask stays.

    Args:
        x: (B, M·slices + M + 1, H, W) as `SliceStacks.batch` makes it.
        network: gives M and the number of slices.
        config: strengths.
        generator: source of randomness.

    Returns:
        A new tensor of the same shape, still 0 outside the brain and for missing sequences.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    batch, (m, slices) = x.shape[0], (network.sequences, network.slices)
    stack = x[:, : m * slices].unflatten(1, (m, slices))
    available = x[:, m * slices : m * slices + m, :1, :1]

    gain = 1 + config.gain * (2 * uniform(batch, m, 1, 1, 1) - 1)
    offset = config.offset * (2 * uniform(batch, m, 1, 1, 1) - 1)
    noise = config.noise * uniform(batch, m, 1, 1, 1) * torch.randn(stack.shape, generator=generator)
    tissue = (stack != 0).float()
    stack = (stack * gain + offset + noise) * tissue

    keep = (uniform(batch, m, 1, 1) >= config.dropout).float() * available
    spared = torch.nn.functional.one_hot((uniform(batch, m) * available[:, :, 0, 0]).argmax(dim=1), m).float()
    none_left = (keep.sum(dim=1, keepdim=True) == 0).float()
    keep = keep + none_left * spared[:, :, None, None] * available
    planes = keep.expand(-1, -1, *x.shape[2:])
    return torch.cat([(stack * keep[:, :, None]).flatten(1, 2), planes, x[:, -1:]], dim=1)
