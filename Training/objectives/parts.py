"""The modules that a method trains, made once for all its stages."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from HierSynthLib.synthesis.baselines import Pix2Pix
from HierSynthLib.synthesis.networks import SingleNetwork, TwoStageNetwork
from Training.config import StageConfig, TrainingConfig
from Training.discriminators import Discriminator, PatchDiscriminator
from Training.losses.contrast import PerfusionConstraint
from Training.losses.statistics import RunningMean
from Training.objectives.adversary import Adversary
from Training.objectives.base import (
    ADVERSARIAL_BETAS,
    DISCRIMINATOR,
    RESIDUAL_DISCRIMINATOR,
    Group,
)

CONDITION = 1
"""Channels of a condition besides the sequences: the brain mask."""


class Parts:
    """Network, discriminators, perfusion-aware constraint and running means of one method.

    What the settings do not ask for (weight 0) is None. Initial weights come from `config.seed` alone.

    Args:
        config: the settings of the run.
        network: the network that is trained; the other modules go to its device.
        area: mean number of brain voxels per training slice.
    """

    def __init__(self, config: TrainingConfig, network: nn.Module, area: float) -> None:
        self.config, self.network, self.area = config, network, area
        self.constraint: PerfusionConstraint | None = None
        self.lengths: RunningMean | None = None
        self.adversaries: dict[str, Adversary] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self._make()
        device = next(network.parameters()).device
        for module in self.modules().values():
            module.to(device)

    def _make(self) -> None:
        config, weights, shape, network = self.config, self.config.losses, self.config.adversary, self.network
        inputs = config.network.sequences + CONDITION + 1
        if isinstance(network, Pix2Pix):
            # As published: no gradient penalty and no augmentation of what the discriminator sees.
            plain, unchanged = replace(weights, r1=0.0), replace(config.augmentation, differentiable=False)
            patches = PatchDiscriminator(inputs, shape.patch_channels)
            self.adversaries[DISCRIMINATOR] = Adversary(patches, weights.pix2pix_gan, 1.0, plain, unchanged)
            return
        two_stages = isinstance(network, TwoStageNetwork)
        if (weights.nce > 0 or weights.descriptor > 0) and (two_stages or weights.texture_on_single):
            self.constraint = PerfusionConstraint(weights)
        if two_stages and weights.residual_adversarial > 0:
            judge = Discriminator(2, shape.residual_channels)
            self.adversaries[RESIDUAL_DISCRIMINATOR] = self._adversary(judge, weights.residual_adversarial)
        if isinstance(network, (TwoStageNetwork, SingleNetwork)):
            if weights.path_length > 0:
                self.lengths = RunningMean(1)
            if weights.adversarial > 0:
                judge = Discriminator(inputs, shape.channels)
                self.adversaries[DISCRIMINATOR] = self._adversary(judge, weights.adversarial)

    def _adversary(self, discriminator: nn.Module, weight: float) -> Adversary:
        config = self.config
        return Adversary(discriminator, config.adversary.kind, weight, config.losses, config.augmentation)

    def modules(self) -> dict[str, nn.Module]:
        """Everything with state, by name; saved with every checkpoint whatever the stage."""
        modules: dict[str, nn.Module] = {"network": self.network}
        modules |= {name: adversary.discriminator for name, adversary in self.adversaries.items()}
        if self.constraint is not None:
            modules["constraint"] = self.constraint
        if self.lengths is not None:
            modules["path_length"] = self.lengths
        return modules

    def adversary_groups(self, stage: StageConfig, *names: str) -> list[Group]:
        """The groups of those of the named discriminators that exist; their rate falls with the network's."""
        rate = self.config.adversary.rate * stage.rate / self.config.global_stage.rate
        present = [(name, self.adversaries[name]) for name in names if name in self.adversaries]
        return [
            Group(name, list(adversary.discriminator.parameters()), ADVERSARIAL_BETAS, rate)
            for name, adversary in present
        ]
