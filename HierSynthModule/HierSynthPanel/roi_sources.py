"""The part of the section that says where to measure: regions, NAWM reference, hotspots."""

from collections.abc import Callable, Mapping
from typing import Any

import slicer
from slicer.i18n import tr as _

from HierSynthPanel import roi_markups, roi_nodes
from HierSynthPanel.measured_maps import ACQUIRED, SYNTHETIC, anatomy, measured_maps
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.roi_list import RoiList
from HierSynthPanel.roi_reference import chosen_reference, references
from HierSynthPanel.roi_suggestion import Suggestion
from HierSynthPanel.worker_link import WorkerLink


class RoiSources:
    """Connects the widgets of the box "Where to measure" with scene and parameters.

    Args:
        ui: the widgets of Roi.ui.
        link: the background process that suggests regions.
        on_suggested: called with the keys of the points that were put into the scene.
    """

    def __init__(self, ui: Any, link: WorkerLink, on_suggested: Callable[[list[str]], None]) -> None:
        self._ui, self._on_suggested = ui, on_suggested
        self._parameters: HierSynthParameters | None = None
        self._list = RoiList(ui.regionList)
        self._suggestion = Suggestion(link, self._show, self._on_end)
        self._tooltips = {each: each.toolTip for each in (ui.suggestReferenceButton, ui.suggestHotspotsButton)}
        self._offered: list[tuple[str, str]] = []
        self._say("")
        ui.hotspotMapSelector.addItem(_("Synthetic"), SYNTHETIC)
        ui.hotspotMapSelector.addItem(_("Acquired"), ACQUIRED)
        ui.hotspotMapSelector.addItem(_("Each map"), f"{SYNTHETIC} {ACQUIRED}")
        ui.hotspotMapSelector.currentIndexChanged.connect(self._allow)
        ui.referenceSelector.currentIndexChanged.connect(self._choose_reference)
        ui.suggestReferenceButton.clicked.connect(self._suggest_reference)
        ui.suggestHotspotsButton.clicked.connect(self._suggest_hotspots)

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Show and change these parameters from now on."""
        self._parameters = parameters
        self._list.clear()
        self._say("")

    def release(self) -> None:
        """Let the parameters go."""
        self._suggestion.drop()
        self._parameters = None

    def refresh(self) -> None:
        """Show the scene of now."""
        self._list.refresh(self._parameters)
        self._ui.regionListHint.visible = self._ui.regionList.rowCount == 0
        self._ui.regionList.visible = self._ui.regionList.rowCount > 0
        roi_markups.resize_hotspots(self._parameters)
        self._refresh_references()
        self._allow()

    def _refresh_references(self) -> None:
        selector, chosen = self._ui.referenceSelector, chosen_reference(self._parameters)
        offered = [(each.title, each.key) for each in references()]
        if chosen is None:
            offered.insert(0, (_("Choose one") if offered else _("None yet"), ""))
        blocked = selector.blockSignals(True)
        if offered != self._offered:
            self._offered = offered
            selector.clear()
            for title, key in offered:
                selector.addItem(title, key)
        selector.currentIndex = max(selector.findData(chosen.key if chosen is not None else ""), 0)
        selector.blockSignals(blocked)

    def _choose_reference(self, *_args: object) -> None:
        key = self._ui.referenceSelector.itemData(self._ui.referenceSelector.currentIndex)
        reference = next((each for each in references() if each.key == key), None)
        if reference is not None:
            self._set_reference(reference.node, reference.segment)

    def _set_reference(self, node: Any, segment: str) -> None:
        with slicer.util.NodeModify(self._parameters):
            self._parameters.nawm, self._parameters.nawmSegment = node, segment

    # --- suggesting --------------------------------------------------------------------------------------------------

    def _allow(self, *_args: object) -> None:
        parameters, ui = self._parameters, self._ui
        if parameters is None:
            return
        busy = _("A suggestion is being made.") if self._suggestion.active else ""
        nothing = "" if anatomy(parameters) else _("No T1, T2, FLAIR or ADC is chosen in the inputs.")
        maps = {each.name for each in measured_maps(parameters)}
        absent = [name for name in self._chosen_maps() if name not in maps]
        no_map = _("There is no {name} map.").format(name=absent[0]) if absent else ""
        no_lesion = "" if self._lesions() else _("Tick the region of the lesion first.")
        self._enable(ui.suggestReferenceButton, busy or nothing)
        self._enable(ui.suggestHotspotsButton, busy or no_map or no_lesion)

    def _enable(self, button: Any, reason: str) -> None:
        button.enabled = not reason
        button.toolTip = f"{self._tooltips[button]}\n{reason}" if reason else self._tooltips[button]

    def _chosen_maps(self) -> tuple[str, ...]:
        return tuple(self._ui.hotspotMapSelector.itemData(self._ui.hotspotMapSelector.currentIndex).split())

    def _lesions(self) -> list[Any]:
        """The ticked nodes in which there may be a lesion."""
        ticked = [node for node in roi_nodes.region_nodes() if roi_nodes.is_ticked(node, self._parameters)]
        return [node for node in ticked if node.GetAttribute(roi_nodes.ROLE) is None]

    def _suggest_reference(self, *_args: object) -> None:
        self._say(_("Looking for normal-appearing white matter…"))
        self._suggestion.suggest_reference(self._parameters, self._lesions())
        self._allow()

    def _suggest_hotspots(self, *_args: object) -> None:
        self._say(_("Looking for hotspots…"))
        self._suggestion.suggest_hotspots(self._chosen_maps(), self._parameters, self._lesions())
        self._allow()

    def _show(self, result: Mapping[str, Any]) -> None:
        simulated, shown = self._parameters.simulated, []
        if result["reference"] is not None:
            shown.append(roi_markups.show_reference(result["reference"], simulated))
            self._set_reference(shown[0], "")
        for of_map, regions in result["hotspots"].items():
            diameter = self._parameters.hotspotDiameter
            shown.append(roi_markups.show_hotspots(of_map, regions, diameter, simulated))
        points = [point for node in shown for point in roi_nodes.placed_points(node)]
        self._on_suggested([point.key for point in points if point.suggested])
        self._say("\n".join(f"⚠ {warning}" for warning in result["warnings"]))

    def _on_end(self, problem: str) -> None:
        if problem:
            self._say(f"✗ {problem}")
        elif self._ui.suggestionMessage.text.endswith("…"):
            self._say("")
        self._allow()

    def _say(self, text: str) -> None:
        self._ui.suggestionMessage.text = text
        self._ui.suggestionMessage.visible = bool(text)
