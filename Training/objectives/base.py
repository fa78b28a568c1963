"""What the engine runs: an objective per stage, made of the modules that one method trains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.networks import Synthesis
from HierSynthLib.synthesis.options import InputOptions
from Training.augmentation import augment
from Training.config import TrainingConfig
from Training.losses.frequency import focal_frequency_loss
from Training.losses.reconstruction import laplace_scale_loss, ssim_loss, weighted_l1, weighted_l2

Batch = dict[str, Tensor]
"""x (B, C, H, W); cbv, low_pass, brain, lesion (B, 1, H, W); float32, as the sampler makes them."""

Terms = dict[str, Tensor]
"""Weighted terms of a loss by name."""

GENERATOR = "generator"
DISCRIMINATOR = "discriminator"
RESIDUAL_DISCRIMINATOR = "residual_discriminator"

REGRESSION_BETAS = (0.5, 0.99)
"""Adam's moments where regression dominates, which it does for every generator here; design value."""

ADVERSARIAL_BETAS = (0.0, 0.99)
"""Adam's moments for discriminators; Karras et al. 2020, appendix B."""


class Group(NamedTuple):
    """Parameters with an optimiser of their own.

    Attributes:
        name: which losses train them.
        parameters: what is trained.
        betas: Adam's moments.
        rate: peak learning rate; the engine multiplies its schedule.
    """

    name: str
    parameters: list[nn.Parameter]
    betas: tuple[float, float]
    rate: float


class Objective(Protocol):
    """What one stage of training makes smaller.

    In every step the engine asks for the losses of each group in turn: first those of "generator" for all
    micro-batches, then those of the discriminators for the same micro-batches in the same order, which judge the maps
    made before.

    Attributes:
        name: of the stage.
        improves_map: whether the stage changes the map that is validated, so that the best validation tells which of
            its weights are best. The refiner does not: it keeps its last weights.
    """

    name: str
    improves_map: bool

    def modules(self) -> dict[str, nn.Module]:
        """Everything with state, of all stages of the method; "network" is the one that is exported."""

    def groups(self) -> list[Group]:
        """What this stage trains."""

    def losses(self, group: str, batch: Batch, step: int, generator: torch.Generator) -> Terms:
        """The weighted terms of `group`; their sum is what its optimiser makes smaller.

        Args:
            group: name of the group.
            batch: slices as the sampler makes them; random changes of the input are made here.
            step: counts up within the stage.
            generator: source of everything random; on the CPU or on the batch's device.
        """

    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """Pictures (B, 1, H, W) in nrCBV for a person who watches the training."""


class Slices(NamedTuple):
    """A batch whose input has been changed at random.

    `brain` is where the target is known; `goal` is what the global module shall make.
    """

    x: Tensor
    cbv: Tensor
    goal: Tensor
    brain: Tensor
    lesion: Tensor


def take(batch: Batch, network: InputOptions, config: TrainingConfig, generator: torch.Generator) -> Slices:
    """The batch with an augmented input; without a low-pass split the global module's goal is the whole map."""
    x = augment(batch["x"], network, config.augmentation, generator)
    goal = batch["cbv"] if config.target.split == "none" else batch["low_pass"]
    return Slices(x.contiguous(memory_format=torch.channels_last), batch["cbv"], goal, batch["brain"], batch["lesion"])


def map_terms(result: Synthesis, slices: Slices, config: TrainingConfig, area: float) -> Terms:
    """The reconstruction terms of a whole map: L1 (lesion counts more), SSIM, scale, spectrum."""
    weights, brain, target = config.losses, slices.brain, slices.cbv
    final = result.final * brain
    terms: Terms = {}
    emphasis = brain * (1 + weights.roi * slices.lesion)
    if weights.l2 > 0:
        terms["l2"] = weights.l2 * weighted_l2(final, target, emphasis, area)
    if weights.l1 > 0:
        terms["l1"] = weights.l1 * weighted_l1(final, target, emphasis, area)
    if weights.ssim > 0:
        terms["ssim"] = weights.ssim * ssim_loss(final, target, brain, area)
    if weights.scale > 0:
        terms["scale"] = weights.scale * laplace_scale_loss(target - final, result.log_scale, brain, area)
    if weights.frequency > 0:
        terms["frequency"] = weights.frequency * focal_frequency_loss(final, target * brain, area)
    return terms


def parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The parameters of several modules."""
    return [parameter for module in modules for parameter in module.parameters()]


def pictures(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Target, maps and half-width scale of a batch as it is, without random changes."""
    with torch.no_grad():
        result: Synthesis = network(batch["x"].contiguous(memory_format=torch.channels_last))
    brain = batch["brain"]
    return {
        "acquired": batch["cbv"],
        "synthetic": result.final * brain,
        "global": result.global_map * brain,
        "residual": result.residual * brain,
        "scale": result.log_scale.float().exp() * brain,
    }
