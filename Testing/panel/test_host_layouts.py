"""Layouts of the stand-in host: which views there are, when they are created and destroyed."""

import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest

from Testing.host import REPOSITORY
from Testing.panel.view_steps import (
    add_volume,
    pixel_of,
    pixels,
    send_mouse,
    set_custom_layout,
    settle,
    show,
    show_pair,
    shown_views,
)

NESTED = """
<layout type="tab">
  <item name="Grid"><layout type="grid">
    <item row="0" column="0"><view class="vtkMRMLSliceNode" singletontag="Red"/></item>
    <item row="0" column="1"><view class="vtkMRMLSliceNode" singletontag="Green"/></item>
    <item row="1" column="0" colspan="2"><view class="vtkMRMLViewNode" singletontag="1"/></item>
  </layout></item>
  <item name="Plot"><view class="vtkMRMLPlotViewNode" singletontag="PlotView1"/></item>
</layout>
"""


def test_built_in_layouts_show_their_views(host, layout_manager):
    import slicer

    names = slicer.vtkMRMLLayoutNode
    assert shown_views(layout_manager) == {"Red", "Green", "Yellow", "View1"}
    layout_manager.setLayout(names.SlicerLayoutOneUpRedSliceView)
    settle(host)
    assert shown_views(layout_manager) == {"Red"}
    assert layout_manager.sliceWidget("Red").size == layout_manager.viewport().size
    assert not layout_manager.sliceWidget("Green").mrmlSliceNode().IsMappedInLayout()
    layout_manager.setLayout(999999)
    settle(host)
    assert layout_manager.layout == names.SlicerLayoutConventionalView
    assert shown_views(layout_manager) == {"Red", "Green", "Yellow", "View1"}


def test_views_of_a_layout_are_equally_large(host, layout_manager):
    sizes = [widget.size for widget in layout_manager.viewWidgets() if widget.visible]
    widths, heights = [size.width() for size in sizes], [size.height() for size in sizes]
    assert len(sizes) == 4
    assert max(widths) - min(widths) <= 2
    assert max(heights) - min(heights) <= 2


def test_double_click_shows_one_view_alone(host, layout_manager, red):
    from PySide6.QtCore import QEvent, Qt

    for _ in range(2):
        before = shown_views(layout_manager)
        for kind in (
            QEvent.Type.MouseMove,
            QEvent.Type.MouseButtonPress,
            QEvent.Type.MouseButtonRelease,
            QEvent.Type.MouseButtonDblClick,
            QEvent.Type.MouseButtonRelease,
        ):
            button = None if kind == QEvent.Type.MouseMove else Qt.MouseButton.LeftButton
            send_mouse(red.sliceView(), kind, 80, 80, button)
        settle(host)
        assert shown_views(layout_manager) == ({"Red"} if len(before) == 4 else {"Red", "Green", "Yellow", "View1"})


def test_custom_layout_creates_its_views_with_their_properties(host, layout_manager):
    # Default properties are those of views that are new.
    first, second = show_pair(host, layout_manager, "Labelled", "Plain")
    node = first.mrmlSliceNode()
    assert (node.GetLayoutLabel(), node.GetViewGroup(), node.GetOrientation()) == ("A1", 7, "Axial")
    assert first.sliceController().sliceViewColor().name() == "#102030"
    assert second.width == pytest.approx(2 * first.width, rel=0.05)
    assert set(layout_manager.sliceViewNames()) >= {"Red", "Green", "Yellow", "Labelled", "Plain"}


def test_tabs_grids_and_plot_views(host, layout_manager):
    set_custom_layout(host, layout_manager, NESTED)
    red, green, threed = (*map(layout_manager.sliceWidget, ("Red", "Green")), layout_manager.threeDWidget(0))
    assert red.visible
    assert green.visible
    assert threed.visible
    assert threed.width == pytest.approx(red.width + green.width, abs=4)
    plots = [layout_manager.plotWidget(index) for index in range(layout_manager.plotViewCount)]
    assert "PlotView1" in {plot.mrmlPlotViewNode().GetSingletonTag() for plot in plots}
    assert layout_manager.plotWidget(layout_manager.plotViewCount) is None


def test_views_are_kept_between_layouts(host, layout_manager):
    import slicer

    before = {name: layout_manager.sliceWidget(name) for name in layout_manager.sliceViewNames()}
    census = host.scene_census()
    observers = host.observer_count(slicer.mrmlScene)
    names = slicer.vtkMRMLLayoutNode
    for count in range(20):
        layout_manager.setLayout([names.SlicerLayoutOneUpRedSliceView, names.SlicerLayoutFourUpView][count % 2])
        settle(host)
    assert {name: layout_manager.sliceWidget(name) for name in layout_manager.sliceViewNames()} == before
    assert host.scene_census() == census
    assert host.observer_count(slicer.mrmlScene) == observers


def test_closing_the_scene_and_loading_again(host, layout_manager):
    for grey in (90, 180):
        red = layout_manager.sliceWidget("Red")
        show(red, add_volume("volume", np.full((40, 40, 3), grey, np.float32)))
        shown = pixels(host, red.sliceView())
        column, row = pixel_of(red, (20, 20, 1), len(shown)).round().astype(int)
        assert shown[row, column] == pytest.approx([grey] * 3, abs=2)
        host.close_scene()
        settle(host)
        assert pixels(host, layout_manager.sliceWidget("Red").sliceView()).max() == 0
        assert set(layout_manager.sliceViewNames()) >= {"Red", "Green", "Yellow"}


def test_removing_a_view_node_frees_its_view(host, layout_manager):
    import slicer
    from PySide6.QtCore import QEvent
    from PySide6.QtWidgets import QApplication

    show_pair(host, layout_manager, "Third", "Fourth")
    layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    logics = layout_manager.mrmlSliceLogics().GetNumberOfItems()
    view = layout_manager.sliceWidget("Third").sliceView()
    parts = (view.renderWindow(), view.interactor(), view.firstRenderer(), view.displayableManagerGroup())
    held = [weakref.ref(part) for part in parts]
    del view, parts
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Third"))
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    assert layout_manager.sliceWidget("Third") is None
    assert layout_manager.mrmlSliceLogics().GetNumberOfItems() == logics - 1
    assert not [part for part in held if part() is not None]


def test_window_holds_the_panel_and_the_views(host, layout_manager):
    from PySide6.QtWidgets import QLabel

    first, second = QLabel("first"), QLabel("second")
    previous = host.window.panel()
    host.window.set_panel(first)
    settle(host)
    assert first.visible
    assert (
        first.mapTo(host.window, first.rect.topRight()).x()
        < layout_manager.viewport().mapTo(host.window, layout_manager.viewport().rect.topLeft()).x()
    )
    host.window.set_panel(second)
    assert not first.visible
    host.window.set_panel(previous)
    assert second.parentWidget() is None


def test_application_ends_quietly():
    """Nothing is printed and nothing crashes, also not when the render windows are freed at the end."""
    steps = """
from Testing.host import Host
host = Host.start(offscreen=True)
manager = host.app.layoutManager()
for layout in (3, 6, 4):
    manager.setLayout(layout)
    host.wait(manager.scheduler().is_idle)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", steps], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
