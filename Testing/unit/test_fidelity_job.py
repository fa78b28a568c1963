"""The worker's job "measure": files in, a JSON file out."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.measures import job as job_module
from HierSynthLib.fidelity.measures.job import MeasureJob
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, write_volume
from HierSynthLib.worker.jobs import standard_jobs

SHAPE = (24, 22, 20)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def write(path, array, units="nrCBV"):
    write_volume(Volume(array, AFFINE, units), path)
    return str(path)


@pytest.fixture
def parameters(tmp_path):
    random = np.random.default_rng(0)
    synthetic = random.gamma(16, 1 / 16, SHAPE).astype(np.float32)
    labels = np.zeros(SHAPE, np.uint8)
    labels[8:14, 8:14, 8:14] = 3
    maps = {"synthetic": synthetic, "acquired": (synthetic * 1.2).astype(np.float32)}
    return {
        "maps": [
            {"name": name, "kind": name, "path": write(tmp_path / f"{name}.nii.gz", array)}
            for name, array in maps.items()
        ],
        "brain": write(tmp_path / "brain.npy", np.ones(SHAPE, np.uint8)),
        "regions": [
            {
                "name": "Tumour",
                "role": "lesion",
                "source": "segment Tumour",
                "shapes": [{"kind": "labels", "file": write(tmp_path / "labels.npy", labels), "values": [3]}],
            },
            {
                "name": "NAWM",
                "role": "reference",
                "source": "",
                "shapes": [{"kind": "sphere", "centre": [8, 8, 8], "radius_mm": 5}],
            },
        ],
        "settings": {"texture": False},
        "output": str(tmp_path / "measurement.json"),
    }


@pytest.fixture
def reads(monkeypatch):
    """The files that the job reads."""
    found = []
    original = job_module.read_volume

    def read(path, *arguments):
        found.append(path.name)
        return original(path, *arguments)

    monkeypatch.setattr(job_module, "read_volume", read)
    return found


def read_result(parameters):
    return json.loads(Path(parameters["output"]).read_text("utf-8"))


def test_the_file_holds_the_measurement(parameters):
    assert MeasureJob().run(parameters, Silent()) == {"file": parameters["output"]}
    found = read_result(parameters)
    assert [region["name"] for region in found["regions"]] == ["Tumour", "NAWM", "Whole brain"]
    assert found["regions"][0]["voxels"] == 216
    means = {row["map"]: row["values"]["mean"] for row in found["intensity"] if row["region"] == "Tumour"}
    assert means["acquired"] == pytest.approx(1.2 * means["synthetic"], rel=1e-5)
    assert found["words"][0]["text"].startswith("Synthetic underestimates the")
    assert "17 %" in found["words"][0]["text"]
    assert found["settings"]["texture"] is False
    assert found["grid"]["shape"] == list(SHAPE)


def test_the_worker_knows_the_job(parameters):
    standard_jobs()["measure"](parameters, Silent())
    assert read_result(parameters)["agreement"]


def test_files_are_read_again_only_when_they_have_changed(parameters, reads, tmp_path):
    job = MeasureJob()
    job.run(parameters, Silent())
    assert sorted(reads) == ["acquired.nii.gz", "brain.npy", "labels.npy", "synthetic.nii.gz"]
    reads.clear()
    parameters["regions"][1]["shapes"][0]["radius_mm"] = 6
    job.run(parameters, Silent())
    assert reads == []
    changed = np.full(SHAPE, 2.0, np.float32)
    write_volume(Volume(changed, AFFINE, "nrCBV"), tmp_path / "acquired.nii.gz", overwrite=True)
    os.utime(tmp_path / "acquired.nii.gz", (1, 1))
    job.run(parameters, Silent())
    assert "acquired.nii.gz" in reads
    values = next(row for row in read_result(parameters)["intensity"] if row["map"] == "acquired")["values"]
    assert values["mean"] == pytest.approx(2.0)


def test_changed_labels_are_read_again(parameters, reads, tmp_path):
    job = MeasureJob()
    job.run(parameters, Silent())
    reads.clear()
    (tmp_path / "labels.npy").unlink()
    (tmp_path / "labels.json").unlink()
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:12, 10:12, 10:12] = 3
    write(tmp_path / "labels.npy", labels)
    os.utime(tmp_path / "labels.npy", (1, 1))
    job.run(parameters, Silent())
    assert reads == ["labels.npy"]
    assert read_result(parameters)["regions"][0]["voxels"] == 8


def test_other_settings_are_another_measurement(parameters):
    job = MeasureJob()
    job.run(parameters, Silent())
    parameters["settings"] = {"texture": True, "thresholds": [2.0]}
    job.run(parameters, Silent())
    values = read_result(parameters)["intensity"][0]["values"]
    assert "fraction_above_2.0" in values
    assert values["ibsi_cm_contrast"] is not None


def test_a_transform_is_used(parameters):
    shifted = np.eye(4)
    shifted[0, 3] = 2.0
    parameters["maps"][1]["transform"] = shifted.tolist()
    MeasureJob().run(parameters, Silent())
    assert read_result(parameters)["maps"][1]["resampled"] is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": []}, "no map"),
        ({"maps": "all"}, "'maps'"),
        ({"maps": [{"name": "a", "kind": "synthetic"}]}, "'path'"),
        ({"maps": [{"name": "a", "kind": "synthetic", "path": "nowhere.nii.gz"}]}, "nowhere"),
        ({"regions": None}, "'regions'"),
        ({"regions": [{"name": "x", "shapes": []}]}, "x"),
        ({"settings": {"colour": 1}}, "colour"),
        ({"settings": []}, "'settings'"),
        ({"brain": 3}, "brain"),
        ({"output": None}, "'output'"),
        ({"speed": 3}, "speed"),
    ],
)
def test_what_cannot_be_measured_is_named(parameters, change, message):
    with pytest.raises(InputError, match=message):
        MeasureJob().run(parameters | change, Silent())


@pytest.mark.parametrize("transform", ["left", [[1, 2], [3, 4]], np.zeros((4, 4)).tolist()])
def test_a_transform_that_cannot_be_used_is_named(parameters, transform):
    parameters["maps"][1]["transform"] = transform
    with pytest.raises(InputError, match="transform of the map 'acquired'"):
        MeasureJob().run(parameters, Silent())


def test_a_job_that_fails_leaves_the_old_file_and_the_next_one_works(parameters):
    job = MeasureJob()
    job.run(parameters, Silent())
    before = read_result(parameters)
    with pytest.raises(InputError):
        job.run(parameters | {"regions": [{"name": "x", "shapes": [{"kind": "cone"}]}]}, Silent())
    assert read_result(parameters) == before
    job.run(parameters, Silent())
    assert read_result(parameters) == before
