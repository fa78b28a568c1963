"""Observers of VTK objects that neither keep their owner alive nor outlive it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import vtk


class Observers:
    """Adds observers that hold their bound method weakly and are removed together.

    VTK keeps a Python callback alive and Python's garbage collector does not see it: a widget that observes the scene
    with its own method would never be freed.
    """

    def __init__(self) -> None:
        self._tags: list[tuple[Any, int]] = []

    def add(
        self, subject: Any, event: int, method: Callable[..., None], priority: float = 0.0, node: bool = False
    ) -> None:
        """Call a bound method whenever `subject` invokes `event`.

        Args:
            subject: a vtkObject.
            event: number of the event.
            method: called with the caller, and with the node of the event where `node` is set.
            priority: higher is called earlier.
            node: whether the event carries a node.
        """
        weak = weakref.WeakMethod(method)

        def call(caller: Any, _event: str, data: Any = None) -> None:
            bound = weak()
            if bound is not None:
                bound(caller, data) if node else bound(caller)

        if node:
            call.CallDataType = vtk.VTK_OBJECT  # type: ignore[attr-defined]
        self._tags.append((subject, subject.AddObserver(event, call, priority)))

    def remove_from(self, subject: Any) -> None:
        """Remove the observers of one object."""
        for other, tag in self._tags:
            if other is subject:
                other.RemoveObserver(tag)
        self._tags = [(other, tag) for other, tag in self._tags if other is not subject]

    def clear(self, *_: Any) -> None:
        """Remove all observers."""
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        self._tags.clear()
