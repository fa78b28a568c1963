"""The arterial input function as points: moved, added, removed and placed by hand, and taken by the next run."""

import numpy as np
import pytest

from HierSynthLib.worker.run_state import RunState
from Testing.panel.perfusion_case import (
    add_sequence,
    add_white_matter,
    choose_series,
    expected,
    load_map,
    positions_of,
    run,
    settle,
    shown,
    small_head,
    values_of,
)
from Testing.panel.view_steps import drag_point, pixel_of
from Testing.panel.view_steps import settle as settle_views
from Testing.unit.test_perfusion_head import CLASSES


@pytest.fixture(scope="module")
def venous(head):
    """Voxels of the vein, which make another input function than the arteries."""
    return np.argwhere(head.labels == CLASSES.index("vein"))[:3]


@pytest.fixture(scope="module")
def without_arteries():
    """The head, all of which shows the curve of white matter, so that no artery can be found."""
    found = small_head()
    echo = found.series.echoes[0]
    white = echo[found.mask("white") & found.brain].mean(axis=0)
    noise = np.random.default_rng(1).normal(scale=25, size=echo.shape)
    echo[found.brain] = white + noise[found.brain]
    return found


@pytest.fixture
def panel(host):
    return host.open_module("HierSynth").panel


def assert_done(panel):
    assert panel.perfusion.process.run.state == RunState.DONE, panel.perfusion.ui.processStatus.text


def aif_node(panel):
    return panel.context.parameters.dscAif


def test_points_that_are_moved_and_removed_are_the_next_input_function(host, panel, head, venous):
    add_white_matter(head)
    choose_series(host, panel, add_sequence(head))
    run(host, panel)
    parameters, node = panel.context.parameters, aif_node(panel)
    assert not parameters.dscAifManual
    places = positions_of(venous, head.series.affine)
    for number in range(3):
        node.SetNthControlPointPositionWorld(number, *places[number])
    while node.GetNumberOfControlPoints() > 3:
        node.RemoveNthControlPoint(3)
    host.wait(lambda: parameters.dscAifManual, 5)
    settle(host, panel)
    assert panel.perfusion.ui.aifSelector.currentText == "From points"
    assert "3 points" in panel.perfusion.ui.seriesNote.text
    run(host, panel)
    assert_done(panel)
    right = expected(head, venous)
    np.testing.assert_allclose(
        values_of(load_map(host, panel, "absolute CBV (ml/100 g)")), right.maps["CBV"], rtol=1e-4, atol=1e-5
    )
    assert not np.allclose(right.maps["CBV"], expected(head).maps["CBV"], rtol=0.05)
    # The user's points stay where they are.
    np.testing.assert_allclose(panel.perfusion.aif.positions, places, atol=0.01)
    host.choose(panel.perfusion.ui.aifSelector, "Find arteries")
    run(host, panel)
    assert len(panel.perfusion.aif.positions) == len(expected(head).aif.voxels)
    node.RemoveAllControlPoints()
    host.wait(lambda: parameters.dscAifManual, 5)
    settle(host, panel)
    assert not panel.perfusion.ui.processButton.enabled
    assert "Place points in arteries" in panel.perfusion.ui.processStatus.text


def test_a_point_dragged_in_a_view_counts(host, panel, head):
    import slicer

    choose_series(host, panel, add_sequence(head))
    run(host, panel)
    section, red = panel.perfusion, slicer.app.layoutManager().sliceWidget("Red")
    start = section.aif.positions[0]
    red.sliceController().fitSliceToBackground()
    red.mrmlSliceNode().JumpSliceByOffsetting(*start)
    settle_views(host)
    end = [start[0] + 20.0, start[1] + 10.0, start[2]]
    drag_point(host, red, start, end)
    np.testing.assert_allclose(section.aif.positions[0], end, atol=3)
    host.wait(lambda: panel.context.parameters.dscAifManual, 5)


def test_no_artery_found_leaves_relative_maps_and_points_by_hand_help(host, panel, without_arteries):
    import slicer

    add_white_matter(without_arteries)
    choose_series(host, panel, add_sequence(without_arteries))
    run(host, panel)
    assert_done(panel)
    ui, parameters = panel.perfusion.ui, panel.context.parameters
    assert parameters.acquired.GetName() == "perfusion CBV (DSC)"
    assert "rterial input function" in ui.processWarnings.text
    assert "Place point" in ui.seriesNote.text
    offered = [ui.mapSelector.itemText(number) for number in range(ui.mapSelector.count)]
    assert not any(words.startswith(("absolute CBV", "CBF", "MTT")) for words in offered)
    # A click into a view places the first point.
    red = slicer.app.layoutManager().sliceWidget("Red")
    voxel = np.argwhere(without_arteries.mask("white") & without_arteries.brain)[150]
    place = positions_of([voxel], without_arteries.series.affine)[0]
    red.sliceController().fitSliceToBackground()
    red.mrmlSliceNode().JumpSliceByOffsetting(*place)
    settle_views(host)
    host.click(ui.placeAifButton)
    view = red.sliceView()
    pixel = tuple(float(each) for each in pixel_of(red, place, view.height))
    host.click_at(view, pixel)
    host.wait(lambda: len(panel.perfusion.aif.positions) == 1, 5)
    np.testing.assert_allclose(panel.perfusion.aif.positions[0], place, atol=2)
    settle(host, panel)
    run(host, panel)
    assert_done(panel)
    offered = [ui.mapSelector.itemText(number) for number in range(ui.mapSelector.count)]
    assert "absolute CBV (ml/100 g)" in offered
    assert panel.perfusion.process.result["aif"]["voxels"] == [voxel.tolist()]


def test_a_point_outside_the_series_is_named(host, panel, head):
    choose_series(host, panel, add_sequence(head))
    run(host, panel)
    aif_node(panel).AddControlPointWorld([500.0, 0.0, 0.0])
    host.wait(lambda: panel.context.parameters.dscAifManual, 5)
    run(host, panel)
    count = aif_node(panel).GetNumberOfControlPoints()
    assert f"Point {count} of the arterial input function lies outside" in panel.perfusion.ui.processStatus.text


def test_points_move_with_the_series_and_are_then_no_others(host, panel, head):
    import slicer

    sequence = add_sequence(head)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    shown(sequence).SetAndObserveTransformNodeID(transform.GetID())
    choose_series(host, panel, sequence)
    run(host, panel)
    before = np.array(panel.perfusion.aif.positions)
    matrix = np.eye(4)
    matrix[0, 3] = 15.0
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    settle(host, panel)
    np.testing.assert_allclose(
        np.array(panel.perfusion.aif.positions) - before, [[15.0, 0, 0]] * len(before), atol=1e-6
    )
    assert not panel.context.parameters.dscAifManual
    from HierSynthPanel.roi_nodes import region_nodes

    assert aif_node(panel) not in region_nodes()
