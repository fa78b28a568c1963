"""Has the background process suggest the NAWM reference or hotspots."""

from collections.abc import Callable, Iterator
from typing import Any

from HierSynthLib.errors import HierSynthError
from HierSynthLib.fidelity.regions.shapes import Region
from HierSynthLib.worker.job_folder import JobFolder
from HierSynthLib.worker.messages import Cancelled, Event, Failed, Result
from HierSynthPanel.measured_maps import UNCERTAINTY, anatomy, brain_of, measured_maps, write_maps
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.roi_reference import chosen_reference, is_reference_name
from HierSynthPanel.roi_regions import Collector
from HierSynthPanel.steps import Steps
from HierSynthPanel.volume_files import VolumeFiles
from HierSynthPanel.worker_link import WorkerLink

HOTSPOTS = 4
"""Per map."""


class Suggestion:
    """Carries out one suggestion at a time.

    Args:
        link: the background process.
        on_suggested: called with the job's result.
        on_end: called when it is over, with why it failed or "".
    """

    def __init__(
        self, link: WorkerLink, on_suggested: Callable[[dict[str, Any]], None], on_end: Callable[[str], None]
    ) -> None:
        self._link, self._on_suggested, self._on_end = link, on_suggested, on_end
        self._folder: JobFolder | None = None
        self._steps: Steps | None = None
        self._job = ""
        self._order: dict[str, Any] = {}

    @property
    def active(self) -> bool:
        """Whether a suggestion is being made."""
        return self._folder is not None

    def suggest_reference(self, parameters: HierSynthParameters, lesions: list[Any]) -> None:
        """Look for normal-appearing white matter opposite to the regions of the nodes `lesions`."""
        self._start("reference", (), parameters, lesions)

    def suggest_hotspots(self, maps: tuple[str, ...], parameters: HierSynthParameters, lesions: list[Any]) -> None:
        """Look for the places with the highest means on each of these maps, in the regions of the nodes `lesions`."""
        self._start("hotspots", maps, parameters, lesions)

    def drop(self) -> None:
        """Stop at once; nothing is put into the scene."""
        if self._job:
            self._link.forget(self._job)
        self._end()

    def _start(self, what: str, maps: tuple[str, ...], parameters: HierSynthParameters, lesions: list[Any]) -> None:
        if self.active:
            return
        try:
            self._folder = self._link.new_folder()
        except HierSynthError as error:
            self._fail(error)
        else:
            self._steps = Steps(self._prepare(what, maps, parameters, lesions), self._submit, self._fail)

    def _prepare(
        self, what: str, maps: tuple[str, ...], parameters: HierSynthParameters, lesions: list[Any]
    ) -> Iterator[Any]:
        path = self._folder.path
        written = yield from write_maps(anatomy(parameters), VolumeFiles(path / "anatomy"))
        known = {each["name"]: each["path"] for each in written}
        chosen = [each for each in measured_maps(parameters) if each.name in (*maps, UNCERTAINTY)]
        suggested_on = yield from write_maps(chosen, VolumeFiles(path / "maps"))
        collector = Collector(parameters, VolumeFiles(path / "labels"))
        found = yield from collector.collect(lesions, chosen_reference(parameters))
        self._order = {
            "what": [what],
            "anatomy": known,
            "brain": brain_of(suggested_on),
            "lesion": [region.to_json() for region in found.regions if _may_be_lesion(region)],
            "maps": {each["name"]: each["path"] for each in suggested_on if each["name"] in maps},
            "count": HOTSPOTS,
            "diameter_mm": parameters.hotspotDiameter,
        }

    def _submit(self) -> None:
        try:
            self._job = self._link.submit("suggest_regions", self._order, self._receive)
        except HierSynthError as error:
            self._fail(error)

    def _receive(self, event: Event) -> None:
        if not isinstance(event, Result | Failed | Cancelled):
            return
        self._end()
        if isinstance(event, Result):
            self._on_suggested(event.result)
        self._on_end(f"{event.message} {event.hint}".strip() if isinstance(event, Failed) else "")

    def _fail(self, error: HierSynthError) -> None:
        self._end()
        self._on_end(str(error))

    def _end(self) -> None:
        if self._steps is not None:
            self._steps.stop()
        if self._folder is not None:
            self._link.remove(self._folder)
        self._folder = self._steps = None
        self._job = ""


def _may_be_lesion(region: Region) -> bool:
    return region.role == "lesion" and not is_reference_name(region.name)
