"""Charts as nodes of the scene, shown in plot views of HierSynth's layouts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.util import NodeModify
from vtk.util.numpy_support import numpy_to_vtk

from HierSynthPanel import layouts, nodes, views
from HierSynthPanel.observers import Observers

TITLE_SIZE, AXIS_SIZE, LABEL_SIZE = 12, 12, 11
"""Fonts, so that three plots fit beside each other."""

ORANGE, BLUE, GREY, BLACK = (0.902, 0.624, 0.0), (0.337, 0.706, 0.914), (0.4, 0.4, 0.4), (0.1, 0.1, 0.1)
RED = (0.835, 0.369, 0.0)
"""Colours that anybody can tell apart; synthetic is orange and acquired blue, as the bars above the views."""

Range = tuple[float, float]
Columns = Mapping[str, np.ndarray]
"""Name of a column of a table → its values."""


@dataclass(frozen=True)
class Series:
    """How the numbers of two columns are drawn: joined by a line, or as points where `line` is None."""

    label: str
    table: str
    x: str
    y: str
    color: tuple[float, float, float]
    line: str | None = "solid"


@dataclass(frozen=True)
class Chart:
    """One chart in one view."""

    view: str
    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    x_range: Range
    y_range: Range
    legend: bool = False


class ChartNodes:
    """The nodes of some charts.

    The nodes are used again for the next charts. They are hidden from the data tree and not saved with the scene: they
    only repeat what is computed again when the scene is loaded.

    Args:
        plot_views: names of the views that the charts belong to.
    """

    def __init__(self, plot_views: Iterable[str]) -> None:
        self._plot_views = tuple(plot_views)
        self._nodes: dict[str, Any] = {}
        self._observers = Observers()
        self._observers.add(layouts.observed_node(), vtk.vtkCommand.ModifiedEvent, self._fill_views)

    def show(self, tables: Mapping[str, Columns], charts: Iterable[Chart]) -> None:
        """Show charts, now or as soon as the layout with their views is chosen.

        Args:
            tables: name → columns, which the series of the charts name.
            charts: at most one for each view.
        """
        self._forget_removed()
        for name, columns in tables.items():
            self._node("vtkMRMLTableNode", name).SetAndObserveTable(_table(columns))
        for chart in charts:
            self._update(chart)
        self._fill_views()

    def clear(self) -> None:
        """Show no chart."""
        self._forget_removed()
        for name in self._plot_views:
            view = views.plot_view_node(name)
            if view is not None and name in self._nodes and view.GetPlotChartNodeID() == self._nodes[name].GetID():
                view.SetPlotChartNodeID(None)
        for node in self._nodes.values():
            slicer.mrmlScene.RemoveNode(node)
        self._nodes.clear()

    def cleanup(self) -> None:
        """Leave no node and no observer behind."""
        self._observers.clear()
        self.clear()

    def _forget_removed(self) -> None:
        """The scene may have been closed meanwhile."""
        self._nodes = {name: node for name, node in self._nodes.items() if nodes.present(node)}

    def _node(self, kind: str, name: str) -> Any:
        if name not in self._nodes:
            node = getattr(slicer, kind)()
            node.SetName(f"HierSynth {name}")
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            self._nodes[name] = slicer.mrmlScene.AddNode(node)
        return self._nodes[name]

    def _update(self, chart: Chart) -> None:
        node = self._node("vtkMRMLPlotChartNode", chart.view)
        with NodeModify(node):
            node.SetTitle(chart.title)
            node.SetTitleFontSize(TITLE_SIZE)
            node.SetAxisTitleFontSize(AXIS_SIZE)
            node.SetAxisLabelFontSize(LABEL_SIZE)
            node.SetLegendFontSize(LABEL_SIZE)
            node.SetLegendVisibility(chart.legend)
            node.SetXAxisTitle(chart.x_title)
            node.SetYAxisTitle(chart.y_title)
            # Slicer fits automatic ranges to the first data only, not to those that replace them.
            node.SetXAxisRangeAuto(False)
            node.SetYAxisRangeAuto(False)
            node.SetXAxisRange(*chart.x_range)
            node.SetYAxisRange(*chart.y_range)
            while node.GetNumberOfPlotSeriesNodes() > len(chart.series):
                node.RemoveNthPlotSeriesNodeID(len(chart.series))
            for number, series in enumerate(chart.series):
                node.SetAndObserveNthPlotSeriesNodeID(number, self._series(f"{chart.view}{number}", series).GetID())

    def _series(self, name: str, series: Series) -> Any:
        node = self._node("vtkMRMLPlotSeriesNode", name)
        styles = {None: node.LineStyleNone, "solid": node.LineStyleSolid, "dashed": node.LineStyleDash}
        with NodeModify(node):
            node.SetName(series.label)
            node.SetAndObserveTableNodeID(self._nodes[series.table].GetID())
            node.SetPlotType(node.PlotTypeScatter)
            node.SetXColumnName(series.x)
            node.SetYColumnName(series.y)
            node.SetColor(*series.color)
            node.SetLineStyle(styles[series.line])
            node.SetLineWidth(2)
            node.SetMarkerStyle(node.MarkerStyleNone if series.line else node.MarkerStyleCircle)
            node.SetMarkerSize(5)
            node.SetOpacity(1.0 if series.line else 0.6)
        return node

    def _fill_views(self, *_args: object) -> None:
        """Show the charts in the plot views that there are."""
        self._forget_removed()
        for name in self._plot_views:
            view = views.plot_view_node(name)
            if view is not None:
                # What other modules plot must not replace these plots.
                view.SetDoPropagatePlotChartSelection(False)
                if name in self._nodes and view.GetPlotChartNodeID() != self._nodes[name].GetID():
                    view.SetPlotChartNodeID(self._nodes[name].GetID())


def _table(columns: Columns) -> Any:
    table = vtk.vtkTable()
    for name, values in columns.items():
        column = numpy_to_vtk(values, deep=True)
        column.SetName(name)
        table.AddColumn(column)
    return table
