"""Hotspots and outlines: what is drawn is what is stored, before and after it is changed."""

import numpy as np
import pytest

from Testing.panel.reading_case import MODES, Reader, small_study
from Testing.panel.view_steps import drag_point, settle

FIRST, SECOND, THIRD = (9.0, 6.0, 8.0), (15.0, 12.0, 8.0), (6.0, 15.0, 8.0)
CLOSE = 0.1
"""mm; a view of the small maps has far smaller pixels."""


@pytest.fixture
def reader(host, tmp_path):
    reader = Reader(host, host.open_module("HierSynth").panel, small_study(tmp_path, 2, modes=[MODES[3]]))
    reader.sign_in()
    settle(host)
    return reader


def stored(reader, name, field):
    answer = reader.session.answers().get(name)
    return None if answer is None else [mark[field] for mark in answer]


def wait_for(reader, name, field, expected):
    def same():
        found = stored(reader, name, field)
        return found is not None and len(found) == len(expected) and np.allclose(found, expected, atol=CLOSE)

    reader.host.wait(same, 10, f"{expected}, not {stored(reader, name, field)}")


def place(reader, *places):
    for each in places:
        reader.host.click(reader.button("spots", "Place hotspot"))
        reader.click_position(each)


def draw(reader, *places):
    reader.host.click(reader.button("border", "Draw outline"))
    for each in places:
        reader.click_position(each)


def test_hotspots_are_placed_moved_and_removed(host, reader):
    import slicer

    place(reader, FIRST, SECOND)
    wait_for(reader, "spots", "centre_mm", [FIRST, SECOND])
    widget = slicer.app.layoutManager().sliceWidget("HierSynthReadingA")
    drag_point(host, widget, SECOND, THIRD)
    wait_for(reader, "spots", "centre_mm", [FIRST, THIRD])
    host.click(reader.button("spots", "Remove last"))
    wait_for(reader, "spots", "centre_mm", [FIRST])
    host.click(reader.button("spots", "Remove last"))
    wait_for(reader, "spots", "centre_mm", [])
    assert not reader.button("spots", "Remove last").enabled


def test_every_hotspot_is_drawn_as_large_as_it_is_measured(reader):
    import slicer

    place(reader, FIRST)
    wait_for(reader, "spots", "radius_mm", [3.0])
    display = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")[0].GetDisplayNode()
    assert not display.GetUseGlyphScale()
    assert display.GetGlyphSize() == 6.0


def test_an_outline_counts_from_three_points(host, reader):
    draw(reader, FIRST, SECOND)
    reader.item("border").flush()
    assert not stored(reader, "border", "points_mm")
    reader.click_position(THIRD)
    wait_for(reader, "border", "points_mm", [[FIRST, SECOND, THIRD]])
    shifted = [tuple(np.add(each, (0.0, 0.0, 4.0))) for each in (FIRST, SECOND, THIRD)]
    draw(reader, *shifted)
    wait_for(reader, "border", "points_mm", [[FIRST, SECOND, THIRD], shifted])
    host.click(reader.button("border", "Remove last"))
    wait_for(reader, "border", "points_mm", [[FIRST, SECOND, THIRD]])


def test_marks_belong_to_their_case_and_are_there_again_when_one_goes_back(host, reader):
    import slicer

    place(reader, FIRST)
    draw(reader, FIRST, SECOND, THIRD)
    reader.submit()
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsNode") == []
    reader.click_position(SECOND)
    assert reader.session.answers() == {}
    reader.press("Left")
    reader.wait_for_next(2)
    settle(host)
    curve, points = (
        slicer.util.getNodesByClass(f"vtkMRMLMarkups{kind}Node")[0] for kind in ("ClosedCurve", "Fiducial")
    )
    assert points.GetNumberOfControlPoints() == 1
    np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(curve), [FIRST, SECOND, THIRD], atol=CLOSE)
    drag_point(host, slicer.app.layoutManager().sliceWidget("HierSynthReadingA"), FIRST, SECOND)
    np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(points), [FIRST], atol=CLOSE)


def test_nothing_is_placed_while_paused(host, reader):
    host.click(reader.button("spots", "Place hotspot"))
    reader.press("P")
    reader.click_position(FIRST)
    reader.press("P")
    reader.wait_for("READING")
    reader.item("spots").flush()
    assert reader.session.answers() == {}


def test_a_digit_begins_to_place_a_mark(reader):
    reader.press("1")
    reader.click_position(FIRST)
    wait_for(reader, "spots", "centre_mm", [FIRST])
