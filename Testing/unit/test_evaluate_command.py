"""`hiersynth evaluate` with real packages, case folders and phantoms; and what it refuses."""

import builtins
import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from HierSynthLib.case import Case, Role
from HierSynthLib.cli import main
from HierSynthLib.errors import InputError, ModelError
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.model import load_model
from HierSynthLib.synthesis.pipeline import synthesise
from HierSynthLib.volume import Volume, read_volume, write_volume
from Testing.conftest import write_tiny_model
from Testing.evaluation_patients import AFFINE, SPACING, BallCase, cbv_of
from Training.evaluation.cases import FolderCase, PhantomCase, PlacedMap, open_folders, phantoms, recorded_movement
from Training.evaluation.phantom_choice import FIRST_SEED, PhantomOptions, choose_phantoms
from Training.evaluation.predictor import PackagePredictor, open_methods
from Training.evaluation.settings import EvaluationSettings
from Training.evaluation.subject import make_subject
from Training.evaluation.trained_on import require_unseen

CPU = torch.device("cpu")


@pytest.fixture
def cohort(small_case, tmp_path):
    """A folder with a case, and one that lacks a map to compare with; the folders have names of people."""
    shutil.copytree(small_case, tmp_path / "cohort" / "Doe_Jane")
    case = Case.read(tmp_path / "cohort" / "Doe_Jane")
    other = tmp_path / "cohort" / "Roe_Richard"
    other.mkdir()
    shutil.copy(case.files[Role.T1], other / "T1.nii.gz")
    Case("second", {Role.T1: other / "T1.nii.gz"}).write(other)
    return tmp_path / "cohort"


def test_a_cohort_is_evaluated_from_the_command_line(cohort, tiny_model, tmp_path, capsys):
    again = write_tiny_model(tmp_path / "again", uncertainty_scale=2.0)
    out = tmp_path / "out"
    order = ["evaluate", str(cohort), "--model", f"one={tiny_model}", "--model", f"two={again}", "--reference", "one"]
    order += [
        "--out",
        str(out),
        "--device",
        "cpu",
        "--robustness",
        "none",
        "--pictures",
        "0",
        "--no-register",
        "--json",
    ]
    assert main(order) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["simulated"] is True
    (left_out,) = printed["excluded"]
    assert left_out["id"] == "second"
    assert "no CBV_true or CBV_acquired" in left_out["reason"]
    with (out / "patients.csv").open(encoding="utf-8", newline="") as stream:
        one, two = list(csv.DictReader(stream))
    assert (one["target"], one["grade"]) == ("true", "high")
    assert one["roi_ssim"] == two["roi_ssim"], "the same weights"
    assert float(two["brain_coverage"]) > float(one["brain_coverage"]), "but wider intervals"
    texts = [path.read_text("utf-8") for path in out.rglob("*") if path.suffix in (".json", ".csv", ".html", ".md")]
    assert not [text for text in texts if "Doe_Jane" in text or "Roe_Richard" in text]


def test_the_acquired_map_is_put_where_the_simulation_says():
    """The patient lay 4 mm further to the right, and 2 mm further up, during the acquisition of CBV."""
    case = make_subject(BallCase(3), [(SPACING,) * 3], EvaluationSettings(), Silent()).prepared[(SPACING,) * 3]
    there = np.eye(4)
    there[:3, 3] = (4.0, 0.0, 2.0)
    here = np.eye(4)
    here[:3, 3] = (0.0, 2.0, 0.0)
    facts = {"transforms": {"CBV_acquired": there.tolist(), "T1": here.tolist()}}
    movement = recorded_movement(facts, Role.CBV_ACQUIRED, {Role.T1: None})
    np.testing.assert_allclose(movement[:3, 3], (4.0, -2.0, 2.0))
    assert recorded_movement({}, Role.CBV_ACQUIRED, {}) is None
    cbv = cbv_of(3)
    acquired = Volume(np.roll(cbv, (2, -1, 1), axis=(0, 1, 2)), AFFINE, "nrCBV")
    values, known = PlacedMap(acquired, movement).on(case, case.brain, Silent())
    still, _ = PlacedMap(Volume(cbv, AFFINE, "nrCBV"), None).on(case, case.brain, Silent())
    np.testing.assert_allclose(values[known], still[known], atol=1e-5)
    assert known.sum() > 0.95 * case.brain.sum()


def test_beyond_the_acquired_map_there_is_no_value():
    case = make_subject(BallCase(3), [(SPACING,) * 3], EvaluationSettings(), Silent()).prepared[(SPACING,) * 3]
    half = Volume(cbv_of(3)[:, :, :15], AFFINE, "nrCBV")
    values, known = PlacedMap(half, None).on(case, case.brain, Silent())
    top = case.affine[2, 3] + SPACING * np.arange(case.brain.shape[2])
    assert not known[:, :, top > 14 * SPACING].any(), "the last plane lies at 28 mm"
    assert (known == case.brain)[:, :, top <= 14 * SPACING].all()
    assert not values[~known].any()


def test_a_damaged_record_of_the_movement_is_an_error():
    with pytest.raises(InputError, match="'transforms'"):
        recorded_movement({"transforms": {"CBV_true": [[1, 2], [3]]}}, Role.CBV_TRUE, {})


def test_a_package_gives_the_maps_that_users_get(tiny_model):
    subject = make_subject(BallCase(3), [(3.0, 3.0, 3.0)], EvaluationSettings(), Silent())
    predictor = PackagePredictor(tiny_model, CPU)
    found = subject.predict(predictor, Silent())
    prepared = subject.prepared[3.0, 3.0, 3.0]
    maps = synthesise(prepared.sequences, prepared.brain, load_model(tiny_model), CPU, Silent())
    np.testing.assert_array_equal(found.synthetic, maps.synthetic)
    np.testing.assert_array_equal(found.uncertainty, maps.uncertainty)
    assert (found.interval, predictor.spacing_mm) == (0.8, (3.0, 3.0, 3.0))
    assert predictor.megabytes == pytest.approx((tiny_model / "model.safetensors").stat().st_size / 1e6)


def test_the_same_patient_has_the_same_key_and_another_file_another_one(small_case, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(small_case, folder)
    one, other = (FolderCase(Case.read(path), path, "x") for path in (small_case, folder))
    assert one.key() == other.key()
    path = other.case.files[Role.FLAIR]
    volume = read_volume(path)
    volume.array[10, 10, 10] += 1
    path.unlink()
    write_volume(volume, path)
    assert one.key() != other.key()
    keys = {
        PhantomCase(*each).key() for each in ((1, "high", 3.0), (2, "high", 3.0), (1, "low", 3.0), (1, "high", 2.0))
    }
    keys |= {PhantomCase(1, "high", 3.0, moved=True).key(), PhantomCase(1, "high", 3.0, thick_slices=False).key()}
    assert len(keys) == 6


def test_phantoms_have_consecutive_seeds_and_grades_in_turn():
    made = phantoms(range(70, 73), 2.0, ("high", "none"))
    assert [(case.seed, case.lesion, case.grade) for case in made] == [
        (70, "high", "high"),
        (71, "none", None),
        (72, "high", "high"),
    ]
    assert (made[0].id, made[0].patient) == ("phantom-high-70", "phantom-70")
    assert [case.thick_slices for case in made] == [None] * 3, "three of ten are thick, as in training"
    assert not phantoms([70], 2.0, ("high",), thin=True)[0].thick_slices


def test_a_phantom_is_what_the_models_were_trained_on(tiny_model):
    """In register, with the true brain mask and tissues that only the simulation knows."""
    subject = make_subject(PhantomCase(4, "high", 6.0), [(6.0, 6.0, 6.0)], EvaluationSettings(), Silent())
    case = subject.prepared[6.0, 6.0, 6.0]
    assert {found.method for found in case.registrations.values()} == {"off", "reference"}
    assert case.mask_quality.method == "given"
    assert subject.target_name == "true"
    assert subject.roi.any()


def test_a_model_with_other_intervals_or_weights_has_another_key(tmp_path):
    one = PackagePredictor(write_tiny_model(tmp_path / "a"), CPU)
    same = PackagePredictor(write_tiny_model(tmp_path / "b"), CPU)
    wider = PackagePredictor(write_tiny_model(tmp_path / "c", uncertainty_scale=1.5), CPU)
    assert one.key == same.key
    assert one.key != wider.key


def test_models_are_named_and_grouped(tmp_path):
    a, b = write_tiny_model(tmp_path / "a"), write_tiny_model(tmp_path / "b", uncertainty_scale=1.5)
    methods = open_methods([f"mine={a},{b}", str(b)], CPU)
    assert [(method.name, len(method.trainings)) for method in methods] == [("mine", 2), ("b", 1)]
    with pytest.raises(InputError, match="same weights are given twice"):
        open_methods([f"mine={a},{a}"], CPU)
    with pytest.raises(InputError, match="Two models are called 'x'"):
        open_methods([f"x={a}", f"x={b}"], CPU)
    with pytest.raises(InputError, match="names no model"):
        open_methods(["x="], CPU)
    with pytest.raises(InputError, match="No model is given"):
        open_methods([], CPU)


def test_a_damaged_package_is_refused_before_any_patient_is_read(tmp_path):
    folder = write_tiny_model(tmp_path / "a")
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x01")
    with pytest.raises(ModelError, match="was altered"):
        open_methods([f"x={folder}"], CPU)


def test_two_folders_with_one_identifier_are_refused(small_case, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(small_case, tmp_path / name)
    with pytest.raises(InputError, match="stands in two case folders"):
        open_folders([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "There is no case to evaluate"),
        (["nowhere"], "nowhere does not exist"),
        (["--phantoms", "2", "--phantom-grades", "worst"], "'worst' is not known"),
        (["--phantoms", "2", "--spacing", "0.1"], "--spacing 0.1 is out of range"),
        (["--phantoms", "2", "--grid", "0.1"], "out of range"),
        (["--phantoms", "2", "--reference", "x"], "'x' is none of the models"),
        (["--data", "upenn-gbm"], "--data needs one folder"),
        (["nowhere", "--data", "wrong"], "The data set 'wrong' is unknown"),
        (["nowhere", "--data", "upenn-gbm", "--fold", "1"], "There is no fold 1"),
        (["--phantoms", "2", "--split-of", "hiersynth-none"], "'hiersynth-none' is not installed"),
    ],
)
def test_wrong_options_end_in_one_line(options, words, trained, tmp_path, capsys):
    assert main(["evaluate", *options, "--model", str(trained), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err.strip()
    assert words in told
    assert told.count("\n") == 0
    assert not (tmp_path / "out").exists()


DATA = {"source": "phantoms", "phantoms": 5, "validation": 3, "test": 2, "held_out_seed": 5_000_000, "grades": ["high"]}


@pytest.fixture
def trained(tmp_path):
    """A package that says on which phantoms it was trained."""
    return write_tiny_model(tmp_path / "trained", trained_on={"data": DATA})


def test_phantoms_that_a_model_has_seen_are_refused(trained, tmp_path, capsys):
    """Seeds 10 000 to 10 004 were for training, 5 000 000 to 5 000 002 chose its weights."""
    order = ["evaluate", "--phantoms", "4", "--model", f"a={trained}", "--out", str(tmp_path / "out")]
    for first, words in (("10003", "10003 and 1 more (train)"), ("4999999", "5000000 and 2 more (validation)")):
        assert main([*order, "--first-seed", first]) == 1
        told = capsys.readouterr().err
        assert "'a' has seen simulated patients of these seeds" in told
        assert words in told
    assert not (tmp_path / "out").exists()
    methods = open_methods([f"a={trained}"], CPU)
    assert require_unseen(methods, phantoms(range(5_020_000, 5_020_009), 2.0, ("high",)), {}, "test") == []
    assert require_unseen(methods, phantoms(range(9_000_000, 9_000_009), 2.0, ("high",)), {}, "test") == []


def test_phantom_cases_on_disk_are_known_by_their_seed(trained, small_case):
    methods = open_methods([f"a={trained}"], CPU)
    case = FolderCase(Case.read(small_case), small_case, "x")
    assert case.seed is not None
    assert case.patient == case.id
    again = replace(case, case=replace(case.case, facts=case.case.facts | {"patient": "A"}))
    assert (again.patient, again.id) == ("A", case.id)
    seen = replace(case, case=replace(case.case, facts=case.case.facts | {"seed": 10_001}))
    require_unseen(methods, [case], {}, "test")
    with pytest.raises(InputError, match=r"10001 \(train\)"):
        require_unseen(methods, [seen], {}, "test")
    (warning,) = require_unseen(methods, [seen], {}, "validation")
    assert "has seen simulated patients" in warning


def test_the_phantoms_that_a_training_has_kept_apart(trained):
    methods = open_methods([f"a={trained}"], CPU)
    own, words = choose_phantoms(PhantomOptions(split_of=str(trained)), methods)
    assert [(case.seed, case.lesion) for case in own] == [(5_020_000, "high"), (5_020_001, "high")]
    assert (own[0].spacing_mm, words["seeds"]) == (3.0, "5020000 to 5020001")
    more, _ = choose_phantoms(PhantomOptions(7, str(trained), grades="low,none", spacing_mm=2.0), methods)
    assert [case.seed for case in more] == [*range(5_020_000, 5_020_007)]
    assert (more[1].lesion, more[1].spacing_mm) == ("none", 2.0)
    assert choose_phantoms(PhantomOptions(), methods) == ([], {})
    usual, _ = choose_phantoms(PhantomOptions(3), methods)
    assert [(case.seed, case.lesion) for case in usual] == [
        (FIRST_SEED + n, "high" if n != 1 else "low") for n in range(3)
    ]
    for wrong in ({"first_seed": 5}, {"split": "all"}):
        with pytest.raises(InputError):
            choose_phantoms(PhantomOptions(3, str(trained), **wrong), methods)


def test_a_package_that_does_not_say_on_whom_it_was_trained_is_told(tiny_model, trained, tmp_path):
    methods = open_methods([f"silent={tiny_model}", f"a={trained}"], CPU)
    (warning,) = require_unseen(methods, phantoms([5], 2.0, ("high",)), {}, "test")
    assert warning.startswith("silent: the package does not say on whom")
    with pytest.raises(InputError, match="does not say on which simulated patients"):
        choose_phantoms(PhantomOptions(3, str(tiny_model)), methods)


def test_without_the_package_training_one_line_says_so(tiny_model, tmp_path, capsys, monkeypatch):
    known = builtins.__import__

    def absent(name, *rest, **others):
        if name.startswith("Training"):
            raise ImportError(name)
        return known(name, *rest, **others)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert main(["evaluate", "--phantoms", "1", "--model", str(tiny_model), "--out", str(tmp_path / "out")]) == 1
    assert "needs the package Training" in capsys.readouterr().err
