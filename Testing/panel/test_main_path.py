"""From volumes to the overlay through real widgets: choose, run, look at the nodes and the pixels."""

import json

import nibabel
import numpy as np
import pytest

from HierSynthLib.worker.run_state import RunState
from Testing.panel.case_steps import open_case, run_synthesis

MAPS = {"synthetic": "synthetic", "globalMap": "global", "residual": "residual", "uncertainty": "uncertainty"}


@pytest.fixture
def panel(host, installed_tiny_model):
    """The panel with a small model chosen on the processor."""
    panel = host.open_module("HierSynth").panel
    host.choose(panel.run_section.ui.modelSelector, "tiny 1.0")
    host.choose(panel.run_section.ui.deviceSelector, "Processor (CPU)")
    host.click(panel.run_section.ui.registerCheckBox)
    return panel


@pytest.fixture
def finished(host, panel, stripped_case, monkeypatch):
    """The panel after a run on a small case."""
    open_case(host, panel, stripped_case, monkeypatch)
    run_synthesis(host, panel)
    assert panel.run.state == RunState.DONE, panel.run.details()
    return panel


def wait_for_comparison(host, panel):
    """Wait until the maps have been compared, which adds nodes a moment after the run."""
    host.wait(lambda: panel.context.parameters.difference is not None and not panel.comparison.active, 60)


def local_affine(node):
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def assert_shown_over_the_t1(parameters):
    import slicer

    composite = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == parameters.t1.GetID()
    assert composite.GetForegroundVolumeID() == parameters.synthetic.GetID()
    display = parameters.synthetic.GetScalarVolumeDisplayNode()
    low = display.GetLevel() - display.GetWindow() / 2
    assert (low, low + display.GetWindow()) == pytest.approx((0, 10))


def assert_provenance_can_be_read(panel):
    table = panel.result.ui.provenanceTable
    shown = {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}
    run = json.loads(panel.context.parameters.synthetic.GetAttribute("HierSynth.Run"))
    assert any(run["model"]["name"] in text for text in shown.values())


def test_the_case_is_loaded_where_its_files_say(host, panel, small_case, monkeypatch):
    import slicer

    open_case(host, panel, small_case, monkeypatch)
    parameters = panel.context.parameters
    for name, node in {"T1": parameters.t1, "ADC": parameters.adc, "CBV_acquired": parameters.acquired}.items():
        file = nibabel.load(small_case / f"{name}.nii.gz")
        np.testing.assert_allclose(local_affine(node), file.affine, atol=1e-3)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(node).T, np.asarray(file.dataobj))
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(parameters.t1))
    assert hierarchy.GetItemLevel(study) == "Study"
    assert hierarchy.GetItemLevel(hierarchy.GetItemParent(study)) == "Patient"
    assert parameters.simulated


def test_the_segments_have_the_names_of_the_case(host, panel, case_without_series, monkeypatch):
    open_case(host, panel, case_without_series, monkeypatch)
    segmentation = panel.context.parameters.roi.GetSegmentation()
    names = {segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())}
    labels = json.loads((case_without_series / "case.json").read_text())["labels"]
    assert names == set(labels.values())


def test_the_maps_of_the_worker_lie_on_the_t1_and_over_it(host, finished):
    import slicer

    parameters = finished.context.parameters
    maps = {name: slicer.util.arrayFromVolume(getattr(parameters, name)) for name in MAPS}
    for name, key in MAPS.items():
        node = getattr(parameters, name)
        assert node.GetAttribute("HierSynth.Map") == key
        assert "SYNTHETIC" in node.GetName()
        np.testing.assert_allclose(local_affine(node), local_affine(parameters.t1), atol=1e-6)
        assert maps[name].shape == slicer.util.arrayFromVolume(parameters.t1).shape
    np.testing.assert_array_equal(maps["synthetic"], maps["globalMap"] + maps["residual"])
    assert maps["synthetic"].max() > 0
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    items = [hierarchy.GetItemByDataNode(node) for node in (parameters.t1, parameters.synthetic)]
    assert hierarchy.GetItemParent(items[0]) == hierarchy.GetItemParent(items[1])
    assert_shown_over_the_t1(parameters)
    assert_provenance_can_be_read(finished)


def test_a_second_run_replaces_the_first(host, finished):
    first = finished.context.parameters.synthetic
    wait_for_comparison(host, finished)
    before = host.scene_census()["vtkMRMLScalarVolumeNode"]
    run_synthesis(host, finished)
    assert finished.context.parameters.synthetic is first
    host.wait(lambda: finished.context.parameters.difference is None, 5)
    wait_for_comparison(host, finished)
    assert host.scene_census()["vtkMRMLScalarVolumeNode"] == before


def test_a_second_run_is_added_when_asked_for_and_the_first_comes_back_with_its_own_maps(host, finished):
    parameters = finished.context.parameters
    first = {name: getattr(parameters, name) for name in (*MAPS, "reference")}
    host.click(finished.run_section.ui.addResultCheckBox)
    run_synthesis(host, finished)
    assert all(getattr(parameters, name) is not first[name] for name in MAPS)
    assert parameters.synthetic.GetName() != first["synthetic"].GetName()
    host.choose(finished.result.ui.syntheticSelector, first["synthetic"].GetName())
    assert {name: getattr(parameters, name) for name in first} == first


def test_the_difference_is_that_of_the_maps_chosen_now(host, finished):
    import slicer

    parameters = finished.context.parameters
    host.wait(lambda: parameters.difference is not None, 30)
    host.wait(lambda: not finished.comparison.active, 30)
    census = host.scene_census()["vtkMRMLScalarVolumeNode"]
    difference = slicer.util.arrayFromVolume(parameters.difference)
    synthetic = slicer.util.arrayFromVolume(parameters.synthetic)
    other = slicer.util.addVolumeFromArray(synthetic + 1.0, name="other CBV")
    other.CopyOrientation(parameters.synthetic)
    host.choose(finished.inputs.ui.acquiredSelector, "other CBV")
    host.wait(lambda: parameters.difference is None, 5)
    host.wait(lambda: parameters.difference is not None, 30)
    np.testing.assert_allclose(slicer.util.arrayFromVolume(parameters.difference), -1.0, atol=1e-5)
    assert difference.min() < -1 or difference.max() > -1
    assert host.scene_census()["vtkMRMLScalarVolumeNode"] == census + 1
    host.choose(finished.inputs.ui.acquiredSelector, "None (optional)")
    host.wait(lambda: parameters.difference is None, 5)


def test_a_parent_transform_of_the_t1_moves_the_result(host, panel, small_case, monkeypatch):
    import slicer
    import vtk

    open_case(host, panel, small_case, monkeypatch)
    parameters = panel.context.parameters
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    turn = vtk.vtkTransform()
    turn.Translate(10, -20, 5)
    turn.RotateZ(15)
    transform.SetMatrixTransformToParent(turn.GetMatrix())
    for name in ("t1", "t2", "flair", "adc"):
        getattr(parameters, name).SetAndObserveTransformNodeID(transform.GetID())
    run_synthesis(host, panel)
    assert parameters.synthetic.GetParentTransformNode() is transform
    np.testing.assert_allclose(local_affine(parameters.synthetic), local_affine(parameters.t1), atol=1e-6)


def test_a_saved_scene_restores_the_panel(host, finished, tmp_path):
    import slicer

    host.choose(finished.run_section.ui.deviceSelector, "NVIDIA graphics card (CUDA)")
    path = tmp_path / "scene.mrb"
    name = finished.context.parameters.synthetic.GetName()
    assert slicer.mrmlScene.WriteToMRB(str(path))
    host.close_scene()
    assert finished.context.parameters.synthetic is None
    assert slicer.mrmlScene.ReadFromMRB(str(path), True)
    host.wait(lambda: finished.context.parameters.synthetic is not None, 20)
    assert finished.context.parameters.synthetic.GetName() == name
    assert finished.inputs.ui.t1Selector.currentNode().GetName() == "T1"
    assert finished.run_section.ui.deviceSelector.currentText == "NVIDIA graphics card (CUDA)"
    assert finished.run_section.ui.modelSelector.currentText == "tiny 1.0"
