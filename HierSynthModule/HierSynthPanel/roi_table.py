"""The table of regions: sorted by a click on a heading, copied for a spreadsheet."""

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from HierSynthPanel.roi_columns import Column

WIDEST_NAME = 170
"""Pixels that the names of regions may take; they stay in sight when the table is scrolled."""

MEASURED_CELLS = 20
"""By how many cells the width of a column and the height of a row are found; all would take too long."""


class RoiTable:
    """Shows one row per region.

    Args:
        table: the widget.
        on_choose: called with the name of the region that the user chose, also when it was chosen before.

    Attributes:
        chosen: name of the chosen region; "" for none.
        may_be_copied: whether its numbers are those of now.
    """

    def __init__(self, table: qt.QTableWidget, on_choose: Callable[[str], None]) -> None:
        self._table, self._on_choose = table, on_choose
        self._regions: list[str] = []
        self._signs: dict[str, str] = {}
        self._columns: list[Column] = []
        self._sorted_by: tuple[int, bool] | None = None
        self.chosen = ""
        self.may_be_copied = True
        for header in (table.horizontalHeader(), table.verticalHeader()):
            header.setResizeContentsPrecision(MEASURED_CELLS)
        table.verticalHeader().maximumWidth = WIDEST_NAME
        table.verticalHeader().textElideMode = qt.Qt.ElideRight
        table.horizontalHeader().sectionClicked.connect(self._sort_by)
        table.verticalHeader().sectionClicked.connect(self._on_row)
        table.cellClicked.connect(self._on_row)
        table.itemSelectionChanged.connect(self._on_selection)
        shortcut = qt.QShortcut(qt.QKeySequence("Ctrl+C"), table)
        shortcut.context = qt.Qt.WidgetShortcut
        shortcut.activated.connect(self.copy)

    def show(self, regions: list[str], signs: dict[str, str], columns: list[Column]) -> None:
        """Show these regions, in this order unless the user has sorted them.

        Args:
            regions: names.
            signs: what stands before the name of a region.
            columns: all of them.
        """
        if [each.heading for each in columns] != [each.heading for each in self._columns]:
            self._sorted_by = None
        self._regions, self._signs, self._columns = regions, signs, columns
        self._fill()

    def text(self) -> str:
        """The table with its headings, cells parted by tabs."""
        lines = [[_("Region"), *(column.heading.replace("\n", " ") for column in self._columns)]]
        lines += [[name, *(column.cell(name)[0] for column in self._columns)] for name in self._order()]
        return "\n".join("\t".join(line) for line in lines) + "\n"

    def copy(self, *_args: object) -> None:
        """Put the table into the clipboard."""
        if not self.may_be_copied:
            return
        slicer.app.clipboard().setText(self.text())
        slicer.util.showStatusMessage(_("The table is in the clipboard."), 3000)

    def _order(self) -> list[str]:
        if self._sorted_by is None:
            return self._regions
        column, ascending = self._sorted_by
        numbers = {name: self._columns[column].cell(name)[1] for name in self._regions}
        known = [name for name in self._regions if numbers[name] is not None]
        known.sort(key=lambda name: numbers[name], reverse=not ascending)
        # What has no value stands below, however it is sorted.
        return known + [name for name in self._regions if numbers[name] is None]

    def _fill(self) -> None:
        table, order = self._table, self._order()
        blocked = table.blockSignals(True)
        changed = (table.rowCount, table.columnCount) != (len(order), len(self._columns))
        table.rowCount, table.columnCount = len(order), len(self._columns)
        for number, column in enumerate(self._columns):
            self._head(number, column)
        for row, name in enumerate(order):
            heading = _item(f"{self._signs[name]} {name}".strip())
            table.setVerticalHeaderItem(row, heading)
            for number, column in enumerate(self._columns):
                self._set(row, number, column.cell(name)[0])
        self._select(order)
        table.blockSignals(blocked)
        if changed:
            table.resizeColumnsToContents()
            table.resizeRowsToContents()

    def _head(self, number: int, column: Column) -> None:
        item = self._table.horizontalHeaderItem(number)
        if item is None or item.text() != column.heading:
            item = _item(column.heading, column.definition)
            self._table.setHorizontalHeaderItem(number, item)

    def _set(self, row: int, column: int, text: str) -> None:
        item = self._table.item(row, column)
        if item is None:
            item = _item(text)
            item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            self._table.setItem(row, column, item)
        elif item.text() != text:
            item.setText(text)

    def _select(self, order: list[str]) -> None:
        if self.chosen not in order:
            self.chosen = order[0] if order else ""
        if order and self._table.currentRow() != order.index(self.chosen):
            self._table.selectRow(order.index(self.chosen))

    def _sort_by(self, column: int) -> None:
        again = self._sorted_by is not None and self._sorted_by[0] == column
        self._sorted_by = (column, again and not self._sorted_by[1])
        header = self._table.horizontalHeader()
        header.showSortIndicator = True
        header.setSortIndicator(column, qt.Qt.AscendingOrder if self._sorted_by[1] else qt.Qt.DescendingOrder)
        self._fill()

    def _on_selection(self) -> None:
        self._on_row(self._table.currentRow())

    def _on_row(self, row: int, *_args: object) -> None:
        order = self._order()
        if 0 <= row < len(order):
            self.chosen = order[row]
            self._on_choose(self.chosen)


def _item(text: str, tooltip: str = "") -> Any:
    item = qt.QTableWidgetItem(text)
    item.setToolTip(tooltip or text)
    return item
