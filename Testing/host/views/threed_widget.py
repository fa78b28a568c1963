"""A 3-D view with its controller bar.

Followed: qMRMLThreeDWidget.cxx, qMRMLThreeDViewControllerWidget.cxx (label and the button that centres the view).
"""

from __future__ import annotations

import slicer
from PySide6.QtWidgets import QVBoxLayout, QWidget

from Testing.host.views.controller_bar import ControllerBar
from Testing.host.views.scheduler import RenderScheduler
from Testing.host.views.threed_view import ThreeDView


class ThreeDWidget(QWidget):
    """Joins a view logic, its controller bar and its drawing area."""

    def __init__(self, app_logic, scheduler: RenderScheduler, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._logic = slicer.vtkMRMLViewLogic()
        self._logic.SetMRMLApplicationLogic(app_logic)
        self._controller = ControllerBar("Center the view on everything that is shown.")
        self._controller.fit_requested.connect(self._center)
        self._view = ThreeDView(scheduler)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._controller)
        layout.addWidget(self._view, 1)

    def viewLogic(self):
        """The vtkMRMLViewLogic."""
        return self._logic

    def logic(self):
        """The vtkMRMLViewLogic."""
        return self._logic

    def mrmlViewNode(self):
        """The vtkMRMLViewNode, or None."""
        return self._view.mrmlViewNode()

    def mrmlAbstractViewNode(self):
        """The vtkMRMLViewNode, or None."""
        return self.mrmlViewNode()

    def threeDView(self) -> ThreeDView:
        """The drawing area."""
        return self._view

    def viewWidget(self) -> ThreeDView:
        """The drawing area."""
        return self._view

    def threeDController(self) -> ControllerBar:
        """The bar."""
        return self._controller

    def setMRMLViewNode(self, node) -> None:
        """Shows the objects of `node`, a vtkMRMLViewNode."""
        self._view.setMRMLViewNode(node)
        self._logic.SetName(node.GetLayoutName())
        self._controller.show_node(node)

    def setMRMLScene(self, scene) -> None:
        """Connects logic and view with `scene`; None before the view is destroyed."""
        self._logic.SetMRMLScene(scene)
        self._view.setMRMLScene(scene)

    def finalize(self) -> None:
        """Removes every observer and frees the OpenGL context."""
        self._controller.finalize()
        self._view.finalize()
        self._logic.SetMRMLScene(None)
        self._logic.SetMRMLApplicationLogic(None)

    def _center(self) -> None:
        self._view.resetFocalPoint()
