"""The drawing area of a slice view.

Followed: qMRMLSliceView.cxx; ctkVTKSliceView.cpp and vtkLightBoxRendererManager.cpp of CTK (one image, no light box).
"""

from __future__ import annotations

import slicer
from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget
from vtkmodules.vtkInteractionStyle import vtkInteractorStyleUser
from vtkmodules.vtkRenderingAnnotation import vtkCornerAnnotation
from vtkmodules.vtkRenderingCore import vtkActor2D, vtkImageMapper, vtkRenderer

from Testing.host.views.abstract_view import new_corner_annotation
from Testing.host.views.mrml_view import MRMLView
from Testing.host.views.scheduler import RenderScheduler


class SliceView(MRMLView):
    """Shows the image of one slice logic below Slicer's displayable managers."""

    resized = Signal(QSize)

    def __init__(self, scheduler: RenderScheduler, parent: QWidget | None = None) -> None:
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, slicer.vtkMRMLSliceViewInteractorStyle(), scheduler, parent)
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._overlay_renderer = vtkRenderer()
        self._overlay_renderer.SetLayer(1)
        self._overlay_renderer.GetActiveCamera().ParallelProjectionOn()
        self._overlay_corner_annotation = new_corner_annotation()
        self._overlay_renderer.AddViewProp(self._overlay_corner_annotation)
        self._window.SetNumberOfLayers(2)
        self._window.AddRenderer(self._overlay_renderer)
        self._image_mapper = vtkImageMapper()
        self._image_actor = vtkActor2D()
        self._add_image_actor()
        self._interactor.SetInteractorStyle(vtkInteractorStyleUser())

    def overlayRenderer(self) -> vtkRenderer:
        """The renderer in front of the slice."""
        return self._overlay_renderer

    def overlayCornerAnnotation(self) -> vtkCornerAnnotation:
        """The corner texts in front of everything."""
        return self._overlay_corner_annotation

    def mrmlSliceNode(self):
        """The vtkMRMLSliceNode that is shown, or None."""
        return self._view_node

    def setMRMLSliceNode(self, node) -> None:
        """Shows the objects of `node`, a vtkMRMLSliceNode."""
        self.set_view_node(node)

    def setImageDataConnection(self, connection) -> None:
        """Shows the image behind `connection` (a vtkAlgorithmOutput), or nothing."""
        self._image_mapper.SetInputConnection(connection)
        self._image_actor.SetVisibility(connection is not None)

    def convertDeviceToXYZ(self, xy: list[int]) -> list[float]:
        """Slice coordinates of a position in device pixels, origin at the lower left."""
        xyz = [0.0, 0.0, 0.0]
        self._crosshair_manager().ConvertDeviceToXYZ(xy[0], xy[1], xyz)
        return xyz

    def convertRASToXYZ(self, ras: list[float]) -> list[float]:
        """Slice coordinates of a point in RAS (mm)."""
        xyz = [0.0, 0.0, 0.0]
        self._crosshair_manager().ConvertRASToXYZ(ras, xyz)
        return xyz

    def convertXYZToRAS(self, xyz: list[float]) -> list[float]:
        """The point in RAS (mm) of slice coordinates."""
        ras = [0.0, 0.0, 0.0]
        self._crosshair_manager().ConvertXYZToRAS(xyz, ras)
        return ras

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Also tells the slice logic, through `resized`."""
        super().resizeEvent(event)
        self.resized.emit(event.size())

    def finalize(self) -> None:
        """As the base class; also lets go of the image."""
        self.setImageDataConnection(None)
        super().finalize()

    def _add_image_actor(self) -> None:
        """The slice logic's image has passed window and level already: 0-255 is shown as it is."""
        self._image_mapper.SetColorWindow(255)
        self._image_mapper.SetColorLevel(127.5)
        self._image_actor.SetMapper(self._image_mapper)
        self._image_actor.GetProperty().SetDisplayLocationToBackground()
        self._image_actor.SetVisibility(False)
        self._renderer.AddViewProp(self._image_actor)

    def _crosshair_manager(self):
        return self.displayableManagerByClassName("vtkMRMLCrosshairDisplayableManager")
