"""Which displayable managers the views use.

Followed: qMRMLSliceView.cxx and qMRMLThreeDView.cxx (the first list of each), and the modules Colors, Markups,
Segmentations, Transforms and VolumeRendering, which register theirs with the two factories when Slicer starts. Missing
is vtkMRMLThreeDSliceEdgeDisplayableManager, which the factory of slicer-core cannot create.
"""

from __future__ import annotations

import slicer

SLICE_VIEW = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLLinearTransformsDisplayableManager",
)
THREED_VIEW = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLLinearTransformsDisplayableManager",
    "vtkMRMLVolumeRenderingDisplayableManager",
)


def register_displayable_managers(app_logic) -> None:
    """Makes the managers known to the factories of slice views and 3-D views (once per process, as in Slicer).

    Args:
        app_logic: vtkMRMLApplicationLogic of the application.
    """
    _register(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), SLICE_VIEW, app_logic)
    _register(slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), THREED_VIEW, app_logic)


def _register(factory, names: tuple[str, ...], app_logic) -> None:
    factory.SetMRMLApplicationLogic(app_logic)
    for name in names:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
