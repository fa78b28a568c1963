"""From a trained network to a model package with a filled model card."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from HierSynthLib import __version__
from HierSynthLib.case import SEQUENCES
from HierSynthLib.synthesis.model import LoadedModel, save_model
from HierSynthLib.synthesis.networks import TwoStageNetwork, parameter_count
from HierSynthLib.synthesis.package import FORMAT_VERSION, ModelSettings
from HierSynthLib.synthesis.slices import SliceStacks, occupied_slices
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
    )
    model = LoadedModel(network, settings)
    scale = conformal_scale([predict(model, patient) for patient in calibration], calibration)
    scores = [measure(predict(model, patient), patient, scale) for patient in measured]
    summary = {key: _mean_and_sd([score[key] for score in scores]) for key in (scores[0] if scores else {})}
    save_model(folder, network, _metadata(config, scale, minutes), _documents(network, config, summary, minutes))


def predict(model: LoadedModel, patient: Patient) -> dict[str, NDArray[np.float32]]:
    """The network's maps of a prepared patient, (I, J, K): "global", "final" and "scale" (Laplace b), all nrCBV."""
    stacks = SliceStacks(
        patient.sequences,
        patient.brain,
        order=model.settings.sequences,
        slices=model.network.config.slices,
        step=model.settings.slice_step,
        multiple=model.network.stride,
    )
    maps = {name: np.zeros(patient.brain.shape, np.float32) for name in ("global", "final", "scale")}
    with torch.inference_mode():
        for k in occupied_slices(patient.brain):
            result = model.network(torch.from_numpy(stacks.batch([k])))
            pictures = {"global": result.global_map, "final": result.final, "scale": result.log_scale.exp()}
            for name, picture in pictures.items():
                maps[name][:, :, k] = stacks.unpad(picture[:, 0].numpy())[0]
    for name in ("global", "final"):
        maps[name] = np.clip(maps[name], 0, model.settings.ceiling)
    return maps


def conformal_scale(predictions: list[dict[str, NDArray[np.float32]]], patients: list[Patient]) -> float:
    """Factor on the Laplace interval that makes it cover `INTERVAL` of the voxels of the calibration patients.

    Per patient the quantile of |error| / (−b·ln(1 − INTERVAL)), then the mean over patients, so that each counts once.
    Source: Angelopoulos and Bates, "A gentle introduction to conformal prediction", 2021, section 1.1.
    """
    if not patients:
        return 1.0
    quantiles = []
    for maps, patient in zip(predictions, patients, strict=True):
        error = np.abs(maps["final"] - patient.cbv)[patient.brain]
        ratio = error / (-math.log(1 - INTERVAL) * maps["scale"][patient.brain])
        level = min(1.0, math.ceil((ratio.size + 1) * INTERVAL) / ratio.size)
        quantiles.append(float(np.quantile(ratio, level)))
    return float(np.mean(quantiles))


def measure(maps: dict[str, NDArray[np.float32]], patient: Patient, scale: float) -> dict[str, float]:
    """What the model card tells of one patient; CBV in nrCBV against the simulated truth, inside the brain.

    Returns MAE and Pearson r of the final and the global map, MAE in the lesion, and the coverage of the interval.
    """
    brain, truth, final = patient.brain, patient.cbv.astype(np.float32), maps["final"]
    half_width = -math.log(1 - INTERVAL) * maps["scale"] * scale
    scores = {
        "MAE, brain (nrCBV)": float(np.abs(final - truth)[brain].mean()),
        "MAE of the global map alone, brain (nrCBV)": float(np.abs(maps["global"] - truth)[brain].mean()),
        "Pearson r, brain": float(np.corrcoef(final[brain], truth[brain])[0, 1]),
        "coverage of the 80 % interval": float((np.abs(final - truth) <= half_width)[brain].mean()),
    }
    if patient.lesion.any():
        scores["MAE, lesion (nrCBV)"] = float(np.abs(final - truth)[patient.lesion].mean())
        scores["mean synthetic / mean true nrCBV, lesion"] = float(
            final[patient.lesion].mean() / truth[patient.lesion].mean()
        )
    else:
        scores["MAE, lesion (nrCBV)"] = math.nan
        scores["mean synthetic / mean true nrCBV, lesion"] = math.nan
    return scores


def _mean_and_sd(values: list[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "not measured"
    spread = f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else ""
    return f"{np.mean(known):.3f}{spread} (n = {len(known)})"


def _metadata(config: TrainingConfig, scale: float, minutes: float) -> dict[str, Any]:
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
            "uncertainty_scale": round(scale, 4),
            "simulated_training": True,
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
  HierSynth paper. Trained without adversarial losses and without the perfusion-aware constraint.
- Reads: {", ".join(str(role) for role in SEQUENCES)}; any of them may be missing, at a loss of accuracy.
- Grid: {" × ".join(f"{value:g}" for value in config.spacing_mm)} mm, {config.network.slices} slices
  {config.slice_step * config.spacing_mm[2]:g} mm apart. Values: nrCBV, 0 to {config.target.ceiling:g}.
- Data: {data.phantoms} phantoms for training and {data.held_out} held out (seeds {data.first_seed} to {last}; grades in
  turn {", ".join(data.grades)}); the target is the true CBV of the simulation.
- Training: seed {config.seed}; steps × slices {" + ".join(f"{s.steps} × {s.batch}" for s in stages)};
  {minutes:.0f} minutes on {torch.get_num_threads()} CPU threads.
- Command: `python -m Training.train --config Training/configs/demo.yaml --out runs/demo`

## Held-out phantoms (simulated brains: no evidence of clinical fidelity)

Per patient, mean ± SD; the first half of the held-out phantoms calibrated the uncertainty, the second is measured here.

| measure | value |
|---|---|
{rows}
"""
    licence = (Path(__file__).parent.parent / "LICENSE.txt").read_text("utf-8")
    return {"docs/README.md": card, "LICENSE": licence}
