"""Job folders: volumes make the way and back unchanged; only what belongs to nobody any more is removed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from HierSynthLib.case import Role
from HierSynthLib.errors import OutputError
from HierSynthLib.volume import Volume, write_volume
from HierSynthLib.worker.job_folder import LOCK, YOUNG, JobFolder, remove_stale_folders

AFFINE = np.array([[-0.9, 0, 0.1, 80], [0, 1.1, 0, -90], [0.09, 0, 1.0, -60], [0, 0, 0, 1.0]])


@pytest.fixture
def volumes():
    generator = np.random.default_rng(0)
    return {
        Role.T1: Volume(generator.normal(size=(4, 5, 6)).astype(np.float32), np.eye(4)),
        Role.BRAIN: Volume(generator.integers(0, 2, (4, 5, 6)).astype(np.uint8), np.diag([1, 2, 3, 1.0])),
    }


def make_old(folder):
    an_hour_ago = time.time() - 3600
    os.utime(folder / LOCK, (an_hour_ago, an_hour_ago))


def test_volumes_make_the_way_to_the_worker_and_back(tmp_path, volumes):
    with JobFolder(tmp_path / "jobs") as folder:
        inputs = folder.write_inputs(volumes)
        assert set(inputs) == {"T1", "brain_mask"}
        raw = np.load(inputs["T1"], allow_pickle=False)  # what the worker finds is plain NumPy
        np.testing.assert_array_equal(raw, volumes[Role.T1].array)
        # What a worker would answer: the same volumes in its output folder.
        for name, volume in (("synthetic", volumes[Role.T1]), ("global", volumes[Role.BRAIN])):
            write_volume(volume, folder.output / f"{name}.npy")
        results = folder.read_results({name: str(folder.output / f"{name}.npy") for name in ("synthetic", "global")})
        np.testing.assert_array_equal(results["synthetic"].array, volumes[Role.T1].array)
        np.testing.assert_array_equal(results["global"].affine, np.diag([1, 2, 3, 1.0]))
    assert not list((tmp_path / "jobs").iterdir())
    # Still readable: not a view of a file.
    np.testing.assert_array_equal(results["global"].array, volumes[Role.BRAIN].array)


def test_only_the_owner_may_enter(tmp_path):
    with JobFolder(tmp_path) as folder:
        assert folder.path.stat().st_mode & 0o777 == 0o700


def test_every_folder_has_another_name(tmp_path):
    folders = [JobFolder(tmp_path) for _ in range(5)]
    assert len({folder.path for folder in folders}) == 5
    for folder in folders:
        folder.remove()
        folder.remove()
    assert not list(tmp_path.iterdir())


def test_a_base_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        JobFolder(tmp_path / "file")
    assert str(tmp_path / "file") in caught.value.message


def test_the_folder_of_a_killed_process_is_removed(tmp_path, volumes):
    program = f"""
import os
from pathlib import Path
from HierSynthLib.worker.job_folder import JobFolder
folder = JobFolder(Path({str(tmp_path)!r}))
(folder.path / "T1.npy").write_bytes(b"patient")
print(folder.path, flush=True)
os.kill(os.getpid(), 9)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, text=True, check=False
    )
    folder = Path(done.stdout.strip())
    assert folder.is_dir()
    assert remove_stale_folders(tmp_path) == []  # too young: its owner might be about to lock it
    make_old(folder)
    assert remove_stale_folders(tmp_path) == [folder]
    assert not folder.exists()


def test_the_folder_of_a_living_process_stays(tmp_path):
    with JobFolder(tmp_path) as folder:
        make_old(folder.path)
        program = f"""
from pathlib import Path
from HierSynthLib.worker.job_folder import remove_stale_folders
print(remove_stale_folders(Path({str(tmp_path)!r})))
"""
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, env=environment, text=True, check=True
        )
        assert done.stdout.strip() == "[]"
        assert remove_stale_folders(tmp_path) == []  # nor does the owner take its own
        assert folder.path.is_dir()


def test_nothing_else_is_ever_removed(tmp_path):
    base, elsewhere = tmp_path / "base", tmp_path / "elsewhere"
    name = "hiersynth-job-" + "0" * 32
    strangers = [
        base / "my data",
        base / "hiersynth-job-mine",
        base / (name + "x"),
        base / ("hiersynth-job-" + "1" * 32),  # the right name, but no lock
        elsewhere / name,
    ]
    for folder in strangers:
        folder.mkdir(parents=True)
        (folder / "precious").touch()
        if "1" * 32 not in folder.name:
            (folder / LOCK).touch()
            make_old(folder)
    (base / ("hiersynth-job-" + "2" * 32)).symlink_to(elsewhere / name)
    (base / ("hiersynth-job-" + "3" * 32)).touch()
    before = sorted(tmp_path.rglob("*"))
    assert remove_stale_folders(base) == []
    assert remove_stale_folders(tmp_path / "not there") == []
    assert sorted(tmp_path.rglob("*")) == before
    assert YOUNG < 3600
