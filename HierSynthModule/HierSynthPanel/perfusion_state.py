"""What the section "Perfusion (DSC)" shows of settings, run and result."""

from collections.abc import Mapping
from typing import Any

import qt
from slicer.i18n import tr as _

from HierSynthLib.worker.run_state import RunState
from HierSynthPanel import nodes, perfusion_nodes
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.perfusion_aif import AifPoints
from HierSynthPanel.perfusion_maps import title_of
from HierSynthPanel.perfusion_run import PerfusionRun
from HierSynthPanel.roi_reference import chosen_reference

LEAKAGE = {
    "bsw": "Boxerman–Weisskoff (BSW)",
    "bidirectional": "Bidirectional",
    "none": "None",
}

CLOCK_MS = 500


class PerfusionState:
    """Fills the widgets of Perfusion.ui.

    Args:
        ui: the widgets.
        process: the processing that is shown.
        aif: the points of the arterial input function.
    """

    def __init__(self, ui: Any, process: PerfusionRun, aif: AifPoints) -> None:
        self._ui, self._process, self._aif = ui, process, aif
        self._parameters: HierSynthParameters | None = None
        self._offered: list[tuple[str, str]] = []
        self._map_problem = ""
        self._tooltip = ui.loadMapButton.toolTip
        for name, title in LEAKAGE.items():
            ui.leakageSelector.addItem(_(title), name)
        ui.aifSelector.addItem(_("Find arteries"), False)
        ui.aifSelector.addItem(_("From points"), True)
        table = ui.qualityTable
        table.horizontalHeader().visible = False
        table.verticalHeader().visible = False
        table.horizontalHeader().stretchLastSection = True
        ui.curveNote.visible = False
        # The remaining time runs down although no event comes.
        self._clock = qt.QTimer()
        self._clock.interval = CLOCK_MS
        self._clock.timeout.connect(self.show_run)

    def release(self) -> None:
        """Let the parameters go."""
        self._clock.stop()
        self._parameters = None
        self._map_problem = ""

    def cleanup(self) -> None:
        """Leave no timer behind."""
        self._clock.stop()
        self._clock.timeout.disconnect(self.show_run)

    def refresh(self, parameters: HierSynthParameters, kept: Mapping[str, Any] | None) -> None:
        """Show the parameters and where the processing stands.

        Args:
            parameters: the panel's.
            kept: what is kept of the last processing.
        """
        self._parameters = parameters
        self._process.run.set_ready(self._obstacle())
        self._show_settings(kept)
        self.show_run()
        self._show_result(kept)

    def say_of_map(self, problem: str) -> None:
        """A further map was loaded, or could not be."""
        self._map_problem = problem
        self.show_run()

    def _obstacle(self) -> str | None:
        """Why there can be no run now, and what to do."""
        parameters, series = self._parameters, self._parameters.dsc
        if not nodes.present(series):
            return _("Choose the DSC series: a sequence or a multi-volume.")
        problem = perfusion_nodes.problem_of(series)
        if problem:
            return problem
        missing = [name for name, value in self._times() if not value]
        if missing:
            return _("Enter {missing}: the series does not state it, and it is never guessed.").format(
                missing=_(" and ").join(missing)
            )
        if parameters.dscAifManual and not self._aif.positions:
            return _("Place points in arteries for the AIF, or let arteries be found.")
        return None

    def _times(self) -> tuple[tuple[str, float], ...]:
        parameters = self._parameters
        return (
            (_("the echo time (TE)"), parameters.dscEchoTime),
            (_("the time between frames (TR)"), parameters.dscRepetitionTime),
        )

    def _show_settings(self, kept: Mapping[str, Any] | None) -> None:
        parameters, ui = self._parameters, self._ui
        blocked = ui.seriesSelector.blockSignals(True)
        ui.seriesSelector.setCurrentNode(parameters.dsc)
        ui.seriesSelector.blockSignals(blocked)
        for selector, value in ((ui.leakageSelector, parameters.dscLeakage), (ui.aifSelector, parameters.dscAifManual)):
            blocked = selector.blockSignals(True)
            selector.currentIndex = max(selector.findData(value), 0)
            selector.blockSignals(blocked)
        reference = chosen_reference(parameters)
        without = _("None: the map is rCBV in arbitrary units. Suggest a reference in Regions (ROI).")
        ui.nawmText.text = reference.title if reference is not None else without
        note = self._note(kept)
        ui.seriesNote.text, ui.seriesNote.visible = note, bool(note)
        ui.placeAifButton.enabled = nodes.present(parameters.dsc)

    def _note(self, kept: Mapping[str, Any] | None) -> str:
        parameters, series = self._parameters, self._parameters.dsc
        if not nodes.present(series) or perfusion_nodes.problem_of(series):
            return ""
        stated = perfusion_nodes.timing_of(series)
        if not all(value for _name, value in self._times()):
            return stated.note
        if parameters.dscAifManual and self._aif.positions:
            count = len(self._aif.positions)
            return _("The next run takes the AIF from {count} points.").format(count=count)
        if kept is not None and kept["aif"] is None:
            return _("Without AIF there are relative maps only. Press Place point, click into arteries, and run again.")
        return stated.note if parameters.dscRepetitionTime == stated.tr_s else ""

    def show_run(self, *_args: object) -> None:
        """Show where the processing stands."""
        run, ui = self._process.run, self._ui
        button = run.button
        ready = _("Compute the maps in a background process of its own; the CBV map becomes the acquired map.")
        ui.processButton.text, ui.processButton.enabled = button.text, button.enabled
        ui.processButton.toolTip = button.tooltip if run.busy or not button.enabled else ready
        ui.processBar.visible = run.busy
        ui.processBar.value = round(run.fraction * ui.processBar.maximum)
        failed = run.state == RunState.FAILED
        waiting = not run.busy and not button.enabled
        words = f"✗ {run.reason} {run.hint}".strip() if failed else run.status
        lines = [button.tooltip if waiting else words]
        ui.processStatus.text = "\n".join([*lines, *([f"✗ {self._map_problem}"] if self._map_problem else [])])
        ui.processWarnings.text = "\n".join(f"⚠ {warning}" for warning in run.warnings)
        ui.processWarnings.visible = bool(run.warnings)
        self._allow_loading()
        if run.busy != self._clock.active:
            self._clock.start() if run.busy else self._clock.stop()

    def _show_result(self, kept: Mapping[str, Any] | None) -> None:
        ui, result = self._ui, self._process.result
        ui.mapsBox.visible = kept is not None
        offered = [(name, units) for name, units in (result["units"] if result is not None else {}).items()]
        if offered != self._offered:
            self._offered = offered
            ui.mapSelector.clear()
            for name, units in offered:
                ui.mapSelector.addItem(_("{map} ({units})").format(map=title_of(name), units=units), name)
        self._allow_loading()
        ui.mapSelector.enabled = bool(offered)
        self._fill_table(kept["lines"] if kept is not None else [])

    def _allow_loading(self) -> None:
        button, reason = self._ui.loadMapButton, ""
        if self._process.active:
            reason = _("Wait for the end of the run.")
        elif not self._offered:
            reason = _("The maps of this processing are not at hand any more: run again to load others.")
        button.enabled = not reason
        button.toolTip = f"{self._tooltip}\n{reason}" if reason else self._tooltip

    def _fill_table(self, rows: list[list[str]]) -> None:
        table = self._ui.qualityTable
        table.rowCount = len(rows)
        for number, (name, text) in enumerate(rows):
            for column, words in enumerate((name, text)):
                item = table.item(number, column)
                if item is None or item.text() != words:
                    table.setItem(number, column, qt.QTableWidgetItem(words))
        table.resizeColumnToContents(0)
        table.resizeRowsToContents()
