"""The application object `slicer.app`.

Followed: Base/QTCore/qSlicerCoreApplication.cxx and Base/QTGUI/qSlicerApplication.cxx of Slicer.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from PySide6.QtCore import Property, QProcessEnvironment, QSettings, Signal
from PySide6.QtWidgets import QApplication

from Testing.host.module_manager import ModuleManager


class Application(QApplication):
    """qSlicerApplication: owns the scene, the application logic and the layout manager.

    Args:
        arguments: of the command line.
        testing: whether Slicer would have been started with --testing.

    Its files and settings lie in a temporary folder, so that nothing of the user's own settings is read or changed.
    """

    startupCompleted = Signal()

    def __init__(self, arguments: list[str], testing: bool) -> None:
        # Before Qt changes it.
        self._startup_environment = QProcessEnvironment.systemEnvironment()
        super().__init__(arguments)
        self._folder = Path(tempfile.mkdtemp(prefix="HierSynth-host-"))
        (self._folder / "tmp").mkdir()
        (self._folder / "share" / "ColorFiles").mkdir(parents=True)
        self.setOrganizationName("HierSynth-host")
        self.setApplicationName("HierSynth-host")
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(self._folder))
        self._settings = QSettings(self)
        self._testing = testing
        self._module_manager = ModuleManager()
        self._scene: Any = None
        self._logic: Any = None
        self._layout_manager: Any = None

    def attach_core(self, scene: Any, application_logic: Any) -> None:
        """Take over the scene and the logic that the host has made."""
        self._scene = scene
        self._logic = application_logic

    def remove_folder(self) -> None:
        """Delete the temporary folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def applicationLogic(self) -> Any:
        """The vtkSlicerApplicationLogic."""
        return self._logic

    def moduleManager(self) -> ModuleManager:
        """The modules and the signal that one is about to be unloaded."""
        return self._module_manager

    def layoutManager(self) -> Any:
        """The layout manager."""
        return self._layout_manager

    def setLayoutManager(self, layout_manager: Any) -> None:
        """Set the layout manager."""
        self._layout_manager = layout_manager

    def testingEnabled(self) -> bool:
        """Whether tests are running, so that nobody can answer a question."""
        return self._testing

    def settings(self) -> QSettings:
        """The application's settings."""
        return self._settings

    def userSettings(self) -> QSettings:
        """The user's settings."""
        return self._settings

    def startupEnvironment(self) -> QProcessEnvironment:
        """The environment as it was before the application changed it."""
        return QProcessEnvironment(self._startup_environment)

    temporaryPath = Property(str, lambda self: str(self._folder / "tmp"))
    slicerHome = Property(str, lambda self: str(self._folder))
