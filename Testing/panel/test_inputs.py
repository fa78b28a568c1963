"""Choosing and checking the volumes through real widgets."""

import numpy as np
import pytest


@pytest.fixture
def panel(host):
    """The panel, nothing chosen."""
    return host.open_module("HierSynth").panel


def add_volume(name, array=None, affine=None):
    """A volume node: a bright ball in noise unless an array (i, j, k) is given."""
    import slicer

    if array is None:
        grid = np.indices((40, 48, 36)) - np.array([20, 24, 18])[:, None, None, None]
        inside = (grid**2).sum(axis=0) < 15**2
        array = np.random.default_rng(3).normal(10, 2, inside.shape) + 800 * inside
    affine = np.diag([4.0, 4.0, 4.0, 1.0]) if affine is None else affine
    return slicer.util.addVolumeFromArray(
        np.ascontiguousarray(array.T.astype(np.float32)), slicer.util.vtkMatrixFromArray(affine), name
    )


def text_of(host, panel, name, *words):
    """The line under a selector once it holds the words."""
    label = getattr(panel.inputs.ui, f"{name}Check")
    try:
        host.wait(lambda: all(word in label.text for word in words), 5)
    except TimeoutError:
        pytest.fail(f"{words} are not in {label.text!r}")
    return label.text


def test_nothing_chosen_cannot_run_and_the_tooltip_says_why(host, panel):
    button = panel.run_section.ui.runButton
    host.wait(lambda: "T1" in button.toolTip, 5)
    assert not button.enabled


def test_a_chosen_volume_is_checked_at_once(host, panel):
    add_volume("T1")
    host.choose(panel.inputs.ui.t1Selector, "T1")
    assert text_of(host, panel, "t1", "40 × 48 × 36", "4.0 × 4.0 × 4.0 mm").startswith("✓")
    host.wait(lambda: panel.run_section.ui.runButton.enabled, 5)


def test_another_grid_is_announced(host, panel):
    add_volume("T1")
    affine = np.diag([4.5, 4.5, 4.5, 1.0])
    affine[:3, 3] = -20
    add_volume("T2", affine=affine)
    host.choose(panel.inputs.ui.t1Selector, "T1")
    host.choose(panel.inputs.ui.t2Selector, "T2")
    text_of(host, panel, "t2", "will be resampled")


def test_volumes_that_do_not_overlap_cannot_be_run(host, panel):
    add_volume("T1")
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = 5000
    add_volume("FLAIR", affine=affine)
    host.choose(panel.inputs.ui.t1Selector, "T1")
    host.choose(panel.inputs.ui.flairSelector, "FLAIR")
    assert text_of(host, panel, "flair", "do not overlap").startswith("✗")
    assert not panel.run_section.ui.runButton.enabled
    assert "FLAIR" in panel.run_section.ui.runButton.toolTip


def test_a_parent_transform_counts(host, panel):
    import slicer
    import vtk

    add_volume("T1")
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = 5000
    node = add_volume("FLAIR", affine=affine)
    host.choose(panel.inputs.ui.t1Selector, "T1")
    host.choose(panel.inputs.ui.flairSelector, "FLAIR")
    text_of(host, panel, "flair", "do not overlap")
    back = vtk.vtkTransform()
    back.Translate(-5000, -5000, -5000)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(back.GetMatrix())
    node.SetAndObserveTransformNodeID(transform.GetID())
    text_of(host, panel, "flair", "grid of the reference")


def test_a_warp_has_to_be_hardened(host, panel):
    import slicer

    node = add_volume("T1")
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    node.SetAndObserveTransformNodeID(warp.GetID())
    host.choose(panel.inputs.ui.t1Selector, "T1")
    text_of(host, panel, "t1", "not linear")
    assert not panel.run_section.ui.runButton.enabled


@pytest.mark.parametrize(
    ("name", "array", "word"),
    [
        ("t1", np.zeros((40, 40, 40)), "zeros"),
        ("t2", np.full((40, 40, 40), np.nan), "not a number"),
        ("adc", np.full((40, 40, 40), 7.0), "same value"),
        ("flair", np.random.default_rng(0).random((60, 60, 1)), "single slice"),
    ],
)
def test_useless_volumes_are_named_at_their_role(host, panel, name, array, word):
    add_volume("bad", array)
    host.choose(getattr(panel.inputs.ui, f"{name}Selector"), "bad")
    assert text_of(host, panel, name, word).startswith("✗")
    assert getattr(panel.inputs.ui, f"{name}Check").toolTip


def test_editing_the_voxels_is_noticed(host, panel):
    import slicer

    node = add_volume("T1")
    host.choose(panel.inputs.ui.t1Selector, "T1")
    text_of(host, panel, "t1", "✓")
    slicer.util.arrayFromVolume(node)[:] = 0
    slicer.util.arrayFromVolumeModified(node)
    text_of(host, panel, "t1", "zeros")


def test_deleting_a_chosen_volume_leaves_its_role_empty(host, panel):
    import slicer

    node = add_volume("T1")
    host.choose(panel.inputs.ui.t1Selector, "T1")
    text_of(host, panel, "t1", "✓")
    slicer.mrmlScene.RemoveNode(node)
    host.wait(lambda: not panel.run_section.ui.runButton.enabled, 5)
    assert panel.context.parameters.t1 is None
    assert panel.inputs.ui.t1Selector.currentNode() is None


def test_assign_automatically_goes_by_name_and_leaves_contrast_enhanced_t1_out(host, panel):
    for name in ("t1_mprage_sag POST GAD", "t1_mprage_sag", "t2_tse_tra", "t2_space_dark-fluid"):
        add_volume(name)
    diffusion = np.random.default_rng(4).normal(800, 30, (40, 48, 36))
    diffusion[:8] = 0
    add_volume("ep2d_diff_ADC", diffusion)
    host.click(panel.inputs.ui.assignButton)
    ui = panel.inputs.ui
    chosen = {name: getattr(ui, f"{name}Selector").currentNode() for name in ("t1", "t2", "flair", "adc")}
    assert {name: node.GetName() for name, node in chosen.items()} == {
        "t1": "t1_mprage_sag",
        "t2": "t2_tse_tra",
        "flair": "t2_space_dark-fluid",
        "adc": "ep2d_diff_ADC",
    }
    assert ui.t1Label.toolTip


def test_assign_automatically_keeps_to_the_patient_that_is_shown(host, panel):
    import slicer

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    for patient in ("A", "B"):
        item = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), patient)
        study = hierarchy.CreateStudyItem(item, "MRI")
        for name in ("T1", "T2"):
            hierarchy.SetItemParent(hierarchy.GetItemByDataNode(add_volume(f"{name} {patient}")), study)
    shown = slicer.util.getNode("T2 B")
    slicer.util.setSliceViewerLayers(background=shown)
    slicer.app.applicationLogic().GetSelectionNode().SetActiveVolumeID(shown.GetID())
    host.click(panel.inputs.ui.assignButton)
    assert panel.context.parameters.t1.GetName() == "T1 B"
    assert panel.context.parameters.t2.GetName() == "T2 B"


def test_assign_automatically_without_volumes_says_so(host, panel):
    host.click(panel.inputs.ui.assignButton)
    assert "no volume" in panel.inputs.ui.loadingMessage.text


def test_the_sample_case_is_loaded_as_a_simulated_patient(host, panel):
    import slicer

    panel.load_sample(size="small")
    assert panel.inputs.ui.loadingFrame.visible
    assert not panel.inputs.ui.sampleButton.enabled
    host.wait(lambda: panel.context.parameters.t1 is not None, 120)
    parameters = panel.context.parameters
    assert all(getattr(parameters, name) is not None for name in ("t1", "t2", "flair", "adc", "acquired", "roi"))
    assert parameters.simulated
    assert panel.inputs.ui.simulatedCheckBox.checked
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert red.GetBackgroundVolumeID() == parameters.t1.GetID()


def test_loading_can_be_cancelled(host, panel):
    before = host.scene_census()
    host.click(panel.inputs.ui.sampleButton)
    host.wait(lambda: panel.inputs.ui.loadingBar.value > 0, 60)
    host.click(panel.inputs.ui.loadingCancelButton)
    assert not panel.inputs.ui.loadingFrame.visible
    assert host.scene_census() == before


def test_a_folder_that_is_no_case_says_so_in_place(host, panel, tmp_path, monkeypatch):
    monkeypatch.setattr(panel.inputs, "ask_for_folder", lambda: str(tmp_path))
    host.click(panel.inputs.ui.openCaseButton)
    host.wait(lambda: panel.inputs.ui.loadingMessage.text.startswith("✗"), 30)
