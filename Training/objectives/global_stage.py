"""Stage 1: the global module learns the low-pass map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.networks import TwoStageNetwork
from Training.config import StageConfig
from Training.losses.reconstruction import ssim_loss, weighted_l1
from Training.objectives.adversary import StyledMap, condition_of, styled_map
from Training.objectives.base import (
    DISCRIMINATOR,
    GENERATOR,
    REGRESSION_BETAS,
    Batch,
    Group,
    Slices,
    Terms,
    pictures,
    take,
)
from Training.objectives.parts import Parts


class GlobalObjective:
    """L1 (lesion counts more), SSIM and the conditional discriminator, all against the low-pass map."""

    name = "global"
    improves_map = True

    def __init__(self, parts: Parts, network: TwoStageNetwork, stage: StageConfig) -> None:
        self._parts, self._network, self._stage = parts, network, stage

    def modules(self) -> dict[str, nn.Module]:
        """See `Objective`."""
        return self._parts.modules()

    def groups(self) -> list[Group]:
        """The global module, and the conditional discriminator."""
        parts, stage = self._parts, self._stage
        trained = list(self._network.global_module.parameters())
        return [Group(GENERATOR, trained, REGRESSION_BETAS, stage.rate), *parts.adversary_groups(stage, DISCRIMINATOR)]

    def losses(self, group: str, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """See `Objective`."""
        if group in self._parts.adversaries:
            return self._parts.adversaries[group].discriminator_terms(step, generator)
        slices = take(batch, self._network.config, self._parts.config, generator)
        return global_terms(self._parts, self._network, slices, step, generator)[1]

    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`."""
        return pictures(self._network, batch)


def global_terms(
    parts: Parts,
    network: TwoStageNetwork,
    slices: Slices,
    step: int,
    generator: torch.Generator,
    share: float = 1.0,
) -> tuple[StyledMap, Terms]:
    """The global map, and the terms that train the global module; `share` scales those of reconstruction."""
    config, weights, brain = parts.config, parts.config.losses, slices.brain
    made = styled_map(network, slices.x, config, parts.lengths, step, generator)
    masked, terms = made.planes * brain, Terms()
    if share * weights.l1 > 0:
        emphasis = brain * (1 + weights.global_roi * slices.lesion)
        terms["l1"] = share * weights.l1 * weighted_l1(masked, slices.goal, emphasis, parts.area)
    if share * weights.ssim > 0:
        terms["ssim"] = share * weights.ssim * ssim_loss(masked, slices.goal, brain, parts.area)
    if adversary := parts.adversaries.get(DISCRIMINATOR):
        condition, fake = condition_of(slices.x, network.config), made.judged * brain
        terms["adversarial"] = adversary.generator_term(condition, slices.goal * brain, fake, step, generator)
    if made.path_length is not None:
        terms["path_length"] = made.path_length
    return made, terms
