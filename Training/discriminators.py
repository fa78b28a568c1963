"""Discriminators: they exist only in training and are not part of a model package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from HierSynthLib.synthesis.layers import SLOPE, activate, convolution, full_precision
from Training.config_file import setting

GROUP = 4
"""Slices whose diversity is compared; Karras et al., "Progressive growing of GANs", ICLR 2018, as in StyleGAN2."""


@dataclass(frozen=True)
class AdversaryConfig:
    """Shape and speed of the discriminators; design values.

    Attributes:
        channels: features per level of the conditional discriminator, half resolution first.
        residual_channels: the same for the discriminator of residual crops.
        patch_channels: features of the first layer of Pix2Pix's PatchGAN (64 in the paper).
        kind: adversarial loss (Pix2Pix has its own setting among the losses).
        rate: peak learning rate of discriminators in the first stage; in later stages it falls as the network's does.
    """

    channels: tuple[int, ...] = setting((16, 32, 64), least=1, most=1024)
    residual_channels: tuple[int, ...] = setting((16, 32, 64), least=1, most=1024)
    patch_channels: int = setting(32, least=1, most=1024)
    kind: Literal["non_saturating", "hinge"] = "non_saturating"
    rate: float = setting(5e-4, above=0)


class Discriminator(nn.Module):
    """One logit per slice: strided residual levels, minibatch standard deviation, mean over the picture.

    No normalisation layers, as in StyleGAN2; the mean over the picture makes the size of the slice free.

    Args:
        inputs: channels of condition and map together.
        channels: features per level; each level halves the picture.
    """

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.stem = convolution(inputs, channels[0], stride=2)
        self.levels = nn.ModuleList(_Level(a, b) for a, b in pairwise(channels))
        self.last = convolution(channels[-1] + 1, channels[-1])
        self.head = nn.Linear(channels[-1], 1)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, 1)."""
        features = activate(self.stem(picture))
        for level in self.levels:
            features = level(features)
        features = activate(self.last(torch.cat([features, minibatch_deviation(features)], dim=1)))
        logit: Tensor = self.head(features.mean(dim=(2, 3)))
        return logit


class _Level(nn.Module):
    """Half the size (rounded up): two convolutions beside a 1 × 1 shortcut, divided by √2 as in StyleGAN2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = convolution(inputs, inputs)
        self.second = convolution(inputs, outputs, stride=2)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        main = activate(self.second(activate(self.first(x))))
        total: Tensor = (main + self.shortcut(functional.avg_pool2d(x, 2, ceil_mode=True))) / 2**0.5
        return total


def minibatch_deviation(features: Tensor) -> Tensor:
    """One plane per slice: the mean over features and pixels of the standard deviation over its group of slices.

    Groups are GROUP consecutive slices (the last may be smaller), so that a batch divided at multiples of GROUP gives
    the same planes.

    Args:
        features: (B, C, H, W).

    Returns:
        (B, 1, H, W). Source: Karras et al., ICLR 2018, section 3.
    """
    with full_precision(features.device):
        parts = []
        for group in features.float().split(GROUP):
            variance = (group - group.mean(dim=0)).square().mean(dim=0)
            parts.append((variance + 1e-8).sqrt().mean().expand(group.shape[0]))
    planes = torch.cat(parts)[:, None, None, None].expand(-1, 1, *features.shape[2:])
    return planes.to(features.dtype)


class PatchDiscriminator(nn.Module):
    """PatchGAN of Pix2Pix: one logit per 70 × 70 pixels of condition and map.

    Source: Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017, appendix 6.1.2
    (instance normalisation as for the generator).

    Args:
        inputs: channels of condition and map together.
        channels: features of the first layer.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        widths = (inputs, channels, 2 * channels, 4 * channels, 8 * channels)
        strides = (2, 2, 2, 1)
        layers = [nn.Conv2d(a, b, 4, stride=s, padding=1) for (a, b), s in zip(pairwise(widths), strides, strict=True)]
        self.head = nn.Conv2d(widths[-1], 1, 4, padding=1)
        for layer in (*layers, self.head):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.layers = nn.ModuleList(layers)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, 1, H/8 − 2, W/8 − 2)."""
        features = picture
        for number, layer in enumerate(self.layers):
            features = layer(features)
            features = functional.leaky_relu(functional.instance_norm(features) if number else features, SLOPE)
        logits: Tensor = self.head(features)
        return logits
