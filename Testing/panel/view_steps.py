"""Steps that the tests of the stand-in host's views share."""

import numpy as np

UNIT = np.eye(4)
CUSTOM_LAYOUT = 5077
PAIR = """
<layout type="horizontal" split="true">
  <item splitSize="300"><view class="vtkMRMLSliceNode" singletontag="{first}">
    <property name="orientation" action="default">Axial</property>
    <property name="viewlabel" action="default">A1</property>
    <property name="viewcolor" action="default">#102030</property>
    <property name="viewgroup" action="default">7</property>
  </view></item>
  <item splitSize="600"><view class="vtkMRMLSliceNode" singletontag="{second}">
    <property name="orientation" action="default">Axial</property>
    <property name="viewgroup" action="default">7</property>
  </view></item>
</layout>
"""


def settle(host):
    """Waits until every view that asked for it has been drawn."""
    import slicer

    host.wait(slicer.app.layoutManager().scheduler().is_idle)


def four_up(host):
    """The layout manager, with three slice views and a 3-D view drawn."""
    import slicer

    manager = slicer.app.layoutManager()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    settle(host)
    return manager


def set_custom_layout(host, layout_manager, description):
    """Shows a layout of its own."""
    layout_node = layout_manager.layoutLogic().GetLayoutNode()
    if not layout_node.IsLayoutDescription(CUSTOM_LAYOUT):
        layout_node.AddLayoutDescription(CUSTOM_LAYOUT, "")
    layout_node.SetLayoutDescription(CUSTOM_LAYOUT, description)
    layout_manager.setLayout(CUSTOM_LAYOUT)
    settle(host)


def show_pair(host, layout_manager, first="First", second="Second"):
    """Two linked axial slice views side by side, the second twice as wide."""
    set_custom_layout(host, layout_manager, PAIR.format(first=first, second=second))
    assert layout_manager.layout == CUSTOM_LAYOUT
    return layout_manager.sliceWidget(first), layout_manager.sliceWidget(second)


def shown_views(layout_manager):
    """Names of the views that are visible."""
    return {widget.mrmlAbstractViewNode().GetName() for widget in layout_manager.viewWidgets() if widget.visible}


def add_volume(name, array, affine=UNIT, window=(0.0, 255.0)):
    """Volume node with values array[i, j, k]."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(array.T))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*window)
    display.SetInterpolate(False)
    return node


def add_color_table(colors):
    """Colour table node with one entry per colour (0-255)."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "colours")
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colors))
    for index, (r, g, b) in enumerate(colors):
        node.SetColor(index, f"colour {index}", r / 255, g / 255, b / 255, 1.0)
    return node


def show(widget, background, foreground=None, opacity=0.5):
    """Shows volumes in one slice view, fitted to it."""
    composite = widget.mrmlSliceCompositeNode()
    composite.SetBackgroundVolumeID(background.GetID())
    composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
    composite.SetForegroundOpacity(opacity)
    widget.sliceController().fitSliceToBackground()


def pixels(host, view):
    """What the view shows once it has been drawn, as (rows, columns, 3), first row at the top."""
    settle(host)
    image = host.grab(view)
    image = image.convertToFormat(image.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def pixel_of(widget, ras, height):
    """Column and row, from the top, of a point in RAS according to the slice node."""
    import slicer

    xy_to_ras = slicer.util.arrayFromVTKMatrix(widget.mrmlSliceNode().GetXYToRAS())
    x, y, _z, _one = np.linalg.solve(xy_to_ras, [*ras, 1.0])
    return np.array([x, height - 1 - y])


def send_mouse(view, kind, x, y, button=None, modifiers=None):
    """Sends a mouse event at a position in the view, from its upper left."""
    from PySide6.QtCore import QEvent, QPointF, Qt
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    none = Qt.MouseButton.NoButton
    button = none if button is None else button
    position = QPointF(x, y)
    held = none if kind == QEvent.Type.MouseButtonRelease else button
    keys = Qt.KeyboardModifier.NoModifier if modifiers is None else modifiers
    QApplication.sendEvent(view, QMouseEvent(kind, position, view.mapToGlobal(position), button, held, keys))


def drag_point(host, widget, start, end):
    """Drags what lies at one position in RAS (mm) of a slice view to another one."""
    view = widget.sliceView()
    places = [pixel_of(widget, ras, view.height) for ras in (start, end)]
    host.drag(view, *(tuple(map(float, place)) for place in places))


def count_drawings(widgets, drawn):
    """Appends the name of a view to `drawn` whenever it is drawn."""
    for widget in widgets:
        name = widget.mrmlAbstractViewNode().GetName()
        widget.viewWidget().renderWindow().AddObserver("EndEvent", lambda *_, name=name: drawn.append(name))
