"""A stand-in for 3D Slicer in which the scripted module runs unchanged.

Real are: the scene with its nodes and logics, the displayable managers and `slicer.util` (all of the wheel slicer-
core), and Qt (PySide6). Each file says which file of Slicer or CTK its behaviour follows. `contract.py` reads from
the module's source which API it uses.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import SIGNAL, QEvent
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from Testing.host import user
from Testing.host.event_loop import Gaps, wait
from Testing.host.properties import METHODS, PROPERTIES, PropertyStyle, install_property_style

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE_FOLDER = REPOSITORY / "HierSynthModule"
WRITTEN_FOR_PYTHONQT = ("HierSynth", "HierSynthPanel", "slicer.util")


class Host:
    """The application, once per process.

    Attributes:
        app: slicer.app.
        window: the main window: panel left, views right.
        errors: exceptions raised in slots and observers since reset(); a test fails if any is left.
        style: which modules see Qt properties.
    """

    _running: Host | None = None

    def __init__(self, offscreen: bool) -> None:
        if offscreen:
            os.environ["QT_QPA_PLATFORM"] = "offscreen"
        self.style: PropertyStyle = install_property_style()
        self.style.choose(__name__, METHODS)
        for name in WRITTEN_FOR_PYTHONQT:
            self.style.choose(name, PROPERTIES)
        from Testing.host.application import Application
        from Testing.host.scene import make_core

        self.errors: list[BaseException] = []
        sys.excepthook = self._on_error
        self.app = Application([sys.argv[0]], testing=offscreen)
        self._core = make_core(self.app.slicerHome, self.app.temporaryPath)
        self.app.attach_core(self._core.scene, self._core.logic)
        self._build()

    @classmethod
    def start(cls, offscreen: bool = True) -> Host:
        """Start the application; later calls return the one that runs.

        Args:
            offscreen: needs no display.
        """
        if cls._running is None:
            cls._running = cls(offscreen)
        return cls._running

    def _build(self) -> None:
        from Testing.host.names import install_names
        from Testing.host.subject_hierarchy import SubjectHierarchyLogic

        scene, logic = self._core.scene, self._core.logic
        install_names(self.app, scene, logic)
        self._hierarchy = SubjectHierarchyLogic(scene)
        from Testing.host.application_window import ApplicationWindow
        from Testing.host.views import LayoutManager

        self.app.setLayoutManager(LayoutManager(logic, scene))
        self.window = ApplicationWindow(self.app.layoutManager())
        self.window.show()
        self.app.aboutToQuit.connect(self.quit)
        # Tests end without the application's event loop, and so without aboutToQuit.
        atexit.register(self.quit)
        self._default_layout = self.app.layoutManager().layout

    def open_module(self, name: str, folder: Path = MODULE_FOLDER) -> Any:
        """Load a module as Slicer does, unless it is loaded, and go to it.

        Args:
            name: of the module.
            folder: where NAME.py lies.

        Returns:
            Its ScriptedLoadableModuleWidget.
        """
        from Testing.host.scripted_loading import load_scripted_module

        if self.app.moduleManager().module(name) is None:
            load_scripted_module(folder / f"{name}.py")
            self._complete_startup()
        self.window.moduleSelector().selectModule(name)
        return self.app.moduleManager().module(name).widgetRepresentation().self()

    def close_module(self, name: str) -> None:
        """Leave a module and unload it, as Slicer does when it quits."""
        from Testing.host.scripted_loading import unload_scripted_module

        module = self.app.moduleManager().module(name)
        if module is None:
            return
        if self.window.moduleSelector().selectedModule == name:
            self.window.moduleSelector().selectModule("")
        unload_scripted_module(module)
        self._delete_later()

    def wait(self, condition: Callable[[], bool], timeout: float = 10.0, what: str = "") -> None:
        """Run the event loop until a condition holds; see event_loop.wait()."""
        wait(condition, timeout, what)

    def gaps(self) -> Gaps:
        """Measure the longest time that the event loop stands still; `.longest` in seconds."""
        return Gaps()

    def click(self, widget: QWidget) -> None:
        """Click a widget as a user; see user.click()."""
        user.click(widget)

    def click_at(self, widget: QWidget, place: tuple[float, float]) -> None:
        """Click a place in a widget as a user; see user.click_at()."""
        user.click_at(widget, place)

    def choose(self, widget: QWidget, text: str) -> None:
        """Choose a line of a combo box or node selector as a user; see user.choose()."""
        user.choose(widget, text)

    def key(self, widget: QWidget, sequence: str) -> None:
        """Press a key as a user; see user.key()."""
        user.key(widget, sequence)

    def drag(self, widget: QWidget, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag something in a widget as a user; see user.drag()."""
        user.drag(widget, start, end)

    def close_scene(self) -> None:
        """File > Close scene."""
        self.app.mrmlScene().Clear(0)

    def grab(self, widget: QWidget | None = None) -> QImage:
        """Picture of a widget, or of the whole window, once all views are drawn."""
        self.app.processEvents()
        self.wait(self.app.layoutManager().scheduler().is_idle)
        return (widget or self.window).grab().toImage()

    def scene_census(self) -> dict[str, int]:
        """How many nodes of each class the scene holds."""
        scene = self.app.mrmlScene()
        return dict(Counter(scene.GetNthNode(index).GetClassName() for index in range(scene.GetNumberOfNodes())))

    def observer_count(self, subject: Any) -> int:
        """How many observers a VTK object has."""
        # Tags are numbered in the order in which observers are added.
        newest = subject.AddObserver("NoEvent", lambda *_: None)
        subject.RemoveObserver(newest)
        return sum(subject.GetCommand(tag) is not None for tag in range(1, newest))

    def reset(self) -> None:
        """Between tests: no module, an empty scene, the default layout, no remembered errors."""
        for name in self.app.moduleManager().names():
            self.close_module(name)
        self._remove_parameter_nodes()
        self.close_scene()
        self.app.layoutManager().setLayout(self._default_layout)
        self.app.settings().clear()
        self._delete_later()
        self.watch_errors()

    def watch_errors(self) -> None:
        """From now on, remember what slots and observers raise."""
        # The command line's library puts one of its own there, after which errors in slots would go unnoticed.
        sys.excepthook = self._on_error
        self.errors.clear()

    def quit(self) -> None:
        """Close the modules, destroy the views, and remove the temporary files."""
        atexit.unregister(self.quit)
        for name in self.app.moduleManager().names():
            self.close_module(name)
        self.window.hide()
        self.app.layoutManager().finalize()
        self.app.remove_folder()

    def _complete_startup(self) -> None:
        self.app.startupCompleted.emit()
        # Slicer emits the signal once in its life; here a module is loaded as often as a test asks for it.
        if self.app.receivers(SIGNAL("startupCompleted()")):
            self.app.startupCompleted.disconnect()

    def _remove_parameter_nodes(self) -> None:
        """Closing a scene keeps them, and every wrapper of an earlier test would write its defaults again."""
        scene = self.app.mrmlScene()
        while (node := scene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode")) is not None:
            scene.RemoveNode(node)

    def _delete_later(self) -> None:
        self.app.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        self.app.processEvents()

    def _on_error(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        self.errors.append(error)
        sys.__excepthook__(kind, error, trace)
