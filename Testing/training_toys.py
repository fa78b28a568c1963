"""Small patients, settings and objectives for tests of the training engine: quick, and simple to reason about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from HierSynthLib.case import SEQUENCES
from HierSynthLib.progress import Silent
from Training.config import StageConfig, TrainingConfig, parse_config
from Training.datasets.patient import Patient
from Training.datasets.sampler import SliceSampler
from Training.engine.checkpoint import CheckpointStore
from Training.engine.distributed import World
from Training.engine.loop import Trainer
from Training.engine.monitor import Monitor
from Training.engine.validation import Validator, model_settings
from Training.objectives import stages
from Training.objectives.base import Group
from Training.train import make_network

SHAPE = (18, 20, 8)


def toy_config(**changes: Any) -> TrainingConfig:
    """A small network at 3 mm; sections of `changes` are merged into the settings."""
    values: dict[str, Any] = {
        "name": "toy",
        "spacing_mm": [3.0, 3.0, 3.0],
        "slice_step": 1,
        "network": {"slices": 1, "global_channels": [4, 6], "local_channels": [4, 6], "style": 4, "latent": 2},
        "global_stage": {"steps": 6, "batch": 4, "rate": 0.002},
        "local_stage": {"steps": 5, "batch": 4, "rate": 0.002},
        "joint_stage": {"steps": 2, "batch": 4, "rate": 0.0002},
        "validation": {"every": 3, "patients": 2, "slices": 4},
        "checkpoint_every": 2,
        "log_every": 1,
        "tensorboard": False,
    }
    for key, value in changes.items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    return parse_config(values, "toy")


def toy_patient(number: int) -> Patient:
    """A box of brain with a lesion; its CBV can be learnt from T1 (2 + T1 inside the brain)."""
    random = np.random.default_rng(number)
    brain = np.zeros(SHAPE, bool)
    brain[2:-2, 3:-3, 1:-1] = True
    lesion = np.zeros(SHAPE, bool)
    lesion[6:11, 7:12, 2:5] = True
    sequences = {role: (random.normal(size=SHAPE) * brain).astype(np.float32) for role in SEQUENCES}
    cbv = np.clip(2 + sequences[SEQUENCES[0]], 0, 10) * brain
    return Patient(
        id=f"toy-{number}",
        sequences=sequences,
        brain=brain,
        lesion=lesion,
        cbv=cbv.astype(np.float32),
        low_pass=(cbv.mean() * brain).astype(np.float32),
        simulated=True,
        group="high",
    )


class ToyObjective:
    """L1 of the whole map, and a second group that learns the mean of the map; remembers a running mean in a buffer."""

    improves_map = True

    def __init__(self, name: str, network: nn.Module, extra: nn.Module, area: float, rate: float) -> None:
        self.name, self._area, self._rate = name, area, rate
        self._modules = {"network": network, "extra": extra}

    def modules(self) -> dict[str, nn.Module]:
        return self._modules

    def groups(self) -> list[Group]:
        return [
            Group("generator", list(self._modules["network"].parameters()), (0.5, 0.99), self._rate),
            Group("extra", list(self._modules["extra"].parameters()), (0.0, 0.99), self._rate),
        ]

    def losses(self, group: str, batch: dict[str, Tensor], step: int, generator: torch.Generator) -> dict[str, Tensor]:
        size = len(batch["x"]) * self._area
        if group == "generator":
            result = self._modules["network"](batch["x"])
            error = ((result.final - batch["cbv"]).abs() * batch["brain"]).sum() / size
            noise = torch.rand((), generator=generator, device=generator.device).to(error.device)
            scale = (result.log_scale * batch["brain"]).square().sum() / size
            return {"l1": error, "scale": 0.1 * scale + 0.0 * noise}
        extra = self._modules["extra"]
        return {"mean": ((extra.value - batch["cbv"]) * batch["brain"]).square().sum() / size}

    def preview(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"acquired": batch["cbv"]}


class Extra(nn.Module):
    """One number, and how often the module was in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(1.0))


def toy_trainer(
    folder: Path,
    config: TrainingConfig,
    *,
    reporter: Any = None,
    world: World | None = None,
    make: Callable[..., Any] | None = ToyObjective,
    patients: int = 3,
) -> Trainer:
    """A trainer of two stages on toy patients; its checkpoints and metrics lie in `folder`.

    With `make` None, the stages are those of the configuration's method.
    """
    world = world or World(torch.device("cpu"))
    network = make_network(config, world.device)
    sampler = SliceSampler([toy_patient(n) for n in range(patients)], config, int(network.stride), config.seed)
    held_out = [toy_patient(100 + n) for n in range(2)]
    extra = Extra().to(world.device)

    def stage(name: str, settings: StageConfig) -> tuple[StageConfig, Callable[[], Any]]:
        assert make is not None
        return settings, lambda: make(name, network, extra, sampler.area, settings.rate)

    if make is None:
        plan = stages(config, network, sampler.area)
    else:
        plan = [stage("first", config.global_stage), stage("second", config.local_stage)]
    store = CheckpointStore(folder / "checkpoints", config, config.keep)
    validator = Validator(held_out, config, model_settings(config, simulated=True))
    folder.mkdir(parents=True, exist_ok=True)
    reporter = reporter or Silent()
    steps = store.steps()
    monitor = Monitor(folder, steps[-1] if steps else 0, config.tensorboard, reporter) if world.first else None
    return Trainer(config, network, plan, sampler, validator, store, monitor, world, reporter)


def run_toy(folder: Path, config: TrainingConfig, **options: Any) -> tuple[Trainer, dict[str, Any]]:
    """Train the toy from its last checkpoint, or from the start, to the end."""
    trainer = toy_trainer(folder, config, **options)
    try:
        return trainer, trainer.run(trainer.store.latest(trainer.reporter))
    finally:
        if trainer.monitor is not None:
            trainer.monitor.close()


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    """Whether two networks hold the same bits."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
