"""The functions of `slicer.util` that need another answer without PythonQt.

Followed: Base/Python/slicer/util.py of Slicer; everything else of it is the real module of the wheel slicer-core.
"""

from __future__ import annotations

import shlex
import sys
from types import SimpleNamespace

import slicer.util
from PySide6.QtWidgets import QWidget


def childWidgetVariables(widget: QWidget) -> SimpleNamespace:
    """The named descendants of a widget as attributes (the real one asks for PythonQt's `.name`)."""
    named = [child for child in widget.findChildren(QWidget) if child.objectName()]
    return SimpleNamespace(**{child.objectName(): child for child in named})


def findChild(widget: QWidget, name: str) -> QWidget:
    """The first descendant of that name.

    Raises:
        RuntimeError: there is none.
    """
    child = widget.findChild(QWidget, name)
    if child is None:
        message = f"Widget named {name} does not exist."
        raise RuntimeError(message)
    return child


def pip_install(requirements: str | list[str]) -> None:
    """Install packages into the Python that runs the host (the real one starts PythonSlicer).

    Raises:
        subprocess.CalledProcessError: pip failed.
    """
    arguments = shlex.split(requirements) if isinstance(requirements, str) else requirements
    process = slicer.util.launchConsoleProcess([sys.executable, "-m", "pip", "install", *arguments])
    slicer.util.logProcessOutput(process)


def supplement_util() -> None:
    """Put the functions into slicer.util."""
    for function in (childWidgetVariables, findChild, pip_install):
        setattr(slicer.util, function.__name__, function)
