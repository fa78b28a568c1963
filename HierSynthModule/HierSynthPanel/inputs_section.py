"""The section in which the volumes are chosen and checked."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from HierSynthLib.case import SEQUENCES, Problem, Role
from HierSynthLib.case.assignment import assign
from HierSynthLib.case.checks import Check, check_steps
from HierSynthLib.volume import Volume
from HierSynthPanel import nodes
from HierSynthPanel.candidates import find_candidates
from HierSynthPanel.case_loading import CaseLoading
from HierSynthPanel.context import PanelContext
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.steps import Steps

PARAMETER_OF_ROLE = {
    Role.T1: "t1",
    Role.T2: "t2",
    Role.FLAIR: "flair",
    Role.ADC: "adc",
    Role.ASL: "asl",
    Role.CBV_ACQUIRED: "acquired",
    Role.ROI: "roi",
}
"""Of what is chosen and checked here."""

PARAMETER_OF_LOADED = PARAMETER_OF_ROLE | {Role.DSC: "dsc"}
"""Of what a case may hold."""

SETTLE_MS = 150
"""How long the choice must have stood before it is checked."""

SIGNS = {"ok": "✓", "info": "ℹ", "warning": "⚠", "error": "✗", "missing": "–"}
COLORS = {"ok": "#2e7d32", "info": "#1565c0", "warning": "#b26a00", "error": "#c62828", "missing": "gray"}


class InputsSection(VTKObservationMixin):
    """Chooses a volume for each role, by hand or automatically, and says at once what is wrong with it.

    Args:
        context: the panel's.
        on_checked: called with why the synthesis cannot start, or None, after each check.
    """

    def __init__(self, context: PanelContext, on_checked: Callable[[str | None], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._on_checked = on_checked
        self._parameters: HierSynthParameters | None = None
        self._gui_tag = 0
        self._checking: Steps | None = None
        self._watched: list[Any] = []
        self._loading = CaseLoading(context.link, self._on_progress, self._on_loaded, self._on_failed)
        self.widget = context.load_ui("Inputs")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.ui.assignButton.clicked.connect(self._assign)
        self.ui.sampleButton.clicked.connect(self._on_sample)
        self.ui.openCaseButton.clicked.connect(self._open_case)
        self.ui.loadingCancelButton.clicked.connect(self.drop)
        self._show_loading(False)
        self._say("")
        self._settle = qt.QTimer()
        self._settle.interval = SETTLE_MS
        self._settle.timeout.connect(self._check)

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Show and change these parameters from now on."""
        self.release()
        self._parameters = parameters
        self._gui_tag = parameters.connectGui(self.widget)
        self.addObserver(parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._on_changed)
        self._on_changed()

    def release(self) -> None:
        """Let the parameters go: neither show nor change them until there are others."""
        self._settle.stop()
        self._stop_checking()
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._parameters = None
        self._watched = []
        self.removeObservers()

    def enter(self) -> None:
        """Nothing to do: the section follows the scene all the time."""

    def exit(self) -> None:
        """Nothing to do."""

    def cleanup(self) -> None:
        """Leave no observer, timer or job behind."""
        self.drop()
        self.release()

    def chosen(self) -> dict[Role, Any]:
        """The nodes chosen for the roles that are in the scene, by role."""
        found = {role: getattr(self._parameters, name) for role, name in PARAMETER_OF_ROLE.items()}
        return {role: node for role, node in found.items() if nodes.present(node)}

    @property
    def loading(self) -> bool:
        """Whether a case is being loaded."""
        return self._loading.active

    def load_sample(self, changes: Mapping[str, Any]) -> None:
        """Simulate a patient in the background and load it; `changes` are changes to `case_loading.SAMPLE`."""
        self._loading.load_sample(changes)

    def load_folder(self, folder: str) -> None:
        """Load a case folder in the background."""
        self._loading.load_folder(folder)

    def ask_for_folder(self) -> str:
        """Let the user choose a folder; "" where the user does not."""
        return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Open a case folder"))

    def drop(self, *_args: object) -> None:
        """Stop loading and checking."""
        self._loading.cancel()
        self._stop_checking()

    # --- choosing ----------------------------------------------------------------------------------------------------

    def _assign(self, *_args: object) -> None:
        candidates = find_candidates()
        if not candidates:
            self._say(_("There is no volume in the scene. Load the examination first, or the sample case."))
            return
        assignment = assign(candidates)
        with slicer.util.NodeModify(self._parameters):
            for role, name in PARAMETER_OF_ROLE.items():
                if role in assignment.roles:
                    setattr(self._parameters, name, slicer.mrmlScene.GetNodeByID(assignment.roles[role]))
            self._assign_roi()
        for role, reason in assignment.reasons.items():
            if role in PARAMETER_OF_ROLE:
                self._widget(role, "Label").toolTip = reason
        self._say("\n".join(assignment.notes))

    def _assign_roi(self) -> None:
        """Take the only segmentation of the scene, where there is one."""
        segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        if self._parameters.roi is None and len(segmentations) == 1:
            self._parameters.roi = segmentations[0]

    # --- loading -----------------------------------------------------------------------------------------------------

    def _on_sample(self, *_args: object) -> None:
        self.load_sample({})

    def _open_case(self, *_args: object) -> None:
        folder = self.ask_for_folder()
        if folder:
            self.load_folder(folder)

    def _on_progress(self, stage: str, fraction: float) -> None:
        self._show_loading(True)
        self.ui.loadingBar.value = round(fraction * self.ui.loadingBar.maximum)
        self.ui.loadingBar.format = stage
        self._say("")

    def _on_loaded(self, loaded: dict[Role, Any], simulated: bool) -> None:
        self._show_loading(False)
        with slicer.util.NodeModify(self._parameters):
            for role, name in PARAMETER_OF_LOADED.items():
                setattr(self._parameters, name, loaded.get(role))
            self._parameters.simulated = simulated
        background = next((loaded[role] for role in SEQUENCES if role in loaded), None)
        if background is not None:
            slicer.util.setSliceViewerLayers(background=background, foreground=None, label=None, fit=True)

    def _on_failed(self, message: str, hint: str) -> None:
        self._show_loading(False)
        self._say(f"✗ {message}\n{hint}" if message else "")

    def _show_loading(self, loading: bool) -> None:
        self.ui.loadingFrame.visible = loading
        for button in (self.ui.sampleButton, self.ui.openCaseButton, self.ui.assignButton):
            button.enabled = not loading

    def _say(self, text: str) -> None:
        self.ui.loadingMessage.text = text
        self.ui.loadingMessage.visible = bool(text)

    # --- checking ----------------------------------------------------------------------------------------------------

    def _on_changed(self, *_args: object) -> None:
        chosen = list(self.chosen().values())
        if chosen != self._watched:
            self._watch(chosen)
        self._settle.start()

    def _watch(self, chosen: list[Any]) -> None:
        for node in self._watched:
            self._unwatch(node)
        self._watched = chosen
        for node in chosen:
            for event in self._events(node):
                self.addObserver(node, event, self._on_node)

    def _unwatch(self, node: Any) -> None:
        for event in self._events(node):
            self.removeObserver(node, event, self._on_node)

    @staticmethod
    def _events(node: Any) -> tuple[int, ...]:
        moved = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        if node.IsA("vtkMRMLVolumeNode"):
            return (vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, moved)
        return (vtk.vtkCommand.ModifiedEvent, moved)

    def _on_node(self, *_args: object) -> None:
        self._settle.start()

    def _check(self, *_args: object) -> None:
        self._settle.stop()
        self._stop_checking()
        checks: dict[Role | None, Check] = {}
        self._checking = Steps(self._steps(checks), lambda: self._show(checks), lambda error: self._say(str(error)))

    def _stop_checking(self) -> None:
        if self._checking is not None:
            self._checking.stop()
            self._checking = None

    def _steps(self, checks: dict[Role | None, Check]) -> Iterator[None]:
        volumes: dict[Role, Volume] = {}
        problems: list[Problem] = []
        for role, node in self.chosen().items():
            volume = self._volume(role, node, problems)
            if volume is not None:
                volumes[role] = volume
            yield
        for role, check in check_steps(volumes, problems=problems):
            checks[role] = check
            yield

    def _volume(self, role: Role, node: Any, problems: list[Problem]) -> Volume | None:
        """The volume of a node; None, and a problem, where it has none that can be used."""
        if nodes.is_under_warp(node):
            what = _("{role} lies under a transform that is not linear.").format(role=role)
            problems.append(Problem(role, "error", what, _("Harden the transform first (module Data or Transforms).")))
        volume = nodes.volume_of_segmentation(node) if role == Role.ROI else self._image_of(node)
        if volume is None:
            what = _("{role} is empty.").format(role=role)
            todo = _("Choose another one.")
            problems.append(Problem(role, "warning" if role == Role.ROI else "error", what, todo))
        return volume

    @staticmethod
    def _image_of(node: Any) -> Volume | None:
        return nodes.volume_of(node) if nodes.has_voxels(node) else None

    def _show(self, checks: dict[Role | None, Check]) -> None:
        self._checking = None
        for role in PARAMETER_OF_ROLE:
            self._show_check(role, checks.get(role))
        needed = [checks[role] for role in (None, *SEQUENCES) if role in checks]
        error = next((check.tooltip or check.text for check in needed if check.level == "error"), None)
        self._on_checked(error.splitlines()[-1] if error else None)

    def _show_check(self, role: Role, check: Check | None) -> None:
        label = self._widget(role, "Check")
        label.visible = check is not None
        if check is not None:
            label.text = f"{SIGNS[check.level]} {check.text}"
            label.toolTip = check.tooltip
            label.styleSheet = f"color: {COLORS[check.level]}"

    def _widget(self, role: Role, kind: str) -> qt.QWidget:
        return getattr(self.ui, PARAMETER_OF_ROLE[role] + kind)
