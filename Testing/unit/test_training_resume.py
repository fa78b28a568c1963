"""A run that was interrupted, in whatever way, ends with the same weights as one that was not: bit for bit."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from HierSynthLib.errors import Cancelled
from HierSynthLib.progress import Silent
from Testing.training_toys import run_toy, same_weights, toy_config
from Training.engine.monitor import read_metrics

STEPS = {"global_stage": {"steps": 7}, "local_stage": {"steps": 6}}


def settings():
    return toy_config(**STEPS, checkpoint_every=2, validation={"every": 3})


class Stops(Silent):
    """Cancels at the n-th report."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def progress(self, stage, fraction):
        self.left -= 1
        if self.left == 0:
            raise Cancelled


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trainer, facts = run_toy(folder, settings())
    return trainer, facts, read_metrics(folder / "metrics.csv")


def values_of(rows):
    """Rows without those that tell the time."""
    return [row for row in rows if "seconds" not in row[2] and "waiting" not in row[2]]


@pytest.mark.parametrize("after", [1, 6, 7, 8, 12])
def test_stopped_and_resumed_is_uninterrupted(tmp_path, uninterrupted, after):
    """At the first step, at the last of a stage, at the first of the next, at a checkpoint, shortly before the end."""
    whole, facts, rows = uninterrupted
    with pytest.raises(Cancelled, match=f"Stopped after step {after}"):
        run_toy(tmp_path, settings(), reporter=Stops(after))
    torch.rand(17)  # whatever happens in between does not count
    trainer, again = run_toy(tmp_path, settings())
    assert same_weights(trainer.network, whole.network)
    assert (again["step"], again["measure"]) == (facts["step"], facts["measure"])
    assert values_of(read_metrics(tmp_path / "metrics.csv")) == values_of(rows)


def test_stopped_at_every_step(tmp_path, uninterrupted):
    whole, _, rows = uninterrupted
    for _ in range(13):
        with pytest.raises(Cancelled):
            run_toy(tmp_path, settings(), reporter=Stops(1))
    trainer, _ = run_toy(tmp_path, settings())
    assert same_weights(trainer.network, whole.network)
    assert values_of(read_metrics(tmp_path / "metrics.csv")) == values_of(rows)


def test_a_finished_run_has_nothing_left_to_do(tmp_path, uninterrupted):
    whole, facts, _ = uninterrupted
    run_toy(tmp_path, settings())
    trainer, again = run_toy(tmp_path, settings(), reporter=Stops(1))
    assert same_weights(trainer.network, whole.network)
    assert (again["step"], again["measure"]) == (facts["step"], facts["measure"])


def child(folder: str, threads: int) -> None:
    """Trains in a process of its own; the same bits need the same number of threads."""
    torch.set_num_threads(threads)

    class Alive(Silent):
        def progress(self, stage, fraction):
            (Path(folder) / "alive").write_text(f"{fraction}")

    run_toy(Path(folder) / "run", settings(), reporter=Alive())
    (Path(folder) / "finished").write_text("")


def test_killed_at_random_moments(tmp_path, uninterrupted):
    """SIGKILL while it computes, validates or writes; as often as it takes, then it is left to finish."""
    whole, _, _ = uninterrupted
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["Testing.training_toys"])
    killed = 0
    for delay in (0.013, 0.041, 0.087, 0.152, None):
        (tmp_path / "alive").unlink(missing_ok=True)
        process = context.Process(target=child, args=(str(tmp_path), torch.get_num_threads()))
        process.start()
        if delay is None:
            process.join(120)
            break
        while process.is_alive() and not (tmp_path / "alive").exists():
            time.sleep(0.002)
        time.sleep(delay)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join(60)
        if (tmp_path / "finished").exists():
            break
    assert (tmp_path / "finished").exists()
    assert killed >= 2, "the run must have been killed on its way"
    trainer, _ = run_toy(tmp_path / "run", settings())
    assert same_weights(trainer.network, whole.network)
