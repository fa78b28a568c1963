"""HierSynth's view layouts: known to Slicer, chosen, and left again."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import slicer

from HierSynthPanel import nodes, views
from HierSynthPanel.parameters import HierSynthParameters

LAYOUTS = {
    ("overlay", "axial"): 48201,
    ("overlay", "coronal"): 48202,
    ("overlay", "sagittal"): 48203,
    ("side-by-side", None): 48204,
    ("three-up", None): 48205,
    ("volume", None): 48206,
    ("plots", None): 48207,
    ("curves", None): 48208,
}
"""Layout and, where it has one file per plane, the plane → number by which Slicer knows the layout."""

COMPARING = ("side-by-side", "three-up", "plots")
"""Layouts with a view for each map."""

VIEW_GROUP = 4820
"""Of the views that show one map each; the layouts' files say the same."""

Place = tuple[float, float, float]
"""A position, RAS mm."""

PREVIOUS = "HierSynth.PreviousLayout"
"""Attribute of Slicer's layout node: the number of the layout that the user had before one of these."""


def register() -> None:
    """Make the layouts known to Slicer; harmless when they are known already.

    A scene that was saved in one of them, and loaded before the module was opened, shows it from now on.
    """
    node = _layout_node()
    for (layout, plane), number in LAYOUTS.items():
        if not node.IsLayoutDescription(number):
            name = f"{layout}-{plane}.xml" if plane else f"{layout}.xml"
            folder = Path(__file__).parent.parent / "Resources" / "Layouts"
            node.AddLayoutDescription(number, (folder / name).read_text("utf-8"))
    if is_active():
        node.SetViewArrangement(node.GetViewArrangement())
        _set_up_compared_views()


def current() -> int:
    """The number of the layout on the screen."""
    return _layout_node().GetViewArrangement()


def is_active() -> bool:
    """Whether one of these layouts is on the screen."""
    return current() in LAYOUTS.values()


def observed_node() -> Any:
    """The node whose ModifiedEvent tells that another layout is on the screen."""
    return _layout_node()


def was_left() -> bool:
    """Whether the user has gone back from one of these layouts to another one."""
    return not is_active() and _layout_node().GetAttribute(PREVIOUS) is not None


def choose(parameters: HierSynthParameters) -> None:
    """Show the chosen layout, its views turned to the chosen plane, and remember the user's own layout."""
    register()
    number = _number(parameters)
    if not is_active():
        _layout_node().SetAttribute(PREVIOUS, str(current()))
    if current() != number:
        slicer.app.layoutManager().setLayout(number)
    _set_up_compared_views()
    orient(parameters)


def back() -> None:
    """Show the layout that the user had before."""
    previous = int(_layout_node().GetAttribute(PREVIOUS) or 0)
    known = previous not in LAYOUTS.values() and _layout_node().IsLayoutDescription(previous)
    slicer.app.layoutManager().setLayout(previous if known else slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


def orient(parameters: HierSynthParameters) -> None:
    """Turn the views to the chosen plane, of the patient or of the reference."""
    for name in views.ORTHOGONAL.values():
        node = views.slice_node(name)
        if node is not None:
            node.SetOrientationToDefault()
            _align(node, parameters)
    for name in views.COMPARED:
        node = views.slice_node(name)
        if node is not None:
            node.SetOrientation(parameters.orientation.capitalize())
            _align(node, parameters)


def is_comparing() -> bool:
    """Whether a layout with a view for each map is on the screen."""
    numbers = [number for (layout, _), number in LAYOUTS.items() if layout in COMPARING]
    return current() in numbers


def places(parameters: HierSynthParameters) -> dict[str, Place]:
    """Where in the anatomy the middle of each slice view lies, for those views that show the reference."""
    found = {}
    for name in (*views.ORTHOGONAL.values(), *views.COMPARED):
        composite, reference = views.composite_node(name), parameters.reference
        if composite is not None and reference is not None and composite.GetBackgroundVolumeID() == reference.GetID():
            matrix = views.slice_node(name).GetSliceToRAS()
            found[name] = tuple(matrix.GetElement(row, 3) for row in range(3))
    return found


def carried(before: dict[str, Place], compared: bool, orientation: str) -> dict[str, Place]:
    """The places of the views after another layout was chosen.

    Args:
        before: the places before.
        compared: whether the layout before had a view for each map.
        orientation: "axial", "coronal" or "sagittal", of the views of a layout that has.

    Returns:
        The same places, but the slice that the user looked at in the one layout is the slice in the other, too.
    """
    plane = views.ORTHOGONAL[orientation]
    source = views.SYNTHETIC_VIEW if compared else plane
    targets = views.COMPARED if is_comparing() else (plane,)
    return before | dict.fromkeys(targets, before[source]) if source in before else before


def go_to(where: dict[str, Place]) -> None:
    """Move slice views so that they cut through their places."""
    for name, place in where.items():
        node = views.slice_node(name)
        if node is not None:
            node.JumpSliceByOffsetting(*place)


def fit(names: Iterable[str]) -> None:
    """Show the whole anatomy in these slice views."""
    for name in names:
        logic = views.slice_logic(name)
        if logic is not None:
            logic.FitSliceToBackground()


def _layout_node() -> Any:
    return slicer.app.layoutManager().layoutLogic().GetLayoutNode()


def _number(parameters: HierSynthParameters) -> int:
    with_plane = (parameters.layout, parameters.orientation)
    return LAYOUTS[with_plane if with_plane in LAYOUTS else (parameters.layout, None)]


def _align(node: Any, parameters: HierSynthParameters) -> None:
    reference = parameters.reference
    if parameters.alignToReference and reference is not None and not nodes.is_under_warp(reference):
        node.RotateToVolumePlane(reference)
        slicer.app.applicationLogic().GetSliceLogic(node).SnapSliceOffsetToIJK()


def _set_up_compared_views() -> None:
    for name, composite in views.compared_composites().items():
        # Only views of one group follow each other, and a loaded scene changes the group.
        views.slice_node(name).SetViewGroup(VIEW_GROUP)
        # What other modules load must not replace the maps.
        composite.SetDoPropagateVolumeSelection(False)
        composite.SetLinkedControl(True)
        composite.SetHotLinkedControl(True)
        # Linked are place, zoom and opacity, but not the volumes: each view keeps its own map.
        composite.SetInteractionFlagsModifier(
            composite.LabelVolumeFlag | composite.LabelOpacityFlag | composite.ForegroundOpacityFlag
        )
