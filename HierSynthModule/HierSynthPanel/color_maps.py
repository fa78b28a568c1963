"""Colour maps as nodes of the scene."""

from dataclasses import dataclass
from typing import Any

import slicer

from HierSynthLib.folders import resources_folder

COLOR_MAP = "HierSynth.ColorMap"


@dataclass(frozen=True)
class ColorMap:
    """A colour map and which way round it is used.

    Attributes:
        name: of the file in Resources/ColorTables, without suffix; "" for a table of Slicer.
        built_in: type of Slicer's own table, e.g. "Grey"; "" for a file.
        inverted: whether the table's last colour belongs to the lowest value.
    """

    name: str = ""
    built_in: str = ""
    inverted: bool = False


CBV_MAPS = {
    "Inferno": ColorMap(name="HierSynth-CBV-Inferno"),
    "Rainbow": ColorMap(built_in="Rainbow", inverted=True),
    "Grey": ColorMap(built_in="Grey"),
}
"""Colour maps to choose from for CBV; Slicer's Rainbow begins with red, a PACS shows red for the highest values."""

DIFFERENCE = ColorMap(name="HierSynth-Difference")
UNCERTAINTY = ColorMap(name="HierSynth-Uncertainty")


def color_node(color_map: ColorMap) -> Any:
    """The vtkMRMLColorNode of a colour map; its file is loaded when the scene does not have it yet.

    The node is a singleton: it outlives closing the scene, is saved with it, and a loaded scene brings no second one.

    Raises:
        FileNotFoundError: the file is missing or damaged: HierSynth is not completely installed.
    """
    if color_map.built_in:
        table = getattr(slicer.vtkMRMLColorTableNode, color_map.built_in)
        return slicer.mrmlScene.GetNodeByID(slicer.modules.colors.logic().GetColorTableNodeID(table))
    node = slicer.mrmlScene.GetSingletonNode(color_map.name, "vtkMRMLColorTableNode")
    return node if node is not None else _load(color_map.name)


def _load(name: str) -> Any:
    path = resources_folder() / "ColorTables" / f"{name}.ctbl"
    node = slicer.modules.colors.logic().LoadColorFile(str(path)) if path.is_file() else None
    if node is None:
        raise FileNotFoundError(str(path))
    node.SetName(name)
    node.SetSingletonTag(name)
    node.SetAttribute(COLOR_MAP, name)
    return node
