"""The widgets of the compare section: what they show, and what a change of them means for the parameters."""

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from HierSynthPanel import layouts
from HierSynthPanel.color_maps import CBV_MAPS
from HierSynthPanel.layers import acquired_map
from HierSynthPanel.parameters import HierSynthParameters

USUAL_WINDOW = (0.0, 10.0)
"""nrCBV."""


class CompareControls:
    """Connects the widgets with the parameters.

    Args:
        ui: the widgets of Compare.ui.
        on_show: called when the user asks for the chosen layout, also when it is chosen already.
    """

    def __init__(self, ui: Any, on_show: Callable[[], None]) -> None:
        self._ui, self._on_show = ui, on_show
        self._parameters: HierSynthParameters | None = None
        self._gui_tag = 0
        self._layouts = {
            "overlay": ui.overlayButton,
            "side-by-side": ui.sideBySideButton,
            "three-up": ui.threeUpButton,
            "plots": ui.plotsButton,
            "volume": ui.volumeButton,
        }
        self._planes = {"axial": ui.axialButton, "coronal": ui.coronalButton, "sagittal": ui.sagittalButton}
        self._tooltips: dict[Any, str] = {}
        for name in CBV_MAPS:
            ui.colorMapSelector.addItem(_(name), name)
        self._connect()

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Show and change these parameters from now on."""
        self.disconnect_parameters()
        self._parameters = parameters
        self._gui_tag = parameters.connectGui(self._ui.compareButton)
        self.refresh()

    def disconnect_parameters(self) -> None:
        """Change no parameters any more."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self._parameters = None

    def refresh(self) -> None:
        """Show the parameters, and allow what is possible with them."""
        parameters, ui = self._parameters, self._ui
        ui.thresholdSlider.value = parameters.threshold
        ui.windowLowSpinBox.value, ui.windowHighSpinBox.value = parameters.windowLow, parameters.windowHigh
        ui.colorMapSelector.currentIndex = max(ui.colorMapSelector.findData(parameters.colorMap), 0)
        active = layouts.is_active()
        for name, button in self._layouts.items():
            button.checked = active and name == parameters.layout
        for name, button in self._planes.items():
            button.checked = active and name == parameters.orientation
        ui.backButton.enabled = active
        ui.valueNames.visible = ui.valueNumbers.visible = parameters.showValues
        self._allow()

    def _allow(self) -> None:
        parameters, ui = self._parameters, self._ui
        no_map = "" if parameters.synthetic is not None else _("There is no synthetic map yet.")
        no_acquired = "" if acquired_map(parameters) is not None else _("No acquired map is chosen in the inputs.")
        no_pair = no_map or no_acquired
        beside = layouts.is_active() and parameters.layout in layouts.COMPARING
        elsewhere = _("The maps are beside each other now. Choose the layout Overlay or Volume.") if beside else ""
        for button in (ui.overlayButton, ui.volumeButton, *self._planes.values()):
            self._enable(button, no_map)
        for button in (ui.sideBySideButton, ui.threeUpButton, ui.plotsButton):
            self._enable(button, no_pair)
        for widget in (ui.flickerCheckBox, ui.flickerRateSlider):
            self._enable(widget, no_map or elsewhere)
        for widget in (ui.checkerboardCheckBox, ui.checkerboardSizeSlider):
            self._enable(widget, no_pair or elsewhere)
        self._enable(ui.alignCheckBox, "" if parameters.reference is not None else _("There is no result yet."))

    def _enable(self, widget: Any, reason: str) -> None:
        usual = self._tooltips.setdefault(widget, widget.toolTip)
        widget.enabled = not reason
        widget.toolTip = f"{usual}\n{reason}" if reason else usual

    def _connect(self) -> None:
        ui = self._ui
        for name, button in self._layouts.items():
            button.clicked.connect(lambda *_args, name=name: self._choose(layout=name))
        for name, button in self._planes.items():
            button.clicked.connect(lambda *_args, name=name: self._choose(orientation=name))
        ui.backButton.clicked.connect(lambda *_args: layouts.back())
        ui.thresholdSlider.valueChanged.connect(lambda value: self._set(threshold=value))
        ui.windowLowSpinBox.valueChanged.connect(self._set_window)
        ui.windowHighSpinBox.valueChanged.connect(self._set_window)
        ui.resetWindowButton.clicked.connect(self._reset_window)
        ui.colorMapSelector.currentIndexChanged.connect(self._set_color_map)
        ui.flickerCheckBox.toggled.connect(self._set_flicker)
        ui.checkerboardCheckBox.toggled.connect(self._set_checkerboard)

    def _choose(self, **chosen: str) -> None:
        self._set(**chosen)
        self.refresh()
        self._on_show()

    def _set_window(self, *_args: object) -> None:
        low, high = self._ui.windowLowSpinBox.value, self._ui.windowHighSpinBox.value
        if low < high:
            self._set(windowLow=low, windowHigh=high)

    def _reset_window(self, *_args: object) -> None:
        self._set(windowLow=USUAL_WINDOW[0], windowHigh=USUAL_WINDOW[1])

    def _set_color_map(self, *_args: object) -> None:
        selector = self._ui.colorMapSelector
        self._set(colorMap=selector.itemData(selector.currentIndex))

    def _set_flicker(self, on: bool) -> None:
        self._set(flicker=on, **({"checkerboardShown": False} if on else {}))

    def _set_checkerboard(self, on: bool) -> None:
        self._set(checkerboardShown=on, **({"flicker": False} if on else {}))

    def _set(self, **values: Any) -> None:
        if self._parameters is None:
            return
        with slicer.util.NodeModify(self._parameters):
            for name, value in values.items():
                self._parameters.setValue(name, value)
