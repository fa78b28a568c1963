"""Suggested regions as lists of points that the user can move, each drawn as large as its sphere."""

from collections.abc import Iterable, Mapping
from typing import Any

import slicer
from slicer.i18n import tr as _

from HierSynthPanel import nodes, roi_nodes
from HierSynthPanel.measured_maps import ACQUIRED, SYNTHETIC
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.roi_reference import MOVED, OTHERS, RADIUS_MM, REFERENCE_NAME

OPACITY = 0.4
"""So that the voxels under the sphere can be seen."""

COLORS = {SYNTHETIC: (0.2, 0.9, 1.0), ACQUIRED: (1.0, 0.4, 0.9)}
REFERENCE_COLOR = (0.5, 1.0, 0.5)


def show_reference(region: Mapping[str, Any], simulated: bool) -> Any:
    """Put the spheres of a suggested reference into the scene, instead of those suggested before; the node.

    Spheres that the user has added stay.
    """
    spheres = region["shapes"]
    labels = [_("NAWM {number}").format(number=number) for number in range(1, len(spheres) + 1)]
    node = roi_nodes.points_with_role(roi_nodes.REFERENCE)
    if node is None:
        node = _new_points(REFERENCE_NAME, roi_nodes.REFERENCE, simulated)
    _place(node, zip(labels, [sphere["centre"] for sphere in spheres], strict=True))
    added = any(not point.suggested for point in roi_nodes.placed_points(node))
    node.SetAttribute(MOVED, OTHERS if added else None)
    _draw(node, 2 * RADIUS_MM, REFERENCE_COLOR)
    return node


def show_hotspots(of_map: str, regions: Iterable[Mapping[str, Any]], diameter_mm: float, simulated: bool) -> Any:
    """Put the hotspots suggested on a map into the scene, instead of those suggested before on it; the node.

    Hotspots that the user has added stay.
    """
    node = roi_nodes.points_with_role(roi_nodes.HOTSPOT, of_map)
    if node is None:
        node = _new_points(_("Hotspots ({map})").format(map=of_map), roi_nodes.HOTSPOT, simulated)
        node.SetAttribute(roi_nodes.OF_MAP, of_map)
    roi_nodes.tick(node, True)
    _place(node, [(region["name"], region["shapes"][0]["centre"]) for region in regions])
    _draw(node, diameter_mm, COLORS[of_map])
    return node


def resize_hotspots(parameters: HierSynthParameters) -> None:
    """Draw all hotspots as large as they are measured."""
    for node in slicer.util.getNodesByClass(roi_nodes.POINTS):
        display = node.GetDisplayNode()
        if node.GetAttribute(roi_nodes.ROLE) == roi_nodes.HOTSPOT and display is not None:
            display.SetGlyphSize(parameters.hotspotDiameter)


def _new_points(name: str, role: str, simulated: bool) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass(roi_nodes.POINTS, slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAttribute(roi_nodes.ROLE, role)
    node.SetAttribute(nodes.SIMULATED, "1" if simulated else "0")
    return node


def _place(node: Any, points: Iterable[tuple[str, Iterable[float]]]) -> None:
    with slicer.util.NodeModify(node):
        fixed = node.GetFixedNumberOfControlPoints()
        node.SetFixedNumberOfControlPoints(False)
        for number in reversed(range(node.GetNumberOfControlPoints())):
            if node.GetNthControlPointDescription(number) == roi_nodes.SUGGESTED:
                node.RemoveNthControlPoint(number)
        for label, position in points:
            number = node.AddControlPointWorld(list(position), label)
            node.SetNthControlPointDescription(number, roi_nodes.SUGGESTED)
        node.SetFixedNumberOfControlPoints(fixed)


def _draw(node: Any, diameter_mm: float, color: tuple[float, float, float]) -> None:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetGlyphTypeFromString("Circle2D")
        display.UseGlyphScaleOff()
        display.SetGlyphSize(diameter_mm)
        display.SetOpacity(OPACITY)
        display.SetSelectedColor(*color)
        display.SetColor(*color)
