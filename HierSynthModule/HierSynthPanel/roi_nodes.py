"""The nodes of the scene that hold regions: which there are, what they are for, whether they are measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from HierSynthPanel import nodes
from HierSynthPanel.parameters import HierSynthParameters

TICKED = "HierSynth.Region"
"""Attribute of a node: "1" where its regions are measured, "0" where the user does not want that."""

ROLE = "HierSynth.RegionRole"
"""Attribute of a list of points of HierSynth: HOTSPOT, or one of `NO_REGION`."""

HOTSPOT = "hotspot"
REFERENCE = "reference"
AIF = "aif"
PROBE = "curve"
NO_REGION = (REFERENCE, AIF, PROBE)
"""Roles of lists of points that are not measured; the reference is chosen apart from the regions."""

OF_MAP = "HierSynth.RegionMap"
"""Attribute of a list of hotspots: name of the map that they were suggested on."""

SEGMENTATION = "vtkMRMLSegmentationNode"
LABEL_MAP = "vtkMRMLLabelMapVolumeNode"
BOX = "vtkMRMLMarkupsROINode"
CURVE = "vtkMRMLMarkupsClosedCurveNode"
POINTS = "vtkMRMLMarkupsFiducialNode"
CLASSES = (SEGMENTATION, LABEL_MAP, BOX, CURVE, POINTS)

SUGGESTED = "suggested by HierSynth"
"""Description of a point that the user has not added."""

Position = tuple[float, float, float]
"""RAS mm."""


@dataclass(frozen=True)
class PlacedPoint:
    """A point of a list.

    Attributes:
        key: the same as long as the scene is open, whatever its name and place.
        name: its label, or the name of the list with its number.
        position: in the world.
        suggested: whether HierSynth put it there first.
    """

    key: str
    name: str
    position: Position
    suggested: bool


def region_nodes() -> list[Any]:
    """The nodes whose regions the user may measure; the reference is chosen apart from them."""
    found = [node for kind in CLASSES for node in slicer.util.getNodesByClass(kind)]
    return [node for node in found if not node.GetHideFromEditors() and node.GetAttribute(ROLE) not in NO_REGION]


def is_region_node(node: Any) -> bool:
    """Whether a node may hold regions."""
    return any(node.IsA(kind) for kind in CLASSES)


def is_ticked(node: Any, parameters: HierSynthParameters) -> bool:
    """Whether the regions of a node are measured; those of the chosen segmentation are, unless the user says no."""
    ticked = node.GetAttribute(TICKED)
    return ticked == "1" if ticked is not None else node == parameters.roi


def tick(node: Any, ticked: bool) -> None:
    """Have the regions of a node measured, or not."""
    node.SetAttribute(TICKED, "1" if ticked else "0")


def kind_of(node: Any) -> str:
    """What a node is, in words."""
    if node.IsA(SEGMENTATION):
        count = node.GetSegmentation().GetNumberOfSegments()
        return _("1 segment") if count == 1 else _("{count} segments").format(count=count)
    if node.IsA(LABEL_MAP):
        return _("label map")
    if node.IsA(BOX):
        return _("box")
    if node.IsA(CURVE):
        return _("closed curve")
    count = node.GetNumberOfControlPoints()
    return _("1 point") if count == 1 else _("{count} points").format(count=count)


def points_with_role(role: str, of_map: str = "") -> Any:
    """The list of points of a role, of hotspots those of one map; None where there is none."""
    for node in slicer.util.getNodesByClass(POINTS):
        if node.GetAttribute(ROLE) == role and (not of_map or node.GetAttribute(OF_MAP) == of_map):
            return node
    return None


def segments() -> Iterator[tuple[Any, str, str]]:
    """Node, identifier and name of every segment in the scene."""
    for node in slicer.util.getNodesByClass(SEGMENTATION):
        segmentation = node.GetSegmentation()
        for segment in segmentation.GetSegmentIDs():
            yield node, segment, name_of_segment(segmentation.GetSegment(segment), segment)


def name_of_segment(segment: Any, identifier: str) -> str:
    """As the user sees it; its identifier where it has no name."""
    return (segment.GetName() or "").strip() or identifier


def placed_points(node: Any) -> list[PlacedPoint]:
    """Those points of a list that have been placed."""
    placed = slicer.vtkMRMLMarkupsNode.PositionDefined
    numbers = [n for n in range(node.GetNumberOfControlPoints()) if node.GetNthControlPointPositionStatus(n) == placed]
    return [
        PlacedPoint(
            f"{node.GetID()} {node.GetNthControlPointID(n)}",
            node.GetNthControlPointLabel(n).strip() or f"{node.GetName()} {n + 1}",
            tuple(node.GetNthControlPointPositionWorld(n)),
            node.GetNthControlPointDescription(n) == SUGGESTED,
        )
        for n in numbers
    ]


def content_events(node: Any) -> set[int]:
    """The events of a node after which its regions, their names or their place may be other ones."""
    listed = node.GetContentModifiedEvents()
    events = {listed.GetValue(index) for index in range(listed.GetNumberOfTuples())}
    events |= {vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLTransformableNode.TransformModifiedEvent}
    if isinstance(node, slicer.vtkMRMLMarkupsNode):
        markups = slicer.vtkMRMLMarkupsNode
        events |= {markups.PointAddedEvent, markups.PointRemovedEvent, markups.PointModifiedEvent}
    return events


def cannot_be_used(node: Any) -> str:
    """Why the place of a node's regions is not known; "" where it is."""
    if not nodes.is_under_warp(node):
        return ""
    return _(
        "{name} lies under a transform that is not linear. Harden the transform first (module Data or Transforms)."
    ).format(name=node.GetName())
