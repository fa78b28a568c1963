"""The arterial input function as a list of points: shown where it was found, and changed by the user."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import slicer
from slicer.i18n import tr as _

from HierSynthLib.perfusion.voxel_curve import centres_of
from HierSynthPanel import nodes, roi_nodes
from HierSynthPanel.observers import Observers
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.point_lists import new_points, place_by_click
from HierSynthPanel.result_nodes import Destination

FOUND = "HierSynth.AifFound"
"""Attribute of the list: the places (under its parent transform) that the processing put its points at, as JSON."""

COLOR = (1.0, 0.25, 0.25)
DIAMETER_MM = 4.0


class AifPoints:
    """The list of points, kept in the parameters.

    Args:
        on_change: called when a point was moved, added or removed, or the list has gone.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._parameters: HierSynthParameters | None = None
        self._observers = Observers()

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Follow the list of these parameters from now on."""
        self.release()
        self._parameters = parameters
        self.follow()

    def release(self) -> None:
        """Follow no list."""
        self._observers.clear()
        self._parameters = None

    def follow(self) -> None:
        """Observe the list that the parameters name now."""
        node = self.node
        self._observers.keep(lambda subject: subject is node)
        if node is not None:
            for event in roi_nodes.content_events(node):
                self._observers.add(node, event, self._on_event)

    @property
    def node(self) -> Any:
        """The list in the scene; None without one."""
        found = self._parameters.dscAif if self._parameters is not None else None
        return found if nodes.present(found) else None

    @property
    def positions(self) -> list[list[float]]:
        """Where the points are in the world, RAS mm, transforms of any kind included."""
        node = self.node
        return [list(point.position) for point in roi_nodes.placed_points(node)] if node is not None else []

    @property
    def edited(self) -> bool:
        """Whether the points are others than those that were found."""
        node = self.node
        return node is not None and _places(node) != (node.GetAttribute(FOUND) or "[]")

    def show_found(self, found: Mapping[str, Any], destination: Destination) -> None:
        """Put the points where arteries were found, instead of those before.

        Args:
            found: "voxels" and "positions_ras_mm" (in the world, when the run began) of the worker's result.
            destination: where the maps of the run belong; the points move with its reference.
        """
        node = self.node
        self._observers.clear()
        with slicer.util.NodeModify(node):
            if destination.unmoved:
                # Under the transform of now, as the maps: the series may have been moved since the run began.
                node.SetAndObserveTransformNodeID(destination.reference.GetTransformNodeID())
                positions, add = centres_of(found["voxels"], destination.local), node.AddControlPoint
            else:
                node.SetAndObserveTransformNodeID(None)
                positions, add = found["positions_ras_mm"], node.AddControlPointWorld
            node.RemoveAllControlPoints()
            for number, position in enumerate(positions, start=1):
                add(position, _("artery {number}").format(number=number))
            node.SetAttribute(FOUND, _places(node))
        self.follow()

    def place(self, simulated: bool) -> None:
        """Let the user click a further point into a view."""
        self.make(simulated)
        place_by_click(self.node)

    def make(self, simulated: bool) -> None:
        """Add an empty list to the scene where there is none.

        Args:
            simulated: whether the patient is a simulated one.
        """
        if self.node is None:
            node = new_points(_("AIF (DSC)"), roi_nodes.AIF, COLOR, DIAMETER_MM, simulated)
            node.SetNodeReferenceID(nodes.SERIES, self._parameters.dsc.GetID())
            self._parameters.dscAif = node
            self.follow()

    def change_series(self) -> None:
        """Another series was chosen: take the points that the user has placed in it, and none of the series before.

        Points that were only found are removed, since a run finds them again; others stay in the scene.
        """
        before, series = self.node, self._parameters.dsc
        if before is not None and not self.edited:
            slicer.mrmlScene.RemoveNode(before)
        lists = slicer.util.getNodesByClass(roi_nodes.POINTS)
        own = [node for node in lists if node.GetAttribute(roi_nodes.ROLE) == roi_nodes.AIF]
        self._parameters.dscAif = next((node for node in own if node.GetNodeReference(nodes.SERIES) is series), None)
        self.follow()

    def _on_event(self, *_args: object) -> None:
        self._on_change()


def _places(node: Any) -> str:
    """Where the points are under the list's parent transform: a transform that moves all of them changes nothing."""
    placed = slicer.vtkMRMLMarkupsNode.PositionDefined
    numbers = [n for n in range(node.GetNumberOfControlPoints()) if node.GetNthControlPointPositionStatus(n) == placed]
    # To a hundredth of a millimetre, as scene files keep them.
    return json.dumps([[f"{axis:.2f}" for axis in node.GetNthControlPointPosition(n)] for n in numbers])
