"""Puts the series of a chart node into a vtkChartXY.

Followed: qMRMLPlotView.cxx (updateWidgetFromMRML, updatePlotFromPlotSeriesNode, RecalculateBounds, ranges of
logarithmic axes).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import slicer
from vtkmodules.vtkChartsCore import vtkAxis, vtkChartXY, vtkPlot, vtkPlotBar, vtkPlotLine, vtkPlotPoints
from vtkmodules.vtkCommonCore import VTK_BIT, VTK_STRING
from vtkmodules.vtkRenderingContext2D import vtkPen

NODE = slicer.vtkMRMLPlotSeriesNode
PLOT_CLASSES = {
    NODE.PlotTypeLine: vtkPlotLine,
    NODE.PlotTypeScatter: vtkPlotLine,
    NODE.PlotTypeBar: vtkPlotBar,
    NODE.PlotTypeScatterBar: vtkPlotBar,
}
PENS = {
    NODE.LineStyleNone: vtkPen.NO_PEN,
    NODE.LineStyleSolid: vtkPen.SOLID_LINE,
    NODE.LineStyleDash: vtkPen.DASH_LINE,
    NODE.LineStyleDot: vtkPen.DOT_LINE,
    NODE.LineStyleDashDot: vtkPen.DASH_DOT_LINE,
    NODE.LineStyleDashDotDot: vtkPen.DASH_DOT_DOT_LINE,
}
MARKERS = {
    NODE.MarkerStyleNone: vtkPlotPoints.NONE,
    NODE.MarkerStyleCross: vtkPlotPoints.CROSS,
    NODE.MarkerStylePlus: vtkPlotPoints.PLUS,
    NODE.MarkerStyleSquare: vtkPlotPoints.SQUARE,
    NODE.MarkerStyleCircle: vtkPlotPoints.CIRCLE,
    NODE.MarkerStyleDiamond: vtkPlotPoints.DIAMOND,
}
HORIZONTAL = (vtkAxis.BOTTOM, vtkAxis.TOP)
AXES = (*HORIZONTAL, vtkAxis.LEFT, vtkAxis.RIGHT)
FREE = (-math.inf, math.inf)
"""Limits of an axis that may show every value."""


class ChartContents:
    """Keeps the plots of one vtkChartXY as the series of a chart node want them."""

    def __init__(self, chart: vtkChartXY) -> None:
        self._chart = chart
        self._plots: dict[str, vtkPlot] = {}

    def clear(self) -> None:
        """Shows no series."""
        for series_id in list(self._plots):
            self._remove(series_id)

    def update(self, node) -> None:
        """Shows the series, texts and ranges of `node`, a vtkMRMLPlotChartNode."""
        series = {one.GetID(): one for one in series_of(node)}
        for series_id in [known for known in self._plots if known not in series]:
            self._remove(series_id)
        for series_id, one in series.items():
            self._update_series(series_id, one)
        self._update_texts(node)
        for number in AXES:
            _update_axis(self._chart.GetAxis(number), node, number in HORIZONTAL)

    def fit(self) -> None:
        """Sets the ranges of all axes to those of the visible series."""
        ranges: dict[int, tuple[float, float]] = {}
        for plot in self._plots.values():
            bounds = [0.0] * 4
            plot.GetUnscaledInputBounds(bounds)
            if not plot.GetVisible() or bounds[1] < bounds[0]:
                continue
            for axis, (low, high) in ((vtkAxis.BOTTOM, bounds[:2]), (vtkAxis.LEFT, bounds[2:])):
                before = ranges.get(axis, (low, high))
                ranges[axis] = (min(before[0], low), max(before[1], high))
        for number in AXES:
            _set_range(self._chart.GetAxis(number), ranges.get(number, (0.0, 0.0)))
            self._chart.GetAxis(number).AutoScale()

    def _update_series(self, series_id: str, series) -> None:
        known = self._plots.get(series_id)
        plot = plot_of(series, known)
        if plot is known:
            return
        self._remove(series_id)
        if plot is not None:
            self._plots[series_id] = plot
            self._chart.AddPlot(plot)

    def _remove(self, series_id: str) -> None:
        plot = self._plots.pop(series_id, None)
        if plot is None:
            return
        # As in Slicer: vtkChartXY cannot draw a plot again that was removed from the first corner.
        if self._chart.GetPlotCorner(plot) == 0:
            self._chart.SetPlotCorner(plot, 1)
        self._chart.RemovePlotInstance(plot)

    def _update_texts(self, node) -> None:
        chart = self._chart
        title = chart.GetTitleProperties()
        family = title.GetFontFamilyFromString(node.GetFontType() or "Arial")
        chart.SetTitle((node.GetTitle() or "") if node.GetTitleVisibility() else "")
        title.SetFontFamily(family)
        title.SetFontSize(node.GetTitleFontSize())
        chart.SetShowLegend(node.GetLegendVisibility())
        legend = chart.GetLegend().GetLabelProperties()
        legend.SetFontFamily(family)
        legend.SetFontSize(node.GetLegendFontSize())
        for number in AXES:
            axis = chart.GetAxis(number)
            axis.GetTitleProperties().SetFontFamily(family)
            axis.GetTitleProperties().SetFontSize(node.GetAxisTitleFontSize())
            axis.GetLabelProperties().SetFontFamily(family)
            axis.GetLabelProperties().SetFontSize(node.GetAxisLabelFontSize())


def series_of(node) -> Iterator:
    """The vtkMRMLPlotSeriesNodes of a chart node that are in the scene."""
    for index in range(node.GetNumberOfPlotSeriesNodes()):
        series = node.GetNthPlotSeriesNode(index)
        if series is not None:
            yield series


def plot_of(series, existing: vtkPlot | None) -> vtkPlot | None:
    """The plot of a series node.

    Args:
        series: vtkMRMLPlotSeriesNode.
        existing: Its present plot, which is changed and returned if it is of the right kind.

    Returns:
        None where the series has no numbers to draw.
    """
    table = series.GetTableNode().GetTable() if series.GetTableNode() is not None else None
    y_name, x_name = series.GetYColumnName(), series.GetXColumnName()
    needs_x = series.IsXColumnRequired()
    if not _has_numbers(table, y_name) or (needs_x and not _has_numbers(table, x_name)):
        return None
    wanted = PLOT_CLASSES[series.GetPlotType()]
    plot = existing if isinstance(existing, wanted) else wanted()
    plot.SetWidth(series.GetLineWidth())
    plot.SetColorF(*series.GetColor())
    plot.SetOpacity(series.GetOpacity())
    plot.GetPen().SetOpacityF(series.GetOpacity())
    is_bar = series.GetPlotType() == NODE.PlotTypeBar
    plot.GetPen().SetLineType(vtkPen.SOLID_LINE if is_bar else PENS[series.GetLineStyle()])
    if isinstance(plot, vtkPlotLine):
        plot.SetMarkerSize(series.GetMarkerSize())
        plot.SetMarkerStyle(MARKERS[series.GetMarkerStyle()])
    plot.SetUseIndexForXSeries(not needs_x)
    plot.SetInputData(table, x_name if needs_x else y_name, y_name)
    plot.SetLabel(series.GetName() or y_name)
    return plot


def _has_numbers(table, column: str) -> bool:
    array = table.GetColumnByName(column) if table is not None and column else None
    return array is not None and array.GetDataType() not in (VTK_STRING, VTK_BIT)


def _update_axis(axis: vtkAxis, node, horizontal: bool) -> None:
    letter = "X" if horizontal else "Y"

    def of(name: str):
        return getattr(node, f"Get{letter}Axis{name}")()

    axis.SetTitle((of("Title") or "") if of("TitleVisibility") else "")
    axis.SetGridVisible(node.GetGridVisibility())
    log_scale = bool(of("LogScale"))
    if not of("RangeAuto"):
        axis.SetBehavior(vtkAxis.FIXED)
        axis.SetLogScale(log_scale)
        _set_range(axis, of("Range"))
        axis.Update()
        return
    if bool(axis.GetLogScale()) != log_scale:
        present = [0.0, 1.0]
        axis.GetUnscaledRange(present)
        axis.SetLogScale(log_scale)
        _set_range(axis, present)
        axis.Update()
    axis.SetBehavior(vtkAxis.AUTO)


def _set_range(axis: vtkAxis, wanted: tuple[float, float]) -> None:
    """Sets range and limits; a logarithmic axis shows positive values only."""
    (low, high), limits = wanted, FREE
    if axis.GetLogScale() and high <= 0:
        low, high = limits = 0.1, 1.0
    elif axis.GetLogScale():
        limits = (0.0, math.inf)
        # Four decades at most.
        low = low if low > 0 else (high / 1e4 if high < 1e4 else 1.0)
    axis.SetUnscaledMinimumLimit(limits[0])
    axis.SetUnscaledMaximumLimit(limits[1])
    axis.SetUnscaledRange(low, high)
