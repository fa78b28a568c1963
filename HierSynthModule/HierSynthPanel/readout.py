"""The values of all maps under the mouse cursor."""

import math
from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk

from HierSynthLib.case import CBV_UNITS
from HierSynthPanel import nodes
from HierSynthPanel.layers import acquired_map
from HierSynthPanel.observers import Observers
from HierSynthPanel.parameters import HierSynthParameters

INTERVAL_MS = 40
"""Between two readings while the mouse moves."""

Values = dict[str, float | None]
"""Name of a map → its value, nrCBV, that of the acquired map in its own units; None outside the map."""


class CursorReadout:
    """Reads the maps wherever the mouse is in a view.

    Args:
        on_values: called with the values when the mouse has moved; all are None once it has left the views.
    """

    def __init__(self, on_values: Callable[[Values], None]) -> None:
        self._on_values = on_values
        self._parameters: HierSynthParameters | None = None
        self._observers = Observers()
        self._timer = qt.QTimer()
        self._timer.interval = INTERVAL_MS
        self._timer.timeout.connect(self._read)

    def start(self, parameters: HierSynthParameters) -> None:
        """Follow the mouse and read the maps of these parameters."""
        self.stop()
        self._parameters = parameters
        crosshair = _crosshair()
        if crosshair is not None:
            self._observers.add(crosshair, crosshair.CursorPositionModifiedEvent, self._moved)

    def stop(self) -> None:
        """Follow the mouse no more."""
        self._observers.clear()
        self._timer.stop()

    def cleanup(self) -> None:
        """Leave no observer and no timer behind."""
        self.stop()
        self._timer.timeout.disconnect(self._read)

    def _moved(self, *_args: object) -> None:
        if not self._timer.active:
            self._timer.start()

    def _read(self, *_args: object) -> None:
        self._timer.stop()
        crosshair, position = _crosshair(), [0.0, 0.0, 0.0]
        inside = crosshair is not None and crosshair.GetCursorPositionRAS(position)
        self._on_values(values_at(self._parameters, position if inside else None))


def values_at(parameters: HierSynthParameters, position: list[float] | None) -> Values:
    """The values of the maps that there are at a position in the world, RAS mm; all None for no position.

    What was acquired is read on the grid of the synthetic map where there is such a map, so that the difference is that
    of the values beside it. This map and the difference hold 0 where nothing was acquired, which is no value.
    """
    maps = {
        "synthetic": parameters.synthetic,
        "acquired": acquired_map(parameters),
        "difference": parameters.difference,
        "uncertainty": parameters.uncertainty,
    }
    values = {name: value_at(node, position) for name, node in maps.items() if node is not None}
    if parameters.acquired is not None and value_at(parameters.acquired, position) is None:
        values |= dict.fromkeys(values.keys() & {"acquired", "difference"})
    return values


def acquired_units(parameters: HierSynthParameters) -> str:
    """The units of the acquired map's values."""
    node = acquired_map(parameters)
    return (node.GetAttribute(nodes.UNITS) if node is not None else None) or CBV_UNITS


def value_at(node: Any, position: list[float] | None) -> float | None:
    """The voxel of a volume node that contains a position in the world, RAS mm; None outside and for no position.

    Parent transforms of any kind are taken into account.
    """
    if position is None or not nodes.has_voxels(node):
        return None
    from_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, node.GetParentTransformNode(), from_world)
    to_index = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(to_index)
    index = [round(axis) for axis in to_index.MultiplyPoint((*from_world.TransformPoint(position), 1.0))[:3]]
    image = node.GetImageData()
    if not all(0 <= number < size for number, size in zip(index, image.GetDimensions(), strict=True)):
        return None
    value = image.GetScalarComponentAsDouble(*index, 0)
    return value if math.isfinite(value) else None


def _crosshair() -> Any:
    return slicer.mrmlScene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
