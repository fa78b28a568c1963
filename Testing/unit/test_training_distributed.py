"""Two processes (gloo) against one: the same global batch, the same losses, the same weights to rounding."""

import json
import multiprocessing
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from HierSynthLib.errors import DeviceError
from HierSynthLib.progress import Silent
from Testing.training_toys import run_toy, same_weights, toy_config
from Training.engine.distributed import World, processes
from Training.engine.monitor import read_metrics
from Training.losses.contrast import PerfusionConstraint
from Training.losses.settings import LossConfig

PLAIN = {"network": {"slices": 1}, "losses": {"crop": 16, "patches": [8], "r1_every": 2}}
SMALL_ADVERSARY = {"channels": [4, 6], "residual_channels": [4, 6], "patch_channels": 4}


def toy():
    return toy_config()


def method(accumulate: int):
    """All parts of the method, augmentation too; micro-batches of 4 slices in one process or in two."""
    return toy_config(
        **PLAIN,
        adversary=SMALL_ADVERSARY,
        global_stage={"steps": 4, "batch": 8, "accumulate": accumulate},
        local_stage={"steps": 4, "batch": 8, "accumulate": accumulate},
        joint_stage={"steps": 3, "batch": 8, "accumulate": accumulate},
    )


def scene(rank: int) -> tuple[torch.Tensor, ...]:
    """Residual, acquired residual, brain and lesion of a process; the second one has too little brain for 16 pixels."""
    random = torch.Generator().manual_seed(rank)
    made, acquired = (torch.randn(2, 1, 32, 32, generator=random) for _ in range(2))
    brain = torch.zeros(2, 1, 32, 32)
    brain[:, :, :9, : 9 if rank else 32] = 1
    return made, acquired, brain, 0 * brain


def constraint_steps(scenes: list[tuple[torch.Tensor, ...]]) -> list[dict[str, float]]:
    """The terms of three steps of the perfusion-aware constraint, means over `scenes`."""
    torch.manual_seed(4)
    module, steps = PerfusionConstraint(LossConfig(patches=(8, 16))), []
    for step in (1, 2, 3):
        parts = [module(*one, step, torch.Generator().manual_seed(step)) for one in scenes]
        steps.append({name: sum(part[name].item() for part in parts) / len(parts) for name in parts[0]})
        assert all(part.keys() == parts[0].keys() for part in parts)
    return steps


def child(rank: int, port: int, folder: str) -> None:
    """One of two processes, with the environment that torchrun gives it."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    results = {}
    with processes("cpu") as world:
        results["mean"] = world.mean([float(rank), 10.0])
        results["any"] = [world.any(False), world.any(rank == 1)]
        layer = torch.nn.Linear(2, 1, bias=True)
        layer.weight.grad = torch.full((1, 2), float(rank))
        spare = torch.nn.Linear(1, 1)
        if rank == 1:
            spare.weight.grad = torch.ones(1, 1)
        world.average_gradients([*layer.parameters(), *spare.parameters()])
        results["constraint"] = constraint_steps([scene(rank)])
        results["gradients"] = [layer.weight.grad.tolist(), layer.bias.grad, spare.weight.grad.item(), spare.bias.grad]
        for name, config, make in (("toy", toy(), True), ("method", method(1), False)):
            options = {} if make else {"make": None}
            trainer, facts = run_toy(Path(folder) / name, config, world=world, **options)
            results[name] = facts["step"]
            state = {key: value.flatten().tolist() for key, value in trainer.network.state_dict().items()}
            (Path(folder) / f"{name}-{rank}.json").write_text(json.dumps(state))
    (Path(folder) / f"results-{rank}.json").write_text(json.dumps(results))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes leave behind."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["Testing.training_toys"])
    children = [context.Process(target=child, args=(rank, port, str(folder))) for rank in range(2)]
    for process in children:
        process.start()
    for process in children:
        process.join(200)
    assert [process.exitcode for process in children] == [0, 0]
    return folder


def results(folder, rank):
    return json.loads((folder / f"results-{rank}.json").read_text())


def losses(folder):
    rows = read_metrics(folder / "metrics.csv")
    return {row[:3]: row[3] for row in rows if ("/" in row[2] or "norm" in row[2]) and not row[2].endswith("rate")}


def test_means_and_flags_are_those_of_all_processes(two):
    for rank in range(2):
        assert results(two, rank)["mean"] == [0.5, 10.0]
        assert results(two, rank)["any"] == [False, True]


def test_gradients_are_averaged_and_stay_absent_where_nobody_has_one(two):
    for rank in range(2):
        assert results(two, rank)["gradients"] == [[[0.5, 0.5]], None, 0.5, None]


def weights(folder, name, rank):
    return json.loads((folder / f"{name}-{rank}.json").read_text())


@pytest.mark.parametrize("name", ["toy", "method"])
def test_both_processes_hold_the_same_weights_before_the_best_are_chosen(two, name):
    """The second one neither validates nor exports; the last checkpoint holds what both had in the end."""
    first, second = (weights(two, name, rank) for rank in range(2))
    assert first.keys() == second.keys()
    if results(two, 0)[name] == results(two, 1)[name]:
        assert first == second


def test_a_process_without_patches_takes_part_in_the_statistics(two):
    """Otherwise the processes' exchanges would no longer belong together."""
    expected = constraint_steps([scene(0), scene(1)])
    assert [set(terms) for terms in expected] == [set(), {"nce", "descriptor"}, {"nce", "descriptor"}]
    for step, terms in enumerate(expected):
        for name, value in terms.items():
            mean = sum(results(two, rank)["constraint"][step][name] for rank in range(2)) / 2
            assert mean == pytest.approx(value, rel=1e-4)


def test_only_the_first_process_writes(two):
    assert sorted(path.name for path in (two / "toy").iterdir()) == ["checkpoints", "metrics.csv"]


def test_two_processes_train_as_one(two, tmp_path):
    trainer, _ = run_toy(tmp_path, toy())
    expected, found = losses(tmp_path), losses(two / "toy")
    assert found.keys() == expected.keys()
    assert len(found) > 40
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-4, atol=1e-6)
    for name, value in trainer.network.state_dict().items():
        np.testing.assert_allclose(weights(two, "toy", 0)[name], value.flatten(), rtol=1e-3, atol=1e-5)


def test_the_whole_method_trains_in_two_processes_as_in_one(two, tmp_path):
    """Adversarial terms, R1, the perfusion-aware constraint with its running means, random changes of the input."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run_toy(tmp_path, method(2), make=None)
    torch.set_num_threads(threads)
    expected, found = losses(tmp_path), losses(two / "method")
    assert found.keys() == expected.keys()
    assert {"generator/nce", "generator/descriptor", "discriminator/r1"} <= {key[2] for key in found}
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-3, atol=1e-5)


def test_one_process_can_go_on_with_what_two_began(two):
    """Nothing in a checkpoint depends on how many processes wrote it."""
    first, _ = run_toy(two / "toy", toy(), reporter=Silent())
    second, _ = run_toy(two / "toy", toy(), reporter=Silent())
    assert same_weights(first.network, second.network)


def test_alone_nothing_is_exchanged():
    world = World(torch.device("cpu"))
    assert world.first
    assert world.mean([1.0, 2.0]) == [1.0, 2.0]
    assert not world.any(False)
    world.wait()


def test_more_processes_than_gpus_is_explained(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("Training.engine.distributed.choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="there are 1"), processes("cuda"):
        pass
