"""Points, boxes, curves and segments in the stand-in host's views, against geometry worked out by hand."""

import numpy as np
import pytest

from Testing.panel.view_steps import add_volume, drag_point, pixel_of, pixels, settle, show

RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
MIDDLE = (40.0, 40.0, 20.0)


@pytest.fixture
def views(host, layout_manager):
    """The three slice views, which show a grey volume and cut through MIDDLE."""
    volume = add_volume("grey", np.full((80, 80, 40), 60, np.float32))
    widgets = {name: layout_manager.sliceWidget(name) for name in ("Red", "Green", "Yellow")}
    for widget in widgets.values():
        show(widget, volume)
        widget.mrmlSliceNode().JumpSliceByOffsetting(*MIDDLE)
    settle(host)
    return widgets


def add_markup(kind, color):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node", kind)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSelectedColor(*color)
    node.GetDisplayNode().SetActiveColor(*color)
    node.GetDisplayNode().SetPointLabelsVisibility(False)
    node.GetDisplayNode().SetPropertiesLabelVisibility(False)
    return node


def add_sphere(diameter, position=MIDDLE, color=RED):
    """A point that is drawn as large as it is."""
    node = add_markup("Fiducial", color)
    display = node.GetDisplayNode()
    display.SetGlyphTypeFromString("Circle2D")
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(diameter)
    node.AddControlPoint(*position)
    return node


def colored(host, view, color):
    """Rows and columns where a view shows a pure colour."""
    shown = pixels(host, view).astype(int)
    return np.nonzero(np.abs(shown - np.array(color) * 255).max(axis=2) < 30)


def extent(places):
    """Pixels from the first to the last."""
    return places.max() - places.min() + 1


@pytest.mark.parametrize("diameter", [6.0, 20.0])
def test_point_is_drawn_at_its_place_and_in_its_size(host, views, diameter):
    add_sphere(diameter)
    for widget in views.values():
        rows, columns = colored(host, widget.sliceView(), RED)
        height = widget.sliceView().height
        expected = pixel_of(widget, MIDDLE, height)
        across = {"Red": (1, 0, 0), "Green": (1, 0, 0), "Yellow": (0, 1, 0)}[widget.mrmlSliceNode().GetName()]
        edge = pixel_of(widget, np.array(MIDDLE) + diameter * np.array(across), height)
        size = np.linalg.norm(edge - expected)
        assert [columns.mean(), rows.mean()] == pytest.approx(expected, abs=1.5)
        # The circle is a polygon, a little smaller.
        assert extent(rows) == pytest.approx(size, abs=0.05 * size + 2)
        assert extent(columns) == pytest.approx(size, abs=0.05 * size + 2)


@pytest.mark.parametrize(("name", "target"), [("Red", (52.0, 31.0, 20.0)), ("Green", (30.0, 40.0, 26.0))])
def test_point_is_dragged_with_the_mouse(host, views, name, target):
    import slicer

    node, events = add_sphere(12.0), []
    for event in ("PointStartInteractionEvent", "PointModifiedEvent", "PointEndInteractionEvent"):
        node.AddObserver(getattr(slicer.vtkMRMLMarkupsNode, event), lambda *_, event=event: events.append(event))
    settle(host)
    drag_point(host, views[name], MIDDLE, target)
    assert node.GetNthControlPointPositionWorld(0) == pytest.approx(target, abs=0.3)
    assert events[0] == "PointStartInteractionEvent"
    assert events[-1] == "PointEndInteractionEvent"
    assert events.count("PointModifiedEvent") > 3
    rows, columns = colored(host, views[name].sliceView(), RED)
    expected = pixel_of(views[name], target, views[name].sliceView().height)
    assert [columns.mean(), rows.mean()] == pytest.approx(expected, abs=2)


def test_drag_beside_a_point_and_locked_points_change_nothing(host, views):
    node = add_sphere(6.0)
    drag_point(host, views["Red"], (60.0, 60.0, 20.0), (30.0, 30.0, 20.0))
    assert node.GetNthControlPointPositionWorld(0) == pytest.approx(MIDDLE)
    node.SetLocked(True)
    drag_point(host, views["Red"], MIDDLE, (30.0, 30.0, 20.0))
    assert node.GetNthControlPointPositionWorld(0) == pytest.approx(MIDDLE)


def test_box_and_curve_are_outlined_where_they_cut_the_slice(host, views):
    box = add_markup("ROI", GREEN)
    box.SetCenter(list(MIDDLE))
    box.SetSize(30, 20, 10)
    box.GetDisplayNode().SetHandlesInteractive(False)
    curve = add_markup("ClosedCurve", BLUE)
    corners = [(10, 10, 20), (22, 10, 20), (22, 22, 20), (10, 22, 20)]
    for corner in corners:
        curve.AddControlPoint(*corner)
    red = views["Red"]
    height = red.sliceView().height
    rows, columns = colored(host, red.sliceView(), GREEN)
    edges = [pixel_of(red, np.array(MIDDLE) + offset, height) for offset in ((15, -10, 0), (-15, 10, 0))]
    assert [columns.min(), rows.max()] == pytest.approx(edges[0], abs=4)
    assert [columns.max(), rows.min()] == pytest.approx(edges[1], abs=4)
    rows, columns = colored(host, red.sliceView(), BLUE)
    for corner in corners:
        x, y = pixel_of(red, corner, height)
        assert np.hypot(columns - x, rows - y).min() < 6
    red.mrmlSliceNode().JumpSliceByOffsetting(40.0, 40.0, 30.0)
    assert len(colored(host, red.sliceView(), GREEN)[0]) == 0


def test_markups_are_seen_in_space(host, layout_manager):
    view = layout_manager.threeDWidget(0).threeDView()
    for name in ("SetBoxVisible", "SetAxisLabelsVisible"):
        getattr(view.mrmlViewNode(), name)(False)
    add_sphere(20.0, color=RED).GetDisplayNode().SetGlyphTypeFromString("Sphere3D")
    view.resetFocalPoint()
    shown = pixels(host, view).astype(int)
    assert (shown[..., 0] > shown[..., 1:].max(axis=2) + 60).sum() > 100


def test_views_jump_to_a_place(host, views):
    import slicer

    place = (31.0, 52.0, 12.0)
    slicer.modules.markups.logic().JumpSlicesToLocation(*place, False)
    offsets = {name: widget.sliceLogic().GetSliceOffset() for name, widget in views.items()}
    # The yellow view looks from the left and counts to the left.
    assert offsets == pytest.approx({"Red": 12.0, "Green": 52.0, "Yellow": -31.0}, abs=0.5)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *MIDDLE, slicer.vtkMRMLSliceNode.OffsetJumpSlice)
    assert views["Red"].sliceLogic().GetSliceOffset() == pytest.approx(MIDDLE[2])


@pytest.mark.parametrize(("fill", "outline"), [(1.0, 0.0), (0.0, 1.0)])
def test_segment_is_filled_or_outlined(host, views, fill, outline):
    import slicer

    array = np.zeros((80, 80, 40), np.uint8)
    array[30:50, 20:60, 10:30] = 1
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.util.updateVolumeFromArray(labels, np.ascontiguousarray(array.T))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "regions")
    assert slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, node)
    slicer.mrmlScene.RemoveNode(labels)
    node.CreateDefaultDisplayNodes()
    node.GetSegmentation().GetNthSegment(0).SetColor(*GREEN)
    display = node.GetDisplayNode()
    display.SetOpacity2DFill(fill)
    display.SetOpacity2DOutline(outline)
    red = views["Red"]
    rows, columns = colored(host, red.sliceView(), GREEN)
    height = red.sliceView().height
    first, last = (pixel_of(red, corner, height) for corner in ((49.5, 19.5, 20), (29.5, 59.5, 20)))
    assert [columns.min(), rows.max()] == pytest.approx(first, abs=2.5)
    assert [columns.max(), rows.min()] == pytest.approx(last, abs=2.5)
    area = (last - first).prod() * -1
    assert len(rows) == pytest.approx(area, rel=0.05) if fill else len(rows) < 0.2 * area


def test_closing_the_scene_leaves_no_markup(host, views):
    import slicer

    before = host.scene_census()
    add_sphere(12.0)
    add_markup("ROI", GREEN)
    host.close_scene()
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsNode")
    census = host.scene_census()
    assert {name: count for name, count in census.items() if count > before.get(name, 0)} == {}
    assert pixels(host, views["Red"].sliceView()).max() == 0
