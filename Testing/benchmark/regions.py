"""The panel's section of regions in the stand-in host: from an edit to the table, and gaps of the event loop.

QT_QPA_PLATFORM=offscreen python -m Testing.benchmark.regions
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from Testing.benchmark.measure import print_table
from Testing.benchmark.synthesis import spread
from Testing.host import Host
from Testing.host.properties import PROPERTIES
from Testing.panel.compare_case import add_volume, grid
from Testing.panel.roi_case import add_segmentation, wait_a_moment, wait_until_measured

SHAPE = (240, 240, 155)
EDITS = 10
MOVES = 60
SEGMENTS = 6
POINTS = 4
TARGET = "≤ 200 ms"
GAP = "≤ 50 ms"


class Scene:
    """Maps of 240 × 240 × 155 voxels, a segmentation, and points that are spheres."""

    def __init__(self, parameters: Any) -> None:
        import slicer

        self._index = np.indices(SHAPE, dtype=np.float32)
        self._middle = np.array(SHAPE) / 2
        affine = grid((1.0, 1.0, 1.0), SHAPE)
        noise = np.random.default_rng(0)
        brain = self.ball((0, 0, 0), 70)
        synthetic = np.where(brain, 1 + noise.random(SHAPE, dtype=np.float32), 0).astype(np.float32)
        acquired = (synthetic * 1.1 + 0.1 * noise.standard_normal(SHAPE, dtype=np.float32)) * brain
        known = {"Synthetic": "1", "Simulated": "1", "Units": "nrCBV"}
        masks = {f"Segment {n}": self.ball((30 * np.cos(n), 30 * np.sin(n), 5 * n), 12) for n in range(SEGMENTS)}
        with slicer.util.NodeModify(parameters):
            parameters.t1 = parameters.reference = add_volume("T1", brain * 100.0, affine)
            parameters.adc = add_volume("ADC", brain * 0.8, affine)
            parameters.synthetic = add_volume("CBV SYNTHETIC", synthetic, affine, Map="synthetic", **known)
            parameters.uncertainty = add_volume("Uncertainty", 0.5 * brain, affine, Map="uncertainty", **known)
            parameters.acquired = add_volume("CBV acquired", acquired, affine, Units="nrCBV")
            masks["NAWM reference"] = self.ball((0, -40, 30), 8)
            self.segmentation = parameters.roi = add_segmentation("Segmentation", masks, affine)
        self.points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
        self.points.CreateDefaultDisplayNodes()
        for number in range(POINTS):
            self.points.AddControlPointWorld([4 + 10 * number, -12, 20], f"Point {number + 1}")

    def ball(self, offset: tuple[float, float, float], radius: float) -> np.ndarray:
        """(*SHAPE) bool, a ball around the middle + `offset`, voxels."""
        return sum((self._index[n] - self._middle[n] - offset[n]) ** 2 for n in range(3)) < radius**2

    def move_point(self, step: int) -> None:
        """Move the first point by half a millimetre per step."""
        self.points.SetNthControlPointPositionWorld(0, [4 + 0.5 * (step + 1), -10, 20])

    def edit_segment(self, step: int) -> None:
        """Erase a few voxels of the first segment, as a brush does."""
        import slicer
        from vtk.util.numpy_support import vtk_to_numpy

        segmentation = self.segmentation.GetSegmentation()
        segment = segmentation.GetNthSegment(0)
        name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        image = segment.GetRepresentation(name)
        shape = tuple(reversed(image.GetDimensions()))
        voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
        own = np.argwhere(voxels == segment.GetLabelValue())
        k, j, i = own[len(own) // 2 + step]
        voxels[k, j - 2 : j + 2, i - 2 : i + 2] = 0
        image.GetPointData().GetScalars().Modified()
        image.Modified()
        segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)


def first_measurement(host: Host, section: Any) -> tuple[str, str, str]:
    """Open the section: write the maps, start the process, measure everything."""
    start = time.monotonic()
    with host.gaps() as gaps:
        section.ui.roiButton.collapsed = False
        wait_until_measured(host, section)
    seconds = time.monotonic() - start
    return ("first measurement, longest gap", GAP, f"{1000 * gaps.longest:.0f} ms; after {seconds:.1f} s")


def edits(host: Host, section: Any, what: str, edit: Callable[[int], None]) -> list[tuple[str, str, str]]:
    """One edit after the other, each once the table shows the one before."""
    latencies = []
    with host.gaps() as gaps:
        for step in range(EDITS):
            before = section.measurement.entry
            start = time.perf_counter()
            edit(step)
            host.wait(_is_newer(section, before), 20)
            latencies.append(time.perf_counter() - start)
            wait_a_moment(host, 0.05)
    return [
        (f"{what}: edit to table", TARGET, spread(latencies, digits=3)),
        (f"{what}: longest gap", GAP, f"{1000 * gaps.longest:.0f} ms"),
    ]


def _is_newer(section: Any, before: Any) -> Callable[[], bool]:
    return lambda: section.measurement.entry is not before and not section.measurement.busy


def drag(host: Host, section: Any, scene: Scene) -> tuple[str, str, str]:
    """Move a point without waiting."""
    shown = []
    with host.gaps() as gaps:
        for step in range(MOVES):
            scene.points.SetNthControlPointPositionWorld(1, [14 + 0.1 * step, -12, 20])
            wait_a_moment(host, 0.016)
            shown.append(section.measurement.entry)
    times = 1 + sum(a is not b for a, b in pairwise(shown))
    return (
        "dragging: longest gap",
        GAP,
        f"{1000 * gaps.longest:.0f} ms; the table changed {times} times in {MOVES} moves",
    )


def main() -> None:
    """Measure and print."""
    host = Host.start(offscreen=True)
    host.style.choose(__name__, PROPERTIES)
    for module in ("Testing.panel.compare_case", "Testing.panel.roi_case"):
        host.style.choose(module, PROPERTIES)
    panel = host.open_module("HierSynth").panel
    from HierSynthPanel import roi_nodes

    scene, section = Scene(panel.context.parameters), panel.roi
    wait_a_moment(host, 1.0)
    rows = [first_measurement(host, section)]
    roi_nodes.tick(scene.points, ticked=True)
    wait_until_measured(host, section)
    assert {"Point 1", "Segment 1"} <= {region["name"] for region in section.measurement.entry["regions"]}
    rows += edits(host, section, "point moved", scene.move_point)
    rows += edits(host, section, "segment edited", scene.edit_segment)
    host.click(section.ui.plotsButton)
    wait_until_measured(host, section)
    rows += edits(host, section, "point moved, plots shown", lambda step: scene.move_point(EDITS + step))
    rows.append(drag(host, section, scene))
    print_table("Regions in the panel, maps of 240 × 240 × 155 voxels", rows)
    host.close_module("HierSynth")
    host.quit()


if __name__ == "__main__":
    main()
