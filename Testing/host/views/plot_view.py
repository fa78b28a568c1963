"""The drawing area of a plot view.

Followed: qMRMLPlotView.cxx; ctkVTKChartView.cpp of CTK; vtkContextView.cxx of VTK (scene, actor and interactor style).
"""

from __future__ import annotations

import slicer
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import QWidget
from vtkmodules.vtkChartsCore import vtkAxis, vtkChart, vtkChartXY
from vtkmodules.vtkCommonCore import vtkCommand
from vtkmodules.vtkRenderingContext2D import vtkContextActor, vtkContextMouseEvent, vtkContextScene
from vtkmodules.vtkViewsContext2D import vtkContextInteractorStyle

from Testing.host.views.abstract_view import AbstractView
from Testing.host.views.plot_chart import ChartContents
from Testing.host.views.scheduler import RenderScheduler

BACKGROUND = QColor(255, 253, 246)
LEFT, MIDDLE = vtkContextMouseEvent.LEFT_BUTTON, vtkContextMouseEvent.MIDDLE_BUTTON
RIGHT, NONE = vtkContextMouseEvent.RIGHT_BUTTON, vtkContextMouseEvent.NO_BUTTON
NODE = slicer.vtkMRMLPlotViewNode
BUTTONS = {
    NODE.InteractionModePanView: ((vtkChart.PAN, LEFT), (vtkChart.ZOOM, MIDDLE)),
    NODE.InteractionModeSelectPoints: ((vtkChart.SELECT, LEFT), (vtkChart.PAN, MIDDLE)),
    NODE.InteractionModeFreehandSelectPoints: ((vtkChart.SELECT_POLYGON, LEFT), (vtkChart.PAN, MIDDLE)),
    NODE.InteractionModeMovePoints: ((vtkChart.CLICK_AND_DRAG, LEFT), (vtkChart.PAN, MIDDLE)),
}
"""What the left and the middle button do; the right one zooms one axis."""


class PlotView(AbstractView):
    """Shows the chart of one vtkMRMLPlotViewNode."""

    def __init__(self, scheduler: RenderScheduler, parent: QWidget | None = None) -> None:
        super().__init__(scheduler, parent)
        self._mrml_scene = None
        self._view_node = None
        self._updating = False
        actor = vtkContextActor()
        self._context_scene = actor.GetScene()
        self._context_scene.SetRenderer(self._renderer)
        self._renderer.AddViewProp(actor)
        self._renderer.SetBackground(BACKGROUND.redF(), BACKGROUND.greenF(), BACKGROUND.blueF())
        self._chart = new_chart()
        self._contents = ChartContents(self._chart)
        self._context_scene.AddItem(self._chart)
        style = vtkContextInteractorStyle()
        style.SetScene(self._context_scene)
        self._interactor.SetInteractorStyle(style)
        self._observers.add(self._context_scene, vtkCommand.ModifiedEvent, self.scheduleRender)
        self._observers.add(self._chart, vtkCommand.InteractionEvent, self._on_interaction)

    def chart(self) -> vtkChartXY:
        """The chart that is drawn."""
        return self._chart

    def scene(self) -> vtkContextScene:
        """The scene that holds the chart."""
        return self._context_scene

    def mrmlScene(self):
        """The vtkMRMLScene, or None."""
        return self._mrml_scene

    def mrmlPlotViewNode(self):
        """The vtkMRMLPlotViewNode that is shown, or None."""
        return self._view_node

    def setMRMLScene(self, scene) -> None:
        """Follows `scene`, which may be being loaded or closed."""
        if scene is self._mrml_scene:
            return
        if self._mrml_scene is not None:
            self._observers.remove_from(self._mrml_scene)
        self._mrml_scene = scene
        if scene is not None:
            self._observers.add(scene, scene.EndBatchProcessEvent, self._update)
        if self._view_node is not None and self._view_node.GetScene() is not scene:
            self.setMRMLPlotViewNode(None)
        self._update()

    def setMRMLPlotViewNode(self, node) -> None:
        """Shows the chart of `node`, a vtkMRMLPlotViewNode or None."""
        if node is self._view_node:
            return
        if self._view_node is not None:
            self._observers.remove_from(self._view_node)
        self._view_node = node
        if node is not None:
            # Invoked for another chart as well as for any change of the chart, its series and their tables.
            self._observers.add(node, node.PlotChartNodeChangedEvent, self._update)
            self._observers.add(node, vtkCommand.ModifiedEvent, self._update)
        self._update()

    def fitToContent(self) -> None:
        """Shows all of every series, also where the chart node fixes the ranges."""
        self._contents.fit()
        self._on_interaction()
        self._context_scene.SetDirty(True)

    def sizeHint(self) -> QSize:
        """None, as in Slicer, so that layouts share the room."""
        return QSize()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """S changes what the mouse does, R fits the chart, U forgets the selected points."""
        super().keyPressEvent(event)
        if event.key() == Qt.Key.Key_S and self._view_node is not None:
            mode = self._view_node.GetInteractionMode() + 1
            self._view_node.SetInteractionMode(mode % NODE.InteractionMode_Last)
        elif event.key() == Qt.Key.Key_R:
            self.fitToContent()
        elif event.key() == Qt.Key.Key_U:
            self._chart.RemovePlotSelections()

    def event(self, event: QEvent) -> bool:
        """Unlike the other views, this one uses keys besides handing them to the interactor."""
        handled = super().event(event)
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            self.keyPressEvent(event)
        return handled

    def finalize(self) -> None:
        """As the base class; also lets go of node and chart."""
        self.setMRMLPlotViewNode(None)
        self._contents.clear()
        self._context_scene.ClearItems()
        super().finalize()

    def _shown_chart(self):
        if self._mrml_scene is None or self._view_node is None or not self._view_node.GetPlotChartNodeID():
            return None
        return self._mrml_scene.GetNodeByID(self._view_node.GetPlotChartNodeID())

    def _update(self, *_) -> None:
        if self._mrml_scene is None or self._view_node is None or self._updating:
            return
        self._updating = True
        _set_buttons(self._chart, self._view_node.GetInteractionMode())
        node = self._shown_chart()
        if node is None:
            self._contents.clear()
        else:
            self._chart.SetDragPointAlongX(
                self._view_node.GetEnablePointMoveAlongX() and node.GetEnablePointMoveAlongX()
            )
            self._chart.SetDragPointAlongY(
                self._view_node.GetEnablePointMoveAlongY() and node.GetEnablePointMoveAlongY()
            )
            self._contents.update(node)
        self._context_scene.SetDirty(True)
        self._updating = False

    def _on_interaction(self, *_) -> None:
        """The chart node learns which ranges the user has chosen with the mouse."""
        node = self._shown_chart()
        if node is None or self._updating:
            return
        was_modifying = node.StartModify()
        for axis, setter in ((vtkAxis.BOTTOM, node.SetXAxisRange), (vtkAxis.LEFT, node.SetYAxisRange)):
            present = [0.0, 1.0]
            self._chart.GetAxis(axis).GetUnscaledRange(present)
            setter(present)
        node.EndModify(was_modifying)


def new_chart() -> vtkChartXY:
    """An empty chart with Slicer's fonts and background."""
    chart = vtkChartXY()
    chart.GetBackgroundBrush().SetColor(BACKGROUND.red(), BACKGROUND.green(), BACKGROUND.blue(), 255)
    chart.GetTitleProperties().SetFontFamilyToArial()
    chart.GetTitleProperties().SetFontSize(20)
    chart.GetLegend().GetLabelProperties().SetFontFamilyToArial()
    for number in range(4):
        axis = chart.GetAxis(number)
        axis.GetTitleProperties().SetFontFamilyToArial()
        axis.GetTitleProperties().SetFontSize(16)
        axis.GetTitleProperties().SetBold(False)
        axis.GetLabelProperties().SetFontFamilyToArial()
        axis.GetLabelProperties().SetFontSize(12)
    return chart


def _set_buttons(chart: vtkChartXY, mode: int) -> None:
    clicking = NONE if mode == NODE.InteractionModeMovePoints else LEFT
    chart.SetClickActionToButton(vtkChart.SELECT, clicking)
    for action, button in BUTTONS[mode]:
        chart.SetActionToButton(action, button)
    chart.SetActionToButton(vtkChart.ZOOM_AXIS, RIGHT)
