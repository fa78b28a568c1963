"""One training run from its settings to a model package; `hiersynth train` calls it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from HierSynthLib.errors import OutputError
from HierSynthLib.files import atomic_folder, write_text_atomically
from HierSynthLib.progress import Part, Reporter, Silent
from HierSynthLib.synthesis.architectures import build
from Training.config import TrainingConfig, settings_of
from Training.datasets.loading import Patients, load_patients
from Training.datasets.sampler import SliceSampler
from Training.datasets.splits import text_of
from Training.engine.checkpoint import Checkpoint, CheckpointStore
from Training.engine.distributed import World, processes
from Training.engine.interrupts import interruptible
from Training.engine.loop import Trainer
from Training.engine.monitor import CURVE, EVENTS, METRICS, Monitor, draw_curve
from Training.engine.schedule import seed_of
from Training.engine.validation import Validator, model_settings
from Training.export import RunFacts, export_package
from Training.objectives import stages

CACHE, CHECKPOINTS, SETTINGS, DIVISION = "cache", "checkpoints", "training.json", "splits.json"
_OF_A_RUN = (CHECKPOINTS, METRICS, EVENTS, CURVE, SETTINGS, DIVISION)


def train(
    config: TrainingConfig,
    out: Path,
    *,
    resume: bool = True,
    device: str = "auto",
    workers: int = 2,
    reporter: Reporter | None = None,
    command: str = "hiersynth train",
    cache: Path | None = None,
) -> Path:
    """Train as `config` says and write the model package to `out/<name>`.

    What was interrupted in `out` goes on from its last checkpoint and ends with the same weights as if it had never
    been interrupted (bit for bit on the same CPU with the same number of threads). Started by `torchrun`, the
    processes share the work.

    Args:
        config: the settings.
        out: folder of the run; cache, checkpoints, curves and package lie there.
        resume: False sets an earlier run in `out` aside (in `previous-…`) and begins anew.
        device: "auto", "cpu", "cuda" or "mps".
        workers: processes that prepare patients.
        reporter: told about progress and warnings; asked whether to stop. SIGINT and SIGTERM stop as well.
        command: for the model card.
        cache: folder of the prepared patients, if it shall be shared with other runs; None for `out/cache`.

    Returns:
        The folder of the package.

    Raises:
        OutputError: the package exists already (it is never replaced), or something cannot be written.
        InputError: the data cannot be used, or the checkpoints there are those of another run or of other data.
        TrainingDivergedError: the loss became NaN or infinite; the last good checkpoint stays.
        DeviceError: there is no such device.
        Cancelled: asked to stop; a checkpoint was written, from which the same command goes on.
    """
    package = out / config.name
    if package.exists():
        raise OutputError(f"{package} exists already.", "Move it away, or name another folder with --out.")
    with processes(device) as world, interruptible((reporter if world.first else None) or Silent()) as told:
        if world.first and not resume:
            _set_aside(out)
        patients = _patients(config, out, cache or out / CACHE, workers, not resume, world, Part(told, 0.0, 0.05))
        store = CheckpointStore(out / CHECKPOINTS, config, config.keep, patients.members())
        network, facts = _run(config, out, patients, store, world, Part(told, 0.05, 0.95))
        if world.first:
            run = RunFacts(command, draw_curve(out), facts, world.size, world.device)
            with atomic_folder(package) as folder:
                export_package(folder, network, config, patients, run, Part(told, 0.95, 1.0))
        world.wait()
    return package


def _run(
    config: TrainingConfig, out: Path, patients: Patients, store: CheckpointStore, world: World, reporter: Reporter
) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network, and what is to be told of the run."""
    network = make_network(config, world.device)
    sampler = SliceSampler(patients.train, config, int(network.stride), config.seed)  # type: ignore[arg-type]
    settings = model_settings(config, simulated=patients.simulated)
    checkpoint = _latest(store, world, reporter)
    plan = stages(config, network, sampler.area)
    validator = Validator(patients.validation, config, settings)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_tuned_convolutions())
        monitor = None
        if world.first:
            write_text_atomically(out / SETTINGS, json.dumps(settings_of(config), indent=2) + "\n", overwrite=True)
            if patients.division_file:
                write_text_atomically(out / DIVISION, text_of(patients.division_file), overwrite=True)
            total = int(checkpoint.record["total"]) if checkpoint else 0
            monitor = stack.enter_context(contextlib.closing(Monitor(out, total, config.tensorboard, reporter)))
        trainer = Trainer(config, network, plan, sampler, validator, store, monitor, world, reporter)
        facts = trainer.run(checkpoint)
    return network.eval(), facts


@contextlib.contextmanager
def _tuned_convolutions() -> Iterator[None]:
    """Have cuDNN try its algorithms on the first batches, all of which have one shape; restored afterwards."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def make_network(config: TrainingConfig, device: torch.device) -> nn.Module:
    """The untrained network of the method on `device`; the same seed draws the same weights."""
    torch.manual_seed(seed_of(config.seed, "network"))
    network = build(config.method, config.network_settings())
    placed: nn.Module = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _set_aside(out: Path) -> None:
    """Keep an earlier run in a folder of its own; the prepared patients stay where they are."""
    old = [out / name for name in _OF_A_RUN if (out / name).exists()]
    if not old:
        return
    number = next(n for n in range(1, 10_000) if not (out / f"previous-{n}").exists())
    target = out / f"previous-{number}"
    target.mkdir()
    for path in old:
        path.rename(target / path.name)


def _latest(store: CheckpointStore, world: World, reporter: Reporter) -> Checkpoint | None:
    """The newest checkpoint; the first process sets damaged ones aside before the others look."""
    found = None
    if world.first:
        store.clean()
        found = store.latest(reporter)
    world.wait()
    return found if world.first else store.latest(reporter)


def _patients(
    config: TrainingConfig, out: Path, cache: Path, workers: int, retry: bool, world: World, reporter: Reporter
) -> Patients:
    """The first process prepares what is missing and decides who is left out, then the others read it."""
    patients, own = None, out / DIVISION
    if world.first:
        patients = load_patients(config, cache, workers, reporter=reporter, splits=own, retry=retry)
    world.wait()
    return patients or load_patients(config, cache, workers, reporter=reporter, splits=own, make=False)
