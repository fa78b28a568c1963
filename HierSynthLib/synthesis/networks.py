"""HierSynth's own networks as one object each: what a model package stores and the pipeline runs."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.global_module import GlobalModule
from HierSynthLib.synthesis.local_module import LocalModule
from HierSynthLib.synthesis.options import InputOptions, parse_options
from HierSynthLib.synthesis.refiner import Refiner


@dataclass(frozen=True)
class NetworkConfig(InputOptions):
    """The shape of a two-stage network.

    Attributes:
        global_channels: features per level of the global module, finest first.
        local_channels: features per level of the local module, finest first.
        style: length of the style vector w.
        latent: length of the random vector z.
        spatial_dims: 2; kept in the format so that a 3-D network needs no new one.
        context: whether the local module also reads the features from which the global module makes its map.
        coupled: whether the loss of the whole map trains the global module, too, through its map and `context`; if not,
            the gradient of the residual stops there. It changes training only.
        refiner_channels: features per level of the rectified-flow refiner, finest first; empty: there is none.
    """

    global_channels: tuple[int, ...] = (32, 64, 128, 160)
    local_channels: tuple[int, ...] = (16, 32, 64, 96)
    style: int = 128
    latent: int = 16
    spatial_dims: int = 2
    context: bool = False
    coupled: bool = False
    refiner_channels: tuple[int, ...] = ()

    @staticmethod
    def parse(values: dict[str, Any]) -> NetworkConfig:
        """Read and check the shape of a network as it stands in a model package.

        Raises:
            ModelError: an unknown key, a wrong type or a size outside what a package may ask for.
        """
        return parse_options(NetworkConfig, values)


@dataclass(frozen=True)
class SingleConfig(InputOptions):
    """The shape of a network without a local module.

    Attributes:
        channels: features per level of the generator, finest first.
        style: length of the style vector w.
        latent: length of the random vector z.
        full_resolution: whether the finest level has the slice's resolution (the monolith) or half of it (the global
            module alone).
        spatial_dims: 2, as in `NetworkConfig`.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128, 160)
    style: int = 128
    latent: int = 16
    full_resolution: bool = True
    spatial_dims: int = 2

    @staticmethod
    def parse(values: dict[str, Any]) -> SingleConfig:
        """Read and check the shape of a network as it stands in a model package.

        Raises:
            ModelError: an unknown key, a wrong type or a size outside what a package may ask for.
        """
        return parse_options(SingleConfig, values)


class Synthesis(NamedTuple):
    """What a network makes of a slice; each (B, 1, H, W), in nrCBV (log b: logarithm of nrCBV).

    A network without a local module puts its map into `global_map` and has the residual 0.
    """

    global_map: Tensor
    residual: Tensor
    log_scale: Tensor

    @property
    def final(self) -> Tensor:
        """The synthetic map: global base plus residual."""
        return self.global_map + self.residual

    @staticmethod
    def of_planes(planes: Tensor) -> Synthesis:
        """The result of a single network from its two planes (B, 2, H, W): map and log b."""
        return Synthesis(planes[:, :1], torch.zeros_like(planes[:, :1]), planes[:, 1:])


class TwoStageNetwork(nn.Module):
    """Global base first, then the local residual."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.global_module = GlobalModule(config.inputs, config.global_channels, config.style, config.latent)
        context = config.global_channels[0] if config.context else 0
        self.local_module = LocalModule(config.inputs, config.local_channels, context, blank=not config.coupled)
        if config.refiner_channels:
            self.refiner = Refiner(config.inputs, config.refiner_channels)

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        refiner = self.refiner.stride if self.config.refiner_channels else 1
        return lcm(self.global_module.stride, self.local_module.stride, refiner)

    def forward(self, x: Tensor, z: Tensor | None = None, generator: torch.Generator | None = None) -> Synthesis:
        """(B, `config.inputs`, H, W) → Synthesis. Unless `coupled`, the residual trains the local module only."""
        skips, pooled = self.global_module.encode(x)
        w = self.global_module.style(pooled, z)
        global_map, features = self.global_module.synthesise_with_features(skips, w, generator)
        return self.with_residual(x, global_map, features)

    def with_residual(self, x: Tensor, global_map: Tensor, features: Tensor) -> Synthesis:
        """Add the residual to a global map (B, 1, H, W), given the features that it was made from."""
        context = None
        if self.config.context:
            context = features if self.config.coupled else features.detach()
        # The map itself is never an input with gradient: it would learn to be a message instead of a base.
        residual, log_scale = self.local_module(x, global_map.detach(), context)
        return Synthesis(global_map, residual, log_scale)


class SingleNetwork(nn.Module):
    """One generator with modulated convolutions for the whole map: the monolith, or the global module alone."""

    def __init__(self, config: SingleConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = GlobalModule(
            config.inputs,
            config.channels,
            config.style,
            config.latent,
            outputs=2,
            halved=not config.full_resolution,
        )

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return self.generator.stride

    def forward(self, x: Tensor, z: Tensor | None = None, generator: torch.Generator | None = None) -> Synthesis:
        """(B, `config.inputs`, H, W) → Synthesis with residual 0."""
        return Synthesis.of_planes(self.generator(x, z, generator))


def parameter_count(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters())
