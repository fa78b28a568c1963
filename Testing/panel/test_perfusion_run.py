"""From a DSC series in the scene to the acquired map, through real widgets: values, place, units, words."""

import json

import numpy as np
import pytest

from HierSynthLib.worker.run_state import RunState
from Testing.panel.case_steps import open_case
from Testing.panel.perfusion_case import (
    TE_MS,
    TR_S,
    add_multi_volume,
    add_sequence,
    add_white_matter,
    choose_series,
    expected,
    load_map,
    local_affine,
    positions_of,
    run,
    settle,
    shown,
    values_of,
)


@pytest.fixture
def panel(host):
    return host.open_module("HierSynth").panel


def assert_done(panel):
    assert panel.perfusion.process.run.state == RunState.DONE, panel.perfusion.ui.processStatus.text


def test_a_sequence_becomes_the_acquired_map(host, panel, head, right):
    import slicer

    add_white_matter(head)
    sequence = add_sequence(head)
    choose_series(host, panel, sequence)
    parameters, ui = panel.context.parameters, panel.perfusion.ui
    assert (parameters.dscEchoTime, parameters.dscRepetitionTime) == (TE_MS, TR_S)
    assert "NAWM reference" in ui.nawmText.text
    run(host, panel)
    assert_done(panel)
    node = parameters.acquired
    assert node.GetName() == "perfusion CBV (DSC)"
    np.testing.assert_allclose(values_of(node), right.maps["nrCBV"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(local_affine(node), head.series.affine, atol=1e-6)
    assert node.GetAttribute("HierSynth.Units") == "nrCBV"
    assert node.GetAttribute("HierSynth.Synthetic") is None
    assert json.loads(node.GetAttribute("HierSynth.Run"))["series"]["te_s"] == [0.03]
    assert panel.inputs.ui.acquiredSelector.currentNode() is node
    composite = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetForegroundVolumeID() == node.GetID()
    assert composite.GetBackgroundVolumeID() == shown(sequence).GetID()
    np.testing.assert_allclose(
        panel.perfusion.aif.positions, positions_of(right.aif.voxels, head.series.affine), atol=0.01
    )
    rows = {ui.qualityTable.item(row, 0).text() for row in range(ui.qualityTable.rowCount)}
    assert {"baseline", "AIF peak, width"} <= rows
    assert not parameters.dscAifManual


def test_a_second_run_replaces_the_map_and_further_maps_have_their_units(host, panel, head, right):
    add_white_matter(head)
    choose_series(host, panel, add_sequence(head))
    run(host, panel)
    parameters = panel.context.parameters
    first, before = parameters.acquired, host.scene_census()
    host.choose(panel.perfusion.ui.leakageSelector, "None")
    run(host, panel)
    assert_done(panel)
    assert parameters.acquired is first
    assert host.scene_census() == before
    assert not np.array_equal(values_of(first), right.maps["nrCBV"])
    mtt = load_map(host, panel, "MTT (s)")
    uncorrected = expected(head, leakage="none").maps
    np.testing.assert_allclose(values_of(mtt), uncorrected["MTT"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(values_of(first), uncorrected["nrCBV"], rtol=1e-5, atol=1e-6)
    assert mtt.GetAttribute("HierSynth.Units") == "s"
    assert mtt.GetName() == "perfusion MTT (DSC)"
    assert parameters.acquired is first


def test_the_map_follows_the_transform_of_the_volume_that_shows_the_series(host, panel, head, right):
    import slicer
    import vtk

    turn = vtk.vtkTransform()
    turn.Translate(12, -7, 4)
    turn.RotateZ(20)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(turn.GetMatrix())
    sequence = add_sequence(head)
    # White matter is where it is in the patient: moved with the series.
    add_white_matter(head).SetAndObserveTransformNodeID(transform.GetID())
    shown(sequence).SetAndObserveTransformNodeID(transform.GetID())
    choose_series(host, panel, sequence)
    run(host, panel)
    assert_done(panel)
    node = panel.context.parameters.acquired
    assert node.GetParentTransformNode() is transform
    np.testing.assert_allclose(local_affine(node), head.series.affine, atol=1e-6)
    np.testing.assert_allclose(values_of(node), right.maps["nrCBV"], rtol=1e-3, atol=1e-4)
    in_world = slicer.util.arrayFromVTKMatrix(turn.GetMatrix()) @ head.series.affine
    np.testing.assert_allclose(panel.perfusion.aif.positions, positions_of(right.aif.voxels, in_world), atol=0.02)


def test_a_multi_volume_gives_the_same_map(host, panel, head, right):
    add_white_matter(head)
    node = add_multi_volume(head)
    choose_series(host, panel, node)
    parameters = panel.context.parameters
    times = (parameters.dscEchoTime, parameters.dscRepetitionTime, parameters.dscFlipAngle)
    assert times == (TE_MS, TR_S, 60.0)
    run(host, panel)
    assert_done(panel)
    np.testing.assert_allclose(values_of(parameters.acquired), right.maps["nrCBV"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(local_affine(parameters.acquired), head.series.affine, atol=1e-6)


def test_without_white_matter_the_map_says_that_it_is_in_arbitrary_units(host, panel, head, right):
    choose_series(host, panel, add_sequence(head))
    assert "arbitrary units" in panel.perfusion.ui.nawmText.text
    run(host, panel)
    assert_done(panel)
    node = panel.context.parameters.acquired
    assert node.GetName() == "perfusion rCBV (DSC)"
    assert node.GetAttribute("HierSynth.Units") == "a.u."
    np.testing.assert_allclose(values_of(node), right.maps["rCBV"], rtol=1e-5, atol=1e-6)
    assert "no nrCBV" in panel.perfusion.ui.processWarnings.text
    display = node.GetScalarVolumeDisplayNode()
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    inside = values_of(node)[right.brain]
    assert (low, high) == pytest.approx(tuple(np.percentile(inside, (2, 98))), rel=0.01)


def test_times_that_nothing_states_are_asked_for_and_mistaken_units_recognised(host, panel, head):
    choose_series(host, panel, add_sequence(head, times=False))
    ui, parameters = panel.perfusion.ui, panel.context.parameters
    assert not ui.processButton.enabled
    assert "echo time (TE) and the time between frames (TR)" in ui.processStatus.text
    ui.echoTimeSpinBox.value, ui.repetitionTimeSpinBox.value = 0.03, TR_S
    run(host, panel)
    assert "looks like seconds. If it is 0.03 s, enter 30 ms" in ui.processStatus.text
    ui.echoTimeSpinBox.value, ui.repetitionTimeSpinBox.value = TE_MS, 1500.0
    run(host, panel)
    assert "looks like milliseconds. If it is 1500 ms, enter 1.5 s" in ui.processStatus.text
    assert parameters.acquired is None
    ui.repetitionTimeSpinBox.value = TR_S
    run(host, panel)
    assert_done(panel)
    assert parameters.acquired is not None


def test_times_of_another_series_are_not_kept(host, panel, head):
    choose_series(host, panel, add_sequence(head))
    other = add_sequence(head, "other", times=False)
    choose_series(host, panel, other)
    settle(host, panel)
    parameters = panel.context.parameters
    assert (parameters.dscEchoTime, parameters.dscRepetitionTime) == (0.0, 0.0)
    assert not panel.perfusion.ui.processButton.enabled


def test_the_series_of_a_case_is_ready_to_run(host, panel, small_case, monkeypatch):
    import nibabel
    import slicer

    open_case(host, panel, small_case, monkeypatch)
    parameters = panel.context.parameters
    file = nibabel.load(small_case / "DSC.nii.gz")
    stated = json.loads((small_case / "DSC.json").read_text("utf-8"))
    assert parameters.dsc.GetNumberOfDataNodes() == file.shape[3]
    browser = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")[0]
    browser.SetSelectedItemNumber(5)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    assert shown(parameters.dsc).GetAttribute("HierSynth.Simulated") == "1"
    last = parameters.dsc.GetNthDataNode(file.shape[3] - 1)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(last).T, np.asarray(file.dataobj)[..., -1])
    settle(host, panel)
    times = (parameters.dscEchoTime, parameters.dscRepetitionTime)
    assert times == pytest.approx((1000 * stated["EchoTime"], stated["RepetitionTime"]))
    given = nibabel.load(small_case / "CBV_acquired.nii.gz").get_fdata()
    panel.perfusion.ui.perfusionButton.collapsed = False
    host.click(panel.perfusion.ui.motionCheckBox)
    run(host, panel)
    assert_done(panel)
    node = parameters.acquired
    assert node.GetName() == "DSC CBV (DSC) (simulated)"
    assert node.GetAttribute("HierSynth.Simulated") == "1"
    found = values_of(node)
    both = (given > 0) & (found > 0)
    assert both.sum() > 0.8 * (given > 0).sum()
    # The reference segment lies on the grid of T1, that of the case on the grid of the series.
    assert np.median(found[both] / given[both]) == pytest.approx(1, abs=0.1)
    assert np.corrcoef(found[both], given[both])[0, 1] > 0.98
