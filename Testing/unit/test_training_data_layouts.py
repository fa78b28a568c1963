"""Adapters: folders in the layout of each data set, from the files to prepared patients."""

import dataclasses
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from HierSynthLib.case import REFERENCE_LABEL, Role
from HierSynthLib.errors import InputError
from HierSynthLib.phantom import write_phantom
from Testing import data_sets
from Training.config import TrainingConfig
from Training.datasets.cohort import Cohort, read_cohort
from Training.datasets.loading import find_cohort
from Training.datasets.prepare import prepare_patient
from Training.datasets.reading import load_subject
from Training.datasets.settings import DataConfig

CEILING = 10.0


def settings(source: str, folder: Path, **data) -> TrainingConfig:
    return TrainingConfig(spacing_mm=(3.0, 3.0, 3.0), data=DataConfig(source=source, folder=str(folder), **data))


def prepared(source: str, folder: Path, number: int = 0, **data):
    """Subject and patient number `number` of a folder."""
    subject = read_cohort(source, folder, data.get("cbv", "map")).subjects[number]
    return subject, prepare_patient(subject, settings(source, folder, **data))


def sampled(path: Path, patient) -> np.ndarray:
    """What nibabel and scipy read at the voxel centres of a prepared patient, linearly interpolated."""
    image = nibabel.load(path)
    return at_voxels(image.get_fdata(), image.affine, patient)


def at_voxels(array: np.ndarray, affine: np.ndarray, patient) -> np.ndarray:
    """An array, linearly interpolated at the voxel centres of a prepared patient."""
    index = np.indices(patient.brain.shape).reshape(3, -1)
    to_image = np.linalg.inv(affine) @ patient.affine
    places = to_image[:3, :3] @ index + to_image[:3, 3:]
    return ndimage.map_coordinates(array, places, order=1).reshape(patient.brain.shape)


def reference_mean(patient) -> float:
    """Mean of the prepared CBV in the phantom's own white matter reference."""
    phantom = data_sets.small_phantom()
    value = next(number for number, name in phantom.labels.items() if name == REFERENCE_LABEL)
    roi = phantom.volumes[Role.ROI]
    index = np.indices(patient.brain.shape).reshape(3, -1)
    to_roi = np.linalg.inv(roi.affine) @ patient.affine
    near = np.rint(to_roi[:3, :3] @ index + to_roi[:3, 3:]).astype(int)
    near = np.clip(near, 0, np.array(roi.grid)[:, None] - 1)
    return float(patient.cbv[(roi.array[tuple(near)] == value).reshape(patient.brain.shape)].mean())


def check_values(subject, patient, adc_factor: float, cbv_factor: float):
    """Prepared values against nibabel's: signal up to its normalisation, ADC and CBV in their units."""
    inside = patient.brain
    for role in set(patient.sequences) - {Role.ADC}:
        raw, ours = sampled(subject.case.files[role], patient)[inside], patient.sequences[role][inside]
        free = np.abs(ours) < 4.99
        assert np.corrcoef(raw[free], ours[free])[0, 1] > 0.99999
    adc = sampled(subject.case.files[Role.ADC], patient)[inside] * adc_factor
    expected = np.clip((adc - 0.8) / 0.5, -5, 5)
    np.testing.assert_allclose(patient.sequences[Role.ADC][inside], expected, atol=2e-3)
    raw = np.clip(sampled(subject.case.files[Role.CBV_ACQUIRED], patient) * cbv_factor, 0, CEILING)
    np.testing.assert_allclose(patient.cbv[patient.known], raw[patient.known], atol=2e-3 * CEILING)
    assert not patient.cbv[~patient.known].any()
    assert not (patient.known & ~inside).any()


@pytest.fixture(scope="module")
def upenn(tmp_path_factory) -> Path:
    names = ["UPENN-GBM-00001_11", "UPENN-GBM-00001_21", "UPENN-GBM-00002_11"]
    return data_sets.write_upenn(tmp_path_factory.mktemp("upenn"), names)


def test_upenn_examinations_of_one_patient_belong_together(upenn):
    cohort = read_cohort("upenn-gbm", upenn)
    assert [(s.id, s.patient) for s in cohort.subjects] == [
        ("UPENN-GBM-00001_11", "UPENN-GBM-00001"),
        ("UPENN-GBM-00001_21", "UPENN-GBM-00001"),
        ("UPENN-GBM-00002_11", "UPENN-GBM-00002"),
    ]
    assert read_cohort("upenn-gbm", upenn / "NIfTI-files").subjects == cohort.subjects
    assert cohort.subjects[0].case.labels == {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}


def test_upenn_values(upenn):
    """The trace of the diffusion tensor becomes the mean diffusivity, the arbitrary rCBV becomes nrCBV."""
    subject, patient = prepared("upenn-gbm", upenn)
    factor = 1 / patient.facts["target"]["white matter mean"]
    check_values(subject, patient, adc_factor=1e3 / 3, cbv_factor=factor)
    assert factor == pytest.approx(1 / 137, rel=0.06), "137 is the scale that the map was written with"
    assert reference_mean(patient) == pytest.approx(1, abs=0.06)
    labels = sampled(subject.case.files[Role.ROI], patient)
    assert np.count_nonzero(patient.lesion) == pytest.approx(np.count_nonzero((labels > 0.5) & patient.brain), rel=0.15)
    assert patient.patient == "UPENN-GBM-00001"


def test_a_trace_that_is_the_mean_already_is_recognised_by_its_parts(upenn, tmp_path):
    subject = read_cohort("upenn-gbm", upenn).subjects[2]
    image = nibabel.load(subject.case.files[Role.ADC])
    mean = data_sets.save_nifti(tmp_path / "TR.nii.gz", (image.get_fdata() / 3).astype(np.float32), image.affine)
    odd = data_sets.save_nifti(tmp_path / "odd.nii.gz", (image.get_fdata() / 2).astype(np.float32), image.affine)

    def with_trace(path: Path):
        return dataclasses.replace(
            subject, case=dataclasses.replace(subject.case, files={**subject.case.files, Role.ADC: path})
        )

    trace, already = (load_subject(one).sequences[Role.ADC].array for one in (subject, with_trace(mean)))
    np.testing.assert_allclose(trace, already, rtol=1e-5)
    np.testing.assert_allclose(trace, image.get_fdata() * 1e3 / 3, rtol=1e-5)
    with pytest.raises(InputError, match="neither the trace"):
        load_subject(with_trace(odd))


@pytest.mark.parametrize("below", ["{0}", "images_DTI/{0}", "{0}/{0}", "images_DTI/{0}/{0}"])
def test_upenn_diffusion_as_deep_as_the_download_has_it(tmp_path, below):
    """The archive's own copy has images_DTI/images_DTI; nothing is read from the files here."""
    name, base = "UPENN-GBM-00007_11", tmp_path / "NIfTI-files"
    place = base / "images_DTI" / below.format(name)
    files = [base / "images_structural" / name / f"{name}_T1.nii.gz"]
    files += [base / "images_DSC" / name / f"{name}_DSC_ap-rCBV.nii.gz"]
    files += [place / f"{name}_DTI_{kind}.nii.gz" for kind in ("TR", "AD", "RD")]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (subject,) = read_cohort("upenn-gbm", tmp_path).subjects
    assert subject.case.files[Role.ADC] == place / f"{name}_DTI_TR.nii.gz"
    assert {path.parent for path in subject.extra.values()} == {place}


def test_what_most_examinations_lack_is_told(upenn):
    cohort = read_cohort("upenn-gbm", upenn)
    assert cohort.gaps() == []

    def lacking(count: int, role: Role) -> Cohort:
        less = [
            dataclasses.replace(
                s, case=dataclasses.replace(s.case, files={r: p for r, p in s.case.files.items() if r != role})
            )
            for s in cohort.subjects[:count]
        ]
        return dataclasses.replace(cohort, subjects=(*less, *cohort.subjects[count:]))

    assert lacking(1, Role.ADC).gaps() == [], "one of three"
    (words,) = lacking(2, Role.ADC).gaps()
    assert words.startswith("ADC is absent in 2 of 3 examinations")
    assert lacking(3, Role.T1CE).gaps() == [], "not a sequence that is read"
    assert dataclasses.replace(lacking(3, Role.FLAIR), expected=(Role.ADC,)).gaps() == []


def test_upenn_cbv_from_the_series(upenn):
    """ΔR2* in proportion to the CBV comes back as CBV, in nrCBV, from a series that does not lie on the anatomy."""
    name = "UPENN-GBM-00002_11"
    path = upenn / "NIfTI-files" / "images_DSC" / name / f"{name}_DSC.nii.gz"
    data_sets.write_dsc(path, timing=False, shift_mm=data_sets.SHIFT_MM)
    cohort = read_cohort("upenn-gbm", upenn, "dsc")
    assert [subject.id for subject in cohort.subjects] == [name]
    assert {exclusion.reason for exclusion in cohort.excluded} == {"It has no DSC series."}
    with pytest.raises(InputError, match=r"states its echo time.*te_s"):
        prepare_patient(cohort.subjects[0], settings("upenn-gbm", upenn, cbv="dsc"))
    path.with_name(f"{name}_DSC.json").write_text("{")  # what is not needed cannot be wrong
    _, patient = prepared("upenn-gbm", upenn, cbv="dsc", te_s=0.03, tr_s=1.5)
    assert patient.facts["target"]["remarks"], "but it is told"
    deep = ndimage.binary_erosion(patient.known, iterations=2)
    expected = np.clip(at_voxels(*data_sets.halved(data_sets.stripped().CBV), patient), 0, CEILING)[deep]
    assert np.corrcoef(patient.cbv[deep], expected)[0, 1] > 0.98
    assert np.median(patient.cbv[deep] / expected) == pytest.approx(1, abs=0.1)
    assert reference_mean(patient) == pytest.approx(1, abs=0.12)


def test_ucsf_has_no_cbv_and_says_so(tmp_path):
    folder = data_sets.write_ucsf(tmp_path, ["UCSF-PDGM-0004", "UCSF-PDGM-0429_FU003d", "UCSF-PDGM-0429"], grade="3")
    cohort = read_cohort("ucsf-pdgm", folder)
    assert [s.patient for s in cohort.subjects] == ["UCSF-PDGM-0004", "UCSF-PDGM-0429", "UCSF-PDGM-0429"]
    assert cohort.subjects[0].group == "grade 3"
    assert cohort.subjects[0].case.files[Role.ASL].name == "UCSF-PDGM-0004_ASL.nii.gz"
    assert "There is no CBV" in cohort.notes[0]
    with pytest.raises(InputError, match="no CBV maps to learn from"):
        find_cohort(settings("ucsf-pdgm", folder), tmp_path / "cache")


def test_isles_values_on_the_grid_of_the_adc(tmp_path):
    data_sets.write_isles(tmp_path, 1)
    data_sets.write_isles(tmp_path, 2, spacing=2)
    cohort = read_cohort("isles", tmp_path)
    assert [(s.id, s.group) for s in cohort.subjects] == [("training_1", "stroke"), ("training_2", "stroke")]
    assert cohort.subjects[0].absent == ("T1 is absent.", "T2 is absent.", "FLAIR is absent.")
    assert cohort.gaps() == [], "the data set has no others"
    subject, patient = prepared("isles", tmp_path)
    check_values(subject, patient, 1e-3, 1 / patient.facts["target"]["white matter mean"])
    assert set(patient.sequences) == {Role.ADC}
    assert reference_mean(patient) == pytest.approx(1, abs=0.1), "found in the ADC alone"
    assert patient.lesion.any()


def test_isles_series_with_five_dimensions(tmp_path):
    """The archive stores 4DPWI as (X, Y, Z, 1, T)."""
    data_sets.write_isles(tmp_path, 1)
    stem = "VSD.Brain.XX.O.MR_4DPWI.128099"
    path = data_sets.write_dsc(tmp_path / "training_1" / stem / f"{stem}.nii", timing=False)
    image = nibabel.load(path)
    series = np.array(image.get_fdata(dtype=np.float32))  # not the file itself, which is replaced
    data_sets.save_nifti(path, series[:, :, :, None], image.affine)
    _, patient = prepared("isles", tmp_path, cbv="dsc", te_s=0.03, tr_s=1.5)
    assert reference_mean(patient) == pytest.approx(1, abs=0.15)


def test_bids_sessions_groups_and_a_patient_who_moved(tmp_path):
    folder = data_sets.write_bids(tmp_path, {"sub-01": ["ses-1", "ses-2"], "sub-02": []})
    cohort = read_cohort("bids", folder)
    assert [(s.id, s.patient, s.group, s.site) for s in cohort.subjects] == [
        ("sub-01_ses-1", "sub-01", "low", "A"),
        ("sub-01_ses-2", "sub-01", "low", "A"),
        ("sub-02", "sub-02", "high", "A"),
    ]
    assert "ce-gadolinium" not in cohort.subjects[0].case.files[Role.T1].name
    subject, patient = prepared("bids", folder)
    assert "rigid" in patient.facts["target"]["position"]
    assert float(patient.facts["target"]["position"].split()[1]) == pytest.approx(
        np.linalg.norm(data_sets.SHIFT_MM), abs=1.0
    )
    truth = np.clip(at_voxels(data_sets.stripped().CBV, data_sets.stripped().affine, patient) * 1.05, 0, CEILING)
    still = np.clip(sampled(subject.case.files[Role.CBV_ACQUIRED], patient), 0, CEILING)
    known = patient.known
    assert np.corrcoef(patient.cbv[known], truth[known])[0, 1] > 0.95
    assert np.corrcoef(still[known], truth[known])[0, 1] < 0.5, "as stored it does not lie on the anatomy"
    assert "white matter mean" not in patient.facts["target"], "the JSON says that it is in nrCBV"


def test_bids_lesion_from_the_derivatives(tmp_path):
    folder = data_sets.write_bids(tmp_path, {"sub-01": []})
    mask = next((folder / "sub-01" / "anat").glob("*_label-lesion_mask.nii.gz"))
    place = folder / "derivatives" / "manual" / "sub-01" / "anat"
    place.mkdir(parents=True)
    moved = mask.rename(place / mask.name)
    assert read_cohort("bids", folder).subjects[0].case.files[Role.ROI] == moved


def test_brain_tumor_progression_values(tmp_path):
    """DICOM series are found by their description; two dates of one patient belong together."""
    data_sets.write_progression(tmp_path, "PGBM-001", {"19910101": 8, "19900101": 1})
    data_sets.write_progression(tmp_path, "PGBM-002", {"19900601": 8})
    (tmp_path / "LICENSE").write_text("not DICOM")
    cohort = read_cohort("brain-tumor-progression", tmp_path)
    assert [(s.id, s.patient) for s in cohort.subjects] == [
        ("PGBM-001-1", "PGBM-001"),
        ("PGBM-001-2", "PGBM-001"),
        ("PGBM-002-1", "PGBM-002"),
    ]
    first = cohort.subjects[0].case.files
    assert "19900101" in str(first[Role.T1]), "the earlier date comes first"
    assert "nRCBVreg" in first[Role.CBV_ACQUIRED].name
    assert "T1prereg" in first[Role.T1].name
    patient = prepare_patient(cohort.subjects[0], settings("brain-tumor-progression", tmp_path))
    assert patient.facts["target"]["white matter mean"] == pytest.approx(102, rel=0.06)
    truth = at_voxels(data_sets.stripped().CBV, data_sets.stripped().affine, patient)
    scaled = np.clip(truth * 102 / patient.facts["target"]["white matter mean"], 0, CEILING)
    np.testing.assert_allclose(patient.cbv[patient.known], scaled[patient.known], atol=0.03)
    assert reference_mean(patient) == pytest.approx(1, abs=0.06)
    assert np.count_nonzero(patient.lesion) > 500


def test_case_folders(tmp_path):
    """Phantoms as `hiersynth phantom` writes them: the target is the truth."""
    write_phantom(tmp_path / "a", seed=3, grade="high", size="small", misalignment=False, dsc=False)
    (tmp_path / "empty").mkdir()
    cohort = read_cohort("case-folders", tmp_path)
    assert cohort.simulated
    assert [(s.id, s.group, s.target.rule) for s in cohort.subjects] == [("a", "high", "truth")]
    assert [exclusion.subject for exclusion in cohort.excluded] == ["empty"]
    patient = prepare_patient(cohort.subjects[0], settings("case-folders", tmp_path))
    truth = np.clip(sampled(tmp_path / "a" / "CBV_true.nii.gz", patient), 0, CEILING)
    np.testing.assert_allclose(patient.cbv[patient.brain], truth[patient.brain], atol=2e-3)
    assert patient.simulated
    assert patient.lesion.any()
