"""Reads from the module's source which names of Slicer, CTK and Qt it uses."""

from __future__ import annotations

import ast
import contextlib
import re
import unittest
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

ROOTS = ("qt", "ctk", "slicer", "SampleData")
"""Modules whose names are listed."""

MRML_CLASS = re.compile(r"vtk(MRML|Slicer)\w+")
PYTHON_TYPES = (
    str,
    bytes,
    list,
    dict,
    set,
    tuple,
    int,
    float,
    Path,
    BaseException,
    re.Pattern,
    np.ndarray,
    contextlib.ExitStack,
    unittest.TestCase,
)
CONNECTING = ("connect", "disconnect")


@dataclass
class Usage:
    """What the module uses.

    Attributes:
        names: dotted, with "()" behind what is called on the way ("slicer.app.layoutManager().setLayout").
        members: attributes of other objects that neither the module, the library nor Python defines.
        classes_members: the same, of VTK and MRML classes, whose members begin with a capital.
        signals: names of the signals that are connected or disconnected.
        widgets: class in a .ui file → properties set there.
    """

    names: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)
    classes_members: set[str] = field(default_factory=set)
    signals: set[str] = field(default_factory=set)
    widgets: dict[str, set[str]] = field(default_factory=dict)

    def add_python(self, tree: ast.Module, own: set[str]) -> None:
        """Add what a Python file uses.

        Args:
            tree: the parsed file.
            own: attributes that are the module's, the library's or Python's.
        """
        attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        owners = {id(node.value) for node in attributes}
        owners |= {id(node.value.func) for node in attributes if isinstance(node.value, ast.Call)}
        others = _other_imports(tree)
        for node in attributes:
            name = _dotted(node)
            if name is not None and id(node) not in owners:
                self.names.add(name.removesuffix(".connect").removesuffix(".disconnect"))
            if node.attr in CONNECTING and isinstance(node.value, ast.Attribute):
                self.signals.add(node.value.attr)
            elif name is None and node.attr not in own and _root(node) not in others:
                (self.classes_members if node.attr[0].isupper() else self.members).add(node.attr)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in ROOTS:
                self.names |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MRML_CLASS.fullmatch(node.value):
                self.names.add(f"slicer.{node.value}")

    def add_ui(self, root: ElementTree.Element) -> None:
        """Add what a .ui file uses."""
        for widget in root.iter("widget"):
            properties = {item.get("name", "") for item in widget.findall("property") if item.get("stdset") != "0"}
            self.widgets.setdefault(widget.get("class", ""), set()).update(properties)
        for signal in root.iter("signal"):
            self.signals.add((signal.text or "").partition("(")[0])


def usage_of(module: Path, library: Path) -> Usage:
    """Read a module's files.

    Args:
        module: its folder.
        library: folder of the package that the module uses, whose names are not Slicer's.
    """
    trees = list(_trees(module))
    forms = [ElementTree.parse(path).getroot() for path in sorted(module.rglob("*.ui"))]  # noqa: S314  # our own files
    own = {name for kind in PYTHON_TYPES for name in dir(kind)} | set(CONNECTING)
    own |= {name for tree in (*trees, *_trees(library)) for name in _definitions(tree)}
    own |= {widget.get("name", "") for form in forms for widget in form.iter("widget")}
    usage = Usage()
    for tree in trees:
        usage.add_python(tree, own)
    for form in forms:
        usage.add_ui(form)
    usage.members -= usage.signals | {name for name in usage.members if name.startswith("__")}
    return usage


def _trees(folder: Path) -> Iterator[ast.Module]:
    for path in sorted(folder.rglob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def _definitions(tree: ast.Module) -> Iterator[str]:
    """Names of functions, classes, fields of classes, and attributes of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            lines = [line for line in node.body if isinstance(line, ast.Assign | ast.AnnAssign)]
            fields = [inner for line in lines for inner in ast.walk(line)]
            yield from (
                inner.id for inner in fields if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
            )
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _root(node) == "self":
            yield node.attr


def _other_imports(tree: ast.Module) -> set[str]:
    """Names under which a file knows modules and objects that are not Slicer's."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
    return names - set(ROOTS)


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id if node.id in ROOTS else None
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else None
    if isinstance(node, ast.Call):
        called = _dotted(node.func)
        return f"{called}()" if called else None
    return None
