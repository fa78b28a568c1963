"""Whether the slices are there when a training step wants them: seconds per batch, per step, and of waiting.

python -m Testing.benchmark.loading [--patients 8] [--steps 12]

Patients are random numbers in ellipsoids of the size of a brain, stored as the training stores prepared patients. A
step is one pass of the two-stage network forwards and backwards, without the losses: a real step takes longer.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from HierSynthLib.case import SEQUENCES, Case
from HierSynthLib.synthesis.networks import TwoStageNetwork
from Testing.benchmark.measure import print_table
from Training.config import TrainingConfig, read_config
from Training.datasets.cache import read_patient, write_patient
from Training.datasets.cohort import Subject, Target
from Training.datasets.patient import Patient
from Training.datasets.sampler import Batch, Prefetcher, SliceSampler

CONFIGS = ("compare/hiersynth", "demo")
BRAIN_MM = (150, 184, 158)


def stored_patient(number: int, config: TrainingConfig, folder: Path) -> Patient:
    """A patient of random numbers, written to the disk and read from there as in a training."""
    shape = tuple(round(edge / spacing) for edge, spacing in zip(BRAIN_MM, config.spacing_mm, strict=True))
    axes = np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij")
    brain = sum(axis**2 for axis in axes) < 1
    lesion = sum((axis - 0.3) ** 2 for axis in axes) < 0.03
    random = np.random.default_rng(number)
    sequences = {role: (random.normal(size=shape) * brain).astype(np.float16) for role in SEQUENCES}
    cbv = (random.random(shape) * brain).astype(np.float16)
    patient = Patient(f"p{number}", sequences, brain, lesion & brain, cbv, cbv)
    place = folder / patient.id
    place.mkdir(parents=True)
    write_patient(place, patient)
    subject = Subject(patient.id, patient.id, Case(patient.id, {}, simulated=True), Target("truth"))
    read = read_patient(place, subject)
    if read is None:
        raise SystemExit("the cache could not be read")
    return read


def timed(batches: Iterable[tuple[int, Batch]], network: TwoStageNetwork | None) -> tuple[list[float], list[float]]:
    """Seconds of waiting for each batch, and of each step."""
    waits, steps = [], []
    begun = time.perf_counter()
    for _, batch in batches:
        arrived = time.perf_counter()
        waits.append(arrived - begun)
        if network is not None:
            result = network(batch["x"].contiguous(memory_format=torch.channels_last))
            (result.final.sum() + result.log_scale.sum()).backward()
        begun = time.perf_counter()
        steps.append(begun - arrived)
    return waits[1:], steps[1:]


def alone(sampler: SliceSampler, steps: range, size: int) -> Iterator[tuple[int, Batch]]:
    """The batches, drawn when they are wanted."""
    for step in steps:
        yield step, sampler.batch(step, size)


def measure(name: str, patients: int, count: int, folder: Path) -> list[tuple[str, str, str]]:
    """The rows of one configuration."""
    config = read_config(name)
    network = TwoStageNetwork(config.network).to(memory_format=torch.channels_last)
    stored = [stored_patient(number, config, folder / name.replace("/", "-")) for number in range(patients)]
    sampler = SliceSampler(stored, config, network.stride, config.seed)
    size, steps = config.global_stage.batch, range(count + 1)
    draw = statistics.median(timed(alone(sampler, steps, size), None)[0])
    batch = sampler.batch(0, size)
    step = statistics.median(timed([(n, batch) for n in steps], network)[1])
    with Prefetcher(sampler, steps, size) as batches:
        waits, with_loading = timed(batches, network)
    share = sum(waits) / (sum(waits) + sum(with_loading))
    shape = f"{size} × {sampler.shape[0]} × {sampler.shape[1]}"
    alone_and_loading = f"{step:.2f} s, {statistics.median(with_loading):.2f} s"
    return [
        (f"{name}: drawing a batch of {shape}", "", f"{1e3 * draw:.1f} ms ({1 / draw:.0f} batches/s)"),
        (f"{name}: step forwards and backwards, alone and while loading", "", alone_and_loading),
        (f"{name}: share of the time spent waiting for slices", "≤ 1 %", f"{share:.2%}"),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(name, arguments.patients, arguments.steps, Path(folder)) for name in CONFIGS]
    print_table("Loading of slices", [row for rows in found for row in rows])


if __name__ == "__main__":
    main()
