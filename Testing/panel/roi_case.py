"""A scene with ready maps whose values are known everywhere, for the tests of the section "Regions (ROI)"."""

import time
from typing import Any

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from Testing.panel.compare_case import CENTRE, add_volume, grid, positions

SHAPE, SPACING = (64, 60, 40), (2.0, 2.0, 3.0)
MEASURED_SECONDS = 60.0
"""The background process has to start and import its libraries first."""


class RoiCase:
    """Maps and segments as arrays, beside their nodes.

    Attributes:
        affine: (4, 4) of all volumes.
        points: (*SHAPE, 3) positions of their voxels, RAS mm.
        synthetic, acquired, adc: (*SHAPE) values.
        masks: name of a segment → (*SHAPE) bool.
        segmentation: the node with these segments.
    """

    def __init__(self, parameters: Any, *, acquired: bool = True) -> None:
        import slicer

        self.affine = grid(SPACING, SHAPE)
        self.points = positions(self.affine, SHAPE)
        noise = np.random.default_rng(4)
        self.synthetic = np.where(self.ball((0, 0, 0), 55), 1.3 + 0.02 * (self.points[..., 0] - CENTRE[0]), 0.0)
        self.synthetic = (self.synthetic + 4.0 * self.ball((25, 0, 0), 8)).astype(np.float32)
        self.acquired = (1.25 * self.synthetic + 0.01 * noise.standard_normal(SHAPE)).astype(np.float32)
        self.adc = (0.8 + 0.05 * noise.standard_normal(SHAPE)).astype(np.float32)
        self.masks = {
            "Tumour": self.ball((25, 0, 0), 14),
            "Oedema": self.ball((25, -28, 0), 9),
            "NAWM reference": self.ball((-25, 0, 12), 8),
        }
        known = {"Synthetic": "1", "Simulated": "0", "Units": "nrCBV"}
        with slicer.util.NodeModify(parameters):
            parameters.t1 = parameters.reference = add_volume("T1", 100.0 * self.ball((0, 0, 0), 60), self.affine)
            parameters.adc = add_volume("ADC", self.adc, self.affine, Units="10⁻³ mm²/s")
            parameters.synthetic = add_volume("CBV SYNTHETIC", self.synthetic, self.affine, Map="synthetic", **known)
            brain = 0.5 * self.ball((0, 0, 0), 55)
            parameters.uncertainty = add_volume("CBV uncertainty", brain, self.affine, Map="uncertainty", **known)
            if acquired:
                parameters.acquired = add_volume("CBV acquired", self.acquired, self.affine, Units="nrCBV")
            self.segmentation = add_segmentation("Segmentation", self.masks, self.affine)
            parameters.roi = self.segmentation

    def ball(self, offset: tuple[float, float, float], radius: float) -> np.ndarray:
        """(*SHAPE) bool, the voxels whose centres lie less than `radius` mm from CENTRE + `offset`."""
        return self.near(CENTRE + np.array(offset), radius)

    def near(self, position: Any, radius: float) -> np.ndarray:
        """(*SHAPE) bool, the voxels whose centres lie less than `radius` mm from a position, RAS mm."""
        return np.linalg.norm(self.points - np.array(position), axis=-1) < radius

    def set_segment(self, name: str, mask: np.ndarray) -> None:
        """Give a segment other voxels, as an effect of the segment editor does."""
        import slicer

        segmentation = self.segmentation.GetSegmentation()
        identifier = segmentation.GetSegmentIdBySegmentName(name)
        voxels = np.ascontiguousarray(mask.T.astype(np.uint8))
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, self.segmentation, identifier, self._geometry())

    def _geometry(self) -> Any:
        import slicer

        return slicer.util.getFirstNodeByClassByName("vtkMRMLScalarVolumeNode", "T1")


def add_segmentation(name: str, masks: dict[str, np.ndarray], affine: np.ndarray) -> Any:
    """A segmentation node with one segment for each mask."""
    import slicer

    labels = np.zeros(next(iter(masks.values())).shape, dtype=np.uint8)
    for number, mask in enumerate(masks.values(), start=1):
        labels[mask] = number
    label_map = add_label_map(name, labels, affine)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(label_map, node)
    slicer.mrmlScene.RemoveNode(label_map)
    node.CreateDefaultDisplayNodes()
    for number, segment in enumerate(masks):
        node.GetSegmentation().GetNthSegment(number).SetName(segment)
    return node


def add_label_map(name: str, labels: np.ndarray, affine: np.ndarray) -> Any:
    """A label map node."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(labels.T))
    return node


def wait_until_measured(host: Any, section: Any) -> dict[str, Any]:
    """Wait until the measurement is that of now, and return it."""
    wait_a_moment(host, 0.1)
    host.wait(lambda: not section.measurement.busy, MEASURED_SECONDS, "the measurement")
    assert not section.measurement.problem, section.measurement.problem
    return section.measurement.entry


def wait_a_moment(host: Any, seconds: float) -> None:
    """Let the application work for some time."""
    end = time.monotonic() + seconds
    host.wait(lambda: time.monotonic() > end, seconds + 5)


def column_of(table: Any, heading: str) -> int:
    """The number of the column with a heading."""
    return [table.horizontalHeaderItem(number).text() for number in range(table.columnCount)].index(heading)


def texts(table: Any, heading: str) -> list[str]:
    """What stands in a column, from above."""
    column = column_of(table, heading)
    return [table.item(row, column).text() for row in range(table.rowCount)]


def names(table: Any) -> list[str]:
    """The headings of the rows, from above."""
    return [table.verticalHeaderItem(row).text() for row in range(table.rowCount)]


def click_heading(table: Any, heading: str) -> None:
    """Click the heading of a column."""
    header = table.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(column_of(table, heading)) + 8, 8)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)


def click_cell(table: Any, row: int, column: int = 0) -> None:
    """Click the middle of a cell, or its check box where it has one."""
    item = table.item(row, column)
    rectangle = table.visualItemRect(item)
    checkable = bool(item.flags() & Qt.ItemFlag.ItemIsUserCheckable)
    place = QPoint(rectangle.left() + 12, rectangle.center().y()) if checkable else rectangle.center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
