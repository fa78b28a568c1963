"""One processing of a DSC series: written for the worker, run there, its maps read back as they are asked for."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from HierSynthLib.errors import HierSynthError, InputError
from HierSynthLib.worker.job_folder import JobFolder
from HierSynthLib.worker.messages import Event, Result, Warned
from HierSynthLib.worker.run_state import Run, RunState
from HierSynthPanel import nodes, perfusion_nodes
from HierSynthPanel.images import load_image
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.result_nodes import Destination
from HierSynthPanel.roi_reference import Reference
from HierSynthPanel.roi_regions import Collector
from HierSynthPanel.steps import Steps
from HierSynthPanel.volume_files import VolumeFiles
from HierSynthPanel.worker_link import WorkerLink, in_background

MAIN_MAPS = ("nrCBV", "rCBV")
"""The first of these that there is becomes the acquired map."""

OnMap = Callable[[str, Any, Any, "Order", Mapping[str, Any]], Iterator[Any]]


@dataclass(frozen=True)
class Order:
    """What to process, as it was when the user pressed Run.

    Attributes:
        series: the node.
        destination: where the maps belong: beside the volume that shows the series.
        parameters: the panel's, for what sizes regions have.
        reference: the normal-appearing white matter; None without it.
        settings: further parameters of the worker's job.
    """

    series: Any
    destination: Destination
    parameters: HierSynthParameters
    reference: Reference | None
    settings: Mapping[str, Any]


class PerfusionRun:
    """Carries out one order after the other; `run` says where it stands.

    The frames stay written for further runs on the same series, and the maps of the last run for loading.

    Args:
        link: the background process.
        on_change: called after each change of `run`.
        on_map: called with name, image, affine, order and result for each map that was read; gives the steps that show
            it.

    Attributes:
        run: the state.
        result: of the last run that was done, with the text of its run.json as "run_text"; None before.
    """

    def __init__(self, link: WorkerLink, on_change: Callable[[], None], on_map: OnMap) -> None:
        self._link, self._on_change, self._on_map = link, on_change, on_map
        self.run = Run()
        self.result: dict[str, Any] | None = None
        self._folder: JobFolder | None = None
        self._files: VolumeFiles | None = None
        self._order: Order | None = None
        self._done: Order | None = None
        self._steps: Steps | None = None
        self._loading: Steps | None = None
        # What the worker gave for the present order, and whether it has begun to appear in the scene.
        self._answer: dict[str, Any] | None = None
        self._showing = False
        self._described: dict[str, Any] = {}
        self._job = ""
        self._number = 0

    @property
    def active(self) -> bool:
        """Whether an order is being carried out."""
        return self._order is not None

    @property
    def series(self) -> Any:
        """The node that the result of the last run belongs to; None without one."""
        return self._done.series if self._done is not None else None

    @property
    def loading(self) -> bool:
        """Whether a further map is being loaded."""
        return self._loading is not None

    def start(self, order: Order) -> None:
        """Begin; everything that goes wrong from here on is in `run`."""
        self._stop_loading()
        self._order = order
        self.run.start(private=[order.destination.name, order.series.GetName()])
        try:
            if self._folder is None:
                self._folder = self._link.new_folder()
                self._files = VolumeFiles(self._folder.path / "series")
        except HierSynthError as error:
            self._fail(error)
        else:
            self._steps = Steps(self._write(order), self._submit, self._fail)
            self._on_change()

    def cancel(self) -> None:
        """Stop; where the worker is at it, as soon as it has stopped."""
        # What has begun to appear in the scene appears as a whole; it takes a moment only.
        if not self.active or self._showing or self.run.state == RunState.CANCELLING:
            return
        self.run.cancel()
        if self._job:
            self._link.cancel(self._job)
            self._on_change()
        else:
            self._cancelled()

    def drop(self) -> None:
        """Stop at once, put nothing into the scene, which may be another one by now, and forget files and result."""
        self._stop_loading()
        if self.active:
            if self._job:
                self._link.forget(self._job)
            self._cancelled()
        if self._folder is not None:
            self._link.remove(self._folder)
        self._folder = self._files = self.result = self._done = None

    def forget(self) -> None:
        """Forget the last run and its result, unless one is going on: they are those of another series."""
        if not self.active:
            self._stop_loading()
            self.result = self._done = None
            self.run = Run()

    def load(self, name: str, on_end: Callable[[str], None]) -> None:
        """Load a further map of the last run; `on_end` is called with why it failed, or ""."""
        if self.result is None or self._done is None or self.active or self.loading:
            return

        def done() -> None:
            self._stop_loading()
            on_end("")

        def fail(error: HierSynthError) -> None:
            self._stop_loading()
            on_end(str(error))

        self._loading = Steps(self._read_map(name, self._done, self.result), done, fail)

    def _write(self, order: Order) -> Iterator[Any]:
        if not nodes.present(order.series):
            raise InputError(_("The DSC series is not in the scene any more."), _("Choose another one."))
        described = yield from perfusion_nodes.write_series(order.series, self._files, self._on_written)
        if order.reference is not None:
            labels = VolumeFiles(self._folder.path / f"labels-{self._number}")
            found = yield from Collector(order.parameters, labels).collect([], order.reference)
            for problem in found.problems:
                self.run.receive(Warned("nawm", problem))
            if found.regions:
                described["nawm_region"] = found.regions[0].to_json()
        self._described = described

    def _on_written(self, fraction: float) -> None:
        self.run.preparing(_("handing over the series"), fraction)

    def _submit(self) -> None:
        self._number += 1
        output = {"output": str(self._folder.path / f"maps-{self._number}"), "format": "npy"}
        try:
            parameters = self._described | output | dict(self._order.settings)
            self._job = self._link.submit("perfusion", parameters, self._receive)
        except HierSynthError as error:
            self._fail(error)

    def _receive(self, event: Event) -> None:
        self.run.receive(event)
        if isinstance(event, Result) and self.run.busy:
            self._job, self._answer = "", event.result
            self._steps = Steps(self._read(event.result), self._finish, self._fail)
        if not self.run.busy:
            self._tidy_up()
        self._on_change()

    def _read(self, result: dict[str, Any]) -> Iterator[Any]:
        self._answer = result = result | {"run_text": Path(result["run"]).read_text("utf-8")}
        main = next(name for name in MAIN_MAPS if name in result["maps"])
        image, affine = yield from load_image(result["maps"][main])
        self._showing = True
        yield from self._on_map(main, image, affine, self._order, result)

    def _read_map(self, name: str, order: Order, result: Mapping[str, Any]) -> Iterator[Any]:
        image, affine = yield from load_image(result["maps"][name])
        yield from self._on_map(name, image, affine, order, result)

    def _finish(self) -> None:
        _remove_maps(self.result)
        self.result, self._done, self._answer = self._answer, self._order, None
        self.run.finish_loading()
        self._tidy_up()
        self._on_change()

    def _fail(self, error: HierSynthError) -> None:
        self.run.fail(error)
        self._tidy_up()
        self._on_change()

    def _cancelled(self) -> None:
        self.run.cancelled()
        self._tidy_up()
        self._on_change()

    def _tidy_up(self) -> None:
        if self._steps is not None:
            self._steps.stop()
        # Of a run that was not finished nothing is kept.
        _remove_maps(self._answer)
        self._order = self._steps = self._answer = None
        self._showing = False
        self._job = ""

    def _stop_loading(self) -> None:
        if self._loading is not None:
            self._loading.stop()
            self._loading = None


def _remove_maps(result: Mapping[str, Any] | None) -> None:
    if result is not None:
        in_background(lambda: shutil.rmtree(result["output"], ignore_errors=True))
