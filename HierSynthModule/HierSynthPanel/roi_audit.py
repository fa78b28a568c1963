"""Records what is done to hotspots and reference; the list is kept in the scene."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.audit import Audit, Entry
from HierSynthPanel import roi_nodes
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.roi_reference import MOVED, RADIUS_MM, REFERENCE_NAME, chosen_reference

Means = Mapping[tuple[str, str], float | None]
"""Region and map → mean, where it is known."""

SAME_MM = 1e-3
"""Positions that far apart are the same."""

SUGGESTED, PLACED, MOVED_TO, RENAMED = "suggested", "placed", "moved", "renamed"
RESIZED, REMOVED, CHOSEN = "resized", "removed", "reference chosen"


@dataclass(frozen=True)
class Point:
    """A sphere as it is now.

    Attributes:
        node: the list of points that it is in.
        size_mm: its diameter.
        map: name of the map that it was suggested on, "" for the reference.
    """

    node: Any
    position: roi_nodes.Position
    size_mm: float
    map: str


class AuditTrail:
    """Compares what is in the scene with what was recorded last, and records the difference.

    Attributes:
        problem: why the list that was in the scene is lost; "" where it is not.
    """

    def __init__(self) -> None:
        self._parameters: HierSynthParameters | None = None
        self._audit = Audit()
        self._suggested: set[str] = set()
        self.problem = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything that was recorded, the oldest first."""
        return self._audit.entries

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Go on with the list of these parameters."""
        self._parameters = parameters
        self._suggested.clear()
        self._audit, self.problem = Audit(), ""
        try:
            self._audit = Audit.from_json(json.loads(parameters.regionAudit or "[]"))
        except (ValueError, InputError) as error:
            self.problem = _("The list in this scene is damaged: {reason}").format(reason=error)

    def expect(self, names: list[str]) -> None:
        """These points are where they are because they were suggested there."""
        self._suggested.update(names)

    def record(self, means: Means) -> bool:
        """Record what has changed since the last time.

        Args:
            means: of the points of now.

        Returns:
            Whether anything has.
        """
        before = len(self.entries)
        known, present = self._known(), _points(self._parameters)
        self._record_reference()
        for name in [name for name in known if name not in present]:
            self._record_gone(name, known, present, means)
        for name, point in present.items():
            self._record_changes(name, point, known.get(name), means)
        if len(self.entries) > before:
            self._parameters.regionAudit = json.dumps(self._audit.to_json())
        return len(self.entries) > before

    def csv(self) -> str:
        """The list as a table."""
        return self._audit.to_csv()

    def _record_reference(self) -> None:
        chosen = [entry.note for entry in self.entries if entry.action == CHOSEN]
        reference = chosen_reference(self._parameters)
        title = reference.title if reference is not None else _("none")
        if title != (chosen[-1] if chosen else _("none")):
            self._audit.record(CHOSEN, REFERENCE_NAME, note=title)

    def _record_gone(self, name: str, known: dict[str, Entry], present: Mapping[str, Point], means: Means) -> None:
        """A name is not there any more: its point has another one, or was removed."""
        last = known[name]
        successor = self._successor(last, known, present)
        if successor is not None:
            self._record_point(RENAMED, successor, present[successor], last, means, name)
            known[successor] = self.entries[-1]
            return
        size, of_map = last.size_after_mm, last.map
        self._audit.record(REMOVED, name, from_ras=last.to_ras, size_before_mm=size, map_name=of_map)

    def _record_changes(self, name: str, point: Point, last: Entry | None, means: Means) -> None:
        if name in self._suggested:
            self._suggested.discard(name)
            self._record_point(SUGGESTED, name, point, last, means)
        elif last is None:
            self._record_point(PLACED, name, point, None, means)
        elif not np.allclose(last.to_ras, point.position, rtol=0.0, atol=SAME_MM):
            self._record_point(MOVED_TO, name, point, last, means)
            if point.node.GetAttribute(roi_nodes.ROLE) == roi_nodes.REFERENCE:
                point.node.SetAttribute(MOVED, "1")
        elif last.size_after_mm != point.size_mm:
            self._record_point(RESIZED, name, point, last, means)

    def _record_point(
        self,
        action: Any,
        name: str,
        point: Point,
        last: Entry | None,
        means: Means,
        note: str = "",
    ) -> None:
        self._audit.record(
            action,
            name,
            from_ras=last.to_ras if last is not None else None,
            to_ras=point.position,
            size_before_mm=last.size_after_mm if last is not None else None,
            size_after_mm=point.size_mm,
            map_name=point.map,
            mean_before=last.mean_after if last is not None else None,
            mean_after=means.get((name, point.map)),
            note=note,
        )

    def _known(self) -> dict[str, Entry]:
        """The last entry of each point that was there then."""
        known: dict[str, Entry] = {}
        for entry in self.entries:
            if entry.action == RENAMED:
                known.pop(entry.note, None)
            known[entry.region] = entry
        return {name: entry for name, entry in known.items() if entry.to_ras is not None}

    @staticmethod
    def _successor(last: Entry, known: Mapping[str, Entry], present: Mapping[str, Point]) -> str | None:
        """The new name of a point that has kept its place."""
        for name, point in present.items():
            if name not in known and np.allclose(last.to_ras, point.position, rtol=0.0, atol=SAME_MM):
                return name
        return None


def _points(parameters: HierSynthParameters) -> dict[str, Point]:
    """The spheres of hotspots and suggested reference, by name."""
    found = {}
    for node in slicer.util.getNodesByClass(roi_nodes.POINTS):
        role = node.GetAttribute(roi_nodes.ROLE)
        if role in (roi_nodes.HOTSPOT, roi_nodes.REFERENCE):
            size = parameters.hotspotDiameter if role == roi_nodes.HOTSPOT else 2 * RADIUS_MM
            of_map = node.GetAttribute(roi_nodes.OF_MAP) or ""
            for name, position in roi_nodes.placed_points(node):
                found[name] = Point(node, position, size, of_map)
    return found
