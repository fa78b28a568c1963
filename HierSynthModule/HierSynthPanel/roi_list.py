"""The list of nodes with regions, with a check box each."""

from typing import Any

import qt
import slicer

from HierSynthPanel import roi_nodes
from HierSynthPanel.parameters import HierSynthParameters

NAME, KIND = 0, 1


class RoiList:
    """Fills a table with the nodes that there are, and ticks those that are measured.

    Args:
        table: with a column for the name and one for the kind.
    """

    def __init__(self, table: qt.QTableWidget) -> None:
        self._table = table
        self._shown: list[tuple[str, str, str, bool]] = []
        table.horizontalHeader().visible = False
        table.verticalHeader().visible = False
        table.horizontalHeader().setSectionResizeMode(NAME, qt.QHeaderView.Stretch)
        table.horizontalHeader().setSectionResizeMode(KIND, qt.QHeaderView.ResizeToContents)
        table.itemChanged.connect(self._on_item)

    def refresh(self, parameters: HierSynthParameters) -> None:
        """Show the nodes of now."""
        nodes = roi_nodes.region_nodes()
        wanted = [(n.GetID(), n.GetName(), roi_nodes.kind_of(n), roi_nodes.is_ticked(n, parameters)) for n in nodes]
        if wanted == self._shown:
            return
        self._shown = wanted
        table = self._table
        blocked = table.blockSignals(True)
        table.rowCount = len(wanted)
        for row, (_identifier, name, kind, ticked) in enumerate(wanted):
            table.setItem(row, NAME, _checkable(name, ticked))
            table.setItem(row, KIND, _plain(kind))
        table.resizeRowsToContents()
        table.blockSignals(blocked)

    def clear(self) -> None:
        """Show nothing, as the scene is another one now."""
        self._shown = []
        self._table.rowCount = 0

    def _on_item(self, item: Any) -> None:
        if item.column() != NAME or item.row() >= len(self._shown):
            return
        node = slicer.mrmlScene.GetNodeByID(self._shown[item.row()][0])
        if node is not None:
            # Whoever observes the node hears of it.
            roi_nodes.tick(node, item.checkState() == qt.Qt.Checked)


def _checkable(text: str, ticked: bool) -> qt.QTableWidgetItem:
    item = _plain(text)
    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
    item.setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
    return item


def _plain(text: str) -> qt.QTableWidgetItem:
    item = qt.QTableWidgetItem(text)
    item.setFlags(qt.Qt.ItemIsEnabled)
    item.setToolTip(text)
    return item
