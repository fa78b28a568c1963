"""Step time, slices per second, waiting for data and share of the machine's throughput, of every stage and method.

python -m Testing.benchmark.training [--config compare/hiersynth] [--device auto] [--steps 12]

The reference is the fastest of a few plain 3 × 3 convolutions, forward and backward, in the training's precision and
layout. Operations are counted (`torch.utils.flop_counter`) in one step of each stage; penalties not computed in
every step are left out of the count, not of the time.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.device import choose_device, describe_device
from HierSynthLib.synthesis.memory import reused_memory
from Testing.benchmark.measure import print_table
from Training.config import TrainingConfig, read_config
from Training.datasets.loading import load_patients
from Training.datasets.patient import Patient
from Training.datasets.sampler import SliceSampler
from Training.engine.checkpoint import CheckpointStore
from Training.engine.distributed import World
from Training.engine.loop import Stage, Trainer
from Training.engine.validation import Validator, model_settings
from Training.objectives import stages
from Training.train import make_network

METHODS = ("hiersynth", "monolith", "unet", "pix2pix")
PATIENTS = 3
WARM_UP = 2


def synchronised(device: torch.device) -> float:
    """The time when everything that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak(device: torch.device, half: bool) -> float:
    """Best FLOP/s of plain 3 × 3 convolutions, forward and backward."""
    best = 0.0
    many = 32 if device.type == "cuda" else 1
    for channels, size in ((32, 64), (64, 48), (128, 32), (256, 16)):
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.randn(4 * many, channels, size, size, device=device).to(memory_format=torch.channels_last)
        x.requires_grad_()
        times = []
        for _ in range(6):
            begun = synchronised(device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
                layer(x).square().mean().backward()
            times.append(synchronised(device) - begun)
        flop = 3 * 2 * 9 * channels**2 * size**2 * 4 * many
        best = max(best, flop / statistics.median(times[1:]))
    return best


def measure_stage(trainer: Trainer, stage: Stage, steps: int) -> dict[str, float]:
    """Median seconds of a step, seconds to draw its batch, and operations of one step."""
    size, device = stage.settings.batch, trainer.world.device
    drawn, worked = [], []
    for step in range(1, steps + WARM_UP + 1):
        begun = time.perf_counter()
        batch = trainer.sampler.batch(step, size)
        drawn.append(time.perf_counter() - begun)
        begun = synchronised(device)
        trainer.step(stage, batch, step)
        worked.append(synchronised(device) - begun)
    with FlopCounterMode(display=False) as counter:
        trainer.step(stage, batch, steps + WARM_UP + 1)
    return {
        "step": statistics.median(worked[WARM_UP:]),
        "draw": statistics.median(drawn[WARM_UP:]),
        "flop": float(counter.get_total_flops()),
    }


def measure_method(
    config: TrainingConfig, device: torch.device, patients: list[Patient], steps: int
) -> list[tuple[str, dict[str, float]]]:
    """The measurements of every stage of the method, by the name of the stage."""
    network = make_network(config, device)
    sampler = SliceSampler(patients, config, int(network.stride), config.seed)  # type: ignore[arg-type]
    validator = Validator([], config, model_settings(config, simulated=True))
    plan = stages(config, network, sampler.area)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        store = CheckpointStore(Path(folder), config, config.keep)
        trainer = Trainer(config, network, plan, sampler, validator, store, None, World(device), Silent())
        for index, (settings, factory) in enumerate(plan):
            stage = trainer.begin(index, settings, factory(), None)
            found.append((stage.objective.name, measure_stage(trainer, stage, steps) | {"batch": settings.batch}))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="compare/hiersynth")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    data = {"source": "phantoms", "phantoms": PATIENTS, "validation": 0, "calibration": 0, "test": 0}
    base = read_config(arguments.config, {"data": data})
    with tempfile.TemporaryDirectory() as cache, reused_memory():
        patients = load_patients(base, Path(cache), reporter=Silent()).train
        reference = peak(device, base.precision == "bfloat16")
        rows = []
        for method in METHODS:
            config = dataclasses.replace(base, method=method)
            for name, found in measure_method(config, device, patients, arguments.steps):
                words = (
                    f"{1000 * found['step']:.0f} ms per step of {found['batch']:.0f}, "
                    f"{found['batch'] / found['step']:.1f} slices/s, {found['flop'] / 1e9:.0f} GFLOP, "
                    f"{found['flop'] / found['step'] / reference:.0%} of the best plain convolution, "
                    f"drawing a batch takes {found['draw'] / found['step']:.0%} of a step (in a thread of its own)"
                )
                rows.append((f"{method}: {name}", "–", words))
    title = f"Training ({arguments.config}, {describe_device(device)}, {base.precision})"
    print_table(title, [*rows, ("best plain convolution", "–", f"{reference / 1e9:.0f} GFLOP/s")])


if __name__ == "__main__":
    main()
