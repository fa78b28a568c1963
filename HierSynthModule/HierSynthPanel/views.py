"""The views that the maps are shown in, found by their names."""

from typing import Any

import slicer

ORTHOGONAL = {"axial": "Red", "coronal": "Green", "sagittal": "Yellow"}
"""Slicer's own slice views by the plane that they show at first; the map lies over the anatomy there."""

SYNTHETIC_VIEW = "HierSynthSynthetic"
ACQUIRED_VIEW = "HierSynthAcquired"
DIFFERENCE_VIEW = "HierSynthDifference"
COMPARED = (SYNTHETIC_VIEW, ACQUIRED_VIEW, DIFFERENCE_VIEW)
"""HierSynth's slice views that show one map each, beside each other."""

VOLUME_VIEW = "HierSynthVolume"
"""HierSynth's 3-D view."""

HISTOGRAM_VIEW = "HierSynthHistogram"
SCATTER_VIEW = "HierSynthScatter"
BLAND_ALTMAN_VIEW = "HierSynthBlandAltman"
"""HierSynth's plot views."""

SIGNAL_VIEW = "HierSynthDscSignal"
RELAXATION_VIEW = "HierSynthDscRelaxation"
"""Its plot views of a DSC series."""


def slice_node(name: str) -> Any:
    """The vtkMRMLSliceNode of a slice view, or None while there is no such view."""
    return slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceNode")


def composite_node(name: str) -> Any:
    """The vtkMRMLSliceCompositeNode of a slice view, which names its layers, or None while there is no such view."""
    return slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode")


def volume_view_node() -> Any:
    """The vtkMRMLViewNode of HierSynth's 3-D view, or None while there is no such view."""
    return slicer.mrmlScene.GetSingletonNode(VOLUME_VIEW, "vtkMRMLViewNode")


def plot_view_node(name: str) -> Any:
    """The vtkMRMLPlotViewNode of a plot view, or None while there is no such view."""
    return slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLPlotViewNode")


def slice_logic(name: str) -> Any:
    """The vtkMRMLSliceLogic of a slice view, or None while there is no such view."""
    node = slice_node(name)
    return slicer.app.applicationLogic().GetSliceLogic(node) if node is not None else None


def volume_widget() -> Any:
    """The qMRMLThreeDWidget of HierSynth's 3-D view, or None while there is no such view."""
    manager, node = slicer.app.layoutManager(), volume_view_node()
    for number in range(manager.threeDViewCount):
        widget = manager.threeDWidget(number)
        if widget.threeDView().mrmlViewNode() == node:
            return widget
    return None


def overlay_composites() -> list[Any]:
    """The layers of all slice views that show what the user loads; other modules' private views are left alone."""
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return [
        node for node in composites if node.GetDoPropagateVolumeSelection() and node.GetLayoutName() not in COMPARED
    ]


def compared_composites() -> dict[str, Any]:
    """The layers of HierSynth's compare views that exist, by view name."""
    found = {name: composite_node(name) for name in COMPARED}
    return {name: node for name, node in found.items() if node is not None}
