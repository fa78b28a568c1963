"""Optional rectified-flow refiner: adds plausible texture to a finished map. It buys realism, not fidelity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.layers import ResidualBlock, activate, convolution, upsample

SIGMA = 0.1
"""Standard deviation in nrCBV of the noise that the flow starts from; design value."""

STEPS = 4
"""Euler steps; the paths are trained to be straight, so few suffice."""

FREQUENCIES = 8
"""Pairs of sine and cosine that tell the network the time."""


class Refiner(nn.Module):
    """Velocity v(z_t, t | x, ŷ) of a rectified flow from z_0 = ŷ + σε to the map y: small residual U-Net.

    Its last layer starts at zero: an untrained refiner adds only the noise that it starts from.
    Source: Liu, Gong and Liu, "Flow straight and fast", ICLR 2023, eq. 1–2.

    Args:
        inputs: channels of the sequence stack.
        channels: features per level, full resolution first.
    """

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.stem = convolution(inputs + 2, channels[0])
        self.down = nn.ModuleList(convolution(a, b, stride=2) for a, b in pairwise(channels))
        self.time = nn.ModuleList(nn.Linear(2 * FREQUENCIES, c) for c in channels)
        self.encoder = nn.ModuleList(ResidualBlock(c) for c in channels)
        finer = list(reversed(channels[:-1]))
        coarser = list(reversed(channels[1:]))
        self.merge = nn.ModuleList(convolution(c + f, f) for c, f in zip(coarser, finer, strict=True))
        self.decoder = nn.ModuleList(ResidualBlock(f) for f in finer)
        self.head = nn.Conv2d(channels[0], 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return int(2 ** len(self.down))

    def forward(self, x: Tensor, estimate: Tensor, state: Tensor, time: Tensor) -> Tensor:
        """The velocity in nrCBV per unit of time.

        Args:
            x: (B, inputs, H, W).
            estimate: (B, 1, H, W), the map ŷ that is refined.
            state: (B, 1, H, W), z_t.
            time: (B,), 0 to 1.

        Returns:
            (B, 1, H, W).
        """
        clock = time_embedding(time)
        features = activate(self.stem(torch.cat([x, estimate, state], dim=1)))
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            if level:
                features = activate(self.down[level - 1](features))
            features = block(features + self.time[level](clock)[:, :, None, None])
            skips.append(features)
        for level, skip in enumerate(reversed(skips[:-1])):
            features = activate(self.merge[level](torch.cat([upsample(features), skip], dim=1)))
            features = self.decoder[level](features)
        velocity: Tensor = self.head(features)
        return velocity


def time_embedding(time: Tensor) -> Tensor:
    """(B,) → (B, 2·FREQUENCIES): sine and cosine of π·2^k·t.

    Source: Mildenhall et al., "NeRF", ECCV 2020, eq. 4.
    """
    octaves = math.pi * 2.0 ** torch.arange(FREQUENCIES, device=time.device, dtype=torch.float32)
    angles = time.float()[:, None] * octaves
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def start(estimate: Tensor, generator: torch.Generator, sigma: float = SIGMA) -> Tensor:
    """z_0 = ŷ + σε, ε drawn from `generator` on its own device, so that a seed means the same on every device."""
    noise = torch.randn(estimate.shape, generator=generator, device=generator.device, dtype=torch.float32)
    return estimate + sigma * noise.to(estimate.device, estimate.dtype)


def start_slices(estimate: Tensor, slices: Iterable[int], seed: int) -> Tensor:
    """As `start`; ε of each slice depends on `seed` and its number alone, not on the batch that it comes in.

    Args:
        estimate: (B, 1, H, W).
        slices: the number of each slice, below 2¹⁶.
        seed: below 2³².
    """
    generators = (torch.Generator().manual_seed((seed << 16) + number) for number in slices)
    return torch.cat([start(one[None], g) for one, g in zip(estimate, generators, strict=True)])


def refine(velocity: nn.Module, x: Tensor, estimate: Tensor, state: Tensor, steps: int = STEPS) -> Tensor:
    """Follow the flow from z_0 to time 1 with Euler steps.

    Args:
        velocity: called with (x, estimate, state, time); e.g. a `Refiner`.
        x: (B, inputs, H, W).
        estimate: (B, 1, H, W), the map ŷ.
        state: (B, 1, H, W), z_0 as `start` draws it.
        steps: number of steps of equal length.

    Returns:
        The refined map (B, 1, H, W).
    """
    for step in range(steps):
        time = torch.full((estimate.shape[0],), step / steps, device=estimate.device)
        state = state + velocity(x, estimate, state, time) / steps
    return state
