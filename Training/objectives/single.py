"""Networks without a local module: the monolith, the global module alone and the U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.networks import SingleNetwork, Synthesis
from Training.config import StageConfig
from Training.objectives.adversary import condition_of, styled_map
from Training.objectives.base import (
    DISCRIMINATOR,
    GENERATOR,
    REGRESSION_BETAS,
    Batch,
    Group,
    Slices,
    Terms,
    map_terms,
    parameters,
    pictures,
    take,
)
from Training.objectives.local_stage import weighted_texture
from Training.objectives.parts import Parts


class SingleObjective:
    """The reconstruction terms of a whole map; modulated networks may have the conditional discriminator as well.

    With `losses.texture_on_single` the perfusion-aware constraint is applied to the map minus the low-pass target,
    which tells the effect of the constraint from that of the decomposition.
    """

    name = "single"
    improves_map = True

    def __init__(self, parts: Parts, stage: StageConfig) -> None:
        self._parts, self._stage = parts, stage

    def modules(self) -> dict[str, nn.Module]:
        """See `Objective`."""
        return self._parts.modules()

    def groups(self) -> list[Group]:
        """The network, and the conditional discriminator."""
        parts = self._parts
        heads = [] if parts.constraint is None else [parts.constraint]
        generator = Group(GENERATOR, parameters([parts.network, *heads]), REGRESSION_BETAS, self._stage.rate)
        return [generator, *parts.adversary_groups(self._stage, DISCRIMINATOR)]

    def losses(self, group: str, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """See `Objective`."""
        parts = self._parts
        if group in parts.adversaries:
            return parts.adversaries[group].discriminator_terms(step, generator)
        slices = take(batch, parts.config.network, parts.config, generator)
        result, terms = self._map(slices, step, generator)
        terms |= map_terms(result, slices, parts.config, parts.area)
        if parts.constraint is not None:
            base = batch["low_pass"]
            made, acquired = (result.final - base) * slices.brain, (slices.cbv - base) * slices.brain
            texture = parts.constraint(made, acquired, slices.brain, slices.lesion, step, generator)
            terms |= weighted_texture(texture, parts)
        return terms

    def _map(self, slices: Slices, step: int, generator: torch.Generator) -> tuple[Synthesis, Terms]:
        """The map, and the terms that only a modulated network has."""
        parts, network, terms = self._parts, self._parts.network, Terms()
        if not isinstance(network, SingleNetwork):
            return network(slices.x), terms
        made = styled_map(network, slices.x, parts.config, parts.lengths, step, generator)
        if made.path_length is not None:
            terms["path_length"] = made.path_length
        if adversary := parts.adversaries.get(DISCRIMINATOR):
            real, fake = slices.cbv * slices.brain, made.judged * slices.brain
            condition = condition_of(slices.x, network.config)
            terms["adversarial"] = adversary.generator_term(condition, real, fake, step, generator)
        return Synthesis.of_planes(made.planes), terms

    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`."""
        return pictures(self._parts.network, batch)
