"""The perfusion-aware constraint (PaC): the residual's patches shall look like the acquired ones at the same place.

Re-implementation from the abstract of the HierSynth paper; the formula is this project's own.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from HierSynthLib.synthesis.layers import SLOPE, full_precision
from Training.losses.descriptors import NAMES, Patches, choose_patches, describe, unfold
from Training.losses.settings import LossConfig
from Training.losses.statistics import RunningMean

PROJECTION = (64, 32)
"""Hidden and output features of the projection head; design value."""

LIMIT = 128
"""Most patches per slice and size: the contrastive term compares each with each. Design value."""

LEAST_DEVIATION = 0.01
"""Standard deviations of a descriptor below this count as this: only the first steps have few enough patches for it (on
simulated brains at 2 mm none is below 0.018). Design value."""


def info_nce(query: Tensor, key: Tensor, negative: Tensor, temperature: float) -> Tensor:
    """−log[e^{q_p·k_p/τ} / (e^{q_p·k_p/τ} + Σ_n e^{q_p·k_n/τ})] for every patch.

    Args:
        query: (B, P, D), unit vectors of the synthetic patches.
        key: (B, P, D), unit vectors of the acquired patches.
        negative: (B, P, P) bool, whether patch n (last axis) is a negative of patch p; never p itself.
        temperature: τ.

    Returns:
        (B, P). Source of the form: van den Oord et al., arXiv:1807.03748, eq. 4.
    """
    logits = query @ key.transpose(1, 2) / temperature
    own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    admitted = logits.masked_fill(~(negative | own), -math.inf)
    return admitted.logsumexp(dim=2) - logits.diagonal(dim1=1, dim2=2)


def true_negatives(descriptors: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Pairs of patches of one slice whose acquired descriptors differ: ‖φ*_p − φ*_n‖/√K > δ.

    Without the threshold, patches of equal texture (most of white matter) would be pushed apart.

    Args:
        descriptors: (B, P, K), z-scored.
        valid: (B, P).
        threshold: δ.

    Returns:
        (B, P, P) bool.
    """
    distance = torch.cdist(descriptors, descriptors) / math.sqrt(descriptors.shape[2])
    # Excluded explicitly: rounding makes the distance to itself slightly more than 0.
    other = ~torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
    return (distance > threshold) & valid[:, None, :] & other


class PerfusionConstraint(nn.Module):
    """Contrastive and descriptor terms between the synthetic and the acquired residual.

    Descriptors are z-scored with running statistics of acquired residuals; the sums are divided by the running mean of
    Σ_p w_p per slice instead of the batch's own, so that the mean over micro-batches is the loss of the whole batch.
    The very first step only collects statistics. Negatives come from the same slice. Nothing is clipped: a patch whose
    texture has collapsed lies up to 9 standard deviations from the acquired ones, and must be pulled back all the more;
    that a rare patch cannot dominate a step is the doing of SmoothL1 and of the unit vectors.

    Args:
        config: weights, patch sizes, τ, δ.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        features, (hidden, outputs) = len(NAMES), PROJECTION
        self.projection = nn.Sequential(nn.Linear(features, hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, outputs))
        # Σφ, Σφ² of acquired patches, and Σw per slice, for each patch size.
        self.moments = nn.ModuleList(RunningMean(2 * features) for _ in config.patches)
        self.weights = nn.ModuleList(RunningMean(1) for _ in config.patches)

    def forward(
        self,
        residual: Tensor,
        acquired: Tensor,
        brain: Tensor,
        lesion: Tensor,
        step: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """The unweighted terms "nce" and "descriptor" whose weight is not 0; none in the very first step.

        Which terms there are depends on the step only, and every process takes part in the statistics of every step,
        even where no patch of its slices is half brain: its terms are then 0.

        Args:
            residual: (B, 1, H, W), R̂ in nrCBV.
            acquired: (B, 1, H, W), R* = acquired map − global map; no gradient flows through it.
            brain: (B, 1, H, W), 0 or 1.
            lesion: (B, 1, H, W), 0 or 1.
            step: number of the training step.
            generator: draws the patches where there are too many.
        """
        terms: dict[str, Tensor] = {}
        with full_precision(residual.device):
            inside = brain.float()
            for scale, patch in enumerate(self.config.patches):
                chosen = choose_patches(inside, lesion, patch, self.config.floor, LIMIT, generator)
                parts = self._scale(scale, patch, residual * inside, acquired.detach() * inside, chosen, step)
                for name, value in parts.items():
                    terms[name] = terms.get(name, 0) + value / len(self.config.patches)
        return terms

    def _scale(
        self, scale: int, patch: int, residual: Tensor, acquired: Tensor, chosen: Patches, step: int
    ) -> dict[str, Tensor]:
        moments, weights = cast(RunningMean, self.moments[scale]), cast(RunningMean, self.weights[scale])
        moments.begin(step)
        weights.begin(step)
        ready = moments.ready
        mean, square = moments.value.clone().chunk(2)
        normaliser = float(weights.value) * residual.shape[0]
        with torch.no_grad():
            truth = self._describe(acquired, patch, chosen)
        moments.observe(torch.cat([truth.sum(dim=0), truth.square().sum(dim=0)]), truth.shape[0])
        weights.observe(chosen.weight.sum().view(1), residual.shape[0])
        if not ready:
            return {}

        deviation = (square - mean**2).clamp(min=LEAST_DEVIATION**2).sqrt()
        made = (self._describe(residual, patch, chosen) - mean) / deviation
        truth = (truth - mean) / deviation
        terms = {}
        weight = chosen.weight[chosen.valid]
        if self.config.descriptor > 0:
            error = functional.smooth_l1_loss(made, truth, reduction="none").mean(dim=1)
            terms["descriptor"] = (weight * error).sum() / normaliser
        if self.config.nce > 0:
            key = self._embed(truth.detach(), chosen.valid).detach()
            query = self._embed(made, chosen.valid)
            negative = true_negatives(_padded(truth, chosen.valid), chosen.valid, self.config.false_negative)
            loss = info_nce(query, key, negative, self.config.temperature)
            terms["nce"] = (chosen.weight * loss).sum() / normaliser
        return terms

    def _describe(self, picture: Tensor, patch: int, chosen: Patches) -> Tensor:
        """(number of valid patches, K)."""
        grid = unfold(picture, patch, patch // 2)
        columns = grid.shape[2]
        slices = torch.arange(picture.shape[0], device=picture.device)[:, None].expand_as(chosen.number)[chosen.valid]
        number = chosen.number[chosen.valid]
        return describe(grid[slices, number // columns, number % columns])

    def _embed(self, descriptors: Tensor, valid: Tensor) -> Tensor:
        return functional.normalize(_padded(self.projection(descriptors), valid), dim=2)


def _padded(rows: Tensor, valid: Tensor) -> Tensor:
    """(number of valid, K) → (B, P, K), zeros where not valid."""
    result = rows.new_zeros(*valid.shape, rows.shape[1])
    result[valid] = rows
    return result
