"""Evaluating the patients of a data set: those that the training has kept apart, with the map that it learns from."""

import json

import numpy as np
import pytest

from HierSynthLib.case import Case, Role
from HierSynthLib.errors import InputError
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, write_volume
from Testing.evaluation_patients import AFFINE, BRAIN, LABELS, LESION, SPACING, BallCase, cbv_of
from Training.evaluation.dataset_cases import dataset_cases
from Training.evaluation.settings import EvaluationSettings
from Training.evaluation.subject import make_subject


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


def test_only_patients_that_the_training_has_kept_apart_are_evaluated(folder, splits):
    found, excluded = dataset_cases("case-folders", folder, splits, "test")
    assert [case.id for case in found] == ["P1", "P2"]
    assert [case.grade for case in found] == ["high", "high"]
    assert [each["id"] for each in excluded] == ["P3"]
    assert len(dataset_cases("case-folders", folder, None, "all")[0]) == 3


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
        dataset_cases("case-folders", folder, splits if given else None, split)


def test_the_target_is_the_map_that_the_training_learns_from(folder, splits):
    case, other = dataset_cases("case-folders", folder, splits, "test")[0]
    subject = make_subject(case, [(SPACING,) * 3], EvaluationSettings(register=False), Silent())
    corner = np.linalg.solve(AFFINE, subject.grid.affine[:, 3])[:3].round().astype(int)
    window = tuple(slice(a, a + n) for a, n in zip(corner, subject.grid.shape, strict=True))
    np.testing.assert_allclose(subject.target, (cbv_of(1) * BRAIN)[window], atol=1e-4)
    assert (subject.roi == (LESION & BRAIN)[window]).all()
    assert subject.target_name == "true"
    assert case.key() != other.key()
    with pytest.raises(InputError, match="no acquired map"):
        case.load("acquired", Silent())
