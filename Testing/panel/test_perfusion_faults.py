"""What can go wrong while a DSC series is processed: the reason appears in place, and the next run works."""

import os
import signal

import numpy as np
import pytest

from HierSynthLib.worker.run_state import RunState
from Testing.panel.perfusion_case import add_sequence, choose_series, run, settle, shown, start
from Testing.panel.test_run_faults import no_room_for_volumes


@pytest.fixture
def panel(host, head):
    """The panel with the head chosen."""
    panel = host.open_module("HierSynth").panel
    choose_series(host, panel, add_sequence(head))
    return panel


def state_of(panel):
    return panel.perfusion.process.run.state


def wait_until_running(host, panel):
    host.wait(lambda: state_of(panel) == RunState.RUNNING, 60)


def assert_works_again(host, panel):
    run(host, panel)
    assert state_of(panel) == RunState.DONE, panel.perfusion.ui.processStatus.text
    assert panel.context.parameters.acquired is not None


def with_motion(host, panel):
    """Make the run last longer."""
    host.click(panel.perfusion.ui.motionCheckBox)


def test_cancel_leaves_the_scene_as_it_was(host, panel):
    with_motion(host, panel)
    settle(host, panel)
    before = host.scene_census()
    start(host, panel)
    wait_until_running(host, panel)
    assert panel.perfusion.ui.processButton.text == "Cancel"
    assert panel.perfusion.ui.processBar.visible
    host.click(panel.perfusion.ui.processButton)
    host.wait(lambda: not panel.perfusion.process.active, 10)
    assert state_of(panel) == RunState.READY
    assert host.scene_census() == before
    assert panel.context.parameters.acquired is None
    with_motion(host, panel)
    assert_works_again(host, panel)


def test_a_worker_that_is_killed(host, panel):
    with_motion(host, panel)
    start(host, panel)
    wait_until_running(host, panel)
    os.kill(panel.perfusion.link.pid, signal.SIGKILL)
    host.wait(lambda: not panel.perfusion.process.active, 20)
    assert state_of(panel) == RunState.FAILED
    assert panel.perfusion.ui.processStatus.text.startswith("✗ The background process was killed")
    with_motion(host, panel)
    assert_works_again(host, panel)


def test_a_series_that_is_deleted_during_the_run(host, panel, head):
    import slicer

    with_motion(host, panel)
    start(host, panel)
    wait_until_running(host, panel)
    sequence = panel.context.parameters.dsc
    slicer.mrmlScene.RemoveNode(shown(sequence))
    slicer.mrmlScene.RemoveNode(sequence)
    host.wait(lambda: not panel.perfusion.process.active, 60)
    settle(host, panel)
    node = panel.context.parameters.acquired
    assert state_of(panel) == RunState.DONE
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node).T.shape, head.series.grid)
    assert not panel.perfusion.ui.processButton.enabled
    assert "Choose the DSC series" in panel.perfusion.ui.processStatus.text


def test_a_scene_that_is_closed_during_the_run(host, panel, head, job_folders):
    import slicer

    with_motion(host, panel)
    start(host, panel)
    wait_until_running(host, panel)
    host.close_scene()
    assert not panel.perfusion.process.active
    host.wait(lambda: not list(job_folders.glob("hiersynth-job-*")), 10)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    choose_series(host, panel, add_sequence(head))
    assert_works_again(host, panel)


def test_no_room_on_the_disk(host, panel):
    with no_room_for_volumes():
        run(host, panel)
    assert state_of(panel) == RunState.FAILED
    assert "could not be written" in panel.perfusion.ui.processStatus.text
    assert_works_again(host, panel)


def test_nodes_that_are_no_series_are_named(host, panel, head):
    import slicer

    ui = panel.perfusion.ui
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "empty")
    choose_series(host, panel, empty)
    assert ui.processStatus.text == "empty holds no volumes. Choose the perfusion series."
    short = add_sequence(head, "short")
    for number in range(15, 60):
        short.RemoveDataNodeAtValue(f"{number * 1.5:g}")
    choose_series(host, panel, short)
    run(host, panel)
    assert "has 15 frames" in ui.processStatus.text
    odd = add_sequence(head, "odd")
    matrix = slicer.util.vtkMatrixFromArray(np.diag([2.0, 2.0, 2.0, 1.0]))
    odd.GetNthDataNode(7).SetIJKToRASMatrix(matrix)
    choose_series(host, panel, odd)
    run(host, panel)
    assert "Frame 8 of the DSC series lies on another grid" in ui.processStatus.text
    bent = add_sequence(head, "bent")
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "warp")
    from vtkmodules.vtkCommonTransforms import vtkThinPlateSplineTransform

    warp.SetAndObserveTransformToParent(vtkThinPlateSplineTransform())
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    proxy = next(node for node in (each.GetProxyNode(bent) for each in browsers) if node is not None)
    proxy.SetAndObserveTransformNodeID(warp.GetID())
    choose_series(host, panel, bent)
    assert "not linear" in ui.processStatus.text


def test_leaving_the_module_leaves_nothing(host, panel, job_folders):
    import slicer

    host.click(panel.perfusion.ui.motionCheckBox)
    start(host, panel)
    wait_until_running(host, panel)
    pids = panel.perfusion.link.pids
    host.close_module("HierSynth")
    host.wait(lambda: not list(job_folders.glob("hiersynth-job-*")), 10)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    names = [slicer.mrmlScene.GetNthNode(n).GetName() for n in range(slicer.mrmlScene.GetNumberOfNodes())]
    assert not any(name.startswith("HierSynth dsc") for name in names)


def test_another_series_that_is_chosen_during_the_run(host, panel, head):
    with_motion(host, panel)
    start(host, panel)
    wait_until_running(host, panel)
    other = add_sequence(head, "other")
    host.choose(panel.perfusion.ui.seriesSelector, "other")
    host.wait(lambda: not panel.perfusion.process.active, 60)
    settle(host, panel)
    parameters = panel.context.parameters
    assert parameters.acquired.GetName() == "perfusion rCBV (DSC)"
    assert parameters.dsc is other
    # Quality, curves and AIF belong to the series that is not chosen any more.
    assert not panel.perfusion.ui.mapsBox.visible
    assert panel.perfusion.aif.positions == []
    with_motion(host, panel)
    assert_works_again(host, panel)
    assert parameters.acquired.GetName() == "other rCBV (DSC)"
    assert len(panel.perfusion.aif.positions) > 0
