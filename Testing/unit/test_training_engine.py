"""The training loop: rates, averaged weights, accumulation, divergence, what is trained, what is written."""

import csv
import dataclasses
import math
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from HierSynthLib.errors import Cancelled, InputError, OutputError
from HierSynthLib.progress import Silent
from Testing.training_toys import ToyObjective, run_toy, same_weights, toy_config, toy_trainer
from Training.engine.ema import Ema
from Training.engine.interrupts import interruptible
from Training.engine.loop import TrainingDivergedError
from Training.engine.monitor import Monitor, draw_curve, picture_grid, read_metrics
from Training.engine.schedule import FLOOR, generator_for, rate_factor
from Training.objectives import stages
from Training.train import make_network


def test_the_rate_rises_then_falls_like_a_cosine():
    steps = 1000
    assert rate_factor(1, steps) == pytest.approx(1 / 50)
    assert rate_factor(25, steps) == pytest.approx(0.5)
    assert rate_factor(50, steps) == 1.0
    half = FLOOR + (1 - FLOOR) / 2
    assert rate_factor(501, steps) == pytest.approx(half)
    assert rate_factor(1000, steps) == pytest.approx(FLOOR, abs=1e-4)
    assert rate_factor(1, 5) == 1.0, "a stage that is too short for a rise has none"


def test_what_is_random_depends_on_every_part_of_the_name_and_on_nothing_else():
    cpu = torch.device("cpu")
    draw = [torch.rand(3, generator=generator_for(cpu, *parts)) for parts in ((1, "a", 2), (1, "a", 3), (2, "a", 2))]
    assert not torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
    torch.rand(5)
    assert torch.equal(draw[0], torch.rand(3, generator=generator_for(cpu, 1, "a", 2)))
    assert torch.equal(torch.nn.functional.dropout(torch.ones(9)), _dropped_again())


def _dropped_again() -> torch.Tensor:
    """The same mask as after the draw above: the global generator was seeded alike."""
    generator_for(torch.device("cpu"), 1, "a", 2)
    return torch.nn.functional.dropout(torch.ones(9))


def test_the_average_is_the_recursion_written_out():
    network = torch.nn.Linear(2, 2)
    average = Ema(network, 0.5)
    expected = [p.detach().clone() for p in network.parameters()]
    for update in range(1, 8):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(1.0)
        average.update(network)
        decay = min(0.5, (1 + update) / (10 + update))
        expected = [decay * e + (1 - decay) * p.detach() for e, p in zip(expected, network.parameters(), strict=True)]
    for mean, value in zip(average.network.parameters(), expected, strict=True):
        torch.testing.assert_close(mean.detach(), value)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run of the toy: trainer, facts, folder."""
    folder = tmp_path_factory.mktemp("toy")
    config = toy_config(global_stage={"steps": 40, "rate": 0.01}, local_stage={"steps": 9})
    trainer, facts = run_toy(folder, config)
    return trainer, facts, folder


def test_training_lowers_the_loss(finished):
    _, _, folder = finished
    values = [
        value
        for _, stage, name, value in read_metrics(folder / "metrics.csv")
        if (stage, name) == ("first", "generator/l1")
    ]
    assert len(values) == 40
    assert np.mean(values[-5:]) < 0.7 * np.mean(values[:5])


def test_the_best_weights_of_the_last_stage_are_exported(finished):
    trainer, facts, folder = finished
    rows = [
        row for row in read_metrics(folder / "metrics.csv") if row[2] == "validation/roi_ssim" and row[1] == "second"
    ]
    assert [step for step, *_ in rows] == [43, 46, 49]
    best = max(rows, key=lambda row: row[3])
    assert (facts["step"], facts["measure"]) == (best[0], pytest.approx(best[3]))
    again = trainer.validator.measure(trainer.network.eval(), torch.device("cpu"))
    assert again["roi_ssim"] == pytest.approx(facts["measure"], rel=1e-6)


def test_only_the_last_checkpoints_are_kept(finished):
    trainer, _, folder = finished
    assert trainer.store.steps() == [48, 49]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-00000048", "step-00000049"]


def test_metrics_are_a_table_that_other_programs_read(finished):
    _, _, folder = finished
    with (folder / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rates = [float(row["value"]) for row in rows if (row["stage"], row["name"]) == ("first", "generator/rate")]
    np.testing.assert_allclose(rates, [0.01 * rate_factor(step, 40) for step in range(1, 41)])
    totals = {row["step"]: float(row["value"]) for row in rows if row["name"] == "generator/total"}
    parts = [row for row in rows if row["name"] in ("generator/l1", "generator/scale")]
    for step, total in totals.items():
        assert total == pytest.approx(sum(float(row["value"]) for row in parts if row["step"] == step))


def test_the_curve_is_a_picture(finished):
    from PIL import Image

    _, _, folder = finished
    with Image.open(draw_curve(folder)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[0] > 400
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, "axes and curves, not an empty page"


def test_one_high_loss_does_not_flatten_the_curve(tmp_path):
    from PIL import Image

    losses = [1e13 if step == 2 else 10 - step / 5 for step in range(41)]
    rows = "".join(f"{step},first,generator/total,{loss}\n" for step, loss in enumerate(losses))
    (tmp_path / "metrics.csv").write_text("step,stage,name,value\n" + rows, "utf-8")
    with Image.open(draw_curve(tmp_path)) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    first_colour = np.abs(pixels - (0x1F, 0x77, 0xB4)).max(axis=2) < 20
    later = first_colour[: len(pixels) // 2, pixels.shape[1] // 3 : 3 * pixels.shape[1] // 4]
    assert np.ptp(np.flatnonzero(later.any(axis=1))) > 20, "rows over which the curve falls"


def test_parts_of_a_batch_give_the_step_of_the_whole_batch(tmp_path):
    whole, _ = run_toy(tmp_path / "whole", toy_config())
    config = toy_config(global_stage={"accumulate": 2}, local_stage={"accumulate": 4})
    parts, _ = run_toy(tmp_path / "parts", config)
    for one, other in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    for what in ("/total", "norm, generator", "norm, extra"):
        rows = [
            [row[3] for row in read_metrics(tmp_path / name / "metrics.csv") if row[2].endswith(what)]
            for name in ("whole", "parts")
        ]
        assert len(rows[0]) >= 11
        np.testing.assert_allclose(rows[0], rows[1], rtol=1e-3)


SEEN: list[tuple[bool, bool]] = []


class Frozen(ToyObjective):
    """Trains the local module only, and looks at which parameters the engine left trainable."""

    def groups(self):
        first = super().groups()[0]
        return [first._replace(parameters=list(self._modules["network"].local_module.parameters()))]

    def losses(self, group, batch, step, generator):
        network = self._modules["network"]
        SEEN.append(
            (
                any(p.requires_grad for p in network.global_module.parameters()),
                all(p.requires_grad for p in network.local_module.parameters()),
            )
        )
        return super().losses(group, batch, step, generator)


def test_what_is_in_no_group_is_not_changed(tmp_path):
    config = toy_config(validation={"every": 0})
    trainer, facts = run_toy(tmp_path, config, make=Frozen)
    untrained = make_network(config, torch.device("cpu"))
    assert same_weights(trainer.network.global_module, untrained.global_module)
    assert not same_weights(trainer.network.local_module, untrained.local_module)
    assert set(SEEN) == {(False, True)}
    assert (facts["step"], facts["measure"]) == (11, None), "without validation the last weights are exported"


class Diverging(ToyObjective):
    """Its first term becomes what `bad` says in step 5 of the first stage."""

    bad = math.nan

    def losses(self, group, batch, step, generator):
        terms = super().losses(group, batch, step, generator)
        if group == "generator" and step == 5:
            terms["l1"] = terms["l1"] * self.bad
        return terms


class Exploding(Diverging):
    bad = math.inf


@pytest.mark.parametrize(("kind", "word"), [(Diverging, "generator/l1 is nan"), (Exploding, "generator/l1 is inf")])
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(tmp_path, kind, word):
    config = toy_config()
    with pytest.raises(TrainingDivergedError) as caught:
        run_toy(tmp_path, config, make=kind)
    assert "first stage, step 5" in caught.value.message
    assert word in caught.value.message
    assert "checkpoint of step 4 is kept" in caught.value.message
    assert "rate" in caught.value.hint
    trainer = toy_trainer(tmp_path, config)
    checkpoint = trainer.store.latest(Silent())
    assert checkpoint.record["total"] == 4
    assert all(bool(torch.isfinite(value).all()) for value in checkpoint.tensors.values())


class NoGradient(Diverging):
    """A finite loss whose gradient is not: √|x| at 0."""

    def losses(self, group, batch, step, generator):
        terms = ToyObjective.losses(self, group, batch, step, generator)
        if group == "extra" and step == 3:
            terms["root"] = (self._modules["extra"].value * 0).abs().sqrt()
        return terms


def test_a_gradient_that_is_no_number_stops_before_the_weights_are_changed(tmp_path):
    trainer = toy_trainer(tmp_path, toy_config(), make=NoGradient)
    with pytest.raises(TrainingDivergedError, match=r"step 3: extra/gradient is nan"):
        trainer.run(None)
    assert all(bool(torch.isfinite(p).all()) for p in trainer.network.parameters())


class Refining(ToyObjective):
    improves_map = False


def test_a_stage_that_does_not_change_the_map_goes_on_from_the_best_weights_and_keeps_its_last(tmp_path):
    """As the refiner: the measure, that of the map, cannot choose among its weights."""
    config = toy_config(validation={"every": 2})

    def make(name, *parts):
        return (Refining if name == "second" else ToyObjective)(name, *parts)

    trainer = toy_trainer(tmp_path, config, make=make)
    begun = []
    trainer.begin = lambda *parts: begun.append(copy_of(trainer)) or type(trainer).begin(trainer, *parts)
    measured = iter([0.1, 0.9, 0.2, *[0.8, 0.7, 0.6]])
    found = []
    trainer.validator.measure = lambda network, device: found.append(copy_of(network)) or {"roi_ssim": next(measured)}
    facts = trainer.run(None)
    assert same_state(begun[1], found[1]), "the second validation of the first stage was the best"
    assert (facts["step"], facts["measure"]) == (6 + 5, 0.6)
    assert same_state(copy_of(trainer), found[-1])
    assert not same_state(found[-1], found[-2])


def copy_of(owner) -> dict[str, torch.Tensor]:
    network = getattr(owner, "network", owner)
    return {name: value.clone() for name, value in network.state_dict().items()}


def same_state(first, second) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("late", [False, True])
def test_a_batch_that_cannot_be_divided_is_refused_before_the_first_step(tmp_path, late):
    config = toy_config(global_stage={"batch": 6}) if late else toy_config()
    trainer = toy_trainer(tmp_path, config)
    trainer.world = dataclasses.replace(trainer.world, size=3)
    with pytest.raises(InputError, match="4 slices cannot be divided into 3 equal parts"):
        trainer.run(None)
    assert not trainer.seconds


def test_patches_that_do_not_fit_into_a_slice_are_refused_before_the_first_step(tmp_path):
    """The padded slice has 20 × 20 pixels; the first stage does not use patches yet."""
    trainer = toy_trainer(tmp_path, toy_config(losses={"patches": [8, 24]}), make=None)
    with pytest.raises(InputError, match="patches of 24 pixels do not fit into slices of 20"):
        trainer.run(None)
    assert not trainer.seconds
    without = toy_config(losses={"patches": [8, 24], "nce": 0, "descriptor": 0}, global_stage={"steps": 1})
    toy_trainer(tmp_path / "without", without, make=None).begin(0, without.global_stage, plan_of(without), None)


def plan_of(config):
    network = make_network(config, torch.device("cpu"))
    return stages(config, network, 1.0)[0][1]()


def test_going_on_in_other_parts_is_told(tmp_path):
    with pytest.raises(Cancelled):
        run_toy(tmp_path, toy_config(), reporter=Stopping())
    told = Noting()
    run_toy(tmp_path, toy_config(), reporter=told)
    assert told.warnings == []
    with pytest.raises(Cancelled):
        run_toy(tmp_path / "other", toy_config(), reporter=Stopping())
    trainer = toy_trainer(tmp_path / "other", toy_config(), reporter=told)
    trainer.plan = [(dataclasses.replace(settings, accumulate=2), make) for settings, make in trainer.plan]
    trainer.run(trainer.store.latest(told))
    assert len(told.warnings) == 1
    assert "in 1 parts and goes on in 2 (processes × accumulate)" in told.warnings[0]


class Stopping(Silent):
    def progress(self, stage, fraction):
        raise Cancelled


class Noting(Silent):
    def __init__(self):
        super().__init__()
        self.warnings = []

    def warning(self, message):
        self.warnings.append(message)


def test_bfloat16_trains_about_the_same(tmp_path):
    plain, _ = run_toy(tmp_path / "plain", toy_config())
    half, _ = run_toy(tmp_path / "half", toy_config(precision="bfloat16"))
    assert not same_weights(plain.network, half.network)
    losses = [
        [row[3] for row in read_metrics(tmp_path / name / "metrics.csv") if row[2] == "generator/l1"]
        for name in ("plain", "half")
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.1)


def test_rows_of_a_killed_run_are_dropped_when_it_goes_on(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,stage,name,value\n1,a,x,0.5\n2,a,x,0.25\n3,a,x,0.1\n4,a,x")
    monitor = Monitor(tmp_path, 2, False, Silent())
    monitor.scalars(3, "a", {"x": 0.125})
    monitor.close()
    assert read_metrics(tmp_path / "metrics.csv") == [(1, "a", "x", 0.5), (2, "a", "x", 0.25), (3, "a", "x", 0.125)]


def test_a_full_disk_is_explained(tmp_path):
    monitor = Monitor(tmp_path, 0, False, Silent())
    monitor._stream.close()
    with Path("/dev/full").open("w") as full:
        monitor._stream = full
        with pytest.raises(OutputError, match=r"metrics\.csv could not be written: No space left") as caught:
            monitor.scalars(1, "a", {"x": 1.0})
        monitor.close()
    assert "last checkpoint" in caught.value.hint


def test_tensorboard_shows_the_same_values_and_a_picture(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_toy(tmp_path, toy_config(tensorboard=True))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    rows = {row[0]: row[3] for row in read_metrics(tmp_path / "metrics.csv") if row[1:3] == ("first", "generator/l1")}
    shown = {event.step: event.value for event in events.Scalars("first/generator/l1")}
    assert shown == pytest.approx(rows)
    assert events.Tags()["images"] == ["first/acquired", "second/acquired"]


def test_a_picture_has_anterior_on_top_and_the_patients_right_on_the_left():
    maps = torch.zeros(2, 1, 4, 6)
    maps[0, 0, 3, 5] = 3.0  # the right-most and most anterior voxel of a RAS map
    grid = picture_grid({"map": maps, "signed": -maps})
    assert grid.shape == (12, 8)
    assert grid[0, 0] == pytest.approx(0.5)
    assert grid[6, 0] == pytest.approx(0.0)
    assert grid[7, 3] == pytest.approx(0.5), "a map with negative values is drawn around grey"


def test_a_signal_stops_between_two_steps_with_a_checkpoint(tmp_path):
    class Reporter(Silent):
        calls = 0

        def progress(self, stage, fraction):
            self.calls += 1
            if self.calls == 3:
                signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with interruptible(Reporter()) as told, pytest.raises(Cancelled, match="Stopped after step 4"):
        run_toy(tmp_path, toy_config(checkpoint_every=100), reporter=told)
    assert signal.getsignal(signal.SIGTERM) is before
    assert toy_trainer(tmp_path, toy_config(checkpoint_every=100)).store.steps() == [4]


def test_a_second_interrupt_ends_at_once():
    with interruptible(Silent()) as told:
        signal.raise_signal(signal.SIGINT)
        assert told.signals == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
