"""Another Python for the worker: what is none is refused, and the host's environment does not leak into it."""

import json
import os
import subprocess
import sys

import pytest

from HierSynthLib.worker.interpreter import check_interpreter, worker_environment


def program(path, mode=0o755):
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return str(path)


def test_this_python_can_be_one():
    assert check_interpreter(sys.executable) is None


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda folder: str(folder / "absent"), "There is no Python at"),
        (str, "is a folder"),
        (lambda folder: program(folder / "notes", 0o644), "cannot be run|is not a program"),
        (lambda folder: program(folder / "Slicer"), "is Slicer"),
    ],
)
def test_what_can_be_none(tmp_path, make, what):
    problem = check_interpreter(make(tmp_path))
    assert problem.severity == "error"
    assert any(words in problem.what for words in what.split("|"))
    assert problem.todo.startswith("Choose the python program")


def test_a_home_folder_is_understood(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    program(tmp_path / "python3")
    assert check_interpreter("~/python3") is None


def test_settings_of_the_hosts_python_go():
    base = {"PYTHONHOME": "/slicer", "PYTHONPATH": "/slicer/lib", "HOME": "/home/x", "LD_LIBRARY_PATH": "/opt/cuda"}
    assert worker_environment(base) == {"HOME": "/home/x", "LD_LIBRARY_PATH": "/opt/cuda"}


def test_slicers_folders_go_from_the_search_paths_and_others_stay():
    base = {
        "SLICER_HOME": "/opt/Slicer-5.10",
        "PATH": os.pathsep.join(["/opt/Slicer-5.10/bin", "/usr/bin", "/opt/Slicer-5.10-other/bin"]),
        "LD_LIBRARY_PATH": os.pathsep.join(["/opt/Slicer-5.10/lib/Slicer-5.10", "/opt/cuda/lib64", ""]),
        "QT_PLUGIN_PATH": "/opt/Slicer-5.10/lib/QtPlugins",
        "LANG": "de_DE.UTF-8",
    }
    assert worker_environment(base) == {
        "PATH": os.pathsep.join(["/usr/bin", "/opt/Slicer-5.10-other/bin"]),
        "LD_LIBRARY_PATH": "/opt/cuda/lib64",
        "LANG": "de_DE.UTF-8",
    }


def test_a_poisoned_environment_is_usable_again():
    poisoned = dict(os.environ) | {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere"}
    ask = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.prefix))"]
    assert subprocess.run(ask, env=poisoned, capture_output=True, check=False).returncode != 0
    done = subprocess.run(ask, env=worker_environment(poisoned), capture_output=True, check=True, text=True)
    assert json.loads(done.stdout) == sys.prefix
