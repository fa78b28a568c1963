"""The scene and the application logic.

Followed: qSlicerCoreApplicationPrivate::init() and setMRMLScene() in Base/QTCore/qSlicerCoreApplication.cxx of Slicer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer
import vtk


@dataclass(frozen=True)
class Core:
    """What every part of the application needs.

    Attributes:
        scene: vtkMRMLScene.
        logic: vtkSlicerApplicationLogic.
        data_io: logics that the scene uses to read files, and does not own.
    """

    scene: Any
    logic: Any
    data_io: tuple[Any, Any]


def make_core(home: str, cache: str) -> Core:
    """Make a scene with the nodes that Slicer always has.

    Args:
        home: folder of the application; it has no files for the modules.
        cache: folder into which scene bundles are unpacked.
    """
    scene = slicer.vtkMRMLScene()
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetHomeDirectory(home)
    logic.SetShareDirectory("share")
    logic.SetMRMLScene(scene)
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    return Core(scene, logic, _connect_files(scene, logic, cache))


def _connect_files(scene: Any, logic: Any, cache: str) -> tuple[Any, Any]:
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.GetCacheManager().SetRemoteCacheDirectory(cache)
    manager = slicer.vtkDataIOManagerLogic()
    manager.SetMRMLApplicationLogic(logic)
    manager.SetAndObserveDataIOManager(remote.GetDataIOManager())
    logic.SetMRMLSceneDataIO(scene, remote, manager)
    return remote, manager
