"""Settings of a training: the shipped files, `extends`, and every mistake named in one line."""

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.series import check_timing
from HierSynthLib.synthesis.networks import NetworkConfig, parameter_count
from HierSynthLib.synthesis.package import FORMAT_VERSION, ModelSettings
from Training.config import TrainingConfig, fingerprint, parse_config, read_config, settings_of
from Training.config_file import SHIPPED
from Training.engine.validation import model_settings

FILES = sorted(path.relative_to(SHIPPED).as_posix() for path in SHIPPED.rglob("*.yaml"))
STEPS = "global_stage: {steps: 1}\n"


def config_file(folder: Path, text: str, name: str = "config.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("file", FILES)
def test_shipped_files_are_valid_and_found_by_name(file):
    config = read_config(SHIPPED / file)
    assert config == read_config(file.removesuffix(".yaml"))
    assert parse_config(settings_of(config), "again") == config, "what a package stores can be read back"


def test_the_comparison_differs_only_in_what_it_compares():
    reference = read_config("compare/hiersynth")
    expected = {
        "no-lsm": {"method": "no_local"},
        "no-pac": {"losses": {"nce": 0.0, "descriptor": 0.0}},
        "no-l2": {"losses": {"l2": 0.0}},
        "no-lowpass": {"target": {"split": "none"}, "losses": {"low_pass_residual": 0.0}},
        "no-adversarial": {"losses": {"adversarial": 0.0, "residual_adversarial": 0.0}},
        "monolith": {"method": "monolith"},
        "unet": {"method": "unet"},
        "monolith-pac": {"method": "monolith", "losses": {"texture_on_single": True}},
        "pix2pix": {"method": "pix2pix", "global_stage": {"rate": 2e-4}},
    }
    assert {path.stem for path in (SHIPPED / "compare").iterdir()} == {"hiersynth", *expected}
    for name, changes in expected.items():
        config = read_config(f"compare/{name}")
        assert config.name == f"compare-{name}"
        plain = {"name": config.name} | {key: value for key, value in changes.items() if isinstance(value, str)}
        wanted = dataclasses.replace(reference, **plain)
        for section, values in changes.items():
            if isinstance(values, dict):
                wanted = dataclasses.replace(
                    wanted, **{section: dataclasses.replace(getattr(wanted, section), **values)}
                )
        assert config == wanted


@pytest.mark.parametrize("name", ["monolith", "unet", "pix2pix"])
def test_the_compared_networks_have_as_many_parameters(name):
    from HierSynthLib.synthesis.architectures import build

    counts = []
    for each in ("hiersynth", name):
        config = read_config(f"compare/{each}")
        counts.append(parameter_count(build(config.method, config.network_settings())))
    assert counts[1] == pytest.approx(counts[0], rel=0.03)


def test_a_file_is_laid_over_the_one_that_it_extends(tmp_path):
    config_file(tmp_path, STEPS + "seed: 3\nlosses: {l1: 2, ssim: 3}\nspacing_mm: [2, 2, 2]\n", "base.yaml")
    config_file(tmp_path, "extends: ../base.yaml\nlosses: {ssim: 4}\n", "deeper/middle.yaml")
    path = config_file(tmp_path, "extends: deeper/middle.yaml\nspacing_mm: [3, 3, 2]\nmethod: monolith\n")
    config = read_config(path)
    assert (config.seed, config.losses.l1, config.losses.ssim) == (3, 2.0, 4.0)
    assert config.spacing_mm == (3.0, 3.0, 2.0)
    assert config.global_stage.steps == 1
    changed = read_config(path, {"seed": 9, "losses": {"l1": 7}})
    assert (changed.seed, changed.losses.l1, changed.losses.ssim) == (9, 7.0, 4.0)


def test_a_shipped_file_is_extended_by_its_name_unless_one_of_that_name_lies_beside(tmp_path):
    """Nobody has to find the folder into which pip has put it."""
    path = config_file(tmp_path, "extends: upenn-gbm\nseed: 4\ndata: {folder: /mine}\n")
    shipped = read_config("upenn-gbm")
    wanted = dataclasses.replace(shipped, seed=4, data=dataclasses.replace(shipped.data, folder="/mine"))
    assert read_config(path) == wanted
    assert read_config(config_file(tmp_path, "extends: compare/unet.yaml", "b.yaml")) == read_config("compare/unet")
    config_file(tmp_path, STEPS + "seed: 7", "compare/unet.yaml")
    assert read_config(tmp_path / "b.yaml").seed == 7


def test_the_examples_of_the_page_are_settings(tmp_path):
    """docs/training.md: a file that extends a shipped one, and what it says in addition for DSC series."""
    page = (SHIPPED.parent.parent / "docs" / "training.md").read_text("utf-8")
    first, second = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    config = read_config(config_file(tmp_path, first))
    assert (config.name, config.data.source, config.data.folder) == ("my-model", "upenn-gbm", "/data/UPENN-GBM")
    data = read_config(config_file(tmp_path, f"extends: config.yaml\n{second}", "dsc.yaml")).data
    assert (data.cbv, data.exclude) == ("dsc", config.data.exclude)
    check_timing([data.te_s], data.tr_s)


def test_whatever_a_configuration_may_say_a_package_may_say_too():
    """Else the export would fail after days of training."""
    for values in (
        {"target": {"ceiling": 1000}, "spacing_mm": [0.3, 10, 10], "slice_step": 20},
        {"target": {"ceiling": 1e-3}, "spacing_mm": [10, 0.3, 0.3], "slice_step": 1},
    ):
        config = parse_config({"global_stage": {"steps": 1}, **values}, "x")
        settings = model_settings(config, simulated=True)
        block = dataclasses.asdict(settings) | {"format_version": FORMAT_VERSION}
        assert ModelSettings.parse(block) == settings
    for values in ({"target": {"ceiling": 1001}}, {"slice_step": 21}, {"spacing_mm": [1, 1, 10.1]}):
        with pytest.raises(InputError, match="is more than"):
            parse_config({"global_stage": {"steps": 1}, **values}, "x")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"config.yaml": "extends: config.yaml"}, "in a circle"),
        ({"config.yaml": "extends: a.yaml", "a.yaml": "extends: config.yaml"}, "in a circle"),
        ({"config.yaml": "extends: absent.yaml"}, "config.yaml: extends: absent.yaml: there is no such configuration"),
        ({"config.yaml": "extends: upenn-gmb"}, "extends: upenn-gmb: there is no such configuration"),
        ({"config.yaml": "extends: [a]"}, "extends: the name of a file expected"),
        ({"config.yaml": "extends: a.yaml", "a.yaml": "- 1"}, "a.yaml: holds no settings"),
    ],
)
def test_mistakes_in_extends(tmp_path, texts, words):
    for name, text in texts.items():
        config_file(tmp_path, text, name)
    with pytest.raises(InputError) as caught:
        read_config(tmp_path / "config.yaml")
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("global_stages: {steps: 1}", "Did you mean 'global_stage'"),
        ("losses: {adversarail: 1}", "Did you mean 'adversarial'"),
        ("losses: {huber: 1}", "unknown setting 'huber'"),
        ("data: {phantom: 1}", "Did you mean 'phantoms'"),
        ("seed: yes", "seed: int expected"),
        ("seed: -1", "negative"),
        ("seed: 1.5", "seed: int expected"),
        ("version: 1.0", "version: str expected"),
        ("tensorboard: 1", "tensorboard: bool expected"),
        ("ema: 1e-4", "Write 1.0e-4"),
        ("ema: .nan", "no finite number"),
        ("ema: 1.0", "more than"),
        ("clip: 0", "not above 0"),
        ("global_stage: {rate: 2.0}", "global_stage: rate: 2.0 is more than 1"),
        ("slice_step: 0", "less than 1"),
        ("method: unett", "Did you mean 'unet'"),
        ("method: [unet]", "unknown value ['unet']"),
        ("precision: half", "unknown value 'half'"),
        ("target: {split: gausian}", "Did you mean 'gaussian'"),
        ("target: {ceiling: 0}", "not above 0"),
        ("network: {slices: [3]}", "network: slices"),
        ("network: {slices: 4}", "'slices' is even"),
        ("network: {spatial_dims: 3}", "three-dimensional"),
        ("network: {sequences: 3}", "'sequences' must be 4"),
        ("network: {channels: [3, 4]}", "unknown setting 'channels'"),
        ("method: monolith\narchitecture: {chanels: [4, 6]}", "Did you mean 'channels'"),
        ("method: monolith\narchitecture: {channels: [4]}", "has 1 levels"),
        ("architecture: {style: 4}", "architecture: only for the other methods"),
        ("architecture: 3", "settings expected"),
        ("spacing_mm: 3", "a list expected"),
        ("spacing_mm: [3]", "three values"),
        ("spacing_mm: [1, 1, 0]", "less than 0.3"),
        ("spacing_mm: []", "three values"),
        ("data: 3", "settings expected"),
        ("data: {phantoms: 0}", "phantoms"),
        ("data: {source: upen-gbm}", "upenn-gbm"),
        ("data: {source: upenn-gbm}", "folder"),
        ("local_stage: {batch: 0}", "less than 1"),
        ("local_stage: {batch: 8, accumulate: 3}", "no 3 equal parts"),
        ("global_stage: {steps: 0}", "no stage has any steps"),
        ("global_stage: {steps: 0}\nlocal_stage: {steps: 5}", "untrained global map"),
        ("target: {ceiling: 1001}", "more than 1000"),
        ("losses: {patches: []}", "needs different sizes"),
        ("losses: {patches: [8, 8]}", "needs different sizes"),
        ("refiner_stage: {steps: 5}", "belong together"),
        ("network: {refiner_channels: [4, 6]}", "belong together"),
        ("target: {split: none}", "contradicts losses.low_pass_residual"),
        ("name: ../elsewhere", "cannot name a folder"),
        ("name: ''", "cannot name a folder"),
        ("name: .hidden", "cannot name a folder"),
        ("- a\n- b", "no settings"),
        ("", "no settings"),
        ("seed: [1", "not valid YAML"),
        ("seed: !!python/object/apply:os.system [ls]", "not valid YAML"),
    ],
)
def test_mistakes_name_the_setting_in_one_line(tmp_path, text, words):
    prefix = "" if "global_stage:" in text or not text or text.startswith("- ") or "[1" in text[:9] else STEPS
    with pytest.raises(InputError) as caught:
        read_config(config_file(tmp_path, prefix + text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_name_that_is_no_file_suggests_a_shipped_one(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'compare/monolith'"):
        read_config("compare/monolit")
    with pytest.raises(InputError, match="no such configuration"):
        read_config(tmp_path / "absent.yaml")


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00seed")
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "config.yaml")


def test_the_fingerprint_changes_with_every_setting():
    base = parse_config({"global_stage": {"steps": 1}}, "x")
    others = [
        {"seed": 2},
        {"losses": {"l1": 10.5}},
        {"network": {"style": 64}},
        {"data": {"grades": ["high"]}},
    ]
    found = {fingerprint(base)} | {fingerprint(parse_config({"global_stage": {"steps": 1}} | o, "x")) for o in others}
    assert len(found) == 5
    assert fingerprint(parse_config(json.loads(json.dumps(settings_of(base))), "y")) == fingerprint(base)


def test_defaults_are_in_range():
    """A default that its own check would refuse could never be written down."""
    for entry in dataclasses.fields(TrainingConfig):
        limits = entry.metadata
        if limits and isinstance(entry.default, (int, float)):
            assert limits["least"] <= entry.default <= limits["most"]
            assert entry.default > limits.get("above", -math.inf)
    assert NetworkConfig() == TrainingConfig().network
