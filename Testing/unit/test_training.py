"""`hiersynth train` as a user runs it: every stage and method, interrupted, begun anew, planned, refused."""

import json
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from HierSynthLib.cli import main
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.model import load_model
from HierSynthLib.volume import read_volume
from Testing.training_toys import same_weights, toy_config, toy_patient
from Training.config import settings_of
from Training.datasets.loading import Patients
from Training.engine.monitor import read_metrics

METHOD = {
    "network": {"slices": 3, "refiner_channels": [4, 6]},
    "losses": {"crop": 16, "patches": [8], "r1_every": 8, "path_length": 0.1},
    "adversary": {"channels": [4, 6], "residual_channels": [4, 6], "patch_channels": 4},
    "validation": {"every": 50, "patients": 1},
    "checkpoint_every": 1000,
    "log_every": 10,
}


def stage(steps, rate=0.002):
    return {"steps": steps, "batch": 4, "rate": rate}


FIFTY = METHOD | {
    "global_stage": stage(50),
    "local_stage": stage(50),
    "joint_stage": stage(50, 0.0002),
    "refiner_stage": stage(50),
}
SINGLE = {
    "losses": METHOD["losses"],
    "adversary": METHOD["adversary"],
    "validation": METHOD["validation"],
    "global_stage": stage(30),
    "local_stage": stage(15),
    "joint_stage": stage(5),
    "log_every": 10,
    "checkpoint_every": 1000,
}


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    """Patients from memory instead of simulated or read ones, which have tests of their own."""

    def load(config, cache, workers, *, reporter, **_):
        reporter.progress("patients", 1.0)
        numbers = {"train": range(3), "validation": range(10, 12), "calibration": [20], "test": [30, 31]}
        made = {name: [toy_patient(n) for n in found] for name, found in numbers.items()}
        return Patients(**made, cohort="phantoms", simulated=True)

    monkeypatch.setattr("Training.train.load_patients", load)


def config_file(folder: Path, **changes) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings_of(toy_config(**changes))))
    return path


def run(*arguments: object) -> int:
    return main(["train", *map(str, arguments)])


def losses(folder: Path, stage: str) -> dict[int, float]:
    return {
        step: value
        for step, at, name, value in read_metrics(folder / "metrics.csv")
        if (at, name) == (stage, "generator/total")
    }


def test_fifty_steps_of_every_stage(tmp_path, capsys, small_case):
    config, out = config_file(tmp_path, **FIFTY), tmp_path / "run"
    assert run("--config", config, "--out", out, "--device", "cpu") == 0
    printed = capsys.readouterr()
    assert f"Model package: {out / 'toy'}" in printed.out
    for name, first in (("global", 1), ("local", 51), ("joint", 101), ("refiner", 151)):
        values = losses(out, name)
        assert list(values) == [first + 9 + 10 * n for n in range(5)]
        assert all(np.isfinite(value) for value in values.values())
        assert f"{name} stage (50 steps)" in printed.err
    assert np.mean(list(losses(out, "global").values())[-2:]) < 0.9 * losses(out, "global")[10]
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints",
        "curve.png",
        "metrics.csv",
        "toy",
        "training.json",
    ]
    command = [
        "synthesize",
        str(small_case),
        "--model",
        str(out / "toy"),
        "--out",
        str(tmp_path / "maps"),
        "--no-register",
    ]
    assert main([*command, "--device", "cpu", "--refine-seed", "5"]) == 0
    found = read_volume(tmp_path / "maps" / "CBV_synthetic.nii.gz").array
    assert found.max() > 0
    assert np.isfinite(found).all()
    told = json.loads((tmp_path / "maps" / "run.json").read_text())
    assert told["refiner"] == {"seed": 5, "steps": 4, "noise_nrcbv": 0.1}
    assert any("not this patient's" in warning for warning in told["warnings"])


@pytest.mark.parametrize("method", ["monolith", "pix2pix", "unet", "no_local"])
def test_fifty_steps_of_every_other_method(tmp_path, capsys, method):
    config, out = config_file(tmp_path, method=method, name=f"toy-{method}", **SINGLE), tmp_path / "run"
    assert run("--config", config, "--out", out, "--device", "cpu", "--json") == 0
    package = Path(json.loads(capsys.readouterr().out)["package"])
    assert package == out / f"toy-{method}"
    stages = {row[1] for row in read_metrics(out / "metrics.csv")}
    assert len(stages) == 1
    values = list(losses(out, stages.pop()).values())
    assert len(values) == 5, "as many steps as all stages of HierSynth together"
    assert values[-1] < values[0]
    model = load_model(package)
    expected = toy_config(method=method).network_settings()
    assert {key: list(v) if isinstance(v, tuple) else v for key, v in vars(model.options).items()} == {
        key: list(v) if isinstance(v, tuple) else v for key, v in expected.items()
    }


SHORT = {
    "global_stage": {"steps": 4},
    "local_stage": {"steps": 3},
    "joint_stage": {"steps": 0},
    **{k: METHOD[k] for k in ("losses", "adversary")},
}


def test_interrupted_by_the_cluster_and_gone_on(tmp_path, capsys, monkeypatch):
    config = config_file(tmp_path, **SHORT, checkpoint_every=100)
    assert run("--config", config, "--out", tmp_path / "whole", "--device", "cpu") == 0
    from HierSynthLib.commands.terminal import Display

    original, seen = Display.progress, []

    def progress(self, what, fraction):
        seen.append(what)
        if what.startswith("local") and len([w for w in seen if w.startswith("local")]) == 1:
            signal.raise_signal(signal.SIGTERM)
        original(self, what, fraction)

    monkeypatch.setattr(Display, "progress", progress)
    capsys.readouterr()
    out = tmp_path / "run"
    assert run("--config", config, "--out", out, "--device", "cpu") == 130
    said = capsys.readouterr().err
    assert "Stopped after step 6; the same command goes on from there." in said
    assert not (out / "toy").exists()
    monkeypatch.undo()
    monkeypatch.setattr("Training.train.load_patients", _load_again)
    assert run("--config", config, "--out", out, "--device", "cpu") == 0
    first, second = (load_model(folder / "toy").network for folder in (tmp_path / "whole", out))
    assert same_weights(first, second)
    assert "Stopped" not in capsys.readouterr().err


def _load_again(config, cache, workers, *, reporter, **_):
    numbers = {"train": range(3), "validation": range(10, 12), "calibration": [20], "test": [30, 31]}
    return Patients(
        **{name: [toy_patient(n) for n in found] for name, found in numbers.items()},
        cohort="phantoms",
        simulated=True,
    )


def test_a_package_is_never_replaced_and_an_old_run_is_kept_aside(tmp_path, capsys):
    config, out = config_file(tmp_path, **SHORT), tmp_path / "run"
    assert run("--config", config, "--out", out, "--device", "cpu") == 0
    before = (out / "metrics.csv").read_bytes()
    assert run("--config", config, "--out", out, "--device", "cpu") == 1
    assert "exists already" in capsys.readouterr().err
    (out / "toy").rename(tmp_path / "first")
    other = ["--config", config, "--out", out, "--device", "cpu", "--seed", "5"]
    assert run(*other) == 1
    said = capsys.readouterr().err
    assert "made with other settings: seed is 1 there and 5 here" in said
    assert json.loads((out / "training.json").read_text())["seed"] == 1, "the record of the old run stays"
    assert run(*other, "--fresh") == 0
    assert (out / "previous-1" / "metrics.csv").read_bytes() == before
    assert (out / "previous-1" / "checkpoints").is_dir()
    weights = [load_model(folder).network for folder in (tmp_path / "first", out / "toy")]
    assert not same_weights(*weights)
    (out / "toy").rename(tmp_path / "second")
    assert run(*other, "--fresh") == 0
    assert same_weights(weights[1], load_model(out / "toy").network), "the same seed trains the same weights"
    assert (out / "previous-2").is_dir()


def test_the_card_names_the_command_without_places(tmp_path, monkeypatch):
    config = config_file(tmp_path, **SHORT)
    words = ["train", "--config", str(config), "--out", str(tmp_path / "Dr Smith"), "--device", "cpu", "--name", "mine"]
    monkeypatch.setattr("sys.argv", ["hiersynth", *words])
    assert main(words) == 0
    card = (tmp_path / "Dr Smith" / "mine" / "docs" / "README.md").read_text()
    assert (
        f"`{shlex.join(['hiersynth', 'train', '--config', 'config.yaml', '--out', 'DIR'])} --device cpu --name mine`"
        in card
    )
    assert "Smith" not in card


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "nonesuch"], "there is no such configuration"),
        (["--config", "compare/unett"], "Did you mean 'compare/unet'"),
        (["--config", "tiny", "--data", "upen-gbm"], "upenn-gbm"),
        (["--config", "tiny", "--data", "bids"], "folder"),
        (["--config", "tiny", "--device", "tpu"], "--device"),
        (["--config", "tiny", "--workers", "0"], "--workers"),
    ],
)
def test_mistakes_on_the_command_line(tmp_path, capsys, arguments, words):
    assert run(*arguments, "--out", tmp_path / "run") in (1, 2)
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
    assert not (tmp_path / "run").exists()


def test_a_file_in_the_place_of_the_folder(tmp_path, capsys):
    (tmp_path / "run").write_text("")
    assert run("--config", "tiny", "--out", tmp_path / "run") == 1
    assert "is a file" in capsys.readouterr().err


def test_without_the_training_package_one_line_says_so(tmp_path, capsys, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "Training"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Training", None)
    assert run("--config", "tiny", "--out", tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert "Training is not installed here" in said
    assert "pip install" in said


def test_a_dry_run_prints_the_report_and_the_stages_and_trains_nothing(tmp_path, capsys):
    config = config_file(tmp_path, **SHORT, data={"phantoms": 2, "validation": 1, "calibration": 1, "test": 1})
    assert run("--config", config, "--out", tmp_path / "run", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "global: 4 steps × 4 slices, rate 0.002 (generator " in printed
    assert "local: 3 steps × 4 slices" in printed
    assert "joint" not in printed
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert run("--config", config, "--out", tmp_path / "run", "--dry-run", "--json") == 0
    fields = json.loads(capsys.readouterr().out)
    network = sum(p.numel() for p in _network().parameters())
    assert fields["parameters"] == network
    assert [row["stage"] for row in fields["stages"]] == ["global", "local"]
    assert fields["errors"] == []


def _network():
    from Training.train import make_network

    return make_network(toy_config(**SHORT), torch.device("cpu"))


def test_a_reporter_of_a_program_is_told_everything(tmp_path):
    from Training.train import train

    class Listener(Silent):
        def __init__(self):
            super().__init__()
            self.heard = []

        def progress(self, what, fraction):
            self.heard.append((what, fraction))

    listener = Listener()
    train(toy_config(**SHORT), tmp_path, device="cpu", reporter=listener)
    fractions = [fraction for _, fraction in listener.heard]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.95
    assert {"patients", "global stage (4 steps)", "calibrating", "measuring"} <= {what for what, _ in listener.heard}
