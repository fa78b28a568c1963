"""Nodes of the scene as regions of the library, in the world (RAS mm)."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.shapes import Box, Curve, Labels, Region, Role, Shape, Sphere
from HierSynthPanel import nodes, roi_nodes
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.roi_reference import RADIUS_MM, REFERENCE_NAME, Reference
from HierSynthPanel.segment_labels import SegmentLabels
from HierSynthPanel.volume_files import VolumeFiles

Collecting = Generator[Any, None, None]
"""A step every few milliseconds."""

RESERVED = ("Whole brain", REFERENCE_NAME)
"""Names that the measurement gives."""


@dataclass
class Regions:
    """What the ticked nodes hold.

    Attributes:
        regions: every name stands once.
        problems: sentences on nodes whose regions cannot be measured, or not as they are shown.
        points: key of a point → name of its region.
    """

    regions: list[Region] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    points: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, role: Role, shapes: Iterable[Shape], source: str, owner: str) -> str:
        """Add a region; where its name is taken, with the name of its node behind it; the name that it has got."""
        taken = {*RESERVED, *(region.name for region in self.regions)}
        more = (f"{name} ({owner}) {number}" for number in count(2))
        free = next(each for each in chain((name, f"{name} ({owner})"), more) if each not in taken)
        self.regions.append(Region(free, role, tuple(shapes), source))
        return free


class Collector:
    """Reads the regions of nodes and writes their label maps, step by step.

    Args:
        parameters: the panel's, of which the sizes of points and curves are taken.
        files: where label maps are written to.
    """

    def __init__(self, parameters: HierSynthParameters, files: VolumeFiles) -> None:
        self._parameters, self._files = parameters, files
        self._segments = SegmentLabels()
        self._known_values: dict[str, tuple[int, list[int]]] = {}

    def collect(self, wanted: Iterable[Any], reference: Reference | None) -> Generator[Any, None, Regions]:
        """Read nodes of `roi_nodes.CLASSES`, and the NAWM reference last.

        Args:
            wanted: the nodes.
            reference: None for none. A segment that is the reference is no other region besides.

        Returns:
            As the generator's value, the regions; what is wrong with a node is in their problems.

        Raises:
            OutputError: a label map cannot be written.
        """
        found = Regions()
        for node in wanted:
            problem = roi_nodes.cannot_be_used(node)
            if problem:
                found.problems.append(problem)
            else:
                try:
                    yield from self._node(node, reference, found)
                except InputError as error:
                    found.problems.append(f"{node.GetName()}: {error}")
            yield
        if reference is not None:
            yield from self._reference(reference, found)
        self._files.remove_unused()
        return found

    def _node(self, node: Any, reference: Reference | None, found: Regions) -> Collecting:
        if node.IsA(roi_nodes.SEGMENTATION):
            yield from self._segmentation(node, reference, found)
        elif node.IsA(roi_nodes.LABEL_MAP):
            yield from self._label_map(node, found)
        elif node.IsA(roi_nodes.BOX):
            self._box(node, found)
        elif node.IsA(roi_nodes.CURVE):
            self._curve(node, found)
        else:
            self._points(node, found)

    def _segmentation(self, node: Any, reference: Reference | None, found: Regions) -> Collecting:
        for identifier in node.GetSegmentation().GetSegmentIDs():
            if reference is not None and reference.is_segment(node, identifier):
                continue
            # Meanwhile it may have been removed.
            segment = node.GetSegmentation().GetSegment(identifier)
            if segment is None:
                continue
            name = roi_nodes.name_of_segment(segment, identifier)
            labels = yield from self._segment(node, identifier, found)
            if labels is not None:
                source = _("segment {segment} of {node}").format(segment=name, node=node.GetName())
                found.add(name, "lesion", [labels], source, node.GetName())

    def _segment(self, node: Any, identifier: str, found: Regions) -> Generator[Any, None, Labels | None]:
        segment = node.GetSegmentation().GetSegment(identifier)
        labels = yield from self._segments.of(node, identifier, segment)
        if labels is None:
            what = _("The segment {name} has no label map. Create it in the module Segmentations (binary labelmap).")
            found.problems.append(what.format(name=roi_nodes.name_of_segment(segment, identifier)))
            return None
        stamp, volume = labels
        path = yield from self._files.write((node.GetID(), identifier), stamp, lambda: volume)
        return Labels(path, (1,))

    def _label_map(self, node: Any, found: Regions) -> Collecting:
        owner = node.GetName()
        if not nodes.has_voxels(node):
            found.problems.append(_("The label map {name} is empty.").format(name=owner))
            return
        volume = nodes.volume_of(node)
        stamp = (node.GetImageData().GetMTime(), volume.affine.tobytes())
        values = yield from self._values(node.GetID(), stamp[0], volume.array)
        path = yield from self._files.write(node.GetID(), stamp, lambda: volume)
        for value in values:
            source = _("label {value} of {node}").format(value=value, node=owner)
            found.add(_name_of_label(node, value), "lesion", [Labels(path, (value,))], source, owner)

    def _values(self, key: str, stamp: int, labels: np.ndarray) -> Generator[Any, None, list[int]]:
        """The values in a label map, without 0; they are looked for again only when the voxels have changed."""
        known = self._known_values.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        found: set[int] = set()
        for number in range(labels.shape[2]):
            found.update(np.unique(labels[:, :, number]).tolist())
            yield
        values = sorted(int(value) for value in found if value)
        self._known_values[key] = (stamp, values)
        return values

    def _box(self, node: Any, found: Regions) -> None:
        name, (centre, axes, size) = node.GetName(), _cuboid(node)
        if min(size) <= 0:
            found.problems.append(_("The box {name} has no size yet.").format(name=name))
            return
        if node.GetInsideOut():
            found.problems.append(_("The box {name} is inside out, but its inside is measured.").format(name=name))
        found.add(name, "lesion", [Box(centre, axes, size)], _("box {node}").format(node=name), name)

    def _curve(self, node: Any, found: Regions) -> None:
        name = node.GetName()
        if len({each.position for each in roi_nodes.placed_points(node)}) < 3:
            found.problems.append(_("The curve {name} has fewer than three points.").format(name=name))
            return
        curve = Curve(slicer.util.arrayFromMarkupsCurvePoints(node, world=True), self._thickness_mm())
        source = _("closed curve {node}, {mm:g} mm thick").format(node=name, mm=curve.thickness_mm)
        found.add(name, "lesion", [curve], source, name)

    def _points(self, node: Any, found: Regions) -> None:
        diameter = self._parameters.hotspotDiameter
        role: Role = "hotspot" if node.GetAttribute(roi_nodes.ROLE) == roi_nodes.HOTSPOT else "lesion"
        source = _("point of {node}, sphere of {mm:g} mm").format(node=node.GetName(), mm=diameter)
        for point in roi_nodes.placed_points(node):
            sphere = Sphere(point.position, diameter / 2)
            found.points[point.key] = found.add(point.name, role, [sphere], source, node.GetName())

    def _thickness_mm(self) -> float:
        chosen, reference = self._parameters.curveThickness, self._parameters.synthetic
        return chosen or float(max(nodes.volume_of(reference).spacing))

    def _reference(self, reference: Reference, found: Regions) -> Collecting:
        if not reference.exists():
            return
        problem, source = roi_nodes.cannot_be_used(reference.node), reference.source
        if problem:
            found.problems.append(problem)
            return
        if reference.segment:
            labels = yield from self._segment(reference.node, reference.segment, found)
            shapes: list[Shape] = [labels] if labels is not None else []
        else:
            shapes = [Sphere(each.position, RADIUS_MM) for each in roi_nodes.placed_points(reference.node)]
        if shapes:
            found.regions.append(Region(REFERENCE_NAME, "reference", tuple(shapes), source))


def _cuboid(node: Any) -> tuple[list[float], np.ndarray, list[float]]:
    """Centre in RAS mm, axes as columns, and size in mm of a box."""
    centre, size, axes = [0.0] * 3, [0.0] * 3, np.eye(3)
    node.GetCenterWorld(centre)
    node.GetSizeWorld(size)
    for column, axis in enumerate((node.GetXAxisWorld, node.GetYAxisWorld, node.GetZAxisWorld)):
        axis(axes[:, column])
    return centre, axes, size


def _name_of_label(node: Any, value: int) -> str:
    display = node.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    name = colors.GetColorName(value) if colors is not None else None
    return name or _("{node} label {value}").format(node=node.GetName(), value=value)
