"""Which networks a model package may hold, by name, and how their sizes are matched for a comparison."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from HierSynthLib.errors import ModelError
from HierSynthLib.synthesis.baselines import Pix2Pix, Pix2PixConfig, UNet, UNetConfig
from HierSynthLib.synthesis.networks import (
    NetworkConfig,
    SingleConfig,
    SingleNetwork,
    TwoStageNetwork,
    parameter_count,
)

REFERENCE = "hiersynth"

UNET_SHAPE = (32, 32, 64, 128, 256, 32)
"""MONAI's default features of `BasicUNet`; a matched U-Net keeps their proportions."""

PIX2PIX_SHAPE = (64, 128, 256, 512, 512)
"""Isola et al., appendix 6.1, without the levels that pictures of about 100 pixels are too small for."""


@dataclass(frozen=True)
class Architecture:
    """A kind of network.

    Attributes:
        parse: checks options as they stand in a package; raises ModelError.
        build: makes the untrained network.
        target: the network's dotted path, by which `inference.json` names it.
    """

    parse: Callable[[dict[str, Any]], Any]
    build: Callable[[Any], nn.Module]
    target: str


_NETWORKS = "HierSynthLib.synthesis.networks"
_BASELINES = "HierSynthLib.synthesis.baselines"

ARCHITECTURES: dict[str, Architecture] = {
    REFERENCE: Architecture(NetworkConfig.parse, TwoStageNetwork, f"{_NETWORKS}.TwoStageNetwork"),
    "monolith": Architecture(SingleConfig.parse, SingleNetwork, f"{_NETWORKS}.SingleNetwork"),
    "no_local": Architecture(SingleConfig.parse, SingleNetwork, f"{_NETWORKS}.SingleNetwork"),
    "unet": Architecture(UNetConfig.parse, UNet, f"{_BASELINES}.UNet"),
    "pix2pix": Architecture(Pix2PixConfig.parse, Pix2Pix, f"{_BASELINES}.Pix2Pix"),
}
"""The allow-list: nothing else is ever built from a package. The monolith and the global module alone are one class."""


def build(name: str, values: dict[str, Any]) -> nn.Module:
    """The untrained network called `name` with the options `values`.

    Raises:
        ModelError: an unknown name or option, or a package that the network needs is not installed.
    """
    architecture = find(name)
    return architecture.build(architecture.parse(values))


def find(name: str) -> Architecture:
    """The architecture called `name`.

    Raises:
        ModelError: there is none.
    """
    if name not in ARCHITECTURES:
        raise ModelError(f"Unknown network '{name}'.", f"Known are: {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[name]


def by_target(target: object) -> Architecture:
    """The architecture that `inference.json` names by its dotted path.

    Raises:
        ModelError: the path is not on the list.
    """
    for architecture in ARCHITECTURES.values():
        if architecture.target == target:
            return architecture
    known = sorted({architecture.target for architecture in ARCHITECTURES.values()})
    raise ModelError(f"{target!r} is not a network of HierSynth.", f"Known are: {', '.join(known)}.")


def target_of(network: nn.Module) -> str:
    """The dotted path by which `inference.json` names the class of `network`.

    Raises:
        ModelError: the class is not on the list.
    """
    kind = type(network)
    return by_target(f"{kind.__module__}.{kind.__qualname__}").target


def matched(name: str, reference: NetworkConfig) -> Any:
    """The options of network `name` for a fair comparison with the two-stage network of shape `reference`.

    Monolith, U-Net and Pix2Pix get as many parameters as global and local module together (the monolith within 2 %),
    by widening or narrowing all levels alike; the global module alone stays as it is in `reference`.

    Raises:
        ModelError: an unknown name.
    """
    find(name)
    # A refiner belongs to neither of the two modules that are compared.
    return _matched(name, replace(reference, refiner_channels=()))


@functools.cache
def _matched(name: str, reference: NetworkConfig) -> Any:
    shared = {"sequences": reference.sequences, "slices": reference.slices}
    if name == REFERENCE:
        return reference
    styled: dict[str, Any] = {**shared, "style": reference.style, "latent": reference.latent}
    if name == "no_local":
        return SingleConfig(**styled, channels=reference.global_channels, full_resolution=False)
    shapes: dict[str, tuple[tuple[int, ...], Callable[[tuple[int, ...]], Any]]] = {
        "monolith": (
            (reference.local_channels[0], *reference.global_channels),
            lambda widths: SingleConfig(**styled, channels=widths),
        ),
        "unet": (UNET_SHAPE, lambda widths: UNetConfig(**shared, features=widths)),
        "pix2pix": (PIX2PIX_SHAPE, lambda widths: Pix2PixConfig(**shared, channels=widths)),
    }
    shape, make = shapes[name]

    def count(widths: tuple[int, ...]) -> int:
        return _count(ARCHITECTURES[name], make(widths))

    return make(_widths(shape, count, _count(ARCHITECTURES[REFERENCE], reference)))


def _count(architecture: Architecture, config: Any) -> int:
    with torch.device("meta"):  # shapes only: nothing is allocated or drawn
        return parameter_count(architecture.build(config))


def _widths(shape: tuple[int, ...], count: Callable[[tuple[int, ...]], int], wanted: int) -> tuple[int, ...]:
    """Widths in the proportions of `shape` whose `count` is next to `wanted`: bisection, then single levels by one."""

    def scaled(factor: float) -> tuple[int, ...]:
        return tuple(max(1, round(factor * width)) for width in shape)

    low, high = 0.0, 8.0
    for _ in range(12):
        middle = (low + high) / 2
        if count(scaled(middle)) <= wanted:
            low = middle
        else:
            high = middle
    best = scaled(low)
    improved = True
    while improved:
        improved = False
        for level in reversed(range(len(best))):
            wider = (*best[:level], best[level] + 1, *best[level + 1 :])
            if abs(count(wider) - wanted) < abs(count(best) - wanted):
                best, improved = wider, True
    return best
