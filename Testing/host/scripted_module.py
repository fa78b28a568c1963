"""The module `slicer.ScriptedLoadableModule`: base classes of a scripted module.

Followed: Base/Python/slicer/ScriptedLoadableModule.py of Slicer.
"""

from __future__ import annotations

import importlib
import unittest
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QVBoxLayout

from Testing.host.module_manager import UNLOADED
from Testing.host.widgets.mrml_widget import qMRMLWidget

NODE_CLASS = "vtkMRMLScriptedModuleNode"
DEFAULT_MESSAGE_DELAY_MS = 100


def _resource(module_path: str, name: str) -> str:
    return str(Path(module_path).parent / "Resources" / name)


class ScriptedLoadableModule:
    """What is known of a module before its panel is opened; `parent` carries the texts."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        for suffix in (".svg", ".png"):
            icon = Path(self.resourcePath(f"Icons/{self.moduleName}{suffix}"))
            if icon.is_file():
                parent.icon = QIcon(str(icon))
                break
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename: str) -> str:
        """Path of a file in the module's folder Resources."""
        return _resource(self.parent.path, filename)

    def runTest(self, msec: int = DEFAULT_MESSAGE_DELAY_MS, **kwargs: Any) -> None:
        """Run the class NAMETest of the module's file."""
        test = getattr(importlib.import_module(type(self).__module__), f"{self.moduleName}Test")()
        test.messageDelay = msec
        test.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """The panel of a module; it fills `layout` in setup()."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        own = parent is None
        if own:
            parent = qMRMLWidget()
            parent.setLayout(QVBoxLayout())
            parent.setMRMLScene(slicer.mrmlScene)
        self.parent = parent
        self.layout = parent.layout()
        if own:
            self.setup()
            parent.show()
        slicer.app.moduleManager().connect(UNLOADED, self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:
        """Path of a file in the module's folder Resources."""
        return _resource(slicer.util.modulePath(self.moduleName), filename)

    def setup(self) -> None:
        """Build the panel (Slicer adds its reload buttons here in developer mode)."""

    def cleanup(self) -> None:
        """Called before the module is unloaded or reloaded."""

    def onReload(self) -> None:
        """What the button "Reload" of the developer mode does."""
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect(UNLOADED, self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """What a module can do without its panel."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        """The module's parameter node; it is added to the scene if there is none."""
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, NODE_CLASS)
        else:
            node = next(iter(self.getAllParameterNodes()), None)
        if node is None:
            return slicer.mrmlScene.AddNode(self.createParameterNode())
        # Closing a scene can remove the attribute.
        if node.GetAttribute("ModuleName") != self.moduleName:
            node.SetAttribute("ModuleName", self.moduleName)
        return node

    def getAllParameterNodes(self) -> list[Any]:
        """All parameter nodes of the module in the scene."""
        nodes = slicer.util.getNodesByClass(NODE_CLASS)
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> Any:
        """A new parameter node that is not yet in the scene."""
        node = slicer.mrmlScene.CreateNodeByClass(NODE_CLASS)
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Tests that Slicer's "Reload and Test" runs."""

    messageDelay = DEFAULT_MESSAGE_DELAY_MS

    def runTest(self) -> None:
        """Run every method whose name begins with "test"."""
        for name in [name for name in dir(self) if name.startswith("test")]:
            self.setUp()
            getattr(self, name)()
            self.tearDown()

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        """Slicer shows a message here while events are processed; here they are processed."""
        slicer.app.processEvents()
