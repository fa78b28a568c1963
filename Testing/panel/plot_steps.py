"""Steps that the tests of plots share."""

import numpy as np


def plot_widget(name):
    """The plot view with that singleton tag."""
    import slicer

    manager = slicer.app.layoutManager()
    widgets = [manager.plotWidget(index) for index in range(manager.plotViewCount)]
    return next(widget for widget in widgets if widget.mrmlPlotViewNode().GetSingletonTag() == name)


def ranges(widget):
    """(2, 2) lowest and highest value of the horizontal and the vertical axis."""
    from vtkmodules.vtkChartsCore import vtkAxis

    chart = widget.plotView().chart()
    axes = [chart.GetAxis(number) for number in (vtkAxis.BOTTOM, vtkAxis.LEFT)]
    return np.array([[axis.GetUnscaledMinimum(), axis.GetUnscaledMaximum()] for axis in axes])


def place_in(widget, x, y):
    """(2,) column and row, from the upper left, at which a plot view draws a point."""
    from vtkmodules.vtkChartsCore import vtkAxis

    chart = widget.plotView().chart()
    bottom, left = chart.GetAxis(vtkAxis.BOTTOM), chart.GetAxis(vtkAxis.LEFT)
    (low_x, high_x), (low_y, high_y) = ranges(widget)
    column = np.interp(x, [low_x, high_x], [bottom.GetPoint1()[0], bottom.GetPoint2()[0]])
    row = np.interp(y, [low_y, high_y], [left.GetPoint1()[1], left.GetPoint2()[1]])
    return np.array([column, widget.plotView().height - 1 - row])


def of_color(shown, color, tolerance=40):
    """(n, 2) columns and rows of a picture's pixels that have a colour given from 0 to 1."""
    rows, columns = np.nonzero(np.abs(shown.astype(int) - np.array(color) * 255).max(axis=2) < tolerance)
    return np.stack([columns, rows], axis=1)
