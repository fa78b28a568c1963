"""From a trained network to a package: calibration, figures, model card, every architecture, half the bytes."""

import builtins
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from HierSynthLib.errors import ModelError
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.catalogue import SIMULATED_TRAINING
from HierSynthLib.synthesis.model import load_model
from HierSynthLib.synthesis.package import INFERENCE, METADATA, WEIGHTS, verify_model, write_checksums
from HierSynthLib.synthesis.pipeline import Maps
from Testing.training_toys import same_weights, toy_config, toy_patient
from Training.config import parse_config
from Training.datasets.loading import Patients
from Training.evaluation.trained_on import read_trained_on
from Training.export import (
    RunFacts,
    error_quantile,
    export_package,
    interval_factor,
    measure,
    per_person,
    predict,
    summarise,
)
from Training.train import make_network

CPU = torch.device("cpu")
FACTS = {"seconds": {"global": 90.0, "data": 30.0}, "step": 12, "measure": 0.25}


def patients(simulated: bool = True, **counts: int) -> Patients:
    numbers = {"train": 3, "validation": 1, "calibration": 2, "test": 2} | counts
    made = {name: [toy_patient(100 * n + m) for m in range(count)] for n, (name, count) in enumerate(numbers.items())}
    return Patients(**made, cohort="phantoms" if simulated else "upenn-gbm", simulated=simulated)


def export(folder: Path, config, found: Patients, reporter=None, **run):
    """A package of an untrained network whose local module and scale do something; the network."""
    network = make_network(config, CPU).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    folder.mkdir()
    export_package(
        folder, network, config, found, RunFacts("hiersynth train", facts=FACTS, **run), reporter or Silent()
    )
    return network


@pytest.mark.parametrize("method", ["hiersynth", "no_local", "monolith", "unet", "pix2pix"])
def test_every_architecture_is_read_back_and_makes_the_same_maps(tmp_path, method):
    config = toy_config(method=method)
    network = export(tmp_path / "model", config, patients())
    model = load_model(tmp_path / "model")
    assert type(model.network) is type(network)
    assert same_weights(model.network, network)
    patient = toy_patient(50)
    maps = predict(model, patient)
    assert maps.synthetic.shape == patient.brain.shape
    assert (maps.synthetic[~patient.brain] == 0).all()
    if method not in ("hiersynth",):
        np.testing.assert_array_equal(maps.synthetic, maps.global_map)
        assert (maps.residual == 0).all()


def test_a_model_of_monai_says_so_where_monai_is_missing(tmp_path, monkeypatch):
    export(tmp_path / "unet", toy_config(method="unet"), patients(calibration=0, test=0))
    export(tmp_path / "own", toy_config(method="monolith"), patients(calibration=0, test=0))
    original = builtins.__import__

    def without_monai(name, *arguments, **options):
        if name.partition(".")[0] == "monai":
            raise ModuleNotFoundError("No module named 'monai'", name="monai")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_monai)
    with pytest.raises(ModelError, match="MONAI") as caught:
        load_model(tmp_path / "unet")
    assert "pip install" in caught.value.hint
    load_model(tmp_path / "own")


@pytest.mark.parametrize(
    "target", ["os.system", "monai.networks.nets.UNet", "HierSynthLib.synthesis.model.load_model", 3, None]
)
def test_nothing_outside_the_list_is_built(tmp_path, target):
    export(tmp_path / "model", toy_config(), patients(calibration=0, test=0))
    path = tmp_path / "model" / INFERENCE
    definition = json.loads(path.read_text())
    definition["network_def"]["_target_"] = target
    path.write_text(json.dumps(definition))
    write_checksums(tmp_path / "model")
    with pytest.raises(ModelError, match="not a network of HierSynth"):
        load_model(tmp_path / "model")


def test_the_factor_makes_the_interval_cover():
    random = np.random.default_rng(7)
    patient = toy_patient(1)
    shape = patient.brain.shape
    large = dataclasses.replace(
        patient, brain=np.ones((40, 40, 20), bool), lesion=np.zeros((40, 40, 20), bool), cbv=np.full((40, 40, 20), 3.0)
    )
    error = random.laplace(0, 0.6, large.cbv.shape).astype(np.float32)
    final = large.cbv + error
    half_width = np.full(large.cbv.shape, -0.3 * math.log(0.2), np.float32)
    maps = Maps(final, final + 1, final * 0, half_width, 0.8, CPU)
    quantile = error_quantile(maps, large)
    factor, people = interval_factor([quantile, quantile], Silent())
    assert people == 2
    assert factor == pytest.approx(2.0, rel=0.03), "the errors are twice as wide as the scale says"
    assert measure(maps, large, factor)["coverage of the 80% interval, brain"] == pytest.approx(0.8, abs=0.005)
    assert interval_factor([1.0, 4.0, math.nan], Silent()) == (2.5, 2)
    assert shape == (18, 20, 8)


def test_figures_equal_other_implementations():
    random = np.random.default_rng(3)
    patient = toy_patient(2)
    known = patient.brain.copy()
    known[:4] = False
    patient = dataclasses.replace(patient, known=known, cbv=patient.cbv * known)
    final = (np.clip(patient.cbv + random.normal(0, 0.5, patient.cbv.shape), 0, 10) * patient.brain).astype(np.float32)
    maps = Maps(final, final * 0 + 1, final - 1, final * 0 + 0.4, 0.8, CPU)
    found = measure(maps, patient, 2.0)

    x, y = final[known].astype(float), patient.cbv[known].astype(float)
    lesion = patient.lesion & known
    assert found["MAE, brain (nrCBV)"] == pytest.approx(np.abs(x - y).mean(), rel=1e-5)
    assert found["MAE of the global map alone, brain (nrCBV)"] == pytest.approx(np.abs(1 - y).mean(), rel=1e-5)
    assert found["Pearson r, brain"] == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-6)
    ccc = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert found["concordance (CCC), brain"] == pytest.approx(ccc, rel=1e-6)
    assert found["coverage of the 80% interval, brain"] == pytest.approx((np.abs(x - y) <= 0.8).mean(), abs=1e-4)
    ratio = final[lesion].mean() / patient.cbv[lesion].mean()
    assert found["mean synthetic / mean target, lesion"] == pytest.approx(ratio, rel=1e-5)
    wide = [np.pad(np.where(known, a, 0), 8, mode="symmetric").astype(float) for a in (patient.cbv, final)]
    _, full = structural_similarity(
        *wide, data_range=6.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert found["SSIM, lesion"] == pytest.approx(full[8:-8, 8:-8, 8:-8][lesion].mean(), abs=1e-4)


def test_a_patient_without_a_lesion_has_no_figures_of_it():
    patient = dataclasses.replace(toy_patient(2), lesion=np.zeros_like(toy_patient(2).lesion))
    maps = Maps(patient.cbv, patient.cbv, patient.cbv * 0, patient.cbv * 0 + 1, 0.8, CPU)
    found = measure(maps, patient, 1.0)
    assert math.isnan(found["SSIM, lesion"])
    assert math.isnan(found["MAE, lesion (nrCBV)"])
    words = summarise(["a", "b"], [found, found])
    assert words["SSIM, lesion"] == "not measured"
    assert words["MAE, brain (nrCBV)"] == "0.000 ± 0.000 (n = 2)"
    assert summarise("xyz", [{"a": 1.0}, {"a": 3.0}, {"a": math.nan}])["a"] == "2.000 ± 1.414 (n = 2)"
    assert summarise([], []) == {}


def test_two_examinations_are_one_patient():
    """Means of 2 and 8 for Ann (1, 3) and Bob (8): not of three patients; what one examination lacks, the other has."""
    scores = [{"a": 1.0, "b": 5.0}, {"a": 8.0, "b": 7.0}, {"a": 3.0, "b": math.nan}]
    words = summarise(["Ann", "Bob", "Ann"], scores)
    assert words == {"a": "5.000 ± 4.243 (n = 2)", "b": "6.000 ± 1.414 (n = 2)"}
    assert per_person(["Ann", "Bob", "Ann"], [1.0, 8.0, 3.0]) == [2.0, 8.0]
    assert summarise(["Ann", "Ann"], scores[:2])["a"] == "4.500 (n = 1)", "no spread of one person"


def test_the_card_counts_patients_not_examinations(tmp_path):
    """Both calibration examinations are of one person: that is not enough to calibrate."""
    found = patients(calibration=2, test=2)
    for split in ("calibration", "test"):
        members = getattr(found, split)
        members[:] = [dataclasses.replace(each, patient=f"one-{split}") for each in members]
    told = Silent()
    export(tmp_path / "model", toy_config(), found, told)
    card = (tmp_path / "model" / "docs" / "README.md").read_text()
    assert "(n = 1)" in card
    assert "(n = 2)" not in card
    assert "**Not calibrated:**" in card
    assert "not calibrated: 1 calibration patient(s)" in told.warnings[0]


@pytest.mark.parametrize("known", [[], [3.0], [math.nan, math.inf, 3.0]])
def test_fewer_than_two_patients_do_not_calibrate(known):
    told = Silent()
    assert interval_factor(known, told) == (1.0, 0)
    assert "not calibrated" in told.warnings[0]


@pytest.mark.parametrize(("quantile", "stored"), [(5e4, 100.0), (1e-7, 0.001)])
def test_a_factor_that_no_package_may_hold_is_clipped_with_a_warning(tmp_path, monkeypatch, quantile, stored):
    """An export must not fail after days of training."""
    monkeypatch.setattr("Training.export.error_quantile", lambda maps, patient: quantile)
    told = Silent()
    export(tmp_path / "model", toy_config(), patients(test=0), told)
    assert verify_model(tmp_path / "model").settings.uncertainty_scale == stored
    assert f"{stored:g} is stored" in told.warnings[0]


def test_a_patient_whose_cbv_is_not_known_anywhere_has_no_quantile():
    patient = dataclasses.replace(toy_patient(2), known=np.zeros_like(toy_patient(2).brain))
    maps = Maps(patient.cbv, patient.cbv, patient.cbv * 0, patient.cbv * 0, 0.8, CPU)
    assert math.isnan(error_quantile(maps, patient))
    assert not math.isfinite(error_quantile(maps, dataclasses.replace(toy_patient(2), cbv=patient.cbv + 1)))


def test_the_package_records_who_was_trained_on(tmp_path):
    division = {"cohort": "upenn-gbm", "folds": 0, "fold": 0, "seen": "ab" * 32}
    export(tmp_path / "model", toy_config(), dataclasses.replace(patients(), division=division))
    block = json.loads((tmp_path / "model" / METADATA).read_text())["hiersynth"]
    assert block["division"] == division
    trained = read_trained_on(tmp_path / "model")
    assert (trained.division, trained.cohort, trained.data) == (division, "upenn-gbm", toy_config().data)
    assert block["calibration_patients"] == 2


def test_the_card_tells_command_data_and_course(tmp_path):
    curve = tmp_path / "curve.png"
    curve.write_bytes(b"a picture")
    config = toy_config(seed=11)
    export(tmp_path / "model", config, patients(), curve=curve, processes=2)
    card = (tmp_path / "model" / "docs" / "README.md").read_text()
    for words in (
        "nothing but simulated brains",
        "re-implementation from the abstract".capitalize(),
        "(PaC) are ours",
        "`hiersynth train`",
        "Seed 11",
        "global 6 × 4, local 5 × 4, joint 2 × 4",
        "2.0 minutes of 2 process(es)",
        "step 12, the best on the validation patients (roi_ssim 0.2500)",
        "| train | 3 | 3 | high: 3 |",
        "| test | 2 | 2 | high: 2 |",
        "![Course of the training](curve.png)",
        "2 calibration patients",
        "| SSIM, lesion |",
        "GSM",
    ):
        assert words in card, words
    assert (tmp_path / "model" / "docs" / "curve.png").read_bytes() == b"a picture"
    assert "Apache License" in (tmp_path / "model" / "LICENSE").read_text()
    settings = json.loads((tmp_path / "model" / "docs" / "training.json").read_text())
    assert parse_config(settings, "card") == config
    metadata = json.loads((tmp_path / "model" / METADATA).read_text())
    assert metadata["hiersynth"]["simulated_training"] is True
    factor = metadata["hiersynth"]["uncertainty_scale"]
    assert f"times {factor:.4g}" in card
    info = verify_model(tmp_path / "model")
    assert info.settings.uncertainty_scale == factor != 1.0


def test_a_model_of_patients_does_not_claim_to_be_simulated_and_names_no_folder(tmp_path):
    config = toy_config(data={"source": "upenn-gbm", "folder": "/data/Dr Smith"})
    export(tmp_path / "model", config, patients(simulated=False, test=0, calibration=0))
    card = (tmp_path / "model" / "docs" / "README.md").read_text()
    assert "simulated" not in card.lower()
    assert "CC BY 4.0" in card
    assert "| no test patients | – |" in card
    assert "Whoever trained them decides" in (tmp_path / "model" / "LICENSE").read_text()
    info = verify_model(tmp_path / "model")
    assert not info.settings.simulated_training
    assert info.settings.uncertainty_scale == 1.0
    for path in (tmp_path / "model").rglob("*"):
        assert path.is_dir() or b"Smith" not in path.read_bytes()
    assert SIMULATED_TRAINING not in card


def test_half_precision_halves_the_file_and_says_what_it_changes(tmp_path):
    found = patients(calibration=1, test=0)
    network = export(tmp_path / "whole", toy_config(), found)
    export(tmp_path / "half", toy_config(weights="float16"), found)
    sizes = [(tmp_path / name / WEIGHTS).stat().st_size for name in ("whole", "half")]
    header = 8 + len(str(network.state_dict())) * 0  # the names take the same space in both
    numbers = sum(value.numel() for value in network.state_dict().values())
    assert sizes[0] - sizes[1] == pytest.approx(2 * numbers + header, abs=200)
    models = [load_model(tmp_path / name) for name in ("whole", "half")]
    assert all(value.dtype == torch.float32 for value in models[1].network.state_dict().values())
    patient = found.calibration[0]
    change = np.abs(predict(models[0], patient).synthetic - predict(models[1], patient).synthetic).max()
    assert 0 < change < 0.01
    card = (tmp_path / "half" / "docs" / "README.md").read_text()
    assert f"stored as float16, which changes a map of a patient by {change:.4f} nrCBV at most" in card


def test_half_precision_is_refused_where_it_shows(tmp_path, monkeypatch):
    monkeypatch.setattr("Training.export.LARGEST_ROUNDING", 1e-9)
    told = Silent()
    network = export(tmp_path / "model", toy_config(weights="float16"), patients(calibration=1, test=0), told)
    assert "stored as float32" in told.warnings[0]
    assert same_weights(load_model(tmp_path / "model").network, network)
