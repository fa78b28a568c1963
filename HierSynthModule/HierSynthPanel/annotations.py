"""The words SYNTHETIC and SIMULATED in every view that shows such a map.

The words are text of their own in the views, because Slicer's DataProbe keeps rewriting the corner texts of the slice
views.
"""

from dataclasses import dataclass
from typing import Any

import qt
import slicer
import vtk

from HierSynthPanel import nodes
from HierSynthPanel.observers import Observers

SYNTHETIC_TEXT = "SYNTHETIC – research only"
SIMULATED_TEXT = "SIMULATED"

COLOR = (1.0, 0.85, 0.2)
FONT_SIZE = 14


@dataclass
class _Words:
    """The text of one view."""

    actor: Any
    renderer: Any


class MapAnnotations:
    """Keeps the words in the views, also while the user is in another module, until `cleanup`."""

    def __init__(self) -> None:
        self._words: dict[str, _Words] = {}
        self._scene_observers = Observers()
        self._node_observers = Observers()
        self._timer = qt.QTimer()
        self._timer.interval = 0
        self._timer.timeout.connect(self._update)
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent):
            self._scene_observers.add(scene, event, self._later)
        layout = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
        self._scene_observers.add(layout, vtk.vtkCommand.ModifiedEvent, self._later)
        self._later()

    def cleanup(self) -> None:
        """Take the words away and leave no observer and no timer behind."""
        self._scene_observers.clear()
        self._node_observers.clear()
        self._timer.stop()
        self._timer.timeout.disconnect(self._update)
        for words in self._words.values():
            words.renderer.RemoveActor(words.actor)
        self._words.clear()

    def _later(self, *_args: object) -> None:
        # Views are made after their nodes, and many changes come at once.
        self._timer.start()

    def _update(self, *_args: object) -> None:
        self._timer.stop()
        if slicer.mrmlScene.IsBatchProcessing():
            return
        self._node_observers.keep(nodes.present)
        manager = slicer.app.layoutManager()
        names = manager.sliceViewNames()
        for name in names:
            widget = manager.sliceWidget(name)
            if widget is not None:
                self._watch(widget.mrmlSliceCompositeNode())
                self._watch(widget.sliceLogic().GetSliceModelDisplayNode())
                self._write(name, text_for(shown_maps(widget.mrmlSliceCompositeNode())), widget.sliceView())
        for node in slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode"):
            self._watch(node)
        views = [manager.threeDWidget(number).threeDView() for number in range(manager.threeDViewCount)]
        for view in views:
            self._write(view.mrmlViewNode().GetID(), text_for(maps_in_space(view.mrmlViewNode())), view)
        present = {*names, *(view.mrmlViewNode().GetID() for view in views)}
        self._words = {name: words for name, words in self._words.items() if name in present}

    def _watch(self, node: Any) -> None:
        if node is not None:
            self._node_observers.add(node, vtk.vtkCommand.ModifiedEvent, self._later)

    def _write(self, name: str, text: str, view: Any) -> None:
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        words = self._words.get(name)
        if words is None or words.renderer != renderer:
            if not text:
                return
            words = self._words[name] = _Words(_text_actor(), renderer)
        if not renderer.HasViewProp(words.actor):
            renderer.AddActor(words.actor)
        elif words.actor.GetInput() == text:
            return
        words.actor.SetInput(text)
        view.scheduleRender()


def text_for(maps: list[Any]) -> str:
    """The words that a view with these volume nodes has to carry; "" for none."""
    if not any(node.GetAttribute(nodes.SYNTHETIC) == "1" for node in maps):
        return ""
    simulated = any(node.GetAttribute(nodes.SIMULATED) == "1" for node in maps)
    return f"{SYNTHETIC_TEXT}\n{SIMULATED_TEXT}" if simulated else SYNTHETIC_TEXT


def shown_maps(composite: Any) -> list[Any]:
    """The volume nodes that a slice view shows in its layers, without those whose opacity is 0."""
    if composite is None:
        return []
    layers = (
        (composite.GetBackgroundVolumeID(), 1.0),
        (composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()),
        (composite.GetLabelVolumeID(), composite.GetLabelOpacity()),
    )
    found = [slicer.mrmlScene.GetNodeByID(node_id) for node_id, opacity in layers if node_id and opacity > 0.0]
    return [node for node in found if node is not None]


def maps_in_space(view_node: Any) -> list[Any]:
    """The volume nodes that a 3-D view shows, as volume renderings or on slices."""
    rendered = [
        display.GetVolumeNode()
        for display in slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode")
        if display.GetVisibility() and display.IsDisplayableInView(view_node.GetID())
    ]
    on_slices = []
    logics = slicer.app.applicationLogic().GetSliceLogics()
    for number in range(logics.GetNumberOfItems()):
        logic = logics.GetItemAsObject(number)
        display = logic.GetSliceModelDisplayNode()
        if display is not None and display.GetVisibility() and display.IsDisplayableInView(view_node.GetID()):
            on_slices += shown_maps(logic.GetSliceCompositeNode())
    return [node for node in [*rendered, *on_slices] if node is not None]


def _text_actor() -> Any:
    actor = vtk.vtkTextActor()
    position = actor.GetPositionCoordinate()
    position.SetCoordinateSystemToNormalizedViewport()
    position.SetValue(0.5, 0.99)
    style = actor.GetTextProperty()
    style.SetColor(*COLOR)
    style.SetFontSize(FONT_SIZE)
    style.SetFontFamilyToArial()
    style.SetBold(True)
    style.SetShadow(True)
    style.SetJustificationToCentered()
    style.SetVerticalJustificationToTop()
    actor.PickableOff()
    return actor
