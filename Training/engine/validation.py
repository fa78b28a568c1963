"""How good the averaged weights are on patients that are not trained on: cheap, as it is done again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from HierSynthLib.case import Role
from HierSynthLib.fidelity.measures.agreement import correlation
from HierSynthLib.fidelity.measures.ssim import ssim_map
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.model import LoadedModel
from HierSynthLib.synthesis.package import ModelSettings
from HierSynthLib.synthesis.pipeline import synthesise
from Training.config import TrainingConfig
from Training.datasets.patient import Patient

DATA_RANGE = 6.0
"""nrCBV 0–6, the fixed data range of every SSIM in this project."""

MEASURE = "roi_ssim"
"""What decides which weights are best."""


@dataclass(frozen=True, eq=False)
class _Slab:
    """Some consecutive slices of a patient with the neighbours that the network reads; `slices` are the wanted ones."""

    sequences: dict[Role, NDArray[np.floating]]
    brain: NDArray[np.bool_]
    cbv: NDArray[np.float32]
    measured: NDArray[np.bool_]
    roi: NDArray[np.bool_]
    slices: range


class Validator:
    """Measures a network on slabs of the validation patients.

    Args:
        patients: of which `config.validation.patients` are used, see `chosen`.
        config: grid, slices and how much is looked at.
        settings: what the network was trained for, see `model_settings`.
    """

    def __init__(self, patients: Sequence[Patient], config: TrainingConfig, settings: ModelSettings) -> None:
        self._settings = settings
        used = chosen(patients, config.validation.patients)
        self._slabs = [_slab(patient, config.validation.slices, config) for patient in used]

    def __bool__(self) -> bool:
        return bool(self._slabs)

    def measure(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Means over the patients.

        Args:
            network: in evaluation mode.
            device: where it lies.

        Returns:
            "roi_ssim": SSIM map (3-D window, range nrCBV 0–6) averaged over the lesion, or over the brain of a patient
            without one; "mae" (nrCBV) and "ccc" (Lin) over the brain; all inside the slab. What does not exist is left
            out.
        """
        model = LoadedModel.wrap(network, self._settings, device)
        found = [_measure(model, slab, device) for slab in self._slabs]
        means = {key: [one[key] for one in found if math.isfinite(one[key])] for key in (found[0] if found else ())}
        return {key: float(np.mean(values)) for key, values in means.items() if values}


def chosen(examinations: Sequence[Patient], count: int) -> list[Patient]:
    """The first examination with known CBV of up to `count` patients, taken from their groups (grades) in turn.

    So a small number of patients is spread over the groups, and nobody counts twice.
    """
    groups: dict[str, dict[str, Patient]] = {}
    for one in examinations:
        if one.target_mask.any():
            groups.setdefault(one.group, {}).setdefault(one.patient or one.id, one)
    rounds = zip_longest(*(patients.values() for patients in groups.values()))
    return [one for turn in rounds for one in turn if one is not None][:count]


def model_settings(config: TrainingConfig, *, simulated: bool, uncertainty_scale: float = 1.0) -> ModelSettings:
    """What the pipeline must know of a network that is trained as `config` says."""
    from HierSynthLib.case import SEQUENCES
    from HierSynthLib.preparation import VERSION as PREPARATION_VERSION

    return ModelSettings(
        sequences=SEQUENCES,
        spacing_mm=(config.spacing_mm[0], config.spacing_mm[1], config.spacing_mm[2]),
        slice_step=config.slice_step,
        ceiling=config.target.ceiling,
        interval=INTERVAL,
        uncertainty_scale=uncertainty_scale,
        simulated_training=simulated,
        preparation=PREPARATION_VERSION,
    )


INTERVAL = 0.8
"""Share of the errors that the uncertainty map shall cover."""


def _slab(patient: Patient, count: int, config: TrainingConfig) -> _Slab:
    known = patient.target_mask
    lesion = np.asarray(patient.lesion) & known
    area = (lesion if lesion.any() else known).sum(axis=(0, 1))
    centre, depth = int(area.argmax()), known.shape[2]
    first = min(max(0, centre - count // 2), max(0, depth - count))
    last = min(depth, first + count)
    reach = config.network.slices // 2 * config.slice_step
    start, stop = max(0, first - reach), min(depth, last + reach)
    here = (slice(None), slice(None), slice(start, stop))
    inside = np.zeros(stop - start, bool)
    inside[first - start : last - start] = True
    measured = np.asarray(known[here]) & inside
    roi = lesion[here] & inside
    return _Slab(
        sequences={role: np.array(array[here]) for role, array in patient.sequences.items()},
        brain=np.array(patient.brain[here]),
        cbv=np.asarray(patient.cbv[here], dtype=np.float32),
        measured=measured,
        roi=roi if roi.any() else measured,
        slices=range(first - start, last - start),
    )


def _measure(model: LoadedModel, slab: _Slab, device: torch.device) -> dict[str, float]:
    maps = synthesise(slab.sequences, slab.brain, model, device, Silent(), slab.slices)
    along = slice(slab.slices.start, slab.slices.stop)
    found, truth = (np.where(slab.measured, m, np.float32(0))[:, :, along] for m in (maps.synthetic, slab.cbv))
    measured, roi = slab.measured[:, :, along], slab.roi[:, :, along]
    whole = (slice(0, found.shape[0]), slice(0, found.shape[1]), slice(0, found.shape[2]))
    similarity = ssim_map(found, truth, whole, DATA_RANGE)
    x, y = found[measured].astype(np.float64), truth[measured].astype(np.float64)
    ccc = correlation(x, y, None)["ccc"]
    return {
        MEASURE: float(similarity[roi].mean()) if roi.any() else math.nan,
        "mae": float(np.abs(x - y).mean()),
        "ccc": math.nan if ccc is None else float(ccc),
    }
