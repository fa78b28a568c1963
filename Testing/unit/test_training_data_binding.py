"""A run is bound to its examinations and their division: both are kept in its folder, and others are refused."""

import dataclasses
import json

import pytest
import torch

from HierSynthLib.errors import InputError
from HierSynthLib.progress import Silent
from Testing.training_toys import toy_config, toy_patient
from Training.config import TrainingConfig
from Training.datasets.loading import Patients
from Training.datasets.settings import DataConfig
from Training.engine.checkpoint import CheckpointStore
from Training.engine.distributed import World
from Training.plan import describe_plan
from Training.train import _latest, _patients, train

CONTENT = {"version": 1, "cohort": "bids", "folds": 0, "divisions": [{"p0": "train", "p1": "train", "p2": "test"}]}


def patients(**splits: list[int]) -> Patients:
    """Toy patients p0, p1, … by split; their keys are those of a cache."""
    made = {
        name: [dataclasses.replace(toy_patient(n), id=f"p{n}_a", patient=f"p{n}", key=f"k{n}") for n in numbers]
        for name, numbers in ({"train": [], "validation": [], "calibration": [], "test": []} | splits).items()
    }
    return Patients(**made, cohort="bids", division_file=CONTENT)


def run(monkeypatch, folder, found: Patients, **changes):
    monkeypatch.setattr("Training.train.load_patients", lambda *_, **__: found)
    stages = {"global_stage": {"steps": 1}, "local_stage": {"steps": 0}, "joint_stage": {"steps": 0}}
    config = toy_config(**stages, losses={"adversarial": 0}, validation={"every": 0}, **changes)
    return train(config, folder, device="cpu", reporter=Silent())


def test_a_finished_run_is_not_exported_with_other_test_patients(tmp_path, monkeypatch):
    """Its model card would measure the model on patients whom it was trained on."""
    own = patients(train=[0, 1], test=[2])
    run(monkeypatch, tmp_path, own)
    assert json.loads((tmp_path / "splits.json").read_text()) == CONTENT
    assert run(monkeypatch, tmp_path, own, name="again").is_dir()
    with pytest.raises(InputError, match="p0_a was for train and is for test now; p2_a was for test and is for train"):
        run(monkeypatch, tmp_path, patients(train=[1, 2], test=[0]), name="swapped")
    with pytest.raises(InputError, match="of other data: p1_a is not used any more"):
        run(monkeypatch, tmp_path, patients(train=[0], test=[2]), name="fewer")
    assert not (tmp_path / "swapped").exists()


def test_the_plan_of_a_run_has_its_own_division(tmp_path):
    """The dry run asks the copy in the folder of the run, as the training does."""
    folder = tmp_path / "data"
    for n in range(4):
        for kind, suffix in (("anat", "T1w"), ("perf", "cbv")):
            path = folder / f"sub-{n}" / kind / f"sub-{n}_{suffix}.nii.gz"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "splits.json").write_text(
        json.dumps(CONTENT | {"divisions": [{"sub-0": "train", "sub-7": "test"}]})
    )
    config = toy_config()
    config = TrainingConfig(
        data=DataConfig(source="bids", folder=str(folder)), network=config.network, global_stage=config.global_stage
    )
    lines = "\n".join(describe_plan(config, tmp_path / "run", None, 1, Silent()).lines)
    assert "1 patient (sub-7)" in lines
    assert "3 patients (sub-1, sub-2, sub-3) are not in" in lines


def test_the_first_process_sets_a_damaged_checkpoint_aside_before_the_others_look(tmp_path):
    def store() -> CheckpointStore:
        return CheckpointStore(tmp_path, toy_config(), 2)

    for total in (5, 9):
        store().save({"x": torch.ones(1)}, {"stage": 0, "step": total, "total": total})
    (tmp_path / "step-00000009" / "state.safetensors").write_bytes(b"half")
    first = Silent()

    class Second(World):
        def wait(self) -> None:
            assert _latest(store(), World(self.device), first).record["total"] == 5

    second = Silent()
    assert _latest(store(), Second(torch.device("cpu"), rank=1, size=2), second).record["total"] == 5
    assert (len(first.warnings), len(second.warnings)) == (1, 0)


def test_only_the_first_process_prepares_and_tries_again(tmp_path, monkeypatch):
    """Else two processes could leave out different patients, and would draw different batches."""
    calls: list[dict] = []
    monkeypatch.setattr("Training.train.load_patients", lambda *_, **options: calls.append(options) or patients())

    class Two(World):
        def wait(self) -> None:
            calls.append({"waited": True})

    for rank in (0, 1):
        world = Two(torch.device("cpu"), rank=rank, size=2)
        _patients(toy_config(), tmp_path, tmp_path / "cache", 1, True, world, Silent())
    first, waited, again, second = calls
    assert (first.get("retry"), first.get("make", True)) == (True, True)
    assert waited == again == {"waited": True}
    assert (second.get("retry", False), second["make"]) == (False, False)
