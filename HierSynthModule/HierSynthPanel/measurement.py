"""Keeps the measurement of the ticked regions up to date; a background process of its own does the measuring."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from HierSynthLib.errors import HierSynthError
from HierSynthLib.worker.job_folder import JobFolder
from HierSynthLib.worker.messages import Cancelled, Event, Failed, Result
from HierSynthPanel import roi_nodes
from HierSynthPanel.measured_maps import ACQUIRED, brain_of, measured_maps, write_maps
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.roi_reference import chosen_reference
from HierSynthPanel.roi_regions import Collector
from HierSynthPanel.steps import Steps
from HierSynthPanel.volume_files import VolumeFiles
from HierSynthPanel.worker_link import WorkerLink


@dataclass(frozen=True)
class Request:
    """Somebody waits for a measurement of everything.

    Attributes:
        on_measured: called with the measurement.
        on_dropped: called with why there will be none.
    """

    on_measured: Callable[[dict[str, Any]], None]
    on_dropped: Callable[[str], None]


class Measurement:
    """Measures once after the other; a change that comes meanwhile is measured next, and only the newest.

    Args:
        link: the background process that measures.
        on_change: called when any of the attributes has changed.

    Attributes:
        entry: the newest measurement, as `HierSynthLib.fidelity.measures.measure` describes it; None before the first.
        problem: why there is none, or none of now, in words; "" where there is.
        notes: sentences on nodes whose regions cannot be measured.
        points: key of a point → name of its region in the newest measurement.
    """

    def __init__(self, link: WorkerLink, on_change: Callable[[], None]) -> None:
        self._link, self._on_change = link, on_change
        self._parameters: HierSynthParameters | None = None
        self._folder: JobFolder | None = None
        self._steps: Steps | None = None
        self._preparing = False
        self._job = ""
        self._again = False
        self._order: dict[str, Any] = {}
        self._done: dict[str, Any] | None = None
        # The first waits for its job, the second's is running.
        self._exporting: Request | None = None
        self._asked_for: Request | None = None
        self._number = 0
        self._plotted = ""
        self._named: dict[str, str] = {}
        self.points: dict[str, str] = {}
        self.entry: dict[str, Any] | None = None
        self.problem = ""
        self.notes: list[str] = []

    @property
    def busy(self) -> bool:
        """Whether a measurement is being made."""
        return self._steps is not None or bool(self._job)

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Measure what these parameters name from now on."""
        self.drop()
        self._parameters = parameters

    def update(self) -> None:
        """Something may have changed: measure again if that is so."""
        if self._parameters is None:
            return
        if self.busy:
            self._again = True
            return
        self._again = False
        if not measured_maps(self._parameters) or not self.wanted_nodes():
            self.drop()
            self._on_change()
            return
        try:
            self._folder = self._folder or self._new_folder()
        except HierSynthError as error:
            self._fail(error)
            return
        self._preparing = True
        self._steps = Steps(self._prepare(), self._submit, self._fail)
        self._on_change()

    def pause(self) -> None:
        """Nobody looks any more: begin no further measurement, unless an export waits for it."""
        if self._exporting is not None:
            return
        self._again = False
        if self._preparing:
            self._end()
            self._on_change()

    def measure_everything(self, request: Request) -> None:
        """Measure what takes longer, too (texture), and hand the measurement over."""
        self._exporting = request
        self.update()

    def plot(self, region: str) -> None:
        """Measure what the plots of this region show; those of all regions together would take too long."""
        if region == self._plotted:
            # What failed is not tried again by itself.
            return
        self._plotted = region
        if self.entry is not None and region not in self.entry["plots"]:
            self.update()

    def wanted_nodes(self) -> list[Any]:
        """The nodes whose regions are measured."""
        parameters = self._parameters
        reference = chosen_reference(parameters)
        points = reference.node if reference is not None and not reference.segment else None
        found = [node for node in roi_nodes.region_nodes() if roi_nodes.is_ticked(node, parameters)]
        return [node for node in found if node is not points]

    def drop(self) -> None:
        """Stop at once and forget what was measured."""
        self._end()
        if self._folder is not None:
            self._link.remove(self._folder)
        self._folder = self._done = self.entry = None
        self._again = False
        self.problem, self._plotted = "", ""
        self.notes, self.points = [], {}
        self._drop_requests(_("There is nothing to measure any more."))

    def release(self) -> None:
        """Let the parameters go: measure nothing until there are others."""
        self.drop()
        self._parameters = None

    def _new_folder(self) -> JobFolder:
        folder = self._link.new_folder()
        self._maps = VolumeFiles(folder.path / "maps")
        self._collector = Collector(self._parameters, VolumeFiles(folder.path / "labels"))
        return folder

    def _prepare(self) -> Iterator[Any]:
        parameters = self._parameters
        maps = yield from write_maps(measured_maps(parameters), self._maps)
        found = yield from self._collector.collect(self.wanted_nodes(), chosen_reference(parameters))
        self.notes, self._named = found.problems, found.points
        normalised = [each["name"] for each in maps if each["kind"] == ACQUIRED and parameters.normaliseAcquired]
        self._order = {
            "maps": maps,
            "brain": brain_of(maps),
            "regions": [region.to_json() for region in found.regions],
            "plots": [self._plotted] if self._plotted else [region.name for region in found.regions[:1]],
            "settings": {"hotspot_mm": parameters.hotspotDiameter, "normalise": normalised, "texture": False},
        }

    def _submit(self) -> None:
        self._steps, self._preparing = None, False
        if self._order == self._done and self._exporting is None:
            self._finish()
            return
        self._number += 1
        order = self._order | {"output": str(self._folder.path / f"measurement-{self._number}.json")}
        self._asked_for, self._exporting = self._exporting, None
        if self._asked_for is not None:
            order["settings"] = order["settings"] | {"texture": True}
        try:
            self._job = self._link.submit("measure", order, self._receive)
        except HierSynthError as error:
            self._fail(error)

    def _receive(self, event: Event) -> None:
        if isinstance(event, Result | Failed | Cancelled):
            self._job = ""
        if isinstance(event, Result):
            self._steps = Steps(self._read(Path(event.result["file"])), self._show, self._fail)
        elif isinstance(event, Failed):
            self._fail(HierSynthError(event.message, event.hint))
        elif isinstance(event, Cancelled):
            # Another interpreter was chosen.
            self._again = True
            self._exporting, self._asked_for = self._exporting or self._asked_for, None
            self._finish()

    def _read(self, path: Path) -> Iterator[None]:
        try:
            self.entry = json.loads(path.read_text("utf-8"))
            path.unlink()
        except (OSError, ValueError) as error:
            raise HierSynthError(f"The measurement cannot be read: {error}.", "Measure again.") from error
        yield

    def _show(self) -> None:
        self._done, self.problem, self.points = self._order, "", self._named
        asked_for, self._asked_for = self._asked_for, None
        if asked_for is not None:
            asked_for.on_measured(self.entry)
        self._finish()

    def _finish(self) -> None:
        self._end()
        if self._again:
            self.update()
        self._on_change()

    def _fail(self, error: HierSynthError) -> None:
        self._done = None
        self.problem = str(error)
        # A request that came meanwhile has its turn yet.
        later, self._exporting = (self._exporting, None) if self._again else (None, self._exporting)
        self._drop_requests(self.problem)
        self._exporting = later
        self._finish()

    def _drop_requests(self, reason: str) -> None:
        dropped = [each for each in (self._exporting, self._asked_for) if each is not None]
        self._exporting = self._asked_for = None
        for request in dropped:
            request.on_dropped(reason)

    def _end(self) -> None:
        if self._steps is not None:
            self._steps.stop()
        if self._job:
            self._link.forget(self._job)
        self._steps, self._preparing = None, False
        self._job = ""
