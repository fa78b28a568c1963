"""Colours, window, threshold and layers of the maps, as nodes and as pixels."""

import numpy as np
import pytest

from Testing.panel.compare_case import (
    acquired_value,
    add_volume,
    away,
    color_at,
    cut_at,
    press,
    show_result,
    shown_section,
    synthetic_value,
    table_colors,
    view,
)

HOT = away(25.0, 10.0, 0.0)
GREY = 100.0
"""The anatomy's brightness in the views."""


@pytest.fixture
def case(host):
    with shown_section(host) as shown:
        yield shown


def expected_color(value, table, low, high, opacity):
    colors = table_colors(table)[:, :3]
    index = np.clip((value - low) / (high - low), 0, 1) * (len(colors) - 1)
    return (1 - opacity) * GREY + opacity * colors[round(index)]


@pytest.mark.parametrize("degrees", [0.0, 25.0], ids=["straight", "oblique"])
@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
def test_overlay_has_the_tables_colour_of_the_value(host, case, name, degrees):
    case.add_result(degrees)
    show_result(host, case)
    for position in (HOT, away(-20.0, 5.0, 5.0)):
        cut_at(position, name)
        expected = expected_color(synthetic_value(position), "HierSynth-CBV-Inferno", 0, 10, 0.6)
        assert color_at(host, name, position) == pytest.approx(expected, abs=8)


def test_outside_the_brain_the_anatomy_is_not_tinted(host, case):
    case.add_result()
    show_result(host, case)
    position = away(-64.0, 0.0, 0.0)
    cut_at(position, "Red")
    assert synthetic_value(position) == 0
    assert color_at(host, "Red", position) == pytest.approx([GREY] * 3, abs=1)


def test_below_the_threshold_the_anatomy_shows(host, case):
    case.add_result()
    show_result(host, case)
    cut_at(HOT, "Red")
    low = HOT - (50.0, 0.0, 0.0)
    assert synthetic_value(low) < 3 < synthetic_value(HOT)
    assert np.ptp(color_at(host, "Red", low)) > 10
    case.section.ui.thresholdSlider.value = 3.0
    assert case.parameters.threshold == 3.0
    assert color_at(host, "Red", low) == pytest.approx([GREY] * 3, abs=1)
    assert np.ptp(color_at(host, "Red", HOT)) > 10


def test_window_is_common_and_the_difference_is_symmetric(host, case):
    case.add_result()
    case.add_acquired()
    case.add_comparison()
    show_result(host, case)
    case.section.ui.windowHighSpinBox.value = 6.0
    case.section.ui.windowLowSpinBox.value = 2.0
    parameters = case.parameters
    for node in (parameters.synthetic, parameters.acquired, parameters.acquiredOnGrid, parameters.checkerboard):
        shown = node.GetScalarVolumeDisplayNode()
        assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == pytest.approx((2.0, 6.0))
        assert shown.GetColorNodeID() == parameters.synthetic.GetScalarVolumeDisplayNode().GetColorNodeID()
        assert not shown.GetAutoWindowLevel()
    difference = parameters.difference.GetScalarVolumeDisplayNode()
    assert (difference.GetWindowLevelMin(), difference.GetWindowLevelMax()) == pytest.approx((-2.0, 2.0))
    uncertainty = parameters.uncertainty.GetScalarVolumeDisplayNode()
    assert uncertainty.GetWindowLevelMin() == 0
    assert uncertainty.GetColorNodeID() != difference.GetColorNodeID()
    host.click(case.section.ui.resetWindowButton)
    assert (parameters.windowLow, parameters.windowHigh) == (0.0, 10.0)


def test_a_window_without_width_is_not_taken(host, case):
    case.add_result()
    case.section.ui.windowHighSpinBox.value = 0.0
    assert case.parameters.windowHigh == 10.0


def test_grey_and_rainbow(host, case):
    case.add_result()
    show_result(host, case)
    cut_at(HOT, "Red")
    host.choose(case.section.ui.colorMapSelector, "Grey")
    level = 255 * synthetic_value(HOT) / 10
    assert color_at(host, "Red", HOT) == pytest.approx([0.4 * GREY + 0.6 * level] * 3, abs=4)
    host.choose(case.section.ui.colorMapSelector, "Rainbow")
    hot, cool = color_at(host, "Red", HOT), color_at(host, "Red", HOT - (50.0, 0.0, 0.0))
    assert hot[0] > hot[2] + 50, "high values are red as in a PACS"
    assert cool[2] > cool[0]


def test_every_view_of_the_users_layout_gets_the_overlay(host, case):
    import slicer

    case.add_result()
    show_result(host, case)
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    theirs = [composite for composite in composites if not composite.GetLayoutName().startswith("HierSynth")]
    assert len(theirs) >= 3
    for composite in theirs:
        assert composite.GetBackgroundVolumeID() == case.parameters.reference.GetID()
        assert composite.GetForegroundVolumeID() == case.parameters.synthetic.GetID()
        assert composite.GetForegroundOpacity() == pytest.approx(0.6)


def test_nothing_is_shown_before_there_is_a_result(host, case):
    import slicer

    layout = slicer.app.layoutManager().layout
    case.add_acquired()
    shown = case.parameters.acquired.GetScalarVolumeDisplayNode()
    before = (shown.GetColorNodeID(), shown.GetWindow())
    case.parameters.windowHigh = 8.0
    assert (shown.GetColorNodeID(), shown.GetWindow()) == before, "until it is compared it is the user's"
    assert slicer.app.layoutManager().layout == layout


def test_opacity_slider(host, case):
    case.add_result()
    show_result(host, case)
    cut_at(HOT, "Red")
    case.section.ui.opacitySlider.value = 1.0
    expected = expected_color(synthetic_value(HOT), "HierSynth-CBV-Inferno", 0, 10, 1.0)
    assert color_at(host, "Red", HOT) == pytest.approx(expected, abs=8)
    case.section.ui.opacitySlider.value = 0.0
    assert color_at(host, "Red", HOT) == pytest.approx([GREY] * 3, abs=1)


def test_map_without_its_anatomy_is_shown_alone(host, case):
    import slicer

    case.add_result()
    show_result(host, case)
    slicer.mrmlScene.RemoveNode(case.parameters.reference)
    show_result(host, case)
    composite = view("Red").mrmlSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == case.parameters.synthetic.GetID()
    assert composite.GetForegroundVolumeID() is None


def test_legends_name_the_map_of_the_view(host, case):
    import slicer

    case.add_result()
    case.add_acquired()
    case.add_comparison()
    show_result(host, case)
    press(host, case.section.ui.threeUpButton)
    titles = {
        legend.GetDisplayableNode().GetID(): legend.GetTitleText()
        for legend in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    }
    assert titles[case.parameters.synthetic.GetID()] == "CBV SYNTHETIC\nnrCBV"
    assert titles[case.parameters.acquiredOnGrid.GetID()] == "CBV ACQUIRED\nnrCBV"
    for name, node in (("HierSynthSynthetic", "synthetic"), ("HierSynthDifference", "difference")):
        legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(getattr(case.parameters, node))
        manager = view(name).sliceView().displayableManagerByClassName("vtkMRMLColorLegendDisplayableManager")
        actor = manager.GetColorLegendActor(legend)
        assert actor is not None
        assert actor.GetVisibility()
        other = slicer.modules.colors.logic().GetColorLegendDisplayNode(case.parameters.acquiredOnGrid)
        hidden = manager.GetColorLegendActor(other)
        assert hidden is None or not hidden.GetVisibility()


def test_acquired_map_on_another_grid_has_its_own_colours_in_its_view(host, case):
    case.add_result(degrees=15.0)
    case.add_acquired(degrees=-20.0)
    show_result(host, case)
    press(host, case.section.ui.sideBySideButton)
    position = away(10.0, 25.0, 0.0)
    cut_at(position, "HierSynthSynthetic", "HierSynthAcquired")
    expected = expected_color(acquired_value(position), "HierSynth-CBV-Inferno", 0, 10, 0.6)
    assert color_at(host, "HierSynthAcquired", position) == pytest.approx(expected, abs=8)
    expected = expected_color(synthetic_value(position), "HierSynth-CBV-Inferno", 0, 10, 0.6)
    assert color_at(host, "HierSynthSynthetic", position) == pytest.approx(expected, abs=8)


def test_difference_is_colourless_where_maps_agree_and_warm_where_too_high(host, case):
    case.add_result()
    case.add_acquired()
    case.add_comparison()
    show_result(host, case)
    press(host, case.section.ui.threeUpButton)
    cut_at(HOT, "HierSynthDifference")
    outside = away(-64.0, 10.0, 0.0)
    expected = expected_color(0, "HierSynth-Difference", -5, 5, 0.6)
    assert color_at(host, "HierSynthDifference", outside) == pytest.approx(expected, abs=4)
    too_high = color_at(host, "HierSynthDifference", HOT)
    expected = expected_color(synthetic_value(HOT) - acquired_value(HOT), "HierSynth-Difference", -5, 5, 0.6)
    assert too_high == pytest.approx(expected, abs=8)
    assert too_high[0] > too_high[2] + 40


def test_maps_that_arrive_after_the_synthetic_one_get_their_look(host, case):
    case.add_result()
    show_result(host, case)
    parameters = case.parameters
    parameters.residual = add_volume("residual", np.ones((4, 4, 4)), np.eye(4), Map="residual", Synthetic="1")
    shown = parameters.residual.GetScalarVolumeDisplayNode()
    assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == pytest.approx((-5.0, 5.0))


def test_colour_tables_are_loaded_once(host, case):
    import slicer

    case.add_result()
    show_result(host, case)

    def tables():
        nodes = slicer.util.getNodesByClass("vtkMRMLColorTableNode")
        return [node.GetName() for node in nodes if node.GetAttribute("HierSynth.ColorMap")]

    first = sorted(tables())
    assert first.count("HierSynth-CBV-Inferno") == first.count("HierSynth-Uncertainty") == 1
    case.section.ui.thresholdSlider.value = 1.0
    assert sorted(tables()) == first
    host.close_scene()
    case.section.set_parameters(case.parameters)
    case.add_result()
    show_result(host, case)
    assert sorted(tables()) == first
