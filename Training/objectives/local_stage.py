"""Stage 2: the local module learns the residual that the fixed global module leaves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.networks import Synthesis, TwoStageNetwork
from Training.config import StageConfig
from Training.losses.reconstruction import low_pass_residual
from Training.objectives.base import (
    GENERATOR,
    REGRESSION_BETAS,
    RESIDUAL_DISCRIMINATOR,
    Batch,
    Group,
    Slices,
    Terms,
    map_terms,
    parameters,
    pictures,
    take,
)
from Training.objectives.crops import Crops
from Training.objectives.parts import Parts


class LocalObjective:
    """Reconstruction of the whole map, perfusion-aware constraint and the discriminator of the residual."""

    name = "local"
    improves_map = True

    def __init__(self, parts: Parts, network: TwoStageNetwork, stage: StageConfig) -> None:
        self._parts, self._network, self._stage = parts, network, stage

    def modules(self) -> dict[str, nn.Module]:
        """See `Objective`."""
        return self._parts.modules()

    def groups(self) -> list[Group]:
        """The local module with the constraint's projection head, and the discriminator of the residual."""
        return local_groups(self._parts, self._network.local_module, self._stage)

    def losses(self, group: str, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """See `Objective`."""
        if group in self._parts.adversaries:
            return self._parts.adversaries[group].discriminator_terms(step, generator)
        slices = take(batch, self._network.config, self._parts.config, generator)
        with torch.no_grad():
            module = self._network.global_module
            skips, pooled = module.encode(slices.x)
            base, features = module.synthesise_with_features(skips, module.style(pooled))
        result = self._network.with_residual(slices.x, base, features)
        return local_terms(self._parts, result, slices, step, generator)

    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`."""
        return pictures(self._network, batch)


def local_groups(parts: Parts, trained: nn.Module, stage: StageConfig) -> list[Group]:
    """The groups of a stage that trains the local module, `trained` being what is trained of the network."""
    heads = [] if parts.constraint is None else [parts.constraint]
    generator = Group(GENERATOR, parameters([trained, *heads]), REGRESSION_BETAS, stage.rate)
    return [generator, *parts.adversary_groups(stage, RESIDUAL_DISCRIMINATOR)]


def local_terms(parts: Parts, result: Synthesis, slices: Slices, step: int, generator: torch.Generator) -> Terms:
    """The terms that train the local module; unless the modules are coupled, the global map is held fixed.

    The residual's own terms (perfusion-aware constraint, discriminator) see the global map as it is in any case.
    """
    config, weights, brain = parts.config, parts.config.losses, slices.brain
    base, residual = result.global_map.detach(), result.residual
    used = result.global_map if config.network.coupled else base
    terms = map_terms(Synthesis(used, residual, result.log_scale), slices, config, parts.area)
    if weights.low_pass_residual > 0:
        sigma = config.target.low_pass_mm / config.spacing_mm[0]
        outside = brain * (1 - slices.lesion)
        value = low_pass_residual(residual * brain, outside, sigma, parts.area)
        terms["low_pass_residual"] = weights.low_pass_residual * value
    acquired = (slices.cbv - base.float()) * brain
    if parts.constraint is not None:
        texture = parts.constraint(residual, acquired, brain, slices.lesion, step, generator)
        terms |= weighted_texture(texture, parts)
    if adversary := parts.adversaries.get(RESIDUAL_DISCRIMINATOR):
        crops = Crops.draw(slices.lesion, brain, weights.crop, generator)
        condition, real, fake = (crops.of(picture) for picture in (base * brain, acquired, residual * brain))
        terms["residual_adversarial"] = adversary.generator_term(condition, real, fake, step, generator)
    return terms


def weighted_texture(texture: Terms, parts: Parts) -> Terms:
    """The terms of the perfusion-aware constraint times their weights."""
    weights = {"nce": parts.config.losses.nce, "descriptor": parts.config.losses.descriptor}
    return {name: weights[name] * value for name, value in texture.items()}
