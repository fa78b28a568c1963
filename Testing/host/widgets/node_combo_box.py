"""A box to choose a node of the scene from.

Followed: Libs/MRML/Widgets/qMRMLNodeComboBox.cxx, qMRMLSceneModel.cxx and qMRMLSortFilterProxyModel.cxx of Slicer.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QWidget

from Testing.host.widgets.node_list import NodeList


def _action(name: str) -> Property:
    def read(self: qMRMLNodeComboBox) -> bool:
        return self._actions[name]

    def write(self: qMRMLNodeComboBox, enabled: bool) -> None:
        self._actions[name] = enabled

    return Property(bool, read, write)


class qMRMLNodeComboBox(QWidget):
    """Lists the scene's nodes of `nodeTypes`, "None" first where `noneEnabled`."""

    # Slicer also has currentNodeChanged(bool), which the module must not rely on.
    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._nodes = NodeList(self)
        self._combo_box = QComboBox(self)
        self._combo_box.setModel(self._nodes)
        self._combo_box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._combo_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)
        self.setFocusProxy(self._combo_box)
        self._requested: str | None = None
        # Slicer's defaults.
        self._actions = {"addEnabled": True, "removeEnabled": True, "renameEnabled": False}
        self._combo_box.currentTextChanged.connect(self._emit_changed)
        self._combo_box.activated.connect(self._emit_activated)
        for signal in (self._nodes.rowsRemoved, self._nodes.filled):
            signal.connect(self._leave_missing)
        self.setEnabled(False)

    def comboBox(self) -> QComboBox:
        """The box itself (protected in Slicer; for the host's own use)."""
        return self._combo_box

    def mrmlScene(self) -> Any:
        """The vtkMRMLScene, or None."""
        return self._nodes.scene

    def setMRMLScene(self, scene: Any) -> None:
        """List the nodes of a scene; without one the box is disabled."""
        if scene is self._nodes.scene:
            return
        if any(self._actions.values()):
            name, actions = self.objectName(), sorted(self._actions)
            message = f"the stand-in's node selectors offer no actions: set {actions} of {name} to false"
            raise NotImplementedError(message)
        before = self.currentNodeID if self.nodeCount() else ""
        self._combo_box.blockSignals(True)
        self._nodes.set_scene(scene)
        self._combo_box.blockSignals(False)
        wanted, self._requested = self._requested or before, None
        self.setCurrentNodeID(wanted)
        self.setEnabled(scene is not None)

    def nodeCount(self) -> int:
        """How many nodes are listed."""
        return len(self._nodes.ids())

    def nodeFromIndex(self, index: int) -> Any:
        """The node at a place of the list ("None" does not count), or None."""
        ids = self._nodes.ids()
        return self._nodes.node(ids[index]) if 0 <= index < len(ids) else None

    def currentNode(self) -> Any:
        """The chosen node, or None."""
        return self._nodes.node(self._nodes.id_at(self._combo_box.currentIndex()))

    def setCurrentNode(self, node: Any) -> None:
        """Choose a node; None or a node that is not listed chooses "None"."""
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str | None) -> None:
        """Choose a node by its ID."""
        if self._nodes.scene is None:
            self._requested = node_id or ""
        row = self._nodes.row_of(node_id or "")
        self._combo_box.setCurrentIndex(row if row is not None else 0 if self._nodes.none_enabled else -1)

    def addAttribute(self, nodeType: str, attributeName: str, attributeValue: str | None = None) -> None:
        """Of a class, list only the nodes with an attribute, of any value for None; one attribute per class."""
        self._refill(attributes={**self._nodes.attributes, nodeType: (attributeName, attributeValue)})

    def _id(self) -> str:
        return self._nodes.id_at(self._combo_box.currentIndex())

    def _set_node_types(self, types: list[str]) -> None:
        self._refill(node_types=[name for name in types if name])

    def _set_none_enabled(self, enabled: bool) -> None:
        self._refill(none_enabled=enabled)

    def _set_none_display(self, text: str) -> None:
        self._refill(none_display=text)

    def _set_show_hidden(self, shown: bool) -> None:
        self._refill(show_hidden=shown)

    def _set_show_child_node_types(self, shown: bool) -> None:
        self._refill(show_child_types=shown)

    def _refill(self, **settings: Any) -> None:
        chosen = self._id()
        self._combo_box.blockSignals(True)
        self._nodes.configure(**settings)
        self._combo_box.blockSignals(False)
        self.setCurrentNodeID(chosen)
        if self._id() != chosen:
            self._emit_changed("")

    currentNodeID = Property(str, _id, setCurrentNodeID, notify=currentNodeIDChanged)
    nodeTypes = Property("QStringList", lambda self: self._nodes.node_types, _set_node_types)
    noneEnabled = Property(bool, lambda self: self._nodes.none_enabled, _set_none_enabled)
    noneDisplay = Property(str, lambda self: self._nodes.none_display, _set_none_display)
    showHidden = Property(bool, lambda self: self._nodes.show_hidden, _set_show_hidden)
    showChildNodeTypes = Property(bool, lambda self: self._nodes.show_child_types, _set_show_child_node_types)

    addEnabled, removeEnabled, renameEnabled = map(_action, ("addEnabled", "removeEnabled", "renameEnabled"))

    def _emit_changed(self, _text: str) -> None:
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _emit_activated(self, _row: int) -> None:
        self.nodeActivated.emit(self.currentNode())

    def _leave_missing(self, *_: Any) -> None:
        if self.currentNode() is None:
            self.setCurrentNode(None)
