"""The settings of a training run: what they are called, what they mean, and which of them fit together.

A configuration is a YAML file (`Training/configs/`); everything is checked before anything is computed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from HierSynthLib.case import SEQUENCES
from HierSynthLib.errors import InputError, ModelError
from HierSynthLib.synthesis.networks import NetworkConfig
from Training.augmentation import AugmentationConfig
from Training.config_file import build, find_config, read_settings, setting, unknown_setting
from Training.datasets.settings import DataConfig
from Training.discriminators import AdversaryConfig
from Training.losses.settings import LossConfig

STAGES = ("global_stage", "local_stage", "joint_stage", "refiner_stage")


@dataclass(frozen=True)
class TargetConfig:
    """What the network learns to produce.

    Attributes:
        ceiling: nrCBV above this is cut off (large vessels reach 50).
        low_pass_mm: standard deviation in mm of the Gaussian whose output is the global module's target.
        split: "gaussian", or "none" for the ablation in which the global module learns the whole map.
    """

    ceiling: float = setting(10.0, above=0, most=1000)
    low_pass_mm: float = setting(3.0, above=0, most=50)
    split: Literal["gaussian", "none"] = "gaussian"


@dataclass(frozen=True)
class StageConfig:
    """One stage of training.

    Attributes:
        steps: 0 leaves the stage out.
        batch: slices per step, over all processes.
        rate: peak learning rate.
        accumulate: parts in which a process computes its share of the batch, for small memories.
    """

    steps: int = setting(0)
    batch: int = setting(8, least=1)
    rate: float = setting(5e-4, above=0, most=1)
    accumulate: int = setting(1, least=1)


@dataclass(frozen=True)
class ValidationConfig:
    """How the best weights are found on the validation patients.

    Attributes:
        every: steps between two validations; 0 means never, then the last weights are exported.
        patients: most patients looked at.
        slices: consecutive slices per patient, around the widest one of the lesion.
        select: which averaged weights of the last stage are exported, those with the best ROI SSIM or the last ones.
    """

    every: int = setting(200)
    patients: int = setting(4, least=1)
    slices: int = setting(12, least=1)
    select: Literal["best", "last"] = "best"


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that defines a training run; the same file and seed give the same run on the same machine.

    Attributes:
        name: of the model package.
        version: of the model package.
        seed: of everything random except which phantoms there are (`data.first_seed`).
        method: "hiersynth", its ablation "no_local" (the global module alone learns the whole map), or one of the
            methods it is compared with.
        spacing_mm: voxel size of the working grid.
        slice_step: distance of neighbouring input slices in voxels.
        precision: of the networks' arithmetic; "bfloat16" is faster on GPUs from Ampere on.
        ema: decay of the exponential moving average of the weights.
        clip: largest norm of the gradient of one optimiser.
        weights: type in which the package stores the weights.
        checkpoint_every: steps between two checkpoints.
        keep: number of checkpoints that are kept.
        log_every: steps between two rows of metrics.csv and points of TensorBoard.
        tensorboard: whether TensorBoard's event files are written.
        network: shape of the network of HierSynth. The other methods' networks are matched to its number of parameters.
        architecture: single values of another method's network that are not to be the matched ones.
        global_stage: the global module alone.
        local_stage: the local module, with the global one fixed.
        joint_stage: both together. Methods with a single network run for the steps of all three.
        refiner_stage: the optional refiner, which is off by default.
    """

    name: str = "hiersynth-demo"
    version: str = "0.1.0"
    seed: int = 1
    method: Literal["hiersynth", "no_local", "monolith", "unet", "pix2pix"] = "hiersynth"
    spacing_mm: tuple[float, ...] = setting((1.0, 1.0, 1.0), least=0.3, most=10)
    slice_step: int = setting(2, least=1, most=20)
    precision: Literal["float32", "bfloat16"] = "float32"
    ema: float = setting(0.999, most=0.999999)
    clip: float = setting(1.0, above=0)
    weights: Literal["float32", "float16"] = "float32"
    checkpoint_every: int = setting(200, least=1)
    keep: int = setting(2, least=1, most=100)
    log_every: int = setting(25, least=1)
    tensorboard: bool = True
    data: DataConfig = field(default_factory=DataConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    architecture: dict[str, Any] = field(default_factory=dict)
    global_stage: StageConfig = field(default_factory=StageConfig)
    local_stage: StageConfig = field(default_factory=StageConfig)
    joint_stage: StageConfig = field(default_factory=StageConfig)
    refiner_stage: StageConfig = field(default_factory=StageConfig)
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    @property
    def stages(self) -> dict[str, StageConfig]:
        """The stages by the name of their section, in the order in which they run."""
        return {name: getattr(self, name) for name in STAGES}

    def network_settings(self) -> dict[str, Any]:
        """Shape of the network of `method`, as `architectures.build` and a package take it."""
        from HierSynthLib.synthesis.architectures import matched

        network = self.network if self.method == "hiersynth" else matched(self.method, self.network)
        return {**dataclasses.asdict(network), **self.architecture}


def read_config(path: Path | str, changes: dict[str, Any] | None = None) -> TrainingConfig:
    """Read and check a training configuration.

    Args:
        path: a YAML file, or the name of a shipped one ("demo", "compare/unet").
        changes: settings that go over those of the file, e.g. {"data": {"folder": …}}.

    Raises:
        InputError: the file cannot be read, a key is unknown (with the nearest known one), a value is of the wrong type
            or out of range, or settings do not fit together.
    """
    path = find_config(path)
    values = read_settings(path)
    for section, value in (changes or {}).items():
        below = values.get(section)
        values[section] = {**(below if isinstance(below, dict) else {}), **value} if isinstance(value, dict) else value
    return parse_config(values, str(path))


def parse_config(values: dict[str, Any], where: str) -> TrainingConfig:
    """A checked configuration from plain values, as YAML or JSON hold them.

    Raises:
        InputError: see `read_config`; messages begin with `where`.
    """
    config: TrainingConfig = build(TrainingConfig, values, where)
    _check_network(config, where)
    _check(config, where)
    return config


def settings_of(config: TrainingConfig) -> dict[str, Any]:
    """The settings as plain values that JSON can hold; `parse_config` reads them back."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def fingerprint(config: TrainingConfig) -> str:
    """SHA-256 of all settings: two runs with the same one are the same run."""
    return hashlib.sha256(json.dumps(settings_of(config), sort_keys=True).encode()).hexdigest()


def _check_network(config: TrainingConfig, where: str) -> None:
    from HierSynthLib.synthesis.architectures import ARCHITECTURES

    try:
        NetworkConfig.parse(dataclasses.asdict(config.network))
    except ModelError as error:
        raise InputError(f"{where}: network: {error.message}", error.hint) from error
    if config.network.sequences != len(SEQUENCES):
        raise InputError(f"{where}: network: 'sequences' must be {len(SEQUENCES)}.", "Leave it out.")
    if config.method == "hiersynth" and config.architecture:
        raise InputError(f"{where}: architecture: only for the other methods.", "Use the section 'network'.")
    matched = dataclasses.replace(config, architecture={}).network_settings()
    for key in config.architecture:
        if key not in matched:
            raise unknown_setting(key, matched, f"{where}: architecture")
    try:
        ARCHITECTURES[config.method].parse({**matched, **config.architecture})
    except ModelError as error:
        raise InputError(f"{where}: architecture: {error.message}", error.hint) from error


def _check(config: TrainingConfig, where: str) -> None:
    config.data.check(where)
    if len(config.spacing_mm) != 3:
        raise InputError(f"{where}: 'spacing_mm' needs three values.", "E.g. [1.0, 1.0, 1.0].")
    if not config.name or config.name != Path(config.name).name or config.name.startswith("."):
        raise InputError(f"{where}: name: {config.name!r} cannot name a folder.", "E.g. my-model.")
    for name, stage in config.stages.items():
        if stage.batch % stage.accumulate:
            raise InputError(
                f"{where}: {name}: a batch of {stage.batch} has no {stage.accumulate} equal parts.",
                "Make 'batch' a multiple of 'accumulate'.",
            )
    if not any(stage.steps for stage in config.stages.values()):
        raise InputError(f"{where}: no stage has any steps.", "Give e.g. global_stage: {steps: 600}.")
    if config.method == "hiersynth" and config.global_stage.steps == 0 and config.local_stage.steps:
        raise InputError(
            f"{where}: local_stage without global_stage would learn the residual of an untrained global map.",
            "Give global_stage some steps, or use joint_stage alone.",
        )
    if bool(config.refiner_stage.steps) != bool(config.network.refiner_channels):
        raise InputError(
            f"{where}: refiner_stage and network.refiner_channels belong together.",
            "Give both (e.g. refiner_channels: [16, 32]) or neither.",
        )
    patches = config.losses.patches
    if not patches or len(set(patches)) < len(patches):
        raise InputError(f"{where}: losses: 'patches' needs different sizes, at least one.", "E.g. [8, 16].")
    if config.method == "hiersynth" and config.target.split == "none" and config.losses.low_pass_residual:
        raise InputError(
            f"{where}: target.split 'none' contradicts losses.low_pass_residual.", "Set low_pass_residual: 0."
        )


__all__ = [
    "STAGES",
    "AdversaryConfig",
    "AugmentationConfig",
    "DataConfig",
    "LossConfig",
    "StageConfig",
    "TargetConfig",
    "TrainingConfig",
    "ValidationConfig",
    "fingerprint",
    "parse_config",
    "read_config",
    "settings_of",
]
