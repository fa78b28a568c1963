"""The section that compares the synthetic with the acquired map: layouts, colours, flicker, values."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import qt
import slicer
import vtk

from HierSynthLib.fidelity.readout import readout_lines
from HierSynthPanel import display, layers, layouts
from HierSynthPanel.annotations import MapAnnotations
from HierSynthPanel.compare_controls import CompareControls
from HierSynthPanel.context import PanelContext
from HierSynthPanel.flicker import Fade, Flicker
from HierSynthPanel.map_style import STYLES
from HierSynthPanel.observers import Observers
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.readout import CursorReadout, Values, acquired_units, values_at

FADE_KEY = "O"
"""Not used by Slicer's views, which know T for the overlay of the view under the mouse."""


class CompareSection:
    """Lets the user choose how the maps are shown; every choice is kept in the parameters."""

    def __init__(self, context: PanelContext) -> None:
        self._parameters: HierSynthParameters | None = None
        self._observers = Observers()
        self._parameter_observer = 0
        self._entered = False
        self._shortcut: Any = None
        self.widget = context.load_ui("Compare")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self._annotations = MapAnnotations()
        self._flicker = Flicker(self._show_turn)
        self._fade = Fade(self._show_faded)
        self._readout = CursorReadout(self._show_values)
        self._controls = CompareControls(self.ui, self._show_layout)
        self.say("")

    def set_parameters(self, parameters: HierSynthParameters) -> None:
        """Show and change these parameters from now on; what a loaded scene shows stays as it is."""
        self.release()
        layouts.register()
        self._parameters = parameters
        self._wanted = _Wanted.of(parameters)
        self._fade.reset()
        display.restyle(parameters)
        self._controls.set_parameters(parameters)
        self._parameter_observer = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, self._refresh)
        self._observers.add(layouts.observed_node(), vtk.vtkCommand.ModifiedEvent, self._refresh)
        self._follow()

    def release(self) -> None:
        """Let the parameters go: neither show nor change them until there are others."""
        self._flicker.stop()
        self._readout.stop()
        self._observers.clear()
        self._controls.disconnect_parameters()
        if self._parameters is not None:
            self._parameters.RemoveObserver(self._parameter_observer)
            self._parameters = None

    def say(self, problem: str) -> None:
        """Show why the maps cannot be compared; "" where they can."""
        self.ui.comparisonMessage.text = f"⚠ {problem}" if problem else ""
        self.ui.comparisonMessage.visible = bool(problem)

    def enter(self) -> None:
        """The module is shown: follow the mouse, flicker, and listen to the fade key."""
        self._entered = True
        window = slicer.util.mainWindow()
        if window is not None and self._shortcut is None:
            self._shortcut = qt.QShortcut(qt.QKeySequence(FADE_KEY), window)
            self._shortcut.activated.connect(self._fade.toggle)
        self._follow()

    def exit(self) -> None:
        """The module is left: the views show the synthetic map with its opacity, nothing moves any more."""
        self._entered = False
        if self._shortcut is not None:
            self._shortcut.setParent(None)
            self._shortcut.deleteLater()
            self._shortcut = None
        if self._fade.visible < 1.0:
            self._fade.reset()
            self._show_faded(1.0)
        self._follow()

    def cleanup(self) -> None:
        """Leave no observer, timer, shortcut and text behind."""
        if self._parameters is not None:
            self.exit()
        self.release()
        self._readout.cleanup()
        self._flicker.cleanup()
        self._fade.cleanup()
        self._annotations.cleanup()

    def _refresh(self, *_args: object) -> None:
        if slicer.mrmlScene.IsBatchProcessing():
            return
        self._controls.refresh()
        self._update_views()
        self._follow()

    def _update_views(self) -> None:
        parameters, before = self._parameters, self._wanted
        self._wanted = wanted = _Wanted.of(parameters)
        if parameters.synthetic is None:
            return
        if wanted.layout != before.layout:
            self._show_layout()
            return
        if wanted.aligned != before.aligned:
            layouts.orient(parameters)
        if wanted.volumes != before.volumes and (layouts.is_active() or layers.is_shown(parameters)):
            display.show_overlay(parameters, self._flicker.second)
        elif (wanted.style, wanted.maps) != (before.style, before.maps):
            display.restyle(parameters)
        if wanted.opacity != before.opacity:
            self._fade.reset()
            layers.set_opacity(parameters)

    def _follow(self) -> None:
        parameters = self._parameters
        if parameters is None:
            return
        beside = layouts.is_active() and parameters.layout in layouts.COMPARING
        if self._entered and parameters.flicker and parameters.synthetic is not None and not beside:
            self._flicker.start(parameters.flickerRate)
        else:
            self._flicker.stop()
        if self._entered and parameters.showValues:
            self._readout.start(parameters)
        else:
            self._readout.stop()
        self._show_values(values_at(parameters, None))

    def _show_layout(self) -> None:
        self._wanted = _Wanted.of(self._parameters)
        display.show_layout(self._parameters, self._flicker.second)

    def _show_turn(self, second: bool) -> None:
        parameters = self._parameters
        if parameters is None or parameters.synthetic is None:
            return
        if layers.acquired_map(parameters) is None:
            layers.set_opacity(parameters, 0.0 if second else 1.0)
        else:
            layers.fill(parameters, second)

    def _show_faded(self, visible: float) -> None:
        if self._parameters is not None:
            layers.set_opacity(self._parameters, visible)

    def _show_values(self, values: Values) -> None:
        lines = readout_lines(values, acquired_units(self._parameters))
        self.ui.valueNames.text = "\n".join(name for name, _ in lines)
        self.ui.valueNumbers.text = "\n".join(value for _, value in lines)


@dataclass(frozen=True)
class _Wanted:
    """What the parameters want the views to show, in parts that are shown apart from each other."""

    layout: tuple[str, str]
    aligned: bool
    volumes: tuple[str, ...]
    maps: tuple[str, ...]
    style: tuple[str, float, float, float]
    opacity: float

    @staticmethod
    def of(parameters: HierSynthParameters) -> "_Wanted":
        shown = (
            parameters.reference,
            layers.overlay_map(parameters),
            parameters.synthetic,
            layers.acquired_map(parameters),
            parameters.difference,
        )
        return _Wanted(
            (parameters.layout, parameters.orientation),
            parameters.alignToReference,
            _ids(shown),
            _ids(getattr(parameters, name) for name in STYLES),
            (parameters.colorMap, parameters.windowLow, parameters.windowHigh, parameters.threshold),
            parameters.opacity,
        )


def _ids(nodes: Iterable[Any]) -> tuple[str, ...]:
    return tuple(node.GetID() if node is not None else "" for node in nodes)
