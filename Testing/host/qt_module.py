"""The module `qt`: one flat module, as PythonQt makes it.

Followed: Base/Python/slicer/slicerqt.py of Slicer, and PythonQt's module of the same name.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.host.ui_loader import UiLoader

LIBRARIES = (QtCore, QtGui, QtWidgets)
PYTHON_ONLY = frozenset({"Signal", "Slot", "Property", "ClassInfo", "QEnum", "QFlag"})
"""Names of PySide6 that PythonQt does not have."""


class FileDialog(QtWidgets.QFileDialog):
    """Its static functions answer with the path alone, as PythonQt's do; PySide6 returns the chosen filter, too."""

    @staticmethod
    def getOpenFileName(*arguments: Any) -> str:
        """The file that the user wants to open, or ""."""
        return QtWidgets.QFileDialog.getOpenFileName(*arguments)[0]

    @staticmethod
    def getSaveFileName(*arguments: Any) -> str:
        """The file that the user wants to write, or ""."""
        return QtWidgets.QFileDialog.getSaveFileName(*arguments)[0]


class QtModule(ModuleType):
    """Looks names up in the libraries, which make their classes when they are first asked for."""

    QUiLoader = UiLoader
    QFileDialog = FileDialog

    def __getattr__(self, name: str) -> Any:
        for library in LIBRARIES:
            if not name.startswith("_") and name not in PYTHON_ONLY and hasattr(library, name):
                return getattr(library, name)
        message = f"module 'qt' has no attribute {name!r}"
        raise AttributeError(message)


def make_qt() -> ModuleType:
    """Build the module."""
    return QtModule("qt", "Qt as PythonQt shows it.")
