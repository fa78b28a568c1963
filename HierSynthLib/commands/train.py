"""`hiersynth train`: a model of your own from simulated patients or from a cohort on disk."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from HierSynthLib.commands.options import Debug, Device, DeviceOption, Json
from HierSynthLib.commands.results import print_result, require_writable
from HierSynthLib.commands.terminal import Display, one_line
from HierSynthLib.errors import Cancelled, InputError

if TYPE_CHECKING:
    from Training.config import TrainingConfig


def train(
    config: Annotated[
        str, typer.Option(metavar="FILE|NAME", help="Settings: a YAML file, or a shipped one, e.g. demo, compare/unet.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run: cache, checkpoints, curves, package.")],
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="Data set instead of the one in the settings, e.g. upenn-gbm.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Where that data set lies.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed instead of the one in the settings.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the package instead of that one.")] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Prepared patients, to be shared by runs; DIR/cache otherwise.")
    ] = None,
    device: DeviceOption = Device.AUTO,
    workers: Annotated[int, typer.Option(min=1, help="Processes that prepare patients.")] = 2,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on with what was interrupted, or keep it aside and begin anew.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check settings and data, print the plan, end.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a model and write it as a package; interrupted at any time, the same command goes on."""
    _require_training()
    from Training.config import read_config

    changes: dict[str, Any] = {key: value for key, value in {"seed": seed, "name": name}.items() if value is not None}
    chosen = {"source": data, "folder": None if folder is None else str(folder)}
    changes["data"] = {key: value for key, value in chosen.items() if value is not None}
    settings = read_config(config, changes)
    require_writable(out)
    if dry_run:
        _print_plan(settings, out, cache, workers, json=json)
        return
    from Training.train import train as run

    command = shlex.join(["hiersynth", *_without_places(sys.argv[1:])])
    with Display("train") as display:
        try:
            package = run(
                settings,
                out,
                resume=resume,
                device=str(device),
                workers=workers,
                reporter=display,
                command=command,
                cache=cache,
            )
        except Cancelled as stopped:
            display.say(one_line(f"hiersynth: {stopped}" if str(stopped) else "hiersynth: stopped before training"))
            raise
    if os.environ.get("RANK", "0") != "0":
        return  # torchrun: the first process tells it
    lines = [f"Model package: {package}", f"Use it: hiersynth synthesize CASE --model {package} --out DIR"]
    print_result({"package": package, "name": settings.name, "run": out}, lines, json=json)


def _require_training() -> None:
    try:
        import yaml  # noqa: F401

        import Training.config  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            f"Training is not installed here ('{error.name}' is missing).", 'Run: pip install "HierSynthLib[training]".'
        ) from error


def _without_places(arguments: list[str]) -> list[str]:
    """The command for the model card: folders may name people or hospitals, so they are left out."""
    result = []
    for position, argument in enumerate(arguments):
        before = arguments[position - 1] if position else ""
        if before in ("--out", "--folder", "--cache"):
            result.append("DIR")
        elif argument.startswith(("--out=", "--folder=", "--cache=")):
            result.append(f"{argument.partition('=')[0]}=DIR")
        elif before == "--config" and Path(argument).suffix:
            result.append(Path(argument).name)
        else:
            result.append(argument)
    return result


def _print_plan(settings: "TrainingConfig", out: Path, cache: Path | None, workers: int, *, json: bool) -> None:
    """Say what would be done, and what is wrong with the data."""
    from Training.plan import describe_plan

    with Display("data report") as display:
        plan = describe_plan(settings, out, cache, workers, display)
    print_result(plan.fields, plan.lines, json=json)
    if plan.errors:
        raise InputError(f"The data cannot be trained on: {plan.errors[0]}", "See the report above.")
