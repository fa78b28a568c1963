"""Mouse and key events of a widget as events of a VTK interactor.

Followed: QVTKInteractorAdapter.cxx of VTK (positions in device pixels, origin at the lower left; key symbols of X11).
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QWidget
from vtkmodules.vtkRenderingCore import vtkRenderWindowInteractor

PRESSED = {
    Qt.MouseButton.LeftButton: "LeftButtonPressEvent",
    Qt.MouseButton.MiddleButton: "MiddleButtonPressEvent",
    Qt.MouseButton.RightButton: "RightButtonPressEvent",
}
RELEASED = {button: name.replace("Press", "Release") for button, name in PRESSED.items()}
DOUBLE_CLICKED = {button: name.replace("Press", "DoubleClick") for button, name in PRESSED.items()}

KEY_SYMBOLS = {
    Qt.Key.Key_Space: "space",
    Qt.Key.Key_Left: "Left",
    Qt.Key.Key_Right: "Right",
    Qt.Key.Key_Up: "Up",
    Qt.Key.Key_Down: "Down",
    Qt.Key.Key_Escape: "Escape",
    Qt.Key.Key_Return: "Return",
    Qt.Key.Key_Enter: "Return",
    Qt.Key.Key_Tab: "Tab",
    Qt.Key.Key_Backspace: "BackSpace",
    Qt.Key.Key_Delete: "Delete",
    Qt.Key.Key_Home: "Home",
    Qt.Key.Key_End: "End",
    Qt.Key.Key_PageUp: "Prior",
    Qt.Key.Key_PageDown: "Next",
    Qt.Key.Key_Shift: "Shift_L",
    Qt.Key.Key_Control: "Control_L",
    Qt.Key.Key_Alt: "Alt_L",
}
PUNCTUATION = {"-": "minus", "+": "plus", "=": "equal", ",": "comma", ".": "period", "/": "slash", "\\": "backslash"}

WHEEL_STEP = 120
"""Eighths of a degree; one notch of a wheel."""


class InteractorEvents:
    """Hands the Qt events of one widget to one interactor."""

    def __init__(self, widget: QWidget, interactor: vtkRenderWindowInteractor) -> None:
        self._widget = widget
        self._interactor = interactor
        self._turned = 0

    def handle(self, event: QEvent) -> bool:
        """Forwards `event`; False when the interactor has no use for this kind of event."""
        kind = event.type()
        if isinstance(event, QWheelEvent):
            self._wheel(event)
        elif isinstance(event, QKeyEvent):
            self._key(event)
        elif isinstance(event, QMouseEvent):
            self._mouse(event)
        elif kind == QEvent.Type.Enter:
            self._interactor.InvokeEvent("EnterEvent")
        elif kind == QEvent.Type.Leave:
            self._interactor.InvokeEvent("LeaveEvent")
        else:
            return False
        return True

    def _set_position(self, event: QMouseEvent | QWheelEvent, double: bool = False) -> None:
        """Tells the interactor where the mouse is and which modifier keys are held down."""
        scale = self._widget.devicePixelRatioF()
        x, y = round(event.position().x() * scale), round(event.position().y() * scale)
        control, shift, alt = held_modifiers(event.modifiers())
        self._interactor.SetEventInformationFlipY(x, y, control, shift, "\0", int(double), None)
        self._interactor.SetAltKey(alt)

    def _mouse(self, event: QMouseEvent) -> None:
        kind = event.type()
        double = kind == QEvent.Type.MouseButtonDblClick
        self._set_position(event, double)
        if kind == QEvent.Type.MouseMove:
            self._interactor.InvokeEvent("MouseMoveEvent")
        elif kind == QEvent.Type.MouseButtonPress:
            self._invoke(PRESSED.get(event.button()))
        elif kind == QEvent.Type.MouseButtonRelease:
            self._invoke(RELEASED.get(event.button()))
        elif double:
            self._invoke(PRESSED.get(event.button()))
            self._invoke(DOUBLE_CLICKED.get(event.button()))

    def _wheel(self, event: QWheelEvent) -> None:
        """A touch pad turns the wheel in many small steps."""
        self._set_position(event)
        self._turned += event.angleDelta().y()
        if abs(self._turned) >= WHEEL_STEP:
            self._invoke("MouseWheelForwardEvent" if self._turned > 0 else "MouseWheelBackwardEvent")
            self._turned = 0

    def _key(self, event: QKeyEvent) -> None:
        text = event.text()
        key = text if len(text) == 1 and text.isascii() else "\0"
        control, shift, alt = held_modifiers(event.modifiers())
        self._interactor.SetKeyEventInformation(control, shift, key, event.count(), key_symbol(event))
        self._interactor.SetAltKey(alt)
        if event.type() == QEvent.Type.KeyPress:
            self._invoke("KeyPressEvent")
            self._invoke("CharEvent" if key != "\0" else None)
        elif event.type() == QEvent.Type.KeyRelease:
            self._invoke("KeyReleaseEvent")

    def _invoke(self, name: str | None) -> None:
        if name is not None:
            self._interactor.InvokeEvent(name)


def held_modifiers(modifiers: Qt.KeyboardModifier) -> tuple[int, int, int]:
    """1 or 0 for Control, Shift and Alt."""
    keys = Qt.KeyboardModifier
    control, shift = modifiers & keys.ControlModifier, modifiers & keys.ShiftModifier
    return int(bool(control)), int(bool(shift)), int(bool(modifiers & keys.AltModifier))


def key_symbol(event: QKeyEvent) -> str:
    """Name of the key as X11, and therefore VTK, calls it; "None" for a key without one."""
    text = event.text()
    if event.key() in KEY_SYMBOLS:
        return KEY_SYMBOLS[Qt.Key(event.key())]
    if len(text) == 1 and text.isalnum():
        return text
    if Qt.Key.Key_F1 <= event.key() <= Qt.Key.Key_F12:
        return f"F{event.key() - Qt.Key.Key_F1 + 1}"
    return PUNCTUATION.get(text, "None")
