"""The voxels of single segments, as small label maps that are made again only when the segmentation was edited."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import slicer

from HierSynthLib.volume import Volume
from HierSynthPanel import nodes


class SegmentLabels:
    """Keeps the label map of each segment.

    Segments that do not overlap share one image, so an edit of one of them changes the image of all. Whether a segment
    itself has changed shows only in its voxels.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Hashable, Hashable, Volume]] = {}

    def of(self, node: Any, identifier: str) -> tuple[Hashable, Volume] | None:
        """A stamp that is another one when the segment has changed, and its voxels as 1; None without a label map.

        Args:
            node: a segmentation node.
            identifier: of the segment.
        """
        image = _image_of(node, identifier)
        if image is None:
            return None
        place = b"" if image.IsEmpty() else nodes.volume_of_labels(node, image).affine.tobytes()
        value = node.GetSegmentation().GetSegment(identifier).GetLabelValue()
        version = (image.GetMTime(), place, value)
        known = self._known.get((node.GetID(), identifier))
        if known is None or known[0] != version:
            volume = _voxels_of(node, image, value)
            stamp = (volume.affine.tobytes(), volume.array.shape, hash(volume.array.tobytes()))
            known = self._known[node.GetID(), identifier] = (version, stamp, volume)
        return known[1:]


def _image_of(node: Any, identifier: str) -> Any:
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    return node.GetSegmentation().GetSegment(identifier).GetRepresentation(name)


def _voxels_of(node: Any, image: Any, value: int) -> Volume:
    """The smallest label map that holds all voxels of a value, in the world; one empty voxel where there are none."""
    extent = [0] * 6
    # What is empty in the image is left out at once, which is much faster than numpy.
    if image.IsEmpty() or not slicer.vtkOrientedImageDataResample.CalculateEffectiveExtent(image, extent):
        return Volume(np.zeros((1, 1, 1), dtype=np.uint8))
    offset = image.GetExtent()[::2]
    ends = zip(extent[::2], extent[1::2], offset, strict=True)
    whole = _part(nodes.volume_of_labels(node, image), [slice(low - o, high - o + 1) for low, high, o in ends])
    inside = whole.array == value
    if not inside.any():
        return Volume(np.zeros((1, 1, 1), dtype=np.uint8))
    ranges = [np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    box = [slice(int(found[0]), int(found[-1]) + 1) for found in ranges]
    return _part(Volume(inside.astype(np.uint8), whole.affine), box)


def _part(volume: Volume, box: list[slice]) -> Volume:
    """A part of a volume, at its place."""
    affine = volume.affine.copy()
    affine[:3, 3] = volume.positions([each.start for each in box])
    return Volume(volume.array[tuple(box)], affine)
