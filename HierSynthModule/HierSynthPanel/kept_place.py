"""What the user has done to a map, so that the next run, which replaces its voxels, does not undo it.

A map remembers the name, matrix and parent transform that the panel gave it; whatever is another one now is the user's.
"""

import json
from typing import Any

import numpy as np
import slicer

from HierSynthPanel import nodes
from HierSynthPanel.result_nodes import Destination

NAME = "HierSynth.GivenName"
MATRIX = "HierSynth.GivenMatrix"
"""Attribute of a map: voxel index → position under its parent transform, as JSON."""

TRANSFORM = "HierSynth.GivenTransform"
"""Reference of a map to the parent transform that it was given."""


def remember_place(node: Any) -> None:
    """The map lies where the panel wants it."""
    transform = node.GetParentTransformNode()
    node.SetAttribute(MATRIX, json.dumps(nodes.local_matrix(node).tolist()))
    node.SetNodeReferenceID(TRANSFORM, transform.GetID() if transform is not None else None)


def is_moved(node: Any) -> bool:
    """Whether the user has moved the map: registered it to the anatomy, for example."""
    given = node.GetAttribute(MATRIX)
    if given is None:
        return False
    same_transform = node.GetParentTransformNode() is node.GetNodeReference(TRANSFORM)
    return not (same_transform and nodes.is_same_place(nodes.local_matrix(node), json.loads(given)))


def fits(node: Any, image: Any, affine: np.ndarray, destination: Destination) -> bool:
    """Whether new voxels can take the place of those of a map that the user has moved: they lie on the same grid.

    Args:
        node: the map.
        image: its new voxels, vtkImageData.
        affine: (4, 4) voxel index → position in the world, RAS mm, when the run began.
        destination: where they belong.
    """
    matrix = destination.local if destination.unmoved else affine
    old = node.GetImageData()
    same_grid = old is not None and old.GetDimensions() == image.GetDimensions()
    return same_grid and nodes.is_same_place(matrix, json.loads(node.GetAttribute(MATRIX)))


def name(node: Any, words: str) -> None:
    """Give a map a name, made unique where it has to be, unless the user has given it another one."""
    given = node.GetAttribute(NAME)
    if given is not None and (node.GetName() != given or given.startswith(words)):
        return
    node.SetName(slicer.mrmlScene.GenerateUniqueName(words))
    node.SetAttribute(NAME, node.GetName())
