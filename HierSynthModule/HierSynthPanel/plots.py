"""Plots of the synthetic and the acquired map in one region, in Slicer's plot views."""

from HierSynthPanel import views
from HierSynthPanel.chart_nodes import ChartNodes
from HierSynthPanel.region_charts import Entry, charts, tables

PLOT_VIEWS = (views.HISTOGRAM_VIEW, views.SCATTER_VIEW, views.BLAND_ALTMAN_VIEW)


class RegionPlots:
    """Shows histogram, scatter and Bland–Altman plot of one region."""

    def __init__(self) -> None:
        self._charts = ChartNodes(PLOT_VIEWS)

    def show(self, entry: Entry, region: str, simulated: bool) -> None:
        """Show the plots of one region, now or as soon as the layout with the plot views is chosen.

        A region without voxels that both maps cover shows no plot.

        Args:
            entry: one element of "plots" of a measurement: the names of both maps, "histogram", "scatter" and
                "bland_altman".
            region: name of the region.
            simulated: whether the case is that of a simulated patient.
        """
        if entry["scatter"]["synthetic"]:
            self._charts.show(tables(entry), charts(entry, region, simulated))
        else:
            self.clear()

    def clear(self) -> None:
        """Show no plot."""
        self._charts.clear()

    def cleanup(self) -> None:
        """Leave no node and no observer behind."""
        self._charts.cleanup()
