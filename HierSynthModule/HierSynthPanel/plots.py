"""Plots of the synthetic and the acquired map in one region, in Slicer's plot views."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.util import NodeModify
from vtk.util.numpy_support import numpy_to_vtk

from HierSynthPanel import layouts, nodes, views
from HierSynthPanel.observers import Observers
from HierSynthPanel.region_charts import Chart, Entry, Series, charts, tables

TITLE_SIZE, AXIS_SIZE, LABEL_SIZE = 12, 12, 11
"""Fonts, so that three plots fit beside each other."""

PLOT_VIEWS = (views.HISTOGRAM_VIEW, views.SCATTER_VIEW, views.BLAND_ALTMAN_VIEW)


class RegionPlots:
    """Shows histogram, scatter and Bland–Altman plot of one region.

    The nodes are used again for the next region. They are hidden from the data tree and not saved with the scene: they
    only repeat a measurement, which is made again when the scene is loaded.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, Any] = {}
        self._observers = Observers()
        self._observers.add(layouts.observed_node(), vtk.vtkCommand.ModifiedEvent, self._fill_views)

    def show(self, entry: Entry, region: str, simulated: bool) -> None:
        """Show the plots of one region, now or as soon as the layout with the plot views is chosen.

        A region without voxels that both maps cover shows no plot.

        Args:
            entry: one element of "plots" of a measurement: the names of both maps, "histogram", "scatter" and
                "bland_altman".
            region: name of the region.
            simulated: whether the case is that of a simulated patient.
        """
        if not entry["scatter"]["synthetic"]:
            self.clear()
            return
        self._forget_removed()
        for name, columns in tables(entry).items():
            self._node("vtkMRMLTableNode", name).SetAndObserveTable(_table(columns))
        for chart in charts(entry, region, simulated):
            self._update(chart)
        self._fill_views()

    def clear(self) -> None:
        """Show no plot."""
        self._forget_removed()
        for name in PLOT_VIEWS:
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
        for name in PLOT_VIEWS:
            view = views.plot_view_node(name)
            if view is not None:
                # What other modules plot must not replace these plots.
                view.SetDoPropagatePlotChartSelection(False)
                if name in self._nodes and view.GetPlotChartNodeID() != self._nodes[name].GetID():
                    view.SetPlotChartNodeID(self._nodes[name].GetID())


def _table(columns: Mapping[str, np.ndarray]) -> Any:
    table = vtk.vtkTable()
    for name, values in columns.items():
        column = numpy_to_vtk(values, deep=True)
        column.SetName(name)
        table.AddColumn(column)
    return table
