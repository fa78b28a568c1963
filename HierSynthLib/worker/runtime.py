"""What the Python of the background process has, and what it lacks for a synthesis."""

from __future__ import annotations

import importlib
import platform
import sys
from typing import Any

from HierSynthLib import __version__
from HierSynthLib.errors import ModelError
from HierSynthLib.requirements import RUNTIME, Requirement, installed_version, is_older

OPTIONAL = ("nilearn",)
"""Better brain masks and simulated heads; there are substitutes for it."""


def describe_runtime(*, devices: bool = False) -> dict[str, Any]:
    """Describe this Python.

    Args:
        devices: whether to import torch, which takes seconds, and to list what it can compute on.

    Returns:
        "hiersynth" and "python" (versions), "executable", "packages" (name → version or None), "missing" (requirements
        such as "torch>=2.6" that are absent, or too old and not part of Slicer), "outdated" (those that are too old),
        "devices" ([{"id", "name"}]), "models" ([{"name", "version", "title", "ok", "problem"}]), "ready" (whether a
        synthesis can run) and "lines" (all that for users).
    """
    found = {requirement: installed_version(requirement.name) for requirement in RUNTIME}
    old = [each for each, version in found.items() if version and is_older(version, each.minimum)]
    missing = [each for each, version in found.items() if version is None or (each in old and each.source != "slicer")]
    torch_problem, usable = _list_devices() if devices and _named("torch") not in missing else ("", [])
    models = _list_models() if found[_named("numpy")] else []
    ready = not missing and not old and not torch_problem and any(model["ok"] for model in models)
    return {
        "hiersynth": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "packages": {each.name: version for each, version in found.items()}
        | {name: installed_version(name) for name in OPTIONAL},
        "missing": [str(each) for each in missing],
        "outdated": [str(each) for each in old],
        "devices": usable,
        "models": models,
        "ready": ready,
        "lines": _lines(found, missing, old, torch_problem, usable, models),
    }


def _named(name: str) -> Requirement:
    return next(requirement for requirement in RUNTIME if requirement.name == name)


def _list_devices() -> tuple[str, list[dict[str, str]]]:
    """What is wrong with torch ("" for nothing), and what it can compute on."""
    try:
        torch = importlib.import_module("torch")
        usable = [{"id": "cpu", "name": f"CPU ({torch.get_num_threads()} threads)"}]
        if torch.cuda.is_available():
            usable.insert(0, {"id": "cuda", "name": str(torch.cuda.get_device_name())})
        if torch.backends.mps.is_available():
            usable.insert(0, {"id": "mps", "name": "Apple GPU"})
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return " ".join(str(error).split())[:300] or type(error).__name__, []
    return "", usable


def _list_models() -> list[dict[str, Any]]:
    """The installed packages, each verified."""
    from HierSynthLib.synthesis.package import package_folders, verify_model

    models: list[dict[str, Any]] = []
    for name, folder in sorted(package_folders().items()):
        entry = {"name": name, "version": "", "title": name, "ok": True, "problem": ""}
        try:
            version = verify_model(folder).version
            entry |= {"version": version, "title": f"{name} {version}"}
        except ModelError as error:
            entry |= {"ok": False, "problem": error.message}
        models.append(entry)
    return models


def _lines(
    found: dict[Requirement, str | None],
    missing: list[Requirement],
    old: list[Requirement],
    torch_problem: str,
    usable: list[dict[str, str]],
    models: list[dict[str, Any]],
) -> list[str]:
    lines = [f"Python {platform.python_version()}, HierSynth {__version__}"]
    present = [f"{each.name} {version}" for each, version in found.items() if version]
    lines += [f"✓ {', '.join(present)}"] if present else []
    for each in old:
        lines.append(f"✗ {each.name} {found[each]} is too old: {each.minimum} or newer is needed.")
    absent = [each for each in missing if each not in old]
    if absent:
        lines.append(f"✗ Missing: {', '.join(each.name for each in absent)}.")
    if missing:
        needed = " ".join(f'"{each}"' for each in missing)
        lines.append(f'To install by hand: "{sys.executable}" -m pip install {needed}')
    if torch_problem:
        lines.append(f"✗ torch cannot be used: {torch_problem} Install torch again.")
    lines += [f"✓ Computes on: {', '.join(device['name'] for device in usable)}"] if usable else []
    for model in models:
        lines.append(f"✓ Model {model['title']}" if model["ok"] else f"✗ Model {model['name']}: {model['problem']}")
    if found[_named("numpy")] and not models:
        lines.append("✗ No model is installed.")
    return lines
