"""Plot views of the stand-in host: what a chart node says is drawn, at the places that its axes say."""

import numpy as np
import pytest

from Testing.panel.plot_steps import of_color, place_in, plot_widget, ranges
from Testing.panel.view_steps import pixels, set_custom_layout, settle

LAYOUT = """<layout type="horizontal">
<item><view class="vtkMRMLPlotViewNode" singletontag="PlotsA"/></item>
<item><view class="vtkMRMLPlotViewNode" singletontag="PlotsB"/></item>
</layout>"""
RED, GREEN, BLUE = (0.9, 0.1, 0.1), (0.1, 0.7, 0.1), (0.1, 0.1, 0.9)


@pytest.fixture
def plot(host, layout_manager):
    """A plot view beside another one."""
    set_custom_layout(host, layout_manager, LAYOUT)
    return plot_widget("PlotsA")


def add_table(**columns):
    import slicer

    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    return slicer.util.updateTableFromArray(table, [np.array(one, float) for one in columns.values()], list(columns))


def add_series(name, table, color, **settings):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    node.SetAndObserveTableNodeID(table.GetID())
    node.SetXColumnName("x")
    node.SetYColumnName("y")
    node.SetPlotType(node.PlotTypeScatter)
    node.SetColor(*color)
    for key, value in settings.items():
        getattr(node, f"Set{key}")(value)
    return node


def show_chart(host, widget, *series, **settings):
    """A chart of these series in one view; drawn."""
    import slicer

    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "chart")
    for one in series:
        chart.AddAndObservePlotSeriesNodeID(one.GetID())
    chart.SetLegendVisibility(False)
    for key, value in settings.items():
        getattr(chart, f"Set{key}")(value)
    widget.mrmlPlotViewNode().SetPlotChartNodeID(chart.GetID())
    settle(host)
    return chart


def points(**settings):
    """Settings of a series that is drawn as squares without a line."""
    import slicer

    node = slicer.vtkMRMLPlotSeriesNode
    return {"LineStyle": node.LineStyleNone, "MarkerStyle": node.MarkerStyleSquare, "MarkerSize": 9} | settings


def lines(**settings):
    import slicer

    node = slicer.vtkMRMLPlotSeriesNode
    return {"LineStyle": node.LineStyleSolid, "MarkerStyle": node.MarkerStyleNone, "LineWidth": 3} | settings


def test_points_lie_where_the_axes_say(host, plot):
    series = add_series("points", add_table(x=[0, 4, 10], y=[0, 30, 100]), RED, **points())
    show_chart(host, plot, series)
    assert ranges(plot) == pytest.approx(np.array([[0, 10], [0, 100]]))
    found = of_color(pixels(host, plot.plotView()), RED)
    for x, y in ((0, 0), (4, 30), (10, 100)):
        near = found[np.linalg.norm(found - place_in(plot, x, y), axis=1) < 12]
        # The chart's edge cuts the first and the last.
        assert len(near) > 10
        if x == 4:
            assert len(near) == pytest.approx(81, abs=20)
            assert near.mean(axis=0) == pytest.approx(place_in(plot, x, y), abs=1.5)
    assert len(of_color(pixels(host, plot_widget("PlotsB").plotView()), RED)) == 0


def test_line_joins_its_points_and_bars_stand_on_zero(host, plot):
    line = add_series("line", add_table(x=[0, 10], y=[0, 10]), GREEN, **lines())
    bars = add_series("bars", add_table(x=[2, 4, 6], y=[5, 2, 8]), BLUE, **lines())
    bars.SetPlotType(bars.PlotTypeScatterBar)
    show_chart(host, plot, bars, line)
    shown = pixels(host, plot.plotView())
    green = of_color(shown, GREEN)
    for value in (1.0, 5.0, 9.0):
        assert np.linalg.norm(green - place_in(plot, value, value), axis=1).min() < 3
    column, row = place_in(plot, 6, 3).round().astype(int)
    assert shown[row, column] == pytest.approx(np.array(BLUE) * 255, abs=60)
    column, row = place_in(plot, 4, 3).round().astype(int)
    assert shown[row, column, 0] > 200


@pytest.mark.parametrize("style", ["None", "Dash", "Solid"])
def test_line_styles(host, plot, style):
    series = add_series("line", add_table(x=[0, 10], y=[0, 10]), RED, **lines())
    series.SetLineStyle(getattr(series, f"LineStyle{style}"))
    show_chart(host, plot, series)
    count = len(of_color(pixels(host, plot.plotView()), RED))
    full = 3 * np.abs(place_in(plot, 10, 10) - place_in(plot, 0, 0)).max()
    expected = {"None": (0, 1), "Dash": (0.3 * full, 0.9 * full), "Solid": (0.9 * full, 2 * full)}[style]
    assert expected[0] <= count < expected[1]


def test_titles_grid_and_legend_are_drawn(host, plot):
    series = add_series("a series", add_table(x=[0, 1], y=[0, 1]), RED, **points())
    chart = show_chart(host, plot, series, GridVisibility=False)
    plain = pixels(host, plot.plotView()).astype(int)
    changes = {"Title": "SYNTHETIC", "XAxisTitle": "acquired", "YAxisTitle": "synthetic"}
    for name, text in changes.items():
        getattr(chart, f"Set{name}")(text)
        shown = pixels(host, plot.plotView()).astype(int)
        assert (shown != plain).any(axis=2).sum() > 100, name
        getattr(chart, f"Set{name}")("")
        assert np.array_equal(pixels(host, plot.plotView()), plain)
    for name in ("GridVisibility", "LegendVisibility"):
        getattr(chart, f"Set{name}")(True)
        assert (pixels(host, plot.plotView()) != plain).any(axis=2).sum() > 100, name
        getattr(chart, f"Set{name}")(False)
    chart.SetTitle("SYNTHETIC")
    chart.SetTitleVisibility(False)
    assert np.array_equal(pixels(host, plot.plotView()), plain)


def test_fixed_ranges_are_kept_and_new_data_are_drawn(host, plot):
    import slicer

    table = add_table(x=[1, 2], y=[1, 2])
    series = add_series("points", table, RED, **points())
    chart = show_chart(host, plot, series, XAxisRangeAuto=False, YAxisRangeAuto=False)
    chart.SetXAxisRange(0, 8)
    chart.SetYAxisRange(-4, 4)
    assert len(of_color(pixels(host, plot.plotView()), RED)) > 0
    assert ranges(plot) == pytest.approx(np.array([[0, 8], [-4, 4]]))
    slicer.util.updateTableFromArray(table, [np.array([6.0]), np.array([-3.0])], ["x", "y"])
    slicer.util.updateTableFromArray(table, [np.array([6.0, 6.0]), np.array([-3.0, -3.0])], ["x", "y"])
    found = of_color(pixels(host, plot.plotView()), RED)
    assert found.mean(axis=0) == pytest.approx(place_in(plot, 6, -3), abs=1.5)
    assert ranges(plot) == pytest.approx(np.array([[0, 8], [-4, 4]]))


def test_logarithmic_axis(host, plot):
    series = add_series("points", add_table(x=[1, 10, 100], y=[1, 2, 3]), RED, **points())
    show_chart(host, plot, series, XAxisLogScale=True)
    columns = np.sort(of_color(pixels(host, plot.plotView()), RED)[:, 0])
    groups = np.split(columns, np.nonzero(np.diff(columns) > 20)[0] + 1)
    left, middle, right = (group.mean() for group in groups)
    assert right - middle == pytest.approx(middle - left, abs=6)


@pytest.mark.parametrize(("wanted", "shown"), [((0, 100), (0.01, 100)), ((0, 1e6), (1, 1e6)), ((-5, 0), (0.1, 1))])
def test_logarithmic_axis_shows_positive_values_only(host, plot, wanted, shown):
    series = add_series("points", add_table(x=[1, 10, 100], y=[1, 2, 3]), RED, **points())
    chart = show_chart(host, plot, series, XAxisRangeAuto=False, XAxisLogScale=True)
    chart.SetXAxisRange(*wanted)
    settle(host)
    assert ranges(plot)[0] == pytest.approx(shown)


def test_fit_button_shows_everything(host, plot):
    from PySide6.QtWidgets import QToolButton

    series = add_series("points", add_table(x=[-7, 9], y=[0, 50]), RED, **points())
    chart = show_chart(host, plot, series, XAxisRangeAuto=False, YAxisRangeAuto=False)
    chart.SetXAxisRange(0, 1)
    chart.SetYAxisRange(0, 1)
    settle(host)
    host.click(plot.findChild(QToolButton, "FitToWindowToolButton"))
    settle(host)
    (low_x, high_x), (low_y, high_y) = ranges(plot)
    assert low_x <= -7
    assert high_x >= 9
    assert low_y <= 0
    assert high_y >= 50
    assert chart.GetXAxisRange() == pytest.approx((low_x, high_x))


def test_mouse_moves_the_chart(host, plot):
    series = add_series("points", add_table(x=[0, 10], y=[0, 10]), RED, **points())
    chart = show_chart(host, plot, series, XAxisRangeAuto=False, YAxisRangeAuto=False)
    chart.SetXAxisRange(0, 10)
    chart.SetYAxisRange(0, 10)
    pixels(host, plot.plotView())
    start = place_in(plot, 6, 6)
    host.drag(plot.plotView(), tuple(start), tuple(place_in(plot, 8, 6)))
    settle(host)
    assert ranges(plot)[0] == pytest.approx([-2, 8], abs=0.1)
    assert chart.GetXAxisRange() == pytest.approx((-2, 8), abs=0.1)


def test_keys_change_what_the_mouse_does(host, plot):
    node = plot.mrmlPlotViewNode()
    series = add_series("points", add_table(x=[0, 5, 10], y=[0, 5, 10]), RED, **points())
    show_chart(host, plot, series)
    host.key(plot.plotView(), "S")
    assert node.GetInteractionMode() == node.InteractionModeSelectPoints
    first, last = place_in(plot, 4, 4), place_in(plot, 6, 6)
    host.drag(plot.plotView(), tuple(first), tuple(last))
    selected = plot.plotView().chart().GetPlot(0).GetSelection()
    assert [selected.GetValue(index) for index in range(selected.GetNumberOfValues())] == [1]
    host.key(plot.plotView(), "U")
    assert plot.plotView().chart().GetPlot(0).GetSelection().GetNumberOfValues() == 0
    node.SetInteractionMode(node.InteractionModePanView)


def test_series_without_numbers_are_left_out_until_they_have_some(host, plot):
    import slicer

    table = add_table(x=[0, 1])
    series = add_series("points", table, RED, **points())
    other = add_series("others", add_table(x=[0, 1], y=[0, 1]), BLUE, **points())
    chart = show_chart(host, plot, series, other)
    assert plot.plotView().chart().GetNumberOfPlots() == 1
    slicer.util.updateTableFromArray(table, [np.array([0.0, 1.0]), np.array([1.0, 0.0])], ["x", "y"])
    assert len(of_color(pixels(host, plot.plotView()), RED)) > 20
    assert len(of_color(pixels(host, plot.plotView()), BLUE)) > 20
    chart.RemovePlotSeriesNodeID(other.GetID())
    assert len(of_color(pixels(host, plot.plotView()), BLUE)) == 0
    slicer.mrmlScene.RemoveNode(series)
    chart.Modified()
    assert plot.plotView().chart().GetNumberOfPlots() == 0


def test_chart_is_shown_by_the_logic_of_the_module(host, layout_manager, plot):
    import slicer

    plot.mrmlPlotViewNode().SetDoPropagatePlotChartSelection(False)
    series = add_series("points", add_table(x=[0, 1], y=[0, 1]), RED, **points())
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "chart")
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    slicer.modules.plots.logic().ShowChartInLayout(chart)
    settle(host)
    assert layout_manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView
    assert len(of_color(pixels(host, plot_widget("PlotView1").plotView()), RED)) > 20
    assert plot.mrmlPlotViewNode().GetPlotChartNodeID() is None
    plot.mrmlPlotViewNode().SetDoPropagatePlotChartSelection(True)


def test_closing_the_scene_empties_the_view(host, plot):
    series = add_series("points", add_table(x=[0, 1], y=[0, 1]), RED, **points())
    show_chart(host, plot, series, Title="gone")
    drawn = pixels(host, plot.plotView())
    host.close_scene()
    shown = pixels(host, plot.plotView())
    assert (drawn != shown).any()
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 1
    assert plot.plotView().chart().GetNumberOfPlots() == 0
