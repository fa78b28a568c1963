"""The maps of a synthesis as volume nodes beside the volumes that they were made from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from HierSynthLib.case import CBV_UNITS
from HierSynthLib.synthesis.summary import result_name
from HierSynthPanel import nodes

PARAMETER_OF_MAP = {
    "synthetic": "synthetic",
    "global": "globalMap",
    "residual": "residual",
    "uncertainty": "uncertainty",
    "difference": "difference",
    "acquired_on_grid": "acquiredOnGrid",
    "checkerboard": "checkerboard",
}
"""Name of a map in the worker's result → name of its node in the parameters."""

WITH_SYNTHETIC = ("global", "residual", "uncertainty")
"""Maps that a run makes besides the synthetic one."""

OF_ACQUIRED = ("acquired_on_grid",)
"""Maps that hold no synthetic value."""


@dataclass(frozen=True)
class Destination:
    """Where the maps of one run belong, as it was when the run began.

    Attributes:
        reference: the volume node on whose grid they lie.
        local: its voxel index → position matrix, (4, 4), without parent transforms.
        name: its name.
        simulated: whether the patient is simulated.
    """

    reference: Any
    local: np.ndarray
    name: str
    simulated: bool

    @staticmethod
    def beside(reference: Any, simulated: bool) -> "Destination":
        """The destination of maps on the grid of a volume node."""
        return Destination(reference, nodes.local_matrix(reference), reference.GetName(), simulated)

    @property
    def unmoved(self) -> bool:
        """Whether the reference is still in the scene and has kept its own geometry."""
        return nodes.present(self.reference) and np.array_equal(nodes.local_matrix(self.reference), self.local)


def show_map(key: str, image: Any, affine: np.ndarray, destination: Destination, run: str, replaced: Any | None) -> Any:
    """Put a map into the scene and return its node.

    Args:
        key: name of the map in the worker's result.
        image: its voxels, vtkImageData.
        affine: (4, 4) voxel index → position in the world, RAS mm, when the run began.
        destination: where it belongs.
        run: text of run.json.
        replaced: the node that shall take it; None makes a new one.
    """
    node = replaced or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    modifying = node.StartModify()
    name = result_name(destination.name, key, destination.simulated)
    node.SetName(name if replaced else slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAttribute(nodes.MAP, key)
    node.SetAttribute(nodes.SYNTHETIC, None if key in OF_ACQUIRED else "1")
    node.SetAttribute(nodes.SIMULATED, "1" if destination.simulated else "0")
    node.SetAttribute(nodes.UNITS, CBV_UNITS)
    node.SetAttribute(nodes.RUN, run)
    node.SetVoxelValueQuantity(_coded("126398", "DCM", "Relative Regional Blood Volume"))
    node.SetVoxelValueUnits(_coded("{ratio}", "UCUM", CBV_UNITS))
    put_image(node, image, affine, destination)
    node.EndModify(modifying)
    return node


def put_image(node: Any, image: Any, affine: np.ndarray, destination: Destination) -> None:
    """Give a volume node its voxels and its place beside the reference.

    Args:
        node: in the scene.
        image: its voxels, vtkImageData.
        affine: (4, 4) voxel index → position in the world, RAS mm, when the run began.
        destination: where it belongs.
    """
    if destination.unmoved:
        # Under the reference's transform of now: a map follows the anatomy that it was made from.
        nodes.place(node, destination.local, destination.reference.GetParentTransformNode())
        node.SetNodeReferenceID(nodes.REFERENCE, destination.reference.GetID())
    else:
        nodes.place(node, affine)
    if node.GetScalarVolumeDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        # Otherwise a histogram of the whole map is made when the voxels come.
        node.GetScalarVolumeDisplayNode().AutoWindowLevelOff()
    node.SetAndObserveImageData(image)
    if nodes.present(destination.reference):
        nodes.file_under(node, nodes.study_of(destination.reference))


def maps_of_same_run(synthetic: Any) -> dict[str, Any]:
    """The other maps of a synthetic map's run: name in the worker's result → node, None where it is gone."""
    run = synthetic.GetAttribute(nodes.RUN)
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    same = {node.GetAttribute(nodes.MAP): node for node in volumes if run and node.GetAttribute(nodes.RUN) == run}
    return {key: same.get(key) for key in WITH_SYNTHETIC}


def is_replaceable(node: Any, destination: Destination) -> bool:
    """Whether a node is an earlier map of the same reference."""
    return (
        nodes.present(node)
        and nodes.present(destination.reference)
        and node.GetNodeReferenceID(nodes.REFERENCE) == destination.reference.GetID()
    )


def _coded(value: str, scheme: str, meaning: str) -> Any:
    entry = slicer.vtkCodedEntry()
    entry.SetValueSchemeMeaning(value, scheme, meaning)
    return entry
