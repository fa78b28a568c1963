"""What the section does when a measurement fails, or an export cannot be finished."""

import csv
import sys

import numpy as np
import pytest

from Testing.panel.compare_case import CENTRE
from Testing.panel.roi_case import RoiCase, click_cell, wait_a_moment, wait_until_measured


@pytest.fixture
def panel(host):
    """The panel, with the section open and a scene that has both maps, measured."""
    panel = host.open_module("HierSynth").panel
    panel.case = RoiCase(panel.context.parameters)
    panel.roi.ui.roiButton.collapsed = False
    wait_until_measured(host, panel.roi)
    return panel


def start_export(host, panel, monkeypatch, path):
    """Click Export, and wait until its measurement has been ordered."""
    monkeypatch.setattr(panel.roi.results, "ask_for_file", lambda: str(path))
    host.click(panel.roi.ui.exportButton)
    host.wait(lambda: panel.roi.link.busy, 20)


def warp(node):
    """Put a node under a transform that is not linear."""
    import slicer
    import vtk

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    transform.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    node.SetAndObserveTransformNodeID(transform.GetID())


def test_a_failed_measurement_is_not_tried_again_by_itself(host, panel, tmp_path):
    starts = tmp_path / "starts"
    dead = tmp_path / "python"
    dead.write_text(f"#!/bin/sh\necho x >> {starts}\nexit 3\n")
    dead.chmod(0o755)
    panel.run_section.ui.pythonPath.currentPath = str(dead)
    wait_a_moment(host, 0.5)
    starts.unlink(missing_ok=True)
    # The plots of another row have to be measured.
    click_cell(panel.roi.ui.roiTable, 1)
    host.wait(lambda: bool(panel.roi.measurement.problem), 20)
    wait_a_moment(host, 1.5)
    # One for the click, and those that look at the interpreter.
    assert 1 <= len(starts.read_text().split()) < 5
    assert not panel.roi.measurement.busy


def test_what_is_shown_while_a_measurement_fails_is_not_of_now(host, panel):
    import slicer

    ui, acquired = panel.roi.ui, panel.context.parameters.acquired
    slicer.app.clipboard().setText("before")
    warp(acquired)
    host.wait(lambda: bool(panel.roi.measurement.problem), 20)
    assert ui.stateLabel.text.endswith("\nThe table shows an earlier measurement, not that of now.")
    assert not ui.copyButton.enabled
    assert not ui.exportButton.enabled
    host.key(ui.roiTable, "Ctrl+C")
    assert slicer.app.clipboard().text() == "before"
    acquired.SetAndObserveTransformNodeID(None)
    wait_until_measured(host, panel.roi)
    assert ui.stateLabel.text == ""
    assert ui.copyButton.enabled
    assert ui.exportButton.enabled


def test_a_file_that_exists_is_not_replaced_unasked(host, panel, tmp_path, monkeypatch):
    (tmp_path / "case.csv").write_text("precious")
    monkeypatch.setattr(panel.roi.results, "ask_for_file", lambda: str(tmp_path / "case"))
    host.click(panel.roi.ui.exportButton)
    assert panel.roi.ui.stateLabel.text == "✗ Not exported: case.csv exists already. Choose another name."
    assert (tmp_path / "case.csv").read_text() == "precious"


def test_saved_is_said_until_something_else_is_shown(host, panel, tmp_path, monkeypatch):
    ui = panel.roi.ui
    start_export(host, panel, monkeypatch, tmp_path / "case.csv")
    saved = "✓ Saved: case_changes.csv, case.csv"
    host.wait(lambda: ui.stateLabel.text == saved, 20)
    wait_until_measured(host, panel.roi)
    assert ui.stateLabel.text == saved
    panel.case.set_segment("Tumour", panel.case.ball((20, 4, 3), 7))
    wait_until_measured(host, panel.roi)
    assert ui.stateLabel.text == ""


def test_an_export_survives_another_interpreter(host, panel, tmp_path, monkeypatch):
    start_export(host, panel, monkeypatch, tmp_path / "case.csv")
    panel.run_section.ui.pythonPath.currentPath = sys.executable
    host.wait((tmp_path / "case.csv").exists, 60)
    rows = list(csv.DictReader((tmp_path / "case.csv").open(encoding="utf-8")))
    assert any(row["group"] == "texture" and row["value"] for row in rows)


def test_an_export_is_finished_although_its_map_is_removed(host, panel, tmp_path, monkeypatch):
    import slicer

    start_export(host, panel, monkeypatch, tmp_path / "case.csv")
    slicer.mrmlScene.RemoveNode(panel.context.parameters.synthetic)
    host.wait(lambda: panel.roi.ui.stateLabel.text.startswith("✓ Saved: "), 60)
    assert panel.roi.measurement.entry is None
    assert (tmp_path / "case.csv").exists()


def test_an_export_that_is_lost_is_named(host, panel, tmp_path, monkeypatch):
    start_export(host, panel, monkeypatch, tmp_path / "case.csv")
    host.close_scene()
    wait_a_moment(host, 0.2)
    assert panel.roi.ui.stateLabel.text == (
        "✗ Not exported: There is nothing to measure any more.\nThere is no synthetic map yet. Run the synthesis first."
    )
    assert not (tmp_path / "case.csv").exists()


def test_an_export_that_waits_is_not_lost_with_the_job_before_it(host, panel, tmp_path, monkeypatch):
    from HierSynthLib.errors import InputError

    measurement = panel.roi.measurement
    panel.case.set_segment("Tumour", panel.case.ball((20, 4, 3), 7))
    host.wait(lambda: panel.roi.link.busy, 20)
    monkeypatch.setattr(panel.roi.results, "ask_for_file", lambda: str(tmp_path / "case.csv"))
    host.click(panel.roi.ui.exportButton)
    measurement._fail(InputError("The job before has failed.", ""))
    host.wait((tmp_path / "case.csv").exists, 60)


def test_an_exported_reference_says_at_once_that_it_was_moved(host, panel, tmp_path, monkeypatch):
    from HierSynthPanel.roi_markups import show_reference

    parameters = panel.context.parameters
    spheres = show_reference({"shapes": [{"centre": list(CENTRE + 12 * n)} for n in range(3)]}, simulated=False)
    parameters.nawm, parameters.nawmSegment = spheres, ""
    wait_until_measured(host, panel.roi)
    host.wait(lambda: len(panel.roi.changes) >= 4, 10)
    spheres.SetNthControlPointPositionWorld(0, CENTRE + np.array([0.0, 0.0, 5.0]))
    start_export(host, panel, monkeypatch, tmp_path / "case.csv")
    host.wait((tmp_path / "case.csv").exists, 60)
    row = next(csv.DictReader((tmp_path / "case.csv").open(encoding="utf-8")))
    assert row["reference_source"] == "3 spheres of 10 mm, suggested, moved"
