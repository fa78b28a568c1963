"""The Global Synthesis Module (GSM): a coherent, low-pass CBV map of the whole slice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

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
    level. As the GSM it works at half the slice's resolution: its target is the low-pass part of the CBV map, and what
    it cannot represent is by construction left to the local module.

    Args:
        inputs: channels of the input; the last one is the brain mask.
        channels: features per level, finest first.
        style: length of w.
        latent: length of z, the random part of the style.
        outputs: planes of the output.
        halved: whether the finest level has half the slice's resolution; if not, it has all of it.
    """

    def __init__(
        self, inputs: int, channels: Sequence[int], style: int, latent: int, outputs: int = 1, halved: bool = True
    ) -> None:
        super().__init__()
        self.latent = latent
        self.halved = halved
        self.stem = convolution(inputs, channels[0], stride=2 if halved else 1)
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
            ModulatedConvolution(c, outputs, style, kernel=1, demodulate=False) for c in [channels[-1], *finer]
        )

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return int(2 ** (len(self.down) + self.halved))

    def forward(self, x: Tensor, z: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Synthesise the low-pass map.

        Args:
            x: (B, inputs, H, W), H and W multiples of `stride`.
            z: (B, latent) random part of the style; None means zeros (deterministic).
            generator: source of the noise inputs; None means none (deterministic).

        Returns:
            (B, outputs, H, W).
        """
        skips, pooled = self.encode(x)
        return self.synthesise(skips, self.style(pooled, z), generator)

    def encode(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The features of every level, finest first, and the mean of the coarsest ones over the brain, (B, C)."""
        brain = functional.avg_pool2d(x[:, -1:], 2) if self.halved else x[:, -1:]
        features = activate(self.stem(x))
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            if level:
                features = activate(self.down[level - 1](features))
                brain = functional.avg_pool2d(brain, 2)
            features = block(features)
            skips.append(features)
        # The mean over the brain, not over the picture: w must not depend on how tightly the slice was cropped.
        pooled = (features * brain).sum(dim=(2, 3)) / brain.sum(dim=(2, 3)).clamp(min=1.0)
        return skips, pooled

    def style(self, pooled: Tensor, z: Tensor | None = None) -> Tensor:
        """The style w (B, style) of the pooled features (B, C) and the random part z (B, latent); None means zeros."""
        if z is None:
            z = pooled.new_zeros(pooled.shape[0], self.latent)
        w: Tensor = self.mapping(torch.cat([pooled, z], dim=1))
        return w

    def synthesise(self, skips: Sequence[Tensor], w: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(B, outputs, H, W) from the features of every level, the style and the noise of `generator` (None: none)."""
        return self.synthesise_with_features(skips, w, generator)[0]

    def synthesise_with_features(
        self, skips: Sequence[Tensor], w: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `synthesise`, with the synthesis features of the finest level, (B, channels[0], H/2, W/2) if halved."""
        features = self.bottleneck(skips[-1], w, generator)
        image: Tensor = self.output[0](features, w)
        for level, skip in enumerate(reversed(skips[:-1])):
            features = self.merge[level](torch.cat([upsample(features), skip], dim=1), w, generator)
            features = self.refine[level](features, w, generator)
            image = upsample(image) + self.output[level + 1](features, w)
        return (upsample(image) if self.halved else image), features
