"""From a trained network to a model package with a filled model card."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from HierSynthLib import __version__
from HierSynthLib.case import SEQUENCES
from HierSynthLib.preparation import VERSION as PREPARATION_VERSION
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.model import LoadedModel, save_model
from HierSynthLib.synthesis.networks import TwoStageNetwork, parameter_count
from HierSynthLib.synthesis.package import FORMAT_VERSION, ModelSettings
from HierSynthLib.synthesis.pipeline import Maps, synthesise
from Training.config import TrainingConfig
from Training.dataset import Patient

INTERVAL = 0.8


def export_package(
    folder: Path, network: TwoStageNetwork, config: TrainingConfig, held_out: list[Patient], minutes: float
) -> None:
    """Calibrate the uncertainty on the held-out patients, measure the model on them, write the package to `folder`.

    With two or more held-out patients the first half calibrates and the second half is measured, so that the coverage
    in the model card is not the one that was fitted.
    """
    half = len(held_out) // 2
    calibration, measured = (held_out[:half], held_out[half:]) if half else (held_out, held_out)
    settings = ModelSettings(
        sequences=SEQUENCES,
        spacing_mm=(config.spacing_mm[0], config.spacing_mm[1], config.spacing_mm[2]),
        slice_step=config.slice_step,
        ceiling=config.target.ceiling,
        interval=INTERVAL,
        uncertainty_scale=1.0,
        simulated_training=True,
        preparation=PREPARATION_VERSION,
    )
    model = LoadedModel(network, settings)
    factor = interval_factor([predict(model, patient) for patient in calibration], calibration)
    scores = [measure(predict(model, patient), patient, factor) for patient in measured]
    summary = {key: _mean_and_sd([score[key] for score in scores]) for key in (scores[0] if scores else {})}
    save_model(folder, network, _metadata(config, factor, minutes), _documents(network, config, summary, minutes))


def predict(model: LoadedModel, patient: Patient) -> Maps:
    """The maps of a prepared patient, by the pipeline that users run."""
    return synthesise(patient.sequences, patient.brain, model, torch.device("cpu"), Silent())


def interval_factor(maps: Sequence[Maps], patients: Sequence[Patient]) -> float:
    """Factor on the uncertainty map that makes it cover the share `INTERVAL` of the errors of these patients.

    Per patient the `INTERVAL` quantile of |error| / half-width over the brain, then the mean over patients, so that
    each counts once. The scores are those of split conformal prediction (Angelopoulos and Bates, "A gentle introduction
    to conformal prediction", 2021, section 2.3), but voxels of one brain are not exchangeable, so coverage is not
    guaranteed: it is measured, on other patients.
    """
    quantiles = []
    for result, patient in zip(maps, patients, strict=True):
        error = np.abs(result.synthetic - patient.cbv)[patient.brain]
        quantiles.append(float(np.quantile(error / result.uncertainty[patient.brain], INTERVAL)))
    return float(np.mean(quantiles)) if quantiles else 1.0


def measure(maps: Maps, patient: Patient, factor: float) -> dict[str, float]:
    """What the model card tells of one patient; CBV in nrCBV against the simulated truth.

    Args:
        maps: with the interval before calibration.
        patient: prepared, with its true map.
        factor: of the calibration.

    Returns:
        MAE and Pearson r inside the brain, MAE and ratio of means inside the lesion (NaN without one), coverage.
    """
    brain, lesion, truth, final = patient.brain, patient.lesion, patient.cbv.astype(np.float32), maps.synthetic
    error = np.abs(final - truth)
    return {
        "MAE, brain (nrCBV)": float(error[brain].mean()),
        "MAE of the global map alone, brain (nrCBV)": float(np.abs(maps.global_map - truth)[brain].mean()),
        "Pearson r, brain": float(np.corrcoef(final[brain], truth[brain])[0, 1]),
        f"coverage of the {INTERVAL:.0%} interval": float((error <= factor * maps.uncertainty)[brain].mean()),
        "MAE, lesion (nrCBV)": float(error[lesion].mean()) if lesion.any() else math.nan,
        "mean synthetic / mean true nrCBV, lesion": (
            float(final[lesion].mean() / truth[lesion].mean()) if lesion.any() else math.nan
        ),
    }


def _mean_and_sd(values: list[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "not measured"
    spread = f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else ""
    return f"{np.mean(known):.3f}{spread} (n = {len(known)})"


def _metadata(config: TrainingConfig, factor: float, minutes: float) -> dict[str, Any]:
    channels = {
        str(index): f"{role}, normalised inside the brain" for index, role in enumerate(str(r) for r in SEQUENCES)
    }
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json",
        "version": config.version,
        "changelog": {config.version: f"trained on simulated brains, {minutes:.0f} min"},
        "monai_version": "1.6.1",
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"HierSynthLib": __version__},
        "name": config.name,
        "task": "Synthesis of a cerebral blood volume map from non-contrast MRI",
        "description": "Global (GSM) and local (LSM) module, 2.5-D; re-implementation from the paper's abstract.",
        "authors": "The HierSynth developers",
        "copyright": "The HierSynth developers",
        "license": "Apache-2.0",
        "data_source": "HierSynth phantoms (simulated brains), no patient data",
        "data_type": "simulated MRI",
        "intended_use": "Research and demonstration only. Knows only simulated brains. Not for clinical use.",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "MR",
                    "num_channels": config.network.inputs,
                    "spatial_shape": ["16*n", "16*n"],
                    "dtype": "float32",
                    "value_range": [-5, 5],
                    "is_patch_data": False,
                    "channel_def": channels,
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "nrCBV",
                    "num_channels": 1,
                    "spatial_shape": ["16*n", "16*n"],
                    "dtype": "float32",
                    "value_range": [0, config.target.ceiling],
                    "is_patch_data": False,
                    "channel_def": {"0": "synthetic nrCBV, mean contralateral NAWM = 1"},
                }
            },
        },
        "hiersynth": {
            "format_version": FORMAT_VERSION,
            "sequences": [str(role) for role in SEQUENCES],
            "spacing_mm": list(config.spacing_mm),
            "slice_step": config.slice_step,
            "ceiling": config.target.ceiling,
            "interval": INTERVAL,
            "uncertainty_scale": round(factor, 4),
            "simulated_training": True,
            "preparation": PREPARATION_VERSION,
        },
    }


def _documents(
    network: TwoStageNetwork, config: TrainingConfig, summary: dict[str, str], minutes: float
) -> dict[str, str]:
    rows = "\n".join(f"| {key} | {value} |" for key, value in summary.items()) or "| no held-out patients | – |"
    data, stages = config.data, (config.global_stage, config.local_stage, config.joint_stage)
    last = data.first_seed + data.phantoms + data.held_out - 1
    card = f"""# {config.name} {config.version}

**Research and demonstration only.** This model has seen nothing but simulated brains. A map that it makes of a real
patient shows that the pipeline runs; it says nothing about that patient's blood volume.

- Method: global module (GSM, {parameter_count(network.global_module):,} parameters), then local module (LSM,
  {parameter_count(network.local_module):,} parameters) for the residual; re-implementation from the abstract of the
  HierSynth paper. Trained without adversarial losses and without the perfusion-aware constraint; the random part of the
  style and the noise inputs exist in the network but were off, so they are untrained.
- Reads: {", ".join(str(role) for role in SEQUENCES)}; any of them may be missing, at a loss of accuracy.
- Grid: {" × ".join(f"{value:g}" for value in config.spacing_mm)} mm, {config.network.slices} slices
  {config.slice_step * config.spacing_mm[2]:g} mm apart. Values: nrCBV, 0 to {config.target.ceiling:g}.
- Data: {data.phantoms} phantoms for training and {data.held_out} held out (seeds {data.first_seed} to {last}; grades in
  turn {", ".join(data.grades)}); the target is the true CBV of the simulation.
- Training: seed {config.seed}; steps × slices {" + ".join(f"{s.steps} × {s.batch}" for s in stages)};
  {minutes:.0f} minutes on {torch.get_num_threads()} CPU threads.
- Command: `python -m Training.train`, with the settings in `docs/training.json` (shipped models: `Training/configs/`).

## Held-out phantoms (simulated brains: no evidence of clinical fidelity)

Per patient, mean ± SD; the first half of the held-out phantoms calibrated the uncertainty, the second is measured here.

| measure | value |
|---|---|
{rows}
"""
    licence = (Path(__file__).parent.parent / "LICENSE.txt").read_text("utf-8")
    settings = json.dumps(dataclasses.asdict(config), indent=2) + "\n"
    return {"docs/README.md": card, "docs/training.json": settings, "LICENSE": licence}
