"""Checkpoints: whole or absent, kept when the disk is full, refused when they are of another run."""

import errno
import json
from pathlib import Path

import pytest
import torch

from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.progress import Silent
from Testing.training_toys import run_toy, same_weights, toy_config, toy_trainer
from Training.engine.checkpoint import RECORD, STATE, Checkpoint, CheckpointStore
from Training.engine.state import load_module, load_optimiser, optimiser_tensors


def store_in(folder, **changes):
    return CheckpointStore(folder, toy_config(**changes), keep=2)


def record(total):
    return {"stage": 0, "step": total, "total": total}


def test_what_is_saved_is_read_back(tmp_path):
    tensors = {"a.x": torch.randn(3, 4), "a.y": torch.tensor(5), "b.x": torch.randn(2).to(torch.bfloat16)}
    store_in(tmp_path).save(tensors, record(7) | {"best": {"measure": 0.5}})
    found = store_in(tmp_path).latest(Silent())
    assert found.tensors.keys() == tensors.keys()
    assert all(torch.equal(found.tensors[name], value) for name, value in tensors.items())
    assert found.record["best"] == {"measure": 0.5}
    assert set(found.part("a")) == {"x", "y"}


def test_tensors_that_share_memory_are_saved_too(tmp_path):
    whole = torch.arange(6.0)
    store_in(tmp_path).save({"whole": whole, "half": whole[:3], "again": whole}, record(1))
    found = store_in(tmp_path).latest(Silent()).tensors
    assert torch.equal(found["half"], torch.tensor([0.0, 1.0, 2.0]))
    assert torch.equal(found["again"], whole)


def test_nothing_there_is_no_checkpoint(tmp_path):
    assert store_in(tmp_path / "absent").latest(Silent()) is None


def test_the_oldest_are_removed(tmp_path):
    store = store_in(tmp_path)
    for total in (2, 10, 30):
        store.save({"x": torch.zeros(1)}, record(total))
    assert store.steps() == [10, 30]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("file", [STATE, RECORD])
def test_a_full_disk_keeps_the_last_good_one(tmp_path, monkeypatch, code, file):
    store = store_in(tmp_path)
    store.save({"x": torch.ones(1)}, record(5))

    def full(original):
        def write(self, *arguments, **options):
            if self.name == file:
                original(self, arguments[0][:3], *arguments[1:], **options)
                raise OSError(code, "full", str(self))
            return original(self, *arguments, **options)

        return write

    monkeypatch.setattr(Path, "write_bytes", full(Path.write_bytes))
    monkeypatch.setattr(Path, "write_text", full(Path.write_text))
    with pytest.raises(OutputError) as caught:
        store.save({"x": torch.zeros(1)}, record(9))
    assert "the disk is full" in caught.value.message
    assert "last good checkpoint is that of step 5" in caught.value.message
    assert "again" in caught.value.hint
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"], "nothing half-written stays"
    assert torch.equal(store.latest(Silent()).tensors["x"], torch.ones(1))


def test_a_full_disk_during_training_stops_it_and_it_goes_on_later(tmp_path, monkeypatch):
    config = toy_config()
    whole, _ = run_toy(tmp_path / "whole", config)
    original = Path.write_bytes

    def write(self, data):
        if "step-00000006" in str(self):
            raise OSError(errno.ENOSPC, "full", str(self))
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(OutputError, match="last good checkpoint is that of step 4"):
        run_toy(tmp_path / "full", config)
    monkeypatch.undo()
    trainer, _ = run_toy(tmp_path / "full", config)
    assert same_weights(trainer.network, whole.network)


def damaged(path, how):
    state = path / STATE
    if how == "cut":
        state.write_bytes(state.read_bytes()[:-20])
    elif how == "gone":
        state.unlink()
    elif how == "record":
        (path / RECORD).write_text("{")
    elif how == "list":
        (path / RECORD).write_text("[1]")


@pytest.mark.parametrize("how", ["cut", "gone", "record", "list"])
def test_a_damaged_one_is_set_aside_and_the_one_before_it_is_taken(tmp_path, how):
    store = store_in(tmp_path)
    store.save({"x": torch.ones(4)}, record(5))
    damaged(store.save({"x": torch.zeros(4)}, record(9)), how)
    told = Silent()
    assert store.latest(told).record["total"] == 5
    assert "step-00000009 is damaged" in told.warnings[0]
    assert (tmp_path / "damaged-step-00000009").is_dir()
    store.save({"x": torch.zeros(4)}, record(9))
    assert store.latest(Silent()).record["total"] == 9


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    store = store_in(tmp_path)
    store.save({"x": torch.ones(1)}, record(5))
    (tmp_path / ".123-0123456789ab.tmp.step-00000009").mkdir()
    (tmp_path / ".removing-step-00000003").mkdir()
    store.clean()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": {"style": 6}}, ["of another architecture", "network.style is 4 there and 6 here"]),
        ({"network": {"global_channels": [4, 8]}}, ["another architecture", "network.global_channels", "[4, 8] here"]),
        ({"method": "monolith"}, ["another architecture", "method is hiersynth there and monolith here"]),
        ({"seed": 5}, ["made with other settings", "seed is 1 there and 5 here"]),
        ({"losses": {"l1": 3.0}}, ["made with other settings", "losses.l1 is 10.0 there and 3.0 here"]),
        ({"global_stage": {"steps": 7}}, ["other settings", "global_stage.steps is 6 there and 7 here"]),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_the_difference_named(tmp_path, changes, words):
    store_in(tmp_path).save({"x": torch.ones(1)}, record(5))
    with pytest.raises(InputError) as caught:
        store_in(tmp_path, **changes).latest(Silent())
    assert all(word in caught.value.message for word in words), caught.value.message
    assert "--fresh" in caught.value.hint


DATA = {
    "p1_a": ["train", "p1", "k1"],
    "p1_b": ["train", "p1", "k2"],
    "p2": ["test", "p2", "k3"],
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"p2": ["train", "p2", "k3"], "p1_a": ["test", "p1", "k1"]}, ["p1_a was for train and is for test now", "p2"]),
        ({"p1_b": ["train", "p1", "other"]}, ["p1_b has other files, or was prepared in another way"]),
        ({"p3": ["train", "p3", "k4"]}, ["p3 is new"]),
        ({"p2": None}, ["p2 is not used any more"]),
        ({f"q{n}": ["train", "q", "k"] for n in range(5)}, ["q0 is new; q1 is new; q2 is new; and 2 more"]),
    ],
)
def test_a_checkpoint_of_other_patients_or_another_division_is_refused(tmp_path, changes, words):
    CheckpointStore(tmp_path, toy_config(), 2, DATA).save({"x": torch.ones(1)}, record(5))
    assert CheckpointStore(tmp_path, toy_config(), 2, dict(reversed(DATA.items()))).latest(Silent()) is not None
    here = {name: entry for name, entry in (DATA | changes).items() if entry}
    with pytest.raises(InputError) as caught:
        CheckpointStore(tmp_path, toy_config(), 2, here).latest(Silent())
    assert "of other data" in caught.value.message
    assert all(word in caught.value.message for word in words), caught.value.message
    assert "p1_b" not in caught.value.message or "p1_b" in words[0], "who is the same is not named"
    assert "splits.json" in caught.value.hint


def test_what_has_no_influence_on_the_weights_may_change(tmp_path):
    store_in(tmp_path).save({"x": torch.ones(1)}, record(5))
    changes = {"keep": 5, "checkpoint_every": 3, "log_every": 9, "name": "other", "version": "2", "tensorboard": True}
    changes |= {"data": {"division_seed": 7, "exclude": ["p9"]}}  # the examinations themselves are the same
    assert store_in(tmp_path, **changes).latest(Silent()).record["total"] == 5


def test_a_checkpoint_of_a_newer_format_is_refused(tmp_path):
    path = store_in(tmp_path).save({"x": torch.ones(1)}, record(5))
    values = json.loads((path / RECORD).read_text())
    (path / RECORD).write_text(json.dumps(values | {"format": 99}))
    with pytest.raises(InputError, match="another version"):
        store_in(tmp_path).latest(Silent())


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, r"weight has shape \(2, 3\) there and \(2, 2\) here"),
        ({"weight": torch.zeros(2, 2)}, "bias is missing there"),
        ({"weight": torch.zeros(2, 2), "bias": torch.zeros(2), "gain": torch.zeros(1)}, "gain does not exist here"),
    ],
)
def test_weights_that_do_not_fit_name_the_tensor(stored, words):
    with pytest.raises(InputError, match=f"another architecture: part.{words}"):
        load_module(torch.nn.Linear(2, 2), stored, "part")


def test_an_optimiser_goes_on_with_the_same_bits():
    def make():
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return layer, torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)

    def step(layer, optimiser, number):
        optimiser.zero_grad()
        layer(torch.full((1, 3, 5, 5), float(number))).square().sum().backward()
        optimiser.step()

    layer, optimiser = make()
    for number in range(4):
        step(layer, optimiser, number)
    state = {name: value.clone() for name, value in optimiser_tensors("o", optimiser).items()}
    weights = {name: value.clone() for name, value in layer.state_dict().items()}
    step(layer, optimiser, 4)

    other, again = make()
    other.load_state_dict(weights)
    load_optimiser(Checkpoint(state, {}), "o", again)
    assert again.state[other.weight]["exp_avg"].is_contiguous(memory_format=torch.channels_last)
    step(other, again, 4)
    assert same_weights(layer, other)
    with pytest.raises(InputError, match=r"o\.9\.step has no parameter"):
        load_optimiser(Checkpoint({"o.9.step": torch.zeros(())}, {}), "o", again)


def test_the_record_tells_a_reader_where_the_run_is(tmp_path):
    trainer = toy_trainer(tmp_path, toy_config())
    trainer.run(None)
    fields = json.loads((trainer.store.path(11) / RECORD).read_text())
    assert (fields["name"], fields["stage"], fields["step"], fields["total"]) == ("second", 1, 5, 11)
    assert fields["settings"]["global_stage"]["steps"] == 6
    assert fields["best"]["step"] in (9, 11)
