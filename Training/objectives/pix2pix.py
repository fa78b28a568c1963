"""Pix2Pix as published: L1 and a PatchGAN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.baselines import Pix2Pix
from HierSynthLib.synthesis.networks import Synthesis
from Training.config import StageConfig
from Training.losses.reconstruction import laplace_scale_loss, weighted_l1
from Training.objectives.adversary import condition_of
from Training.objectives.base import DISCRIMINATOR, GENERATOR, Batch, Group, Terms, pictures, take
from Training.objectives.parts import Parts

BETAS = (0.5, 0.999)
"""Adam's moments; Isola et al., section 3.3."""


class Pix2PixObjective:
    """100 · L1 + adversarial term of a PatchGAN; the scale of the error, which the paper has not, learns as elsewhere.

    Source: Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017, eq. 4.
    """

    name = "pix2pix"
    improves_map = True

    def __init__(self, parts: Parts, network: Pix2Pix, stage: StageConfig) -> None:
        self._parts, self._network, self._stage = parts, network, stage
        self._adversary = parts.adversaries[DISCRIMINATOR]

    def modules(self) -> dict[str, nn.Module]:
        """See `Objective`."""
        return self._parts.modules()

    def groups(self) -> list[Group]:
        """Generator and PatchGAN, at the same rate, as published."""
        rate = self._stage.rate
        return [
            Group(GENERATOR, list(self._network.parameters()), BETAS, rate),
            Group(DISCRIMINATOR, list(self._adversary.discriminator.parameters()), BETAS, rate),
        ]

    def losses(self, group: str, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """See `Objective`."""
        if group == DISCRIMINATOR:
            return self._adversary.discriminator_terms(step, generator)
        parts, weights = self._parts, self._parts.config.losses
        slices = take(batch, self._network.config, parts.config, generator)
        result: Synthesis = self._network(slices.x, generator=generator)
        brain, target = slices.brain, slices.cbv
        final = result.final * brain
        condition = condition_of(slices.x, self._network.config)
        terms = {
            "l1": weights.pix2pix_l1 * weighted_l1(final, target, brain, parts.area),
            "adversarial": self._adversary.generator_term(condition, target * brain, final, step, generator),
        }
        if weights.scale > 0:
            scale = laplace_scale_loss(target - final, result.log_scale, brain, parts.area)
            terms["scale"] = weights.scale * scale
        return terms

    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`."""
        return pictures(self._network, batch)
