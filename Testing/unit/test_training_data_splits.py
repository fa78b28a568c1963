"""Splits: of patients, complete, disjoint, in proportion, and stable."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.case import Case
from HierSynthLib.errors import InputError
from Training.config import TrainingConfig
from Training.datasets.cohort import Cohort, Exclusion, Subject, Target
from Training.datasets.loading import find_cohort
from Training.datasets.settings import SPLITS, DataConfig
from Training.datasets.splits import divide, find_division, record_of

SHARES = (0.7, 0.1, 0.1, 0.1)

strata = st.tuples(st.sampled_from(["high", "low", ""]), st.sampled_from(["A", "B"]))
cohorts = st.dictionaries(st.text("abcdef0123456789-", min_size=1, max_size=8), strata, min_size=1, max_size=60)


@given(cohorts, st.integers(0, 1000))
def test_every_patient_is_in_one_split_in_proportion(patients, seed):
    (division,) = divide(patients, SHARES, seed)
    assert set(division) == set(patients)
    counts = Counter(division.values())
    for split, share in zip(SPLITS, SHARES, strict=True):
        # One more or less by rounding, and what the least of one patient in each split takes.
        assert abs(counts[split] - share * len(patients)) <= 3
        assert counts[split] >= 1 or len(patients) < 4
    assert division == divide(dict(reversed(patients.items())), SHARES, seed)[0], "the order does not matter"


@given(st.integers(20, 60), st.integers(20, 60), st.integers(0, 99))
def test_strata_are_balanced(first, second, seed):
    patients = {f"a{n}": ("high", "") for n in range(first)} | {f"b{n}": ("low", "") for n in range(second)}
    (division,) = divide(patients, SHARES, seed)
    for letter, total in (("a", first), ("b", second)):
        counts = Counter(split for name, split in division.items() if name.startswith(letter))
        for split, share in zip(SPLITS, SHARES, strict=True):
            assert abs(counts[split] - share * total) <= 2


@given(cohorts, st.integers(2, 6), st.integers(0, 99))
def test_folds_test_everyone_once(patients, folds, seed):
    if len(patients) < folds:
        with pytest.raises(InputError, match="cannot be divided"):
            divide(patients, SHARES, seed, folds)
        return
    divisions = divide(patients, SHARES, seed, folds)
    tested = [name for division in divisions for name, split in division.items() if split == "test"]
    assert sorted(tested) == sorted(patients)
    sizes = [Counter(division.values())["test"] for division in divisions]
    assert max(sizes) - min(sizes) <= 1
    assert all(set(division) == set(patients) for division in divisions)


def cohort_of(names: dict[str, str], excluded=()) -> Cohort:
    """Subjects by identifier → patient."""
    subjects = [Subject(name, patient, Case(name, {}), Target("map")) for name, patient in names.items()]
    return Cohort("bids", tuple(subjects), tuple(excluded))


SESSIONS = {f"sub-{n:02d}_ses-{s}": f"sub-{n:02d}" for n in range(12) for s in (1, 2)}


def test_a_stored_division_is_used_again(tmp_path):
    file, config = tmp_path / "new" / "splits.json", DataConfig(source="bids", folder="x")
    first = find_division(cohort_of(SESSIONS), config, file)
    assert set(first.of) == set(SESSIONS.values())
    assert first.warnings == ()
    again = find_division(cohort_of(SESSIONS), dataclasses.replace(config, division_seed=2), file)
    assert again.of == first.of
    assert "made with the seed 1; it is used, not 2" in again.warnings[0]
    content = json.loads(file.read_text())
    moved = next(name for name, split in first.of.items() if split == "test")
    content["divisions"][0][moved] = "train"
    file.write_text(json.dumps(content))
    assert find_division(cohort_of(SESSIONS), config, file).of[moved] == "train", "a division made by hand"


def test_new_and_vanished_patients_are_told(tmp_path):
    file, config = tmp_path / "splits.json", DataConfig(source="bids", folder="x")
    first = find_division(cohort_of(SESSIONS), config, file)
    fewer = {name: patient for name, patient in SESSIONS.items() if patient not in ("sub-03", "sub-07")}
    changed = cohort_of({**fewer, "sub-99": "sub-99"}, [Exclusion("sub-03_ses-1", "no CBV")])
    found = find_division(changed, config, file)
    assert found.of == {name: split for name, split in first.of.items() if name not in ("sub-03", "sub-07")}
    vanished, new = found.warnings
    assert "2 patients (sub-03, sub-07)" in vanished
    assert "1 of them are excluded" in vanished
    assert "1 patient (sub-99)" in new
    assert "not used" in new


def test_other_shares_do_not_change_a_stored_division(tmp_path):
    file, config = tmp_path / "splits.json", DataConfig(source="bids", folder="x")
    first = find_division(cohort_of(SESSIONS), config, file)
    changed = find_division(cohort_of(SESSIONS), dataclasses.replace(config, shares=(0.25, 0.25, 0.25, 0.25)), file)
    assert changed.of == first.of
    assert "[0.7, 0.1, 0.1, 0.1]" in changed.warnings[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no division of patients"),
        ('{"version": 1, "cohort": "bids", "divisions": [{"sub-00": "dev"}]}', "every patient needs one of"),
        ('{"version": 1, "cohort": "isles", "divisions": [{"sub-00": "test"}]}', "divides 'isles', not bids"),
        ('{"version": 1, "cohort": "bids", "divisions": [{"other": "test"}]}', "None of the 1 patients"),
        ('{"version": 1, "cohort": "bids", "folds": 2, "divisions": [{"a": "test"}, {"a": "train"}]}', "has 2 folds"),
    ],
)
def test_faulty_division_files(tmp_path, content, words):
    file = tmp_path / "splits.json"
    file.write_text(content)
    with pytest.raises(InputError) as caught:
        find_division(cohort_of(SESSIONS), DataConfig(source="bids", folder="x"), file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert file.read_text() == content


def test_a_fold_is_chosen(tmp_path):
    file, config = tmp_path / "splits.json", DataConfig(source="bids", folder="x", folds=3)
    folds = [find_division(cohort_of(SESSIONS), dataclasses.replace(config, fold=n), file).of for n in range(3)]
    tested = [name for division in folds for name, split in division.items() if split == "test"]
    assert sorted(tested) == sorted(set(SESSIONS.values()))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source": "bids"}, "folder: missing"),
        ({"source": "bids", "folder": "x", "shares": (0.5, 0.5)}, "four numbers"),
        ({"source": "bids", "folder": "x", "shares": (0.5, 0.5, 0.5, 0.5)}, "add up to 1"),
        ({"source": "bids", "folder": "x", "folds": 3, "fold": 3}, "fold 3 of 3"),
        ({"phantoms": 0}, "at least 1 patient"),
        ({"grades": ("high", "hihg")}, "'hihg' is unknown"),
        ({"first_seed": 1_000_000}, "overlap"),
        ({"validation": 10_001}, "overlap"),
    ],
)
def test_faulty_settings(values, words):
    with pytest.raises(InputError, match=words) as caught:
        DataConfig(**values).check("config.yaml: data")
    assert "config.yaml" in str(caught.value)


def test_held_out_phantoms_do_not_depend_on_the_number_trained_on():
    few, many = DataConfig(phantoms=4), DataConfig(phantoms=400)
    assert all(few.seeds[split] == many.seeds[split] for split in SPLITS[1:])
    seeds = [seed for split in SPLITS for seed in many.seeds[split]]
    assert len(seeds) == len(set(seeds)) == 412


def test_excluding_patients_and_examinations():
    cohort = cohort_of(SESSIONS).without(("sub-03", "sub-05_ses-2"))
    left = {subject.id for subject in cohort.subjects}
    assert set(SESSIONS) - left == {"sub-03_ses-1", "sub-03_ses-2", "sub-05_ses-2"}
    assert {exclusion.subject for exclusion in cohort.excluded} == set(SESSIONS) - left
    with pytest.raises(InputError, match="sub-77"):
        cohort.without(("sub-77",))


def test_an_unknown_data_set_and_a_missing_folder(tmp_path):
    from Training.datasets.cohort import read_cohort

    with pytest.raises(InputError, match="'braats' is unknown"):
        read_cohort("braats", tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        read_cohort("bids", Path(tmp_path / "nowhere"))
    for source in ("bids", "upenn-gbm", "ucsf-pdgm", "isles", "brain-tumor-progression", "case-folders"):
        with pytest.raises(InputError, match="no subject") as caught:
            read_cohort(source, tmp_path)
        assert "layout" in caught.value.hint


@pytest.fixture(scope="module")
def upenn(tmp_path_factory):
    """The names of a data set of ten patients; nothing is read from its files."""
    folder = tmp_path_factory.mktemp("upenn")
    for n in range(1, 11):
        for kind, stem in (("structural", "T1"), ("DSC", "DSC_ap-rCBV")):
            name = f"UPENN-GBM-{n:05d}_11"
            place = folder / "NIfTI-files" / f"images_{kind}" / name / f"{name}_{stem}.nii.gz"
            place.parent.mkdir(parents=True)
            place.touch()
    return folder


def found(folder, cache, seed=1, splits=None, **data):
    config = TrainingConfig(seed=seed, data=DataConfig(source="upenn-gbm", folder=str(folder), **data))
    return find_cohort(config, cache, splits=splits)[1]


def test_trainings_with_other_seeds_and_caches_test_the_same_patients(upenn, tmp_path):
    """Else the mean of three trainings would be measured on patients that two of them were trained on."""
    first = found(upenn, tmp_path / "one")
    assert found(upenn, tmp_path / "two", seed=2).of == first.of
    assert found(upenn, tmp_path / "three", division_seed=2).of != first.of
    assert found(upenn, tmp_path / "two", seed=2).record == first.record


def test_excluding_somebody_moves_nobody_else(upenn, tmp_path):
    whole = found(upenn, tmp_path / "one").of
    less = found(upenn, tmp_path / "two", exclude=("UPENN-GBM-00004",)).of
    assert less == {name: split for name, split in whole.items() if name != "UPENN-GBM-00004"}


def test_a_run_keeps_to_its_own_copy(upenn, tmp_path):
    """The division survives a cache that is deleted, or that another run has filled meanwhile."""
    own, copy = found(upenn, tmp_path / "one"), tmp_path / "splits.json"
    copy.write_text(json.dumps(own.content))
    (tmp_path / "one" / "splits-upenn-gbm.json").unlink()
    assert found(upenn, tmp_path / "one", splits=copy, division_seed=7).of == own.of
    assert not (tmp_path / "one" / "splits-upenn-gbm.json").exists()
    assert found(upenn, tmp_path / "one", splits=tmp_path / "absent.json", division_seed=7).of != own.of


def test_the_record_of_a_division_changes_with_who_is_seen_and_names_nobody():
    division = {"ann": "train", "bob": "validation", "eve": "calibration", "joe": "test"}
    record = record_of("bids", division)
    assert record["patients"] == {"train": 1, "validation": 1, "calibration": 1, "test": 1}
    assert not any(name in json.dumps(record) for name in division)
    assert record_of("bids", dict(reversed(division.items()))) == record
    assert record_of("bids", {**division, "sue": "test"})["seen"] == record["seen"], "nobody has seen her"
    others = [{**division, "joe": "train", "ann": "test"}, {**division, "bob": "train"}, {**division, "sue": "train"}]
    assert len({record["seen"], *(record_of("bids", other)["seen"] for other in others)}) == 4
    assert record_of("isles", division)["seen"] != record["seen"]


def test_the_record_of_simulated_patients_holds_their_seeds(tmp_path):
    config = TrainingConfig(data=DataConfig(phantoms=3, validation=2, calibration=0, test=1, held_out_seed=500_000))
    _, division = find_cohort(config, tmp_path)
    assert division.record["seeds"]["train"] == [10_000, 10_003]
    assert division.record["seeds"]["validation"] == [500_000, 500_002]
    assert division.record["seeds"]["test"] == [520_000, 520_001]
