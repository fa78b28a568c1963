"""Loads a scripted module from its file and owns its panel.

Followed: Base/QTGUI/qSlicerScriptedLoadableModule.cxx, qSlicerScriptedLoadableModuleWidget.cxx and
qSlicerAbstractModuleWidget.cxx of Slicer.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QVBoxLayout

from Testing.host.widgets.mrml_widget import qMRMLWidget


class qSlicerScriptedLoadableModule:
    """The `parent` of a ScriptedLoadableModule; other attributes than these do not exist, as in Slicer."""

    __slots__ = (
        "_widget",
        "acknowledgementText",
        "associatedNodeTypes",
        "categories",
        "contributors",
        "dependencies",
        "helpText",
        "hidden",
        "icon",
        "index",
        "name",
        "path",
        "title",
    )

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.name = path.stem
        self.title = path.stem
        self.icon = QIcon()
        self.helpText = self.acknowledgementText = ""
        self.categories: list[str] = []
        self.contributors: list[str] = []
        self.dependencies: list[str] = []
        self.associatedNodeTypes: list[str] = []
        self.hidden = False
        self.index = -1
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """The panel, built when it is first asked for."""
        if self._widget is None:
            self._widget = qSlicerScriptedLoadableModuleWidget(self.path)
            self._widget.setMRMLScene(slicer.mrmlScene)
            self._widget.setup()
        return self._widget

    def delete_widget(self) -> None:
        """Delete the panel, if there is one."""
        if self._widget is not None:
            self._widget.setParent(None)
            self._widget.deleteLater()
            self._widget = None


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The Qt widget that holds a module's panel."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)
        self._python: Any = None
        self._entered = False
        QVBoxLayout(self)
        self._make_python()

    def self(self) -> Any:
        """The ScriptedLoadableModuleWidget."""
        return self._python

    def setup(self) -> None:
        """Build the panel."""
        self._python.setup()

    def enter(self) -> None:
        """The user has come to the module."""
        if not self._entered:
            self._entered = True
            self._call("enter")

    def exit(self) -> None:
        """The user leaves the module."""
        if self._entered:
            self._entered = False
            self._call("exit")

    def isEntered(self) -> bool:
        """Whether the module is the present one."""
        return self._entered

    def reload(self) -> None:
        """Build the panel anew from the class as it is now."""
        self._make_python()
        self.setup()

    def _make_python(self) -> None:
        name = f"{self._path.stem}Widget"
        self._python = getattr(sys.modules[self._path.stem], name)(self)
        setattr(slicer.modules, name, self._python)

    def _call(self, method: str) -> None:
        if hasattr(self._python, method):
            getattr(self._python, method)()


def load_scripted_module(path: Path) -> qSlicerScriptedLoadableModule:
    """Run a module's file and make its module object known; as Slicer does when it starts.

    Args:
        path: NAME.py with the class NAME.
    """
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    python = importlib.import_module(name) if name in sys.modules else _run(path)
    module = qSlicerScriptedLoadableModule(path)
    setattr(slicer.modules, f"{name}Instance", getattr(python, name)(module))
    setattr(slicer.modules, name.lower(), module)
    slicer.app.moduleManager().add(module)
    return module


def unload_scripted_module(module: qSlicerScriptedLoadableModule) -> None:
    """Forget a module; its panel is cleaned up and deleted."""
    slicer.app.moduleManager().remove(module.name)
    module.delete_widget()
    for name in (f"{module.name}Instance", f"{module.name}Widget", module.name.lower()):
        if hasattr(slicer.modules, name):
            delattr(slicer.modules, name)


def _run(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    python = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = python
    try:
        spec.loader.exec_module(python)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return python
