"""What the views of the stand-in host show, against geometry and colours worked out by hand."""

import numpy as np
import pytest

from Testing.panel.view_steps import (
    UNIT,
    add_color_table,
    add_volume,
    pixel_of,
    pixels,
    send_mouse,
    settle,
    show,
    show_pair,
)

ANISOTROPIC = np.array([[-0.8, 0, 0, 60.0], [0, -1.1, 0, 70.0], [0, 0, 2.5, -40.0], [0, 0, 0, 1]])
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def oblique_affine():
    """Voxels of 1 × 1.2 × 2 mm, turned about two axes."""
    a, b = np.deg2rad(20), np.deg2rad(-35)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([1.0, 1.2, 2.0])
    affine[:3, 3] = (-20.0, 15.0, -45.0)
    return affine


def send_mouse_leave(view):
    from PySide6.QtCore import QEvent
    from PySide6.QtWidgets import QApplication

    QApplication.sendEvent(view, QEvent(QEvent.Type.Leave))


@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
@pytest.mark.parametrize("affine", [UNIT, ANISOTROPIC, oblique_affine()], ids=["unit", "anisotropic", "oblique"])
def test_bright_block_lies_where_the_slice_node_says(host, layout_manager, name, affine):
    array = np.zeros((60, 50, 40), np.float32)
    array[38:43, 8:13, 27:30] = 255
    ras = affine @ [40, 10, 28, 1]
    widget = layout_manager.sliceWidget(name)
    show(widget, add_volume("block", array, affine))
    widget.mrmlSliceNode().JumpSliceByOffsetting(*ras[:3])
    shown = pixels(host, widget.sliceView())
    rows, columns = np.nonzero(shown.min(axis=2) > 200)
    assert len(rows) > 20
    expected = pixel_of(widget, ras[:3], len(shown))
    neighbours = [pixel_of(widget, ras[:3] + affine[:3, axis], len(shown)) for axis in range(3)]
    voxel = max(np.linalg.norm(neighbour - expected) for neighbour in neighbours)
    assert np.linalg.norm([columns.mean(), rows.mean()] - expected) < 0.6 * voxel
    assert shown[round(expected[1]), round(expected[0])].min() == 255


def test_colours_come_from_the_colour_table(host, red):
    array = np.zeros((40, 40, 3), np.float32)
    array[:20, :, :], array[20:, :, :] = 1, 2
    node = add_volume("labels", array, window=(0, 2))
    node.GetDisplayNode().SetAndObserveColorNodeID(add_color_table([RED, (30, 90, 200), (250, 240, 10)]).GetID())
    show(red, node)
    shown = pixels(host, red.sliceView())
    for i, color in ((10, (30, 90, 200)), (30, (250, 240, 10))):
        column, row = pixel_of(red, (i, 20, 1), len(shown)).round().astype(int)
        assert shown[row, column] == pytest.approx(color, abs=1)


@pytest.mark.parametrize("opacity", [0.0, 0.5, 1.0])
def test_foreground_is_blended_by_its_opacity(host, red, opacity):
    background = add_volume("grey", np.full((40, 40, 3), 100, np.float32))
    foreground = add_volume("red", np.full((40, 40, 3), 255, np.float32))
    foreground.GetDisplayNode().SetAndObserveColorNodeID(add_color_table([BLUE, (200, 40, 0)]).GetID())
    show(red, background, foreground, opacity)
    shown = pixels(host, red.sliceView())
    column, row = pixel_of(red, (20, 20, 1), len(shown)).round().astype(int)
    expected = (1 - opacity) * np.array([100, 100, 100]) + opacity * np.array([200, 40, 0])
    assert shown[row, column] == pytest.approx(expected, abs=2)


def test_below_the_threshold_the_foreground_is_transparent(host, red):
    values = np.full((40, 40, 3), 10, np.float32)
    values[20:] = 200
    foreground = add_volume("map", values)
    foreground.GetDisplayNode().SetThreshold(100, 300)
    foreground.GetDisplayNode().ApplyThresholdOn()
    show(red, add_volume("grey", np.full((40, 40, 3), 70, np.float32)), foreground, 1.0)
    shown = pixels(host, red.sliceView())
    for i, grey in ((10, 70), (30, 200)):
        column, row = pixel_of(red, (i, 20, 1), len(shown)).round().astype(int)
        assert shown[row, column] == pytest.approx([grey] * 3, abs=2)


def test_oblique_volume_fills_the_view_after_fitting(host, red):
    node = add_volume("oblique", np.full((60, 50, 40), 255, np.float32), oblique_affine())
    show(red, node)
    shown = pixels(host, red.sliceView())
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    bright = shown.min(axis=2) > 200
    spanned_x = np.abs(pixel_of(red, (bounds[0], 0, 0), 1) - pixel_of(red, (bounds[1], 0, 0), 1))[0]
    assert 0.3 * spanned_x < np.any(bright, axis=0).sum() <= spanned_x + 1
    assert spanned_x <= shown.shape[1] + 1


@pytest.mark.parametrize("linked", [True, False])
def test_linked_views_move_together(host, layout_manager, linked):
    first, second = show_pair(host, layout_manager)
    node = add_volume("volume", np.full((40, 40, 30), 99, np.float32))
    show(first, node)
    show(second, node)
    first.sliceController().setSliceLink(linked)
    assert second.sliceController().isLinked() is linked
    before = second.sliceLogic().GetSliceOffset()
    first.sliceController().sliceOffsetSlider().setValue(21.0)
    host.wait(lambda: first.sliceLogic().GetSliceOffset() == pytest.approx(21.0))
    settle(host)
    assert second.sliceLogic().GetSliceOffset() == pytest.approx(21.0 if linked else before)


def test_linked_views_zoom_together(host, layout_manager):
    first, second = show_pair(host, layout_manager)
    node = add_volume("volume", np.full((40, 40, 30), 99, np.float32))
    show(first, node)
    show(second, node)
    first.sliceController().setSliceLink(True)
    logic = first.sliceLogic()
    logic.StartSliceNodeInteraction(first.mrmlSliceNode().FieldOfViewFlag)
    first.mrmlSliceNode().SetFieldOfView(11.0, 11.0, 1.0)
    logic.EndSliceNodeInteraction()
    narrow = min(first.mrmlSliceNode().GetFieldOfView()[:2])
    assert min(second.mrmlSliceNode().GetFieldOfView()[:2]) == pytest.approx(narrow, rel=0.01)


def test_crosshair_node_follows_the_mouse(host, red):
    import slicer
    from PySide6.QtCore import QEvent

    show(red, add_volume("oblique", np.full((60, 50, 40), 255, np.float32), oblique_affine()))
    settle(host)
    crosshair = slicer.util.getNode("Crosshair")
    view = red.sliceView()
    for x, y in ((50, 60), (123, 77)):
        send_mouse(view, QEvent.Type.MouseMove, x, y)
        ras = np.zeros(3)
        assert crosshair.GetCursorPositionRAS(ras)
        xy_to_ras = slicer.util.arrayFromVTKMatrix(red.mrmlSliceNode().GetXYToRAS())
        expected = xy_to_ras @ [x, view.height - 1 - y, 0, 1]
        assert ras == pytest.approx(expected[:3], abs=1e-6)
    send_mouse_leave(view)
    assert not crosshair.GetCursorPositionRAS(ras)


def test_wheel_goes_to_the_next_slice(host, red):
    from PySide6.QtCore import QPoint, QPointF, Qt
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtWidgets import QApplication

    affine = np.diag([1, 1, 2.5, 1.0])
    show(red, add_volume("volume", np.full((40, 40, 30), 99, np.float32), affine))
    before = red.sliceLogic().GetSliceOffset()
    center = QPointF(red.sliceView().rect.center())
    for _ in range(2):
        wheel = QWheelEvent(
            center,
            center,
            QPoint(),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(red.sliceView(), wheel)
    assert red.sliceLogic().GetSliceOffset() == pytest.approx(before + 5.0)
    settle(host)
    assert red.sliceController().sliceOffsetSlider().value == pytest.approx(before + 5.0)


def test_key_t_toggles_the_foreground(host, red):
    from PySide6.QtCore import QEvent, Qt
    from PySide6.QtGui import QKeyEvent
    from PySide6.QtWidgets import QApplication

    volume = add_volume("volume", np.full((40, 40, 3), 99, np.float32))
    show(red, volume, add_volume("other", np.full((40, 40, 3), 9, np.float32)), 1.0)
    send_mouse(red.sliceView(), QEvent.Type.MouseMove, 50, 50)
    QApplication.sendEvent(red.sliceView(), QEvent(QEvent.Type.Enter))
    shown = []
    for _ in range(2):
        for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            key = QKeyEvent(kind, Qt.Key.Key_T, Qt.KeyboardModifier.NoModifier, "t")
            QApplication.sendEvent(red.sliceView(), key)
        shown.append(red.mrmlSliceCompositeNode().GetForegroundOpacity())
    assert shown == [0.0, 1.0]


def test_dragging_with_shift_moves_the_image(host, red):
    from PySide6.QtCore import QEvent, Qt

    show(red, add_volume("volume", np.full((40, 40, 3), 99, np.float32)))
    before = pixel_of(red, (20, 20, 1), red.sliceView().height)
    shift, left = Qt.KeyboardModifier.ShiftModifier, Qt.MouseButton.LeftButton
    send_mouse(red.sliceView(), QEvent.Type.MouseMove, 100, 100, None, shift)
    send_mouse(red.sliceView(), QEvent.Type.MouseButtonPress, 100, 100, left, shift)
    send_mouse(red.sliceView(), QEvent.Type.MouseMove, 130, 110, left, shift)
    send_mouse(red.sliceView(), QEvent.Type.MouseButtonRelease, 130, 110, left, shift)
    moved = pixel_of(red, (20, 20, 1), red.sliceView().height) - before
    assert moved == pytest.approx([30, 10], abs=1)


def test_corner_annotation_is_drawn(host, red):
    show(red, add_volume("volume", np.zeros((40, 40, 3), np.float32)))
    before = pixels(host, red.sliceView())
    red.sliceView().cornerAnnotation().SetText(0, "SYNTHETIC")
    assert np.array_equal(pixels(host, red.sliceView()), before)
    red.sliceView().scheduleRender()
    shown = pixels(host, red.sliceView())
    red.sliceView().cornerAnnotation().ClearAllTexts()
    changed = np.nonzero(np.any(shown != before, axis=2))
    assert len(changed[0]) > 50
    assert changed[0].mean() > 0.8 * len(shown)
    assert changed[1].mean() < 0.5 * shown.shape[1]


def test_maximum_intensity_projection_is_drawn(host, layout_manager):
    import slicer

    array = np.zeros((40, 40, 40), np.float32)
    array[15:25, 15:25, 15:25] = 255
    volume = add_volume("bright", array)
    view = layout_manager.threeDWidget(0).threeDView()
    view.mrmlViewNode().SetBoxVisible(False)
    view.mrmlViewNode().SetAxisLabelsVisible(False)
    view.mrmlViewNode().SetBackgroundColor(0, 0, 0)
    view.mrmlViewNode().SetBackgroundColor2(0, 0, 0)
    view.mrmlViewNode().SetRaycastTechnique(view.mrmlViewNode().MaximumIntensityProjection)
    assert pixels(host, view).max() == 0
    logic = slicer.app.applicationLogic().GetModuleLogic("VolumeRendering")
    display = logic.CreateDefaultVolumeRenderingNodes(volume)
    transfer = display.GetVolumePropertyNode().GetVolumeProperty()
    transfer.GetRGBTransferFunction().RemoveAllPoints()
    transfer.GetRGBTransferFunction().AddRGBPoint(0, 0, 0, 0)
    transfer.GetRGBTransferFunction().AddRGBPoint(255, 1, 0.5, 0)
    transfer.GetScalarOpacity().RemoveAllPoints()
    transfer.GetScalarOpacity().AddPoint(0, 0)
    transfer.GetScalarOpacity().AddPoint(255, 1)
    display.SetVisibility(True)
    view.resetFocalPoint()
    assert view.cameraNode().GetFocalPoint() == pytest.approx([19.5] * 3, abs=0.6)
    view.resetCamera()
    shown = pixels(host, view).astype(int)
    center = shown[len(shown) // 2, shown.shape[1] // 2]
    assert center == pytest.approx([255, 128, 0], abs=12)
    assert shown[5, 5].max() == 0


def test_dragging_turns_the_camera(host, layout_manager):
    from PySide6.QtCore import QEvent, Qt

    view = layout_manager.threeDWidget(0).threeDView()
    camera = view.cameraNode()
    before, focus = np.array(camera.GetPosition()), np.array(camera.GetFocalPoint())
    left = Qt.MouseButton.LeftButton
    send_mouse(view, QEvent.Type.MouseMove, 100, 100)
    send_mouse(view, QEvent.Type.MouseButtonPress, 100, 100, left)
    send_mouse(view, QEvent.Type.MouseMove, 150, 100, left)
    send_mouse(view, QEvent.Type.MouseButtonRelease, 150, 100, left)
    after = np.array(camera.GetPosition())
    assert np.linalg.norm(after - focus) == pytest.approx(np.linalg.norm(before - focus), rel=1e-6)
    assert np.linalg.norm(after - before) > 0.1 * np.linalg.norm(before - focus)


def test_picture_of_the_window_contains_the_slice(host, red):
    node = add_volume("green", np.full((40, 40, 3), 1, np.float32), window=(0, 1))
    node.GetDisplayNode().SetAndObserveColorNodeID(add_color_table([BLUE, GREEN]).GetID())
    show(red, node)
    picture = host.grab()
    assert picture.size() == host.window.size
    center = red.sliceView().mapTo(host.window, red.sliceView().rect.center())
    assert picture.pixelColor(center).getRgb()[:3] == GREEN
