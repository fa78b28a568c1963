"""From a subject to a patient on the working grid, by the preparation that is also used for synthesis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.preparation import PreparedCase, prepare, resample
from HierSynthLib.progress import Part, Reporter, Silent
from Training.datasets.cohort import Subject
from Training.datasets.patient import Patient, low_pass
from Training.datasets.reading import Loaded, load_subject
from Training.datasets.target import make_cbv

if TYPE_CHECKING:
    from Training.config import TrainingConfig


def prepare_patient(subject: Subject, config: TrainingConfig, reporter: Reporter | None = None) -> Patient:
    """Read or simulate a subject and bring everything onto the working grid.

    The sequences are registered as for synthesis; those of phantoms only if they were made to move.

    Args:
        subject: the examination.
        config: grid, ceiling and low-pass filter.
        reporter: told about progress and warnings.

    Raises:
        InputError: a file is unusable, no brain is found, or the CBV map is missing, implausible or cannot be
            normalised.
        Cancelled: the reporter said so.
    """
    reporter = reporter or Silent()
    loaded = load_subject(subject, Part(reporter, 0.0, 0.5))
    moved = bool(subject.case.facts.get("misalignment", True)) if subject.case.simulated else True
    spacing = (config.spacing_mm[0], config.spacing_mm[1], config.spacing_mm[2])
    prepared = prepare(
        loaded.sequences,
        reference=loaded.first,
        spacing_mm=spacing,
        register=moved,
        reporter=Part(reporter, 0.5, 0.8),
    )
    lesion = _lesion(loaded, prepared)
    target = make_cbv(subject, loaded, prepared, lesion, config.data, Part(reporter, 0.8, 1.0))
    cbv = np.clip(target.values, 0.0, config.target.ceiling) * target.known
    return Patient(
        id=subject.id,
        sequences=dict(prepared.sequences),
        brain=prepared.brain,
        lesion=lesion,
        cbv=cbv,
        low_pass=low_pass(cbv, target.known, config.target.low_pass_mm / np.asarray(spacing)),
        known=target.known,
        patient=subject.patient,
        group=subject.group,
        simulated=subject.case.simulated,
        affine=prepared.affine,
        facts={
            "content": loaded.content,
            "notes": list(loaded.notes),
            "brain mask": prepared.mask_quality.words,
            "registration": {str(role): found.method for role, found in prepared.registrations.items()},
            "target": target.facts,
        },
    )


def _lesion(loaded: Loaded, prepared: PreparedCase) -> NDArray[np.bool_]:
    """The lesion within the brain on the working grid; the segmentation lies in the space of the reference."""
    if loaded.roi is None:
        return np.zeros(prepared.brain.shape, bool)
    grid = prepared.grid
    labels = resample(loaded.roi.array, loaded.roi.affine, grid.shape, grid.affine, interpolation="nearest")
    inside = labels > 0 if loaded.tumour is None else np.isin(labels, loaded.tumour)
    return np.asarray(inside & ~np.isin(labels, loaded.reference) & prepared.brain)
