"""Validation while a model trains: which patients, and measures against scikit-image and the whole synthesis."""

import dataclasses

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from HierSynthLib.progress import Silent
from Testing.training_toys import toy_config, toy_patient
from Training.engine.validation import Validator, chosen, model_settings
from Training.train import make_network


def test_validation_measures_as_scikit_image_does():
    config = toy_config(validation={"slices": 8, "patients": 1})
    network = make_network(config, torch.device("cpu")).eval()
    patient = toy_patient(7)
    validator = Validator([patient, toy_patient(8)], config, model_settings(config, simulated=True))
    found = validator.measure(network, torch.device("cpu"))
    with torch.inference_mode():
        from Training.datasets.sampler import SliceSampler

        sampler = SliceSampler([patient], config, network.stride, 0)
        truth, made = np.zeros(patient.brain.shape, np.float32), np.zeros(patient.brain.shape, np.float32)
        for k in np.flatnonzero(patient.brain.any(axis=(0, 1))):
            pictures = sampler.pictures(patient, int(k))
            # (18, 20) is padded to multiples of the stride, the same on both sides.
            top, left = ((s - n) // 2 for s, n in zip(pictures["cbv"].shape[1:], patient.brain.shape[:2], strict=True))
            window = (slice(top, top + 18), slice(left, left + 20))
            made[:, :, k] = network(torch.from_numpy(pictures["x"])[None]).final[0, 0].numpy()[window]
            truth[:, :, k] = pictures["cbv"][0][window]
    made = np.clip(made, 0, 10) * patient.brain
    assert found["roi_ssim"] == pytest.approx(_padded_ssim(truth, made)[patient.lesion].mean(), abs=1e-4)
    assert found["mae"] == pytest.approx(np.abs(made - truth)[patient.brain].mean(), rel=1e-4)
    x, y = made[patient.brain].astype(float), truth[patient.brain].astype(float)
    ccc = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert found["ccc"] == pytest.approx(ccc, rel=1e-4)


def _padded_ssim(truth, made):
    """Scikit-image refuses volumes thinner than its window: continued by reflection, as our windows are."""
    pad = 8
    wide = [np.pad(a, pad, mode="symmetric") for a in (truth, made)]
    _, full = structural_similarity(
        *wide, data_range=6.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return full[pad:-pad, pad:-pad, pad:-pad]


def test_validation_on_a_slab_equals_the_same_slices_of_the_whole_patient():
    """Neighbouring input slices lie outside the slab: they must be read, not be taken for missing."""
    config = toy_config(network={"slices": 3}, validation={"slices": 3, "patients": 1})
    network = make_network(config, torch.device("cpu")).eval()
    patient = toy_patient(9)
    settings = model_settings(config, simulated=True)
    from HierSynthLib.synthesis.model import LoadedModel
    from HierSynthLib.synthesis.pipeline import synthesise

    model = LoadedModel.wrap(network, settings, torch.device("cpu"))
    maps = synthesise(patient.sequences, patient.brain, model, torch.device("cpu"), Silent())
    slab = (slice(None), slice(None), slice(1, 4))  # three slices around slice 2, the first widest one of the lesion
    error = np.abs(maps.synthetic - patient.cbv)[slab][patient.brain[slab]].mean()
    found = Validator([patient], config, settings).measure(network, torch.device("cpu"))
    assert found["mae"] == pytest.approx(error, rel=1e-5)


def test_a_patient_without_a_lesion_is_measured_in_the_whole_brain():
    config = toy_config(validation={"slices": 8})
    patient = toy_patient(3)
    healthy = dataclasses.replace(patient, lesion=np.zeros_like(patient.lesion))
    network, settings = make_network(config, torch.device("cpu")).eval(), model_settings(config, simulated=True)
    brain = dataclasses.replace(patient, lesion=patient.brain)
    found = [Validator([one], config, settings).measure(network, torch.device("cpu")) for one in (healthy, brain)]
    assert found[0] == pytest.approx(found[1])
    assert not Validator([], config, settings)


def test_validation_takes_one_examination_per_patient_and_all_groups():
    unknown = np.zeros(toy_patient(0).brain.shape, bool)
    facts = [
        ("a1", "a", "high", None),
        ("a2", "a", "high", None),
        ("b1", "b", "high", None),
        ("c1", "c", "low", unknown),
        ("c2", "c", "low", None),
        ("d1", "", "none", None),
        ("e1", "e", "low", None),
    ]
    patients = [
        dataclasses.replace(toy_patient(0), id=name, patient=patient, group=group, known=known)
        for name, patient, group, known in facts
    ]
    order = ["a1", "c2", "d1", "b1", "e1"]
    for count in (1, 3, 5, 9):
        assert [one.id for one in chosen(patients, count)] == order[:count]
    assert chosen([], 3) == []
