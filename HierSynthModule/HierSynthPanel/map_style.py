"""How the maps look: colours, common window, threshold and colour legend."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import slicer

from HierSynthPanel import nodes
from HierSynthPanel.color_maps import CBV_MAPS, DIFFERENCE, UNCERTAINTY, ColorMap, color_node
from HierSynthPanel.parameters import HierSynthParameters

BACKGROUND_BELOW = 0.01
"""nrCBV. Outside the brain the maps are 0; there the anatomy stays visible even without a threshold."""

NO_LIMIT = 1e6
"""nrCBV. Above every value."""

UNCERTAINTY_WINDOW = (0.0, 4.0)
"""Half-widths of intervals, nrCBV."""

LEGEND_PLACE = (0.97, 0.03)
"""Low at the right, where a head leaves most room."""

LEGEND_SIZE = (0.09, 0.33)
"""Width and height as shares of the view; the text is as large as fits."""


class Scale(Enum):
    """What the values of a map mean, which decides its colours and window."""

    CBV = "cbv"
    DIFFERENCE = "difference"
    UNCERTAINTY = "uncertainty"


@dataclass(frozen=True)
class MapStyle:
    """How one kind of map looks.

    Attributes:
        title: above the colour legend.
        scale: what its values mean.
    """

    title: str
    scale: Scale


STYLES = {
    "synthetic": MapStyle("CBV SYNTHETIC", Scale.CBV),
    "globalMap": MapStyle("CBV SYNTHETIC\nglobal map", Scale.CBV),
    "residual": MapStyle("CBV SYNTHETIC\nresidual", Scale.DIFFERENCE),
    "uncertainty": MapStyle("CBV SYNTHETIC\nuncertainty ±", Scale.UNCERTAINTY),
    "difference": MapStyle("DIFFERENCE\nsynthetic − acquired", Scale.DIFFERENCE),
    "acquired": MapStyle("CBV ACQUIRED", Scale.CBV),
    "acquiredOnGrid": MapStyle("CBV ACQUIRED", Scale.CBV),
    "checkerboard": MapStyle("CBV SYNTHETIC\nand ACQUIRED", Scale.CBV),
}
"""Name of the map's parameter → its style."""


def apply_styles(parameters: HierSynthParameters) -> None:
    """Give every map of the present result and comparison its colours, window, threshold and legend.

    Without a result nothing changes: the acquired map is the user's until it is compared with something.
    """
    if parameters.synthetic is None:
        return
    for name, style in STYLES.items():
        node = getattr(parameters, name)
        if node is not None and nodes.has_voxels(node) and nodes.is_relative(node):
            _apply(node, style, parameters)


def _apply(node: Any, style: MapStyle, parameters: HierSynthParameters) -> None:
    if node.GetScalarVolumeDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetScalarVolumeDisplayNode()
    color_map = _color_map(style.scale, parameters.colorMap)
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetInterpolate(True)
        display.SetAndObserveColorNodeID(color_node(color_map).GetID())
        display.SetInvertDisplayScalarRange(color_map.inverted)
        _set_window(display, style.scale, parameters)
        display.SetThreshold(max(parameters.threshold, BACKGROUND_BELOW), NO_LIMIT)
        display.SetApplyThreshold(style.scale == Scale.CBV)
    _show_legend(display, style)


def _color_map(scale: Scale, chosen: str) -> ColorMap:
    if scale == Scale.CBV:
        return CBV_MAPS.get(chosen, CBV_MAPS["Inferno"])
    return DIFFERENCE if scale == Scale.DIFFERENCE else UNCERTAINTY


def _set_window(display: Any, scale: Scale, parameters: HierSynthParameters) -> None:
    if scale == Scale.UNCERTAINTY:
        display.SetWindowLevelMinMax(*UNCERTAINTY_WINDOW)
        return
    display.SetWindowLevelMinMax(parameters.windowLow, parameters.windowHigh)
    if scale == Scale.DIFFERENCE:
        # As wide as the maps' own window, so that a difference of 1 is as many colours; 0 is in the middle.
        display.SetWindowLevel(display.GetWindow(), 0.0)


def _show_legend(display: Any, style: MapStyle) -> None:
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(display)
    with slicer.util.NodeModify(legend):
        legend.SetTitleText(f"{style.title}\nnrCBV")
        legend.SetPosition(*LEGEND_PLACE)
        legend.SetSize(*LEGEND_SIZE)
        legend.SetVisibility(True)
