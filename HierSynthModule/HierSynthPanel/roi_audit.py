"""Records what is done to hotspots and reference; the list is kept in the scene."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.audit import Audit, Entry
from HierSynthPanel import roi_nodes
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.roi_reference import MOVED, OTHERS, RADIUS_MM, REFERENCE_NAME, chosen_reference

Means = Mapping[tuple[str, str], float | None]
"""Key of a point (`roi_nodes.PlacedPoint`) and name of a map → mean, where it is known."""

DAMAGED = "regionAuditDamaged"
"""Parameter that keeps a list that could not be read."""

SAME_MM = 1e-3
"""Positions that far apart are the same."""

SUGGESTED, PLACED, MOVED_TO, RENAMED = "suggested", "placed", "moved", "renamed"
RESIZED, REMOVED, CHOSEN = "resized", "removed", "reference chosen"


@dataclass(frozen=True)
class Point:
    """A sphere as it is now.

    Attributes:
        node: the list of points that it is in.
        name: as the user sees it.
        size_mm: its diameter.
        map: name of the map that it was suggested on, "" for the reference.
    """

    node: Any
    name: str
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
        # The last entry of each point, by its key; and those whose points have not been found in the scene yet.
        self._last: dict[str, Entry] = {}
        self._unclaimed: list[Entry] = []
        self._suggested: set[str] = set()
        self._damaged = ""
        self.problem = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything that was recorded, the oldest first."""
        return self._audit.entries

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Go on with the list of these parameters."""
        self._parameters = parameters
        self._suggested.clear()
        self._last.clear()
        self._audit, self.problem, self._damaged = Audit(), "", ""
        try:
            self._audit = Audit.from_json(json.loads(parameters.regionAudit or "[]"))
        except (ValueError, InputError) as error:
            self._damaged = parameters.regionAudit
            what = _("The list in this scene is damaged: {reason} It is kept in the scene; a new list is begun.")
            self.problem = what.format(reason=error)
        self._unclaimed = _standing(self.entries)

    def expect(self, keys: list[str]) -> None:
        """These points are where they are because they were suggested there."""
        self._suggested.update(keys)

    def mark_reference(self) -> None:
        """Have the suggested reference say at once that its spheres were moved, added or removed."""
        if self._parameters is None:
            return
        present = _points(self._parameters)
        self._claim(present)
        spheres = {key: each for key, each in present.items() if _is_reference(each.node)}
        for node in {each.node for each in spheres.values()}:
            of_node = {key: each for key, each in spheres.items() if each.node is node and key not in self._suggested}
            known = {key for key in self._last if key.startswith(f"{node.GetID()} ")}
            if known and known != of_node.keys() and not self._suggested & spheres.keys():
                node.SetAttribute(MOVED, OTHERS)
            elif any(key in known and _has_moved(self._last[key], each) for key, each in of_node.items()):
                node.SetAttribute(MOVED, node.GetAttribute(MOVED) or "1")

    def record(self, means: Means) -> bool:
        """Record what has changed since the last time.

        Args:
            means: of the points of now.

        Returns:
            Whether anything has.
        """
        before, present = len(self.entries), _points(self._parameters)
        self.mark_reference()
        self._record_reference()
        self._claim(present)
        gone = [self._last.pop(key) for key in [key for key in self._last if key not in present]]
        for last in [*gone, *self._unclaimed]:
            size, of_map = last.size_after_mm, last.map
            self._audit.record(REMOVED, last.region, from_ras=last.to_ras, size_before_mm=size, map_name=of_map)
        self._unclaimed = []
        for key, point in present.items():
            self._record_changes(key, point, means)
        if len(self.entries) > before:
            self._keep_damaged()
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

    def _claim(self, present: Mapping[str, Point]) -> None:
        """Find the last entries of points that have another key now: of a loaded scene, or suggested once more."""
        for key, point in present.items():
            if key in self._last:
                continue
            named = [each for each in self._unclaimed if each.region == point.name]
            named.sort(key=lambda each: _has_moved(each, point))
            if named:
                self._unclaimed.remove(named[0])
                self._last[key] = named[0]
            elif key in self._suggested:
                gone = [old for old in self._last if old not in present and self._last[old].region == point.name]
                if gone:
                    self._last[key] = self._last.pop(gone[0])

    def _record_changes(self, key: str, point: Point, means: Means) -> None:
        last, mean = self._last.get(key), means.get((key, point.map))
        if key in self._suggested:
            self._suggested.discard(key)
            self._last[key] = self._record_point(SUGGESTED, point, last, mean)
            return
        if last is None:
            self._last[key] = self._record_point(PLACED, point, None, mean)
            return
        if last.region != point.name:
            there = replace(point, position=last.to_ras, size_mm=last.size_after_mm)
            last = self._last[key] = self._record_point(RENAMED, there, last, last.mean_after, last.region)
        if _has_moved(last, point):
            self._last[key] = self._record_point(MOVED_TO, point, last, mean)
        elif last.size_after_mm != point.size_mm:
            self._last[key] = self._record_point(RESIZED, point, last, mean)

    def _record_point(self, action: Any, point: Point, last: Entry | None, mean: float | None, note: str = "") -> Entry:
        return self._audit.record(
            action,
            point.name,
            from_ras=last.to_ras if last is not None else None,
            to_ras=point.position,
            size_before_mm=last.size_after_mm if last is not None else None,
            size_after_mm=point.size_mm,
            map_name=point.map,
            mean_before=last.mean_after if last is not None else None,
            mean_after=mean,
            note=note,
        )

    def _keep_damaged(self) -> None:
        node = self._parameters.parameterNode
        if self._damaged and not node.GetParameter(DAMAGED):
            node.SetParameter(DAMAGED, self._damaged)


def _standing(entries: Iterable[Entry]) -> list[Entry]:
    """The last entry of each point that was there when the last of these was recorded."""
    found: list[Entry] = []
    for entry in entries:
        if entry.from_ras is not None:
            name = entry.note if entry.action == RENAMED else entry.region
            before = [each for each in found if each.region == name]
            before.sort(key=lambda each, entry=entry: each.to_ras != entry.from_ras)
            if before:
                found.remove(before[0])
        if entry.to_ras is not None:
            found.append(entry)
    return found


def _has_moved(last: Entry, point: Point) -> bool:
    return not np.allclose(last.to_ras, point.position, rtol=0.0, atol=SAME_MM)


def _is_reference(node: Any) -> bool:
    return node.GetAttribute(roi_nodes.ROLE) == roi_nodes.REFERENCE


def _points(parameters: HierSynthParameters) -> dict[str, Point]:
    """The spheres of hotspots and suggested reference, by key."""
    found = {}
    for node in slicer.util.getNodesByClass(roi_nodes.POINTS):
        role = node.GetAttribute(roi_nodes.ROLE)
        if role in (roi_nodes.HOTSPOT, roi_nodes.REFERENCE):
            size = parameters.hotspotDiameter if role == roi_nodes.HOTSPOT else 2 * RADIUS_MM
            of_map = node.GetAttribute(roi_nodes.OF_MAP) or ""
            for point in roi_nodes.placed_points(node):
                found[point.key] = Point(node, point.name, point.position, size, of_map)
    return found
