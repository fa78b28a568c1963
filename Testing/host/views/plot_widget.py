"""A plot view with its controller bar.

Followed: qMRMLPlotWidget.cxx, qMRMLPlotViewControllerWidget.cxx (label and the button that fits the chart).
"""

from __future__ import annotations

from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from Testing.host.views.controller_bar import ControllerBar
from Testing.host.views.plot_view import PlotView
from Testing.host.views.scheduler import RenderScheduler


class PlotWidget(QWidget):
    """Joins a controller bar and a drawing area."""

    def __init__(self, scheduler: RenderScheduler, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = ControllerBar("Show all data of the chart.")
        self._view = PlotView(scheduler)
        self._view.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._controller.fit_requested.connect(self._view.fitToContent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._controller)
        layout.addWidget(self._view, 1)

    def logic(self) -> None:
        """Plot views have no logic."""

    def mrmlPlotViewNode(self):
        """The vtkMRMLPlotViewNode, or None."""
        return self._view.mrmlPlotViewNode()

    def mrmlAbstractViewNode(self):
        """The vtkMRMLPlotViewNode, or None."""
        return self.mrmlPlotViewNode()

    def plotView(self) -> PlotView:
        """The drawing area."""
        return self._view

    def viewWidget(self) -> PlotView:
        """The drawing area."""
        return self._view

    def plotController(self) -> ControllerBar:
        """The bar."""
        return self._controller

    def controllerWidget(self) -> ControllerBar:
        """The bar."""
        return self._controller

    def setMRMLPlotViewNode(self, node) -> None:
        """Shows the chart of `node`, a vtkMRMLPlotViewNode."""
        self._view.setMRMLPlotViewNode(node)
        self._controller.show_node(node)

    def setMRMLScene(self, scene) -> None:
        """Connects the view with `scene`; None before the view is destroyed."""
        self._view.setMRMLScene(scene)

    def finalize(self) -> None:
        """Removes every observer and frees the OpenGL context."""
        self._controller.finalize()
        self._view.finalize()
