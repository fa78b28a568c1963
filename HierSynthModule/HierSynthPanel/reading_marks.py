"""Questions that are answered in the views: hotspots as spheres of one size, outlines as closed curves."""

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from HierSynthLib.reader_study.form import Item
from HierSynthPanel import point_lists
from HierSynthPanel.observers import Observers
from HierSynthPanel.reading_items import SETTLE_MS, ItemWidget, OnItem
from HierSynthPanel.reading_views import remove_with_displays

RADIUS_MM = 3.0
"""Of every hotspot, as those that HierSynth suggests have by default (design value)."""

HOTSPOT_COLOR = (0.2, 0.9, 1.0)
OUTLINE_COLOR = (0.4, 1.0, 0.4)
OPACITY = 0.5
FEWEST_POINTS = 3
"""Of an outline."""


class MarksWidget(ItemWidget):
    """Buttons to place marks and to take the last one away, and the marks themselves in the scene.

    Args:
        item: the question.
        widget: of ReadingItem.ui.
        on_begin: called when the reader turns to this question.
        on_answer: called when a mark was placed, moved or removed.
        place_text: of the button.
    """

    def __init__(self, item: Item, widget: Any, on_begin: OnItem, on_answer: OnItem, place_text: str) -> None:
        super().__init__(item, widget, on_begin, on_answer)
        self._observers = Observers()
        self._marks: list[Any] = []
        self._showing = False
        self._locked = False
        row = self._new_row(qt.QHBoxLayout)
        self._place_button = _button(row, place_text, self._place)
        self._remove_button = _button(row, _("Remove last"), self._remove_last)
        self._count = qt.QLabel()
        row.addWidget(self._count)
        row.addStretch(1)
        self._timer.interval = SETTLE_MS
        self._timer.timeout.connect(self._settled)
        self._tell()

    def digit(self, _number: int) -> None:
        """Any digit begins to place a mark."""
        self._place()

    def set_visible(self, visible: bool) -> None:
        """Show the marks, or hide them with the images; then a click places none."""
        if not visible:
            stop_placing()
        for node in self._marks:
            node.GetDisplayNode().SetVisibility(visible)

    def set_locked(self, locked: bool) -> None:
        """Whether marks cannot be moved."""
        self._locked = locked
        for node in self._marks:
            node.SetLocked(locked)

    def close(self) -> None:
        """Take the marks out of the scene."""
        super().close()
        self._clear()

    def _clear(self) -> None:
        stop_placing()
        self._observers.clear()
        for node in self._marks:
            remove_with_displays(node)
        self._marks.clear()

    def _watch(self, node: Any) -> None:
        for event in (node.PointPositionDefinedEvent, node.PointRemovedEvent, node.PointEndInteractionEvent):
            self._observers.add(node, event, self._on_changed)
        node.SetLocked(self._locked)
        self._marks.append(node)

    def _on_changed(self, *_args: object) -> None:
        if not self._showing:
            # The event comes while the node is still at work on the change.
            self._timer.start()

    def _settled(self, *_args: object) -> None:
        self._timer.stop()
        self._tell()
        self._give(self._value())

    def _display(self, value: Any) -> None:
        self._showing = True
        self._clear()
        for mark in value or ():
            self._restore(mark)
        self._showing = False
        self._tell()

    def _tell(self) -> None:
        number = len(self._value())
        self._count.text = _("{number} marked").format(number=number) if number else _("none marked")
        self._remove_button.enabled = number > 0

    def _value(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _restore(self, mark: dict[str, Any]) -> None:
        raise NotImplementedError

    def _place(self, *_args: object) -> None:
        raise NotImplementedError

    def _remove_last(self, *_args: object) -> None:
        raise NotImplementedError


class HotspotsWidget(MarksWidget):
    """Spheres of one size round points that the reader places."""

    def __init__(self, item: Item, widget: Any, on_begin: OnItem, on_answer: OnItem) -> None:
        super().__init__(item, widget, on_begin, on_answer, _("Place hotspot"))

    def _points(self) -> Any:
        if not self._marks:
            node = _new_marks("vtkMRMLMarkupsFiducialNode", _("Hotspots"), HOTSPOT_COLOR)
            display = node.GetDisplayNode()
            display.SetGlyphTypeFromString("Circle2D")
            display.UseGlyphScaleOff()
            display.SetGlyphSize(2 * RADIUS_MM)
            display.SetOpacity(OPACITY)
            display.PointLabelsVisibilityOff()
            self._watch(node)
        return self._marks[0]

    def _value(self) -> list[dict[str, Any]]:
        places = defined_points(self._marks[0]) if self._marks else []
        return [{"centre_mm": place, "radius_mm": RADIUS_MM} for place in places]

    def _restore(self, mark: dict[str, Any]) -> None:
        self._points().AddControlPointWorld(mark["centre_mm"])

    def _place(self, *_args: object) -> None:
        point_lists.place_by_click(self._points())

    def _remove_last(self, *_args: object) -> None:
        node = self._marks[0]
        node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)


class OutlineWidget(MarksWidget):
    """Closed curves of straight lines between the points that the reader clicks."""

    def __init__(self, item: Item, widget: Any, on_begin: OnItem, on_answer: OnItem) -> None:
        super().__init__(item, widget, on_begin, on_answer, _("Draw outline"))

    def _value(self) -> list[dict[str, Any]]:
        outlines = [defined_points(node) for node in self._marks]
        return [{"points_mm": points} for points in outlines if len(points) >= FEWEST_POINTS]

    def _restore(self, mark: dict[str, Any]) -> None:
        node = self._new_curve()
        for place in mark["points_mm"]:
            node.AddControlPointWorld(place)

    def _place(self, *_args: object) -> None:
        slicer.modules.markups.logic().SetActiveList(self._new_curve())
        # Every click is a point, until a right click. StartPlaceMode() of the logic is for lists of points only.
        slicer.app.applicationLogic().GetInteractionNode().SwitchToPersistentPlaceMode()

    def _remove_last(self, *_args: object) -> None:
        stop_placing()
        remove_with_displays(self._marks.pop())
        self._on_changed()

    def _new_curve(self) -> Any:
        for node in [each for each in self._marks if not defined_points(each)]:
            self._marks.remove(node)
            remove_with_displays(node)
        node = _new_marks("vtkMRMLMarkupsClosedCurveNode", _("Outline"), OUTLINE_COLOR)
        # What is drawn is what is stored.
        node.SetCurveTypeToLinear()
        node.GetDisplayNode().SetPropertiesLabelVisibility(False)
        self._watch(node)
        return node


def defined_points(node: Any) -> list[list[float]]:
    """The positions, RAS mm, of the points that have been placed."""
    found = []
    for number in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(number) == slicer.vtkMRMLMarkupsNode.PositionDefined:
            place = [0.0, 0.0, 0.0]
            node.GetNthControlPointPositionWorld(number, place)
            found.append(place)
    return found


def stop_placing() -> None:
    """A click does not place a point any more."""
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    if interaction is not None:
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def _new_marks(cls: str, name: str, color: tuple[float, float, float]) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass(cls, slicer.mrmlScene.GenerateUniqueName(name))
    node.SetSaveWithScene(False)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetSaveWithScene(False)
        display.SetSelectedColor(*color)
        display.SetColor(*color)
    return node


def _button(row: Any, text: str, on_click: Callable[..., None]) -> Any:
    button = qt.QPushButton(text)
    button.focusPolicy = qt.Qt.NoFocus
    button.clicked.connect(on_click)
    row.addWidget(button)
    return button
