"""The learning rate and the random numbers of a step: functions of the step alone, so that resuming needs no state."""

from __future__ import annotations

import hashlib
import math

import torch

WARM_UP = 50
"""Most steps of the linear rise at the start of a stage; short stages rise for a tenth of their steps. Design value."""
FLOOR = 0.02
"""Share of the peak rate that is left at the end of a stage. Design value."""


def rate_factor(step: int, steps: int) -> float:
    """Share of the peak rate in step `step` of `steps` (counted from 1): linear rise, then cosine decay to `FLOOR`."""
    rise = min(WARM_UP, steps // 10)
    if step <= rise:
        return step / rise
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))


def seed_of(*parts: int | str) -> int:
    """A seed that depends on all parts and on nothing else."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big")


def generator_for(device: torch.device, *parts: int | str) -> torch.Generator:
    """A generator on `device` seeded with `parts`; the global one, which dropout layers use, is seeded alike."""
    seed = seed_of(*parts)
    torch.manual_seed(seed)
    return torch.Generator(device).manual_seed(seed)
