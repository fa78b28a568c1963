"""Crops around the lesion, where the discriminator of the residual looks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Crops(NamedTuple):
    """One square crop per slice.

    Attributes:
        rows: (B,) first row of the crop.
        columns: (B,) first column of the crop.
        size: edge in pixels.
    """

    rows: Tensor
    columns: Tensor
    size: int

    @staticmethod
    def draw(lesion: Tensor, brain: Tensor, size: int, generator: torch.Generator) -> Crops:
        """Crops centred on a random voxel of the lesion, or of the brain where there is none, moved into the picture.

        Args:
            lesion: (B, 1, H, W), 0 or 1.
            brain: (B, 1, H, W), 0 or 1.
            size: edge in pixels; at most that of the picture is taken.
            generator: draws the voxels.
        """
        height, width = lesion.shape[2:]
        size = min(size, height, width)
        has_lesion = lesion.flatten(1).amax(dim=1, keepdim=True) > 0
        mask = torch.where(has_lesion, lesion.flatten(1), brain.flatten(1)).float()
        draw = torch.rand(mask.shape[0], 1, generator=generator, device=generator.device).to(mask.device)
        reached = mask.cumsum(dim=1)
        voxel = torch.searchsorted(reached, draw * reached[:, -1:], right=True).clamp(max=mask.shape[1] - 1)[:, 0]
        rows = (voxel // width - size // 2).clamp(0, height - size)
        columns = (voxel % width - size // 2).clamp(0, width - size)
        return Crops(rows, columns, size)

    def of(self, picture: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, size, size)."""
        span = torch.arange(self.size, device=picture.device)
        rows = (self.rows[:, None] + span)[:, :, None]
        columns = (self.columns[:, None] + span)[:, None]
        slices = torch.arange(picture.shape[0], device=picture.device)[:, None, None]
        return picture[slices, :, rows, columns].movedim(3, 1)
