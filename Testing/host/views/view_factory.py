"""Creates one widget per view node and keeps it for as long as the node is in the scene.

Followed: qMRMLLayoutViewFactory.cxx; the factories of each kind in qMRMLLayoutManager.cxx.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget
from vtkmodules.vtkCommonCore import vtkCollection, vtkCommand

from Testing.host.observers import Observers
from Testing.host.views.plot_widget import PlotWidget
from Testing.host.views.scheduler import RenderScheduler
from Testing.host.views.slice_widget import SliceWidget
from Testing.host.views.threed_widget import ThreeDWidget


class ViewFactory:
    """The views of one class of view node, in the order in which their nodes were added."""

    def __init__(self, view_class: str, create: Callable[[Any, vtkCollection], QWidget]) -> None:
        """Names the class.

        Args:
            view_class: Class name of the view nodes, such as "vtkMRMLSliceNode".
            create: Returns the widget of a view node, ready to be shown, and adds its logic to the collection.
        """
        self._view_class = view_class
        self._create = create
        self._views: list[tuple[Any, QWidget]] = []
        self._observers = Observers()
        self.logics = vtkCollection()

    @property
    def view_class(self) -> str:
        """Class name of the view nodes."""
        return self._view_class

    def widgets(self) -> list[QWidget]:
        """All widgets."""
        return [widget for _node, widget in self._views]

    def names(self) -> list[str]:
        """Names of the view nodes."""
        return [node.GetName() for node, _widget in self._views]

    def widget_named(self, name: str) -> QWidget | None:
        """The widget whose view node is called `name`."""
        return next((widget for node, widget in self._views if node.GetName() == name), None)

    def widget_of(self, view_node) -> QWidget | None:
        """The widget of `view_node`."""
        return next((widget for node, widget in self._views if node is view_node), None)

    def add(self, view_node) -> None:
        """Creates the hidden widget of `view_node` if it is of this factory's class and has none."""
        if not view_node.IsA(self._view_class) or self.widget_of(view_node) is not None:
            return
        widget = self._create(view_node, self.logics)
        widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        widget.hide()
        self._views.append((view_node, widget))
        self._observers.add(view_node, vtkCommand.ModifiedEvent, self._on_node_modified)

    def remove(self, view_node) -> None:
        """Destroys the widget of `view_node`, if there is one."""
        widget = self.widget_of(view_node)
        if widget is None:
            return
        self._observers.remove_from(view_node)
        self._views = [view for view in self._views if view[0] is not view_node]
        if widget.logic() is not None:
            self.logics.RemoveItem(widget.logic())
        widget.hide()
        widget.setMRMLScene(None)
        widget.finalize()
        widget.deleteLater()

    def remove_all(self) -> None:
        """Destroys all widgets."""
        for node, _widget in list(self._views):
            self.remove(node)

    def unmap_all(self) -> None:
        """Tells every view node that it is in no layout."""
        for node, _widget in self._views:
            node.SetMappedInLayout(False)

    def _on_node_modified(self, node) -> None:
        widget = self.widget_of(node)
        # A view without parent is between two layouts; showing it would open a window.
        if widget is not None and widget.parentWidget() is not None:
            widget.setVisible(bool(node.IsViewVisibleInLayout()))


class PlaceholderView(QLabel):
    """Stands for a view of tables, which nothing here draws."""

    def __init__(self, view_node, parent: QWidget | None = None) -> None:
        super().__init__(view_node.GetName(), parent)
        self._view_node = view_node
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)

    def mrmlAbstractViewNode(self):
        """The view node."""
        return self._view_node

    def logic(self) -> None:
        """There is none."""

    def setMRMLScene(self, _scene) -> None:
        """Nothing of the scene is shown."""

    def finalize(self) -> None:
        """Nothing to free."""


def slice_view_factory(app_logic, scene, scheduler: RenderScheduler, viewport: QWidget) -> ViewFactory:
    """Factory of slice views."""

    def create(view_node, logics: vtkCollection) -> SliceWidget:
        widget = SliceWidget(app_logic, scheduler, viewport)
        widget.setObjectName(f"qMRMLSliceWidget{view_node.GetLayoutName()}")
        # The displayable managers look for the slice logic when they are given their node.
        logics.AddItem(widget.sliceLogic())
        # Node before scene: the logic names its own nodes after the slice node.
        widget.setMRMLSliceNode(view_node)
        widget.setMRMLScene(scene)
        return widget

    return ViewFactory("vtkMRMLSliceNode", create)


def threed_view_factory(app_logic, scene, scheduler: RenderScheduler, viewport: QWidget) -> ViewFactory:
    """Factory of 3-D views."""

    def create(view_node, logics: vtkCollection) -> ThreeDWidget:
        widget = ThreeDWidget(app_logic, scheduler, viewport)
        widget.setObjectName(f"ThreeDWidget{view_node.GetLayoutName()}")
        widget.setMRMLScene(scene)
        widget.setMRMLViewNode(view_node)
        logics.AddItem(widget.viewLogic())
        return widget

    return ViewFactory("vtkMRMLViewNode", create)


def plot_view_factory(scene, scheduler: RenderScheduler, viewport: QWidget) -> ViewFactory:
    """Factory of plot views."""

    def create(view_node, _logics: vtkCollection) -> PlotWidget:
        widget = PlotWidget(scheduler, viewport)
        widget.setObjectName(f"qMRMLPlotWidget{view_node.GetLayoutName()}")
        widget.setMRMLScene(scene)
        widget.setMRMLPlotViewNode(view_node)
        return widget

    return ViewFactory("vtkMRMLPlotViewNode", create)


def placeholder_factory(view_class: str, viewport: QWidget) -> ViewFactory:
    """Factory of views that are only named."""
    return ViewFactory(view_class, lambda view_node, _logics: PlaceholderView(view_node, viewport))
