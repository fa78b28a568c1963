"""How a parameter is kept in the vtkMRMLScriptedModuleNode: with Slicer's keys and texts, so that scenes fit both.

Followed: serializers.py of Slicer's parameterNodeWrapper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import slicer

from Testing.host.parameter_node.annotations import IsInstance, NotNone, Validator


@dataclass(frozen=True)
class Storage:
    """Reads and writes parameters of one type.

    Attributes:
        default: value where nothing else is said.
        validators: what refuses values of other types.
        to_text, from_text: the value as text.
    """

    default: Any
    validators: tuple[Validator, ...]
    to_text: Callable[[Any], str] = str
    from_text: Callable[[str], Any] = str

    def read(self, node: Any, name: str) -> Any:
        """The value in a parameter node."""
        return self.from_text(node.GetParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Put a value into a parameter node."""
        node.SetParameter(name, self.to_text(value))


class NodeStorage(Storage):
    """A node is kept as a reference; the empty parameter of the same name says that it was set, perhaps to None."""

    def read(self, node: Any, name: str) -> Any:
        """The referenced node, or None."""
        return node.GetNodeReference(name)

    def write(self, node: Any, name: str, value: Any) -> None:
        """Set the reference."""
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)


def storage_of(kind: type) -> Storage:
    """The storage of a type.

    Raises:
        TypeError: parameters cannot have this type here.
    """
    if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode):
        return NodeStorage(None, (IsInstance(kind),))
    if kind is bool:
        return Storage(False, (NotNone(), IsInstance(bool)), from_text=lambda text: text == "True")
    if kind is int:
        return Storage(0, (NotNone(), IsInstance(int)), from_text=int)
    if kind is float:
        return Storage(0, (NotNone(), IsInstance((int, float))), from_text=float)
    if kind is str:
        return Storage("", (NotNone(), IsInstance(str)))
    message = f"parameters of type {kind} are not supported"
    raise TypeError(message)
