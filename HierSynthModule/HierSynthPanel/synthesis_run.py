"""One synthesis from volume nodes to result nodes: written for the worker, run there, read back, shown."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from HierSynthLib.case import Role
from HierSynthLib.errors import HierSynthError
from HierSynthLib.volume import Volume
from HierSynthLib.worker.job_folder import JobFolder
from HierSynthLib.worker.messages import Event, Result
from HierSynthLib.worker.run_state import Run, RunState
from HierSynthLib.worker.transfer import write_in_pieces
from HierSynthPanel.images import load_image
from HierSynthPanel.result_nodes import Destination
from HierSynthPanel.steps import Steps
from HierSynthPanel.worker_link import WorkerLink

FIRST_MAP = "synthetic"
"""Shown as soon as it is there; the others follow."""

OnMap = Callable[[str, Any, Any, Destination, str], None]


@dataclass(frozen=True)
class Order:
    """What to synthesise, as it was when the user pressed Run.

    Attributes:
        volumes: the sequences by role, in the world.
        destination: where the maps belong.
        settings: further parameters of the worker's job.
    """

    volumes: Mapping[Role, Volume]
    destination: Destination
    settings: Mapping[str, Any]


class SynthesisRun:
    """Carries out one order after the other; `run` says where it stands.

    Args:
        link: the background process.
        run: the state that is kept up to date.
        on_change: called after each change of `run`.
        on_map: called with name, image, affine, destination and run.json for each map, the synthetic one first.
    """

    def __init__(self, link: WorkerLink, run: Run, on_change: Callable[[], None], on_map: OnMap) -> None:
        self._link, self.run, self._on_change, self._on_map = link, run, on_change, on_map
        self._order: Order | None = None
        self._folder: JobFolder | None = None
        self._steps: Steps | None = None
        self._job = ""

    @property
    def active(self) -> bool:
        """Whether an order is being carried out."""
        return self._order is not None

    def start(self, order: Order) -> None:
        """Begin; everything that goes wrong from here on is in `run`."""
        self._order = order
        self.run.start(private=[order.destination.name])
        try:
            self._folder = self._link.new_folder()
        except HierSynthError as error:
            self._fail(error)
        else:
            self._steps = Steps(self._write(order), self._submit, self._fail)
            self._on_change()

    def cancel(self) -> None:
        """Stop; where the worker is at it, as soon as it has stopped."""
        if not self.active or self.run.state == RunState.CANCELLING:
            return
        self.run.cancel()
        if self._job:
            self._link.cancel(self._job)
            self._on_change()
        else:
            self._cancelled()

    def drop(self) -> None:
        """Stop at once and put nothing into the scene, which may be another one by now."""
        if self.active:
            if self._job:
                self._link.forget(self._job)
            self._cancelled()

    def _write(self, order: Order) -> Iterator[float]:
        for number, (role, volume) in enumerate(order.volumes.items()):
            path = self._folder.input_path(role)
            for fraction in write_in_pieces(volume.array, volume.affine, volume.units, path):
                self.run.preparing(_("handing over the volumes"), (number + fraction) / len(order.volumes))
                yield fraction

    def _submit(self) -> None:
        order = self._order
        inputs = {str(role): str(self._folder.input_path(role)) for role in order.volumes}
        units = {str(role): volume.units for role, volume in order.volumes.items() if volume.units}
        parameters = {"inputs": inputs, "units": units, "output": str(self._folder.output), "format": "npy"}
        try:
            self._job = self._link.submit("synthesize", parameters | dict(order.settings), self._receive)
        except HierSynthError as error:
            self._fail(error)

    def _receive(self, event: Event) -> None:
        self.run.receive(event)
        if isinstance(event, Result) and self.run.busy:
            self._job = ""
            self._steps = Steps(self._read(event.result), self._finish, self._fail)
        if not self.run.busy:
            self._tidy_up()
        self._on_change()

    def _read(self, result: Mapping[str, Any]) -> Iterator[float]:
        order = self._order
        text = Path(result["run"]).read_text("utf-8")
        keys = sorted(result["maps"], key=lambda key: key != FIRST_MAP)
        for number, key in enumerate(keys):
            image, affine = yield from load_image(result["maps"][key])
            self._on_map(key, image, affine, order.destination, text)
            self.run.loading((number + 1) / len(keys))
            self._on_change()
            yield 1.0

    def _finish(self) -> None:
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
        if self._folder is not None:
            self._link.remove(self._folder)
        self._order = self._folder = self._steps = None
        self._job = ""
