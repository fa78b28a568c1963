"""A verified model in memory, and writing one out as a package."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from HierSynthLib.errors import ModelError
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.synthesis.networks import NetworkConfig, TwoStageNetwork
from HierSynthLib.synthesis.package import (
    INFERENCE,
    METADATA,
    REINSTALL,
    WEIGHTS,
    ModelInfo,
    ModelSettings,
    verify_model,
    write_checksums,
)

TARGET = "HierSynthLib.synthesis.networks.TwoStageNetwork"


@dataclass
class LoadedModel:
    """A network with what must be known to run it.

    Attributes:
        network: weights on the CPU, in evaluation mode.
        settings: sequences, grid and units that it was trained with.
        info: name, version and hash of the package; None for a network that is still being trained.
    """

    network: TwoStageNetwork
    settings: ModelSettings
    info: ModelInfo | None = None
    _placed: dict[torch.device, TwoStageNetwork] = field(default_factory=dict)

    def on(self, device: torch.device) -> TwoStageNetwork:
        """The network on `device`; moved once, then kept there."""
        if device not in self._placed:
            copy = TwoStageNetwork(self.network.config)
            copy.load_state_dict(self.network.state_dict())
            self._placed[device] = copy.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        return self._placed[device]


def load_model(folder: Path) -> LoadedModel:
    """Verify the package in `folder`, then build the network and load its weights.

    Raises:
        ModelError: a file is missing, altered or of a newer format, or weights and network do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    info = verify_model(folder)
    definition = json.loads((folder / INFERENCE).read_text("utf-8")).get("network_def", {})
    # MONAI's own parser would import and call whatever stands here; only our network is accepted.
    if not isinstance(definition, dict) or definition.get("_target_") != TARGET:
        raise ModelError(f"{folder / INFERENCE}: 'network_def' is not a HierSynth network.", f"It must name {TARGET}.")
    config = definition.get("config", {})
    if not isinstance(config, dict):
        raise ModelError(f"{folder / INFERENCE}: 'network_def.config' is not an object.", REINSTALL)
    if info.settings.preparation != PREPARATION_VERSION:
        raise ModelError(
            f"Model {folder}: it was trained with preparation {info.settings.preparation}, this HierSynth has "
            f"{PREPARATION_VERSION}.",
            "Install a model made for this version.",
        )
    network = TwoStageNetwork(NetworkConfig.parse(config))
    if network.config.sequences != len(info.settings.sequences):
        raise ModelError(
            f"{folder}: the network reads {network.config.sequences} sequences, its metadata name "
            f"{len(info.settings.sequences)}.",
            REINSTALL,
        )
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS}: the weights do not fit the network.", REINSTALL) from error
    return LoadedModel(network.eval(), info.settings, info)


def save_model(folder: Path, network: TwoStageNetwork, metadata: dict[str, Any], documents: dict[str, str]) -> None:
    """Write a model package into the empty or new `folder`.

    Args:
        folder: where to; the caller makes it temporary and renames it.
        network: the trained network.
        metadata: contents of `configs/metadata.json`.
        documents: further text files by their path inside the package, e.g. the model card `docs/README.md`.

    Raises:
        ModelError: `metadata` does not describe a model that this version can read back.
    """
    from safetensors.torch import save_file

    ModelSettings.parse(metadata.get("hiersynth", {}))
    inference = {"network_def": {"_target_": TARGET, "config": asdict(network.config)}}
    files = {
        METADATA: json.dumps(metadata, indent=2, ensure_ascii=False) + "\n",
        INFERENCE: json.dumps(inference, indent=2) + "\n",
        **documents,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    write_checksums(folder)


__all__ = ["LoadedModel", "load_model", "save_model"]
