"""The colour tables: complete, loadable by Slicer's own code, and with the luminance that a reader relies on."""

from pathlib import Path

import numpy as np
import pytest
from skimage.color import rgb2lab

FOLDER = Path(__file__).parents[2] / "Resources" / "ColorTables"
NAMES = ("HierSynth-CBV-Inferno", "HierSynth-Difference", "HierSynth-Uncertainty")


def rows(name):
    lines = (FOLDER / f"{name}.ctbl").read_text("ascii").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


def colors(name):
    """(256, 3) red, green, blue from 0 to 255."""
    return np.array([[int(number) for number in row[2:5]] for row in rows(name)])


def lab(name):
    """(256, 3) CIE L*, a*, b*."""
    return rgb2lab(colors(name)[None] / 255)[0]


@pytest.mark.parametrize("name", NAMES)
def test_256_opaque_entries_and_where_they_are_from(name):
    table = rows(name)
    assert [int(row[0]) for row in table] == list(range(256))
    assert {row[5] for row in table} == {"255"}
    assert {len(row) for row in table} == {6}
    comments = [line for line in (FOLDER / f"{name}.ctbl").read_text("ascii").splitlines() if line.startswith("#")]
    assert any("CC0" in line or "Apache-2.0" in line for line in comments)
    assert "Color procedural file" not in comments[0]


@pytest.mark.parametrize("name", NAMES)
def test_slicers_own_reader_takes_them(name):
    import slicer

    node = slicer.vtkMRMLColorTableNode()
    storage = slicer.vtkMRMLColorTableStorageNode()
    scene = slicer.vtkMRMLScene()
    scene.AddNode(node)
    scene.AddNode(storage)
    storage.SetFileName(str(FOLDER / f"{name}.ctbl"))
    assert storage.ReadData(node) == 1
    assert node.GetNumberOfColors() == 256
    for index in (0, 1, 100, 255):
        found = [0.0] * 4
        assert node.GetColor(index, found)
        np.testing.assert_allclose(found, [*colors(name)[index] / 255, 1.0], atol=1e-6)


@pytest.mark.parametrize("name", ["HierSynth-CBV-Inferno", "HierSynth-Uncertainty"])
def test_luminance_rises(name):
    luminance = lab(name)[:, 0]
    assert np.diff(luminance).min() > -0.1  # steps of 1/255
    assert np.diff(luminance[::4]).min() > 0


def test_ends_of_the_cbv_map():
    table = colors("HierSynth-CBV-Inferno")
    assert table[0].tolist() == [0, 0, 4]
    assert table[255].tolist() == [252, 255, 164]


def test_the_difference_map_is_symmetric_around_a_neutral_dark_centre():
    values = lab("HierSynth-Difference")
    assert np.abs(values[:, 0] - values[::-1, 0]).max() < 1.0  # as bright on either side
    assert np.hypot(*values[127:129, 1:].T).max() < 2.0  # no hue in the middle
    assert values[127:129, 0].max() < 10.0
    assert np.diff(values[128:, 0]).min() > 0
    assert np.diff(values[:128, 0]).max() < 0


def test_the_sides_of_the_difference_map_differ_for_colour_blind_readers():
    # Red-green blindness leaves the blue-yellow axis b*.
    b = lab("HierSynth-Difference")[:, 2]
    assert b[:112].max() < -10
    assert b[144:].min() > 10
    assert colors("HierSynth-Difference")[0][2] > colors("HierSynth-Difference")[0][0]  # negative is blue
