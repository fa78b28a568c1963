"""The coloured bar above a view: label and a button that fits the content.

Followed: qMRMLViewControllerBar.cxx (without the menus behind the pin).
"""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QWidget
from vtkmodules.vtkCommonCore import vtkCommand

from Testing.host.observers import Observers

HEIGHT = 24


class ControllerBar(QFrame):
    """Shows the label and colour of one view node."""

    fit_requested = Signal()

    def __init__(self, fit_tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._observers = Observers()
        self._view_node = None
        self._label = QLabel()
        self._label.setObjectName("ViewLabel")
        fit_button = QToolButton()
        fit_button.setObjectName("FitToWindowToolButton")
        fit_button.setText("⤢")
        fit_button.setAutoRaise(True)
        fit_button.setToolTip(fit_tooltip)
        fit_button.clicked.connect(lambda *_: self.fit_requested.emit())
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(4, 0, 2, 0)
        self._row.setSpacing(4)
        self._row.addWidget(self._label)
        self._row.addWidget(fit_button)
        self.setFixedHeight(HEIGHT)
        self.setAutoFillBackground(True)

    def mrmlViewNode(self):
        """The view node whose label and colour are shown, or None."""
        return self._view_node

    def show_node(self, node) -> None:
        """Shows and follows `node`, a vtkMRMLAbstractViewNode or None."""
        if node is self._view_node:
            return
        if self._view_node is not None:
            self._observers.remove_from(self._view_node)
        self._view_node = node
        if node is not None:
            self._observers.add(node, vtkCommand.ModifiedEvent, self.update_from_node)
            self.update_from_node()

    def update_from_node(self, *_) -> None:
        """Shows the node's present label and colour; text on the bar is black, whatever the desktop's colours are."""
        self._label.setText(self._view_node.GetLayoutLabel() or "")
        palette = self.palette()
        palette.setColor(palette.ColorRole.Window, QColor.fromRgbF(*self._view_node.GetLayoutColor()))
        for role in (palette.ColorRole.WindowText, palette.ColorRole.Text, palette.ColorRole.ButtonText):
            palette.setColor(role, QColor("black"))
        self.setPalette(palette)

    def finalize(self) -> None:
        """Removes the observers."""
        self._observers.clear()
