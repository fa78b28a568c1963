"""The settings of a training run: a YAML file, checked before anything is computed."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from HierSynthLib.case import SEQUENCES
from HierSynthLib.errors import InputError, ModelError
from HierSynthLib.synthesis.networks import NetworkConfig


@dataclass(frozen=True)
class DataConfig:
    """Which simulated patients are made.

    Attributes:
        phantoms: number of patients to train on; their seeds are `first_seed`, `first_seed` + 1, …
        held_out: number of further patients for calibration and for the figures in the model card.
        first_seed: seed of the first patient.
        grades: lesion grades, taken in turn.
        size: "full" (1 mm) or "small" (tests).
    """

    phantoms: int = 48
    held_out: int = 8
    first_seed: int = 10_000
    grades: tuple[str, ...] = ("high", "low", "high", "none")
    size: str = "full"


@dataclass(frozen=True)
class TargetConfig:
    """What the network learns to produce.

    Attributes:
        ceiling: nrCBV above this is cut off (large vessels reach 50).
        low_pass_mm: standard deviation in mm of the Gaussian whose output is the global module's target.
    """

    ceiling: float = 10.0
    low_pass_mm: float = 3.0


@dataclass(frozen=True)
class StageConfig:
    """One stage of training: steps, slices per step, peak learning rate."""

    steps: int = 0
    batch: int = 8
    rate: float = 5e-4


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms of the loss; see `Training/losses.py` for each."""

    l1: float = 10.0
    ssim: float = 1.0
    roi: float = 4.0
    scale: float = 0.5
    frequency: float = 0.05
    low_pass_residual: float = 1.0


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes of the input; a strength is the half-range of a uniform draw, in units of the normalised signal.

    Attributes:
        gain: relative change of a sequence's contrast.
        offset: shift of a sequence.
        noise: largest standard deviation of added Gaussian noise.
        dropout: probability of leaving out each sequence; one always stays.
    """

    gain: float = 0.15
    offset: float = 0.15
    noise: float = 0.1
    dropout: float = 0.3


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that defines a training run; the same file and seed give the same run on the same machine."""

    name: str = "hiersynth-demo"
    version: str = "0.1.0"
    seed: int = 1
    spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)
    slice_step: int = 2
    ema: float = 0.999
    clip: float = 1.0
    data: DataConfig = field(default_factory=DataConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    global_stage: StageConfig = field(default_factory=StageConfig)
    local_stage: StageConfig = field(default_factory=StageConfig)
    joint_stage: StageConfig = field(default_factory=StageConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)


def read_config(path: Path) -> TrainingConfig:
    """Read and check a training configuration.

    Raises:
        InputError: the file cannot be read, or a key is unknown (with the nearest known one) or of the wrong type.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}).", "Give a YAML file, e.g. Training/configs/demo.yaml."
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())}).", "Correct the file.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no settings.", "See Training/configs/demo.yaml.")
    config: TrainingConfig = _build(TrainingConfig, values, str(path))
    try:
        NetworkConfig.parse(dataclasses.asdict(config.network))
    except ModelError as error:
        raise InputError(f"{path}: network: {error.message}", error.hint) from error
    if config.network.sequences != len(SEQUENCES):
        raise InputError(f"{path}: network: 'sequences' must be {len(SEQUENCES)}.", "Leave it out.")
    stages = (config.global_stage, config.local_stage, config.joint_stage)
    if config.data.phantoms < 1 or any(stage.batch < 1 for stage in stages) or config.slice_step < 1:
        raise InputError(f"{path}: 'phantoms', 'batch' and 'slice_step' must be at least 1.", "Correct the value.")
    if len(config.spacing_mm) != 3:
        raise InputError(f"{path}: 'spacing_mm' needs three values.", "E.g. [1.0, 1.0, 1.0].")
    return config


def _build(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"{where}: settings expected, not {values!r}.", "Write 'key: value' lines.")
    hints = typing.get_type_hints(kind)
    arguments = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            raise InputError(
                f"{where}: unknown setting '{key}'.",
                f"Did you mean '{near[0]}'?" if near else f"Known are: {', '.join(hints)}.",
            )
        arguments[key] = _convert(hints[key], value, f"{where}: {key}")
    return kind(**arguments)


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    if isinstance(kind, types.GenericAlias):  # tuple[item, ...]
        if not isinstance(value, list) or not value:
            raise InputError(f"{where}: a list expected, not {value!r}.", "E.g. [1, 2].")
        return tuple(_convert(typing.get_args(kind)[0], item, where) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InputError(f"{where}: {kind.__name__} expected, not {value!r}.", "Correct the value.")
    if isinstance(value, (int, float)) and value < 0:
        raise InputError(f"{where}: {value} is negative.", "Give a value of 0 or more.")
    return value
