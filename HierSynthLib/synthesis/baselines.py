"""Networks that HierSynth is compared with: MONAI's U-Net and the generator of Pix2Pix."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from HierSynthLib.errors import ModelError
from HierSynthLib.synthesis.networks import Synthesis
from HierSynthLib.synthesis.options import InputOptions, parse_options

SLOPE = 0.2
DROPOUT = 0.5
DROPOUT_LAYERS = 3
"""Pix2Pix: the coarsest decoder layers drop features in training; Isola et al., appendix 6.1."""


@dataclass(frozen=True)
class UNetConfig(InputOptions):
    """The shape of the U-Net.

    Attributes:
        features: six numbers as MONAI's `BasicUNet` takes them: five levels, finest first, and the last layer.
        spatial_dims: 2.
    """

    features: tuple[int, ...] = (32, 32, 64, 128, 256, 32)
    spatial_dims: int = 2

    @staticmethod
    def parse(values: dict[str, Any]) -> UNetConfig:
        """Read and check the options.

        Raises:
            ModelError: an unknown key, a wrong type or a size outside what a package may ask for.
        """
        return parse_options(UNetConfig, values, levels=(6, 6))


class UNet(nn.Module):
    """MONAI's `BasicUNet` (instance normalisation) with two planes of output: map and log b.

    Raises:
        ModelError: MONAI is not installed.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        try:
            from monai.networks.nets.basic_unet import BasicUNet
        except ImportError as error:
            raise ModelError(
                "This model is a U-Net of MONAI, which is not installed.", 'Run: pip install "HierSynthLib[training]".'
            ) from error
        self.unet = BasicUNet(spatial_dims=2, in_channels=config.inputs, out_channels=2, features=config.features)

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return 16

    def forward(self, x: Tensor, z: Tensor | None = None, generator: torch.Generator | None = None) -> Synthesis:
        """(B, `config.inputs`, H, W) → Synthesis with residual 0; `z` and `generator` are not used."""
        return Synthesis.of_planes(self.unet(x))


@dataclass(frozen=True)
class Pix2PixConfig(InputOptions):
    """The shape of the Pix2Pix generator.

    Attributes:
        channels: features per level of the encoder, finest (half resolution) first; each level halves the picture.
        spatial_dims: 2.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    spatial_dims: int = 2

    @staticmethod
    def parse(values: dict[str, Any]) -> Pix2PixConfig:
        """Read and check the options.

        Raises:
            ModelError: an unknown key, a wrong type or a size outside what a package may ask for.
        """
        return parse_options(Pix2PixConfig, values)


class Pix2Pix(nn.Module):
    """U-Net generator of Pix2Pix with two planes of output: map and log b.

    Encoder: 4×4 convolutions of stride 2, leaky ReLU; decoder: transposed ones, ReLU, dropout in the three coarsest
    layers. Instance normalisation, which is what batch normalisation with the statistics of one test picture is in the
    paper, except in the first encoder layer and the bottleneck. Three things differ: the depth is an option (slices
    here are smaller than 256 × 256), the last layer is linear instead of tanh (nrCBV has no fixed range) and dropout is
    off in use, so that the same input gives the same map.
    Source: Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017, appendix 6.1.
    """

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.encoder = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise((config.inputs, *channels))
        )
        finer = list(reversed(channels[:-1]))
        inputs = [channels[-1], *(2 * f for f in finer[:-1])]
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in zip(inputs, finer, strict=True)
        )
        self.output = nn.ConvTranspose2d(2 * channels[0], 2, 4, stride=2, padding=1)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return int(2 ** len(self.encoder))

    def forward(self, x: Tensor, z: Tensor | None = None, generator: torch.Generator | None = None) -> Synthesis:
        """(B, `config.inputs`, H, W) → Synthesis with residual 0.

        `z` is not used; `generator` draws the dropout in training mode (None: no dropout).
        """
        features = x
        skips: list[Tensor] = []
        last = len(self.encoder) - 1
        for level, layer in enumerate(self.encoder):
            features = layer(functional.leaky_relu(features, SLOPE) if level else features)
            if 0 < level < last:
                features = functional.instance_norm(features)
            skips.append(features)
        features = skips.pop()
        for level, layer in enumerate(self.decoder):
            features = functional.instance_norm(layer(functional.relu(features)))
            if level < DROPOUT_LAYERS and self.training and generator is not None:
                features = _dropout(features, generator)
            features = torch.cat([features, skips.pop()], dim=1)
        return Synthesis.of_planes(self.output(functional.relu(features)))


def _dropout(features: Tensor, generator: torch.Generator) -> Tensor:
    keep = torch.rand(features.shape, generator=generator, device=generator.device) >= DROPOUT
    return features * keep.to(features.device, features.dtype) / (1 - DROPOUT)
