"""The layouts in which a reader sees maps and anatomy: linked slice views without names that tell anything."""

from typing import Any

import slicer

from HierSynthPanel import views

FIRST_NUMBER = 48300
"""Slicer knows the layout of M maps and S images beside as this number + 10 M + S."""

VIEW_GROUP = 4830
COLOR = "#808080"
"""The same for all views."""

MAP_VIEWS = ("HierSynthReadingA", "HierSynthReadingB")
SOURCE_VIEWS = tuple(f"HierSynthReading{number}" for number in range(1, 10))

PLANES = ("Axial", "Coronal", "Sagittal")


def view_names(maps: int, sources: int) -> tuple[str, ...]:
    """The views of a layout: those of the maps, then those of the images beside."""
    return (*MAP_VIEWS[:maps], *SOURCE_VIEWS[:sources])


def choose(maps: int, sources: int) -> None:
    """Show the layout for so many maps and images beside, its views linked."""
    number, node = FIRST_NUMBER + 10 * maps + sources, _layout_node()
    if not node.IsLayoutDescription(number):
        node.AddLayoutDescription(number, _description(maps, sources))
    if current() != number:
        slicer.app.layoutManager().setLayout(number)
    for name in view_names(maps, sources):
        composite = views.composite_node(name)
        # What other modules load must not replace what is read.
        composite.SetDoPropagateVolumeSelection(False)
        composite.SetLinkedControl(True)
        composite.SetHotLinkedControl(True)
        # Only views of one group follow each other, and a loaded scene changes the group.
        views.slice_node(name).SetViewGroup(VIEW_GROUP)
        # Linked are place and zoom, but not the volumes: each view keeps its own.
        composite.SetInteractionFlagsModifier(composite.LabelVolumeFlag | composite.LabelOpacityFlag)


def current() -> int:
    """The number of the layout on the screen."""
    return _layout_node().GetViewArrangement()


def leave(previous: int) -> None:
    """Show the layout that the user had before, unless another one was chosen since."""
    if FIRST_NUMBER < current() < FIRST_NUMBER + 100:
        known = _layout_node().IsLayoutDescription(previous)
        slicer.app.layoutManager().setLayout(previous if known else slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


def orient(names: tuple[str, ...], plane: str) -> None:
    """Turn views to a plane of the patient."""
    for name in names:
        views.slice_node(name).SetOrientation(plane)


def fit(names: tuple[str, ...]) -> None:
    """Show the whole of what each view shows, from its middle."""
    for name in names:
        logic = views.slice_logic(name)
        if logic is not None:
            logic.FitSliceToBackground()


def _layout_node() -> Any:
    return slicer.app.layoutManager().layoutLogic().GetLayoutNode()


def _description(maps: int, sources: int) -> str:
    """One map has the images beside it, two have them below."""
    names = view_names(maps, sources)
    across, along = ("horizontal", "vertical") if maps == 1 else ("vertical", "horizontal")
    main = _row(names[:maps], "horizontal")
    if not sources:
        return main
    rest = _row(names[maps:], along)
    return (
        f'<layout type="{across}" split="true"><item splitSize="640">{main}</item>'
        f'<item splitSize="360">{rest}</item></layout>'
    )


def _row(names: tuple[str, ...], kind: str) -> str:
    items = "".join(f"<item>{_view(name)}</item>" for name in names)
    return f'<layout type="{kind}">{items}</layout>'


def _view(name: str) -> str:
    return (
        f'<view class="vtkMRMLSliceNode" singletontag="{name}">'
        '<property name="orientation" action="default">Axial</property>'
        '<property name="viewlabel" action="default">–</property>'
        f'<property name="viewcolor" action="default">{COLOR}</property>'
        f'<property name="viewgroup" action="default">{VIEW_GROUP}</property></view>'
    )
