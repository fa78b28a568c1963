"""Lists of points that the panel makes: drawn as large as they are in the patient, placed by a click."""

from typing import Any

import slicer

from HierSynthPanel import nodes, roi_nodes

OPACITY = 0.7


def new_points(name: str, role: str, color: tuple[float, float, float], diameter_mm: float, simulated: bool) -> Any:
    """Add a list of points to the scene."""
    scene = slicer.mrmlScene
    node = scene.AddNewNodeByClass(roi_nodes.POINTS, scene.GenerateUniqueName(name))
    node.SetAttribute(roi_nodes.ROLE, role)
    node.SetAttribute(nodes.SIMULATED, "1" if simulated else "0")
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetGlyphTypeFromString("Circle2D")
        display.UseGlyphScaleOff()
        display.SetGlyphSize(diameter_mm)
        display.SetOpacity(OPACITY)
        display.SetSelectedColor(*color)
        display.SetColor(*color)
        display.PointLabelsVisibilityOff()
    return node


def place_by_click(node: Any) -> None:
    """Let the next click into a view add a point to a list."""
    logic = slicer.modules.markups.logic()
    logic.SetActiveList(node)
    logic.StartPlaceMode(False)
