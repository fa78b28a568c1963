"""The two-stage network as one object: what a model package stores and the pipeline runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import lcm
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from HierSynthLib.errors import ModelError
from HierSynthLib.synthesis.global_module import GlobalModule
from HierSynthLib.synthesis.local_module import LocalModule


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a two-stage network.

    Attributes:
        sequences: number of input sequences M.
        slices: number of neighbouring slices of each sequence (odd; the centre one is synthesised).
        global_channels: features per level of the global module, finest first.
        local_channels: features per level of the local module, finest first.
        style: length of the style vector w.
        latent: length of the random vector z.
        spatial_dims: 2; kept in the format so that a 3-D network needs no new one.
    """

    sequences: int = 4
    slices: int = 5
    global_channels: tuple[int, ...] = (32, 64, 128, 160)
    local_channels: tuple[int, ...] = (16, 32, 64, 96)
    style: int = 128
    latent: int = 16
    spatial_dims: int = 2

    @property
    def inputs(self) -> int:
        """Channels of the network's input: M × slices, M availability planes, the brain mask."""
        return self.sequences * self.slices + self.sequences + 1

    @staticmethod
    def parse(values: dict[str, Any]) -> NetworkConfig:
        """Read and check the shape of a network as it stands in a model package.

        Raises:
            ModelError: an unknown key, a wrong type or a size outside what a package may ask for.
        """
        known = asdict(NetworkConfig())
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ModelError(f"Unknown network option '{unknown[0]}'.", f"Known are: {', '.join(known)}.")
        merged = {**known, **values}
        for key, default in known.items():
            value = merged[key]
            sizes = value if isinstance(default, tuple) and isinstance(value, Sequence) else [value]
            if not all(isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 4096 for size in sizes):
                raise ModelError(f"Network option '{key}' is {value!r}.", "Whole numbers from 1 to 4096 are allowed.")
            if isinstance(default, tuple):
                if not 2 <= len(sizes) <= 8:
                    raise ModelError(f"Network option '{key}' has {len(sizes)} levels.", "2 to 8 are allowed.")
                merged[key] = tuple(sizes)
        if merged["spatial_dims"] != 2:
            raise ModelError("The model is three-dimensional.", "This version runs 2.5-D models only.")
        if merged["slices"] % 2 == 0:
            raise ModelError("Network option 'slices' is even.", "It must be odd: the centre slice is synthesised.")
        return NetworkConfig(**merged)


class Synthesis(NamedTuple):
    """What the two-stage network makes of a slice; each (B, 1, H, W), in nrCBV (log b: logarithm of nrCBV)."""

    global_map: Tensor
    residual: Tensor
    log_scale: Tensor

    @property
    def final(self) -> Tensor:
        """The synthetic map: global base plus residual."""
        return self.global_map + self.residual


class TwoStageNetwork(nn.Module):
    """Global base first, then the local residual."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.global_module = GlobalModule(config.inputs, config.global_channels, config.style, config.latent)
        self.local_module = LocalModule(config.inputs, config.local_channels)

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return lcm(self.global_module.stride, self.local_module.stride)

    def forward(self, x: Tensor, z: Tensor | None = None, generator: torch.Generator | None = None) -> Synthesis:
        """(B, `config.inputs`, H, W) → Synthesis. Gradients of the residual do not reach the global module."""
        global_map = self.global_module(x, z, generator)
        residual, log_scale = self.local_module(x, global_map.detach())
        return Synthesis(global_map, residual, log_scale)


def parameter_count(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters())
