"""`python -m Testing.host.screenshots`: pictures of the panel for the README, in Resources/Screenshots/."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from PIL import Image
from PySide6.QtCore import QBuffer, QEvent, QPointF, Qt
from PySide6.QtGui import QImage, QMouseEvent
from PySide6.QtWidgets import QScrollArea, QWidget

from Testing.host import REPOSITORY, Host
from Testing.host.properties import PROPERTIES

FOLDER = REPOSITORY / "Resources" / "Screenshots"
LARGEST = 400_000
"""Bytes; the pictures are downloaded with the repository."""
COLORS = 256
LONG = 300.0
"""Seconds that a step may take."""
SETTLE_SECONDS = 0.3
"""Time for layouts to take their sizes, and for what follows a click."""
PICTURE_AT = 0.6
"""Fraction of the run at which its picture is taken."""


def take(host: Host, name: str, widget: QWidget | None = None, folder: Path = FOLDER) -> Path:
    """Saves what the window, or one widget, shows.

    Args:
        host: The running host.
        name: Of the file, without ending.
        widget: What to show; without it the whole window.
        folder: Where to; made if missing.

    Returns:
        The file.

    Raises:
        ValueError: The picture is larger than a picture of the README may be.
    """
    settled = time.monotonic() + SETTLE_SECONDS
    host.wait(lambda: time.monotonic() > settled and host.app.layoutManager().scheduler().is_idle())
    data = png(host.grab(widget))
    if len(data) > LARGEST:
        message = f"The picture {name} has {len(data)} bytes, more than {LARGEST}; show less of it."
        raise ValueError(message)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    path.write_bytes(data)
    return path


def png(image: QImage) -> bytes:
    """The smallest PNG of `image`, with at most 256 colours if all of them need too much space."""
    buffer = QBuffer()
    image.convertToFormat(QImage.Format.Format_RGB888).save(buffer, "PNG")
    picture = Image.open(io.BytesIO(buffer.data().data()))
    full = _compressed(picture)
    if len(full) <= LARGEST:
        return full
    return _compressed(picture.quantize(COLORS, dither=Image.Dither.NONE))


def _compressed(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def main() -> int:
    """Takes all pictures, with the sample case and the demo model."""
    host = Host.start(offscreen=True)
    for name in (__name__, "Testing.host.reading_screenshots", "Testing.panel"):
        host.style.choose(name, PROPERTIES)
    from Testing.host.reading_screenshots import take_reading

    panel = host.open_module("HierSynth").panel
    _load(host, panel)
    take(host, "inputs", panel.inputs.widget)
    _run(host, panel)
    _look_at_lesion(panel)
    _sections(host, panel)
    _layouts(host, panel)
    _regions(host, panel)
    _perfusion(host, panel)
    _failure(host, panel)
    take_reading(host, panel, take)
    host.quit()
    return 0


def _load(host: Host, panel: Any) -> None:
    host.click(panel.inputs.ui.sampleButton)
    host.wait(lambda: panel.context.parameters.t1 is not None, LONG)
    host.wait(lambda: panel.run_section.ui.runButton.enabled, LONG)


def _run(host: Host, panel: Any) -> None:
    host.click(panel.run_section.ui.runButton)
    host.wait(lambda: panel.run.fraction > PICTURE_AT, LONG)
    _scroll_to(host, panel.run_section)
    take(host, "running")
    host.wait(lambda: not panel.run.busy, LONG)
    host.wait(lambda: panel.context.parameters.difference is not None, LONG)


def _look_at_lesion(panel: Any) -> None:
    """Let every slice view cut through the middle of the lesion."""
    import slicer

    roi = panel.context.parameters.roi
    center = roi.GetSegmentCenterRAS(roi.GetSegmentation().GetNthSegmentID(0))
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        node.JumpSliceByOffsetting(*center)


def _sections(host: Host, panel: Any) -> None:
    take(host, "run", panel.run_section.widget)
    panel.result.ui.provenanceButton.collapsed = False
    take(host, "result", panel.result.widget)
    panel.result.ui.provenanceButton.collapsed = True


def _layouts(host: Host, panel: Any) -> None:
    ui = panel.compare.ui
    _scroll_to(host, panel.compare)
    _point_at_map(host)
    take(host, "overlay")
    take(host, "compare", panel.compare.widget)
    for button, name in (
        (ui.sideBySideButton, "side-by-side"),
        (ui.threeUpButton, "three-up"),
        (ui.volumeButton, "volume"),
    ):
        host.click(button)
        _look_at_lesion(panel)
        take(host, name)
    host.click(ui.overlayButton)
    host.click(ui.checkerboardCheckBox)
    host.wait(lambda: panel.context.parameters.checkerboard is not None, LONG)
    _look_at_lesion(panel)
    take(host, "checkerboard")
    host.click(ui.checkerboardCheckBox)


def _regions(host: Host, panel: Any) -> None:
    """Measure the lesion, with the suggested reference and hotspots."""
    ui = panel.roi.ui
    ui.roiButton.collapsed = False
    for button, lists in ((ui.suggestReferenceButton, 1), (ui.suggestHotspotsButton, 2)):
        host.wait(lambda button=button: button.enabled, LONG)
        host.click(button)
        host.wait(lambda lists=lists: _point_lists() >= lists, LONG)
    _rest(host)
    host.wait(lambda: not panel.roi.measurement.busy, LONG)
    _scroll_to(host, panel.roi)
    take(host, "regions", panel.roi.widget)
    host.click(ui.plotsButton)
    _look_at_lesion(panel)
    take(host, "plots")
    host.click(panel.compare.ui.overlayButton)


def _perfusion(host: Host, panel: Any) -> None:
    """Process the DSC series of the sample case, and look at the curves of the lesion."""
    import slicer

    ui = panel.perfusion.ui
    ui.perfusionButton.collapsed = False
    host.click(ui.motionCheckBox)
    _rest(host)
    host.click(ui.processButton)
    host.wait(lambda: not panel.perfusion.process.active, LONG)
    host.click(ui.curvesButton)
    _rest(host)
    place = _highest_in(panel.context.parameters.acquired, panel.context.parameters.roi, "enhancing")
    slicer.mrmlScene.GetFirstNodeByName("DSC curve").SetNthControlPointPositionWorld(0, *place)
    panel.perfusion.probe.jump()
    _scroll_to(host, panel.perfusion)
    take(host, "perfusion")
    if panel.context.parameters.synthetic is not None:
        host.click(panel.compare.ui.overlayButton)


def _highest_in(volume: Any, segmentation: Any, name: str) -> np.ndarray:
    """Position, RAS mm, of the highest value of a volume in a segment."""
    import slicer

    segment = segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
    inside = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment, volume) > 0
    values = np.where(inside, slicer.util.arrayFromVolume(volume), 0)
    k, j, i = np.unravel_index(np.argmax(values), values.shape)
    to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(to_ras)
    return np.array(to_ras.MultiplyPoint((i, j, k, 1.0))[:3])


def _point_lists() -> int:
    """Number of point lists in the scene."""
    import slicer

    return len(slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode"))


def _rest(host: Host) -> None:
    """Let what a change leads to begin."""
    end = time.monotonic() + SETTLE_SECONDS
    host.wait(lambda: time.monotonic() > end)


def _failure(host: Host, panel: Any) -> None:
    panel.run_section.ui.pythonPath.currentPath = "/opt/no-python"
    host.click(panel.run_section.ui.runButton)
    host.wait(lambda: not panel.run.busy, LONG)
    _scroll_to(host, panel.run_section)
    take(host, "failure", panel.run_section.widget)
    panel.run_section.ui.pythonPath.currentPath = ""


def _scroll_to(host: Host, section: Any) -> None:
    """Show the whole section, or as much of it as fits."""
    area = section.widget.parentWidget()
    while not isinstance(area, QScrollArea):
        area = area.parentWidget()
    area.verticalScrollBar().value = section.widget.pos.y()


def _point_at_map(host: Host) -> None:
    """Put the mouse where the values are read."""
    view = host.app.layoutManager().sliceWidget("Red").sliceView()
    place = QPointF(view.width * 0.42, view.height * 0.42)
    move = QMouseEvent(
        QEvent.Type.MouseMove,
        place,
        view.mapToGlobal(place),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
    )
    host.app.sendEvent(view, move)
    _rest(host)


if __name__ == "__main__":
    sys.exit(main())
