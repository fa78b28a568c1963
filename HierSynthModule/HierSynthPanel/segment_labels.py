"""The voxels of single segments, as small label maps that are made again only when the segmentation was edited."""

from collections.abc import Generator, Hashable, Iterator
from typing import Any

import numpy as np
import slicer

from HierSynthLib.volume import Volume
from HierSynthPanel import nodes

SLAB_VOXELS = 2**20
"""How many voxels are looked at in one step; that takes about a millisecond."""

Found = Generator[None, None, tuple[Hashable, Volume] | None]


class SegmentLabels:
    """Keeps the label map of each segment.

    Segments that do not overlap share one image, so an edit of one of them changes the image of all. Whether a segment
    itself has changed shows only in its voxels.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Hashable, Hashable, Volume]] = {}

    def of(self, node: Any, identifier: str, segment: Any) -> Found:
        """Find the voxels of a segment, step by step.

        Args:
            node: a segmentation node.
            identifier: of the segment.
            segment: the segment itself; it may be removed meanwhile.

        Returns:
            As the generator's value, a stamp that is another one when the segment has changed, and its voxels as 1;
            None without a label map.
        """
        while (image := _image_of(segment)) is not None:
            version = _version(node, image, segment)
            known = self._known.get((node.GetID(), identifier))
            if known is not None and known[0] == version:
                return known[1:]
            for made in _voxels_of(node, image, segment.GetLabelValue()):
                yield
                # After an edit its memory may be another one: begin anew.
                if _image_of(segment) is not image or _version(node, image, segment) != version:
                    break
                if made is not None:
                    self._known[node.GetID(), identifier] = (version, *made)
        return None


def _image_of(segment: Any) -> Any:
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    return segment.GetRepresentation(name)


def _version(node: Any, image: Any, segment: Any) -> Hashable:
    place = b"" if image.IsEmpty() else nodes.volume_of_labels(node, image).affine.tobytes()
    return image.GetMTime(), place, segment.GetLabelValue()


def _voxels_of(node: Any, image: Any, value: int) -> Iterator[tuple[Hashable, Volume] | None]:
    """Steps, the last of which is the stamp and the smallest label map that holds all voxels of a value, in the world.

    It is one empty voxel where there are none. The image must not change meanwhile.
    """
    if image.IsEmpty():
        yield _nothing()
        return
    whole = nodes.volume_of_labels(node, image)
    # In the order of the memory: k, j, i.
    voxels = whole.array.T
    filled, seen = np.zeros(len(voxels), dtype=bool), np.zeros(voxels.shape[1:], dtype=bool)
    for slab in _slabs(voxels):
        inside = voxels[slab] == value
        filled[slab] = inside.reshape(len(inside), -1).any(axis=1)
        seen |= np.logical_or.reduce(inside, axis=0)
        yield None
    if not filled.any():
        yield _nothing()
        return
    box = [_range(each) for each in (filled, seen.any(axis=1), seen.any(axis=0))]
    found = np.empty([each.stop - each.start for each in box], dtype=np.uint8)
    hashes = []
    for slab in _slabs(found):
        np.equal(voxels[tuple(box)][slab], value, out=found[slab].view(bool))
        hashes.append(hash(found[slab].tobytes()))
        yield None
    affine = whole.affine.copy()
    affine[:3, 3] = whole.positions([each.start for each in reversed(box)])
    yield (affine.tobytes(), found.shape, tuple(hashes)), Volume(found.T, affine)


def _nothing() -> tuple[Hashable, Volume]:
    return (), Volume(np.zeros((1, 1, 1), dtype=np.uint8))


def _slabs(voxels: np.ndarray) -> Iterator[slice]:
    """Parts along the first axis."""
    step = max(1, SLAB_VOXELS // (voxels[0].size or 1))
    return (slice(first, first + step) for first in range(0, len(voxels), step))


def _range(filled: np.ndarray) -> slice:
    found = np.flatnonzero(filled)
    return slice(int(found[0]), int(found[-1]) + 1)
