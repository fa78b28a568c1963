"""A slice view with its controller bar.

Followed: qMRMLSliceWidget.cxx.
"""

from __future__ import annotations

import slicer
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget
from vtkmodules.vtkRenderingAnnotation import vtkCornerAnnotation

from Testing.host.observers import Observers
from Testing.host.views.scheduler import RenderScheduler
from Testing.host.views.slice_controller import SliceController
from Testing.host.views.slice_view import SliceView


class SliceWidget(QWidget):
    """Joins a slice logic, its controller bar and its drawing area."""

    def __init__(self, app_logic, scheduler: RenderScheduler, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._observers = Observers()
        self._scene = None
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(app_logic)
        self._controller = SliceController(logic, app_logic)
        self._view = SliceView(scheduler)
        self._view.interactorObserver().SetSliceLogic(logic)
        self._view.resized.connect(self._set_view_size)
        self._controller.imageDataConnectionChanged.connect(self._view.setImageDataConnection)
        self._controller.renderRequested.connect(self._view.scheduleRender, Qt.ConnectionType.QueuedConnection)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._controller)
        layout.addWidget(self._view, 1)

    def sliceLogic(self):
        """The vtkMRMLSliceLogic."""
        return self._controller.sliceLogic()

    def logic(self):
        """The vtkMRMLSliceLogic."""
        return self.sliceLogic()

    def mrmlSliceNode(self):
        """The vtkMRMLSliceNode, or None."""
        return self._controller.mrmlSliceNode()

    def mrmlAbstractViewNode(self):
        """The vtkMRMLSliceNode, or None."""
        return self.mrmlSliceNode()

    def mrmlSliceCompositeNode(self):
        """The vtkMRMLSliceCompositeNode, or None."""
        return self._controller.mrmlSliceCompositeNode()

    def sliceController(self) -> SliceController:
        """The bar."""
        return self._controller

    def sliceView(self) -> SliceView:
        """The drawing area."""
        return self._view

    def viewWidget(self) -> SliceView:
        """The drawing area."""
        return self._view

    def interactorStyle(self):
        """The style of the view's interactor."""
        return self._view.interactorStyle()

    def overlayCornerAnnotation(self) -> vtkCornerAnnotation:
        """The corner texts in front of everything."""
        return self._view.overlayCornerAnnotation()

    def fitSliceToBackground(self) -> None:
        """Shows the whole lowest volume layer."""
        self._controller.fitSliceToBackground()

    def setMRMLSliceNode(self, node) -> None:
        """Shows the slice of `node`, a vtkMRMLSliceNode."""
        self.sliceLogic().SetSliceNode(node)
        if node is not None and node.GetScene() is not None:
            self.sliceLogic().SetMRMLScene(node.GetScene())
        self._view.setMRMLSliceNode(node)

    def setMRMLScene(self, scene) -> None:
        """Connects logic and view with `scene`; None before the view is destroyed."""
        if self._scene is not None:
            self._observers.remove_from(self._scene)
        self._scene = scene
        self.sliceLogic().SetMRMLScene(scene)
        self._view.setMRMLScene(scene)
        if scene is not None:
            # When a scene is closed, the slice node loses the size of the view.
            self._observers.add(scene, scene.EndBatchProcessEvent, self._on_batch_ended)
        self._controller.update_from_logic()

    def finalize(self) -> None:
        """Removes every observer and frees the OpenGL context."""
        self._observers.clear()
        self._controller.finalize()
        self._view.interactorObserver().SetSliceLogic(None)
        self._view.finalize()
        self.sliceLogic().SetMRMLScene(None)
        self.sliceLogic().SetMRMLApplicationLogic(None)

    def _set_view_size(self, size: QSize) -> None:
        self._controller.setSliceViewSize((size.toSizeF() * self._view.devicePixelRatioF()).toSize())

    def _on_batch_ended(self, _scene) -> None:
        self._set_view_size(self._view.size())
