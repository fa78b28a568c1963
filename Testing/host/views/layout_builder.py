"""Builds nested Qt layouts from the XML of a view layout.

Followed: ctkLayoutManager.cpp of CTK (elements layout, item and view; types horizontal, vertical, grid and tab; split).
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QBoxLayout, QGridLayout, QHBoxLayout, QSplitter, QTabWidget, QVBoxLayout, QWidget
from vtkmodules.vtkCommonDataModel import vtkXMLDataElement

SPACING = 1
EQUAL_SIZE = 1000
"""Any number: a splitter scales the sizes it is given."""


class LayoutBuilder:
    """Turns one layout element into a widget that holds all its views."""

    def __init__(self, views_of: Callable[[vtkXMLDataElement, bool], list[QWidget]]) -> None:
        """Sets where the views come from.

        Args:
            views_of: Widgets of a view element; with True all that match it (`multiple`), else one.
        """
        self._views_of = views_of

    def build(self, element: vtkXMLDataElement, parent: QWidget) -> QWidget:
        """The widget of a `layout` element, a child of `parent`."""
        kind = element.GetAttribute("type") or "horizontal"
        if kind == "tab":
            return self._tabs(element, parent)
        if element.GetAttribute("split") == "true" and kind in {"horizontal", "vertical"}:
            orientation = Qt.Orientation.Vertical if kind == "vertical" else Qt.Orientation.Horizontal
            return self._splitter(element, QSplitter(orientation, parent))
        widget = QWidget(parent)
        if kind == "grid":
            return self._grid(element, widget)
        return self._box(element, QVBoxLayout(widget) if kind == "vertical" else QHBoxLayout(widget), widget)

    def _children(self, item: vtkXMLDataElement, parent: QWidget) -> list[QWidget]:
        child = item.GetNestedElement(0)
        if child.GetName() == "layout":
            return [self.build(child, parent)]
        return self._views_of(child, item.GetAttribute("multiple") == "true")

    def _tabs(self, element: vtkXMLDataElement, parent: QWidget) -> QWidget:
        tabs = QTabWidget(parent)
        for item in items(element):
            for widget in self._children(item, tabs):
                tabs.addTab(widget, item.GetAttribute("name") or widget.windowTitle())
        return tabs

    def _splitter(self, element: vtkXMLDataElement, splitter: QSplitter) -> QWidget:
        for item in items(element):
            for widget in self._children(item, splitter):
                splitter.addWidget(widget)
        sizes = [number(item, "splitSize", 0) for item in items(element)]
        splitter.setSizes(sizes if any(sizes) else [EQUAL_SIZE] * splitter.count())
        return splitter

    def _grid(self, element: vtkXMLDataElement, widget: QWidget) -> QWidget:
        layout = QGridLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        for item in items(element):
            row, column = number(item, "row", 0), number(item, "column", 0)
            layout.setRowStretch(row, 1)
            layout.setColumnStretch(column, 1)
            for child in self._children(item, widget):
                layout.addWidget(child, row, column, number(item, "rowspan", 1), number(item, "colspan", 1))
        return widget

    def _box(self, element: vtkXMLDataElement, layout: QBoxLayout, widget: QWidget) -> QWidget:
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        for item in items(element):
            for child in self._children(item, widget):
                layout.addWidget(child, 1)
        return widget


def items(element: vtkXMLDataElement) -> list[vtkXMLDataElement]:
    """The `item` elements directly below `element`."""
    nested = [element.GetNestedElement(index) for index in range(element.GetNumberOfNestedElements())]
    return [child for child in nested if child.GetName() == "item"]


def number(element: vtkXMLDataElement, attribute: str, default: int) -> int:
    """A whole number of an attribute."""
    text = element.GetAttribute(attribute)
    return default if text is None else int(text)
