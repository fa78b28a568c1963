"""The namespace `slicer.modules` with Slicer's own modules in it, as far as their logic is concerned.

Followed: Base/QTCore/qSlicerCoreApplication.cxx, qSlicerAbstractCoreModule.cxx and the setup() of the modules Colors,
Volumes, VolumeRendering, Markups, Plots, Segmentations, Sequences and SubjectHierarchy of Slicer.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer

LOGICS = {
    "Colors": slicer.vtkSlicerColorLogic,
    "Volumes": slicer.vtkSlicerVolumesLogic,
    "VolumeRendering": slicer.vtkSlicerVolumeRenderingLogic,
    "Markups": slicer.vtkSlicerMarkupsLogic,
    "Plots": slicer.vtkSlicerPlotsLogic,
    "Segmentations": slicer.vtkSlicerSegmentationsModuleLogic,
    "Sequences": slicer.vtkSlicerSequencesLogic,
    "SubjectHierarchy": slicer.vtkSlicerSubjectHierarchyModuleLogic,
}


class LoadableModule:
    """A module written in C++: here only its logic."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self._logic = logic

    def logic(self) -> Any:
        """The module's logic."""
        return self._logic


def make_modules(application_logic: Any, scene: Any) -> SimpleNamespace:
    """Load the modules.

    Args:
        application_logic: vtkSlicerApplicationLogic.
        scene: vtkMRMLScene.
    """
    modules = SimpleNamespace()
    for name, make in LOGICS.items():
        logic = make()
        application_logic.SetModuleLogic(name, logic)
        logic.SetMRMLApplicationLogic(application_logic)
        if name == "Colors":
            application_logic.SetColorLogic(logic)
        logic.SetMRMLScene(scene)
        setattr(modules, name.lower(), LoadableModule(name, logic))
    modules.volumerendering.logic().ChangeVolumeRenderingMethod("vtkMRMLGPURayCastVolumeRenderingDisplayNode")
    return modules
