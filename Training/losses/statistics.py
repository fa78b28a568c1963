"""Running means that are the same on every process and do not depend on how a batch is divided."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOWEST = 0.01
"""Weight of a new step once many were seen; the first steps count equally."""


class RunningMean(nn.Module):
    """Mean of a vector over training steps, kept in buffers, so that it is saved with a checkpoint.

    `value` changes only in `begin`: all micro-batches and processes of a step use the mean of the steps before. What
    they observe is added over the processes at once and merged when the next step begins.

    Args:
        size: length of the vector.
    """

    value: Tensor
    updates: Tensor
    pending: Tensor
    pending_weight: Tensor
    step: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(size))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("pending", torch.zeros(size))
        self.register_buffer("pending_weight", torch.zeros(()))
        self.register_buffer("step", torch.tensor(-1))

    @property
    def ready(self) -> bool:
        """Whether a step has been merged."""
        return int(self.updates) > 0

    def begin(self, step: int) -> None:
        """Merge what was observed in the step before; called again in the same step it does nothing."""
        if step == int(self.step):
            return
        self.step.fill_(step)
        if float(self.pending_weight) > 0:
            self.updates += 1
            rate = max(1.0 / int(self.updates), SLOWEST)
            self.value.lerp_(self.pending / self.pending_weight, rate)
            self.pending.zero_()
            self.pending_weight.zero_()

    @torch.no_grad()
    def observe(self, total: Tensor, weight: float | Tensor) -> None:
        """Add the sum `total` (size,) over `weight` observations of this process."""
        sums = torch.cat([total.detach().float().flatten(), total.new_full((1,), float(weight), dtype=torch.float32)])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        self.pending += sums[:-1]
        self.pending_weight += sums[-1]
