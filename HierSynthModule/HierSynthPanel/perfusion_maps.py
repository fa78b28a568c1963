"""Maps of a DSC series as volume nodes beside the series."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from HierSynthLib.case import CBV_UNITS
from HierSynthPanel import kept_place, nodes, views
from HierSynthPanel.color_maps import CBV_MAPS, DIFFERENCE, color_node
from HierSynthPanel.map_style import BACKGROUND_BELOW, LEGEND_PLACE, LEGEND_SIZE, NO_LIMIT
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.result_nodes import Destination, put_image

PREFIX = "DSC "
"""Before the name of a map in the attribute `nodes.MAP`."""

SIGNED = ("K2",)
"""Maps of which the sign counts."""

TITLES = {
    "nrCBV": "CBV",
    "nrCBV_uncorrected": "CBV without leakage correction",
    "rCBV": "rCBV",
    "rCBV_uncorrected": "rCBV without leakage correction",
    "rCBV_standardised": "rCBV standardised",
    "CBV": "absolute CBV",
}
"""Name of a map → its words, where they differ."""


def title_of(name: str) -> str:
    """A map as the user sees it."""
    return TITLES.get(name, name)


def show_map(
    name: str, image: Any, affine: np.ndarray, series: Any, destination: Destination, result: Mapping[str, Any]
) -> Any:
    """Put a map of a series into the scene, instead of the one that an earlier run has made of it; its node.

    A name and a place that the user has given to the earlier one are kept. Where its place no longer fits, the new map
    gets a node of its own.

    Args:
        name: of the map in the worker's result.
        image: its voxels, vtkImageData.
        affine: (4, 4) voxel index → position in the world, RAS mm, when the run began.
        series: the node that it was computed from.
        destination: where it belongs.
        result: of the worker's job, with the text of its run.json as "run_text".
    """
    node = _earlier_map(name, series)
    moved = node is not None and kept_place.is_moved(node)
    if node is None or (moved and not kept_place.fits(node, image, affine, destination)):
        _release(node)
        node, moved = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"), False
    modifying = node.StartModify()
    mark = _(" (simulated)") if destination.simulated else ""
    kept_place.name(node, f"{destination.name} {title_of(name)} (DSC){mark}")
    node.SetAttribute(nodes.MAP, PREFIX + name)
    node.SetAttribute(nodes.SYNTHETIC, None)
    node.SetAttribute(nodes.SIMULATED, "1" if destination.simulated else "0")
    node.SetAttribute(nodes.UNITS, result["units"][name])
    node.SetAttribute(nodes.RUN, result["run_text"])
    if nodes.present(series):
        node.SetNodeReferenceID(nodes.SERIES, series.GetID())
    if moved:
        node.SetAndObserveImageData(image)
    else:
        put_image(node, image, affine, destination)
        kept_place.remember_place(node)
    node.EndModify(modifying)
    return node


def style_map(node: Any, name: str, window: list[float], parameters: HierSynthParameters) -> None:
    """Give a map its colours: nrCBV those of the other CBV maps, others the window that suits their values."""
    relative = node.GetAttribute(nodes.UNITS) == CBV_UNITS
    colors = DIFFERENCE if name in SIGNED else CBV_MAPS.get(parameters.colorMap, CBV_MAPS["Inferno"])
    display = node.GetScalarVolumeDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetInterpolate(True)
        display.SetAndObserveColorNodeID(color_node(colors).GetID())
        display.SetInvertDisplayScalarRange(colors.inverted)
        display.SetWindowLevelMinMax(*((parameters.windowLow, parameters.windowHigh) if relative else window))
        if name in SIGNED:
            display.SetWindowLevel(display.GetWindow(), 0.0)
        display.SetThreshold(max(parameters.threshold, BACKGROUND_BELOW) if relative else BACKGROUND_BELOW, NO_LIMIT)
        display.SetApplyThreshold(name not in SIGNED)
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(display)
    with slicer.util.NodeModify(legend):
        legend.SetTitleText(f"{title_of(name)}\n{node.GetAttribute(nodes.UNITS)}")
        legend.SetPosition(*LEGEND_PLACE)
        legend.SetSize(*LEGEND_SIZE)
        legend.SetVisibility(True)


def lay_over(node: Any, anatomy: Any, opacity: float) -> Iterator[None]:
    """Show a map over an anatomy in Slicer's slice views, one after the other."""
    for composite in views.overlay_composites():
        # Colour legends follow the layers only when these flags say that layers change.
        composite.SetInteractionFlags(composite.BackgroundVolumeFlag | composite.ForegroundVolumeFlag)
        with slicer.util.NodeModify(composite):
            if nodes.present(anatomy):
                composite.SetBackgroundVolumeID(anatomy.GetID())
            composite.SetForegroundVolumeID(node.GetID())
            composite.SetForegroundOpacity(opacity)
        composite.SetInteractionFlags(0)
        yield


def _release(node: Any) -> None:
    """A map that was moved stays the user's: it is not replaced any more."""
    if node is not None:
        node.SetNodeReferenceID(nodes.SERIES, None)


def _earlier_map(name: str, series: Any) -> Any:
    if not nodes.present(series):
        return None
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if node.GetAttribute(nodes.MAP) == PREFIX + name and node.GetNodeReferenceID(nodes.SERIES) == series.GetID():
            return node
    return None
