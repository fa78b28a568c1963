"""Train a two-stage model on simulated patients and export it as a model package.

    python -m Training.train --config Training/configs/demo.yaml --out runs/demo

Stage 1 trains the global module on the low-pass CBV map, stage 2 the local module on the residual with the global
module fixed, stage 3 both together at a lower rate.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from HierSynthLib.errors import HierSynthError, OutputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.synthesis.memory import reused_memory
from HierSynthLib.synthesis.networks import Synthesis, TwoStageNetwork, parameter_count
from Training.augmentation import augment
from Training.config import StageConfig, TrainingConfig, read_config
from Training.dataset import Batch, SliceSampler, load_patients
from Training.export import export_package
from Training.losses import focal_frequency_loss, laplace_scale_loss, low_pass_residual, ssim_loss, weighted_l1

WARM_UP = 50
LOG_EVERY = 25


class TrainingDivergedError(HierSynthError):
    """The loss is no longer a number."""

    kind = "training"


class Ema:
    """Exponential moving average of a network's weights, faster in the first steps."""

    def __init__(self, network: TwoStageNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self._decay, self._updates = decay, 0

    def update(self, network: TwoStageNetwork) -> None:
        """Move towards the current weights of `network`."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        with torch.no_grad():
            for mean, value in zip(self.network.parameters(), network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)


def global_loss(network: TwoStageNetwork, x: Tensor, batch: dict[str, Tensor], config: TrainingConfig) -> Tensor:
    """Stage 1: L1 and SSIM of the global map against the low-pass target."""
    return _global_terms(network.global_module(x), batch, config)


def local_loss(network: TwoStageNetwork, x: Tensor, batch: dict[str, Tensor], config: TrainingConfig) -> Tensor:
    """Stage 2: the local module alone, on the residual that the fixed global module leaves."""
    with torch.no_grad():
        global_map = network.global_module(x)
    residual, log_scale = network.local_module(x, global_map)
    return _local_terms(Synthesis(global_map, residual, log_scale), batch, config)


def joint_loss(network: TwoStageNetwork, x: Tensor, batch: dict[str, Tensor], config: TrainingConfig) -> Tensor:
    """Stage 3: both terms; the residual's gradient still stops at the global map."""
    result = network(x)
    final = Synthesis(result.global_map.detach(), result.residual, result.log_scale)
    return _global_terms(result.global_map, batch, config) + _local_terms(final, batch, config)


def _global_terms(global_map: Tensor, batch: dict[str, Tensor], config: TrainingConfig) -> Tensor:
    weights, brain = config.losses, batch["brain"]
    masked = global_map * brain
    l1 = weighted_l1(masked, batch["low_pass"], brain * (1 + batch["lesion"]))
    return weights.l1 * l1 + weights.ssim * ssim_loss(masked, batch["low_pass"], brain)


def _local_terms(result: Synthesis, batch: dict[str, Tensor], config: TrainingConfig) -> Tensor:
    weights, brain, lesion, target = config.losses, batch["brain"], batch["lesion"], batch["cbv"]
    final = result.final * brain
    sigma = config.target.low_pass_mm / config.spacing_mm[0]
    return (
        weights.l1 * weighted_l1(final, target, brain * (1 + weights.roi * lesion))
        + weights.ssim * ssim_loss(final, target, brain)
        + weights.scale * laplace_scale_loss(target - final, result.log_scale, brain)
        + weights.frequency * focal_frequency_loss(final, target)
        + weights.low_pass_residual * low_pass_residual(result.residual * brain, brain * (1 - lesion), sigma)
    )


Loss = Callable[[TwoStageNetwork, Tensor, dict[str, Tensor], TrainingConfig], Tensor]


def run_stage(
    name: str,
    network: TwoStageNetwork,
    trained: nn.Module,
    loss: Loss,
    stage: StageConfig,
    sampler: SliceSampler,
    config: TrainingConfig,
) -> None:
    """Train the parameters of `trained` for one stage; `network` ends with the averaged weights.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
    """
    if stage.steps == 0:
        return
    optimiser = torch.optim.Adam(trained.parameters(), lr=stage.rate, betas=(0.5, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, stage.steps))
    generator = torch.Generator().manual_seed(config.seed + len(name))
    average = Ema(network, config.ema)
    network.train()
    begun, sums = time.monotonic(), 0.0
    for step in range(1, stage.steps + 1):
        batch = _tensors(sampler.draw(stage.batch))
        x = augment(batch["x"], config.network, config.augmentation, generator)
        value = loss(network, x.contiguous(memory_format=torch.channels_last), batch, config)
        if not torch.isfinite(value):
            raise TrainingDivergedError(f"Stage {name}, step {step}: the loss is {value.item()}.", "Lower the rate.")
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(trained.parameters(), config.clip)
        optimiser.step()
        schedule.step()
        average.update(network)
        sums += value.item()
        if step % LOG_EVERY == 0 or step == stage.steps:
            count = LOG_EVERY if step % LOG_EVERY == 0 else step % LOG_EVERY
            rate = (time.monotonic() - begun) / step
            print(f"{name:6} {step:5d}/{stage.steps}  loss {sums / count:8.4f}  {rate:.2f} s/step", flush=True)
            sums = 0.0
    network.load_state_dict(average.network.state_dict())


def _rate(step: int, steps: int) -> float:
    """Linear warm-up, then cosine decay to 2 %."""
    if step < min(WARM_UP, steps // 10):
        return (step + 1) / min(WARM_UP, steps // 10)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps))


def _tensors(batch: Batch) -> dict[str, Tensor]:
    return {name: torch.from_numpy(getattr(batch, name)) for name in ("x", "cbv", "low_pass", "brain", "lesion")}


def train(config: TrainingConfig, out: Path, workers: int = 2) -> Path:
    """Train as `config` says and write the model package to `out/<name>`; returns that folder.

    The prepared patients are cached in `out/cache`, so a second run starts with the training itself.

    Raises:
        OutputError: the package exists already; it is never replaced.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    if (out / config.name).exists():
        raise OutputError(f"{out / config.name} exists already.", "Move it away, or name another folder with --out.")
    torch.manual_seed(config.seed)
    patients, held_out = load_patients(config, out / "cache", workers)
    network = TwoStageNetwork(config.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    print(
        f"{len(patients)} patients; global module {parameter_count(network.global_module):,} and local module "
        f"{parameter_count(network.local_module):,} parameters",
        flush=True,
    )
    sampler = SliceSampler(patients, config, network.stride, config.seed)
    begun = time.monotonic()
    with reused_memory():
        run_stage("global", network, network.global_module, global_loss, config.global_stage, sampler, config)
        run_stage("local", network, network.local_module, local_loss, config.local_stage, sampler, config)
        run_stage("joint", network, network, joint_loss, config.joint_stage, sampler, config)
    minutes = (time.monotonic() - begun) / 60
    with atomic_folder(out / config.name) as package:
        export_package(package, network.eval(), config, held_out, minutes)
    return out / config.name


def main() -> int:
    """Command line entry point."""
    parser = argparse.ArgumentParser(description="Train a HierSynth model on simulated patients.")
    parser.add_argument("--config", type=Path, required=True, help="settings, e.g. Training/configs/demo.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder for the cache and the model package")
    parser.add_argument("--workers", type=int, default=2, help="processes that simulate patients (default 2)")
    arguments = parser.parse_args()
    try:
        package = train(read_config(arguments.config), arguments.out, arguments.workers)
    except HierSynthError as error:
        print(f"train: error: {error}", file=sys.stderr)
        return 1
    print(f"Model package: {package}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
