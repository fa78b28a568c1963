"""What a model package says of itself: metadata, model card, licence, settings."""

from __future__ import annotations

import importlib.metadata
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from HierSynthLib import __version__
from HierSynthLib.case import SEQUENCES
from HierSynthLib.errors import InputError
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.synthesis.device import describe_device
from HierSynthLib.synthesis.networks import parameter_count
from HierSynthLib.synthesis.options import InputOptions
from HierSynthLib.synthesis.package import FORMAT_VERSION
from Training.config import TrainingConfig, settings_of
from Training.datasets.loading import Patients
from Training.datasets.patient import Patient
from Training.datasets.settings import SPLITS
from Training.engine.validation import INTERVAL, MEASURE

LICENCES = {"upenn-gbm": "CC BY 4.0", "ucsf-pdgm": "CC BY 4.0"}
"""Of the data sets whose licence is known; as The Cancer Imaging Archive states it."""

METHODS = {
    "hiersynth": "Global module (GSM), then local module (LSM) for the residual. Re-implementation from the abstract "
    "of the HierSynth paper; layers, losses and the formula of the perfusion-aware constraint (PaC) are ours.",
    "no_local": "Ablation of HierSynth: the global module alone, trained on the whole map.",
    "monolith": "Comparison model: one styled network with as many parameters and steps as HierSynth's two modules.",
    "unet": "Comparison model: U-Net (MONAI's BasicUNet) with as many parameters and steps as HierSynth.",
    "pix2pix": "Comparison model: Pix2Pix (Isola et al. 2017), its generator with as many parameters and steps as "
    "HierSynth.",
}

_RESEARCH = "**Research and demonstration only; not for clinical use.**"
_SIMULATED = (
    " This model has seen nothing but simulated brains. A map that it makes of a real patient shows that the pipeline "
    "runs; it says nothing about that patient's blood volume."
)


@dataclass(frozen=True)
class CardFacts:
    """What the model card tells beside the settings and the data.

    Attributes:
        command: that started the run.
        run: seconds by stage ("data": waiting for data), step and measure of the exported weights.
        processes: that shared the work.
        device: where they computed.
        curve: figure of the course of the training.
        factor: of the calibration.
        calibrated: patients that it rests on; 0 where the uncertainty is not calibrated.
        summary: measures of the test patients in words.
        weights: type in which they are stored.
        rounding: by how many nrCBV that changes a map at most; None where nothing is rounded.
    """

    command: str
    run: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    curve: Path | None = None
    factor: float = 1.0
    calibrated: int = 0
    summary: dict[str, str] = field(default_factory=dict)
    weights: str = "float32"
    rounding: float | None = None

    @property
    def minutes(self) -> float:
        """Time in the steps of all stages and in waiting for data."""
        return float(sum(self.run.get("seconds", {}).values())) / 60


def package_metadata(
    network: nn.Module, config: TrainingConfig, patients: Patients, facts: CardFacts
) -> dict[str, Any]:
    """The contents of `configs/metadata.json`."""
    options = cast(InputOptions, network.config)
    size = f"{cast(int, network.stride)}*n"
    channels = {str(index): f"{role}, normalised inside the brain" for index, role in enumerate(map(str, SEQUENCES))}
    data = "HierSynth phantoms (simulated brains), no patient data" if patients.simulated else patients.cohort
    intended = "Research and demonstration only. Not for clinical use."
    if patients.simulated:
        intended = "Research and demonstration only. Knows only simulated brains. Not for clinical use."
    picture = {"type": "image", "spatial_shape": [size, size], "dtype": "float32", "is_patch_data": False}
    image = {"format": "magnitude", "modality": "MR", "num_channels": options.inputs, "value_range": [-5, 5]}
    outcome = {"format": "nrCBV", "num_channels": 1, "value_range": [0, config.target.ceiling]}
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json",
        "version": config.version,
        "changelog": {config.version: f"trained in {facts.minutes:.0f} min"},
        "monai_version": "1.6.1",
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"HierSynthLib": __version__},
        "name": config.name,
        "task": "Synthesis of a cerebral blood volume map from non-contrast MRI",
        "description": METHODS[config.method],
        "authors": "The HierSynth developers" if patients.simulated else "not stated",
        "copyright": "The HierSynth developers" if patients.simulated else "not stated",
        "license": "Apache-2.0" if patients.simulated else "not stated: see LICENSE",
        "data_source": data,
        "data_type": "simulated MRI" if patients.simulated else "MRI",
        "intended_use": intended,
        "network_data_format": {
            "inputs": {"image": picture | image | {"channel_def": channels}},
            "outputs": {
                "pred": picture | outcome | {"channel_def": {"0": "synthetic nrCBV, mean contralateral NAWM = 1"}}
            },
        },
        "hiersynth": {
            "format_version": FORMAT_VERSION,
            "sequences": [str(role) for role in SEQUENCES],
            "spacing_mm": list(config.spacing_mm),
            "slice_step": config.slice_step,
            "ceiling": config.target.ceiling,
            "interval": INTERVAL,
            "uncertainty_scale": facts.factor,
            "calibration_patients": facts.calibrated,
            "simulated_training": patients.simulated,
            "preparation": PREPARATION_VERSION,
        }
        | ({"division": patients.division} if patients.division else {}),
    }


def documents(
    network: nn.Module, config: TrainingConfig, patients: Patients, facts: CardFacts
) -> dict[str, str | bytes]:
    """The text files and the figure of a package, by their path in it."""
    files: dict[str, str | bytes] = {
        "docs/README.md": model_card(network, config, patients, facts),
        "docs/training.json": json.dumps(_portable(config), indent=2) + "\n",
        "LICENSE": licence_text(patients),
    }
    if facts.curve is not None:
        files["docs/curve.png"] = facts.curve.read_bytes()
    return files


def _portable(config: TrainingConfig) -> dict[str, Any]:
    """The settings without the places of files: they may name people or hospitals."""
    settings = settings_of(config)
    settings["data"] |= {"folder": "", "splits": ""}
    return settings


def model_card(network: nn.Module, config: TrainingConfig, patients: Patients, facts: CardFacts) -> str:
    """The model card, Markdown."""
    options = cast(InputOptions, network.config)
    stages = [f"{name.removesuffix('_stage')} {s.steps} × {s.batch}" for name, s in config.stages.items() if s.steps]
    precision = f", {config.precision}" if config.precision != "float32" else ""
    which = f"the averaged weights (decay {config.ema:g}) of step {facts.run.get('step', '?')}"
    if facts.run.get("measure") is not None and config.validation.select == "best":
        which += f", the best on the validation patients ({MEASURE} {facts.run['measure']:.4f})"
    stored = f"stored as {facts.weights}"
    if facts.rounding is not None:
        stored += f", which changes a map of a patient by {facts.rounding:.4f} nrCBV at most"
    heading = "simulated brains: no evidence of clinical fidelity" if patients.simulated else "one cohort only"
    curve = "\n![Course of the training](curve.png)\n" if facts.curve is not None else ""
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts.summary.items()) or "| no test patients | – |"
    return f"""# {config.name} {config.version}

{_RESEARCH}{_SIMULATED if patients.simulated else ""}

## What it is

- Method: {METHODS[config.method]}
- Parameters: {_parameters(network)}; {stored}.
- Reads: {", ".join(map(str, SEQUENCES))}; any of them may be missing, at a loss of accuracy.
- Grid: {" × ".join(f"{value:g}" for value in config.spacing_mm)} mm, {options.slices} neighbouring slices
  {config.slice_step * config.spacing_mm[2]:g} mm apart. Values: nrCBV, 0 to {config.target.ceiling:g}.

## Data

{data_statement(patients)}

## Training

- Command: `{facts.command}`; all settings in `docs/training.json`. Seed {config.seed}.
- Steps × slices: {", ".join(stages)}; {facts.minutes:.1f} minutes of {facts.processes} process(es) on
  {describe_device(facts.device)}{precision}.
- Loss terms and weights: {_terms(config)}.
- Exported: {which}.
{curve}
## Uncertainty

{_uncertainty(facts)}

## Test patients ({heading})

Per patient (examinations of one patient are averaged), then mean ± SD over patients. SSIM: Gaussian window σ = 1.5
voxels in three dimensions, data range nrCBV 0–6, the SSIM map averaged inside the lesion. CCC: Lin's concordance
correlation.

| measure | value |
|---|---|
{rows}

## Limits

- Values above {config.target.ceiling:g} nrCBV cannot be returned; large vessels exceed it. nrCBV is relative.
- Slices are synthesised one by one: fine texture may differ slightly from slice to slice.
- Synthesis cannot show perfusion that leaves no trace in the sequences given.
- {_limit_of_data(patients)}
"""


def _uncertainty(facts: CardFacts) -> str:
    map_is = (
        f"The map is the half-width of the {INTERVAL:.0%} interval of a Laplace distribution whose scale the network "
        "predicts"
    )
    if not facts.calibrated:
        return (
            f"**Not calibrated:** there were too few calibration patients. {map_is}, as it is: do not rely on its "
            "covering that share of the errors."
        )
    return (
        f"{map_is}, times {facts.factor:.4g}: the mean over {facts.calibrated} calibration patients of the "
        f"{INTERVAL:.0%} quantile of |error| / half-width. Voxels of a brain resemble each other and the patients are "
        "few, so coverage is not guaranteed; it is measured below, on other patients."
    )


def data_statement(patients: Patients) -> str:
    """Which patients were used for what, as Markdown."""
    kind = "Simulated patients (HierSynth phantoms); the target is the true CBV of the simulation."
    if not patients.simulated:
        licence = LICENCES.get(patients.cohort, "see the terms of the data set")
        kind = f"Cohort: {patients.cohort}. Licence of the data: {licence}."
    splits = {name: getattr(patients, name) for name in SPLITS}
    rows = "\n".join(
        f"| {name} | {_people(found)} | {len(found)} | {_groups(found)} |" for name, found in splits.items()
    )
    left_out = f"\n\nLeft out: {len(patients.excluded)} examination(s)." if patients.excluded else ""
    return f"""{kind}

| split | patients | examinations | groups |
|---|---|---|---|
{rows}{left_out}"""


def licence_text(patients: Patients) -> str:
    """The licence of the weights: HierSynth's own where nobody's data went into them."""
    if not patients.simulated:
        licence = LICENCES.get(patients.cohort, "see the terms of the data set")
        return (
            f"These weights were trained on the data set {patients.cohort} (licence of the data: {licence}).\n"
            "Whoever trained them decides how they may be used and passed on, within the terms of the data.\n"
            "The software that reads them is HierSynth (Apache-2.0).\n"
        )
    checkout = Path(__file__).parent.parent / "LICENSE.txt"
    if checkout.is_file():
        return checkout.read_text("utf-8")
    text = importlib.metadata.distribution("HierSynthLib").read_text("licenses/LICENSE.txt")
    if not text:
        raise InputError("HierSynth's licence text is missing from this installation.", "Install HierSynth again.")
    return text


def _people(patients: Sequence[Patient]) -> int:
    return len({patient.patient or patient.id for patient in patients})


def _groups(patients: Sequence[Patient]) -> str:
    counts = Counter(patient.group or "not stated" for patient in patients)
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "–"


def _parameters(network: nn.Module) -> str:
    parts = {"GSM": "global_module", "LSM": "local_module", "refiner": "refiner"}
    found = {word: getattr(network, name, None) for word, name in parts.items()}
    counts = [f"{word} {parameter_count(part):,}" for word, part in found.items() if isinstance(part, nn.Module)]
    total = f"{parameter_count(network):,}"
    return f"{total} ({', '.join(counts)})" if len(counts) > 1 else total


def _terms(config: TrainingConfig) -> str:
    weights = settings_of(config)["losses"]
    named: tuple[str, ...] = ("l1", "l2", "ssim", "roi", "scale", "frequency", "low_pass_residual", "adversarial")
    named += ("r1", "path_length", "nce", "descriptor", "residual_adversarial")
    if config.method == "pix2pix":
        named = ("pix2pix_l1", "scale")
    return ", ".join(f"{name} {weights[name]:g}" for name in named if weights.get(name)) or "none"


def _limit_of_data(patients: Patients) -> str:
    if patients.simulated:
        return "It has seen simulated brains only."
    return f"It has seen {_people(patients.train)} patients of one cohort; other scanners and diseases are untested."
