"""Colour maps keep their colours, whatever scene is loaded."""

import re

import numpy as np
import pytest

from Testing.panel.compare_case import table_colors
from Testing.panel.host_demo import save_scene

OURS = ("HierSynth-CBV-Inferno", "HierSynth-Difference", "HierSynth-Uncertainty")


def color_node(name):
    from HierSynthPanel import color_maps

    return color_maps.color_node(color_maps.ColorMap(name))


def colors(node):
    """(n, 4) colours of a node, 0 to 255."""
    found = np.empty((node.GetNumberOfColors(), 4))
    for number in range(len(found)):
        assert node.GetColor(number, found[number])
    return 255 * found


def add_scene(path):
    import slicer

    slicer.mrmlScene.SetURL(str(path))
    slicer.mrmlScene.SetRootDirectory(str(path.parent))
    slicer.mrmlScene.Import()


def scene_node(name):
    import slicer

    return slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLColorTableNode")


@pytest.fixture
def saved_elsewhere(host, tmp_path):
    """A scene whose colour maps lie in the folder of an installation that this machine does not have."""
    for name in OURS:
        color_node(name)
    path = save_scene(tmp_path / "saved.mrml")
    here = re.compile(r'fileName="[^"]*/(HierSynth-[^"/]+\.ctbl)"')
    text, count = here.subn(r'fileName="/elsewhere/HierSynth/\1"', path.read_text("utf-8"))
    assert count == len(OURS)
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("opened", [True, False], ids=["panel open", "panel opened later"])
def test_a_scene_of_another_installation_leaves_the_colours(host, saved_elsewhere, opened):
    if opened:
        host.open_module("HierSynth")
    host.close_scene()
    add_scene(saved_elsewhere)
    if not opened:
        host.open_module("HierSynth")
    for name in OURS:
        node = scene_node(name)
        assert colors(node) == pytest.approx(table_colors(name), abs=0.01)
        assert "elsewhere" not in node.GetStorageNode().GetFileName()


def test_every_colour_map_keeps_its_own_file_when_scenes_are_closed(host):
    first, *others = OURS
    color_node(first)
    host.close_scene()
    stored = [color_node(name).GetStorageNode() for name in (*others, first)]
    assert [node.GetFileName().rpartition("/")[2] for node in stored] == [f"{name}.ctbl" for name in (*others, first)]
    assert len({node.GetID() for node in stored}) == 3
