"""MRML nodes as volumes of the library, and volumes of the library as MRML nodes."""

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from HierSynthLib.case import CBV_UNITS
from HierSynthLib.volume import Volume

MAP = "HierSynth.Map"
SYNTHETIC = "HierSynth.Synthetic"
SIMULATED = "HierSynth.Simulated"
UNITS = "HierSynth.Units"
RUN = "HierSynth.Run"
REFERENCE = "HierSynth.Reference"
SERIES = "HierSynth.Series"
"""Reference of a map or of arterial points to the DSC series that they belong to."""

SAME_PLACE_MM = 1e-3
"""Matrices of the same place differ by at most this: files round them (design value)."""


def has_voxels(node: Any) -> bool:
    """Whether a volume node holds an image."""
    image = node.GetImageData()
    return image is not None and image.GetPointData().GetScalars() is not None and image.GetNumberOfPoints() > 0


def present(node: Any) -> bool:
    """Whether a node is in the scene; None is not."""
    return node is not None and bool(slicer.mrmlScene.IsNodePresent(node))


def is_relative(node: Any) -> bool:
    """Whether a CBV map is in nrCBV: not where it says that it has other units."""
    return node.GetAttribute(UNITS) in (None, "", CBV_UNITS)


def is_under_warp(node: Any) -> bool:
    """Whether a transform that is not linear applies to a node."""
    transform = node.GetParentTransformNode()
    return transform is not None and not transform.IsTransformToWorldLinear()


def volume_of(node: Any, placed_by: Any = None) -> Volume:
    """The voxels and the place in the world of a volume node, linear parent transforms included.

    The voxels are not copied; they outlive the node.

    Args:
        node: the volume.
        placed_by: the node whose parent transforms apply, where that is not the volume itself: a frame of a sequence is
            moved with the node that shows it.
    """
    voxels = slicer.util.arrayFromVolume(node)
    order = (2, 1, 0, 3) if voxels.ndim == 4 else (2, 1, 0)
    local = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(local)
    affine = _in_world(node if placed_by is None else placed_by, local)
    return Volume(voxels.transpose(order), affine, node.GetAttribute(UNITS) or "")


def volume_of_segmentation(node: Any) -> Volume | None:
    """The label map that holds the first segment of a segmentation node, in the world; None where there is none."""
    segmentation = node.GetSegmentation()
    if segmentation.GetNumberOfSegments() == 0:
        return None
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = segmentation.GetNthSegment(0).GetRepresentation(name)
    if image is None or image.GetPointData().GetScalars() is None or image.IsEmpty():
        return None
    return volume_of_labels(node, image)


def volume_of_labels(node: Any, image: Any) -> Volume:
    """The label map `image` (vtkOrientedImageData, not empty) of a segmentation node, in the world; not copied."""
    # The image starts at the first labelled voxel, not at index 0.
    first = vtk.vtkTransform()
    to_world = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(to_world)
    first.SetMatrix(to_world)
    extent = image.GetExtent()
    first.Translate(extent[0], extent[2], extent[4])
    shape = tuple(reversed(image.GetDimensions()))
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    return Volume(voxels.transpose(2, 1, 0), _in_world(node, first.GetMatrix()))


def local_matrix(node: Any) -> np.ndarray:
    """(4, 4) voxel index → position under the node's parent transform, RAS mm."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def is_same_place(first: Any, second: Any) -> bool:
    """Whether two matrices (4, 4), voxel index → RAS mm, are the same but for rounding."""
    return np.allclose(first, second, rtol=0, atol=SAME_PLACE_MM)


def place(node: Any, affine: np.ndarray, transform: Any = None) -> None:
    """Put a volume node at an affine (4, 4) under a parent transform node, or in the world for None."""
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    node.SetAndObserveTransformNodeID(transform.GetID() if transform is not None else None)


def study_of(node: Any) -> int:
    """The subject hierarchy item that a node lies under (a study, patient or folder, or the scene)."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(node)
    return hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID()


def file_under(node: Any, item: int) -> None:
    """Move a node under a subject hierarchy item."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    own = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(item, node)
    hierarchy.SetItemParent(own, item)


def _in_world(node: Any, local: Any) -> np.ndarray:
    to_world = vtk.vtkMatrix4x4()
    transform = node.GetParentTransformNode()
    if transform is not None:
        transform.GetMatrixTransformToWorld(to_world)
    vtk.vtkMatrix4x4.Multiply4x4(to_world, local, to_world)
    return slicer.util.arrayFromVTKMatrix(to_world)
