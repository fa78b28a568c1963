"""Optional last stage: the rectified-flow refiner, with both modules fixed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.networks import Synthesis, TwoStageNetwork
from HierSynthLib.synthesis.refiner import refine, start
from Training.config import StageConfig
from Training.losses.reconstruction import per_slice
from Training.objectives.base import GENERATOR, REGRESSION_BETAS, Batch, Group, Terms, pictures, take
from Training.objectives.parts import Parts

PREVIEW_SEED = 0


class RefinerObjective:
    """Squared error of the velocity on straight paths from z_0 = ŷ + σε to the acquired map.

    Source: Liu, Gong and Liu, "Flow straight and fast", ICLR 2023, eq. 1.
    """

    name = "refiner"
    improves_map = False

    def __init__(self, parts: Parts, network: TwoStageNetwork, stage: StageConfig) -> None:
        self._parts, self._network, self._stage = parts, network, stage

    def modules(self) -> dict[str, nn.Module]:
        """See `Objective`."""
        return self._parts.modules()

    def groups(self) -> list[Group]:
        """The refiner."""
        return [Group(GENERATOR, list(self._network.refiner.parameters()), REGRESSION_BETAS, self._stage.rate)]

    def losses(self, group: str, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """See `Objective`."""
        parts = self._parts
        slices = take(batch, self._network.config, parts.config, generator)
        with torch.no_grad():
            result: Synthesis = self._network(slices.x)
        estimate = result.final * slices.brain
        time = torch.rand(estimate.shape[0], generator=generator, device=generator.device).to(estimate.device)
        first = start(estimate, generator)
        path = slices.cbv - first
        state = first + time[:, None, None, None] * path
        velocity = self._network.refiner(slices.x, estimate, state, time)
        error = (velocity - path).square() * slices.brain
        return {"flow": parts.config.losses.refiner * per_slice(error, parts.area)}

    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """The pictures of the other stages and the refined map."""
        shown = pictures(self._network, batch)
        generator = torch.Generator().manual_seed(PREVIEW_SEED)
        with torch.no_grad():
            estimate = shown["synthetic"]
            refined = refine(self._network.refiner, batch["x"], estimate, start(estimate, generator))
        return {**shown, "refined": refined * batch["brain"]}
