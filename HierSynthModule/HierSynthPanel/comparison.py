"""Difference and checkerboard of the synthetic and the acquired map, kept up to date by the background process."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from HierSynthLib.errors import HierSynthError
from HierSynthLib.worker.job_folder import JobFolder
from HierSynthLib.worker.messages import Cancelled, Event, Failed, Result
from HierSynthLib.worker.transfer import write_in_pieces
from HierSynthPanel import nodes
from HierSynthPanel.context import PanelContext
from HierSynthPanel.images import load_image
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.result_nodes import PARAMETER_OF_MAP, Destination, is_replaceable, show_map
from HierSynthPanel.steps import Steps

SETTLE_MS = 300
"""How long the choice must have stood before the maps are compared."""

SIDES = ("synthetic", "acquired")
KEPT = ("difference", "acquired_on_grid", "checkerboard")
"""Maps that are shown, of those that the worker makes."""


class Comparison:
    """Watches the parameters and has the comparison made again when the maps or the squares have changed.

    Args:
        context: the panel's.
        on_problem: called with why the maps of now cannot be compared, or "".

    Attributes:
        problem: what was said last.
    """

    def __init__(self, context: PanelContext, on_problem: Callable[[str], None]) -> None:
        self._context, self._on_problem = context, on_problem
        self._parameters: HierSynthParameters | None = None
        self._observer = 0
        self._done: tuple[Any, ...] | None = None
        self._doing: tuple[Any, ...] | None = None
        self._folder: JobFolder | None = None
        self._steps: Steps | None = None
        self._job = ""
        self._nodes: dict[str, Any] = {}
        self._settle = qt.QTimer()
        self._settle.interval = SETTLE_MS
        self._settle.timeout.connect(self._update)
        self.problem = ""

    @property
    def active(self) -> bool:
        """Whether a comparison is being made."""
        return self._doing is not None

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Watch these parameters from now on."""
        self.release()
        self._parameters = parameters
        self._observer = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, self.schedule)
        self._done = None
        self._nodes = {key: getattr(parameters, PARAMETER_OF_MAP[key]) for key in KEPT}
        self.schedule()

    def schedule(self, *_args: object) -> None:
        """Look soon whether there is something new to compare."""
        if self._parameters is not None:
            self._settle.start()

    def drop(self) -> None:
        """Stop at once; nothing is put into the scene."""
        self._settle.stop()
        if self._job:
            self._context.link.forget(self._job)
        self._end()

    def cleanup(self) -> None:
        """Leave no observer, timer or job behind."""
        self.release()

    def release(self) -> None:
        """Let the parameters go: compare nothing until there are others."""
        self.drop()
        if self._parameters is not None:
            self._parameters.RemoveObserver(self._observer)
            self._parameters = None
            self._say("")

    def _update(self, *_args: object) -> None:
        self._settle.stop()
        wanted = self._wanted()
        if wanted is not None and wanted in (self._done, self._doing):
            return
        self.drop()
        self._forget_outdated(wanted)
        self._say(self._obstacle())
        if wanted is None:
            return
        try:
            self._folder = self._context.link.new_folder()
        except HierSynthError as error:
            self._say(str(error))
            return
        self._doing = wanted
        volumes = {side: nodes.volume_of(getattr(self._parameters, side)) for side in SIDES}
        self._steps = Steps(self._write(volumes), self._submit, self._fail)

    def _forget_outdated(self, wanted: tuple[Any, ...] | None) -> None:
        """A comparison of other maps must not be taken for one of these."""
        if wanted is None or self._done is None or wanted[:-1] != self._done[:-1]:
            self._done = None
            with slicer.util.NodeModify(self._parameters):
                for key in KEPT:
                    setattr(self._parameters, PARAMETER_OF_MAP[key], None)

    def _wanted(self) -> tuple[Any, ...] | None:
        """What the comparison depends on; None where there is nothing to compare."""
        parameters = self._parameters
        maps = [getattr(parameters, side) for side in SIDES]
        if not all(nodes.present(node) and nodes.has_voxels(node) and not nodes.is_under_warp(node) for node in maps):
            return None
        if self._obstacle():
            return None
        shown = parameters.checkerboardShown
        squares = parameters.checkerboardSize if shown else None
        places = [nodes.volume_of(node).affine.tobytes() for node in maps]
        return (*[(node.GetID(), node.GetImageData().GetMTime()) for node in maps], *places, squares)

    def _obstacle(self) -> str:
        """Why what was acquired cannot be compared; "" where it can, or there is nothing."""
        acquired = self._parameters.acquired
        if self._parameters.synthetic is None or not nodes.present(acquired) or nodes.is_relative(acquired):
            return ""
        return _(
            "The acquired map is in {units}; only maps in nrCBV can be compared. Suggest a NAWM reference in Regions "
            "(ROI), and run Perfusion (DSC) again."
        ).format(units=acquired.GetAttribute(nodes.UNITS))

    def _say(self, problem: str) -> None:
        self.problem = problem
        self._on_problem(problem)

    def _write(self, volumes: Mapping[str, Any]) -> Iterator[float]:
        for side, volume in volumes.items():
            yield from write_in_pieces(volume.array, volume.affine, volume.units, self._path(side))

    def _path(self, side: str) -> Path:
        return self._folder.path / "input" / f"{side}.npy"

    def _submit(self) -> None:
        parameters = {side: str(self._path(side)) for side in SIDES}
        parameters |= {"output": str(self._folder.output), "square_mm": self._parameters.checkerboardSize}
        try:
            self._job = self._context.link.submit("compare", parameters, self._receive)
        except HierSynthError as error:
            self._fail(error)

    def _receive(self, event: Event) -> None:
        if isinstance(event, Result):
            self._job = ""
            self._steps = Steps(self._read(event.result["maps"]), self._finish, self._fail)
        elif isinstance(event, Failed):
            self._say(f"{event.message} {event.hint}".strip())
            self._done = self._doing
            self._end()
        elif isinstance(event, Cancelled):
            self._end()

    def _read(self, maps: Mapping[str, str]) -> Iterator[float]:
        parameters = self._parameters
        synthetic = parameters.synthetic
        destination = Destination.beside(synthetic, synthetic.GetAttribute(nodes.SIMULATED) == "1")
        for key in KEPT if parameters.checkerboardShown else KEPT[:-1]:
            image, affine = yield from load_image(maps[key])
            earlier = self._nodes.get(key)
            replaced = earlier if is_replaceable(earlier, destination) else None
            node = self._nodes[key] = show_map(key, image, affine, destination, "", replaced)
            setattr(parameters, PARAMETER_OF_MAP[key], node)
            yield 1.0

    def _finish(self) -> None:
        self._say("")
        self._done = self._doing
        self._end()

    def _fail(self, error: HierSynthError) -> None:
        self._say(str(error))
        self._end()

    def _end(self) -> None:
        if self._steps is not None:
            self._steps.stop()
        if self._folder is not None:
            self._context.link.remove(self._folder)
        self._folder = self._steps = self._doing = None
        self._job = ""
