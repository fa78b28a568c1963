"""The main window with what selects the module that is shown in its panel.

Followed: Base/QTGUI/qSlicerModulePanel.cxx and qSlicerModuleSelectorToolBar.cxx of Slicer.
"""

from __future__ import annotations

from typing import Any

import slicer

from Testing.host.window import MainWindow


class ApplicationWindow(MainWindow):
    """qSlicerMainWindow."""

    def __init__(self, layout_manager: Any) -> None:
        super().__init__(layout_manager)
        self._selector = ModuleSelector(self)

    def moduleSelector(self) -> ModuleSelector:
        """What slicer.util.selectModule asks."""
        return self._selector


class ModuleSelector:
    """Leaves one module and enters another."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window
        self._module: Any = None

    @property
    def selectedModule(self) -> str:
        """Name of the present module, or ""."""
        return self._module.name if self._module is not None else ""

    def selectModule(self, name: str) -> None:
        """Go to a module; "" leaves the present one.

        Raises:
            RuntimeError: there is no such module.
        """
        if name == self.selectedModule:
            return
        if self._module is not None:
            self._module.widgetRepresentation().exit()
            self._window.set_panel(None)
            self._module = None
        if name:
            self._module = slicer.util.getModule(name)
            widget = self._module.widgetRepresentation()
            self._window.set_panel(widget)
            widget.enter()
