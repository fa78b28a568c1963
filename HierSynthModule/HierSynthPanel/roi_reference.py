"""The NAWM reference: three spheres that HierSynth suggests, or a segment."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from HierSynthPanel import nodes, roi_nodes
from HierSynthPanel.parameters import HierSynthParameters

REFERENCE_NAME = "NAWM reference"
"""Of the region, and of a segment that is the reference unless another one is chosen."""

RADIUS_MM = 5.0
"""Of each sphere."""


@dataclass(frozen=True)
class Reference:
    """What the maps' normal-appearing white matter is taken from.

    Attributes:
        node: a list of points, or a segmentation.
        segment: identifier of the segment; "" for a list of points.
    """

    node: Any
    segment: str = ""

    @property
    def key(self) -> str:
        """The same for the same reference as long as the scene is open."""
        return f"{self.node.GetID()} {self.segment}"

    @property
    def title(self) -> str:
        """As the user sees it."""
        if not self.segment:
            return _("Suggested spheres")
        return f"{self._segment_name()} ({self.node.GetName()})"

    @property
    def source(self) -> str:
        """In words, for the export."""
        if self.segment:
            return _("segment {segment} of {node}").format(segment=self._segment_name(), node=self.node.GetName())
        count, moved = len(roi_nodes.placed_points(self.node)), self.node.GetAttribute(MOVED)
        words = _("changed") if moved == OTHERS else _("moved") if moved else _("not moved")
        return _("{count} spheres of {mm:g} mm, suggested, {moved}").format(count=count, mm=2 * RADIUS_MM, moved=words)

    def is_segment(self, node: Any, segment: str) -> bool:
        """Whether it is this segment of this node."""
        return self.node is node and self.segment == segment

    def exists(self) -> bool:
        """Whether it is in the scene."""
        if not nodes.present(self.node):
            return False
        return not self.segment or self.node.GetSegmentation().GetSegment(self.segment) is not None

    def _segment_name(self) -> str:
        return roi_nodes.name_of_segment(self.node.GetSegmentation().GetSegment(self.segment), self.segment)


MOVED = "HierSynth.RegionMoved"
"""Attribute of suggested spheres that are not all where they were suggested: "1", or `OTHERS`."""

OTHERS = "others"
"""Some were added or removed."""


def is_reference_name(name: str) -> bool:
    """Whether a segment of this name, behind which there may be more, is drawn to be the reference."""
    return name.strip().lower().startswith(REFERENCE_NAME.lower())


def references() -> Iterator[Reference]:
    """What may be the reference: the suggested spheres, where there are any, and all segments."""
    spheres = roi_nodes.points_with_role(roi_nodes.REFERENCE)
    if spheres is not None:
        yield Reference(spheres)
    for node, segment, _name in roi_nodes.segments():
        yield Reference(node, segment)


def chosen_reference(parameters: HierSynthParameters) -> Reference | None:
    """The reference that the user chose, else a segment of that name, else the suggested spheres; None without any."""
    if parameters.nawm is not None:
        chosen = Reference(parameters.nawm, parameters.nawmSegment)
        if chosen.exists():
            return chosen
    for node, segment, name in roi_nodes.segments():
        if is_reference_name(name):
            return Reference(node, segment)
    spheres = roi_nodes.points_with_role(roi_nodes.REFERENCE)
    return Reference(spheres) if spheres is not None else None
