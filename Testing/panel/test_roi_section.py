"""The section "Regions (ROI)" through real widgets: what its table says is what numpy says of the arrays."""

import csv
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from Testing.panel.case_steps import open_case
from Testing.panel.compare_case import CENTRE, add_volume, positions, settle, view
from Testing.panel.roi_case import (
    RoiCase,
    click_cell,
    names,
    texts,
    wait_a_moment,
    wait_until_measured,
)


@pytest.fixture
def panel(host):
    """The panel, with the section open and a scene that has both maps."""
    panel = host.open_module("HierSynth").panel
    panel.case = RoiCase(panel.context.parameters)
    panel.roi.ui.roiButton.collapsed = False
    return panel


def row_of(table, region):
    return next(row for row, name in enumerate(names(table)) if name.endswith(region))


def number(table, region, heading):
    return float(texts(table, heading)[row_of(table, region)].replace("−", "-"))


def sentence_of(panel, region):
    click_cell(panel.roi.ui.roiTable, row_of(panel.roi.ui.roiTable, region))
    return panel.roi.ui.sentenceLabel.text


def test_the_table_follows_maps_and_segments(host, panel):
    ui, case = panel.roi.ui, panel.case
    wait_until_measured(host, panel.roi)
    tumour, nawm = case.masks["Tumour"], case.masks["NAWM reference"]
    for heading, values in (("synthetic", case.synthetic), ("acquired", case.acquired)):
        assert number(ui.roiTable, "Tumour", f"Mean\n{heading}") == pytest.approx(values[tumour].mean(), abs=5.1e-3)
        p95 = np.percentile(values[tumour], 95)
        assert number(ui.roiTable, "Tumour", f"P95\n{heading}") == pytest.approx(p95, abs=5.1e-3)
        ratio = values[tumour].mean() / values[nawm].mean()
        assert number(ui.roiTable, "Tumour", f"Ratio\n{heading}") == pytest.approx(ratio, abs=5.1e-3)
    assert number(ui.roiTable, "Tumour", "Voxels") == tumour.sum()
    assert number(ui.roiTable, "Whole brain", "Voxels") == case.ball((0, 0, 0), 55).sum()
    difference = np.abs(case.synthetic - case.acquired)[tumour].mean()
    assert number(ui.roiTable, "Tumour", "MAE\nnrCBV") == pytest.approx(difference, abs=5.1e-4)
    host.choose(ui.columnsSelector, "ADC")
    assert number(ui.roiTable, "Oedema", "Mean\n10⁻³ mm²/s") == pytest.approx(
        case.adc[case.masks["Oedema"]].mean(), abs=5.1e-3
    )

    # The second edit comes while the first is measured.
    smaller = case.ball((20, 4, 3), 7)
    case.set_segment("Tumour", case.ball((28, 4, 3), 9))
    host.wait(lambda: panel.roi.link.busy)
    case.set_segment("Tumour", smaller)
    wait_until_measured(host, panel.roi)
    assert number(ui.roiTable, "Tumour", "Mean\n10⁻³ mm²/s") == pytest.approx(case.adc[smaller].mean(), abs=5.1e-3)
    host.choose(ui.columnsSelector, "Synthetic against acquired")
    assert number(ui.roiTable, "Tumour", "Mean\nsynthetic") == pytest.approx(case.synthetic[smaller].mean(), abs=5.1e-3)

    host.choose(ui.referenceSelector, "Oedema (Segmentation)")
    wait_until_measured(host, panel.roi)
    assert panel.roi.measurement.entry["reference"]["source"] == "segment Oedema of Segmentation"
    ratio = case.synthetic[smaller].mean() / case.synthetic[case.masks["Oedema"]].mean()
    assert number(ui.roiTable, "Tumour", "Ratio\nsynthetic") == pytest.approx(ratio, abs=5.1e-3)

    case.set_segment("Tumour", np.zeros_like(smaller))
    wait_until_measured(host, panel.roi)
    assert number(ui.roiTable, "Tumour", "Voxels") == 0
    assert texts(ui.roiTable, "Mean\nsynthetic")[row_of(ui.roiTable, "Tumour")] == "–"
    sentence_of(panel, "Tumour")
    assert ui.notesLabel.visible
    click_cell(ui.regionList, 0)
    host.wait(lambda: panel.roi.measurement.entry is None)
    assert ui.stateLabel.text == "Nothing is measured yet. Tick a region above."
    assert not ui.roiTable.visible


def test_a_click_on_a_row_shows_the_region(host, panel):
    import slicer

    ui = panel.roi.ui
    wait_until_measured(host, panel.roi)
    sentence = sentence_of(panel, "Oedema")
    settle(host)
    centre = panel.case.points[panel.case.masks["Oedema"]].mean(axis=0)
    for name, axis in (("Red", 2), ("Green", 1), ("Yellow", 0)):
        cut = view(name).mrmlSliceNode().GetSliceToRAS().GetElement(axis, 3)
        assert cut == pytest.approx(centre[axis], abs=1e-3)
    assert sentence.startswith("✓ Good: Synthetic underestimates the ")
    assert " by 20 %, within the repeatability of DSC" in sentence
    host.click(ui.plotsButton)
    settle(host)

    def titles():
        return [chart.GetTitle() for chart in slicer.util.getNodesByClass("vtkMRMLPlotChartNode")]

    wait_until_measured(host, panel.roi)
    assert titles()
    assert all("Oedema" in title for title in titles())
    sentence_of(panel, "Tumour")
    wait_until_measured(host, panel.roi)
    assert all("Tumour" in title for title in titles())
    assert list(panel.roi.measurement.entry["plots"]) == ["Tumour"]
    host.click(ui.differenceButton)
    settle(host)
    assert panel.context.parameters.layout == "three-up"


def test_hotspots_are_suggested_moved_recorded_and_exported(host, panel, tmp_path, monkeypatch):
    from HierSynthPanel.roi_nodes import points_with_role

    ui, case = panel.roi.ui, panel.case
    wait_until_measured(host, panel.roi)
    host.click(ui.suggestHotspotsButton)
    host.wait(lambda: points_with_role("hotspot") is not None, 60)
    hotspots = points_with_role("hotspot", "synthetic")
    assert hotspots.GetNumberOfControlPoints() == 4
    host.wait(lambda: ui.regionList.rowCount == 2)
    wait_until_measured(host, panel.roi)
    name = hotspots.GetNthControlPointLabel(0)
    place = CENTRE + np.array([25.0, 0.0, 0.0])
    for number_of in range(4):
        inside = np.linalg.norm(np.array(hotspots.GetNthControlPointPositionWorld(number_of)) - place)
        assert inside < 14
    host.wait(lambda: len(panel.roi.changes) >= 4, 5)

    hotspots.SetNthControlPointPositionWorld(0, [25.0 + CENTRE[0], -28.0 + CENTRE[1], CENTRE[2]])
    wait_until_measured(host, panel.roi)
    moved_to = case.near(hotspots.GetNthControlPointPositionWorld(0), 3.0 + 1e-6)
    mean = case.synthetic[moved_to].mean()
    assert number(ui.roiTable, name, "Mean\nsynthetic") == pytest.approx(mean, abs=5.1e-3)
    host.wait(lambda: panel.roi.changes[-1].action == "moved", 5)
    assert panel.roi.changes[-1].mean_after == pytest.approx(mean, rel=1e-5)

    path = tmp_path / "patient.csv"
    monkeypatch.setattr(panel.roi.results, "ask_for_file", lambda: str(path))
    host.click(ui.exportButton)
    host.wait(path.exists, 60)
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    value = next(r for r in rows if (r["region"], r["map"], r["measure"]) == ("Tumour", "acquired", "mean"))
    assert float(value["value"]) == pytest.approx(case.acquired[case.masks["Tumour"]].mean(), rel=1e-4)
    assert value["reference_source"] == "segment NAWM reference of Segmentation"
    assert any(row["group"] == "texture" and row["value"] for row in rows)
    changes = list(csv.DictReader((tmp_path / "patient_changes.csv").open(encoding="utf-8")))
    assert [row["action"] for row in changes[-5:]] == ["suggested"] * 4 + ["moved"]
    host.wait(lambda: ui.stateLabel.text == "✓ Saved: patient_changes.csv, patient.csv", 10, ui.stateLabel.text)


def test_a_reference_is_suggested_opposite_to_the_lesion(host, case_without_series, monkeypatch):
    panel = host.open_module("HierSynth").panel
    open_case(host, panel, case_without_series, monkeypatch)
    ui, parameters = panel.roi.ui, panel.context.parameters
    acquired = nibabel.load(case_without_series / "CBV_acquired.nii.gz")
    cbv = np.asarray(acquired.dataobj, dtype=np.float32)
    parameters.synthetic = add_volume("CBV SYNTHETIC", cbv, acquired.affine, Map="synthetic", Synthetic="1")
    parameters.uncertainty = add_volume("CBV uncertainty", 0.5 * (cbv > 0), acquired.affine, Map="uncertainty")
    ui.roiButton.collapsed = False
    wait_until_measured(host, panel.roi)
    host.click(ui.suggestReferenceButton)
    host.wait(lambda: ui.referenceSelector.currentText == "Suggested spheres", 60)
    wait_until_measured(host, panel.roi)
    spheres = [parameters.nawm.GetNthControlPointPositionWorld(number) for number in range(3)]
    centres = {region["name"]: region["centre"] for region in panel.roi.measurement.entry["regions"]}
    points = positions(acquired.affine, cbv.shape)
    middle = points[cbv > 0][:, 0].mean()
    lesion = np.mean([centres[name][0] for name in ("enhancing", "necrosis", "oedema")])
    assert all((sphere[0] - middle) * (lesion - middle) < 0 for sphere in spheres)
    inside = np.min([np.linalg.norm(points - sphere, axis=-1) for sphere in spheres], axis=0) <= 5.0
    mean = number(ui.roiTable, "enhancing", "Mean\nsynthetic")
    assert number(ui.roiTable, "enhancing", "Ratio\nsynthetic") == pytest.approx(mean / cbv[inside].mean(), abs=0.02)
    assert panel.roi.measurement.entry["reference"]["source"] == "3 spheres of 10 mm, suggested, not moved"


def test_without_acquired_map_intensities_are_measured(host):
    panel = host.open_module("HierSynth").panel
    ui = panel.roi.ui
    ui.roiButton.collapsed = False
    wait_a_moment(host, 0.1)
    assert ui.stateLabel.text == "There is no synthetic map yet. Run the synthesis first."
    assert panel.roi.link.pid is None
    case = RoiCase(panel.context.parameters, acquired=False)
    wait_until_measured(host, panel.roi)
    mean = case.synthetic[case.masks["Tumour"]].mean()
    assert number(ui.roiTable, "Tumour", "Mean\nnrCBV") == pytest.approx(mean, abs=5.1e-3)
    assert ui.stateLabel.text == "There is no acquired map to compare with, so only intensities are measured."
    assert not ui.plotsButton.enabled


def test_a_map_that_is_not_normalised_is_offered_to_be_divided(host, panel):
    import slicer

    ui, case, parameters = panel.roi.ui, panel.case, panel.context.parameters
    wait_until_measured(host, panel.roi)
    assert not ui.normaliseCheckBox.visible
    slicer.util.updateVolumeFromArray(parameters.acquired, np.ascontiguousarray(30 * case.acquired.T))
    wait_until_measured(host, panel.roi)
    tumour, nawm = case.masks["Tumour"], case.masks["NAWM reference"]
    assert ui.normaliseCheckBox.visible
    assert number(ui.roiTable, "Tumour", "Mean\nacquired") == pytest.approx(30 * case.acquired[tumour].mean(), abs=6e-3)
    host.click(ui.normaliseCheckBox)
    wait_until_measured(host, panel.roi)
    ratio = case.acquired[tumour].mean() / case.acquired[nawm].mean()
    assert number(ui.roiTable, "Tumour", "Mean\nacquired") == pytest.approx(ratio, abs=5.1e-3)


def test_a_failure_is_said_in_place_and_mended(host, panel, tmp_path):
    ui = panel.roi.ui
    panel.run_section.ui.pythonPath.currentPath = str(tmp_path / "no-python")
    host.wait(lambda: bool(panel.roi.measurement.problem), 20)
    host.wait(lambda: not panel.roi.measurement.busy, 20)
    assert "no-python" in ui.stateLabel.text
    assert ui.stateLabel.text.startswith("✗ ")
    panel.run_section.ui.pythonPath.currentPath = sys.executable
    host.click(ui.againButton)
    wait_until_measured(host, panel.roi)
    assert not ui.againButton.visible
    assert names(ui.roiTable)


def test_the_scene_is_closed_while_measuring_and_both_processes_end(host, panel, job_folders):
    host.wait(lambda: panel.roi.link.pid is not None and panel.roi.measurement.busy, 30)
    host.close_scene()
    assert not panel.roi.measurement.busy
    host.wait(lambda: not list(job_folders.glob("hiersynth-job-*")), 10)
    assert panel.roi.ui.regionList.rowCount == 0
    RoiCase(panel.context.parameters)
    wait_until_measured(host, panel.roi)
    panel.runtime.check()
    host.wait(lambda: not panel.runtime.checking, 60)
    processes = panel.roi.link.pids | panel.context.link.pids
    assert len(processes) >= 2
    host.close_module("HierSynth")
    host.wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), 10)
    host.wait(lambda: not list(job_folders.glob("hiersynth-job-*")), 10)


def test_a_saved_scene_restores_ticks_sizes_reference_and_changes(host, panel, tmp_path):
    import slicer
    from HierSynthPanel.roi_markups import show_hotspots

    region = {"name": "Hotspot 1 (synthetic)", "shapes": [{"centre": list(CENTRE)}]}
    show_hotspots("synthetic", [region], 6.0, simulated=False)
    ui = panel.roi.ui
    host.choose(ui.referenceSelector, "Oedema (Segmentation)")
    ui.hotspotDiameterSpinBox.value = 8.0
    wait_until_measured(host, panel.roi)
    click_cell(ui.regionList, 0)
    host.wait(lambda: panel.roi.changes and not panel.roi.measurement.busy, 5)
    changes = panel.roi.changes
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    host.close_scene()
    assert slicer.mrmlScene.ReadFromMRB(str(path), True)
    wait_until_measured(host, panel.roi)
    assert [ui.regionList.item(row, 0).text() for row in range(2)] == ["Segmentation", "Hotspots (synthetic)"]
    assert names(ui.roiTable)[0].endswith("Hotspot 1 (synthetic)")
    assert ui.hotspotDiameterSpinBox.value == 8.0
    assert ui.referenceSelector.currentText == "Oedema (Segmentation)"
    assert panel.roi.changes == changes


def test_a_section_that_is_closed_while_a_measurement_is_prepared_does_not_measure(host, panel):
    from HierSynthPanel.roi_markups import show_hotspots

    region = {"name": "Hotspot 1 (synthetic)", "shapes": [{"centre": list(CENTRE)}]}
    node = show_hotspots("synthetic", [region], 6.0, simulated=False)
    before = wait_until_measured(host, panel.roi)
    host.wait(lambda: panel.roi.changes and panel.roi.changes[-1].mean_after is not None, 5)
    panel.roi.measurement.update()
    panel.roi.ui.roiButton.collapsed = True
    assert not panel.roi.measurement.busy
    node.SetNthControlPointPositionWorld(0, CENTRE + 5.0)
    host.wait(lambda: panel.roi.changes[-1].action == "moved", 5)
    assert panel.roi.changes[-1].mean_after is None
    assert panel.roi.measurement.entry is before


def test_a_closed_section_measures_nothing_but_records_moves(host, panel):
    from HierSynthPanel.roi_markups import show_hotspots

    region = {"name": "Hotspot 1 (synthetic)", "shapes": [{"centre": list(CENTRE)}]}
    node = show_hotspots("synthetic", [region], 6.0, simulated=False)
    before = wait_until_measured(host, panel.roi)
    host.wait(lambda: panel.roi.changes and panel.roi.changes[-1].mean_after is not None, 5)
    panel.roi.ui.roiButton.collapsed = True
    node.SetNthControlPointPositionWorld(0, CENTRE + 5.0)
    host.wait(lambda: panel.roi.changes[-1].action == "moved", 5)
    assert panel.roi.changes[-1].mean_after is None
    assert panel.roi.measurement.entry is before
    panel.roi.ui.roiButton.collapsed = False
    assert wait_until_measured(host, panel.roi) is not before
