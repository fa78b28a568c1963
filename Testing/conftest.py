"""What several test files use: a small simulated patient and a small model with random weights."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings

from HierSynthLib.case import Case, Role
from HierSynthLib.phantom import write_phantom
from HierSynthLib.synthesis.model import save_model
from HierSynthLib.synthesis.networks import NetworkConfig, TwoStageNetwork
from HierSynthLib.volume import Volume, read_volume, write_volume

# A slow machine must not fail a test, so neither an example nor its making has a time limit.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

TINY = NetworkConfig(slices=3, global_channels=(4, 6), local_channels=(4, 6), style=8, latent=2)


def settings_block(**changes: Any) -> dict[str, Any]:
    """A valid block "hiersynth" of a model's metadata."""
    return {
        "format_version": 1,
        "sequences": ["T1", "T2", "FLAIR", "ADC"],
        "spacing_mm": [3.0, 3.0, 3.0],
        "slice_step": 1,
        "ceiling": 10.0,
        "interval": 0.8,
        "uncertainty_scale": 1.0,
        "simulated_training": True,
        "preparation": 1,
    } | changes


def write_tiny_model(folder: Path, trained_on: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A complete model package with random weights in `folder`; `trained_on` are the settings of its training."""
    torch.manual_seed(0)
    network = TwoStageNetwork(TINY)
    torch.nn.init.normal_(network.local_module.head.weight, std=0.1)
    folder.mkdir(parents=True)
    metadata = {"version": "1.0", "license": "Apache-2.0", "hiersynth": settings_block(**changes)}
    documents: dict[str, str | bytes] = {"docs/README.md": "A model for tests.\n", "LICENSE": "Apache-2.0\n"}
    if trained_on is not None:
        documents["docs/training.json"] = json.dumps(trained_on)
    save_model(folder, network, metadata, documents)
    return folder


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """Folder of a model package with random weights on a 3 mm grid."""
    return write_tiny_model(tmp_path / "models" / "tiny")


@pytest.fixture(scope="session")
def small_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Case folder of a small simulated patient with a high-grade lesion; do not change it."""
    folder = tmp_path_factory.mktemp("phantom") / "case"
    write_phantom(folder, seed=3, grade="high", size="small")
    return folder


@pytest.fixture(scope="session")
def case_without_series(small_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small case without its DSC series, which takes most of the time of loading it; do not change it."""
    folder = tmp_path_factory.mktemp("phantom without series") / "case"
    folder.mkdir()
    case = Case.read(small_case)
    kept = [role for role in case.files if role not in (Role.DSC, Role.CBV_TRUE)]
    files = {role: Path(shutil.copy(case.files[role], folder)) for role in kept}
    units = {role: unit for role, unit in case.units.items() if role in kept}
    dataclasses.replace(case, files=files, units=units).write(folder)
    return folder


@pytest.fixture(scope="session")
def stripped_case(case_without_series: Path, small_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That case with the skull stripped from its T1: a synthesis takes half a second, as no brain has to be found."""
    folder = tmp_path_factory.mktemp("stripped phantom") / "case"
    shutil.copytree(case_without_series, folder)
    t1, brain = read_volume(small_case / "T1.nii.gz"), read_volume(small_case / "brain_mask_true.nii.gz")
    write_volume(Volume(t1.array * (brain.array > 0), t1.affine, t1.units), folder / "T1.nii.gz", overwrite=True)
    return folder


@pytest.fixture
def installed_tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small model, installed as "tiny" among the user's models; its folder."""
    monkeypatch.setenv("HIERSYNTH_DATA", str(tmp_path / "data"))
    return write_tiny_model(tmp_path / "data" / "Models" / "tiny")
