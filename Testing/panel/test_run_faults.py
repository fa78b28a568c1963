"""What can go wrong during a run: the reason appears in place, and the next run works."""

import contextlib
import os
import resource
import shutil
import signal
import sys

import pytest
import torch

from HierSynthLib.worker.run_state import RunState
from Testing.panel.case_steps import open_case, run_synthesis, wait_until_ready

WITHOUT_TORCH = """#!/bin/sh
exec {python} -c "
import runpy, sys
sys.modules['torch'] = None
runpy.run_module('HierSynthLib.worker', run_name='__main__')
"
"""


@pytest.fixture
def empty_panel(host, installed_tiny_model):
    """The panel with a small model chosen."""
    panel = host.open_module("HierSynth").panel
    host.choose(panel.run_section.ui.modelSelector, "tiny 1.0")
    host.choose(panel.run_section.ui.deviceSelector, "Processor (CPU)")
    host.click(panel.run_section.ui.registerCheckBox)
    return panel


@pytest.fixture
def panel(host, empty_panel, case_without_series, monkeypatch):
    """That panel with a small case loaded, whose brain takes some seconds to be found."""
    open_case(host, empty_panel, case_without_series, monkeypatch)
    return empty_panel


@pytest.fixture
def panel_of_brain(host, empty_panel, stripped_case, monkeypatch):
    """The same for tests that wait for the end of a run: the T1 shows the brain alone."""
    open_case(host, empty_panel, stripped_case, monkeypatch)
    return empty_panel


def assert_failed_in_place(panel, *words):
    ui = panel.run_section.ui
    assert panel.run.state == RunState.FAILED, panel.run.details()
    assert ui.failureFrame.visible
    for word in words:
        assert word in ui.failureReason.text + ui.failureHint.text
    assert ui.failureHint.text
    assert ui.runButton.text == "Run"
    assert ui.runButton.enabled


def assert_works_again(host, panel):
    run_synthesis(host, panel)
    assert panel.run.state == RunState.DONE, panel.run.details()
    assert not panel.run_section.ui.failureFrame.visible


def assert_starts_again(host, panel):
    """As `assert_works_again`, but only until the volumes have been read and the model was loaded."""
    host.click(panel.run_section.ui.runButton)
    host.wait(lambda: panel.run.stage == "brain mask", 60)
    host.click(panel.run_section.ui.runButton)
    host.wait(lambda: not panel.run.busy, 10)
    assert panel.run.state == RunState.READY, panel.run.details()


def use_python(host, panel, path):
    panel.run_section.ui.pythonPath.currentPath = str(path)


def test_an_interpreter_that_does_not_exist(host, panel_of_brain, tmp_path):
    use_python(host, panel_of_brain, tmp_path / "no-python")
    run_synthesis(host, panel_of_brain)
    assert_failed_in_place(panel_of_brain, "no-python")
    use_python(host, panel_of_brain, "")
    assert_works_again(host, panel_of_brain)


def test_a_python_without_torch(host, panel, tmp_path):
    script = tmp_path / "python-without-torch"
    script.write_text(WITHOUT_TORCH.format(python=sys.executable))
    script.chmod(0o755)
    use_python(host, panel, script)
    run_synthesis(host, panel)
    assert_failed_in_place(panel, "torch")
    # The check follows by itself.
    assert not panel.run_section.ui.runtimeButton.collapsed
    host.wait(lambda: "torch cannot be used" in panel.run_section.ui.runtimeMessage.text, 30)
    use_python(host, panel, "")
    assert_starts_again(host, panel)


def test_a_model_that_was_removed(host, panel, installed_tiny_model, tmp_path):
    shutil.move(installed_tiny_model, tmp_path / "elsewhere")
    run_synthesis(host, panel)
    assert_failed_in_place(panel, "tiny")
    shutil.move(tmp_path / "elsewhere", installed_tiny_model)
    assert_starts_again(host, panel)


def test_a_model_that_was_tampered_with(host, panel_of_brain, installed_tiny_model):
    weights = installed_tiny_model / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    run_synthesis(host, panel_of_brain)
    assert_failed_in_place(panel_of_brain, "tiny")
    weights.write_bytes(good)
    assert_works_again(host, panel_of_brain)


def test_a_device_that_is_not_there(host, panel):
    absent = "Apple graphics (MPS)" if torch.cuda.is_available() else "NVIDIA graphics card (CUDA)"
    host.choose(panel.run_section.ui.deviceSelector, absent)
    run_synthesis(host, panel)
    assert_failed_in_place(panel)
    host.choose(panel.run_section.ui.deviceSelector, "Processor (CPU)")
    assert_starts_again(host, panel)


@contextlib.contextmanager
def no_room_for_volumes():
    """Let this process write only small files, as a disk that is almost full does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_no_room_on_the_disk(host, panel, job_folders):
    with no_room_for_volumes():
        run_synthesis(host, panel)
    assert_failed_in_place(panel)
    host.wait(lambda: not list(job_folders.glob("hiersynth-job-*")), 10)
    assert_starts_again(host, panel)


def test_a_worker_that_is_killed(host, panel):
    host.click(panel.run_section.ui.runButton)
    host.wait(lambda: panel.run.state == RunState.RUNNING, 60)
    os.kill(panel.context.link.pid, signal.SIGKILL)
    host.wait(lambda: not panel.run.busy, 20)
    assert_failed_in_place(panel)
    assert_starts_again(host, panel)


def test_a_t1_that_is_deleted_during_the_run(host, panel):
    import slicer

    host.click(panel.run_section.ui.runButton)
    host.wait(lambda: panel.run.state == RunState.RUNNING, 60)
    slicer.mrmlScene.RemoveNode(panel.context.parameters.t1)
    host.wait(lambda: not panel.run.busy, 60)
    assert panel.run.state == RunState.DONE
    assert panel.context.parameters.synthetic is not None
    assert "FLAIR" not in panel.context.parameters.synthetic.GetName()


def test_a_scene_that_is_closed_during_the_run(host, panel, case_without_series, monkeypatch, job_folders):
    import slicer

    host.click(panel.run_section.ui.runButton)
    host.wait(lambda: panel.run.state == RunState.RUNNING, 60)
    host.close_scene()
    assert not panel.run.busy
    host.wait(lambda: not list(job_folders.glob("hiersynth-job-*")), 10)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    open_case(host, panel, case_without_series, monkeypatch)
    assert_starts_again(host, panel)


def test_cancel_leaves_the_scene_as_it_was(host, panel):
    before = host.scene_census()
    host.click(panel.run_section.ui.runButton)
    host.wait(lambda: panel.run.state == RunState.RUNNING, 60)
    host.click(panel.run_section.ui.runButton)
    host.wait(lambda: not panel.run.busy, 10)
    assert panel.run.state == RunState.READY
    assert host.scene_census() == before
    assert panel.context.parameters.synthetic is None
    wait_until_ready(host, panel)
    assert_starts_again(host, panel)


def test_details_can_be_copied_and_hold_no_patient_name(host, panel, tmp_path):
    import slicer

    panel.context.parameters.t1.SetName("Doe^Jane T1")
    use_python(host, panel, tmp_path / "no-python")
    run_synthesis(host, panel)
    host.click(panel.run_section.ui.copyDetailsButton)
    text = slicer.app.clipboard().text()
    assert panel.run.hint in text
    assert "Doe" not in text
    use_python(host, panel, "")
