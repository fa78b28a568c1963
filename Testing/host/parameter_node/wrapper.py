"""The decorator `parameterNodeWrapper`.

Followed: wrapper.py of Slicer's parameterNodeWrapper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, get_args, get_type_hints

import vtk
from PySide6.QtWidgets import QWidget

from Testing.host.parameter_node.connectors import Connector, connector_of
from Testing.host.parameter_node.parameter import Declaration, Parameter

PROPERTY = "SlicerParameterName"
"""Dynamic property of a widget in a .ui file: name of the parameter that it shows."""


class ParameterNode:
    """What every decorated class can do."""

    allParameters: dict[str, Declaration]

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._connections: dict[int, dict[str, Connector]] = {}
        self._observer_tags: dict[int, int] = {}
        self._next_tag = 0
        self._updating = False
        self._parameters = {
            name: Parameter(declaration, parameterNode) for name, declaration in self.allParameters.items()
        }

    def getValue(self, name: str) -> Any:
        """The value of a parameter."""
        return self._parameters[name].read()

    def setValue(self, name: str, value: Any) -> None:
        """Set a parameter."""
        self._parameters[name].write(value)

    def connectGui(self, gui: QWidget | Any) -> int:
        """Connect the widgets that name a parameter.

        Args:
            gui: a widget, whose descendants are searched, or an object with widgets as attributes.

        Returns:
            What disconnectGui() needs.

        Raises:
            RuntimeError: a widget cannot show its parameter's type.
        """
        widgets = gui.findChildren(QWidget) if isinstance(gui, QWidget) else vars(gui).values()
        return self.connectParametersToGui({w.property(PROPERTY): w for w in widgets if w.property(PROPERTY)})

    def connectParametersToGui(self, widgets: dict[str, QWidget]) -> int:
        """Connect widgets by the name of their parameter; as connectGui()."""
        unknown = [name for name in widgets if name not in self.allParameters]
        if unknown:
            message = f"Cannot find a param with the given name: {unknown[0]}"
            raise ValueError(message)
        connectors = {name: connector_of(widget, self.allParameters[name]) for name, widget in widgets.items()}
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        self._connections[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(self._writer(name, connector))
        self._observer_tags[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._update_gui())
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        """Undo connectGui()."""
        for connector in self._connections.pop(guiTag, {}).values():
            connector.disconnect()
        if guiTag in self._observer_tags:
            self.RemoveObserver(self._observer_tags.pop(guiTag))

    def AddObserver(self, event: int, callback: Callable[..., None], priority: float = 0.0) -> int:
        """Observe the node."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        """Stop to observe the node."""
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:
        """Gather the node's events until EndModify()."""
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: int) -> None:
        """Undo StartModify()."""
        self.parameterNode.EndModify(wasModified)

    def Modified(self) -> None:
        """Make observers believe that the node changed."""
        self.parameterNode.Modified()

    def _writer(self, name: str, connector: Connector) -> Callable[[], None]:
        def write() -> None:
            was_modified = self.StartModify()
            try:
                if not self._updating:
                    self.setValue(name, connector.read())
            finally:
                self.EndModify(was_modified)

        return write

    def _update_gui(self) -> None:
        if self._updating:
            return
        self._updating = True
        was_modified = self.StartModify()
        try:
            for connectors in self._connections.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self.EndModify(was_modified)
            self._updating = False


def parameterNodeWrapper(cls: type | None = None) -> Any:
    """Give a class with annotated attributes the behaviour of ParameterNode; with or without parentheses."""
    return _wrap if cls is None else _wrap(cls)


def _wrap(cls: type) -> type:
    declarations = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        kind, *annotations, _end = get_args(Annotated[hint, "end"])
        assigned = [vars(cls)[name]] if name in vars(cls) else []
        declarations[name] = Declaration.of(name, kind, annotations, assigned)
    attributes: dict[str, Any] = {name: _attribute(name) for name in declarations}
    taken = [name for name in attributes if hasattr(ParameterNode, name)]
    if taken:
        message = f"Cannot use reserved name '{taken[0]}' in a parameterNodeWrapper"
        raise ValueError(message)
    attributes |= {"allParameters": declarations, "__doc__": cls.__doc__, "__module__": cls.__module__}
    return type(cls.__name__, (ParameterNode, cls), attributes)


def _attribute(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))
