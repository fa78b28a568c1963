"""The synthetic map in 3-D: maximum intensity projection of what lies above the threshold."""

from typing import Any

import slicer

from HierSynthPanel import views
from HierSynthPanel.parameters import HierSynthParameters

OURS = "HierSynth.Volume"
"""Attribute of the volume rendering display nodes that were set up here."""


def show(parameters: HierSynthParameters) -> None:
    """Show the synthetic map in HierSynth's 3-D view, with the colours, window and threshold of the slices."""
    view, node = views.volume_view_node(), parameters.synthetic
    if view is None or node is None:
        return
    logic = slicer.modules.volumerendering.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(node)
    first = display is None
    if first:
        display = logic.CreateDefaultVolumeRenderingNodes(node)
        display.RemoveAllViewNodeIDs()
    display.SetAttribute(OURS, "1")
    hide(except_for=display)
    _set_up(view)
    if not display.IsViewNodeIDPresent(view.GetID()):
        display.AddViewNodeID(view.GetID())
    update(parameters)
    display.SetVisibility(True)
    if first:
        look_at_all()


def update(parameters: HierSynthParameters) -> None:
    """Take over colours, window and threshold of the slices, where the map has been shown in 3-D already."""
    node = parameters.synthetic
    logic = slicer.modules.volumerendering.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(node) if node is not None else None
    if display is not None and display.GetAttribute(OURS) is not None:
        logic.CopyDisplayToVolumeRenderingDisplayNode(display, node.GetScalarVolumeDisplayNode())


def hide(except_for: Any = None) -> None:
    """Stop drawing the maps in 3-D, all but one."""
    for display in slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode"):
        if display.GetAttribute(OURS) is not None and display != except_for:
            display.SetVisibility(False)


def look_at_all() -> None:
    """Turn the camera of HierSynth's 3-D view to the whole map."""
    widget = views.volume_widget()
    if widget is not None:
        widget.threeDView().resetFocalPoint()
        widget.threeDView().resetCamera()


def _set_up(view: Any) -> None:
    with slicer.util.NodeModify(view):
        view.SetRaycastTechnique(view.MaximumIntensityProjection)
        view.SetBackgroundColor(0.0, 0.0, 0.0)
        view.SetBackgroundColor2(0.0, 0.0, 0.0)
        view.SetBoxVisible(False)
        view.SetAxisLabelsVisible(False)
