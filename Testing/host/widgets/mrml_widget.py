"""A widget that knows the scene.

Followed: Libs/MRML/Widgets/qMRMLWidget.cxx of Slicer.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget


class qMRMLWidget(QWidget):
    """Passes the scene on to whatever is connected to `mrmlSceneChanged`, as the .ui files do."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        """The vtkMRMLScene, or None."""
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        """Set the scene."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)
