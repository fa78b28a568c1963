"""Hears of every change of the scene after which regions have to be listed or measured anew."""

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk

from HierSynthPanel import nodes, roi_nodes
from HierSynthPanel.measured_maps import OTHERS
from HierSynthPanel.observers import Observers
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.roi_reference import chosen_reference

COLLECT_MS = 15
"""Changes within this time are one; while a point is dragged they come with every movement of the mouse."""


class RoiWatch:
    """Observes the parameters, the measured volumes and all nodes with regions.

    Args:
        on_change: called a moment after something has changed.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._parameters: HierSynthParameters | None = None
        self._observers = Observers()
        self._timer = qt.QTimer()
        self._timer.interval = COLLECT_MS
        self._timer.timeout.connect(self._tell)

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Observe what belongs to these parameters."""
        self.release()
        self._parameters = parameters
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self._observers.add(scene, event, self.schedule)
        self._observers.add(parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self.schedule)
        self.schedule()

    def release(self) -> None:
        """Observe nothing."""
        self._timer.stop()
        self._observers.clear()
        self._parameters = None

    def schedule(self, *_args: object) -> None:
        """Tell soon. The time is not begun anew, so that a drag is followed while it lasts."""
        if self._parameters is not None and not self._timer.active:
            self._timer.start()

    def _tell(self, *_args: object) -> None:
        if slicer.mrmlScene.IsBatchProcessing():
            return
        self._timer.stop()
        self._observe()
        self._on_change()

    def _observe(self) -> None:
        regions, volumes = self._region_nodes(), self._volumes()
        always = (slicer.mrmlScene, self._parameters.parameterNode)
        kept = [*regions, *volumes, *always]
        self._observers.keep(lambda subject: any(subject is each for each in kept))
        for node in regions:
            for event in roi_nodes.content_events(node):
                self._observers.add(node, event, self.schedule)
        moved = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        for node in volumes:
            for event in (vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, moved):
                self._observers.add(node, event, self.schedule)

    def _region_nodes(self) -> list[Any]:
        reference = chosen_reference(self._parameters)
        return [*roi_nodes.region_nodes(), *([reference.node] if reference is not None else [])]

    def _volumes(self) -> list[Any]:
        names = ("synthetic", "acquired", "uncertainty", *(volume for volume, _ticked in OTHERS.values()))
        found = [getattr(self._parameters, name) for name in names]
        return [node for node in found if nodes.present(node)]
