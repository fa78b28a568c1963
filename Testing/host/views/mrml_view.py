"""What slice views and 3-D views share: displayable managers, a view node and a scene.

Followed: qMRMLSliceView.cxx and qMRMLThreeDView.cxx.
"""

from __future__ import annotations

import slicer
from PySide6.QtWidgets import QWidget
from vtkmodules.vtkCommonCore import vtkCommand

from Testing.host.views.abstract_view import AbstractView
from Testing.host.views.scheduler import RenderScheduler


class MRMLView(AbstractView):
    """Shows what the displayable managers make of the scene for one view node."""

    def __init__(self, factory, interactor_observer, scheduler: RenderScheduler, parent: QWidget | None = None) -> None:
        """Creates the displayable managers.

        Args:
            factory: vtkMRMLDisplayableManagerFactory of this kind of view.
            interactor_observer: vtkMRMLViewInteractorStyle that hands events to the displayable managers.
            scheduler: Decides when the view is drawn.
            parent: Parent widget.
        """
        super().__init__(scheduler, parent)
        self._view_node = None
        self._scene = None
        # Not factory.InstantiateDisplayableManagers(): called from Python, its result is never freed.
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.Initialize(factory, self._renderer)
        self._observers.add(self._managers, vtkCommand.UpdateEvent, self.scheduleRender)
        self._interactor_observer = interactor_observer
        self._interactor_observer.SetDisplayableManagers(self._managers)
        self._interactor_observer.SetInteractor(self._interactor)
        self.setRenderEnabled(False)

    def interactorObserver(self):
        """The vtkMRMLViewInteractorStyle that hands events to the displayable managers."""
        return self._interactor_observer

    def displayableManagerGroup(self):
        """The vtkMRMLDisplayableManagerGroup of this view."""
        return self._managers

    def displayableManagerByClassName(self, name: str):
        """The displayable manager of that class, or None."""
        return self._managers.GetDisplayableManagerByClassName(name)

    def getDisplayableManagers(self, collection) -> None:
        """Adds the displayable managers to `collection`, a vtkCollection."""
        for index in range(self._managers.GetDisplayableManagerCount()):
            collection.AddItem(self._managers.GetNthDisplayableManager(index))

    def mrmlScene(self):
        """The vtkMRMLScene, or None."""
        return self._scene

    def set_view_node(self, node) -> None:
        """Shows the objects of the view node `node`, or of none."""
        if self._view_node is node:
            return
        self._view_node = node
        self._managers.SetMRMLDisplayableNode(node)
        self.setEnabled(node is not None)

    def setMRMLScene(self, scene) -> None:
        """Stops drawing while the scene is being loaded, closed or imported."""
        if scene is self._scene:
            return
        if self._scene is not None:
            self._observers.remove_from(self._scene)
        self._scene = scene
        if scene is not None:
            self._observers.add(scene, scene.StartBatchProcessEvent, self._on_batch_started)
            self._observers.add(scene, scene.EndBatchProcessEvent, self._on_batch_ended)
        if self._view_node is not None and self._view_node.GetScene() is not scene:
            self.set_view_node(None)
        self.setRenderEnabled(scene is not None and not scene.IsBatchProcessing())

    def finalize(self) -> None:
        """As the base class; also lets go of node and displayable managers."""
        self.set_view_node(None)
        self._interactor_observer.SetInteractor(None)
        super().finalize()

    def _on_batch_started(self, _scene) -> None:
        self.setRenderEnabled(False)

    def _on_batch_ended(self, _scene) -> None:
        self.setRenderEnabled(True)
