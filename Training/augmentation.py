"""Random changes: of the network's input, as an acquisition could have made them; of what a discriminator sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from HierSynthLib.synthesis.options import InputOptions
from Training.config_file import setting


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes; a strength is the half-range of a uniform draw, in units of the normalised signal.

    Attributes:
        gain: relative change of a sequence's contrast.
        offset: shift of a sequence.
        noise: largest standard deviation of added Gaussian noise.
        dropout: probability of leaving out each sequence; one always stays.
        differentiable: whether what a discriminator sees is changed as well (the next three).
        shift: largest translation, as a share of the picture.
        cutout: edge of the square that is blanked, as a share of the picture.
        brightness: relative change of condition and map together.
    """

    gain: float = 0.15
    offset: float = 0.15
    noise: float = 0.1
    dropout: float = setting(0.3, most=1)
    differentiable: bool = True
    shift: float = setting(0.1, most=0.5)
    cutout: float = setting(0.25, most=1)
    brightness: float = setting(0.1, most=0.9)


def augment(x: Tensor, network: InputOptions, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """Change contrast, add noise and leave out sequences, per slice and sequence; the brain mask stays.

    Args:
        x: (B, M·slices + M + 1, H, W) as `SliceStacks.batch` makes it.
        network: gives M and the number of slices.
        config: strengths.
        generator: source of randomness; may be on another device than `x`.

    Returns:
        A new tensor of the same shape, still 0 outside the brain and for missing sequences.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device).to(x.device)

    batch, (m, slices) = x.shape[0], (network.sequences, network.slices)
    stack = x[:, : m * slices].unflatten(1, (m, slices))
    available = x[:, m * slices : m * slices + m, :1, :1]

    gain = 1 + config.gain * (2 * uniform(batch, m, 1, 1, 1) - 1)
    offset = config.offset * (2 * uniform(batch, m, 1, 1, 1) - 1)
    strength = config.noise * uniform(batch, m, 1, 1, 1)
    tissue = (stack != 0).float()
    stack = stack * gain + offset
    if config.noise > 0:
        noise = torch.randn(stack.shape, generator=generator, device=generator.device)
        stack = stack + strength * noise.to(x.device)
    stack = stack * tissue

    keep = (uniform(batch, m, 1, 1) >= config.dropout).float() * available
    spared = torch.nn.functional.one_hot((uniform(batch, m) * available[:, :, 0, 0]).argmax(dim=1), m).float()
    none_left = (keep.sum(dim=1, keepdim=True) == 0).float()
    keep = keep + none_left * spared[:, :, None, None] * available
    planes = keep.expand(-1, -1, *x.shape[2:])
    return torch.cat([(stack * keep[:, :, None]).flatten(1, 2), planes, x[:, -1:]], dim=1)


def augment_pair(picture: Tensor, config: AugmentationConfig, generator: torch.Generator) -> Tensor:
    """The same random mirroring, translation, gain and cutout for all channels of a slice; differentiable.

    Condition and map are channels of one picture, so what the discriminator must judge, that they fit, is kept.
    Source of the idea: Zhao et al., "Differentiable augmentation for data-efficient GAN training", NeurIPS 2020.

    Args:
        picture: (B, C, H, W).
        config: strengths; unchanged if `differentiable` is off.
        generator: source of randomness.

    Returns:
        (B, C, H, W).
    """
    if not config.differentiable:
        return picture
    batch, height, width = picture.shape[0], picture.shape[2], picture.shape[3]
    draw = torch.rand(6, batch, generator=generator, device=generator.device).to(picture.device)
    rows = torch.arange(height, device=picture.device)
    columns = torch.arange(width, device=picture.device)

    down = ((2 * draw[0] - 1) * config.shift * height).round().long()
    right = ((2 * draw[1] - 1) * config.shift * width).round().long()
    row = rows[None] - down[:, None]
    column = columns[None] - right[:, None]
    inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None]
    mirrored = (draw[2] < 0.5)[:, None]
    column = torch.where(mirrored, width - 1 - column, column)

    edge = (round(config.cutout * height), round(config.cutout * width))
    top = (draw[3] * height).long()[:, None] - edge[0] // 2
    left = (draw[4] * width).long()[:, None] - edge[1] // 2
    blank_rows = (rows[None] >= top) & (rows[None] < top + edge[0])
    blank_columns = (columns[None] >= left) & (columns[None] < left + edge[1])
    kept = inside & ~(blank_rows[:, :, None] & blank_columns[:, None])

    slices = torch.arange(batch, device=picture.device)[:, None, None]
    row, column = row.clamp(0, height - 1)[:, :, None], column.clamp(0, width - 1)[:, None]
    moved = picture[slices, :, row, column].movedim(3, 1)
    gain = 1 + config.brightness * (2 * draw[5] - 1)
    return moved * kept[:, None] * gain[:, None, None, None]
