"""Puts the nodes of the scene into the subject hierarchy.

Followed: Modules/Loadable/SubjectHierarchy/Widgets/qSlicerSubjectHierarchyPluginLogic.cxx of Slicer, and
canAddNodeToSubjectHierarchy() of the plugins of Volumes, Segmentations, Transforms, Models, Markups, Tables, Plots
and Texts.
"""

from __future__ import annotations

from typing import Any

import slicer

from Testing.host.observers import Observers

PLUGIN_OF_CLASS = {
    "vtkMRMLLabelMapVolumeNode": "LabelMaps",
    "vtkMRMLScalarVolumeNode": "Volumes",
    "vtkMRMLSegmentationNode": "Segmentations",
    "vtkMRMLTransformNode": "Transforms",
    "vtkMRMLModelNode": "Models",
    "vtkMRMLMarkupsNode": "Markups",
    "vtkMRMLTableNode": "Tables",
    "vtkMRMLPlotChartNode": "Plots",
    "vtkMRMLPlotSeriesNode": "Plots",
    "vtkMRMLTextNode": "Texts",
}
"""The first class that fits is taken."""


class SubjectHierarchyLogic:
    """Follows the scene: every data node that is not hidden has one item."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._observers = Observers()
        events = slicer.vtkMRMLScene
        self._observers.add(scene, events.NodeAddedEvent, self._on_added, node=True)
        self._observers.add(scene, events.NodeAboutToBeRemovedEvent, self._on_about_to_be_removed, node=True)
        self._observers.add(scene, events.NodeRemovedEvent, self._on_removed, node=True)
        self._observers.add(scene, events.EndImportEvent, self._resolve, 10.0)
        self._observers.add(scene, events.EndBatchProcessEvent, self._resolve, 10.0)
        self._observers.add(scene, events.EndCloseEvent, self._on_closed)

    def _on_added(self, scene: Any, node: Any) -> None:
        if node.IsA("vtkMRMLSubjectHierarchyNode"):
            slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
        elif not scene.IsImporting():
            self._add(node)

    def _on_about_to_be_removed(self, scene: Any, node: Any) -> None:
        if scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _on_removed(self, scene: Any, node: Any) -> None:
        if not scene.IsClosing() and node.IsA("vtkMRMLSubjectHierarchyNode"):
            self._resolve()

    def _on_closed(self, scene: Any) -> None:
        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)

    def _resolve(self, *_: Any) -> None:
        # Within a batch the imported hierarchy is not merged yet, and its nodes would get a second item.
        if self._scene.IsBatchProcessing():
            return
        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self._scene)
        for index in range(self._scene.GetNumberOfNodes()):
            self._add(self._scene.GetNthNode(index))

    def _add(self, node: Any) -> None:
        plugin = next((plugin for name, plugin in PLUGIN_OF_CLASS.items() if node.IsA(name)), None)
        if plugin is None or node.GetHideFromEditors():
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node, plugin)
