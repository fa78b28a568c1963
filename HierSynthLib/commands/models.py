"""`hiersynth models`: list, show, verify, install and remove model packages."""

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from HierSynthLib.commands.options import Debug, Json
from HierSynthLib.commands.results import print_result
from HierSynthLib.commands.terminal import Display

if TYPE_CHECKING:
    from HierSynthLib.synthesis.package import ModelInfo

models = typer.Typer(no_args_is_help=True, help="List, check, install and remove models.")

Name = Annotated[str, typer.Argument(metavar="NAME|PATH", help="Installed model or model folder.")]


@models.command("list")
def list_command(json: Json = False, debug: Debug = False) -> None:
    """List the installed models."""
    from HierSynthLib.synthesis.package import damaged_models, list_models

    found, damaged = list_models(), damaged_models()
    rows = [("NAME", "VERSION", "FROM", "READS", "DESCRIPTION")]
    for info in found:
        sequences = " ".join(info.settings.sequences)
        rows.append((info.name, info.version, "HierSynth" if info.built_in else "user", sequences, info.description))
    lines = [*_columns(rows), *(f"{name}  DAMAGED  {reason}" for name, reason in damaged.items())]
    print_result({"models": [_fields(info) for info in found], "damaged": damaged}, lines, json=json)


@models.command("show")
def show_command(name: Name, json: Json = False, debug: Debug = False) -> None:
    """Show what is known about a model."""
    _print_model(_verified(name), json=json)


@models.command("verify")
def verify_command(name: Name, json: Json = False, debug: Debug = False) -> None:
    """Check that every file of a model is there and unaltered."""
    info = _verified(name)
    line = f"{info.name} {info.version}: every file is there and unaltered (weights {info.weights_sha256})."
    print_result(_fields(info), [line], json=json)


@models.command("install")
def install_command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Model folder, .zip file or address.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Install a model into your own data folder."""
    from HierSynthLib.synthesis.installation import install_model

    with Display("install") as display:
        info = install_model(source, display)
    print_result(_fields(info), [f"Installed {info.name} {info.version} in {info.folder}."], json=json)


@models.command("remove")
def remove_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model that you installed.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Remove a model that you installed."""
    from HierSynthLib.synthesis.installation import remove_model

    folder = remove_model(name)
    print_result({"removed": str(folder)}, [f"Removed {folder}."], json=json)


def _verified(name: str) -> "ModelInfo":
    from HierSynthLib.synthesis.package import find_model, verify_model

    return verify_model(find_model(name))


def _fields(info: "ModelInfo") -> dict[str, Any]:
    return asdict(info)


def _print_model(info: "ModelInfo", *, json: bool) -> None:
    fields = _fields(info)
    settings = fields.pop("settings")
    rows = [(name.replace("_", " "), _text(value)) for name, value in (fields | settings).items()]
    print_result(_fields(info), _columns(rows), json=json)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value) if not isinstance(value, dict) else json_format.dumps(value)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
