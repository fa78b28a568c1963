"""The drawing area of a 3-D view.

Followed: qMRMLThreeDView.cxx, and ctkVTKRenderView.cpp of CTK (without spin, rock, stereo and shadows).
"""

from __future__ import annotations

import slicer
from PySide6.QtWidgets import QWidget
from vtkmodules.vtkCommonCore import vtkCommand
from vtkmodules.vtkRenderingCore import vtkInteractorStyle3D, vtkRenderer

from Testing.host.views.mrml_view import MRMLView
from Testing.host.views.scheduler import RenderScheduler

VOLUME_PIXEL_SIZE = 2.0
"""Rays through volumes are so many pixels apart: in software a quarter of the rays take a quarter of the time."""


class ThreeDView(MRMLView):
    """Shows models and volume renderings."""

    def __init__(self, scheduler: RenderScheduler, parent: QWidget | None = None) -> None:
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        super().__init__(factory, slicer.vtkMRMLThreeDViewInteractorStyle(), scheduler, parent)
        self._renderer.GradientBackgroundOn()
        self._interactor.SetInteractorStyle(vtkInteractorStyle3D())

    def renderer(self) -> vtkRenderer:
        """The only renderer."""
        return self._renderer

    def mrmlViewNode(self):
        """The vtkMRMLViewNode that is shown, or None."""
        return self._view_node

    def setMRMLViewNode(self, node) -> None:
        """Shows the objects of `node`, a vtkMRMLViewNode."""
        if self._view_node is not None and self._view_node is not node:
            self._observers.remove_from(self._view_node)
        if node is not None and self._view_node is not node:
            self._observers.add(node, vtkCommand.ModifiedEvent, self._update_from_node)
        self.set_view_node(node)
        self._update_from_node()

    def cameraNode(self):
        """The vtkMRMLCameraNode of this view, or None."""
        return self.displayableManagerByClassName("vtkMRMLCameraDisplayableManager").GetCameraNode()

    def rotateToViewAxis(self, axis: int) -> None:
        """Looks from the left, right, back, front, below or above (0 to 5)."""
        camera = slicer.vtkMRMLCameraNode
        directions = (camera.Left, camera.Right, camera.Posterior, camera.Anterior, camera.Inferior, camera.Superior)
        self.cameraNode().RotateTo(directions[axis])

    def resetCamera(
        self, resetRotation: bool = True, resetTranslation: bool = True, resetDistance: bool = True
    ) -> None:
        """Shows everything from the front."""
        self.cameraNode().Reset(resetRotation, resetTranslation, resetDistance, self._renderer)

    def resetFocalPoint(self) -> None:
        """Turns around the centre of what is visible; box, axis labels and crosshair do not count."""
        node = self._view_node
        box, labels = (node.GetBoxVisible(), node.GetAxisLabelsVisible()) if node is not None else (0, 0)
        self._show_box(0, 0)
        crosshair = slicer.vtkMRMLCrosshairDisplayableManager().FindCrosshairNode(self._scene)
        mode = crosshair.GetCrosshairMode() if crosshair is not None else 0
        if crosshair is not None:
            crosshair.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.NoCrosshair)
        self._focus_on_visible_props()
        if node is not None:
            self._show_box(box, labels)
            node.InvokeEvent(slicer.vtkMRMLViewNode.ResetFocalPointRequestedEvent)
        if crosshair is not None:
            crosshair.SetCrosshairMode(mode)
        self._renderer.ResetCameraClippingRange()

    def forceRender(self) -> None:
        """Draws now, volumes at reduced resolution."""
        for volume in self._renderer.GetVolumes():
            volume.GetMapper().SetImageSampleDistance(VOLUME_PIXEL_SIZE)
        super().forceRender()

    def _show_box(self, box: int, labels: int) -> None:
        node = self._view_node
        if node is None:
            return
        was_modifying = node.StartModify()
        node.SetBoxVisible(box)
        node.SetAxisLabelsVisible(labels)
        node.EndModify(was_modifying)

    def _focus_on_visible_props(self) -> None:
        bounds = [0.0] * 6
        self._renderer.ComputeVisiblePropBounds(bounds)
        if not self._renderer.IsActiveCameraCreated():
            return
        camera = self._renderer.GetActiveCamera()
        camera.SetFocalPoint([(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)])
        camera.ComputeViewPlaneNormal()
        camera.OrthogonalizeViewUp()
        self._renderer.ResetCameraClippingRange()
        self._renderer.UpdateLightsGeometryToFollowCamera()

    def _update_from_node(self, *_) -> None:
        """Depth peeling as the node says, but not for volumes: in software it takes seconds."""
        if self._view_node is not None:
            peel = bool(self._view_node.GetUseDepthPeeling())
            self._window.SetAlphaBitPlanes(int(peel))
            self._renderer.SetUseDepthPeeling(peel)
