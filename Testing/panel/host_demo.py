"""The demonstration module with which the stand-in host is tested."""

from pathlib import Path
from typing import Any

from Testing.host import Host
from Testing.host.properties import PROPERTIES

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "host_module"


def open_demo(host: Host) -> Any:
    """Load the module HostDemo and go to it; its ScriptedLoadableModuleWidget."""
    host.style.choose("HostDemo", PROPERTIES)
    return host.open_module("HostDemo", FOLDER)


def add_volume(name: str) -> Any:
    """A scalar volume node without voxels."""
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def save_scene(path: Path) -> Path:
    """Save the scene as .mrml (without voxels) or .mrb."""
    import slicer

    if path.suffix == ".mrb":
        assert slicer.mrmlScene.WriteToMRB(str(path))
    else:
        slicer.mrmlScene.SetURL(str(path))
        assert slicer.mrmlScene.Commit()
    return path


def load_scene(path: Path) -> None:
    """File > Open of a saved scene in place of the present one."""
    import slicer

    if path.suffix == ".mrb":
        assert slicer.mrmlScene.ReadFromMRB(str(path), True)
    else:
        slicer.mrmlScene.SetURL(str(path))
        assert slicer.mrmlScene.Connect()
