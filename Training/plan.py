"""What a run would do, without doing it: the data report and the stages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from HierSynthLib.progress import Reporter
from HierSynthLib.synthesis.networks import parameter_count
from Training.config import TrainingConfig
from Training.datasets.report import report_data
from Training.objectives import stages
from Training.train import CACHE, DIVISION, make_network


@dataclass(frozen=True)
class RunPlan:
    """The plan for people (`lines`) and for programs (`fields`); `errors` of the data would stop the run."""

    lines: list[str]
    fields: dict[str, Any]
    errors: list[str]


def describe_plan(config: TrainingConfig, out: Path, cache: Path | None, workers: int, reporter: Reporter) -> RunPlan:
    """Look at the data and at the stages; nothing is trained.

    Args:
        config: the settings.
        out: folder of the run, whose own division comes first.
        cache: folder of the prepared patients, None for that of the run; what was found and the division are kept
            there.
        workers: processes that look at the data.
        reporter: told about progress and warnings.

    Raises:
        InputError: the data set cannot be read at all.
    """
    report = report_data(config, cache or out / CACHE, workers, reporter=reporter, splits=out / DIVISION)
    network = make_network(config, torch.device("cpu"))
    count = parameter_count(network)
    rows: list[dict[str, Any]] = []
    for settings, factory in stages(config, network, 1.0):
        if settings.steps:
            objective = factory()
            groups = {group.name: sum(p.numel() for p in group.parameters) for group in objective.groups()}
            rows.append(
                {
                    "stage": objective.name,
                    "steps": settings.steps,
                    "batch": settings.batch,
                    "accumulate": settings.accumulate,
                    "rate": settings.rate,
                    "trained": groups,
                }
            )
    lines = [report.text(), "", f"{config.name} {config.version}: {config.method}, {count:,} parameters"]
    for row in rows:
        parts = f" in {row['accumulate']} parts" if row["accumulate"] > 1 else ""
        trained = ", ".join(f"{name} {size:,}" for name, size in row["trained"].items())
        lines.append(
            f"  {row['stage']}: {row['steps']} steps × {row['batch']} slices{parts}, rate {row['rate']:g} ({trained})"
        )
    fields = {"name": config.name, "method": config.method, "parameters": count, "stages": rows}
    return RunPlan(lines, fields | {"errors": list(report.errors)}, list(report.errors))
