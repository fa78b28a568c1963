"""The area with the views, arranged as the scene's layout node says.

Followed: qMRMLLayoutManager.cxx, qSlicerLayoutManager.cxx, and ctkLayoutManager.cpp of CTK (one viewport);
qSlicerCoreApplication.cxx (drawing pauses when the application logic asks for it).
"""

from __future__ import annotations

import slicer
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QLayout, QVBoxLayout, QWidget
from vtkmodules.vtkCommonCore import vtkCollection, vtkCommand
from vtkmodules.vtkCommonDataModel import vtkXMLDataElement
from vtkmodules.vtkIOXMLParser import vtkXMLUtilities

from Testing.host.observers import Observers
from Testing.host.views.displayable_managers import register_displayable_managers
from Testing.host.views.layout_builder import LayoutBuilder
from Testing.host.views.plot_widget import PlotWidget
from Testing.host.views.scheduler import RenderScheduler
from Testing.host.views.slice_widget import SliceWidget
from Testing.host.views.threed_widget import ThreeDWidget
from Testing.host.views.view_factory import (
    placeholder_factory,
    plot_view_factory,
    slice_view_factory,
    threed_view_factory,
)
from Testing.host.views.view_properties import apply_properties


class LayoutManager(QObject):
    """Creates a widget for every view node of the scene and arranges those of the current layout."""

    layoutChanged = Signal(int)

    def __init__(self, app_logic, scene, parent: QObject | None = None) -> None:
        """Shows the layout of the scene's layout node.

        Args:
            app_logic: vtkMRMLApplicationLogic; receives the collections of slice logics and view logics.
            scene: vtkMRMLScene.
            parent: Parent object.
        """
        super().__init__(parent)
        register_displayable_managers(app_logic)
        self._app_logic = app_logic
        self._scene = scene
        self._layout_node = None
        self._pause_count = 0
        self._observers = Observers()
        self._viewport = QWidget()
        self._viewport.setObjectName("CentralWidgetLayoutFrame")
        self._viewport_layout = QVBoxLayout(self._viewport)
        self._viewport_layout.setContentsMargins(0, 0, 0, 0)
        # No layout may make the window larger.
        self._viewport_layout.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        self._arrangement: QWidget | None = None
        self._scheduler = RenderScheduler(self)
        self._slices = slice_view_factory(app_logic, scene, self._scheduler, self._viewport)
        self._threeds = threed_view_factory(app_logic, scene, self._scheduler, self._viewport)
        self._tables = placeholder_factory("vtkMRMLTableViewNode", self._viewport)
        self._plots = plot_view_factory(scene, self._scheduler, self._viewport)
        self._factories = (self._slices, self._threeds, self._tables, self._plots)
        app_logic.SetSliceLogics(self._slices.logics)
        app_logic.SetViewLogics(self._threeds.logics)
        self._observers.add(app_logic, app_logic.PauseRenderEvent, self._on_pause_requested)
        self._observers.add(app_logic, app_logic.ResumeRenderEvent, self._on_resume_requested)
        self._layout_logic = slicer.vtkMRMLLayoutLogic()
        # The logic before this object's observers: it must have put the scene in order when they are called.
        self._layout_logic.SetMRMLScene(scene)
        self._observe_scene()
        self._update_from_scene()

    def viewport(self) -> QWidget:
        """The widget that holds the views."""
        return self._viewport

    def mrmlScene(self):
        """The vtkMRMLScene."""
        return self._scene

    def layoutLogic(self):
        """The vtkMRMLLayoutLogic."""
        return self._layout_logic

    @property
    def layout(self) -> int:
        """Number of the view arrangement."""
        if self._layout_node is None:
            return int(slicer.vtkMRMLLayoutNode.SlicerLayoutNone)
        return int(self._layout_node.GetViewArrangement())

    @layout.setter
    def layout(self, arrangement: int) -> None:
        self.setLayout(arrangement)

    def setLayout(self, arrangement: int) -> None:
        """Shows a view arrangement; Slicer's conventional one if the number is unknown."""
        if self.layout == arrangement or self._layout_node is None:
            return
        if not self._layout_node.IsLayoutDescription(arrangement):
            arrangement = slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView
        self._layout_node.RemoveAllMaximizedViewNodes()
        self._layout_node.SetViewArrangement(arrangement)

    def sliceViewNames(self) -> tuple[str, ...]:
        """Names of all slice views, shown or not."""
        return tuple(self._slices.names())

    def sliceWidget(self, name: str) -> SliceWidget | None:
        """The slice view of that name."""
        return self._slices.widget_named(name)

    @property
    def threeDViewCount(self) -> int:
        """Number of 3-D views, shown or not."""
        return len(self._threeds.widgets())

    def threeDWidget(self, view: int | str) -> ThreeDWidget | None:
        """The 3-D view with that index or name."""
        if isinstance(view, str):
            return self._threeds.widget_named(view)
        widgets = self._threeds.widgets()
        return widgets[view] if 0 <= view < len(widgets) else None

    @property
    def tableViewCount(self) -> int:
        """Number of table views."""
        return len(self._tables.widgets())

    @property
    def plotViewCount(self) -> int:
        """Number of plot views."""
        return len(self._plots.widgets())

    def plotWidget(self, index: int) -> PlotWidget | None:
        """The plot view with that index."""
        widgets = self._plots.widgets()
        return widgets[index] if 0 <= index < len(widgets) else None

    def viewWidget(self, view_node) -> QWidget | None:
        """The view of a view node."""
        return next(
            (widget for factory in self._factories if (widget := factory.widget_of(view_node)) is not None), None
        )

    def viewWidgets(self) -> list[QWidget]:
        """All views, shown or not."""
        return [widget for factory in self._factories for widget in factory.widgets()]

    def mrmlSliceLogics(self) -> vtkCollection:
        """The vtkMRMLSliceLogic of every slice view."""
        return self._slices.logics

    def mrmlViewLogics(self) -> vtkCollection:
        """The vtkMRMLViewLogic of every 3-D view."""
        return self._threeds.logics

    def activeMRMLThreeDViewNode(self):
        """The vtkMRMLViewNode of the first 3-D view, or None."""
        widget = self.threeDWidget(0)
        return widget.mrmlViewNode() if widget is not None else None

    def resetSliceViews(self) -> None:
        """Fits every slice view to its background volume."""
        for name in self.sliceViewNames():
            self.sliceWidget(name).sliceController().fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        """Shows everything in every 3-D view."""
        for widget in self._threeds.widgets():
            widget.threeDView().resetFocalPoint()
            widget.threeDView().resetCamera()

    def setRenderPaused(self, paused: bool) -> None:
        """Pauses or resumes the drawing of all views."""
        for widget in (*self._slices.widgets(), *self._threeds.widgets()):
            widget.viewWidget().setRenderPaused(paused)
        self._pause_count = max(self._pause_count + (1 if paused else -1), 0)

    def pauseRender(self) -> None:
        """Pauses the drawing of all views until resumeRender() was called as often."""
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        """Ends one pause."""
        self.setRenderPaused(False)

    def allViewsPauseRenderCount(self) -> int:
        """Number of pauses."""
        return self._pause_count

    def scheduler(self) -> RenderScheduler:
        """What decides when views are drawn."""
        return self._scheduler

    def finalize(self) -> None:
        """Destroys the views and removes every observer, before the application ends."""
        self._observers.clear()
        self._clear_arrangement()
        for factory in self._factories:
            factory.remove_all()
        self._app_logic.SetSliceLogics(None)
        self._app_logic.SetViewLogics(None)
        self._layout_logic.SetMRMLScene(None)
        self._layout_node = None

    def _observe_scene(self) -> None:
        scene = self._scene
        self._observers.add(scene, scene.NodeAddedEvent, self._on_node_added, node=True)
        self._observers.add(scene, scene.NodeRemovedEvent, self._on_node_removed, node=True)
        self._observers.add(scene, scene.EndBatchProcessEvent, self._update_from_scene)
        self._observers.add(scene, scene.EndRestoreEvent, self._on_restored)
        self._observers.add(scene, scene.StartCloseEvent, self._clear_arrangement)
        self._observers.add(scene, scene.EndCloseEvent, self._on_closed)

    def _on_pause_requested(self, _app_logic) -> None:
        self.pauseRender()

    def _on_resume_requested(self, _app_logic) -> None:
        self.resumeRender()

    def _on_node_added(self, _scene, node) -> None:
        if self._scene.IsBatchProcessing():
            return
        if node.IsA("vtkMRMLLayoutNode") and self._layout_node is None:
            self._set_layout_node(node)
        elif node.IsA("vtkMRMLAbstractViewNode"):
            self._add_view(node)

    def _on_node_removed(self, _scene, node) -> None:
        if node is self._layout_node:
            self._set_layout_node(None)
        elif node.IsA("vtkMRMLAbstractViewNode"):
            for factory in self._factories:
                factory.remove(node)

    def _on_restored(self, *_) -> None:
        if self._layout_node is not None:
            self._layout_node.Modified()

    def _on_closed(self, *_) -> None:
        if not self._scene.IsBatchProcessing():
            self._update_from_scene()

    def _update_from_scene(self, *_) -> None:
        for node in self._nodes_of_class("vtkMRMLAbstractViewNode"):
            self._add_view(node)
        self._set_layout_node(self._layout_logic.GetLayoutNode())

    def _add_view(self, node) -> None:
        """A view node with a layout node of its own belongs to another window."""
        if node.GetParentLayoutNode() is not None or self.viewWidget(node) is not None:
            return
        for factory in self._factories:
            factory.add(node)
        if node.IsA("vtkMRMLSliceNode") or node.IsA("vtkMRMLViewNode"):
            for _ in range(self._pause_count):
                self.viewWidget(node).viewWidget().pauseRender()

    def _set_layout_node(self, node) -> None:
        if self._layout_node is not None:
            self._observers.remove_from(self._layout_node)
        self._layout_node = node
        if node is not None:
            self._observers.add(node, vtkCommand.ModifiedEvent, self._on_layout_modified)
        self._on_layout_modified()

    def _on_layout_modified(self, *_) -> None:
        if not self._scene.IsBatchProcessing():
            self._arrange()

    def _arrange(self) -> None:
        if self.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutCustomView:
            return
        self._viewport.setUpdatesEnabled(False)
        self._clear_arrangement()
        for factory in self._factories:
            factory.unmap_all()
        root = self._layout_element()
        if root is not None:
            self._arrangement = LayoutBuilder(self._views_of).build(root, self._viewport)
            self._viewport_layout.addWidget(self._arrangement)
            self._arrangement.show()
        self._viewport.setUpdatesEnabled(True)
        self.layoutChanged.emit(self.layout)

    def _layout_element(self) -> vtkXMLDataElement | None:
        """The `layout` element of the main viewport."""
        description = self._layout_node.GetCurrentLayoutDescription() if self._layout_node is not None else None
        if not description:
            return None
        for index in range(self._layout_node.GetNumberOfMaximizedViewNodes()):
            view = self._layout_node.GetMaximizedViewNode(index)
            description = self._layout_logic.GetMaximizedViewLayoutDescription(view, description)
        root = vtkXMLUtilities.ReadElementFromString(description)
        if root is not None and root.GetName() == "viewports":
            return root.FindNestedElementWithNameAndAttribute("layout", "name", "") or root.GetNestedElement(0)
        return root

    def _views_of(self, element: vtkXMLDataElement, multiple: bool) -> list[QWidget]:
        """Widgets of a `view` element, marked as shown in their view nodes."""
        nodes = self._view_nodes(element)
        widgets = []
        for node in nodes if multiple else nodes[:1]:
            self._add_view(node)
            apply_properties(element, node, "relayout")
            widget = self.viewWidget(node)
            if widget is None:
                continue
            node.SetMappedInLayout(True)
            widget.setVisible(bool(node.GetVisibility()))
            widget.setWindowTitle(node.GetName())
            widgets.append(widget)
        return widgets

    def _view_nodes(self, element: vtkXMLDataElement) -> list:
        """View nodes with the class and tag of a `view` element; the layout logic has created them."""
        tag = element.GetAttribute("singletontag")
        nodes = self._nodes_of_class(element.GetAttribute("class"))
        return [node for node in nodes if tag is None or node.GetSingletonTag() == tag]

    def _nodes_of_class(self, name: str) -> list:
        count = self._scene.GetNumberOfNodesByClass(name)
        return [self._scene.GetNthNodeByClass(index, name) for index in range(count)]

    def _clear_arrangement(self, *_) -> None:
        """Takes the views out of their layout, hidden, and destroys what held them."""
        if self._arrangement is None:
            return
        self._arrangement.hide()
        for widget in self.viewWidgets():
            widget.hide()
            widget.setParent(self._viewport)
        self._viewport_layout.removeWidget(self._arrangement)
        self._arrangement.deleteLater()
        self._arrangement = None
