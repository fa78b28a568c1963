"""Prepared patients on the disk, loading by split, and what happens to faulty examinations."""

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from HierSynthLib.case import Role
from HierSynthLib.errors import Cancelled, InputError, OutputError, WorkerError
from HierSynthLib.progress import Silent
from Testing import data_sets
from Training.config import TargetConfig, TrainingConfig
from Training.datasets import cache as cache_module
from Training.datasets.cache import cache_key, fill_cache
from Training.datasets.cohort import read_cohort
from Training.datasets.loading import load_patients
from Training.datasets.phantoms import simulated_cohort
from Training.datasets.pool import in_processes
from Training.datasets.prepare import prepare_patient
from Training.datasets.settings import DataConfig

NAMES = ["UPENN-GBM-00001_11", "UPENN-GBM-00002_11"]


@pytest.fixture(scope="module")
def upenn(tmp_path_factory) -> Path:
    return data_sets.write_upenn(tmp_path_factory.mktemp("upenn"), NAMES)


@pytest.fixture(scope="module")
def filled(upenn, tmp_path_factory):
    """Cache with the two patients, and the patients as they come from it; do not change it."""
    cache = tmp_path_factory.mktemp("cache")
    patients, excluded = fill_cache(read_cohort("upenn-gbm", upenn).subjects, settings(upenn), cache, 1)
    assert not excluded
    return cache, patients


def settings(folder: Path, **data) -> TrainingConfig:
    return TrainingConfig(spacing_mm=(3.0,) * 3, data=DataConfig(source="upenn-gbm", folder=str(folder), **data))


def copied(upenn: Path, tmp_path: Path) -> Path:
    """A copy of the data set that may be changed; the times of its files stay."""
    return Path(shutil.copytree(upenn, tmp_path / "copy", copy_function=shutil.copy2))


def file_of(folder: Path, name: str, kind: str = "T1") -> Path:
    return folder / "NIfTI-files" / "images_structural" / name / f"{name}_{kind}.nii.gz"


def refuse(*arguments, **options):
    raise AssertionError("nothing should be prepared again")


def test_from_the_cache_as_prepared(filled, upenn, monkeypatch):
    cache, _ = filled
    config, subject = settings(upenn), read_cohort("upenn-gbm", upenn).subjects[0]
    fresh = prepare_patient(subject, config)
    monkeypatch.setattr(cache_module, "prepare_patient", refuse)
    (patient,), _ = fill_cache([subject], config, cache, 1)
    assert set(patient.sequences) == set(fresh.sequences)
    for ours, theirs in (
        *((patient.sequences[role], fresh.sequences[role]) for role in fresh.sequences),
        (patient.cbv, fresh.cbv),
        (patient.low_pass, fresh.low_pass),
    ):
        np.testing.assert_array_equal(ours, theirs.astype(np.float16))
    for name in ("brain", "known", "lesion", "affine"):
        np.testing.assert_array_equal(getattr(patient, name), getattr(fresh, name))
    for name in ("brain", "known", "lesion"):
        np.testing.assert_array_equal(getattr(patient.counts, name), getattr(fresh, name).sum(axis=(0, 1)))
    assert (patient.id, patient.patient, patient.group) == (subject.id, subject.patient, "glioblastoma")


def test_arrays_stay_on_the_disk_with_slices_in_one_piece(filled):
    _, patients = filled
    for array in (patients[0].cbv, patients[0].brain, patients[0].sequences[Role.T1]):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        assert array[:, :, 3].flags.c_contiguous
    assert isinstance(patients[0].sequences[Role.T1][:, :, 3].base, np.memmap)


def test_the_key_follows_the_content_and_nothing_else(upenn, tmp_path, monkeypatch):
    folder = copied(upenn, tmp_path)
    config = settings(folder)

    def key(config=config, **changes) -> str:
        subject = read_cohort("upenn-gbm", folder).subjects[0]
        return cache_key(dataclasses.replace(subject, **changes), config)

    first = key()
    elsewhere = read_cohort("upenn-gbm", upenn).subjects[0]
    assert cache_key(elsewhere, settings(upenn)) == first, "where the data set lies does not matter"
    assert key(group="other", site="B") == first
    keys = {
        first,
        key(dataclasses.replace(config, spacing_mm=(2.0,) * 3)),
        key(dataclasses.replace(config, target=TargetConfig(ceiling=8.0))),
        key(dataclasses.replace(config, target=TargetConfig(low_pass_mm=4.0))),
        key(diffusion="ADC"),
        key(extra={}),
    }
    assert len(keys) == 6
    monkeypatch.setattr(cache_module, "PREPARATION_VERSION", "other")
    assert key() not in keys
    monkeypatch.undo()
    os.utime(file_of(folder, NAMES[0]), (1, 1))
    assert key() not in keys


def test_the_key_of_a_phantom_follows_the_generator(monkeypatch):
    data = DataConfig(phantoms=2, validation=0, calibration=0, test=0)
    config = TrainingConfig(spacing_mm=(3.0,) * 3, data=data)
    cohort, _ = simulated_cohort(data, config.spacing_mm)
    first, second = (cache_key(subject, config) for subject in cohort.subjects)
    assert first != second
    monkeypatch.setattr(cache_module, "GENERATOR_VERSION", "other")
    assert cache_key(cohort.subjects[0], config) not in (first, second)


def test_the_key_of_a_computed_map_follows_the_series_and_how_it_is_computed(tmp_path, monkeypatch):
    place = tmp_path / "sub-01" / "perf"
    for path in (place / "sub-01_dsc.nii.gz", tmp_path / "sub-01" / "anat" / "sub-01_T1w.nii.gz"):
        path.parent.mkdir(parents=True)
        path.touch()

    def key(**data) -> str:
        (subject,) = read_cohort("bids", tmp_path, "dsc").subjects
        return cache_key(subject, settings(tmp_path, cbv="dsc", **data))

    keys = [key(), key(te_s=0.03), key(tr_s=1.5)]
    beside = place / "sub-01_dsc.json"
    beside.write_text('{"EchoTime": 0.03}')
    keys.append(key())
    beside.write_text('{"EchoTime": 0.045}')
    keys.append(key())
    monkeypatch.setattr(cache_module, "PERFUSION_VERSION", "other")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_who_cannot_be_prepared_is_remembered(upenn, tmp_path, monkeypatch):
    """All processes and all parts of a run leave out the same examinations, and none is prepared over and over."""
    tried: list[str] = []

    def fail(subject, *_):
        tried.append(subject.id)
        if subject.id == NAMES[1]:
            raise InputError("No brain was found.", "Look at it.")
        return toy_patient()

    monkeypatch.setattr(cache_module, "prepare_patient", fail)
    subjects, config, told = read_cohort("upenn-gbm", upenn).subjects, settings(upenn), Silent()

    def fill(**options) -> list[str]:
        patients, excluded = fill_cache(subjects, config, tmp_path, 1, told, **options)
        assert [patient.id for patient in patients] == NAMES[:1]
        assert [(one.subject, one.reason) for one in excluded] == [(NAMES[1], "No brain was found. Look at it.")]
        names, tried[:] = list(tried), []
        return names

    with pytest.raises(OutputError, match=rf"{NAMES[0]} is not in .*All processes have to share"):
        fill(make=False)
    assert fill() == NAMES
    assert not told.warnings
    assert fill() == []
    assert "1 examination(s) could not be prepared before" in told.warnings[0]
    assert fill(make=False) == []
    assert fill(retry=True) == NAMES[1:]
    monkeypatch.setattr(cache_module, "__version__", "another")
    assert fill() == NAMES[1:]


def test_a_process_that_is_killed_is_explained():
    with pytest.raises(WorkerError, match=r"ended by the system, perhaps because memory was short.*fewer --workers"):
        in_processes(os._exit, [9, 9], 2, Silent(), "patients")


def test_a_damaged_cache_is_made_again(filled, upenn, tmp_path):
    cache, _ = filled
    own = Path(shutil.copytree(cache, tmp_path / "cache"))
    config, subjects = settings(upenn), read_cohort("upenn-gbm", upenn).subjects
    place = own / cache_key(subjects[0], config)
    whole = (place / "values.npy").read_bytes()
    (place / "values.npy").write_bytes(whole[: len(whole) // 2])
    (patient, _), _ = fill_cache(subjects, config, own, 1)
    assert (place / "values.npy").read_bytes() == whole
    assert patient.brain.any()
    assert not [path for path in own.iterdir() if path.name.startswith(".")]


def test_several_processes_make_the_same(filled, upenn, tmp_path):
    cache, _ = filled
    config = settings(upenn)
    seen: list[float] = []

    class Counter(Silent):
        def progress(self, stage: str, fraction: float) -> None:
            seen.append(fraction)

    before = dict(os.environ)
    patients, _ = fill_cache(read_cohort("upenn-gbm", upenn).subjects, config, tmp_path / "cache", 2, Counter())
    assert [patient.id for patient in patients] == NAMES
    assert seen == sorted(seen)
    assert dict(os.environ) == before
    for path in sorted(cache.rglob("*.npy")):
        assert (tmp_path / "cache" / path.relative_to(cache)).read_bytes() == path.read_bytes()


def test_a_full_disk_leaves_nothing_behind(upenn, tmp_path, monkeypatch):
    def full(path, *arguments, **options):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    subject = read_cohort("upenn-gbm", upenn).subjects[0]
    monkeypatch.setattr(cache_module, "prepare_patient", lambda *_: toy_patient())
    monkeypatch.setattr(cache_module.np, "save", full)
    with pytest.raises(OutputError, match="disk is full"):
        fill_cache([subject], settings(upenn), tmp_path / "cache", 1)
    assert not [*(tmp_path / "cache").glob("*")]


def toy_patient():
    from Training.datasets.patient import Patient

    brain = np.ones((4, 4, 3), bool)
    values = np.ones(brain.shape, np.float32)
    return Patient("p", {Role.T1: values}, brain, brain, values, values)


def test_cancelling_keeps_what_is_finished(upenn, tmp_path, monkeypatch):
    class Stop(Silent):
        def progress(self, stage: str, fraction: float) -> None:
            if fraction >= 0.5:
                raise Cancelled

    monkeypatch.setattr(cache_module, "prepare_patient", lambda *_: toy_patient())
    with pytest.raises(Cancelled):
        fill_cache(read_cohort("upenn-gbm", upenn).subjects, settings(upenn), tmp_path / "cache", 1, Stop())
    assert len([*(tmp_path / "cache").iterdir()]) == 1


def test_patients_by_split_and_files_that_are_faulty(filled, upenn, tmp_path):
    """A truncated volume leaves its examination out with a reason; the others are used."""
    folder = copied(upenn, tmp_path)
    own = Path(shutil.copytree(filled[0], tmp_path / "cache"))
    broken = file_of(folder, NAMES[1], "T2")
    broken.write_bytes(broken.read_bytes()[:5000])
    division = {"version": 1, "cohort": "upenn-gbm", "folds": 0}
    division["divisions"] = [{"UPENN-GBM-00001": "train", "UPENN-GBM-00002": "test"}]
    (tmp_path / "splits.json").write_text(json.dumps(division))
    reporter = Silent()
    config = settings(folder, splits=str(tmp_path / "splits.json"))
    patients = load_patients(config, own, 1, reporter=reporter)
    assert [p.id for p in patients.train] == [NAMES[0]]
    assert patients.test == patients.validation == patients.calibration == []
    (exclusion,) = patients.excluded
    assert exclusion.subject == NAMES[1]
    assert str(broken) in exclusion.reason
    assert any(NAMES[1] in warning for warning in reporter.warnings)
    assert not patients.simulated
    with pytest.raises(InputError, match=r"No patient of upenn-gbm is left to train on.*2 are left out.*is cut off"):
        load_patients(settings(folder, splits=config.data.splits, exclude=(NAMES[0],)), own, 1)


def test_the_same_images_in_two_splits_are_refused(filled, upenn, tmp_path):
    """Another patient whose T2 is a copy, compressed anew, under another name."""
    folder = copied(upenn, tmp_path)
    shutil.copytree(filled[0], tmp_path / "cache")
    image = nibabel.load(file_of(folder, NAMES[0], "T2"))
    values = np.array(image.get_fdata(dtype=np.float32))
    data_sets.save_nifti(file_of(folder, NAMES[1], "T2"), values, image.affine)
    division = {"version": 1, "cohort": "upenn-gbm", "folds": 0}
    for split, refused in (("test", True), ("train", False)):
        division["divisions"] = [{"UPENN-GBM-00001": "train", "UPENN-GBM-00002": split}]
        (tmp_path / f"{split}.json").write_text(json.dumps(division))
        config = settings(folder, splits=str(tmp_path / f"{split}.json"))
        if refused:
            with pytest.raises(InputError, match=r"T2 of .*00002.* same values as a volume of .*00001"):
                load_patients(config, tmp_path / "cache", 1)
        else:
            assert "same values" in load_patients(config, tmp_path / "cache", 1).warnings[0]


def test_simulated_patients_by_split(tmp_path, monkeypatch):
    made: list[str] = []

    def remember(subject, *_):
        made.append(subject.id)
        return dataclasses.replace(toy_patient(), facts={"content": {}})

    monkeypatch.setattr(cache_module, "prepare_patient", remember)
    data = DataConfig(phantoms=3, validation=1, calibration=2, test=1, grades=("high", "none"))
    patients = load_patients(TrainingConfig(spacing_mm=(3.0,) * 3, data=data), tmp_path, 1)
    assert [p.id for p in patients.train] == ["phantom-10000-high", "phantom-10001-none", "phantom-10002-high"]
    assert [p.id for p in patients.calibration] == ["phantom-1010000-high", "phantom-1010001-none"]
    assert (len(patients.validation), len(patients.test)) == (1, 1)
    assert len(made) == 7
    assert patients.simulated
    assert not (tmp_path / "splits-phantoms.json").exists()


def replace_map(folder: Path, change) -> None:
    """Change the CBV map of the first patient."""
    path = folder / "NIfTI-files" / "images_DSC" / NAMES[0] / f"{NAMES[0]}_DSC_ap-rCBV.nii.gz"
    image = nibabel.load(path)
    data_sets.save_nifti(path, *change(np.array(image.get_fdata(dtype=np.float32)), image.affine.copy()))


def far_away(values, affine):
    affine[:3, 3] += 500
    return values, affine


def half_the_slices(values, affine):
    values[:, :, :40] = 0
    return values, affine


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (far_away, "covers only 0% of the brain"),
        (half_the_slices, "covers only"),
        (lambda values, affine: (-values, affine), "not positive"),
        (lambda values, affine: (values[..., None].repeat(3, axis=3), affine), "one 3-D volume is expected"),
    ],
)
def test_faulty_maps(upenn, tmp_path, change, words):
    folder = copied(upenn, tmp_path)
    replace_map(folder, change)
    with pytest.raises(InputError, match=words):
        prepare_patient(read_cohort("upenn-gbm", folder).subjects[0], settings(folder))


def test_unknown_units_of_the_diffusion(upenn, tmp_path):
    data_sets.write_upenn(tmp_path, NAMES[:1], trace_units=7e4)
    with pytest.raises(InputError, match="no diffusion coefficient"):
        prepare_patient(read_cohort("upenn-gbm", tmp_path).subjects[0], settings(tmp_path))


def test_a_segmentation_with_fractions(upenn, tmp_path):
    folder = copied(upenn, tmp_path)
    path = folder / "NIfTI-files" / "images_segm" / f"{NAMES[0]}_segm.nii.gz"
    image = nibabel.load(path)
    data_sets.save_nifti(path, np.array(image.get_fdata(dtype=np.float32)) * 0.5, image.affine)
    with pytest.raises(InputError, match="no labels"):
        prepare_patient(read_cohort("upenn-gbm", folder).subjects[0], settings(folder))
