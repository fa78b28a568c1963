"""The section that computes the acquired CBV map from a DSC series."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import qt
import slicer
import vtk

from HierSynthLib.errors import RUNTIME
from HierSynthLib.worker.run_state import RunState
from HierSynthPanel import layouts, nodes, perfusion_nodes
from HierSynthPanel.context import PanelContext
from HierSynthPanel.observers import Observers
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.perfusion_aif import AifPoints
from HierSynthPanel.perfusion_curve import CurveProbe
from HierSynthPanel.perfusion_maps import lay_over, show_map, style_map
from HierSynthPanel.perfusion_run import Order, PerfusionRun
from HierSynthPanel.perfusion_state import PerfusionState
from HierSynthPanel.result_nodes import Destination
from HierSynthPanel.roi_reference import chosen_reference

KEPT = ("te_s", "mean_curves", "lines", "aif")
"""What a saved scene keeps of a processing, so that quality and curves are there again."""

COLLECT_MS = 20
"""Changes within this time are one."""


class PerfusionSection:
    """Chooses a series and how it is processed, and shows what came of it.

    Args:
        context: the panel's.
        on_runtime_error: called when the background process cannot work since its Python lacks something.

    Attributes:
        link: the background process that processes, so that a synthesis need not be waited for.
        process: the processing.
        aif: the points of the arterial input function.
        probe: the curves of one voxel.
    """

    def __init__(self, context: PanelContext, on_runtime_error: Callable[[], None]) -> None:
        self._on_runtime_error = on_runtime_error
        self._parameters: HierSynthParameters | None = None
        self._gui_tag = 0
        self._observers = Observers()
        self._series_observers = Observers()
        self._series_id = ""
        self._timer = qt.QTimer()
        self._timer.interval = COLLECT_MS
        self._timer.timeout.connect(self._refresh)
        self.link = context.link.companion()
        self.widget = context.load_ui("Perfusion")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.process = PerfusionRun(self.link, self._on_run, self._on_map)
        self.aif = AifPoints(self._on_points)
        self.probe = CurveProbe(self._on_curve_note)
        self.state = PerfusionState(self.ui, self.process, self.aif)
        ui = self.ui
        ui.processButton.clicked.connect(self._on_button)
        # The parameter node would let the selector list one class of nodes only.
        ui.seriesSelector.currentNodeIDChanged.connect(self._on_series)
        ui.leakageSelector.currentIndexChanged.connect(self._on_leakage)
        ui.aifSelector.currentIndexChanged.connect(self._on_aif)
        ui.placeAifButton.clicked.connect(self._place_aif)
        ui.loadMapButton.clicked.connect(self._load_map)
        ui.curvesButton.clicked.connect(self._show_curves)
        ui.placeCurveButton.clicked.connect(self._place_curve)

    @property
    def busy(self) -> bool:
        """Whether maps are being computed or loaded."""
        return self.process.active or self.process.loading

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Show and change these parameters from now on."""
        self.release()
        self._parameters = parameters
        self._series_id = self._id_of_series() if parameters.dscEchoTime or parameters.dscRepetitionTime else ""
        self._gui_tag = parameters.connectGui(self.widget)
        self.aif.set_parameters(parameters)
        self.probe.set_parameters(parameters)
        self.probe.show(self._kept())
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self._observers.add(scene, event, self._schedule)
        self._observers.add(parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._schedule)
        self._refresh()

    def release(self) -> None:
        """Let the parameters go: show nothing until there are others; a processing goes on."""
        self._timer.stop()
        self._observers.clear()
        self._series_observers.clear()
        self.aif.release()
        self.probe.release()
        self.state.release()
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._parameters = None

    def drop(self) -> None:
        """Stop and let the parameters go: the scene is closed."""
        self.process.drop()
        self.release()

    def enter(self) -> None:
        """Nothing to do: the section follows the scene all the time."""

    def exit(self) -> None:
        """A processing goes on in the background."""

    def cleanup(self) -> None:
        """Leave no process, observer, timer or job behind."""
        self.drop()
        self.probe.cleanup()
        self.state.cleanup()
        self._timer.timeout.disconnect(self._refresh)
        self.link.cleanup()

    # --- settings ----------------------------------------------------------------------------------------------------

    def _schedule(self, *_args: object) -> None:
        """Refresh soon. The time is not begun anew, so that changes are followed while they go on."""
        if self._parameters is not None and not self._timer.active:
            self._timer.start()

    def _refresh(self, *_args: object) -> None:
        if self._parameters is None or slicer.mrmlScene.IsBatchProcessing():
            return
        self._timer.stop()
        if self._id_of_series() != self._series_id:
            self._series_id = self._id_of_series()
            self._take_times()
        series = self._parameters.dsc
        if nodes.present(series) and self.process.series not in (None, series):
            # Another series was chosen while this one was processed.
            self.process.forget()
        self._follow_series()
        self.aif.follow()
        self.probe.follow()
        self.state.refresh(self._parameters, self._kept())

    def _follow_series(self) -> None:
        """Observe the series and the volume that shows it: a transform may come and go."""
        series = self._parameters.dsc
        kept = [series, perfusion_nodes.shown_by(series)] if nodes.present(series) else []
        kept = [each for each in kept if each is not None]
        self._series_observers.keep(lambda subject: any(subject is each for each in kept))
        for node in kept:
            self._series_observers.add(node, vtk.vtkCommand.ModifiedEvent, self._schedule)
            if node.IsA(perfusion_nodes.SCALAR_VOLUME):
                moved = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
                self._series_observers.add(node, moved, self._schedule)

    def _on_series(self, *_args: object) -> None:
        if self._parameters is not None:
            self._parameters.dsc = self.ui.seriesSelector.currentNode()

    def _id_of_series(self) -> str:
        series = self._parameters.dsc
        return series.GetID() if nodes.present(series) else ""

    def _take_times(self) -> None:
        """Another series was chosen: its times are those that it states, or have to be entered."""
        series = self._parameters.dsc
        if not nodes.present(series):
            return
        stated = perfusion_nodes.timing_of(series)
        self.aif.change_series()
        with slicer.util.NodeModify(self._parameters):
            self._parameters.dscEchoTime = stated.te_ms or 0.0
            self._parameters.dscRepetitionTime = stated.tr_s or 0.0
            self._parameters.dscFlipAngle = stated.flip_deg or 0.0
            self._parameters.dscAifManual = self.aif.edited
            self._parameters.dscResult = ""
        self.process.forget()
        self.probe.show(None)

    def _on_leakage(self, *_args: object) -> None:
        if self._parameters is not None:
            self._parameters.dscLeakage = self.ui.leakageSelector.itemData(self.ui.leakageSelector.currentIndex)

    def _on_aif(self, *_args: object) -> None:
        if self._parameters is not None:
            self._parameters.dscAifManual = self.ui.aifSelector.itemData(self.ui.aifSelector.currentIndex)

    def _place_aif(self, *_args: object) -> None:
        self.aif.place(self._simulated())

    def _on_points(self) -> None:
        if self._parameters is None or slicer.mrmlScene.IsBatchProcessing():
            return
        if self.aif.edited and not self._parameters.dscAifManual:
            self._parameters.dscAifManual = True
        self._schedule()

    def _simulated(self) -> bool:
        series = self._parameters.dsc
        return nodes.present(series) and series.GetAttribute(nodes.SIMULATED) == "1"

    # --- processing --------------------------------------------------------------------------------------------------

    def _on_button(self, *_args: object) -> None:
        if self.process.active:
            self.process.cancel()
            return
        # The last changes may not have been looked at yet.
        self._refresh()
        if self.process.run.button.enabled:
            self.state.say_of_map("")
            self.process.start(self._order())

    def _order(self) -> Order:
        parameters, series = self._parameters, self._parameters.dsc
        settings: dict[str, Any] = {
            "te_ms": [parameters.dscEchoTime],
            "tr_s": parameters.dscRepetitionTime,
            "flip_deg": parameters.dscFlipAngle or None,
            "options": {"motion": parameters.dscMotion, "leakage": parameters.dscLeakage},
            "simulated": self._simulated(),
        }
        if parameters.dscAifManual:
            settings["aif_points_ras"] = self.aif.positions
        shown = perfusion_nodes.shown_by(series) or perfusion_nodes.frames_of(series)[0]
        destination = Destination(shown, nodes.local_matrix(shown), series.GetName(), self._simulated())
        return Order(series, destination, parameters, chosen_reference(parameters), settings)

    def _on_run(self) -> None:
        self.state.show_run()
        if not self.process.active:
            self._schedule()
        run = self.process.run
        if run.state == RunState.FAILED and run.kind == RUNTIME:
            self._on_runtime_error()

    def _on_map(self, name: str, image: Any, affine: Any, order: Order, result: Mapping[str, Any]) -> Iterator[None]:
        """Show a map, step by step; while a scene is imported there are no parameters, and it waits for them."""
        yield from self._until_parameters()
        for _step in self._show_map(name, image, affine, order, result):
            yield
            yield from self._until_parameters()

    def _until_parameters(self) -> Iterator[None]:
        while self._parameters is None:
            yield

    def _show_map(self, name: str, image: Any, affine: Any, order: Order, result: Mapping[str, Any]) -> Iterator[None]:
        node = show_map(name, image, affine, order.series, order.destination, result)
        yield
        style_map(node, name, result["windows"][name], self._parameters)
        yield
        if self.process.active:
            yield from self._show_aif(order, result)
            self._take_result(node, order, result)
            yield
        parameters = self._parameters
        if parameters.synthetic is None or not self.process.active:
            anatomy = next((each for each in (parameters.t1, order.destination.reference) if nodes.present(each)), None)
            yield from lay_over(node, anatomy, parameters.opacity)

    def _show_aif(self, order: Order, result: Mapping[str, Any]) -> Iterator[None]:
        """Show the points that were found, unless the user has placed others or chosen another series meanwhile."""
        if result["aif"] is None or "aif_points_ras" in order.settings or not self._wants_found(order):
            return
        self.aif.make(order.destination.simulated)
        yield
        if self._wants_found(order) and self.aif.node is not None:
            self.aif.show_found(result["aif"], order.destination)

    def _wants_found(self, order: Order) -> bool:
        return self._parameters.dsc is order.series and not self._parameters.dscAifManual

    def _take_result(self, node: Any, order: Order, result: Mapping[str, Any]) -> None:
        parameters = self._parameters
        same = parameters.dsc is order.series
        with slicer.util.NodeModify(parameters):
            parameters.acquired = node
            if same:
                parameters.dscResult = json.dumps({name: result[name] for name in KEPT})
        # A replaced map is the same node with other voxels, which the parameters do not notice.
        parameters.parameterNode.Modified()
        if same:
            self.probe.show(result)

    def _kept(self) -> dict[str, Any] | None:
        """What is kept of the last processing; None without one."""
        try:
            kept = json.loads(self._parameters.dscResult or "null")
        except ValueError:
            return None
        return kept if isinstance(kept, dict) and set(kept) == set(KEPT) else None

    # --- maps and curves ---------------------------------------------------------------------------------------------

    def _load_map(self, *_args: object) -> None:
        self.process.load(self.ui.mapSelector.itemData(self.ui.mapSelector.currentIndex), self.state.say_of_map)

    def _show_curves(self, *_args: object) -> None:
        parameters = self._parameters
        parameters.layout = "curves"
        layouts.choose(parameters)
        kept, series = self._kept(), parameters.dsc
        usable = nodes.present(series) and not perfusion_nodes.problem_of(series)
        if usable and kept is not None and kept["aif"] is not None:
            self.probe.put(perfusion_nodes.centres_in(series, kept["aif"]["voxels"][:1])[0])
        self.probe.jump()

    def _place_curve(self, *_args: object) -> None:
        self._show_curves()
        self.probe.place()

    def _on_curve_note(self, note: str) -> None:
        self.ui.curveNote.text = note
        self.ui.curveNote.visible = bool(note)
