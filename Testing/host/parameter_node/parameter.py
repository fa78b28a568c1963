"""One parameter: its declaration in the class, and its value in one parameter node.

Followed: wrapper.py (the cached parameters) and parameterInfo.py of Slicer's parameterNodeWrapper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from Testing.host.observers import Observers
from Testing.host.parameter_node.annotations import Default, first_of
from Testing.host.parameter_node.storage import Storage, storage_of


@dataclass(frozen=True)
class Declaration:
    """A line of the class: name, type and what was said about it.

    Attributes:
        annotations: of `Annotated[type, …]`.
        default: value until it is set.
    """

    name: str
    kind: type
    annotations: tuple[Any, ...]
    storage: Storage
    default: Any

    @staticmethod
    def of(name: str, kind: type, annotations: Sequence[Any], assigned: Sequence[Any]) -> Declaration:
        """Declare a parameter.

        Args:
            name: of the parameter.
            kind: its type.
            annotations: of `Annotated[type, …]`.
            assigned: the value behind the equals sign, if there is one.
        """
        storage = storage_of(kind)
        stated = first_of(annotations, Default)
        default = assigned[0] if assigned else stated.value if stated is not None else storage.default
        return Declaration(name, kind, tuple(annotations), storage, default)

    def write(self, node: Any, value: Any) -> None:
        """Check a value and put it into a parameter node."""
        checks = [annotation for annotation in self.annotations if hasattr(annotation, "validate")]
        for validator in (*self.storage.validators, *checks):
            validator.validate(value)
        self.storage.write(node, self.name, value)

    def read(self, node: Any) -> Any:
        """The value in a parameter node; one that was never set gets its default."""
        if not node.HasParameter(self.name):
            self.write(node, self.default)
        return self.storage.read(node, self.name)


class Parameter:
    """The value of a declared parameter in one node, read again whenever the node is modified."""

    def __init__(self, declaration: Declaration, node: Any) -> None:
        self._declaration = declaration
        self._node = node
        self._writing = False
        self._value = declaration.read(node)
        self._observers = Observers()
        self._observers.add(node, vtk.vtkCommand.ModifiedEvent, self._on_modified)

    def __del__(self) -> None:
        self._observers.clear()

    def read(self) -> Any:
        """The value."""
        return self._value

    def write(self, value: Any) -> None:
        """Set the value; observers of the node hear of it when it can be read."""
        self._writing = True
        try:
            with slicer.util.NodeModify(self._node):
                self._declaration.write(self._node, value)
                self._value = self._declaration.read(self._node)
        finally:
            self._writing = False

    def _on_modified(self, _node: Any) -> None:
        if not self._writing:
            self._value = self._declaration.read(self._node)
