"""What a reader sees in the views: the maps alike in everything, the anatomy beside them, and nothing else."""

from collections.abc import Sequence
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.protocol import DisplaySettings
from HierSynthLib.reader_study.study import Presentation
from HierSynthPanel import nodes, reading_layout, views
from HierSynthPanel.color_maps import CBV_MAPS, color_node
from HierSynthPanel.map_style import LEGEND_PLACE, LEGEND_SIZE
from HierSynthPanel.reading_images import Images, Shown

FREE_OF = "vtkMRMLDisplayableNode"
"""Nodes of these classes could tell something, or be taken for what is read."""


class ReadingViews:
    """Owns the nodes of the reading: one volume for each view, filled anew for each presentation.

    Attributes:
        plane: "Axial", "Coronal" or "Sagittal".
    """

    def __init__(self) -> None:
        self.plane = reading_layout.PLANES[0]
        self._previous_layout = 0
        self._names: tuple[str, ...] = ()
        self._volumes: dict[str, Any] = {}
        self._display: DisplaySettings | None = None
        self._color: Any = None
        self._visible = False
        self._filled_with = ""

    def open(self, display: DisplaySettings) -> None:
        """Begin: maps are shown like this from now on.

        Raises:
            InputError: the colour map is not known, or something else is in the scene.
        """
        require_empty_scene()
        self._color = _named_color(display.color_map)
        self._display = display
        self._filled_with = ""
        self._previous_layout = reading_layout.current()

    @property
    def leading(self) -> Any:
        """The vtkMRMLSliceNode of the first map, which the others follow; None before anything was shown."""
        return views.slice_node(self._names[0]) if self._names else None

    def show(self, presentation: Presentation, images: Images) -> None:
        """Show a presentation from its middle slice, or where the reader was when it is shown again after a pause."""
        if self._filled_with == presentation.id:
            self.set_visible(True)
            return
        self._filled_with = presentation.id
        maps, sources = presentation.images, presentation.sources
        self._names = reading_layout.view_names(len(maps), len(sources))
        reading_layout.choose(len(maps), len(sources))
        titles = [*_titles_of_maps(presentation), *sources]
        for name, title, image in zip(self._names, titles, (*maps, *sources.values()), strict=True):
            node = self._volumes.get(name) or self._new_volume(name)
            node.SetName(title)
            self._fill(node, images[image], is_map=image in maps)
            views.slice_node(name).SetLayoutLabel(title)
        self.set_visible(True)
        reading_layout.orient(self._names, self.plane)
        reading_layout.fit(self._names)
        # Views get their sizes a moment after they were made.
        qt.QTimer.singleShot(0, self._fit_again)

    def set_visible(self, visible: bool) -> None:
        """Show the images, or nothing."""
        self._visible = visible
        for name, node in self._volumes.items():
            composite = views.composite_node(name)
            if composite is not None:
                # Colour legends follow the layers only when these flags say that they change.
                composite.SetInteractionFlags(composite.BackgroundVolumeFlag | composite.ForegroundVolumeFlag)
                composite.SetBackgroundVolumeID(node.GetID() if visible and name in self._names else None)
                composite.SetForegroundVolumeID(None)
                composite.SetLabelVolumeID(None)
                composite.SetInteractionFlags(0)

    def set_plane(self, plane: str) -> None:
        """Turn all views to "Axial", "Coronal" or "Sagittal"."""
        self.plane = plane
        reading_layout.orient(self._names, plane)
        reading_layout.fit(self._names)

    def close(self) -> None:
        """Take everything out of the scene, and show the layout of before."""
        self.set_visible(False)
        for node in self._volumes.values():
            remove_with_displays(node)
        self._volumes.clear()
        self._names = ()
        reading_layout.leave(self._previous_layout)

    def forget(self) -> None:
        """The scene goes with everything that is in it."""
        self._volumes.clear()
        self._names = ()

    def _new_volume(self, name: str) -> Any:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", _("Image"))
        # The study is no part of a scene that the reader may save.
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        # Before there are voxels, or Slicer would look for a window among them.
        display.SetAutoWindowLevel(False)
        self._volumes[name] = node
        return node

    def _fill(self, node: Any, shown: Shown, *, is_map: bool) -> None:
        nodes.place(node, shown.affine)
        node.SetAndObserveImageData(shown.image)
        display = node.GetScalarVolumeDisplayNode()
        with slicer.util.NodeModify(display):
            display.SetInterpolate(True)
            display.SetApplyThreshold(False)
            color = self._color if is_map else color_node(CBV_MAPS["Grey"])
            display.SetAndObserveColorNodeID(color.GetID())
            display.SetWindowLevelMinMax(*(self._display.window if is_map else shown.window))
        if is_map:
            _show_legend(display)

    def _fit_again(self) -> None:
        if self._visible:
            reading_layout.fit(self._names)


def require_empty_scene() -> None:
    """Raise `InputError` when the scene holds anything that a reader could take for what is read, or learn from."""
    found = [node for node in slicer.util.getNodesByClass(FREE_OF) if not node.GetHideFromEditors()]
    if found:
        raise InputError(
            f"The scene is not empty ({len(found)} images, regions or models).",
            "Save what you need, close it (File → Close Scene), then sign in again.",
        )


def remove_with_displays(node: Any) -> None:
    """Take a node and what shows it out of the scene."""
    scene = slicer.mrmlScene
    displays = [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
    # What refers to another display node goes first.
    for each in (*reversed(displays), node):
        if nodes.present(each):
            scene.RemoveNode(each)


def _titles_of_maps(presentation: Presentation) -> Sequence[str]:
    if presentation.labels:
        return presentation.labels
    return (_("Map"),) if len(presentation.images) == 1 else (_("A (left)"), _("B (right)"))


def _named_color(name: str) -> Any:
    for color_map in CBV_MAPS.values():
        if name == (color_map.name or color_map.built_in):
            return color_node(color_map)
    known = ", ".join(each.name or each.built_in for each in CBV_MAPS.values())
    raise InputError(f'The colour map "{name}" of the study is not known.', f"Known are {known}.")


def _show_legend(display: Any) -> None:
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(display)
    with slicer.util.NodeModify(legend):
        legend.SetSaveWithScene(False)
        legend.SetTitleText("nrCBV")
        legend.SetPosition(*LEGEND_PLACE)
        legend.SetSize(*LEGEND_SIZE)
        legend.SetVisibility(True)
