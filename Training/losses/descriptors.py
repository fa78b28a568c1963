"""Texture descriptors φ(p) of square patches: differentiable, computed for all patches at once.

The perfusion-aware constraint compares them between the synthetic and the acquired residual; the evaluation measures
their error. The choice of the descriptors is this project's own (docs/method.md).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from HierSynthLib.synthesis.layers import full_precision

SCALE = 0.5
"""Unit of the descriptors in nrCBV: the order of a residual's standard deviation; design value."""

LEVELS = 8
"""Grey levels of histogram and co-occurrence matrix; design value."""

OFFSETS = ((0, 1), (1, 0))
"""Neighbours (rows, columns) whose co-occurrence is counted; design value."""

TAIL = 0.1
"""Share of the pixels in the top and bottom means."""

SKEW_LIMIT = 3.0
FLOOR = 0.05
"""Standard deviations below this (in units of SCALE) look alike; bounds the gradient of flat patches. Design value."""

NAMES = (
    "mean",
    "log SD",
    "skewness",
    "top 10 %",
    "bottom 10 %",
    "entropy",
    *(f"GLCM contrast {offset}" for offset in OFFSETS),
    *(f"GLCM √ASM {offset}" for offset in OFFSETS),
    "log high-frequency energy",
)


Offsets = tuple[tuple[int, int], ...]


def describe(patches: Tensor, offsets: Offsets = OFFSETS) -> Tensor:
    """The descriptors of patches, in the order of `NAMES`.

    Mean and tails are in units of SCALE. Grey levels are soft: a value lies between two levels and belongs to both,
    linearly; so entropy and co-occurrence have gradients. Entropy is in units of log LEVELS, contrast in units of
    (LEVELS − 1)². The high-frequency energy is that of the difference from a 3 × 3 binomial mean, inside the patch.

    Sources: co-occurrence, Haralick et al., IEEE Transactions on Systems, Man and Cybernetics 3:610, 1973, features 1
    and 2 (symmetric matrix, √ of the angular second moment).

    Args:
        patches: (N, p, p) float32, in nrCBV, p ≥ 4.
        offsets: neighbours (rows, columns) whose co-occurrence is counted; the evaluation has others as well.

    Returns:
        (N, K) float32.
    """
    with full_precision(patches.device):
        r = patches.float() / SCALE
        flat = r.flatten(1)
        mean = flat.mean(dim=1)
        centred = flat - mean[:, None]
        square = centred * centred
        variance = square.mean(dim=1) + FLOOR**2
        skewness = (square * centred).mean(dim=1) / variance**1.5
        count = max(1, round(TAIL * flat.shape[1]))
        top = flat.topk(count, dim=1, sorted=False).values.mean(dim=1)
        bottom = flat.topk(count, dim=1, largest=False, sorted=False).values.mean(dim=1)
        levels = memberships(r)
        histogram = levels.mean(dim=(1, 2))
        entropy = -(histogram * (histogram + 1e-6).log()).sum(dim=1) / math.log(LEVELS)
        contrast, moment = zip(*(_co_occurrence(levels, offset) for offset in offsets), strict=True)
        parts = [mean, 0.5 * variance.log(), skewness.clamp(-SKEW_LIMIT, SKEW_LIMIT), top, bottom, entropy]
        return torch.stack([*parts, *contrast, *moment, _high_frequency(r)], dim=1)


def memberships(r: Tensor) -> Tensor:
    """How far each pixel belongs to each grey level: (N, p, p) → (N, p, p, LEVELS), summing to 1 over the last axis.

    Values are squeezed into the levels by r/(1 + |r|), so that none is cut off and the levels lie densest around 0.
    """
    position = (LEVELS - 1) * 0.5 * (1 + functional.softsign(r))
    centres = torch.arange(LEVELS, dtype=r.dtype, device=r.device)
    return functional.relu(1 - (position[..., None] - centres).abs())


def _co_occurrence(levels: Tensor, offset: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Contrast and √ASM of the symmetric, normalised co-occurrence matrix of each patch."""
    down, right = offset
    height, width = levels.shape[1:3]
    here = levels[:, : height - down, : width - right].flatten(1, 2)
    there = levels[:, down:, right:].flatten(1, 2)
    matrix = torch.bmm(here.transpose(1, 2), there) / here.shape[1]
    matrix = (matrix + matrix.transpose(1, 2)) / 2
    centres = torch.arange(LEVELS, dtype=levels.dtype, device=levels.device) / (LEVELS - 1)
    contrast = (matrix * (centres[:, None] - centres).square()).sum(dim=(1, 2))
    return contrast, matrix.square().sum(dim=(1, 2)).sqrt()


def _high_frequency(r: Tensor) -> Tensor:
    """½ log of the mean square of r − its 3 × 3 binomial mean, over the pixels whose neighbours lie in the patch."""
    rows = (r[:, :-2] + 2 * r[:, 1:-1] + r[:, 2:]) / 4
    smooth = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4
    energy = (r[:, 1:-1, 1:-1] - smooth).square().mean(dim=(1, 2))
    return 0.5 * (energy + FLOOR**2).log()


def unfold(pictures: Tensor, patch: int, stride: int) -> Tensor:
    """A view of all patches: (B, 1, H, W) → (B, rows, columns, patch, patch), at multiples of `stride`."""
    return pictures[:, 0].unfold(1, patch, stride).unfold(2, patch, stride)


def describe_patches(
    pictures: NDArray[np.float32], patch: int, stride: int | None = None, offsets: Offsets = OFFSETS
) -> NDArray[np.float32]:
    """The descriptors of all patches of pictures, for the evaluation.

    Args:
        pictures: (N, H, W) in nrCBV, e.g. high-pass slices of a map.
        patch: edge of a patch in pixels.
        stride: distance of neighbouring patches; None means half a patch.
        offsets: see `describe`.

    Returns:
        (N, rows, columns, K); the patch in row i, column j begins at pixel (i·stride, j·stride).
    """
    with torch.inference_mode():
        tensor = torch.from_numpy(np.ascontiguousarray(pictures, np.float32))[:, None]
        grid = unfold(tensor, patch, stride or max(1, patch // 2))
        result: NDArray[np.float32] = describe(grid.flatten(0, 2), offsets).unflatten(0, grid.shape[:3]).numpy()
    return result


class Patches(NamedTuple):
    """The chosen patches of a batch, P per slice (padded: `valid` says which exist).

    Attributes:
        number: (B, P) of the patch on the slice's grid, row by row.
        valid: (B, P).
        weight: (B, P) share of lesion + floor; 0 where not valid.
    """

    number: Tensor
    valid: Tensor
    weight: Tensor


def choose_patches(
    brain: Tensor, lesion: Tensor, patch: int, floor: float, limit: int, generator: torch.Generator
) -> Patches:
    """Patches of which at least half is brain; of more than `limit`, those with lesion first, others at random.

    Args:
        brain: (B, 1, H, W), 0 or 1.
        lesion: (B, 1, H, W), 0 or 1.
        patch: edge in pixels; neighbours overlap by half.
        floor: weight of a patch without lesion.
        limit: most patches per slice.
        generator: draws which patches are taken.
    """
    inside = functional.avg_pool2d(brain.float(), patch, patch // 2).flatten(1)
    share = functional.avg_pool2d(lesion.float(), patch, patch // 2).flatten(1)
    draw = torch.rand(inside.shape, generator=generator, device=generator.device).to(inside.device)
    candidate = inside >= 0.5
    priority = candidate.float() * (1 + draw + (share > 0).float())
    most = int(candidate.sum(dim=1).amax().clamp(1, limit))
    index = priority.topk(most, dim=1).indices
    valid = candidate.gather(1, index)
    return Patches(index, valid, (share.gather(1, index) + floor) * valid)
