"""The Global Synthesis Module (GSM): a coherent, low-pass CBV map of the whole slice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.layers import (
    ModulatedConvolution,
    ResidualBlock,
    StyledLayer,
    activate,
    convolution,
    upsample,
)


class GlobalModule(nn.Module):
    """Conditional encoder, mapping network and modulated synthesis with spatial skips.

    The style w alone cannot carry anatomy, so every level of the synthesis also receives the encoder's features of that
    level. The module works at half the slice's resolution: its target is the low-pass part of the CBV map, and what it
    cannot represent is by construction left to the local module.

    Args:
        inputs: channels of the input; the last one is the brain mask.
        channels: features per level, finest (half resolution) first.
        style: length of w.
        latent: length of z, the random part of the style.
    """

    def __init__(self, inputs: int, channels: Sequence[int], style: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.stem = convolution(inputs, channels[0], stride=2)
        self.encoder = nn.ModuleList(ResidualBlock(c) for c in channels)
        self.down = nn.ModuleList(convolution(a, b, stride=2) for a, b in pairwise(channels))
        self.mapping = nn.Sequential(
            nn.Linear(channels[-1] + latent, style), nn.LeakyReLU(0.2), nn.Linear(style, style), nn.LeakyReLU(0.2)
        )
        self.bottleneck = StyledLayer(channels[-1], channels[-1], style)
        finer = list(reversed(channels[:-1]))
        coarser = list(reversed(channels[1:]))
        self.merge = nn.ModuleList(StyledLayer(c + f, f, style) for c, f in zip(coarser, finer, strict=True))
        self.refine = nn.ModuleList(StyledLayer(f, f, style) for f in finer)
        self.output = nn.ModuleList(
            ModulatedConvolution(c, 1, style, kernel=1, demodulate=False) for c in [channels[-1], *finer]
        )

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return int(2 ** (len(self.down) + 1))

    def forward(self, x: Tensor, z: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Synthesise the low-pass map.

        Args:
            x: (B, inputs, H, W), H and W multiples of `stride`.
            z: (B, latent) random part of the style; None means zeros (deterministic).
            generator: source of the noise inputs; None means none (deterministic).

        Returns:
            (B, 1, H, W).
        """
        brain = torch.nn.functional.avg_pool2d(x[:, -1:], 2)
        features = activate(self.stem(x))
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            if level:
                features = activate(self.down[level - 1](features))
                brain = torch.nn.functional.avg_pool2d(brain, 2)
            features = block(features)
            skips.append(features)
        # The mean over the brain, not over the picture: w must not depend on how tightly the slice was cropped.
        pooled = (features * brain).sum(dim=(2, 3)) / brain.sum(dim=(2, 3)).clamp(min=1.0)
        if z is None:
            z = pooled.new_zeros(pooled.shape[0], self.latent)
        w = self.mapping(torch.cat([pooled, z], dim=1))
        features = self.bottleneck(features, w, generator)
        image: Tensor = self.output[0](features, w)
        for level, skip in enumerate(reversed(skips[:-1])):
            features = self.merge[level](torch.cat([upsample(features), skip], dim=1), w, generator)
            features = self.refine[level](features, w, generator)
            image = upsample(image) + self.output[level + 1](features, w)
        return upsample(image)
