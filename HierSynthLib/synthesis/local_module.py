"""The Local Synthesis Module (LSM): only the residual between the global base and the CBV map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.layers import ResidualBlock, activate, convolution, haar_details, upsample


class LocalModule(nn.Module):
    """Residual U-Net on the sequences, the global map and the global map's Haar details.

    A blank last layer starts at zero: an untrained local module leaves the global map unchanged, which suits a stage of
    its own. Where both modules learn together from the start it only costs steps, because nothing before the last layer
    learns until that has grown.

    Args:
        inputs: channels of the sequence stack.
        channels: features per level, full resolution first.
        context: number of the global module's features that it reads at half resolution; 0 for none.
        blank: whether the last layer starts at zero.
    """

    def __init__(self, inputs: int, channels: Sequence[int], context: int = 0, blank: bool = True) -> None:
        super().__init__()
        self.stem = convolution(inputs + 1, channels[0])
        downs = [convolution(a, b, stride=2) for a, b in pairwise(channels)]
        self.down = nn.ModuleList(downs)
        self.detail = convolution(3, channels[1], kernel=1)
        self.encoder = nn.ModuleList(ResidualBlock(c) for c in channels)
        finer = list(reversed(channels[:-1]))
        coarser = list(reversed(channels[1:]))
        self.merge = nn.ModuleList(convolution(c + f, f) for c, f in zip(coarser, finer, strict=True))
        self.decoder = nn.ModuleList(ResidualBlock(f) for f in finer)
        self.head = nn.Conv2d(channels[0], 2, 1)
        if blank:
            nn.init.zeros_(self.head.weight)
        else:
            nn.init.normal_(self.head.weight, std=1 / math.sqrt(channels[0]))
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        if context:
            self.context = convolution(context, channels[1], kernel=1)

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return int(2 ** len(self.down))

    def forward(self, x: Tensor, global_map: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Synthesise the residual.

        Args:
            x: (B, inputs, H, W), H and W multiples of `stride`.
            global_map: (B, 1, H, W); detach it to keep the global module fixed.
            context: (B, context, H/2, W/2) features of the global module; None if there are none.

        Returns:
            residual (B, 1, H, W) and log b (B, 1, H, W), b the Laplace scale of the error of global_map + residual.
        """
        features = self.encoder[0](activate(self.stem(torch.cat([x, global_map], dim=1))))
        skips = [features]
        for level, down in enumerate(self.down):
            features = down(features)
            if level == 0:
                features = features + self.detail(haar_details(global_map))
                if context is not None:
                    features = features + self.context(context)
            features = self.encoder[level + 1](activate(features))
            skips.append(features)
        for level, skip in enumerate(reversed(skips[:-1])):
            features = activate(self.merge[level](torch.cat([upsample(features), skip], dim=1)))
            features = self.decoder[level](features)
        residual, log_scale = self.head(features).chunk(2, dim=1)
        return residual, log_scale
