"""Another Python than the host's own for the background process: whether it can be one, and its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

from HierSynthLib.case.problem import Problem

_HINT = "Choose the python program of an environment with Python 3.11 or newer, or leave the field empty."

# What would make another Python look for its libraries in the host's folders.
_OF_PYTHON = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONEXECUTABLE",
    "PYTHONNOUSERSITE",
    "PYTHONSTARTUP",
    "__PYVENV_LAUNCHER__",
)
_OF_SLICER = ("SLICER_HOME", "ITK_AUTOLOAD_PATH", "PYTHONQT_PYTHONPATH")
_PATHS = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH", "QT_PLUGIN_PATH", "LIBRARY_PATH")


def check_interpreter(path: str) -> Problem | None:
    """What is wrong with a file as the Python of the background process, without running it; None where nothing is."""
    file = Path(path).expanduser()
    if not file.exists():
        return Problem(None, "error", f"There is no Python at {path}.", _HINT)
    if file.is_dir():
        return Problem(None, "error", f"{path} is a folder, not a Python program.", _HINT)
    if not os.access(file, os.X_OK):
        return Problem(None, "error", f"{path} is not a program that can be run.", _HINT)
    if file.name.lower().startswith(("slicer", "qslicer")):
        return Problem(None, "error", f"{path} is Slicer and not a Python program.", _HINT)
    return None


def worker_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment for another Python, from that of the host or, better, from the one that the host was started in.

    Left out are the settings of the host's Python and, where `base` is that of a running Slicer (it names SLICER_HOME),
    Slicer's folders in all search paths. `WorkerClient` adds the way to HierSynthLib.
    """
    home = base.get("SLICER_HOME", "")
    result = {name: value for name, value in base.items() if name not in (*_OF_PYTHON, *_OF_SLICER)}
    for name in _PATHS if home else ():
        if name in result:
            kept = [entry for entry in result[name].split(os.pathsep) if entry and not _is_inside(entry, home)]
            result[name] = os.pathsep.join(kept)
            if not kept:
                del result[name]
    return result


def _is_inside(entry: str, home: str) -> bool:
    return PurePath(os.path.normpath(entry)).is_relative_to(os.path.normpath(home))
