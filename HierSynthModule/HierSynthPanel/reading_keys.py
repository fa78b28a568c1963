"""The keys of a reader, wherever in the window the focus is; who types a text types a text."""

from collections.abc import Callable
from typing import Any

import qt
import slicer

OnKey = Callable[[], None]


class Keys:
    """Shortcuts of the main window that can be taken away again."""

    def __init__(self) -> None:
        self._shortcuts: list[Any] = []

    def start(self, actions: dict[str, OnKey]) -> None:
        """Call functions at keys, written as Qt does."""
        window = slicer.util.mainWindow()
        if self._shortcuts or window is None:
            return
        for key, action in actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), window)
            # A key that is held down must not run through the form.
            shortcut.autoRepeat = False
            shortcut.activated.connect(action)
            self._shortcuts.append(shortcut)

    def stop(self) -> None:
        """Call nothing any more."""
        for shortcut in self._shortcuts:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts.clear()
