"""The application window: module panel at the left, views at the right.

Followed: qSlicerMainWindow.cxx and qSlicerMainWindow.ui (dock widget "PanelDockWidget", the layout manager's viewport
as central widget, status bar), qSlicerModulePanel.cxx (the module's widget in a scroll area).
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QDockWidget, QFrame, QLayout, QMainWindow, QScrollArea, QWidget

from Testing.host.views import LayoutManager

TITLE = "3D Slicer stand-in"
PANEL_WIDTH = 440
SIZE = QSize(1480, 900)


class MainWindow(QMainWindow):
    """Shows one module panel beside the views of a layout manager."""

    def __init__(self, layout_manager: LayoutManager, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle(TITLE)
        self._scroll_area = QScrollArea()
        self._scroll_area.setWidgetResizable(True)
        self._scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self._dock = QDockWidget("Modules", self)
        self._dock.setObjectName("PanelDockWidget")
        self._dock.setWidget(self._scroll_area)
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self._dock)
        self.setCentralWidget(layout_manager.viewport())
        self.statusBar().setSizeGripEnabled(True)
        self.layout().setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        self.resize(SIZE)
        self.resizeDocks([self._dock], [PANEL_WIDTH], Qt.Orientation.Horizontal)

    def set_panel(self, widget: QWidget | None) -> None:
        """Puts a module's widget into the panel; the one that was there is hidden and keeps living without parent."""
        old = self._scroll_area.takeWidget()
        if old is not None:
            old.hide()
        if widget is not None:
            self._scroll_area.setWidget(widget)
            widget.show()
            self._dock.setWindowTitle(f"Module: {widget.windowTitle()}" if widget.windowTitle() else "Modules")

    def panel(self) -> QWidget | None:
        """The module's widget that is shown."""
        return self._scroll_area.widget()
