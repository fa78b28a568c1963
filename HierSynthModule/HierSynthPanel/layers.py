"""Which volumes lie in which slice views."""

from typing import Any

import slicer

from HierSynthPanel import nodes, views
from HierSynthPanel.parameters import HierSynthParameters


def acquired_map(parameters: HierSynthParameters) -> Any:
    """The acquired map to compare with: where there is one on the grid of the synthetic map, that one."""
    return parameters.acquiredOnGrid or parameters.acquired


def overlay_map(parameters: HierSynthParameters, second: bool = False) -> Any:
    """The map that lies over the anatomy, or None.

    Args:
        parameters: the panel's.
        second: the other map of the flicker; None where nothing was acquired.
    """
    if second:
        return acquired_map(parameters)
    if parameters.layout == "curves" and parameters.acquired is not None:
        return parameters.acquired
    if parameters.checkerboardShown and parameters.checkerboard is not None:
        return parameters.checkerboard
    return parameters.synthetic


def fill(parameters: HierSynthParameters, second: bool = False) -> list[str]:
    """Put reference and maps into the slice views.

    Args:
        parameters: the panel's.
        second: show the other map of the flicker.

    Returns:
        Names of the views that show another anatomy than before, so that they should be fitted to it.
    """
    if parameters.synthetic is None:
        return []
    over = overlay_map(parameters, second)
    maps = {composite.GetLayoutName(): over for composite in views.overlay_composites()}
    compared = {
        views.SYNTHETIC_VIEW: parameters.synthetic,
        views.ACQUIRED_VIEW: acquired_map(parameters),
        views.DIFFERENCE_VIEW: parameters.difference,
    }
    maps |= {name: compared[name] for name in views.compared_composites()}
    return [name for name, node in maps.items() if _lay(name, parameters.reference, node, parameters.opacity)]


def set_opacity(parameters: HierSynthParameters, visible: float = 1.0) -> None:
    """Show the maps that lie over the anatomy with the chosen opacity.

    Args:
        parameters: the panel's.
        visible: share of that opacity, 0 to 1, while they are faded.
    """
    for composite in _composites():
        if is_map(_node(composite.GetForegroundVolumeID()), parameters):
            composite.SetForegroundOpacity(parameters.opacity * visible)


def is_shown(parameters: HierSynthParameters) -> bool:
    """Whether a map lies over the anatomy in any slice view."""
    return any(is_map(_node(composite.GetForegroundVolumeID()), parameters) for composite in _composites())


def is_map(node: Any, parameters: HierSynthParameters) -> bool:
    """Whether a node is a map of HierSynth or the acquired map that it is compared with."""
    return node is not None and (node.GetAttribute(nodes.MAP) is not None or node == parameters.acquired)


def _composites() -> list[Any]:
    return [*views.overlay_composites(), *views.compared_composites().values()]


def _node(node_id: str | None) -> Any:
    return slicer.mrmlScene.GetNodeByID(node_id) if node_id else None


def _lay(name: str, reference: Any, over: Any, opacity: float) -> bool:
    composite = views.composite_node(name)
    # Without its anatomy a map lies at the bottom, where views take their place and size from.
    background, foreground = (reference, over) if reference is not None else (over, None)
    before = composite.GetBackgroundVolumeID()
    # Colour legends follow the layers only when these flags say, as a view's own controls do, that layers change.
    composite.SetInteractionFlags(composite.BackgroundVolumeFlag | composite.ForegroundVolumeFlag)
    with slicer.util.NodeModify(composite):
        composite.SetBackgroundVolumeID(background.GetID() if background is not None else None)
        composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
        composite.SetForegroundOpacity(opacity)
    composite.SetInteractionFlags(0)
    return composite.GetBackgroundVolumeID() != before
