"""Colour maps as nodes of the scene."""

from dataclasses import dataclass
from pathlib import Path
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
    node = _loaded(color_map.name)
    return node if node is not None else _load(color_map.name)


def restore_color_maps() -> None:
    """Give the colour maps of a scene that was just loaded their colours.

    The scene holds the path of a colour map's file only. Where HierSynth lies elsewhere than when it was saved, the
    file is not found, and the node, a singleton, is left without colours: for maps that were open before, too.
    """
    for name in (color_map.name for color_map in (*CBV_MAPS.values(), DIFFERENCE, UNCERTAINTY) if color_map.name):
        _loaded(name)


def _loaded(name: str) -> Any | None:
    """The scene's node of a colour map, with the colours of our file."""
    node = slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLColorTableNode")
    if node is None:
        return None
    path, stored = _file(name), node.GetStorageNode()
    if stored is None or Path(stored.GetFileName() or "") != path:
        # Not the present one with another path: after a scene was closed, it may be that of another colour map.
        node.SetAndObserveStorageNodeID(None)
        node.AddDefaultStorageNode(str(path))
        if not node.GetStorageNode().ReadData(node):
            raise FileNotFoundError(str(path))
        _remove_unused(stored)
    return node


def _remove_unused(stored: Any | None) -> None:
    tables = slicer.util.getNodesByClass("vtkMRMLColorTableNode")
    if stored is not None and all(table.GetStorageNode() != stored for table in tables):
        slicer.mrmlScene.RemoveNode(stored)


def _load(name: str) -> Any:
    path = _file(name)
    node = slicer.modules.colors.logic().LoadColorFile(str(path)) if path.is_file() else None
    if node is None:
        raise FileNotFoundError(str(path))
    node.SetName(name)
    node.SetSingletonTag(name)
    node.SetAttribute(COLOR_MAP, name)
    return node


def _file(name: str) -> Path:
    return resources_folder() / "ColorTables" / f"{name}.ctbl"
