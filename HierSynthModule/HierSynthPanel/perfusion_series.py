"""A DSC series of a case as a sequence node, with the volume node that shows one of its frames."""

from collections.abc import Generator, Mapping
from typing import Any

import slicer

from HierSynthPanel import nodes
from HierSynthPanel.images import load_image
from HierSynthPanel.perfusion_nodes import SCALAR_VOLUME, SEQUENCE


def load_frames(paths: list[str]) -> Generator[float, None, list[tuple[Any, Any]]]:
    """Read the frames, step by step; the generator's value are their images and affines.

    Raises:
        InputError: a file is missing or cut off.
    """
    frames = []
    for path in paths:
        frame = yield from load_image(path)
        frames.append(frame)
    return frames


def show_series(
    name: str, frames: list[tuple[Any, Any]], series: Mapping[str, Any], simulated: bool
) -> Generator[float, None, Any]:
    """Put a series into the scene, step by step, as Slicer's own import does; the generator's value is its sequence.

    Args:
        name: of the sequence and of the volume that shows it.
        frames: image (vtkImageData) and affine (4, 4) of each.
        series: "index_values", "index_unit" and "attributes" of a case that was handed over.
        simulated: whether the patient is a simulated one.
    """
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass(SEQUENCE, scene.GenerateUniqueName(name))
    sequence.SetIndexName("time")
    sequence.SetIndexUnit(series["index_unit"])
    for attribute, value in series["attributes"].items():
        sequence.SetAttribute(attribute, value)
    sequence.SetAttribute(nodes.SIMULATED, "1" if simulated else "0")
    frame = getattr(slicer, SCALAR_VOLUME)()
    frame.SetName(sequence.GetName())
    # With the next frame, the volume that shows the series takes the frame's attributes for its own.
    frame.SetAttribute(nodes.SIMULATED, sequence.GetAttribute(nodes.SIMULATED))
    for (image, affine), value in zip(frames, series["index_values"], strict=True):
        # An empty node first: the sequence copies what it is given, and the voxels need not be copied.
        frame.SetAndObserveImageData(None)
        added = sequence.SetDataNodeAtValue(frame, value)
        nodes.place(added, affine)
        added.SetAndObserveImageData(image)
        yield 1.0
    _show(sequence)
    yield 1.0
    return sequence


def _show(sequence: Any) -> None:
    scene = slicer.mrmlScene
    browser = scene.AddNewNodeByClass(
        "vtkMRMLSequenceBrowserNode", scene.GenerateUniqueName(f"{sequence.GetName()} browser")
    )
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    # As Slicer's own import does: the volume then shares the voxels of its frame, which need not be copied each time.
    browser.SetSaveChanges(sequence, True)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(sequence)
    proxy.SetName(sequence.GetName())
    proxy.CreateDefaultDisplayNodes()
