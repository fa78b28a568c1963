"""Evaluating the patients of a data set: those that the training has kept apart, with the map that it learns from."""

import dataclasses
import json

import numpy as np
import pytest

from HierSynthLib.case import Case, Role
from HierSynthLib.errors import InputError
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, write_volume
from Testing.evaluation_patients import AFFINE, BRAIN, LABELS, LESION, SPACING, BallCase, BallModel, cbv_of
from Training.datasets.settings import DataConfig
from Training.evaluation.dataset_cases import dataset_cases
from Training.evaluation.predictor import Method
from Training.evaluation.settings import EvaluationSettings
from Training.evaluation.subject import make_subject
from Training.evaluation.trained_on import TrainedOn, data_settings, require_unseen


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three simulated patients as case folders; of the third only a part of a CBV map."""
    place = tmp_path_factory.mktemp("data set")
    for number in range(3):
        own = place / f"P{number}"
        own.mkdir()
        volumes = dict(BallCase(number).load("auto", Silent()).volumes)
        volumes[Role.CBV_TRUE] = Volume(cbv_of(number), AFFINE, "nrCBV")
        files = {role: own / f"{role}.nii.gz" for role in volumes}
        for role, volume in volumes.items():
            write_volume(volume, files[role])
        units = {Role.ADC: "10⁻³ mm²/s", Role.CBV_TRUE: "nrCBV"}
        facts = {"grade": "high" if number else "low"}
        Case(f"P{number}", files, units, dict(LABELS), simulated=True, facts=facts).write(own)
    (place / "P3").mkdir()
    write_volume(volumes[Role.T1], place / "P3" / "T1.nii.gz")
    return place


@pytest.fixture
def splits(tmp_path):
    path = tmp_path / "splits.json"
    divisions = [{"P0": "train", "P1": "test", "P2": "test"}]
    fields = {"version": 1, "cohort": "case-folders", "seed": 0, "shares": [1, 0, 0, 0], "folds": 0}
    path.write_text(json.dumps(fields | {"divisions": divisions}))
    return path


def settings(folder, **changes):
    return DataConfig(source="case-folders", folder=str(folder), **changes)


def test_only_patients_that_the_training_has_kept_apart_are_evaluated(folder, splits):
    found = dataset_cases(settings(folder), splits, "test")
    assert [case.id for case in found.cases] == ["P1", "P2"]
    assert [case.grade for case in found.cases] == ["high", "high"]
    assert [each["id"] for each in found.excluded] == ["P3"]
    assert len(dataset_cases(settings(folder), None, "all").cases) == 3


@pytest.mark.parametrize(
    ("split", "given", "words"),
    [
        ("test", False, "stands in the division of the training"),
        ("exam", True, "The split 'exam' is unknown"),
        ("calibration", True, "has no patient"),
    ],
)
def test_a_split_that_cannot_be_had_is_refused(folder, splits, split, given, words):
    with pytest.raises(InputError, match=words):
        dataset_cases(settings(folder), splits if given else None, split)


def test_the_target_is_the_map_that_the_training_learns_from(folder, splits):
    case, other = dataset_cases(settings(folder), splits, "test").cases
    subject = make_subject(case, [(SPACING,) * 3], EvaluationSettings(register=False), Silent())
    corner = np.linalg.solve(AFFINE, subject.grid.affine[:, 3])[:3].round().astype(int)
    window = tuple(slice(a, a + n) for a, n in zip(corner, subject.grid.shape, strict=True))
    np.testing.assert_allclose(subject.target, (cbv_of(1) * BRAIN)[window], atol=1e-4)
    assert (subject.roi == (LESION & BRAIN)[window]).all()
    assert subject.target_name == "true"
    assert case.key() != other.key()
    with pytest.raises(InputError, match="no acquired map"):
        case.load("acquired", Silent())


# --- whose rules, whose division -------------------------------------------------------------------------------------


def model(name, division=None, seed=0, **data):
    """A model that was trained on this kind of data set."""
    told = TrainedOn(DataConfig(source="case-folders", **data), division or {})
    return Method(name, (BallModel(name, seed, trained_on=told),))


def record(splits, folder):
    return dataset_cases(settings(folder), splits, "test").division


def test_the_rules_are_those_that_the_models_were_trained_with(folder):
    own = {"cbv": "dsc", "te_s": 0.03, "tr_s": 1.5, "exclude": ("P1",), "folds": 3, "fold": 1}
    elsewhere = Method("demo", (BallModel("demo", trained_on=TrainedOn(DataConfig())),))
    found = data_settings("case-folders", folder, [elsewhere, model("a", **own), model("b", **own)])
    assert {name: getattr(found, name) for name in own} == own
    assert (found.source, found.folder) == ("case-folders", str(folder))
    assert data_settings("case-folders", folder, [elsewhere]).cbv == "map"
    assert data_settings("case-folders", folder, [model("a", **own)], fold=2).fold == 2


@pytest.mark.parametrize(
    ("one", "other"), [({"cbv": "dsc"}, {}), ({"te_s": 0.03}, {"te_s": 0.04}), ({}, {"exclude": ("P1",)})]
)
def test_models_that_were_trained_with_other_rules_are_not_compared(folder, one, other):
    with pytest.raises(InputError, match="'a' was trained with data") as caught:
        data_settings("case-folders", folder, [model("a", **one), model("b", **other)])
    assert "--config" in caught.value.hint
    assert data_settings("case-folders", folder, [model("a", phantoms=3), model("b", phantoms=9)]).cbv == "map"


def test_a_configuration_says_the_rules_instead(folder, tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text(
        "data: {source: case-folders, folder: /elsewhere, cbv: dsc, te_s: 0.02, tr_s: 1.0}\nglobal_stage: {steps: 1}\n"
    )
    found = data_settings("case-folders", folder, [model("a"), model("b", exclude=("P1",))], file)
    assert (found.cbv, found.te_s, found.folder) == ("dsc", 0.02, str(folder))


def test_folds_and_exclusions_of_the_training_hold(folder, tmp_path):
    path = tmp_path / "folds.json"
    divisions = [{"P0": "test", "P1": "train", "P2": "train"}, {"P0": "train", "P1": "test", "P2": "test"}]
    fields = {"version": 1, "cohort": "case-folders", "seed": 0, "shares": [0.7, 0.1, 0.1, 0.1], "folds": 2}
    path.write_text(json.dumps(fields | {"divisions": divisions}))
    chosen = dataset_cases(settings(folder, folds=2, fold=1, exclude=("P1",)), path, "test")
    assert [case.id for case in chosen.cases] == ["P2"]
    assert "P1" in [each["id"] for each in chosen.excluded]
    assert chosen.command["fold"] == "1 of 2"
    assert [case.id for case in dataset_cases(settings(folder, folds=2), path, "test").cases] == ["P0"]


def test_a_model_that_was_trained_with_another_division_is_refused(folder, splits, tmp_path):
    """In that of the second model, P1 was trained on."""
    other = tmp_path / "other.json"
    other.write_text(splits.read_text().replace('"P0": "train", "P1": "test"', '"P0": "test", "P1": "train"'))
    mine, theirs = record(splits, folder), record(other, folder)
    chosen = dataset_cases(settings(folder), splits, "test")
    assert require_unseen([model("a", mine)], chosen.cases, mine, "test") == []
    with pytest.raises(InputError, match="'b' was trained with another division of case-folders"):
        require_unseen([model("a", mine), model("b", theirs)], chosen.cases, mine, "test")
    (warning,) = require_unseen([model("old")], chosen.cases, mine, "test")
    assert "does not record its division" in warning
    everybody = dataset_cases(settings(folder), None, "all")
    (warning,) = require_unseen([model("a", mine)], everybody.cases, everybody.division, "all")
    assert "may be among these" in warning


def test_examinations_know_their_patient_and_their_diffusivities(folder, splits, tmp_path):
    case = dataset_cases(settings(folder), splits, "test").cases[0]
    assert case.patient == "P1"
    extra = tmp_path / "AD.nii.gz"
    extra.write_bytes(b"one")
    with_ad = dataclasses.replace(case, subject=dataclasses.replace(case.subject, extra={"AD": extra}))
    first = with_ad.key()
    extra.write_bytes(b"two")
    assert len({case.key(), first, with_ad.key()}) == 3
