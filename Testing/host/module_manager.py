"""The modules that are loaded.

Followed: Base/QTCore/qSlicerModuleManager.cxx, Base/QTGUI/qSlicerScriptedLoadableModule.cxx and
qSlicerScriptedLoadableModuleWidget.cxx of Slicer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

UNLOADED = "moduleAboutToBeUnloaded(QString)"


class ModuleManager:
    """Finds modules by name and says when one is about to be unloaded."""

    def __init__(self) -> None:
        self._modules: dict[str, Any] = {}
        self._listeners: list[Callable[[str], None]] = []

    def add(self, module: Any) -> None:
        """Load a module (it has a `name`)."""
        self._modules[module.name] = module

    def remove(self, name: str) -> None:
        """Unload a module."""
        for listener in list(self._listeners):
            listener(name)
        self._modules.pop(name)

    def module(self, name: str) -> Any:
        """The module of that name, or None."""
        return self._modules.get(name)

    def names(self) -> list[str]:
        """Names of the modules."""
        return list(self._modules)

    def connect(self, signal: str, listener: Callable[[str], None]) -> bool:
        """Connect by the signal's C++ signature, as ScriptedLoadableModuleWidget and slicer.util do."""
        self._check(signal)
        self._listeners.append(listener)
        return True

    def disconnect(self, signal: str, listener: Callable[[str], None]) -> bool:
        """Undo connect()."""
        self._check(signal)
        known = listener in self._listeners
        if known:
            self._listeners.remove(listener)
        return known

    @staticmethod
    def _check(signal: str) -> None:
        if signal != UNLOADED:
            message = f"the stand-in has no signal {signal}"
            raise ValueError(message)
