"""The panel: its sections, and what happens between them."""

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from HierSynthLib.case import SEQUENCES
from HierSynthLib.errors import RUNTIME, InputError
from HierSynthLib.worker.run_state import Run, RunState
from HierSynthPanel import display, nodes
from HierSynthPanel.color_maps import restore_color_maps
from HierSynthPanel.compare_section import CompareSection
from HierSynthPanel.comparison import Comparison
from HierSynthPanel.context import PanelContext
from HierSynthPanel.inputs_section import InputsSection
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.perfusion_section import PerfusionSection
from HierSynthPanel.reading_section import ReadingSection
from HierSynthPanel.result_nodes import PARAMETER_OF_MAP, Destination, is_replaceable, show_map
from HierSynthPanel.result_section import ResultSection
from HierSynthPanel.roi_section import RoiSection
from HierSynthPanel.run_section import RunSection
from HierSynthPanel.runtime_box import RuntimeBox, python_setting
from HierSynthPanel.study_section import StudySection
from HierSynthPanel.synthesis_run import FIRST_MAP, Order, SynthesisRun
from HierSynthPanel.worker_link import WorkerLink


class Panel(VTKObservationMixin):
    """Everything that the module shows.

    Args:
        resource: file name relative to Resources → path.
        parameter_node: returns the MRML node that holds the parameters, made where it is missing.
    """

    def __init__(self, resource: Callable[[str], str], parameter_node: Callable[[], Any]) -> None:
        VTKObservationMixin.__init__(self)
        self._parameter_node = parameter_node
        self.context = PanelContext(self._new_parameters(), WorkerLink(python_setting()), resource)
        self.run = Run()
        self.inputs = InputsSection(self.context, self._on_checked)
        self.run_section = RunSection(self.context, self.run, self._start, self._cancel)
        self.runtime = RuntimeBox(self.context, self.run_section.ui)
        self.result = ResultSection(self.context, self._show)
        self.compare = CompareSection(self.context)
        self.perfusion = PerfusionSection(self.context, self.runtime.show)
        self.roi = RoiSection(self.context)
        self.reading = ReadingSection(self.context, self._on_reading)
        self.study = StudySection(self.context, self._begin_reading)
        self._work = (self.inputs, self.perfusion, self.run_section, self.result, self.compare, self.roi, self.study)
        self.sections = (self.reading, *self._work)
        self.synthesis = SynthesisRun(self.context.link, self.run, self._on_run_changed, self._on_map)
        self.comparison = Comparison(self.context, self.compare.say)
        self._earlier: dict[str, Any] = {}
        self._entered = False
        self._adopt(self.context.parameters)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_closing)
        self.addObserver(scene, scene.StartImportEvent, self._on_importing)
        self.addObserver(scene, scene.EndCloseEvent, self._on_new_scene)
        self.addObserver(scene, scene.EndImportEvent, self._on_new_scene)

    def enter(self) -> None:
        """The user has opened the module."""
        self._entered = True
        for section in self._present():
            section.enter()

    def exit(self) -> None:
        """The user has gone to another module; a run goes on."""
        self._entered = False
        for section in self._present():
            section.exit()

    def cleanup(self) -> None:
        """End the worker and leave no observer, timer or job folder behind."""
        self.removeObservers()
        self.synthesis.drop()
        self.comparison.cleanup()
        self.runtime.cleanup()
        for section in self.sections:
            section.cleanup()
        self.context.link.cleanup()

    def load_sample(self, **changes: object) -> None:
        """Simulate a patient and load it, as the button does; `changes` are changes to `case_loading.SAMPLE`."""
        if self.reading.reading.active:
            self.reading.say(_("Nothing can be loaded while a study is read. Sign out first."))
        else:
            self.inputs.load_sample(changes)

    def _present(self) -> tuple[Any, ...]:
        """The sections that the user sees."""
        return (self.reading,) if self.reading.reading.active else self._work

    # --- what the sections report ------------------------------------------------------------------------------------

    def _on_checked(self, reason: str | None) -> None:
        """The inputs are usable, or there is a reason why not."""
        self.run.set_ready(reason)
        self.run_section.refresh()

    def _start(self) -> None:
        parameters = self.context.parameters
        chosen = self.inputs.chosen()
        reference = next(chosen[role] for role in SEQUENCES if role in chosen)
        settings = {
            "model": parameters.model,
            "device": parameters.device,
            "register": parameters.register,
            "simulated": parameters.simulated,
        }
        volumes = {role: nodes.volume_of(node) for role, node in chosen.items() if role in SEQUENCES}
        self.synthesis.start(Order(volumes, Destination.beside(reference, parameters.simulated), settings))

    def _cancel(self) -> None:
        self.synthesis.cancel()

    def _on_run_changed(self) -> None:
        self.run_section.refresh()
        if self.run.state == RunState.FAILED and self.run.kind == RUNTIME:
            self.runtime.show()

    def _on_map(self, key: str, image: Any, affine: Any, destination: Destination, run: str) -> None:
        parameters = self.context.parameters
        if key == FIRST_MAP:
            self._earlier = {each: getattr(parameters, name) for each, name in PARAMETER_OF_MAP.items()}
        earlier = self._earlier[key]
        replaced = earlier if not parameters.addResult and is_replaceable(earlier, destination) else None
        node = show_map(key, image, affine, destination, run, replaced)
        if key != FIRST_MAP:
            setattr(parameters, PARAMETER_OF_MAP[key], node)
            return
        with slicer.util.NodeModify(parameters):
            parameters.reference = destination.reference if nodes.present(destination.reference) else None
            parameters.synthetic = node
        # A replaced map is the same node with other voxels, which the parameters do not notice.
        parameters.parameterNode.Modified()
        self._show()

    def _show(self) -> None:
        display.show_result(self.context.parameters)

    def _begin_reading(self, *order: Any) -> None:
        """Sign a reader in, as `ReadingSection.begin` does, unless something may come into the scene meanwhile."""
        if self.run.busy or self.perfusion.busy or self.inputs.loading:
            raise InputError(
                _("A case is being loaded, or a map is being computed."),
                _("Wait until it is there, or cancel it; then sign in again."),
            )
        self.reading.begin(*order)

    def _on_reading(self, active: bool) -> None:
        """A reader has signed in or out: whoever reads sees nothing else of the panel."""
        for section in self._work:
            if active:
                section.exit()
            elif self._entered:
                section.enter()
            section.widget.visible = not active
        self.reading.widget.visible = active

    # --- the scene ---------------------------------------------------------------------------------------------------

    def _new_parameters(self) -> HierSynthParameters:
        return HierSynthParameters(self._parameter_node())

    def _adopt(self, parameters: HierSynthParameters) -> None:
        self.context.parameters = parameters
        for section in self.sections:
            section.set_parameters(parameters)
        self.comparison.set_parameters(parameters)
        restore_color_maps()

    def _on_closing(self, *_args: object) -> None:
        self.synthesis.drop()
        self.comparison.drop()
        self.inputs.drop()
        self.reading.sign_out(scene_closed=True)
        self.roi.release()
        self.perfusion.drop()

    def _on_importing(self, *_args: object) -> None:
        # Node selectors are filled anew at the end of an import; what they choose meanwhile must not be written.
        self.comparison.release()
        for section in self.sections:
            section.release()

    def _on_new_scene(self, *_args: object) -> None:
        self._adopt(self._new_parameters())
