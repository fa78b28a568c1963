"""How widgets show parameters.

Followed: guiConnectors.py of Slicer's parameterNodeWrapper: which widget goes with which type, and what it does to the
widget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import slicer
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QPushButton, QSlider, QSpinBox, QWidget

from Testing.host.parameter_node.annotations import Choice, Maximum, Minimum, WithinRange, first_of
from Testing.host.parameter_node.parameter import Declaration
from Testing.host.widgets.node_combo_box import qMRMLNodeComboBox
from Testing.host.widgets.slider_widget import ctkDoubleSpinBox, ctkSliderWidget


class Connector:
    """One widget and one parameter.

    Attributes:
        widgets, kinds: the exact classes that go together.
        signal: the widget's signal that its value has changed.
    """

    widgets: ClassVar[tuple[type[QWidget], ...]]
    kinds: ClassVar[tuple[type, ...]]
    signal: ClassVar[str]

    def __init__(self, widget: Any, declaration: Declaration) -> None:
        self._widget = widget
        self._declaration = declaration
        self._callback: Callable[[], None] | None = None
        self._prepare()

    @classmethod
    def fits(cls, widget: QWidget, kind: type) -> bool:
        """Whether the widget can show the type."""
        return type(widget) in cls.widgets and kind in cls.kinds

    def connect(self, callback: Callable[[], None]) -> None:
        """Call back whenever the user changes the value."""
        self._callback = callback
        getattr(self._widget, self.signal).connect(self._changed)

    def disconnect(self) -> None:
        """Undo connect()."""
        self._callback = None
        getattr(self._widget, self.signal).disconnect(self._changed)

    def read(self) -> Any:
        """The widget's value."""
        raise NotImplementedError

    def write(self, value: Any) -> None:
        """Show a value."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Make the widget fit its parameter."""

    def _changed(self, *_: Any) -> None:
        if self._callback is not None:
            self._callback()


class Check(Connector):
    """A check box or checkable button."""

    widgets = (QCheckBox, QPushButton)
    kinds = (bool,)
    signal = "toggled"

    def _prepare(self) -> None:
        self._widget.setCheckable(True)

    def read(self) -> bool:
        """Whether it is checked."""
        return self._widget.isChecked()

    def write(self, value: bool) -> None:
        """Check it or not."""
        self._widget.setChecked(value)


class Line(Connector):
    """A line of text."""

    widgets = (QLineEdit,)
    kinds = (str,)
    signal = "textChanged"

    def read(self) -> str:
        """The text."""
        return self._widget.text()

    def write(self, value: str) -> None:
        """Set the text; the cursor stays where it is while the text is the same."""
        if value != self._widget.text():
            self._widget.setText(value)


class Box(Connector):
    """A combo box, filled with the choices of the parameter."""

    widgets = (QComboBox,)
    kinds = (str, int, float, bool)
    signal = "currentIndexChanged"

    def _prepare(self) -> None:
        choice = first_of(self._declaration.annotations, Choice)
        if choice is None:
            message = "ComboBoxToStringableConnector requires the Choice annotation to be used."
            raise RuntimeError(message)
        self._choices = list(choice.choices)
        self._widget.clear()
        self._widget.addItems([str(value) for value in self._choices])

    def read(self) -> Any:
        """The choice."""
        return self._choices[self._widget.currentIndex()]

    def write(self, value: Any) -> None:
        """Set the choice."""
        self._widget.setCurrentIndex(self._choices.index(value))


class Whole(Connector):
    """A slider or spin box for whole numbers."""

    widgets = (QSlider, QSpinBox)
    kinds = (int,)
    signal = "valueChanged"

    def _prepare(self) -> None:
        minimum, maximum = _limits(self._declaration)
        if isinstance(self._widget, QSlider) and None in (minimum, maximum):
            message = "Cannot have a connection to QSlider where the int type is unbounded."
            raise RuntimeError(message)
        self._widget.setMinimum(-(2**31) if minimum is None else minimum)
        self._widget.setMaximum(2**31 - 1 if maximum is None else maximum)

    def read(self) -> int:
        """The value."""
        return self._widget.value()

    def write(self, value: int) -> None:
        """Set the value."""
        self._widget.setValue(value)


class Decimal(Connector):
    """A slider or spin box for decimal numbers, or for whole ones without decimals."""

    widgets = (QDoubleSpinBox, ctkDoubleSpinBox, ctkSliderWidget)
    kinds = (float, int)
    signal = "valueChanged"

    def _prepare(self) -> None:
        if self._declaration.kind is int:
            self._widget.setProperty("decimals", 0)
        minimum, maximum = _limits(self._declaration)
        if isinstance(self._widget, ctkSliderWidget) and None in (minimum, maximum):
            message = "Cannot have a connection to ctkSliderWidget where the float types is unbounded."
            raise RuntimeError(message)
        self._widget.setProperty("minimum", float("-inf") if minimum is None else float(minimum))
        self._widget.setProperty("maximum", float("inf") if maximum is None else float(maximum))

    def read(self) -> float:
        """The value."""
        return self._declaration.kind(self._widget.property("value"))

    def write(self, value: float) -> None:
        """Set the value."""
        self._widget.setProperty("value", float(value))


class Node(Connector):
    """A node selector; it offers the nodes of the parameter's class."""

    widgets = (qMRMLNodeComboBox,)
    signal = "currentNodeChanged"

    @classmethod
    def fits(cls, widget: QWidget, kind: type) -> bool:
        """Whether the parameter is a node."""
        return type(widget) in cls.widgets and issubclass(kind, slicer.vtkMRMLNode)

    def _prepare(self) -> None:
        self._widget.setProperty("nodeTypes", [self._declaration.kind().GetClassName()])

    def read(self) -> Any:
        """The chosen node."""
        return self._widget.currentNode()

    def write(self, value: Any) -> None:
        """Choose a node."""
        self._widget.setCurrentNode(value)


def connector_of(widget: QWidget, declaration: Declaration) -> Connector:
    """Connect a widget with a parameter.

    Raises:
        RuntimeError: the widget cannot show the parameter's type.
    """
    for connector in (Check, Line, Box, Whole, Decimal, Node):
        if connector.fits(widget, declaration.kind):
            return connector(widget, declaration)
    message = f"Unable to create GUI connector from datatype '{declaration.kind}' to widget type '{type(widget)}'."
    raise RuntimeError(message)


def _limits(declaration: Declaration) -> tuple[Any, Any]:
    both = first_of(declaration.annotations, WithinRange)
    if both is not None:
        return both.minimum, both.maximum
    low, high = first_of(declaration.annotations, Minimum), first_of(declaration.annotations, Maximum)
    return (low.minimum if low else None), (high.maximum if high else None)
