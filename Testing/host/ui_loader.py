"""Builds widgets from Designer's .ui files with the classes of CTK and Slicer in them.

Followed: QUiLoader as PythonQt shows it, with the Designer plugins of Libs/MRML/Widgets/DesignerPlugins and of CTK.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from PySide6.QtCore import QBuffer, QIODevice, QObject
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QWidget

CUSTOM_WIDGETS: dict[str, type[QWidget]] = {}
"""Classes that a .ui file may name besides those of Qt, by their name."""


class UiLoader(QUiLoader):
    """QUiLoader that knows the custom widgets and makes connections whose arguments are MRML classes."""

    # Not registerCustomWidget(), with which PySide6 never frees the widgets' Python objects.
    def createWidget(self, className: str, parent: QWidget | None = None, name: str = "") -> QWidget:
        """Called for every widget of the file."""
        custom = CUSTOM_WIDGETS.get(className)
        if custom is None:
            return super().createWidget(className, parent, name)
        widget = custom(parent)
        widget.setObjectName(name)
        return widget

    def load(self, device: QIODevice, parent: QWidget | None = None) -> QWidget | None:
        """Build the widget of an open .ui file; None if it cannot be read."""
        # S314: the files are the project's own.
        root = ElementTree.fromstring(bytes(device.readAll().data()))  # noqa: S314
        # Qt looks signals up by their C++ argument types, which the classes in Python do not have.
        connections = root.find("connections")
        if connections is not None:
            root.remove(connections)
        buffer = QBuffer()
        buffer.setData(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
        buffer.open(QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is not None:
            # PySide6 makes the children attributes of the widget, PythonQt does not.
            for child in widget.findChildren(QObject):
                vars(widget).pop(child.objectName(), None)
        if widget is not None and connections is not None:
            for connection in connections.findall("connection"):
                _connect(widget, connection)
        return widget


def _connect(root: QWidget, connection: ElementTree.Element) -> None:
    sender = _named(root, connection.findtext("sender", ""))
    receiver = _named(root, connection.findtext("receiver", ""))
    signal = connection.findtext("signal", "").partition("(")[0]
    slot = connection.findtext("slot", "").partition("(")[0]
    getattr(sender, signal).connect(getattr(receiver, slot))


def _named(root: QWidget, name: str) -> Any:
    if root.objectName() == name:
        return root
    child = root.findChild(QObject, name)
    if child is None:
        message = f"a connection of the .ui file names {name!r}, which is not in it"
        raise RuntimeError(message)
    return child
