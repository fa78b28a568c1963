"""A discriminator with its turn in the training step."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor, nn

from HierSynthLib.synthesis.networks import SingleNetwork, TwoStageNetwork
from HierSynthLib.synthesis.options import InputOptions
from Training.augmentation import AugmentationConfig, augment_pair
from Training.config import TrainingConfig
from Training.losses.adversarial import Kind, discriminator_loss, generator_loss, gradient_penalty, path_length_penalty
from Training.losses.settings import LossConfig
from Training.losses.statistics import RunningMean
from Training.objectives.base import Terms


class _Round(NamedTuple):
    """What the discriminator will judge in its turn; maps without gradient."""

    condition: Tensor
    real: Tensor
    fake: Tensor


class Adversary:
    """Conditional discriminator: gives the generator its term and, afterwards, the discriminator its own.

    Args:
        discriminator: condition and map as channels of one picture → logits.
        kind: adversarial loss.
        weight: of the generator's term.
        losses: R1 and how often.
        augmentation: what is done to all that the discriminator sees.
    """

    def __init__(
        self, discriminator: nn.Module, kind: Kind, weight: float, losses: LossConfig, augmentation: AugmentationConfig
    ) -> None:
        self.discriminator = discriminator
        self._kind, self._weight, self._losses, self._augmentation = kind, weight, losses, augmentation
        self._rounds: deque[_Round] = deque()
        self._step = -1

    def generator_term(
        self, condition: Tensor, real: Tensor, fake: Tensor, step: int, generator: torch.Generator
    ) -> Tensor:
        """The generator's weighted term; remembers the maps for the discriminator's turn.

        Args:
            condition: (B, C, H, W).
            real: (B, 1, H, W), acquired.
            fake: (B, 1, H, W), synthetic.
            step: number of the training step.
            generator: draws the augmentation.
        """
        if step != self._step:
            self._rounds.clear()
            self._step = step
        self._rounds.append(_Round(condition.detach(), real.detach(), fake.detach()))
        picture = augment_pair(torch.cat([condition, fake], dim=1), self._augmentation, generator)
        return self._weight * generator_loss(self.discriminator(picture), self._kind)

    def discriminator_terms(self, step: int, generator: torch.Generator) -> Terms:
        """The discriminator's terms for the next maps that the generator's turn has left."""
        condition, real, fake = self._rounds.popleft()
        acquired = augment_pair(torch.cat([condition, real], dim=1), self._augmentation, generator)
        synthetic = augment_pair(torch.cat([condition, fake], dim=1), self._augmentation, generator)
        logits = (self.discriminator(acquired), self.discriminator(synthetic))
        terms = {"adversarial": discriminator_loss(*logits, self._kind)}
        weights = self._losses
        if weights.r1 > 0 and step % weights.r1_every == 0:
            fixed, target = acquired[:, :-1].detach(), acquired[:, -1:]
            penalty = gradient_penalty(lambda y: self.discriminator(torch.cat([fixed, y], dim=1)), target)
            terms["r1"] = weights.r1 * weights.r1_every * penalty
        return terms


def condition_of(x: Tensor, network: InputOptions) -> Tensor:
    """What a map must fit: the centre slice of every sequence and the brain mask, (B, M + 1, H, W)."""
    m, slices = network.sequences, network.slices
    centres = x[:, slices // 2 : m * slices : slices]
    return torch.cat([centres, x[:, -1:]], dim=1)


class StyledMap(NamedTuple):
    """The map of a generator for z = 0, and what the random part of its style is trained with.

    Attributes:
        planes: (B, P, H, W) for z = 0 without noise: what reconstruction is measured on.
        features: what they were made from, for the local module.
        judged: (B, 1, H, W): the map that the discriminator sees.
        path_length: weighted penalty, if it is due in this step.
    """

    planes: Tensor
    features: Tensor
    judged: Tensor
    path_length: Tensor | None


def styled_map(
    network: TwoStageNetwork | SingleNetwork,
    x: Tensor,
    config: TrainingConfig,
    lengths: RunningMean | None,
    step: int,
    generator: torch.Generator,
) -> StyledMap:
    """Run the generator of a network once for z = 0 and, in some steps, its synthesis part for a random style as well.

    In a share `losses.random_style` of the steps z and the noise inputs are drawn, and the discriminator judges that
    map instead; the encoder runs only once.
    """
    module = network.global_module if isinstance(network, TwoStageNetwork) else network.generator
    weights = config.losses
    skips, pooled = module.encode(x)
    planes, features = module.synthesise_with_features(skips, module.style(pooled))
    judged, penalty = planes[:, :1], None
    random = int((step + 1) * weights.random_style) > int(step * weights.random_style)
    if weights.adversarial > 0 and random:
        z = _latent(pooled, module.latent, generator)
        judged = module.synthesise(skips, module.style(pooled, z), generator)[:, :1]
    if lengths is not None and step % weights.path_length_every == 0:
        w = module.style(pooled, _latent(pooled, module.latent, generator))
        fixed = [skip.detach() for skip in skips]
        length = path_length_penalty(lambda s: module.synthesise(fixed, s)[:, :1], w, lengths, step, generator)
        penalty = None if length is None else weights.path_length * weights.path_length_every * length
    return StyledMap(planes, features, judged, penalty)


def _latent(pooled: Tensor, size: int, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(pooled.shape[0], size, generator=generator, device=generator.device)
    return drawn.to(pooled.device, pooled.dtype)
