"""A verified model in memory, and writing one out as a package."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from HierSynthLib.errors import ModelError
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.synthesis.architectures import by_target, target_of
from HierSynthLib.synthesis.options import InputOptions
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

WEIGHT_TYPES = {"float32": torch.float32, "float16": torch.float16}
"""How weights may be stored; networks compute in float32 whatever the file holds."""


@dataclass
class LoadedModel:
    """A network with what must be known to run it.

    Attributes:
        network: one of `architectures.ARCHITECTURES`, in evaluation mode; called with x it returns a `Synthesis`.
        settings: sequences, grid and units that it was trained with.
        info: name, version and hash of the package; None for a network that is still being trained.
    """

    network: nn.Module
    settings: ModelSettings
    info: ModelInfo | None = None
    _placed: dict[torch.device, nn.Module] = field(default_factory=dict)

    @classmethod
    def wrap(cls, network: nn.Module, settings: ModelSettings, device: torch.device) -> LoadedModel:
        """A network that is still being trained: it is used where it lies, `device`, and not copied."""
        return cls(network, settings, _placed={device: network})

    @property
    def options(self) -> InputOptions:
        """What the network reads."""
        return cast(InputOptions, self.network.config)

    @property
    def stride(self) -> int:
        """Height and width of the network's input must be multiples of this."""
        return cast(int, self.network.stride)

    def on(self, device: torch.device) -> nn.Module:
        """The network on `device`; moved once, then kept there."""
        if device not in self._placed:
            moved = copy.deepcopy(self.network).to(device)
            self._placed[device] = moved.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        return self._placed[device]


def load_model(folder: Path) -> LoadedModel:
    """Verify the package in `folder`, then build the network and load its weights.

    Raises:
        ModelError: a file is missing, altered or of a newer format, weights and network do not fit, or a package that
            the network needs (MONAI for a U-Net) is not installed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    info = verify_model(folder)
    definition = json.loads((folder / INFERENCE).read_text("utf-8")).get("network_def", {})
    # MONAI's own parser would import and call whatever stands here; only networks of the list are accepted.
    if not isinstance(definition, dict):
        raise ModelError(f"{folder / INFERENCE}: 'network_def' is not an object.", REINSTALL)
    try:
        architecture = by_target(definition.get("_target_"))
    except ModelError as error:
        raise ModelError(f"{folder / INFERENCE}: network_def: {error.message}", error.hint) from error
    config = definition.get("config", {})
    if not isinstance(config, dict):
        raise ModelError(f"{folder / INFERENCE}: 'network_def.config' is not an object.", REINSTALL)
    if info.settings.preparation != PREPARATION_VERSION:
        raise ModelError(
            f"Model {folder}: it was trained with preparation {info.settings.preparation}, this HierSynth has "
            f"{PREPARATION_VERSION}.",
            "Install a model made for this version.",
        )
    options = architecture.parse(config)
    network = architecture.build(options)
    if options.sequences != len(info.settings.sequences):
        raise ModelError(
            f"{folder}: the network reads {options.sequences} sequences, its metadata name "
            f"{len(info.settings.sequences)}.",
            REINSTALL,
        )
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS}: the weights do not fit the network.", REINSTALL) from error
    return LoadedModel(network.eval(), info.settings, info)


def save_model(
    folder: Path,
    network: nn.Module,
    metadata: dict[str, Any],
    documents: dict[str, str | bytes],
    weights: str = "float32",
) -> None:
    """Write a model package into the empty or new `folder`.

    Args:
        folder: where to; the caller makes it temporary and renames it.
        network: the trained network.
        metadata: contents of `configs/metadata.json`.
        documents: further files by their path inside the package, e.g. the model card `docs/README.md`.
        weights: type in which weights are stored, a key of `WEIGHT_TYPES`.

    Raises:
        ModelError: `metadata` does not describe a model that this version can read back, or the network is not on the
            list.
    """
    from safetensors.torch import save_file

    ModelSettings.parse(metadata.get("hiersynth", {}))
    options = asdict(cast(Any, network.config))
    inference = {"network_def": {"_target_": target_of(network), "config": options}}
    files: dict[str, str | bytes] = {
        METADATA: json.dumps(metadata, indent=2, ensure_ascii=False) + "\n",
        INFERENCE: json.dumps(inference, indent=2) + "\n",
        **documents,
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    kind = WEIGHT_TYPES[weights]
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file({name: t.to(kind) if t.is_floating_point() else t for name, t in state.items()}, folder / WEIGHTS)
    write_checksums(folder)


__all__ = ["LoadedModel", "load_model", "save_model"]
