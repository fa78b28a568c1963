"""Stage 3: both modules together, at a lower rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.networks import TwoStageNetwork
from Training.config import StageConfig
from Training.objectives.base import DISCRIMINATOR, Batch, Group, Terms, pictures, take
from Training.objectives.global_stage import global_terms
from Training.objectives.local_stage import local_groups, local_terms
from Training.objectives.parts import Parts


class JointObjective:
    """The terms of both stages; unless the modules are coupled, the residual's gradient stops at the global module."""

    name = "joint"
    improves_map = True

    def __init__(self, parts: Parts, network: TwoStageNetwork, stage: StageConfig) -> None:
        self._parts, self._network, self._stage = parts, network, stage

    def modules(self) -> dict[str, nn.Module]:
        """See `Objective`."""
        return self._parts.modules()

    def groups(self) -> list[Group]:
        """The network with the constraint's projection head, and both discriminators."""
        modules = nn.ModuleList([self._network.global_module, self._network.local_module])
        groups = local_groups(self._parts, modules, self._stage)
        return [*groups, *self._parts.adversary_groups(self._stage, DISCRIMINATOR)]

    def losses(self, group: str, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """See `Objective`."""
        parts, network = self._parts, self._network
        if group in parts.adversaries:
            return parts.adversaries[group].discriminator_terms(step, generator)
        slices = take(batch, network.config, parts.config, generator)
        made, base = global_terms(parts, network, slices, step, generator, parts.config.losses.global_share)
        terms = {f"global_{name}": value for name, value in base.items()}
        result = network.with_residual(slices.x, made.planes, made.features)
        return terms | local_terms(parts, result, slices, step, generator)

    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """See `Objective`."""
        return pictures(self._network, batch)
