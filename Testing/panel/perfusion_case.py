"""DSC series in the scene, of a head whose perfusion is known, and what a user does with them."""

from typing import Any

import numpy as np

from HierSynthLib.perfusion.maps import PerfusionMaps
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from Testing.panel.roi_case import add_segmentation
from Testing.unit.test_perfusion_head import Head, make_head

RUN_SECONDS = 60.0
SHAPE, SPACING = (22, 27, 10), (6.4, 6.4, 9.6)
TE_MS, TR_S = 30.0, 1.5


def small_head(**changes: Any) -> Head:
    """The head on a coarse grid."""
    return make_head(SHAPE, SPACING, frames=60, **changes)


def expected(head: Head, aif_voxels: Any = None, **options: Any) -> PerfusionMaps:
    """What the processing gives for the head with its white matter, without motion correction."""
    white = head.mask("white") & head.brain
    return process(head.series, Options(motion=False, **options), nawm=white, aif_voxels=aif_voxels)


def add_sequence(head: Head, name: str = "perfusion", *, times: bool = True) -> Any:
    """The head as a sequence node with a browser and the volume that shows it, as Slicer loads a 4-D file."""
    import slicer

    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("time" if times else "frame")
    sequence.SetIndexUnit("s" if times else "")
    if times:
        sequence.SetAttribute("MultiVolume.DICOM.EchoTime", f"{TE_MS:g}")
    frame = slicer.vtkMRMLScalarVolumeNode()
    frame.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(head.series.affine))
    echo = head.series.echoes[0]
    for number in range(echo.shape[3]):
        slicer.util.updateVolumeFromArray(frame, np.ascontiguousarray(echo[..., number].T))
        sequence.SetDataNodeAtValue(frame, f"{number * TR_S:g}" if times else str(number))
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    browser.GetProxyNode(sequence).SetName(name)
    return sequence


def shown(sequence: Any) -> Any:
    """The volume that shows a sequence."""
    import slicer

    return slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")[0].GetProxyNode(sequence)


def multi_volume_class() -> type:
    """A stand-in for vtkMRMLMultiVolumeNode, which comes with another extension: a volume with a component per frame.

    Followed: MRML/vtkMRMLMultiVolumeNode.h of MultiVolumeExplorer.
    """
    import slicer

    class MultiVolume(slicer.vtkMRMLVectorVolumeNode):
        def GetClassName(self) -> str:
            return "vtkMRMLMultiVolumeNode"

        def IsA(self, name: str) -> bool:
            return name == "vtkMRMLMultiVolumeNode" or slicer.vtkMRMLScalarVolumeNode().IsA(name)

        def GetNumberOfFrames(self) -> int:
            return self.GetImageData().GetNumberOfScalarComponents()

    return MultiVolume


def add_multi_volume(head: Head, name: str = "multi-volume") -> Any:
    """The head as a multi-volume with the attributes of Slicer's DICOM import; keep the reference."""
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    node = multi_volume_class()()
    echo = head.series.echoes[0]
    image = vtk.vtkImageData()
    image.SetDimensions(*echo.shape[:3])
    flat = np.ascontiguousarray(echo.transpose(2, 1, 0, 3)).reshape(-1, echo.shape[3])
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(head.series.affine))
    node.SetName(name)
    labels = ",".join(f"{1000 * TR_S * number:g}" for number in range(echo.shape[3]))
    for key, value in {
        "DICOM.EchoTime": f"{TE_MS:g}",
        "DICOM.RepetitionTime": f"{1000 * TR_S:g}",
        "DICOM.FlipAngle": "60",
        "FrameLabels": labels,
        "FrameIdentifyingDICOMTagUnits": "ms",
    }.items():
        node.SetAttribute(f"MultiVolume.{key}", value)
    slicer.mrmlScene.AddNode(node)
    return node


def add_white_matter(head: Head) -> Any:
    """The head's white matter as the segment that the panel takes for the NAWM reference."""
    white = head.mask("white") & head.brain
    return add_segmentation("Segmentation", {"NAWM reference": white}, head.series.affine)


def choose_series(host: Any, panel: Any, node: Any) -> None:
    """Choose a series in the section's selector, without motion correction, which takes long."""
    section = panel.perfusion
    section.ui.perfusionButton.collapsed = False
    if section.ui.motionCheckBox.checked:
        host.click(section.ui.motionCheckBox)
    host.choose(section.ui.seriesSelector, node.GetName())
    host.wait(lambda: panel.context.parameters.dsc is node, 5)
    settle(host, panel)


def settle(host: Any, panel: Any) -> None:
    """Wait until the section has looked at the last changes."""
    host.wait(lambda: not panel.perfusion._timer.active, 5)


def start(host: Any, panel: Any) -> None:
    """Press Run."""
    settle(host, panel)
    assert panel.perfusion.ui.processButton.text == "Run"
    host.click(panel.perfusion.ui.processButton)
    assert panel.perfusion.process.active, panel.perfusion.ui.processStatus.text


def run(host: Any, panel: Any) -> None:
    """Press Run and wait for the end, whatever it is."""
    start(host, panel)
    host.wait(lambda: not panel.perfusion.process.active, RUN_SECONDS)
    settle(host, panel)


def values_of(node: Any) -> np.ndarray:
    """(I, J, K) voxels of a volume node."""
    import slicer

    return slicer.util.arrayFromVolume(node).T


def local_affine(node: Any) -> np.ndarray:
    """(4, 4) voxel index → position under the parent transform."""
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def positions_of(voxels: Any, affine: np.ndarray) -> np.ndarray:
    """(n, 3) RAS mm of voxels."""
    return np.asarray(voxels) @ affine[:3, :3].T + affine[:3, 3]


def load_map(host: Any, panel: Any, words: str) -> Any:
    """Load a further map by what the list says of it; its node."""
    import slicer

    ui = panel.perfusion.ui
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
    host.choose(ui.mapSelector, words)
    host.click(ui.loadMapButton)
    host.wait(lambda: panel.perfusion.process.loading, 5)
    host.wait(lambda: not panel.perfusion.process.loading, 20)
    added = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetID() not in before]
    return added[0]
