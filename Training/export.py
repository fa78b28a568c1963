"""From a trained network to a model package: calibration, figures on held-out patients, model card."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from HierSynthLib.fidelity.measures.agreement import correlation
from HierSynthLib.fidelity.measures.ssim import ssim_map
from HierSynthLib.progress import Part, Reporter, Silent
from HierSynthLib.synthesis.model import WEIGHT_TYPES, LoadedModel, save_model
from HierSynthLib.synthesis.package import LARGEST_SCALE
from HierSynthLib.synthesis.pipeline import Maps, synthesise
from Training.config import TrainingConfig
from Training.datasets.loading import Patients
from Training.datasets.patient import Patient
from Training.engine.validation import DATA_RANGE, INTERVAL, model_settings
from Training.model_card import CardFacts, documents, package_metadata

LARGEST_ROUNDING = 0.01
"""nrCBV by which storing the weights as float16 may change a map; where it does more, float32 is stored."""

FEWEST_TO_CALIBRATE = 2
"""Patients; the width of the intervals would otherwise be that of one person's errors, or of nobody's."""

SMALLEST_SCALE = 0.001
"""Of the uncertainty, which else would vanish; design value."""


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run when it ends.

    Attributes:
        command: that started it.
        curve: figure of its course, if there is one.
        facts: seconds by stage ("data" for waiting), step and measure of the exported weights.
        processes: that shared the work.
        device: where they computed.
    """

    command: str
    curve: Path | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def export_package(
    folder: Path, network: nn.Module, config: TrainingConfig, patients: Patients, run: RunFacts, reporter: Reporter
) -> None:
    """Calibrate the uncertainty, measure the model on the test patients, write the package to `folder`.

    The weights that are measured are those that are stored. Patients of the calibration split fit one factor, those of
    the test split are measured with it, so that the coverage in the model card is not the one that was fitted.

    Args:
        folder: empty; the caller makes it temporary and renames it.
        network: trained, in evaluation mode.
        config: of the run.
        patients: of the run.
        run: for the model card.
        reporter: told about progress and warnings; asked whether to stop.

    Raises:
        ModelError: the network is on no list of architectures.
        OutputError: from writing; the caller's folder is then removed.
    """
    settings = model_settings(config, simulated=patients.simulated)
    weights: str = config.weights
    rounding = None
    if weights != "float32":
        weights, network, rounding = _rounded(network, config, patients, run.device, reporter)
    model = LoadedModel.wrap(network, settings, run.device)
    total = max(1, len(patients.calibration) + len(patients.test))
    quantiles, scores = [], []
    for done, patient in enumerate(patients.calibration):
        reporter.progress("calibrating", done / total)
        quantiles.append(error_quantile(predict(model, patient, run.device), patient))
    people = [patient.patient or patient.id for patient in patients.calibration]
    factor, calibrated = interval_factor(per_person(people, quantiles), reporter)
    tested = [patient for patient in patients.test if np.asarray(patient.target_mask).any()]
    for done, patient in enumerate(tested):
        reporter.progress("measuring", (len(patients.calibration) + done) / total)
        scores.append(measure(predict(model, patient, run.device), patient, factor))
    facts = CardFacts(
        command=run.command,
        run=run.facts,
        processes=run.processes,
        device=run.device,
        curve=run.curve,
        factor=factor,
        calibrated=calibrated,
        summary=summarise([patient.patient or patient.id for patient in tested], scores),
        weights=weights,
        rounding=rounding,
    )
    reporter.progress("writing the package", 0.99)
    save_model(
        folder,
        network,
        package_metadata(network, config, patients, facts),
        documents(network, config, patients, facts),
        weights,
    )


def _rounded(
    network: nn.Module, config: TrainingConfig, patients: Patients, device: torch.device, reporter: Reporter
) -> tuple[str, nn.Module, float | None]:
    """The type to store, the network with weights rounded to it, and by how many nrCBV that changes a map at most."""
    kind = WEIGHT_TYPES[config.weights]
    rounded = copy.deepcopy(network)
    with torch.no_grad():
        for tensor in (*rounded.parameters(), *rounded.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(tensor.to(kind))
    known = [*patients.calibration, *patients.test, *patients.validation, *patients.train]
    settings = model_settings(config, simulated=patients.simulated)
    maps = [
        predict(LoadedModel.wrap(one, settings, device), known[0], device, Part(reporter, 0.0, 0.01))
        for one in (network, rounded)
    ]
    change = float(np.abs(maps[0].synthetic - maps[1].synthetic).max())
    if change < LARGEST_ROUNDING:
        return config.weights, rounded, change
    reporter.warning(f"{config.weights} would change a map by {change:.3f} nrCBV; the weights are stored as float32.")
    return "float32", network, None


def predict(
    model: LoadedModel, patient: Patient, device: torch.device | None = None, reporter: Reporter | None = None
) -> Maps:
    """The maps of a prepared patient, by the pipeline that users run."""
    sequences = {role: np.asarray(array) for role, array in patient.sequences.items()}
    brain = np.asarray(patient.brain)
    return synthesise(sequences, brain, model, device or torch.device("cpu"), reporter or Silent())


def error_quantile(maps: Maps, patient: Patient) -> float:
    """The `INTERVAL` quantile of |error| / half-width over the voxels whose CBV is known; NaN where there are none."""
    inside = np.asarray(patient.target_mask)
    if not inside.any():
        return math.nan
    error = np.abs(maps.synthetic - patient.cbv)[inside]
    with np.errstate(divide="ignore", invalid="ignore"):  # a half-width that is 0 gives no finite quantile
        return float(np.quantile(error / maps.uncertainty[inside], INTERVAL))


def interval_factor(quantiles: Sequence[float], reporter: Reporter) -> tuple[float, int]:
    """Factor on the uncertainty map that makes it cover the share `INTERVAL` of the errors of the calibration patients.

    The mean of the patients' quantiles, so that each patient counts once. Voxels of one brain resemble each other and
    there is no correction for the number of patients: coverage on other patients is measured, not guaranteed.

    Args:
        quantiles: one per patient; what is not finite is left out.
        reporter: warned where the intervals are not calibrated, or the factor cannot be stored.

    Returns:
        The factor, rounded as it is stored and within what a package may hold, and on how many patients it rests: 1 and
        0 where fewer than `FEWEST_TO_CALIBRATE` have a quantile.
    """
    known = [value for value in quantiles if math.isfinite(value) and value > 0]
    if len(known) < FEWEST_TO_CALIBRATE:
        reporter.warning(
            f"The uncertainty is not calibrated: {len(known)} calibration patient(s), at least {FEWEST_TO_CALIBRATE} "
            f"are needed. The model card says so."
        )
        return 1.0, 0
    wanted = float(f"{np.mean(known):.4g}")
    factor = min(max(wanted, SMALLEST_SCALE), LARGEST_SCALE)
    if factor != wanted:
        reporter.warning(
            f"The calibration asks for {wanted:g} times the predicted uncertainty; {factor:g} is stored. Coverage in "
            f"the model card says what that means; the network's scale has not been learnt."
        )
    return factor, len(known)


def per_person(people: Sequence[str], values: Sequence[float]) -> list[float]:
    """Mean over the examinations of each person of what is finite; NaN where nothing is."""
    return [_mean(values[n] for n, name in enumerate(people) if name == person) for person in dict.fromkeys(people)]


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


def measure(maps: Maps, patient: Patient, factor: float) -> dict[str, float]:
    """What the model card tells of one patient; CBV in nrCBV against the target map.

    Args:
        maps: with the interval before calibration.
        patient: prepared, with its target map.
        factor: of the calibration.

    Returns:
        Where the CBV is known: MAE (also of the global map alone), Pearson r, Lin's CCC, coverage. Inside the lesion
        (NaN without one): SSIM map (3-D window, range nrCBV 0–6) averaged, MAE, ratio of means.
    """
    known = np.asarray(patient.target_mask)
    lesion = np.asarray(patient.lesion) & known
    truth = np.where(known, patient.cbv, 0).astype(np.float32)
    final = np.where(known, maps.synthetic, 0).astype(np.float32)
    error = np.abs(final - truth)
    both = correlation(final[known].astype(np.float64), truth[known].astype(np.float64), None)
    ratio = math.nan
    if lesion.any() and truth[lesion].mean() > 0:
        ratio = float(final[lesion].mean() / truth[lesion].mean())
    return {
        "SSIM, lesion": _lesion_ssim(final, truth, lesion),
        "MAE, lesion (nrCBV)": float(error[lesion].mean()) if lesion.any() else math.nan,
        "mean synthetic / mean target, lesion": ratio,
        "MAE, brain (nrCBV)": float(error[known].mean()),
        "MAE of the global map alone, brain (nrCBV)": float(np.abs(maps.global_map - truth)[known].mean()),
        "Pearson r, brain": math.nan if both["pearson_r"] is None else float(both["pearson_r"]),
        "concordance (CCC), brain": math.nan if both["ccc"] is None else float(both["ccc"]),
        f"coverage of the {INTERVAL:.0%} interval, brain": float((error <= factor * maps.uncertainty)[known].mean()),
    }


def _lesion_ssim(final: np.ndarray, truth: np.ndarray, lesion: np.ndarray) -> float:
    if not lesion.any():
        return math.nan
    found = [np.flatnonzero(lesion.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    box = tuple(slice(int(along[0]), int(along[-1]) + 1) for along in found)
    similarity = ssim_map(final, truth, (box[0], box[1], box[2]), DATA_RANGE)
    return float(similarity[lesion[box]].mean())


def summarise(people: Sequence[str], scores: Sequence[dict[str, float]]) -> dict[str, str]:
    """Mean ± SD over the patients of every measure, with the number of patients that have it.

    Args:
        people: whose each examination is; several of one person are averaged first.
        scores: of each examination, see `measure`.
    """
    return {
        key: _mean_and_sd(per_person(people, [score[key] for score in scores])) for key in (scores[0] if scores else ())
    }


def _mean_and_sd(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "not measured"
    spread = f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else ""
    return f"{np.mean(known):.3f}{spread} (n = {len(known)})"
