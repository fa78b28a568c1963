"""What the user changes while a series is processed, and between two runs, is neither lost nor misunderstood."""

import sys
from pathlib import Path

import numpy as np
import pytest

from HierSynthLib.worker.run_state import RunState
from Testing.panel.perfusion_case import (
    add_sequence,
    choose_series,
    load_map,
    local_affine,
    positions_of,
    run,
    settle,
    shown,
    start,
    values_of,
)

WITHOUT_SCIPY = """#!/bin/sh
exec {python} -c "
import runpy, sys
sys.modules['scipy'] = None
runpy.run_module('HierSynthLib.worker', run_name='__main__')
"
"""


@pytest.fixture
def panel(host):
    return host.open_module("HierSynth").panel


@pytest.fixture
def sequence(host, panel, head):
    """The head as a series that is chosen."""
    node = add_sequence(head)
    choose_series(host, panel, node)
    return node


def add_transform(*offset):
    import slicer

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    move(transform, *offset)
    return transform


def move(transform, *offset):
    import slicer

    matrix = np.eye(4)
    matrix[:3, 3] = offset
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))


def assert_done(panel):
    assert panel.perfusion.process.run.state == RunState.DONE, panel.perfusion.ui.processStatus.text


def wait_for_end(host, panel):
    host.wait(lambda: not panel.perfusion.process.active, 60)
    settle(host, panel)


def test_points_that_are_placed_during_the_run_stay(host, panel, sequence):
    parameters, aif = panel.context.parameters, panel.perfusion.aif
    start(host, panel)
    aif.make(False)
    aif.node.AddControlPointWorld([1.0, 2.0, 3.0], "mine")
    wait_for_end(host, panel)
    assert_done(panel)
    assert parameters.dscAifManual
    assert aif.positions == [[1.0, 2.0, 3.0]]
    assert parameters.acquired is not None


def test_a_series_that_is_moved_during_the_run_takes_map_and_arteries_with_it(host, panel, head, right):
    series = add_sequence(head)
    transform = add_transform(0, 0, 0)
    shown(series).SetAndObserveTransformNodeID(transform.GetID())
    choose_series(host, panel, series)
    start(host, panel)
    host.wait(lambda: panel.perfusion.process._job, 60)
    move(transform, 15.0, 0, 0)
    wait_for_end(host, panel)
    assert_done(panel)
    assert panel.context.parameters.acquired.GetParentTransformNode() is transform
    places = positions_of(right.aif.voxels, head.series.affine) + np.array([15.0, 0, 0])
    np.testing.assert_allclose(panel.perfusion.aif.positions, places, atol=0.02)
    host.click(panel.perfusion.ui.curvesButton)
    words = "Voxel " + ", ".join(str(index) for index in right.aif.voxels[0])
    host.wait(lambda: panel.perfusion.ui.curveNote.text == words, 5)


def test_the_button_follows_transforms_and_names_those_that_moved_one_frame_only(host, panel, sequence):
    import slicer
    from vtkmodules.vtkCommonTransforms import vtkThinPlateSplineTransform

    ui, volume = panel.perfusion.ui, shown(sequence)
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "warp")
    warp.SetAndObserveTransformToParent(vtkThinPlateSplineTransform())
    settle(host, panel)
    assert ui.processButton.enabled
    volume.SetAndObserveTransformNodeID(warp.GetID())
    host.wait(lambda: not ui.processButton.enabled, 5)
    # Hardening would move the frame that is shown, and no other.
    assert "Remove the transform from perfusion" in ui.processStatus.text
    assert "Harden" not in ui.processStatus.text
    volume.SetAndObserveTransformNodeID(add_transform(15.0, 0, 0).GetID())
    host.wait(lambda: ui.processButton.enabled, 5)
    assert volume.HardenTransform()
    host.wait(lambda: not ui.processButton.enabled, 5)
    assert "perfusion was moved without the other frames" in ui.processStatus.text
    browser = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")[0]
    browser.SetSelectedItemNumber(5)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    host.wait(lambda: ui.processButton.enabled, 5)


def test_a_scene_that_is_added_during_the_run_does_not_end_it(host, panel, sequence, right):
    import slicer

    scene, process = slicer.mrmlScene, panel.perfusion.process
    start(host, panel)
    scene.InvokeEvent(scene.StartImportEvent)
    # The maps are there before the import is over.
    host.wait(lambda: process._showing, 60)
    assert process.active
    scene.InvokeEvent(scene.EndImportEvent)
    wait_for_end(host, panel)
    assert_done(panel)
    np.testing.assert_allclose(values_of(panel.context.parameters.acquired), right.maps["rCBV"], rtol=1e-5, atol=1e-6)
    scene.InvokeEvent(scene.StartImportEvent)
    scene.InvokeEvent(scene.EndImportEvent)
    settle(host, panel)
    assert load_map(host, panel, "MTT (s)").GetName() == "perfusion MTT (DSC)"


def test_a_second_run_keeps_name_and_registration_of_the_map(host, panel, sequence, head):
    import slicer

    run(host, panel)
    parameters, registration = panel.context.parameters, add_transform(3.0, -4.0, 5.0)
    first, before = parameters.acquired, values_of(parameters.acquired).copy()
    first.SetName("my map")
    first.SetAndObserveTransformNodeID(registration.GetID())
    sequence.SetName("renamed")
    host.choose(panel.perfusion.ui.leakageSelector, "None")
    run(host, panel)
    assert parameters.acquired is first
    assert (first.GetName(), first.GetParentTransformNode()) == ("my map", registration)
    np.testing.assert_allclose(local_affine(first), head.series.affine, atol=1e-6)
    assert not np.array_equal(values_of(first), before)
    # Hardened, it is registered all the same.
    first.HardenTransform()
    registered = local_affine(first)
    run(host, panel)
    assert parameters.acquired is first
    np.testing.assert_array_equal(local_affine(first), registered)
    # What the registration was for is elsewhere now: the map is the user's, and the new one another node.
    elsewhere = head.series.affine + np.array([[0, 0, 0, 20.0], [0] * 4, [0] * 4, [0] * 4])
    for node in [shown(sequence), *(sequence.GetNthDataNode(n) for n in range(sequence.GetNumberOfDataNodes()))]:
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(elsewhere))
    run(host, panel)
    assert parameters.acquired is not first
    np.testing.assert_array_equal(local_affine(first), registered)
    np.testing.assert_allclose(local_affine(parameters.acquired), elsewhere, atol=1e-6)
    assert parameters.acquired.GetName().startswith("renamed rCBV (DSC)")


def test_cancel_while_the_maps_are_read_keeps_the_run_before(host, panel, sequence, monkeypatch):
    from HierSynthPanel import perfusion_run

    run(host, panel)
    parameters, process = panel.context.parameters, panel.perfusion.process
    first, kept, before = process.result, parameters.dscResult, values_of(parameters.acquired).copy()
    read = perfusion_run.load_image

    def never_ending(path):
        while True:
            yield

    monkeypatch.setattr(perfusion_run, "load_image", never_ending)
    host.choose(panel.perfusion.ui.leakageSelector, "None")
    start(host, panel)
    host.wait(lambda: process.run.result is not None, 60)
    second = Path(process.run.result["output"])
    assert second.is_dir()
    host.click(panel.perfusion.ui.processButton)
    assert not process.active
    monkeypatch.setattr(perfusion_run, "load_image", read)
    assert process.result is first
    assert parameters.dscResult == kept
    np.testing.assert_array_equal(values_of(parameters.acquired), before)
    host.wait(lambda: not second.exists(), 10)
    settle(host, panel)
    assert load_map(host, panel, "MTT (s)") is not None
    # A map that cannot be loaded is named until the next run.
    Path(first["maps"]["TTP"]).unlink()
    host.choose(panel.perfusion.ui.mapSelector, "TTP (s)")
    host.click(panel.perfusion.ui.loadMapButton)
    host.wait(lambda: "✗" in panel.perfusion.ui.processStatus.text, 10)
    run(host, panel)
    assert_done(panel)
    assert "✗" not in panel.perfusion.ui.processStatus.text


def test_points_belong_to_the_series_that_they_were_placed_in(host, panel, sequence, head):
    import slicer

    run(host, panel)
    parameters, aif = panel.context.parameters, panel.perfusion.aif
    found = aif.node
    other = add_sequence(head, "other")
    choose_series(host, panel, other)
    assert aif.positions == []
    assert not slicer.mrmlScene.IsNodePresent(found)
    aif.make(False)
    aif.node.AddControlPointWorld([1.0, 2.0, 3.0])
    settle(host, panel)
    choose_series(host, panel, sequence)
    assert aif.positions == []
    assert not parameters.dscAifManual
    choose_series(host, panel, other)
    assert aif.positions == [[1.0, 2.0, 3.0]]
    assert parameters.dscAifManual


def test_a_python_that_lacks_something_opens_the_box_that_says_what(host, panel, sequence, tmp_path):
    script = tmp_path / "python-without-scipy"
    script.write_text(WITHOUT_SCIPY.format(python=sys.executable))
    script.chmod(0o755)
    panel.run_section.ui.pythonPath.currentPath = str(script)
    run(host, panel)
    assert "scipy" in panel.perfusion.ui.processStatus.text
    assert not panel.run_section.ui.runtimeButton.collapsed
    host.wait(lambda: "scipy" in panel.run_section.ui.runtimeMessage.text, 30)
    panel.run_section.ui.pythonPath.currentPath = ""


def test_a_map_in_arbitrary_units_is_not_compared(host, panel):
    from HierSynthPanel.readout import acquired_units, values_at

    from HierSynthLib.fidelity.readout import readout_lines
    from Testing.panel.roi_case import CENTRE, RoiCase

    case = RoiCase(panel.context.parameters)
    parameters, message = panel.context.parameters, panel.compare.ui.comparisonMessage
    host.wait(lambda: parameters.difference is not None, 60)
    assert not message.visible
    parameters.acquired.SetAttribute("HierSynth.Units", "a.u.")
    parameters.parameterNode.Modified()
    host.wait(lambda: panel.comparison.problem, 10)
    assert "The acquired map is in a.u." in message.text
    assert "NAWM" in message.text
    assert message.visible
    assert parameters.difference is None
    assert parameters.acquiredOnGrid is None
    lines = dict(readout_lines(values_at(parameters, list(CENTRE)), acquired_units(parameters)))
    voxel = tuple(np.round(np.linalg.inv(case.affine) @ [*CENTRE, 1.0])[:3].astype(int))
    assert lines["Acquired"] == f"{case.acquired[voxel]:.3g} a.u."
    assert "Difference" not in lines
    parameters.acquired.SetAttribute("HierSynth.Units", "nrCBV")
    parameters.parameterNode.Modified()
    host.wait(lambda: parameters.difference is not None, 60)
    assert not message.visible
