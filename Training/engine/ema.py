"""The exponential moving average of a network's weights: what is validated and exported."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """Averages the parameters of a network, faster in the first steps; buffers are copied.

    Attributes:
        network: the averaged network, in evaluation mode.
        updates: how often it was updated.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.updates = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the current weights: mean ← d·mean + (1 − d)·weights, d = min(decay, (1 + n) / (10 + n)).

        The start of d is that of `tf.train.ExponentialMovingAverage`: early weights are soon forgotten.
        """
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        means: list[torch.Tensor] = list(self.network.parameters())
        values: list[torch.Tensor] = list(network.parameters())
        torch._foreach_lerp_(means, values, 1 - decay)
        for mean, value in zip(self.network.buffers(), network.buffers(), strict=True):
            mean.copy_(value)
