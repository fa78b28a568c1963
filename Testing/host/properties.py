"""Which modules see Qt properties as attributes (`button.text = "Run"`), as PythonQt shows them, and which as methods.

Followed: PythonQt, in which Slicer runs its modules. PySide6 shows getters and setters unless a module imports its
feature `true_property`; the choice belongs to the module whose code is running. The scripted module must not contain
that import, because Slicer has no PySide6, so the choice is made here while the module is being imported.
"""

from __future__ import annotations

import importlib.abc
import sys

import PySide6.QtCore  # noqa: F401  # makes shibokensupport importable
from shibokensupport import feature

PROPERTIES = feature.true_property
METHODS = 0
UNCHANGED = -1
"""Style of modules that do not use Qt: they keep that of their caller."""


class PropertyStyle(importlib.abc.MetaPathFinder):
    """Finds no module, but hears of each one before its code runs."""

    def __init__(self) -> None:
        self._styles: dict[str, int] = {}

    def choose(self, name: str, style: int) -> None:
        """Set the style of a module or package and all below it, those already imported too.

        Args:
            name: dotted name.
            style: PROPERTIES or METHODS.
        """
        self._styles[name] = style
        feature.set_selection(style, name)
        for imported in [other for other in sys.modules if other.startswith(name + ".")]:
            self._apply(imported)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Called for every module that is about to be imported."""
        self._apply(fullname)

    def _apply(self, name: str) -> None:
        prefixes = [name]
        while "." in prefixes[-1]:
            prefixes.append(prefixes[-1].rpartition(".")[0])
        for prefix in prefixes:
            if prefix in self._styles:
                feature.set_selection(self._styles[prefix], name)
                return


def install_property_style() -> PropertyStyle:
    """Start to hear of imports."""
    # Otherwise PySide6 reads the source of every module that is loaded already, which some (torch) do not survive.
    for name in list(sys.modules):
        feature.pyside_feature_dict.setdefault(name, UNCHANGED)
    style = PropertyStyle()
    sys.meta_path.insert(0, style)
    return style
