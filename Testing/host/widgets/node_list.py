"""The nodes of the scene that a selector offers, as a model for a combo box.

Followed: Libs/MRML/Widgets/qMRMLSceneModel.cxx and qMRMLSortFilterProxyModel.cxx of Slicer: which nodes are shown and
which events of the scene are heard.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel

from Testing.host.observers import Observers

ID = Qt.ItemDataRole.UserRole + 1


class NodeList(QStandardItemModel):
    """One row per node in the scene's order, before them "None" where it may be chosen."""

    filled = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.scene: Any = None
        self.node_types: list[str] = []
        self.none_enabled = False
        self.none_display = "None"
        self.show_hidden = False
        self.show_child_types = True
        self.attributes: dict[str, tuple[str, str | None]] = {}
        self._observers = Observers()
        self._node_observers = Observers()
        for observers in (self._observers, self._node_observers):
            self.destroyed.connect(observers.clear)

    def set_scene(self, scene: Any) -> None:
        """Follow another scene, or none."""
        self._observers.clear()
        self.scene = scene
        if scene is not None:
            events = slicer.vtkMRMLScene
            # The priorities are Slicer's: other observers of an addition or removal see the list with the node.
            self._observers.add(scene, events.NodeAddedEvent, self._on_added, 10.0, node=True)
            self._observers.add(scene, events.NodeAboutToBeRemovedEvent, self._on_removed, -10.0, node=True)
            self._observers.add(scene, events.EndCloseEvent, self.fill)
            self._observers.add(scene, events.EndImportEvent, self.fill)
        self.fill()

    def configure(self, **settings: Any) -> None:
        """Set attributes and list the nodes anew."""
        self.removeRows(0, self.rowCount())
        for name, value in settings.items():
            setattr(self, name, value)
        if self.none_enabled:
            self.appendRow(_item(self.none_display, ""))
        self.fill()

    def ids(self) -> list[str]:
        """IDs of the listed nodes."""
        return [self.id_at(row) for row in range(self._first, self.rowCount())]

    def id_at(self, row: int) -> str:
        """ID of the node in a row; "" for "None" and for no row."""
        item = self.item(row) if row >= 0 else None
        return item.data(ID) if item is not None else ""

    def row_of(self, node_id: str) -> int | None:
        """Row of a node; None where it is not listed."""
        return next((row for row in range(self.rowCount()) if node_id and self.id_at(row) == node_id), None)

    def node(self, node_id: str) -> Any:
        """The node with an ID; None for "" and for one that is not in the scene."""
        return self.scene.GetNodeByID(node_id) if self.scene is not None and node_id else None

    def accepts(self, node: Any) -> bool:
        """Whether a node is offered."""
        if node.GetHideFromEditors() and not self.show_hidden:
            return False
        name = self._matching_type(node)
        return not self.node_types or (name is not None and self._has_attribute(node, name))

    def _matching_type(self, node: Any) -> str | None:
        fits = node.IsA if self.show_child_types else node.GetClassName().__eq__
        return next((name for name in self.node_types if fits(name)), None)

    def _has_attribute(self, node: Any, node_type: str) -> bool:
        attribute, wanted = self.attributes.get(node_type, (None, None))
        value = node.GetAttribute(attribute) if attribute is not None else ""
        return value is not None and wanted in (None, value)

    def fill(self, *_: Any) -> None:
        """List the scene's nodes anew; row by row, so that a combo box loses its choice, as in Slicer."""
        self._node_observers.clear()
        self.removeRows(self._first, self.rowCount() - self._first)
        for index in range(self.scene.GetNumberOfNodes() if self.scene is not None else 0):
            self._append(self.scene.GetNthNode(index))
        self.filled.emit()

    @property
    def _first(self) -> int:
        return 1 if self.none_enabled else 0

    def _append(self, node: Any) -> None:
        # A node that only lacks the attribute may get it later.
        if self._matching_type(node) in self.attributes or self.accepts(node):
            self._node_observers.add(node, vtk.vtkCommand.ModifiedEvent, self._on_modified)
        if self.accepts(node):
            self.appendRow(_item(node.GetName() or "", node.GetID()))

    def _insert(self, node: Any) -> None:
        """List a node that was in the scene before, at its place in the scene's order."""
        before = 0
        for index in range(self.scene.GetNumberOfNodes()):
            other = self.scene.GetNthNode(index)
            if other == node:
                break
            before += self.row_of(other.GetID()) is not None
        self.insertRow(self._first + before, _item(node.GetName() or "", node.GetID()))

    def _on_added(self, scene: Any, node: Any) -> None:
        if not scene.IsImporting():
            self._append(node)

    def _on_removed(self, scene: Any, node: Any) -> None:
        if not scene.IsClosing():
            self._node_observers.remove_from(node)
            self._remove_row(node)

    def _remove_row(self, node: Any) -> None:
        row = self.row_of(node.GetID())
        if row is not None:
            self.removeRow(row)

    def _on_modified(self, node: Any) -> None:
        if self.scene.IsClosing() or self.scene.IsImporting():
            return
        row = self.row_of(node.GetID())
        if not self.accepts(node):
            self._remove_row(node)
        elif row is None:
            self._insert(node)
        elif self.item(row).text() != (node.GetName() or ""):
            self.item(row).setText(node.GetName() or "")


def _item(text: str, node_id: str) -> QStandardItem:
    item = QStandardItem(text)
    item.setData(node_id, ID)
    return item
