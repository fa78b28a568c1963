"""The volumes of the scene as candidates for the roles of a case."""

from typing import Any

import slicer

from HierSynthLib.case.assignment import Candidate
from HierSynthPanel import nodes

SAMPLES_PER_AXIS = 48

DICOM_TAGS = {
    "SeriesDescription": "0008,103E",
    "ImageType": "0008,0008",
    "RepetitionTime": "0018,0080",
    "EchoTime": "0018,0081",
    "InversionTime": "0018,0082",
    "ContrastBolusAgent": "0018,0010",
}


def find_candidates() -> list[Candidate]:
    """The volumes of one patient in the scene: that of the active volume, or else of the first volume.

    Volumes that HierSynth made itself are left out. The key of a candidate is the ID of its node.
    """
    volumes = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if not node.GetHideFromEditors() and node.GetAttribute(nodes.MAP) is None and nodes.has_voxels(node)
    ]
    if not volumes:
        return []
    active = slicer.app.applicationLogic().GetSelectionNode().GetActiveVolumeID()
    chosen = next((node for node in volumes if node.GetID() == active), volumes[0])
    patient = _patient_of(chosen)
    return [_candidate(node) for node in volumes if _patient_of(node) == patient]


def _patient_of(node: Any) -> int:
    """The subject hierarchy item of the patient that a node belongs to; the scene where there is none."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(node)
    patient = hierarchy.GetItemAncestorAtLevel(item, "Patient") if item else 0
    return patient or hierarchy.GetSceneItemID()


def _candidate(node: Any) -> Candidate:
    tags = _dicom_tags(node)
    array = nodes.volume_of(node).array
    thin = tuple(slice(None, None, max(1, count // SAMPLES_PER_AXIS)) for count in array.shape[:3])
    return Candidate(
        key=node.GetID(),
        name=node.GetName(),
        description=tags.pop("SeriesDescription", ""),
        sample=array[thin],
        frames=array.shape[3] if array.ndim == 4 else 1,
        is_label=node.IsA("vtkMRMLLabelMapVolumeNode"),
        hints=tags,
    )


def _dicom_tags(node: Any) -> dict[str, str]:
    """What the DICOM database says of the series that a node was loaded from; empty where it was not."""
    uids = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    if not uids or not slicer.dicomDatabase.isOpen:
        return {}
    values = {name: slicer.dicomDatabase.instanceValue(uids[0], tag) for name, tag in DICOM_TAGS.items()}
    return {name: value for name, value in values.items() if value}
