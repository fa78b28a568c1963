"""The steps of a training: stage by stage, group by group, with checkpoints from which a killed run goes on.

A resumed run is the uninterrupted run: batches, random numbers and rates are functions of the step, everything else is
in the checkpoint.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from HierSynthLib.errors import Cancelled, HierSynthError, InputError
from HierSynthLib.progress import Reporter
from HierSynthLib.synthesis.memory import reused_memory
from Training.config import StageConfig, TrainingConfig
from Training.datasets.sampler import Batch, Prefetcher, SliceSampler
from Training.engine.checkpoint import Checkpoint, CheckpointStore
from Training.engine.distributed import World
from Training.engine.ema import Ema
from Training.engine.monitor import Monitor, Window
from Training.engine.schedule import generator_for, rate_factor
from Training.engine.state import load_module, load_modules, load_optimiser, module_tensors, optimiser_tensors
from Training.engine.validation import MEASURE, Validator
from Training.objectives.base import Group, Objective

Plan = Sequence[tuple[StageConfig, Callable[[], Objective]]]

REDUCE = "Lower the rate of this stage (or losses.r1_every), or go back to precision: float32."


class TrainingDivergedError(HierSynthError):
    """The loss or its gradient is no longer a number."""

    kind = "training"


@dataclass
class Stage:
    """A stage while it runs.

    Attributes:
        index: place in the plan.
        settings: steps, batch.
        objective: the losses and what they train.
        groups: parameters that are stepped together, in order.
        optimisers: one for each group.
        average: of the network's weights.
        step: steps done.
        best: measure, total step and weights of the best validation so far.
    """

    index: int
    settings: StageConfig
    objective: Objective
    groups: list[Group]
    optimisers: list[torch.optim.Optimizer]
    average: Ema
    step: int = 0
    best: tuple[float, int, dict[str, Tensor]] | None = None


@dataclass
class Trainer:
    """Runs the stages of a plan on one network.

    Attributes:
        config: of the run.
        network: trained in place; at the end of every stage it gets its averaged weights.
        plan: settings and factory of every stage.
        sampler: draws the batches.
        validator: measures the averaged weights; empty for none.
        store: of the checkpoints.
        monitor: curves and pictures; None in all processes but the first.
        world: the processes of the run.
        reporter: told the progress after every step; when it says so, a checkpoint is written and the run stops.
        seconds: spent in steps, by stage, and in waiting for data ("data").
    """

    config: TrainingConfig
    network: nn.Module
    plan: Plan
    sampler: SliceSampler
    validator: Validator
    store: CheckpointStore
    monitor: Monitor | None
    world: World
    reporter: Reporter
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, checkpoint: Checkpoint | None) -> dict[str, Any]:
        """Train from a checkpoint, or from the start, to the end.

        Returns:
            Facts for the model card: which weights the network ends with (`step`, `measure`) and the seconds.

        Raises:
            TrainingDivergedError: the loss is no number any more; the checkpoints stay.
            OutputError: a checkpoint could not be written; the earlier ones stay.
            Cancelled: the reporter of one of the processes said so; a checkpoint was written first.
        """
        begin = checkpoint.record["stage"] if checkpoint else 0
        if checkpoint:
            self.seconds = dict(checkpoint.record.get("seconds", {}))
        self._require_divisible()
        stage = None
        for index, (settings, factory) in enumerate(self.plan):
            if settings.steps == 0 or index < begin:
                continue
            objective = factory()
            if stage is not None and not objective.improves_map:
                self._take_best(stage)
            stage = self.begin(index, settings, objective, checkpoint if index == begin else None)
            self._train(stage)
            self.network.load_state_dict(stage.average.network.state_dict())
        if stage is None:
            raise InputError("No stage has any steps.", "Correct the configuration.")
        measure, step = self._take_best(stage)
        return {"seconds": dict(self.seconds), "step": step, "measure": measure}

    def _take_best(self, stage: Stage) -> tuple[float | None, int]:
        """Give the network the best weights of a stage that is done; returns their measure and total step."""
        if stage.best is None:
            return None, self._total(stage)
        measure, step, weights = stage.best
        if self.config.validation.select == "last":
            return measure, self._total(stage)
        load_module(self.network, weights, "best")
        return measure, step

    def _require_divisible(self) -> None:
        """Refuse a batch of any stage that the processes cannot share, before the first one has run for days."""
        for settings, _ in self.plan:
            share = self.world.size * settings.accumulate
            if settings.steps and settings.batch % share:
                raise InputError(
                    f"A batch of {settings.batch} slices cannot be divided into {share} equal parts "
                    f"({self.world.size} processes × accumulate {settings.accumulate}).",
                    "Choose another batch, or another number of processes.",
                )

    def begin(self, index: int, settings: StageConfig, objective: Objective, checkpoint: Checkpoint | None) -> Stage:
        """The stage as it is before its first step, or as the checkpoint holds it.

        Raises:
            InputError: patches of the perfusion-aware constraint do not fit into a slice, or the checkpoint does not
                fit the stage.
        """
        modules = objective.modules()
        edge, largest = min(self.sampler.shape), max(self.config.losses.patches, default=0)
        if "constraint" in modules and largest > edge:
            raise InputError(
                f"losses.patches: patches of {largest} pixels do not fit into slices of {edge}.",
                "Give smaller patches, or a finer spacing_mm.",
            )
        self.world.copy_first(list(modules.values()))
        groups = [group for group in objective.groups() if group.parameters]
        optimisers = [_adam(group, self.world.device) for group in groups]
        stage = Stage(index, settings, objective, groups, list(optimisers), Ema(self.network, self.config.ema))
        if checkpoint:
            self._restore(stage, checkpoint)
        return stage

    def _restore(self, stage: Stage, checkpoint: Checkpoint) -> None:
        load_modules(checkpoint, "module", stage.objective.modules())
        load_module(stage.average.network, checkpoint.part("average"), "average")
        stage.average.updates = int(checkpoint.record["updates"])
        for group, optimiser in zip(stage.groups, stage.optimisers, strict=True):
            load_optimiser(checkpoint, f"optimiser.{group.name}", optimiser)
        stage.step = int(checkpoint.record["step"])
        there, here = checkpoint.record["parts"], self._parts(stage)
        if there != here:
            self.reporter.warning(
                f"The run was computed in {there} parts and goes on in {here} (processes × accumulate): on the same "
                "slices, but with other random changes, crops and patches."
            )
        best = checkpoint.record.get("best")
        if best:
            weights = {name: value.to(self.world.device) for name, value in checkpoint.part("best").items()}
            stage.best = (float(best["measure"]), int(best["step"]), weights)

    def _save(self, stage: Stage) -> None:
        if not self.world.first:
            return
        tensors = module_tensors("module", stage.objective.modules())
        tensors |= {f"average.{name}": value for name, value in stage.average.network.state_dict().items()}
        for group, optimiser in zip(stage.groups, stage.optimisers, strict=True):
            tensors |= optimiser_tensors(f"optimiser.{group.name}", optimiser)
        best = None
        if stage.best is not None:
            best = {"measure": stage.best[0], "step": stage.best[1]}
            tensors |= {f"best.{name}": value for name, value in stage.best[2].items()}
        record = {
            "stage": stage.index,
            "name": stage.objective.name,
            "step": stage.step,
            "total": self._total(stage),
            "updates": stage.average.updates,
            "best": best,
            "parts": self._parts(stage),
            "seconds": self.seconds,
        }
        self.store.save(tensors, record)

    def _parts(self, stage: Stage) -> int:
        """Into how many parts a batch is divided; random numbers are drawn for each."""
        return self.world.size * stage.settings.accumulate

    def _total(self, stage: Stage) -> int:
        """Steps of all stages up to now."""
        return sum(settings.steps for settings, _ in self.plan[: stage.index]) + stage.step

    def _train(self, stage: Stage) -> None:
        steps, before = stage.settings.steps, self._total(stage) - stage.step
        if stage.step >= steps:
            return
        totals = range(before + stage.step + 1, before + steps + 1)
        window = Window()
        share = (stage.settings.batch, self.world.rank, self.world.size)
        with contextlib.ExitStack() as memory, Prefetcher(self.sampler, totals, *share) as batches:
            memory.enter_context(reused_memory())
            for (total, batch), waited in _timed(batches):
                begun = time.monotonic()
                terms = self.step(stage, batch, stage.step + 1)
                window.add(terms, waited, time.monotonic() - begun)
                stage.step += 1
                self._count(stage, waited, time.monotonic() - begun)
                if stage.step % self.config.log_every == 0 or stage.step == steps:
                    self._log(stage, total, window)
                    window = Window()
                if self._due(stage, self.config.validation.every):
                    memory.close()  # validation looks after its own memory
                    self._validate(stage, total, batch)
                    memory.enter_context(reused_memory())
                stop = self._stopped(stage)
                if stop or self._due(stage, self.config.checkpoint_every):
                    self._save(stage)
                if stop:
                    raise Cancelled(f"Stopped after step {total}; the same command goes on from there.")

    def _due(self, stage: Stage, every: int) -> bool:
        return every > 0 and (stage.step % every == 0 or stage.step == stage.settings.steps)

    def _stopped(self, stage: Stage) -> bool:
        """Report the progress; whether the user or another process wants to stop."""
        stop = False
        try:
            done = self._total(stage) / max(1, sum(settings.steps for settings, _ in self.plan))
            self.reporter.progress(f"{stage.objective.name} stage ({stage.settings.steps} steps)", done)
        except Cancelled:
            stop = True
        return self.world.any(stop)

    def step(self, stage: Stage, batch: Batch, step: int) -> dict[str, Tensor]:
        """One step of every group.

        Returns:
            The weighted terms of the loss as <group>/<term>, means over the parts of this process, and the norm of each
            group's gradient before it is clipped.

        Raises:
            TrainingDivergedError: a term or the gradient of a group is no number; its parameters are not changed.
        """
        objective, settings = stage.objective, stage.settings
        for module in objective.modules().values():
            module.train()
        placed = {name: self._placed(tensor) for name, tensor in batch.items()}
        parts = [dict(zip(placed, chunk, strict=True)) for chunk in _chunks(placed, settings.accumulate)]
        found: dict[str, Tensor] = {}
        for group, optimiser in zip(stage.groups, stage.optimisers, strict=True):
            _train_only(objective, group)
            optimiser.zero_grad(set_to_none=True)
            for number, part in enumerate(parts):
                place = self.world.rank * settings.accumulate + number
                generator = generator_for(self.world.device, self.config.seed, objective.name, step, group.name, place)
                with self._precision():
                    terms = objective.losses(group.name, part, step, generator)
                for name, value in terms.items():
                    key = f"{group.name}/{name}"
                    share = value.detach().float() / len(parts)
                    found[key] = found[key] + share if key in found else share
                if terms:
                    (torch.stack([value.float() for value in terms.values()]).sum() / len(parts)).backward()
            self.world.average_gradients(group.parameters)
            norm = nn.utils.clip_grad_norm_(group.parameters, self.config.clip)
            own = {name: value for name, value in found.items() if name.startswith(f"{group.name}/")}
            self._require_finite(stage, step, own | {f"{group.name}/gradient": norm})
            found[f"gradient norm, {group.name}"] = norm.detach()
            for options in optimiser.param_groups:
                options["lr"] = group.rate * rate_factor(step, settings.steps)
            optimiser.step()
        stage.average.update(self.network)
        return found

    def _require_finite(self, stage: Stage, step: int, terms: dict[str, Tensor]) -> None:
        """Stop before the weights are changed by what is no number; looks at the device once."""
        if bool(torch.isfinite(torch.stack(list(terms.values()))).all()):
            return
        bad = [f"{name} is {float(value)}" for name, value in terms.items() if not bool(torch.isfinite(value))]
        saved = self.store.steps()
        last = f"The checkpoint of step {saved[-1]} is kept." if saved else "There is no checkpoint yet."
        where = f"{stage.objective.name} stage, step {step}"
        raise TrainingDivergedError(f"{where}: {', '.join(bad)}. {last}", REDUCE)

    def _placed(self, tensor: Tensor) -> Tensor:
        device = self.world.device
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)

    def _precision(self) -> torch.autocast:
        half = self.config.precision == "bfloat16"
        return torch.autocast(self.world.device.type, dtype=torch.bfloat16, enabled=half)

    def _count(self, stage: Stage, waited: float, worked: float) -> None:
        for name, value in (("data", waited), (stage.objective.name, worked)):
            self.seconds[name] = self.seconds.get(name, 0.0) + value

    def _log(self, stage: Stage, total: int, window: Window) -> None:
        values = window.means()
        names = sorted(values)
        values = dict(zip(names, self.world.mean([values[name] for name in names]), strict=True))
        if self.monitor is None:
            return
        values |= {
            f"{group.name}/rate": optimiser.param_groups[0]["lr"]
            for group, optimiser in zip(stage.groups, stage.optimisers, strict=True)
        }
        self.monitor.scalars(total, stage.objective.name, values)

    def _validate(self, stage: Stage, total: int, batch: Batch) -> None:
        if self.monitor is None:
            return
        network, name = stage.average.network, stage.objective.name
        if self.validator:
            found = self.validator.measure(network, self.world.device)
            self.monitor.scalars(total, name, {f"validation/{key}": value for key, value in found.items()})
            measure = found.get(MEASURE, math.nan)
            better = stage.best is None or measure > stage.best[0] or not stage.objective.improves_map
            if math.isfinite(measure) and better:
                weights = {key: value.detach().clone() for key, value in network.state_dict().items()}
                stage.best = (measure, total, weights)
        if not self.monitor.shows_pictures:
            return
        with torch.no_grad(), self._precision():
            maps = stage.objective.preview({key: self._placed(value) for key, value in batch.items()})
        self.monitor.pictures(total, name, maps)


def _adam(group: Group, device: torch.device) -> torch.optim.Optimizer:
    fused = device.type in ("cpu", "cuda")
    return torch.optim.Adam(group.parameters, lr=group.rate, betas=group.betas, fused=fused)


def _train_only(objective: Objective, group: Group) -> None:
    """Only the parameters of the group take part in the backward pass."""
    for module in objective.modules().values():
        module.requires_grad_(False)
    for parameter in group.parameters:
        parameter.requires_grad_(True)


def _chunks(batch: Batch, count: int) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.chunk(count) for tensor in batch.values()), strict=True)


def _timed(batches: Prefetcher) -> Iterator[tuple[tuple[int, Batch], float]]:
    """The batches, each with the seconds waited for it."""
    begun = time.monotonic()
    for item in batches:
        yield item, time.monotonic() - begun
        begun = time.monotonic()


__all__ = ["Plan", "Stage", "Trainer", "TrainingDivergedError"]
