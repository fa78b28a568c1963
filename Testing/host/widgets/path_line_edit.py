"""A line for the path of a file or folder, with a button to look for it.

Followed: Libs/Widgets/ctkPathLineEdit.cpp of CTK.
"""

from __future__ import annotations

from PySide6.QtCore import Property, QDir, Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QToolButton, QWidget


class ctkPathLineEdit(QWidget):
    """An editable line; `currentPathChanged` follows every change of it."""

    currentPathChanged = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name_filters: list[str] = []
        self._combo_box = QComboBox()
        self._combo_box.setEditable(True)
        self._combo_box.setCurrentIndex(-1)
        self._button = QToolButton()
        self._button.setText("…")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box, 1)
        layout.addWidget(self._button)
        self.setFocusProxy(self._combo_box)
        self._combo_box.editTextChanged.connect(self._on_edited)
        self._button.clicked.connect(self.browse)

    def comboBox(self) -> QComboBox:
        """The editable line."""
        return self._combo_box

    def browse(self) -> None:
        """Let the user look for a file."""
        path, _ = QFileDialog.getOpenFileName(self, "", self._path(), ";;".join(self._name_filters))
        if path:
            self._set_path(path)

    def _on_edited(self, _text: str) -> None:
        self.currentPathChanged.emit(self._path())

    def _path(self) -> str:
        return QDir.fromNativeSeparators(self._combo_box.currentText())

    def _set_path(self, path: str) -> None:
        self._combo_box.setEditText(path)

    def _set_name_filters(self, filters: list[str]) -> None:
        self._name_filters = list(filters)

    currentPath = Property(str, _path, _set_path, user=True)
    nameFilters = Property("QStringList", lambda self: self._name_filters, _set_name_filters)
    showHistoryButton = Property(bool, lambda _self: False, lambda _self, _shown: None)
