"""The section that runs the synthesis: model, device, one button, progress, failure in place, log."""

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from HierSynthLib.synthesis.catalogue import model_cards
from HierSynthLib.synthesis.package import DEFAULT_MODEL
from HierSynthLib.worker.run_state import Run, RunState
from HierSynthPanel.context import PanelContext
from HierSynthPanel.parameters import HierSynthParameters

DEVICES = {
    "auto": "Automatic",
    "cpu": "Processor (CPU)",
    "cuda": "NVIDIA graphics card (CUDA)",
    "mps": "Apple graphics (MPS)",
}


class RunSection:
    """Shows the state of the run and starts or cancels it.

    Args:
        context: the panel's.
        run: the state to show.
        on_run, on_cancel: called when the button is pressed, by the state.
    """

    def __init__(
        self, context: PanelContext, run: Run, on_run: Callable[[], None], on_cancel: Callable[[], None]
    ) -> None:
        self._context, self._run = context, run
        self._on_run, self._on_cancel = on_run, on_cancel
        self._gui_tag: int | None = None
        self._shown_log = 0
        self.widget = context.load_ui("Run")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        for device, title in DEVICES.items():
            self.ui.deviceSelector.addItem(title, device)
        self.ui.runButton.clicked.connect(self._on_button)
        self.ui.copyDetailsButton.clicked.connect(self._copy_details)
        self.ui.modelSelector.currentIndexChanged.connect(self._on_model)
        self.ui.deviceSelector.currentIndexChanged.connect(self._on_device)
        # The remaining time runs down although no event comes.
        self._clock = qt.QTimer()
        self._clock.interval = 500
        self._clock.timeout.connect(self.refresh)
        self.refresh()

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Show and change these parameters from now on."""
        self.release()
        self._parameters = parameters
        self._gui_tag = parameters.connectGui(self.widget)
        self.refresh_models()
        index = self.ui.deviceSelector.findData(parameters.device)
        self.ui.deviceSelector.currentIndex = max(index, 0)

    def refresh_models(self) -> None:
        """List the models that are installed now; one that the scene names and that is missing stays listed."""
        selector, chosen = self.ui.modelSelector, self._parameters.model
        blocked = selector.blockSignals(True)
        selector.clear()
        for number, card in enumerate(model_cards()):
            selector.addItem(card.title, card.name)
            selector.setItemData(number, card.problem or card.statement, qt.Qt.ToolTipRole)
        index = selector.findData(chosen or DEFAULT_MODEL)
        if chosen and index < 0:
            selector.addItem(_("{name} (not installed)").format(name=chosen), chosen)
            index = selector.count - 1
        selector.currentIndex = max(index, 0)
        selector.blockSignals(blocked)
        self._on_model()

    def refresh(self, *_args: object) -> None:
        """Show the present state of the run."""
        run, ui = self._run, self.ui
        button = run.button
        ui.runButton.text, ui.runButton.toolTip, ui.runButton.enabled = button.text, button.tooltip, button.enabled
        ui.progressBar.visible = run.busy
        ui.progressBar.value = round(run.fraction * ui.progressBar.maximum)
        ui.statusLabel.text = run.status
        ui.statusLabel.visible = run.state != RunState.FAILED
        failed = run.state == RunState.FAILED
        ui.failureFrame.visible = failed
        ui.failureReason.text = f"✗ {run.reason}" if failed else ""
        ui.failureHint.text = run.hint if failed else ""
        ui.warningsLabel.text = "\n".join(f"⚠ {warning}" for warning in run.warnings)
        ui.warningsLabel.visible = bool(run.warnings)
        self._show_log()
        if run.busy != self._clock.active:
            self._clock.start() if run.busy else self._clock.stop()

    def release(self) -> None:
        """Let the parameters go: neither show nor change them until there are others."""
        if self._gui_tag is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._gui_tag = None

    def enter(self) -> None:
        """A model may have been installed meanwhile."""
        self.refresh_models()

    def exit(self) -> None:
        """A run goes on in the background."""

    def cleanup(self) -> None:
        """Leave no timer and no observer behind."""
        self._clock.stop()
        self.release()

    def _show_log(self) -> None:
        if self._shown_log > len(self._run.log):
            self.ui.logText.clear()
            self._shown_log = 0
        for line in self._run.log[self._shown_log :]:
            self.ui.logText.appendPlainText(line)
        self._shown_log = len(self._run.log)

    def _on_button(self, *_args: object) -> None:
        if self._run.busy:
            self._on_cancel()
        else:
            self._on_run()

    def _on_model(self, *_args: object) -> None:
        self._parameters.model = self.ui.modelSelector.itemData(self.ui.modelSelector.currentIndex) or ""

    def _on_device(self, *_args: object) -> None:
        self._parameters.device = self.ui.deviceSelector.itemData(self.ui.deviceSelector.currentIndex)

    def _copy_details(self, *_args: object) -> None:
        slicer.app.clipboard().setText(self._run.details())
        slicer.util.showStatusMessage(_("The details are in the clipboard."), 3000)
