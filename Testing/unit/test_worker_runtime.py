"""What the worker says about its Python: in this one, and in one that has nothing at all."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import HierSynthLib.worker.runtime as runtime_module
from HierSynthLib import requirements
from HierSynthLib.requirements import RUNTIME, is_older, to_install
from HierSynthLib.worker.client import WorkerClient
from HierSynthLib.worker.messages import Failed, Result
from HierSynthLib.worker.runtime import describe_runtime
from Testing.conftest import write_tiny_model

ROOT = Path(__file__).parents[2]
PATIENCE = 60


def ask(client, kind, parameters):
    job = client.submit(kind, parameters)
    while True:
        event = client.next_event(PATIENCE)
        assert event is not None
        if isinstance(event, Result | Failed) and event.job == job:
            return event


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python without any package."""
    folder = tmp_path_factory.mktemp("bare") / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def test_this_python_has_everything():
    found = describe_runtime(devices=True)
    assert found["missing"] == found["outdated"] == []
    assert found["ready"] is True
    assert found["packages"]["torch"] == version("torch")
    assert found["packages"]["numpy"] == version("numpy")
    assert found["executable"] == sys.executable
    assert "cpu" in [device["id"] for device in found["devices"]]
    assert [(model["name"], model["ok"]) for model in found["models"]] == [("hiersynth-demo", True)]
    assert not any(line.startswith("✗") for line in found["lines"])


def test_devices_cost_the_import_of_torch_only_when_asked(monkeypatch):
    monkeypatch.setattr(runtime_module.importlib, "import_module", None)
    assert describe_runtime()["devices"] == []


def test_a_python_without_anything_answers(bare_python):
    with WorkerClient(bare_python) as client:
        event = ask(client, "runtime", {"devices": True})
        failed = ask(client, "read_case", {"case": "x", "output": "y"})
    assert isinstance(event, Result)
    found = event.result
    assert found["executable"] == str(bare_python)
    assert list(found["missing"]) == [str(requirement) for requirement in RUNTIME]
    assert set(found["packages"].values()) == {None}
    assert (found["devices"], found["models"], found["ready"]) == ([], [], False)
    assert "✗ Missing: numpy, scipy, SimpleITK, pydicom, torch, safetensors." in found["lines"]
    assert any(f'"{bare_python}" -m pip install "numpy>=2.0"' in line for line in found["lines"])
    assert isinstance(failed, Failed)
    assert "cannot import" in failed.message


def test_old_packages(monkeypatch):
    old = {"torch": "2.1.0+cpu", "numpy": "1.26.4"}
    real = requirements.installed_version
    monkeypatch.setattr(runtime_module, "installed_version", lambda name: old.get(name) or real(name))
    found = describe_runtime(devices=True)
    assert found["outdated"] == ["numpy>=2.0", "torch>=2.6"]
    assert found["missing"] == ["torch>=2.6"]  # never another numpy over Slicer's own
    assert found["ready"] is False
    assert "✗ torch 2.1.0+cpu is too old: 2.6 or newer is needed." in found["lines"]


def test_a_torch_that_cannot_be_loaded(monkeypatch):
    def broken(name):
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(runtime_module.importlib, "import_module", broken)
    found = describe_runtime(devices=True)
    assert found["ready"] is False
    assert any("libcudart.so.12" in line and line.startswith("✗ torch") for line in found["lines"])


def test_a_model_that_was_tampered_with(monkeypatch, tmp_path):
    monkeypatch.setenv("HIERSYNTH_DATA", str(tmp_path))
    folder = write_tiny_model(tmp_path / "Models" / "tiny")
    (folder / "LICENSE").write_text("other")
    models = {model["name"]: model for model in describe_runtime()["models"]}
    assert models["hiersynth-demo"]["ok"]
    assert not models["tiny"]["ok"]
    assert "altered" in models["tiny"]["problem"]


def test_the_requirements_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {str(requirement) for requirement in RUNTIME} <= set(project["dependencies"])
    of_the_command_line = {"matplotlib", "rich", "typer"}
    names = {dependency.split(">=")[0] for dependency in project["dependencies"]}
    assert names - of_the_command_line == {requirement.name for requirement in RUNTIME}


def test_slicers_own_packages_are_never_installed():
    assert to_install() == ["safetensors>=0.5"]


@pytest.mark.parametrize(
    ("found", "minimum", "older"),
    [
        ("2.13.0+cpu", "2.6", False),
        ("2.6", "2.6", False),
        ("2.5.9", "2.6", True),
        ("1.26.4", "2.0", True),
        ("2.10", "2.9", False),
        ("3.0.0rc1", "3.0", False),
        ("unknown", "2.0", False),
    ],
)
def test_versions(found, minimum, older):
    assert is_older(found, minimum) is older
