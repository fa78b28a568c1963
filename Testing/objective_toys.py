"""Small settings, slices and objectives for tests of what is trained."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from HierSynthLib.synthesis import architectures
from HierSynthLib.synthesis.networks import NetworkConfig
from Training.augmentation import AugmentationConfig
from Training.config import StageConfig, TrainingConfig
from Training.discriminators import AdversaryConfig
from Training.losses.settings import LossConfig
from Training.objectives import Objective, stages

NETWORK = NetworkConfig(slices=3, global_channels=(4, 6), local_channels=(4, 6), style=6, latent=2)
REFINED = dataclasses.replace(NETWORK, refiner_channels=(4, 6))
PLAIN = AugmentationConfig(gain=0, offset=0, noise=0, dropout=0, differentiable=False)
COUNT = 4


def settings(method: str = "hiersynth", **changes: Any) -> TrainingConfig:
    """Small networks, every weight on."""
    losses = {"path_length": 0.1, "path_length_every": 2, "r1_every": 2, "crop": 16, "patches": (8,)}
    losses |= changes.pop("losses", {})
    stage = StageConfig(steps=4, batch=COUNT, rate=2e-3)
    return TrainingConfig(
        method=method,
        network=changes.pop("network", REFINED if method == "hiersynth" else NETWORK),
        global_stage=stage,
        local_stage=dataclasses.replace(stage, rate=1e-3),
        joint_stage=dataclasses.replace(stage, rate=2e-4),
        refiner_stage=changes.pop("refiner_stage", stage),
        adversary=AdversaryConfig(channels=(4, 6), residual_channels=(4, 6), patch_channels=4),
        losses=LossConfig(**losses),
        **changes,
    )


def slices(seed: int = 0, count: int = COUNT, edge: int = 32) -> dict[str, torch.Tensor]:
    """A batch: an elliptic brain with a lesion; CBV follows the first sequence."""
    random = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(edge), torch.arange(edge), indexing="ij")
    brain = ((rows - edge / 2) ** 2 + (columns - edge / 2) ** 2 < (0.45 * edge) ** 2).float().expand(count, 1, -1, -1)
    lesion = ((rows - edge / 3) ** 2 + (columns - edge / 2) ** 2 < (0.15 * edge) ** 2).float() * brain
    x = torch.randn(count, NETWORK.inputs, edge, edge, generator=random) * brain
    x[:, -5:-1] = 1
    x[:, -1:] = brain
    cbv = (2 + x[:, 1:2]).clamp(0, 6) * brain
    low_pass = torch.nn.functional.avg_pool2d(cbv, 5, 1, 2) * brain
    return {"x": x, "cbv": cbv, "low_pass": low_pass, "brain": brain.contiguous(), "lesion": lesion}


AREA = float(slices()["brain"].sum() / COUNT)


def objectives(config: TrainingConfig, area: float = AREA) -> list[Objective]:
    torch.manual_seed(1)
    network = architectures.build(config.method, config.network_settings())
    return [make() for _, make in stages(config, network, area)]


def objective(name: str, config: TrainingConfig) -> Objective:
    return next(one for one in objectives(config) if one.name == name)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def train(one: Objective, batch: dict, steps: int, first: int = 1) -> list[dict[str, dict[str, float]]]:
    """A plain loop as the engine's: every group in turn; returns the terms of each step."""
    groups = one.groups()
    optimisers = {group.name: torch.optim.Adam(group.parameters, group.rate, group.betas) for group in groups}
    history = []
    for step in range(first, first + steps):
        history.append({})
        for group in groups:
            terms = one.losses(group.name, batch, step, seeded(step))
            optimisers[group.name].zero_grad()
            sum(terms.values()).backward()
            optimisers[group.name].step()
            history[-1][group.name] = {name: value.item() for name, value in terms.items()}
    return history
