"""Values under the cursor against the affine worked out with numpy."""

import numpy as np
import pytest

from Testing.panel.compare_case import CENTRE, away, cut_at, press, settle, show_result, shown_section, view


@pytest.fixture
def case(host):
    with shown_section(host) as shown:
        yield shown


def linear_transform(degrees, shift):
    """A transform node that turns about the patient's axis and shifts, and its matrix."""
    import slicer

    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node, matrix


def expected_value(node, to_world, position):
    """The voxel of `node` at a position in the world, by numpy; None outside."""
    import slicer
    import vtk

    ijk_to_ras = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijk_to_ras)
    affine = to_world @ slicer.util.arrayFromVTKMatrix(ijk_to_ras)
    index = np.rint(np.linalg.solve(affine, [*position, 1.0])[:3]).astype(int)
    array = slicer.util.arrayFromVolume(node).T
    if (index < 0).any() or (index >= array.shape).any():
        return None
    return float(array[tuple(index)])


def read(case, position):
    from HierSynthPanel.readout import values_at

    return values_at(case.parameters, list(position))


@pytest.mark.parametrize("degrees", [0.0, 37.0], ids=["straight", "oblique"])
@pytest.mark.parametrize("moved", [False, True], ids=["in place", "under a transform"])
def test_values_are_those_of_the_voxels(host, case, degrees, moved):
    case.add_result(degrees)
    case.add_acquired(degrees=-15.0)
    to_world = np.eye(4)
    if moved:
        node, to_world = linear_transform(20.0, (5.0, -3.0, 8.0))
        for volume in (case.parameters.synthetic, case.parameters.uncertainty, case.parameters.acquired):
            volume.SetAndObserveTransformNodeID(node.GetID())
    compared = 0
    for position in np.random.default_rng(0).uniform(-90, 90, (60, 3)) + CENTRE:
        values = read(case, position)
        for name in ("synthetic", "uncertainty", "acquired"):
            expected = expected_value(getattr(case.parameters, name), to_world, position)
            assert values[name] == (expected if expected is None else pytest.approx(expected, abs=1e-6))
            compared += expected is not None
        assert "difference" not in values
    assert compared > 40


def test_values_under_a_warp(host, case):
    import slicer
    import vtk

    case.add_result()
    warp = vtk.vtkThinPlateSplineTransform()
    warp.SetBasisToR()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for corner in np.array(np.meshgrid([-80, 80], [-80, 80], [-80, 80])).T.reshape(-1, 3):
        source.InsertNextPoint(*corner)
        target.InsertNextPoint(*corner)
    source.InsertNextPoint(*CENTRE)
    target.InsertNextPoint(*(away(9.0, -6.0, 4.0)))
    warp.SetSourceLandmarks(source)
    warp.SetTargetLandmarks(target)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    node.SetAndObserveTransformToParent(warp)
    case.parameters.synthetic.SetAndObserveTransformNodeID(node.GetID())
    moved = np.array(warp.TransformPoint(away(25.0, 10.0, 0.0)))
    # Where the hot spot lies after warping: its value is far from everything around it.
    assert read(case, moved)["synthetic"] == pytest.approx(2.0 + 25 / 40 + 6.0, abs=0.2)


def test_nothing_is_read_outside_and_without_volumes(host, case):
    assert read(case, CENTRE) == {}
    case.add_result()
    values = read(case, away(500.0, 0.0, 0.0))
    assert values["synthetic"] is None
    case.parameters.synthetic.SetAndObserveImageData(None)
    assert read(case, CENTRE)["synthetic"] is None


def test_difference_fits_the_two_maps(host, case):
    case.add_result()
    case.add_acquired()
    case.add_comparison()
    for position in (CENTRE, away(25.0, 10.0, 0.0)):
        values = read(case, position)
        assert values["synthetic"] - values["acquired"] == pytest.approx(values["difference"], abs=1e-5)


def test_where_nothing_was_acquired_there_is_no_value(host, case):
    case.add_result()
    case.add_acquired()
    case.add_comparison()
    beyond = away(0.0, 0.0, 80.0)
    values = read(case, beyond)
    assert values["synthetic"] == 0
    assert values["acquired"] is None
    assert values["difference"] is None


def move_mouse(widget, x, y):
    from PySide6.QtCore import QEvent, QPointF, Qt
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication

    position, none = QPointF(x, y), Qt.MouseButton.NoButton
    event = QMouseEvent(
        QEvent.Type.MouseMove, position, widget.mapToGlobal(position), none, none, Qt.KeyboardModifier.NoModifier
    )
    QApplication.sendEvent(widget, event)


def numbers(case):
    return case.section.ui.valueNumbers.text.split("\n")


def test_moving_the_mouse_shows_the_values_in_the_panel(host, case):
    from HierSynthLib.fidelity.readout import readout_lines

    case.add_result()
    case.add_acquired()
    case.add_comparison()
    show_result(host, case)
    empty = numbers(case)
    assert len(empty) == 4
    cut_at(CENTRE, "Red")
    settle(host)
    red = view("Red").sliceView()
    move_mouse(red, red.width / 2 + 20, red.height / 2)
    host.wait(lambda: numbers(case) != empty)
    import slicer

    position = [0.0, 0.0, 0.0]
    crosshair = slicer.mrmlScene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
    assert crosshair.GetCursorPositionRAS(position)
    lines = readout_lines(read(case, position))
    assert numbers(case) == [value for _, value in lines]
    assert case.section.ui.valueNames.text.split("\n") == [name for name, _ in lines]


def test_readout_is_read_at_most_once_in_its_interval(host, case, monkeypatch):
    from HierSynthPanel import readout

    case.add_result()
    show_result(host, case)
    calls = []
    monkeypatch.setattr(readout, "values_at", lambda *arguments: calls.append(arguments) or {})
    red = view("Red").sliceView()
    for x in range(50, 150):
        move_mouse(red, x, 200)
    assert calls == []
    host.wait(lambda: len(calls) == 1)


def test_values_can_be_switched_off(host, case):
    import slicer

    case.add_result()
    show_result(host, case)
    crosshair = slicer.mrmlScene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
    following = host.observer_count(crosshair)
    press(host, case.section.ui.valuesCheckBox)
    assert not case.section.ui.valueNumbers.visible
    assert host.observer_count(crosshair) == following - 1
    press(host, case.section.ui.valuesCheckBox)
    assert host.observer_count(crosshair) == following
    case.section.exit()
    assert host.observer_count(crosshair) == following - 1
