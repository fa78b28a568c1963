"""What a user does: click, choose, press a key, drag.

Followed: QTest of Qt; a widget that a user could not reach is an error.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QKeySequence, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QCheckBox, QComboBox, QRadioButton, QWidget

DRAG_STEPS = 8
"""Moves of the mouse in one drag."""


def click(widget: QWidget) -> None:
    """Click a widget with the left button, as far left as a check box has its box and else in the middle."""
    _reachable(widget)
    position = widget.rect().center()
    if isinstance(widget, QCheckBox | QRadioButton):
        position = QPoint(8, position.y())
    elif isinstance(widget, QAbstractButton) and not widget.hitButton(position):
        position = QPoint(position.x(), 8)
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, position)


def choose(widget: Any, text: str) -> None:
    """Choose a line of a combo box or a node selector.

    Raises:
        LookupError: there is no such line.
    """
    box = widget if isinstance(widget, QComboBox) else widget.comboBox()
    _reachable(box)
    index = box.findText(text)
    if index < 0:
        message = f"{text!r} is not among {[box.itemText(i) for i in range(box.count())]}"
        raise LookupError(message)
    box.setCurrentIndex(index)
    box.activated.emit(index)


def key(widget: QWidget, sequence: str) -> None:
    """Press and release a key, given as Qt writes it ("T", "Ctrl+Z", "Left")."""
    _reachable(widget)
    widget.window().activateWindow()
    # Shortcuts belong to the active window.
    QTest.qWaitForWindowActive(widget.window())
    widget.setFocus()
    combination = QKeySequence(sequence)[0]
    QTest.keyClick(widget, combination.key(), combination.keyboardModifiers())


def drag(widget: QWidget, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag something with the left button.

    Args:
        widget: takes the events.
        start: where the button is pressed, in pixels from the widget's upper left.
        end: where it is released.
    """
    _reachable(widget)
    first, last = QPointF(*start), QPointF(*end)
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    # What lies under the mouse is found when the mouse moves, not when the button is pressed.
    _send_mouse(widget, QEvent.Type.MouseMove, first, none, none)
    _send_mouse(widget, QEvent.Type.MouseButtonPress, first, left, left)
    for step in range(1, DRAG_STEPS + 1):
        _send_mouse(widget, QEvent.Type.MouseMove, first + (last - first) * (step / DRAG_STEPS), none, left)
    _send_mouse(widget, QEvent.Type.MouseButtonRelease, last, left, none)


def click_at(widget: QWidget, place: tuple[float, float]) -> None:
    """Move the mouse to a place in a widget, in pixels from its upper left, and click with the left button."""
    _reachable(widget)
    point = QPointF(*place)
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    _send_mouse(widget, QEvent.Type.MouseMove, point, none, none)
    _send_mouse(widget, QEvent.Type.MouseButtonPress, point, left, left)
    _send_mouse(widget, QEvent.Type.MouseButtonRelease, point, left, none)


def _send_mouse(
    widget: QWidget, kind: QEvent.Type, place: QPointF, button: Qt.MouseButton, held: Qt.MouseButton
) -> None:
    modifiers = Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(widget, QMouseEvent(kind, place, widget.mapToGlobal(place), button, held, modifiers))


def _reachable(widget: QWidget) -> None:
    name = widget.objectName() or type(widget).__name__
    if not widget.isVisible():
        message = f"{name} is not visible"
        raise RuntimeError(message)
    if not widget.isEnabled():
        message = f"{name} is disabled: {widget.toolTip()}"
        raise RuntimeError(message)
