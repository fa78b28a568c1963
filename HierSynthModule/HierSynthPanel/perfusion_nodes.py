"""DSC series in the scene: a sequence of volumes, or a volume with one component for each frame (multi-volume)."""

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.timing import ATTRIBUTES, StatedTiming, stated_timing
from HierSynthLib.perfusion.voxel_curve import centres_of
from HierSynthLib.volume import Volume
from HierSynthPanel import nodes
from HierSynthPanel.volume_files import VolumeFiles

SEQUENCE = "vtkMRMLSequenceNode"
SCALAR_VOLUME = "vtkMRMLScalarVolumeNode"


def is_sequence(node: Any) -> bool:
    """Whether the frames are volumes of their own."""
    return bool(node.IsA(SEQUENCE))


def frames_of(node: Any) -> list[Any]:
    """The volume nodes of a sequence, in their order; a multi-volume itself, which holds all frames."""
    if not is_sequence(node):
        return [node]
    found = [node.GetNthDataNode(number) for number in range(node.GetNumberOfDataNodes())]
    return [frame for frame in found if frame is not None and frame.IsA(SCALAR_VOLUME)]


def shown_by(node: Any) -> Any:
    """The volume node of the scene that shows the series, and whose parent transforms move it; None without one."""
    if not is_sequence(node):
        return node
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        proxy = browser.GetProxyNode(node)
        if proxy is not None:
            return proxy
    return None


def problem_of(node: Any) -> str:
    """Why a node cannot be a DSC series, and what to do; "" where it can."""
    frames = frames_of(node)
    name = node.GetName()
    if not frames or not nodes.has_voxels(frames[0]):
        return _("{name} holds no volumes. Choose the perfusion series.").format(name=name)
    if len(frames) == 1 and frames[0].GetImageData().GetNumberOfScalarComponents() == 1:
        return _("{name} is a single volume. Choose the perfusion series, with all its frames.").format(name=name)
    shown = shown_by(node)
    if shown is None:
        return ""
    if nodes.is_under_warp(shown):
        todo = _("Harden the transform first (module Data or Transforms).")
        if is_sequence(node):
            # Hardening would move the frame that is shown, and no other.
            todo = _("Remove the transform from {name}; move the map instead.").format(name=shown.GetName())
        return _("{name} lies under a transform that is not linear.").format(name=shown.GetName()) + f" {todo}"
    place = nodes.local_matrix(shown)
    # The frame that is shown may have been moved with the volume; two frames are enough to tell.
    if is_sequence(node) and not all(nodes.is_same_place(place, nodes.local_matrix(each)) for each in frames[:2]):
        return _(
            "{name} was moved without the other frames, as by a hardened transform. Show another frame (module "
            "Sequences) or load the series again; use a transform that is not hardened, or move the map instead."
        ).format(name=shown.GetName())
    return ""


def timing_of(node: Any) -> StatedTiming:
    """What a node states of echo time, time between frames and flip angle."""
    attributes = {name: node.GetAttribute(name) for name in ATTRIBUTES}
    if not is_sequence(node):
        return stated_timing(attributes, (), "")
    values = [node.GetNthIndexValue(number) for number in range(node.GetNumberOfDataNodes())]
    return stated_timing(attributes, values, node.GetIndexUnit())


def geometry_of(node: Any) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Voxel index → position in the world (4, 4), linear parent transforms included, and the number of voxels."""
    frame = frames_of(node)[0]
    return _volume(node, frame).affine, frame.GetImageData().GetDimensions()


def centres_in(node: Any, voxels: list[list[int]]) -> list[list[float]]:
    """Centres of voxels of the series in the world, RAS mm, where it lies now."""
    return centres_of(voxels, geometry_of(node)[0])


def signal_at(node: Any, voxel: tuple[int, int, int]) -> list[float]:
    """The signal of one voxel over time, a.u."""
    i, j, k = voxel
    if not is_sequence(node):
        image = node.GetImageData()
        components = image.GetNumberOfScalarComponents()
        return [image.GetScalarComponentAsDouble(i, j, k, number) for number in range(components)]
    return [frame.GetImageData().GetScalarComponentAsDouble(i, j, k, 0) for frame in frames_of(node)]


def write_series(
    node: Any, files: VolumeFiles, on_written: Callable[[float], None]
) -> Generator[Any, None, dict[str, Any]]:
    """Write the frames that have changed, step by step; the generator's value are the job's parameters for them.

    Args:
        node: the series.
        files: which remember what was written before.
        on_written: called with the fraction that is written.

    Raises:
        InputError: the node is no series.
        OutputError: a frame cannot be written.
    """
    problem = problem_of(node)
    if problem:
        raise InputError(problem)
    paths: list[str] = []
    frames = frames_of(node)
    for number, frame in enumerate(frames):
        if not nodes.has_voxels(frame):
            what = _("Frame {number} of {name} holds no voxels.").format(number=number + 1, name=node.GetName())
            raise InputError(what, _("Load the series again."))
    # All before the first is written: the series may be moved meanwhile.
    volumes = [_volume(node, frame) for frame in frames]
    for number, (frame, volume) in enumerate(zip(frames, volumes, strict=True)):
        stamp = (node.GetID(), frame.GetImageData().GetMTime(), volume.affine.tobytes())
        path = yield from files.write(number, stamp, lambda volume=volume: volume)
        paths.append(str(path))
        on_written(len(paths) / len(frames))
        yield
    files.remove_unused()
    return {"frames": [paths]} if is_sequence(node) else {"series": paths}


def _volume(node: Any, frame: Any) -> Volume:
    return nodes.volume_of(frame, shown_by(node))
