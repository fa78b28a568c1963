"""The part of the section that shows the measurement: table, sentence, notes, plots, export."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from HierSynthLib.errors import HierSynthError
from HierSynthPanel import display, nodes
from HierSynthPanel.measured_maps import ACQUIRED, SYNTHETIC
from HierSynthPanel.measurement import Measurement, Request
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.plots import RegionPlots
from HierSynthPanel.roi_columns import AGAINST, choices, columns
from HierSynthPanel.roi_export import Target, target_of, write_export
from HierSynthPanel.roi_table import RoiTable
from HierSynthPanel.steps import Steps

LEVELS = {"good": ("✓", "Good: "), "caution": ("⚠", "Caution: "), "poor": ("✗", "Poor: "), "none": ("–", "")}
"""Level of the agreement in a region → its sign and word."""

PATIENCE_MS = 300
"""How long a measurement takes before the panel says that it is being made; most are done sooner."""


class RoiResults:
    """Connects the widgets of the box "Measurement" with the measurement.

    Args:
        ui: the widgets of Roi.ui.
        measurement: what is shown.
        changes: returns the list of changes as CSV, "" where there are none.
        before_export: called before the regions are read for an export.
    """

    def __init__(
        self, ui: Any, measurement: Measurement, changes: Callable[[], str], before_export: Callable[[], None]
    ) -> None:
        self._ui, self._measurement = ui, measurement
        self._changes, self._before_export = changes, before_export
        self._parameters: HierSynthParameters | None = None
        self._plotted: tuple[Any, str] | None = None
        self._offered: list[tuple[str, str]] = []
        self._said = ""
        self._saved: Any = None
        self._writing: Steps | None = None
        self._slow = False
        self._table = RoiTable(ui.roiTable, self._on_region)
        self._plots = RegionPlots()
        self._tooltips = {button: button.toolTip for button in (ui.plotsButton, ui.differenceButton)}
        self._patience = qt.QTimer()
        self._patience.interval = PATIENCE_MS
        self._patience.timeout.connect(self._lose_patience)
        ui.columnsSelector.currentIndexChanged.connect(self._fill)
        ui.copyButton.clicked.connect(self._table.copy)
        ui.exportButton.clicked.connect(self._export)
        ui.againButton.clicked.connect(self._measure_again)
        ui.plotsButton.clicked.connect(self._show_plots)
        ui.differenceButton.clicked.connect(self._show_difference)

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Show and change these parameters from now on."""
        self._parameters = parameters

    def release(self) -> None:
        """Let the parameters go, and show nothing."""
        self._patience.stop()
        if self._parameters is not None:
            self._said = ""
        self._parameters = None
        self._stop_writing()
        self._table.chosen = ""
        self._plotted = self._saved = None
        self._plots.clear()

    def cleanup(self) -> None:
        """Leave no timer, node and observer behind."""
        self._patience.stop()
        self._plots.cleanup()

    def refresh(self, *_args: object) -> None:
        """Show the measurement of now."""
        if not self._measurement.busy:
            self._patience.stop()
            self._slow = False
        elif not self._slow and not self._patience.active:
            self._patience.start()
        if self._saved is not None and self._saved is not self._entry:
            # What was saved is not what is shown any more.
            self._saved, self._said = None, ""
        self._offer_columns()
        self._fill()
        self._say_state()

    def ask_for_file(self) -> str:
        """Let the user name the file to export to; "" where the user does not. Replacing one is asked for there."""
        caption, kinds = _("Export the measurement"), _("Table (*.csv)")
        return qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), caption, "fidelity.csv", kinds)

    # --- table and sentences -----------------------------------------------------------------------------------------

    @property
    def _entry(self) -> dict[str, Any] | None:
        return self._measurement.entry

    @property
    def _columns_key(self) -> str:
        return self._ui.columnsSelector.itemData(self._ui.columnsSelector.currentIndex) or ""

    def _offer_columns(self) -> None:
        selector = self._ui.columnsSelector
        offered = choices(self._entry) if self._entry is not None else []
        if offered == self._offered:
            return
        key = self._columns_key
        blocked = selector.blockSignals(True)
        self._offered = offered
        selector.clear()
        for each, title in offered:
            selector.addItem(title, each)
        selector.currentIndex = max(selector.findData(key), 0) if offered else -1
        selector.blockSignals(blocked)

    def _fill(self, *_args: object) -> None:
        entry = self._entry
        if entry is None or not self._offered:
            self._table.show([], {}, [])
        else:
            regions = [region["name"] for region in entry["regions"]]
            judged = {each["region"]: LEVELS[each["level"]][0] for each in entry["words"] if each["level"] != "none"}
            signs = {name: judged.get(name, "") for name in regions}
            self._table.show(regions, signs, columns(entry, self._columns_key))
        current = entry is not None and not self._measurement.problem
        self._table.may_be_copied = current
        self._ui.columnsSelector.enabled = entry is not None
        self._ui.copyButton.enabled = current
        self._ui.exportButton.enabled = current and self._writing is None
        no_pair = "" if entry is not None and entry["agreement"] else _("No pair of maps has been measured yet.")
        for widget in (self._ui.plotsButton, self._ui.differenceButton):
            widget.enabled = not no_pair
            widget.toolTip = f"{self._tooltips[widget]}\n{no_pair}".strip()
        self._ui.roiTable.visible = entry is not None
        self._show_region()
        self._offer_normalisation()

    def _show_region(self) -> None:
        """Sentence, notes and plots of the chosen region."""
        entry, region = self._entry, self._table.chosen
        words = next((each for each in entry["words"] if each["region"] == region), None) if entry is not None else None
        if words is not None:
            sign, level = LEVELS[words["level"]]
            self._ui.sentenceLabel.text = f"{sign} {level}{words['text']}"
        self._ui.sentenceLabel.visible = words is not None
        notes = _notes(entry, region, self._columns_key) if entry is not None else []
        notes += self._measurement.notes
        self._ui.notesLabel.text = "\n".join(f"ℹ {note}" for note in dict.fromkeys(notes))
        self._ui.notesLabel.visible = bool(notes)
        if region:
            self._measurement.plot(region)
        self._plot(entry, region)

    def _plot(self, entry: dict[str, Any] | None, region: str) -> None:
        """Show the plots of a region; those that are shown stay until they are there."""
        pairs = entry["plots"].get(region) if entry is not None else []
        if pairs is None or (self._plotted is not None and self._plotted[0] is entry and self._plotted[1] == region):
            return
        self._plotted = (entry, region)
        if pairs:
            self._plots.show(pairs[0], region, self._simulated)
        else:
            self._plots.clear()

    def _offer_normalisation(self) -> None:
        box, entry = self._ui.normaliseCheckBox, self._entry
        known = entry["normalisation"].get(ACQUIRED) if entry is not None else None
        box.visible = known is not None and (known["doubtful"] or self._parameters.normaliseAcquired)
        if known is not None and known["nawm_mean"] is not None:
            what = _("Divide the acquired map by its NAWM mean ({mean:.3g})")
            box.text = what.format(mean=known["nawm_mean"])

    def _lose_patience(self, *_args: object) -> None:
        self._patience.stop()
        self._slow = True
        self._say_state()

    def _say_state(self) -> None:
        problem = self._measurement.problem
        said = [] if problem and problem in self._said else [self._state()]
        text = "\n".join(each for each in (self._said, *said, self._outdated()) if each)
        self._ui.stateLabel.text = text
        self._ui.stateLabel.visible = bool(text)
        self._ui.againButton.visible = bool(self._measurement.problem)

    def _state(self) -> str:
        measurement, parameters = self._measurement, self._parameters
        if measurement.problem:
            return f"✗ {measurement.problem}"
        if measurement.busy and (self._entry is None or self._slow):
            return _("Measuring…")
        if parameters is None or not nodes.present(parameters.synthetic):
            return _("There is no synthetic map yet. Run the synthesis first.")
        if self._entry is None:
            return _("Nothing is measured yet. Tick a region above.")
        alone = _("There is no acquired map to compare with, so only intensities are measured.")
        return "" if self._entry["agreement"] or self._saved is not None else alone

    def _outdated(self) -> str:
        stale = self._measurement.problem and self._entry is not None
        return _("The table shows an earlier measurement, not that of now.") if stale else ""

    # --- buttons -----------------------------------------------------------------------------------------------------

    def _on_region(self, region: str) -> None:
        """The user has chosen a row."""
        self._show_region()
        centre = next((each["centre"] for each in self._entry["regions"] if each["name"] == region), None)
        if centre is not None:
            slice_node = slicer.vtkMRMLSliceNode
            slice_node.JumpAllSlices(slicer.mrmlScene, *centre, slice_node.OffsetJumpSlice)

    def _show_plots(self, *_args: object) -> None:
        self._show_layout("plots")

    def _show_difference(self, *_args: object) -> None:
        self._show_layout("three-up")

    def _show_layout(self, layout: str) -> None:
        parameters = self._parameters
        if parameters.layout == layout:
            # The user may have gone back to another one.
            display.show_layout(parameters)
        parameters.layout = layout

    def _measure_again(self, *_args: object) -> None:
        self._measurement.update()

    def _export(self, *_args: object) -> None:
        chosen = self.ask_for_file()
        if not chosen:
            return
        self._saved, self._said = None, ""
        try:
            target = target_of(chosen)
        except HierSynthError as error:
            self._not_exported(str(error))
            return
        # The map may be gone when its measurement comes.
        simulated = self._simulated
        self._before_export()
        self._measurement.measure_everything(
            Request(lambda entry: self._write(target, entry, simulated), self._not_exported)
        )
        self._say_state()

    def _write(self, target: Target, entry: dict[str, Any], simulated: bool) -> None:
        self._stop_writing()
        written: list[Path] = []
        changes = self._changes()

        def work() -> Iterator[None]:
            written.extend((yield from write_export(target, entry, changes, simulated)))

        def done() -> None:
            self._writing = None
            self._saved = self._entry
            self._said = _("✓ Saved: {files}").format(files=", ".join(file.name for file in written))
            self.refresh()

        def failed(error: HierSynthError) -> None:
            self._writing = None
            self._not_exported(str(error))
            self.refresh()

        self._writing = Steps(work(), done, failed)

    def _stop_writing(self) -> None:
        """Hear no more of an export; its files are written all the same."""
        if self._writing is not None:
            self._writing.stop()
            self._writing = None

    def _not_exported(self, reason: str) -> None:
        self._said = _("✗ Not exported: {reason}").format(reason=reason)
        self._say_state()

    @property
    def _simulated(self) -> bool:
        synthetic = self._parameters.synthetic
        return nodes.present(synthetic) and synthetic.GetAttribute(nodes.SIMULATED) == "1"


def _notes(entry: Mapping[str, Any], region: str, key: str) -> list[str]:
    """What the user should know of a region in these columns, and of the whole measurement."""
    maps = (SYNTHETIC, ACQUIRED) if key == AGAINST else (key,)
    parts = [each for each in entry["regions"] if each["name"] == region]
    parts += [each for each in entry["intensity"] if each["region"] == region and each["map"] in maps]
    parts += [each for each in entry["agreement"] if each["region"] == region and key == AGAINST]
    return [note for part in parts for note in part["notes"]] + entry["warnings"]
