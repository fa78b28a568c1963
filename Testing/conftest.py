"""What several test files use: a small simulated patient and a small model with random weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from HierSynthLib.phantom import write_phantom
from HierSynthLib.synthesis.model import save_model
from HierSynthLib.synthesis.networks import NetworkConfig, TwoStageNetwork

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


@pytest.fixture
def installed_tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small model, installed as "tiny" among the user's models; its folder."""
    monkeypatch.setenv("HIERSYNTH_DATA", str(tmp_path / "data"))
    return write_tiny_model(tmp_path / "data" / "Models" / "tiny")
