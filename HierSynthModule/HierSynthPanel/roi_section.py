"""The section that measures the maps in regions: which regions, the table, the list of changes."""

import qt
import slicer
from slicer.i18n import tr as _

from HierSynthLib.fidelity.measures.definitions import format_value
from HierSynthLib.fidelity.regions.audit import Entry
from HierSynthPanel import layouts
from HierSynthPanel.context import PanelContext
from HierSynthPanel.measurement import Measurement
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.roi_audit import CHOSEN, AuditTrail
from HierSynthPanel.roi_results import RoiResults
from HierSynthPanel.roi_sources import RoiSources
from HierSynthPanel.roi_watch import RoiWatch

SETTLE_MS = 700
"""How long a point must have stood before its move is recorded."""


class RoiSection:
    """Measures while it is open or plots are shown; otherwise it costs nothing.

    Attributes:
        link: the background process that measures, beside the one that synthesises.
        measurement: the newest measurement.
    """

    def __init__(self, context: PanelContext) -> None:
        self._parameters: HierSynthParameters | None = None
        self._gui_tag = 0
        self.link = context.link.companion()
        self.widget = context.load_ui("Roi")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.measurement = Measurement(self.link, self._on_measured)
        self._trail = AuditTrail()
        self.sources = RoiSources(self.ui, self.link, self._on_suggested)
        self.results = RoiResults(self.ui, self.measurement, self._changes_as_csv, self._trail.mark_reference)
        self._watch = RoiWatch(self._on_changed)
        self._settle = qt.QTimer()
        self._settle.interval = SETTLE_MS
        self._settle.timeout.connect(self._record)
        self.ui.roiButton.toggled.connect(self._on_changed)

    @property
    def changes(self) -> tuple[Entry, ...]:
        """What was done to hotspots and reference, the oldest first."""
        return self._trail.entries

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Show and change these parameters from now on."""
        self.release()
        self._parameters = parameters
        self._gui_tag = parameters.connectGui(self.widget)
        self._trail.set_parameters(parameters)
        self.sources.set_parameters(parameters)
        self.results.set_parameters(parameters)
        self.measurement.set_parameters(parameters)
        self._watch.set_parameters(parameters)
        self._show_changes()
        self.results.refresh()

    def release(self) -> None:
        """Let the parameters go: stop measuring and suggesting at once, and show nothing until there are others."""
        self._settle.stop()
        self._watch.release()
        self.sources.release()
        self.results.release()
        # It may have to say that an export was lost.
        self.measurement.release()
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._parameters = None

    def enter(self) -> None:
        """Nothing to do: the section follows the scene all the time."""

    def exit(self) -> None:
        """Regions are drawn in other modules; they are measured meanwhile."""

    def cleanup(self) -> None:
        """Leave no process, observer, timer or job behind."""
        self.release()
        self.results.cleanup()
        self.link.cleanup()

    def _on_changed(self, *_args: object) -> None:
        if self._parameters is None:
            return
        self.sources.refresh()
        self._trail.mark_reference()
        self._settle.start()
        if self._measures():
            self.measurement.update()
        else:
            self.measurement.pause()

    def _measures(self) -> bool:
        """Whether somebody looks at the measurement."""
        plots = layouts.is_active() and self._parameters.layout == "plots"
        return plots or not self.ui.roiButton.collapsed

    def _on_measured(self) -> None:
        if self._parameters is not None:
            self.results.refresh()

    # --- changes of hotspots and reference ---------------------------------------------------------------------------

    def _on_suggested(self, keys: list[str]) -> None:
        self._trail.expect(keys)

    def _record(self, *_args: object) -> None:
        """Record what has changed, once the measurement says what that has done to the means."""
        if self.measurement.busy:
            return
        self._settle.stop()
        if self._trail.record(self._means()):
            self._show_changes()

    def _means(self) -> dict[tuple[str, str], float | None]:
        """The means of now, as far as they are known, of each point on each map."""
        current = self._measures() and not self.measurement.problem and self.measurement.entry is not None
        rows = self.measurement.entry["intensity"] if current else []
        means = {(row["region"], row["map"]): row["values"].get("mean") for row in rows}
        names = {name: key for key, name in self.measurement.points.items()}
        return {(names[name], of_map): mean for (name, of_map), mean in means.items() if name in names}

    def _changes_as_csv(self) -> str:
        self._trail.record(self._means())
        self._show_changes()
        return self._trail.csv() if self.changes else ""

    def _show_changes(self) -> None:
        entries = self.changes
        self.ui.auditButton.text = _("Changes of hotspots and reference ({count})").format(count=len(entries))
        lines = [self._trail.problem] if self._trail.problem else []
        lines += [_in_words(entry) for entry in reversed(entries)]
        self.ui.auditText.plainText = "\n".join(lines)


def _in_words(entry: Entry) -> str:
    if entry.action == CHOSEN:
        return f"{entry.time} {entry.action}: {entry.note}"
    parts = [entry.time, f"{entry.region}:", entry.action]
    places = [_place(place) for place in (entry.from_ras, entry.to_ras) if place is not None]
    parts.append(" → ".join(places))
    if entry.mean_after is not None:
        parts.append(_("mean {mean}").format(mean=format_value("mean", entry.mean_after)))
    return " ".join([*parts, entry.note]).strip()


def _place(position: tuple[float, float, float]) -> str:
    return "({:.0f}, {:.0f}, {:.0f})".format(*position)
