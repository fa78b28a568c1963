"""Histogram, scatter and Bland–Altman plot of a region: drawn from the measurement's numbers, and gone again."""

import copy
from contextlib import contextmanager

import numpy as np
import pytest

from Testing.panel.compare_case import picture, press, settle, show_result, shown_section
from Testing.panel.plot_steps import of_color, place_in, plot_widget, ranges

ORANGE = np.array([0xE6, 0x9F, 0x00]) / 255
BLUE = np.array([0x56, 0xB4, 0xE9]) / 255
VOXEL = 0.6 * ORANGE + 0.4 * np.array([255, 253, 246]) / 255
"""Points are drawn with 60 % opacity on the background of Slicer's charts."""

HISTOGRAM, SCATTER, AGREEMENT = VIEWS = ("HierSynthHistogram", "HierSynthScatter", "HierSynthBlandAltman")
NUMBER = 48207
KINDS = ("vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode")

ENTRY = {
    "synthetic": "synthetic",
    "acquired": "acquired",
    "histogram": {"edges": [0.0, 2.0, 4.0, 6.0], "synthetic": [30, 10, 0], "acquired": [0, 40, 20]},
    "scatter": {"synthetic": [1.0, 2.0, 3.0], "acquired": [2.0, 5.0, 4.0]},
    "bland_altman": {
        "mean": [1.5, 3.5, 3.5],
        "difference": [-1.0, -3.0, -1.0],
        "bias": -1.67,
        "lower": -3.93,
        "upper": 0.6,
    },
}


@pytest.fixture
def plots(host):
    """The plots, without a view to show them in."""
    from HierSynthPanel.plots import RegionPlots

    made = RegionPlots()
    yield made
    made.cleanup()


@pytest.fixture
def layout(host):
    """The layout with the plots, without maps."""
    import slicer
    from HierSynthPanel import layouts

    layouts.register()
    slicer.app.layoutManager().setLayout(NUMBER)
    settle(host)


@contextmanager
def compared(host):
    """A result with its acquired map, and the compare section, whose layout is that with the plots."""
    with shown_section(host) as case:
        case.add_result()
        case.add_acquired()
        case.add_comparison()
        show_result(host, case)
        press(host, case.section.ui.plotsButton)
        yield case


def census(host):
    return {kind: host.scene_census().get(kind, 0) for kind in KINDS}


def chart_of(name):
    import slicer

    return slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLPlotViewNode").GetPlotChartNode()


def drawn(host, name):
    return picture(host, plot_widget(name).plotView())


def has(found, place, distance=3.0):
    return len(found) > 0 and np.linalg.norm(found - place, axis=1).min() < distance


def test_layout_has_both_maps_above_three_plots(host):
    import slicer

    with compared(host) as case:
        manager = slicer.app.layoutManager()
        assert manager.layout == NUMBER
        assert case.parameters.layout == "plots"
        assert case.section.ui.plotsButton.checked
        assert not case.section.ui.flickerCheckBox.enabled
        shown = {widget.mrmlAbstractViewNode().GetName(): widget for widget in manager.viewWidgets() if widget.visible}
        assert set(shown) == {"HierSynthSynthetic", "HierSynthAcquired", *VIEWS}
        places = {name: widget.mapTo(manager.viewport(), widget.rect.center()) for name, widget in shown.items()}
        assert max(places[name].y() for name in ("HierSynthSynthetic", "HierSynthAcquired")) < places[SCATTER].y()
        assert places["HierSynthSynthetic"].x() < places["HierSynthAcquired"].x()
        assert places[HISTOGRAM].x() < places[SCATTER].x() < places[AGREEMENT].x()
        composite = shown["HierSynthSynthetic"].mrmlSliceCompositeNode()
        assert composite.GetForegroundVolumeID() == case.parameters.synthetic.GetID()
        press(host, case.section.ui.overlayButton)
        assert not any(plot_widget(name).visible for name in VIEWS)


def test_histogram_is_drawn_in_the_colours_of_both_maps(host, layout, plots):
    plots.show(ENTRY, "Tumour", False)
    shown, widget = drawn(host, HISTOGRAM), plot_widget(HISTOGRAM)
    orange, blue = of_color(shown, ORANGE), of_color(shown, BLUE)
    for value, count in ((1.0, 30), (3.0, 10)):
        assert has(orange, place_in(widget, value, count))
    for value, count in ((3.0, 40), (5.0, 20)):
        assert has(blue, place_in(widget, value, count))
    assert has(orange, place_in(widget, 2.0, 20))
    assert not has(orange, place_in(widget, 1.0, 20), 6)
    assert ranges(widget) == pytest.approx(np.array([[0, 6], [0, 40]]))


def test_scatter_has_acquired_across_synthetic_upwards_and_the_identity(host, layout, plots):
    plots.show(ENTRY, "Tumour", False)
    shown, widget = drawn(host, SCATTER), plot_widget(SCATTER)
    (x_range, y_range) = ranges(widget)
    assert x_range == pytest.approx([0, 6])
    assert y_range == pytest.approx(x_range)
    orange = of_color(shown, VOXEL)
    for synthetic, acquired in zip(*ENTRY["scatter"].values(), strict=True):
        assert has(orange, place_in(widget, acquired, synthetic))
        assert not has(orange, place_in(widget, synthetic, acquired), 8)
    grey = of_color(shown, (0.4, 0.4, 0.4))
    along = [has(grey, place_in(widget, value, value)) for value in np.linspace(0.5, 5.5, 41)]
    assert np.mean(along) > 0.5
    assert (chart_of(SCATTER).GetXAxisTitle(), chart_of(SCATTER).GetYAxisTitle()) == (
        "acquired (nrCBV)",
        "synthetic (nrCBV)",
    )


def test_bland_altman_has_bias_and_limits_as_lines(host, layout, plots):
    plots.show(ENTRY, "Tumour", False)
    shown, widget = drawn(host, AGREEMENT), plot_widget(AGREEMENT)
    orange = of_color(shown, VOXEL)
    for mean, difference in ((1.5, -1.0), (3.5, -3.0), (3.5, -1.0)):
        assert has(orange, place_in(widget, mean, difference))
    across = np.linspace(0.5, 5.5, 41)
    for value, color, share in ((-1.67, (0.1, 0.1, 0.1), 0.99), (-3.93, (0.4, 0.4, 0.4), 0.4), (0.6, (0.4,) * 3, 0.4)):
        line = of_color(shown, color)
        assert np.mean([has(line, place_in(widget, x, value)) for x in across]) >= share
    assert chart_of(AGREEMENT).GetYAxisTitle() == "synthetic − acquired (nrCBV)"
    assert "bias −1.67 (−3.93 to 0.60)" in chart_of(AGREEMENT).GetTitle()


@pytest.mark.parametrize("simulated", [False, True])
def test_every_title_names_the_region_and_says_synthetic(host, layout, plots, simulated):
    plots.show(ENTRY, "Enhancing tumour", simulated)
    for name in VIEWS:
        title = chart_of(name).GetTitle()
        assert title.startswith("Enhancing tumour\nSYNTHETIC")
        assert ("SIMULATED" in title) is simulated
    plots.show(ENTRY, "A" * 200, simulated)
    assert all(len(chart_of(name).GetTitle()) < 110 for name in VIEWS)


def test_plots_shown_before_their_views_exist_appear_with_the_layout(host, plots):
    import slicer

    for view in slicer.util.getNodesByClass("vtkMRMLPlotViewNode"):
        slicer.mrmlScene.RemoveNode(view)
    plots.show(ENTRY, "Tumour", False)
    with compared(host):
        assert len(of_color(drawn(host, SCATTER), VOXEL)) > 10


def test_next_region_uses_the_nodes_again(host, layout, plots):
    plots.show(ENTRY, "Tumour", False)
    before, charts = census(host), [chart_of(name) for name in VIEWS]
    assert before == {"vtkMRMLTableNode": 4, "vtkMRMLPlotSeriesNode": 8, "vtkMRMLPlotChartNode": 3}
    other = copy.deepcopy(ENTRY)
    other["scatter"] = {"synthetic": [8.0, 1.0], "acquired": [9.0, 9.5]}
    for _ in range(3):
        plots.show(other, "Reference", False)
        plots.show(ENTRY, "Tumour", False)
    plots.show(other, "Reference", False)
    assert census(host) == before
    assert [chart_of(name) for name in VIEWS] == charts
    shown, widget = drawn(host, SCATTER), plot_widget(SCATTER)
    assert ranges(widget) == pytest.approx(np.array([[0, 9.5], [0, 9.5]]))
    orange = of_color(shown, VOXEL)
    assert has(orange, place_in(widget, 9.0, 8.0))
    assert not has(orange, place_in(widget, 2.0, 1.0), 8)


def test_values_below_zero_are_not_cut_off(host, layout, plots):
    below = copy.deepcopy(ENTRY)
    below["histogram"]["edges"] = [-0.5, 2.0, 4.0, 6.0]
    below["scatter"]["synthetic"] = [-0.5, 2.0, 3.0]
    plots.show(below, "Tumour", False)
    orange = of_color(drawn(host, SCATTER), VOXEL)
    widget = plot_widget(SCATTER)
    assert ranges(widget) == pytest.approx(np.array([[-0.5, 6], [-0.5, 6]]))
    assert has(orange, place_in(widget, 2.0, -0.5))
    assert ranges(plot_widget(HISTOGRAM))[0] == pytest.approx([-0.5, 6])


def test_one_voxel_and_none(host, layout, plots):
    one = copy.deepcopy(ENTRY)
    one["scatter"] = {"synthetic": [1.0], "acquired": [2.0]}
    one["bland_altman"] = {"mean": [1.5], "difference": [-1.0], "bias": -1.0, "lower": None, "upper": None}
    plots.show(one, "Voxel", False)
    # A single point is drawn twice, and so less transparent.
    assert has(of_color(drawn(host, SCATTER), ORANGE, 60), place_in(plot_widget(SCATTER), 2.0, 1.0))
    assert chart_of(AGREEMENT).GetNumberOfPlotSeriesNodes() == 2
    assert chart_of(AGREEMENT).GetTitle().endswith("bias −1.00\n")
    plots.show(ENTRY, "Tumour", False)
    assert chart_of(AGREEMENT).GetNumberOfPlotSeriesNodes() == 4
    one["scatter"] = {"synthetic": [], "acquired": []}
    plots.show(one, "Empty", False)
    assert all(chart_of(name) is None for name in VIEWS)
    assert len(np.unique(drawn(host, SCATTER).reshape(-1, 3), axis=0)) == 1


def test_nodes_stay_out_of_tree_and_scene_file(host, layout, plots):
    import slicer

    plots.show(ENTRY, "Tumour", False)
    made = [node for kind in KINDS for node in slicer.util.getNodesByClass(kind)]
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert len(made) == 15
    assert all(node.GetHideFromEditors() and not hierarchy.GetItemByDataNode(node) for node in made)
    slicer.mrmlScene.SetSaveToXMLString(1)
    try:
        assert slicer.mrmlScene.Commit("scene.mrml")
        text = slicer.mrmlScene.GetSceneXMLString()
    finally:
        slicer.mrmlScene.SetSaveToXMLString(0)
    assert "<PlotView" in text
    assert not any(f"<{tag}" in text for tag in ("PlotChart", "PlotSeries", "Table "))


def test_other_modules_charts_do_not_replace_these(host, layout, plots):
    import slicer

    plots.show(ENTRY, "Tumour", False)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "another module's")
    slicer.modules.plots.logic().ShowChartInLayout(other)
    settle(host)
    assert all(chart_of(name) is not other and chart_of(name) is not None for name in VIEWS)


def test_plots_come_back_after_the_scene_was_closed(host, layout, plots):
    plots.show(ENTRY, "Tumour", False)
    before = census(host)
    host.close_scene()
    settle(host)
    assert set(census(host).values()) == {0}
    assert len(np.unique(drawn(host, SCATTER).reshape(-1, 3), axis=0)) == 1
    plots.show(ENTRY, "Tumour", False)
    assert census(host) == before
    assert len(of_color(drawn(host, SCATTER), VOXEL)) > 10


def test_cleanup_leaves_nothing(host, layout):
    from HierSynthPanel import layouts
    from HierSynthPanel.plots import RegionPlots

    before, observers = host.scene_census(), host.observer_count(layouts.observed_node())
    for _ in range(2):
        made = RegionPlots()
        made.show(ENTRY, "Tumour", False)
        settle(host)
        made.cleanup()
    assert host.scene_census() == before
    assert host.observer_count(layouts.observed_node()) == observers
    assert len(np.unique(drawn(host, SCATTER).reshape(-1, 3), axis=0)) == 1
