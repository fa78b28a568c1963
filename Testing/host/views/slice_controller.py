"""The bar above a slice view: label in the view's colour, fit button, offset slider.

Followed: qMRMLSliceControllerWidget.cxx.
"""

from __future__ import annotations

import slicer
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QDoubleSpinBox, QWidget
from vtkmodules.vtkCommonCore import reference, vtkCommand

from Testing.host.views.controller_bar import ControllerBar
from Testing.host.widgets.slider_widget import ctkSliderWidget

SMALLEST_STEP_MM = 1e-8


class SliceController(ControllerBar):
    """Connects the bar with one vtkMRMLSliceLogic."""

    imageDataConnectionChanged = Signal(object)
    renderRequested = Signal()

    def __init__(self, slice_logic, app_logic, parent: QWidget | None = None) -> None:
        super().__init__("Fit the slice to the window.", parent)
        self._logic = slice_logic
        self._app_logic = app_logic
        self._connection = None
        self._slider = new_offset_slider()
        self._slider.valueChanged.connect(self.setSliceOffsetValue, Qt.ConnectionType.QueuedConnection)
        self._slider.valueIsChanging.connect(self.trackSliceOffsetValue, Qt.ConnectionType.QueuedConnection)
        self._row.addWidget(self._slider, 1)
        self.fit_requested.connect(self.fitSliceToBackground)
        self._observers.add(self._logic, vtkCommand.ModifiedEvent, self._on_logic_modified)

    def sliceLogic(self):
        """The vtkMRMLSliceLogic."""
        return self._logic

    def mrmlSliceNode(self):
        """The vtkMRMLSliceNode, or None."""
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        """The vtkMRMLSliceCompositeNode, or None."""
        return self._logic.GetSliceCompositeNode()

    def sliceOffsetSlider(self) -> ctkSliderWidget:
        """The slider."""
        return self._slider

    def sliceViewColor(self) -> QColor:
        """The view's colour."""
        return QColor.fromRgbF(*self.mrmlSliceNode().GetLayoutColor())

    def imageDataConnection(self):
        """The vtkAlgorithmOutput of the slice logic, or None without a volume."""
        return self._connection

    def setSliceViewSize(self, size: QSize) -> None:
        """Tells the slice node how many pixels it has."""
        self._logic.ResizeSliceNode(size.width(), size.height())

    def setSliceOffsetValue(self, offset: float) -> None:
        """Moves the slice to `offset` (mm along its normal); linked views follow."""
        self._app_logic.PauseRender()
        self._logic.StartSliceOffsetInteraction()
        self._logic.SetSliceOffset(offset)
        self._logic.EndSliceOffsetInteraction()
        self._app_logic.ResumeRender()

    def trackSliceOffsetValue(self, offset: float) -> None:
        """As setSliceOffsetValue(), while the user still drags: only hot-linked views follow."""
        self._app_logic.PauseRender()
        self._logic.StartSliceOffsetInteraction()
        self._logic.SetSliceOffset(offset)
        self._app_logic.ResumeRender()

    def fitSliceToBackground(self) -> None:
        """Shows the whole lowest volume layer; linked views follow."""
        self._logic.StartSliceNodeInteraction(slicer.vtkMRMLSliceNode.ResetFieldOfViewFlag)
        self._logic.FitSliceToBackground()
        self.mrmlSliceNode().UpdateMatrices()
        self._logic.EndSliceNodeInteraction()

    def setSliceLink(self, linked: bool) -> None:
        """Links this view with the other views of its group."""
        self._for_all_composite_nodes("SetLinkedControl", linked)

    def setHotLinked(self, linked: bool) -> None:
        """Makes linked views follow while the user still drags."""
        self._for_all_composite_nodes("SetHotLinkedControl", linked)

    def isLinked(self) -> bool:
        """Whether the view is linked."""
        return bool(self.mrmlSliceCompositeNode().GetLinkedControl())

    def setSliceOrientation(self, orientation: str) -> None:
        """Sets "Axial", "Coronal" or "Sagittal"; linked views follow."""
        self._logic.StartSliceNodeInteraction(slicer.vtkMRMLSliceNode.OrientationFlag)
        self.mrmlSliceNode().SetOrientation(orientation)
        self._logic.EndSliceNodeInteraction()

    def update_from_logic(self) -> None:
        """Shows the state of the slice logic."""
        node = self._logic.GetSliceNode()
        self.show_node(node)
        self.setDisabled(node is None)
        connection = self._logic.GetImageDataConnection()
        if connection is not self._connection:
            self._connection = connection
            self.imageDataConnectionChanged.emit(connection)
        offsets, resolution = [-1.0, 1.0], reference(1.0)
        if node is None or not self._logic.GetSliceOffsetRangeResolution(offsets, resolution):
            return
        self._slider.blockSignals(True)
        self._slider.setRange(*offsets)
        self._slider.singleStep = self._slider.pageStep = max(float(resolution), SMALLEST_STEP_MM)
        self._slider.setValue(self._logic.GetSliceOffset())
        self._slider.blockSignals(False)
        self.renderRequested.emit()

    def _on_logic_modified(self, *_) -> None:
        self.update_from_logic()

    def update_from_node(self, *_) -> None:
        """Also names the directions of the slider."""
        super().update_from_node()
        node = self.mrmlSliceNode()
        to_ras = node.GetSliceToRAS()
        normal = [to_ras.GetElement(row, 2) for row in range(3)]
        positive, negative = node.GetDirectionLabel(normal, True), node.GetDirectionLabel(normal, False)
        self._slider.prefix = f"{positive}: "
        self._slider.setToolTip(f"{negative} <-----> {positive}")

    def _for_all_composite_nodes(self, setter: str, value: bool) -> None:
        """Slicer keeps all composite nodes alike in this."""
        scene = self._logic.GetMRMLScene()
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
            getattr(scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode"), setter)(value)


def new_offset_slider() -> ctkSliderWidget:
    """A slider for mm that fits into the bar: black on the view's colour."""
    slider = ctkSliderWidget()
    slider.setObjectName("SliceOffsetSlider")
    slider.tracking = False
    slider.suffix = " mm"
    spin_box = slider.spinBox()
    spin_box.setFrame(False)
    spin_box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    spin_box.setKeyboardTracking(False)
    spin_box.setStyleSheet("color: black; background-color: transparent;")
    return slider
