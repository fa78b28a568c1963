"""The perfusion examination of a simulated patient: the DSC series, the map processed from it, the place of its AIF."""

import json
from functools import cache

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from HierSynthLib.case import Case, Role, load_case
from HierSynthLib.perfusion.job import run_job
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.reading import read_series
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.phantom import make_phantom
from HierSynthLib.progress import Part, Silent, Stage
from HierSynthLib.volume import Volume

PEOPLE = [(1, "high"), (2, "low"), (3, "none"), (4, "high")]
LEAST_ARTERY = 0.05  # of a voxel; grey matter has 4 % of blood in all its vessels together


@cache
def phantom(seed, grade):
    """A coarse simulated patient with its DSC series; cached, so do not change its arrays."""
    return make_phantom(seed, grade, spacing_mm=4.5)


@pytest.fixture(scope="module")
def processed(small_case, tmp_path_factory):
    """What a user gets from the series of a case with the masks beside it."""
    facts = Case.read(small_case).facts
    parameters = {
        "series": [str(small_case / "DSC.nii.gz")],
        "output": str(tmp_path_factory.mktemp("perfusion") / "out"),
        "brain": str(small_case / facts["dsc_brain_mask"]),
        "nawm": str(small_case / facts["dsc_nawm"]),
        "options": {"motion": False},
    }
    return run_job(parameters, Silent())


def test_the_acquired_map_is_what_the_perfusion_command_makes_of_the_series(small_case, processed):
    acquired = nibabel.load(small_case / "CBV_acquired.nii.gz")
    found = nibabel.load(processed["maps"]["nrCBV"])
    np.testing.assert_allclose(acquired.affine, found.affine, atol=1e-4)
    np.testing.assert_allclose(acquired.get_fdata(), found.get_fdata(), rtol=1e-6, atol=5.1e-4)  # rounded to 0.001
    level = Case.read(small_case).facts["sequences"]["DSC"]["processing"]["white_matter_rcbv"]
    relative = nibabel.load(processed["maps"]["rCBV"]).get_fdata() / level
    np.testing.assert_allclose(acquired.get_fdata(), relative, rtol=1e-5, atol=5.1e-4)


def test_the_series_can_be_read_with_its_times(small_case):
    series = read_series([small_case / "DSC.nii.gz"])
    protocol = Case.read(small_case).facts["sequences"]["DSC"]["protocol"]
    assert (series.te_s, series.tr_s, series.flip_deg) == ((0.03,), 1.5, 60)
    assert ([*series.te_s], series.tr_s, series.flip_deg, series.frames) == (
        protocol["te_s"], protocol["tr_s"], protocol["flip_deg"], protocol["frames"],
    )  # fmt: skip
    image = nibabel.load(small_case / "DSC.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert image.shape[3] == 90
    assert json.loads((small_case / "DSC.json").read_text())["RepetitionTime"] == 1.5


def test_the_rest_of_the_library_takes_a_case_with_a_series(small_case):
    volumes, problems = load_case(Case.read(small_case))
    assert volumes[Role.DSC].frames == 90
    assert [problem for problem in problems if problem.severity == "error"] == []
    assert volumes[Role.DSC].same_grid(volumes[Role.CBV_ACQUIRED])


def test_without_a_series_everything_else_is_the_same():
    with_series, without = phantom(1, "high"), make_phantom(1, "high", spacing_mm=4.5, dsc=False)
    assert set(with_series.volumes) - set(without.volumes) == {Role.DSC, Role.CBV_ACQUIRED}
    for role, volume in without.volumes.items():
        np.testing.assert_array_equal(volume.array, with_series.volumes[role].array)
        np.testing.assert_array_equal(volume.affine, with_series.volumes[role].affine)
    facts = {**with_series.facts, "sequences": {**with_series.facts["sequences"]}}
    assert facts["sequences"].pop("DSC")["protocol"]["te_s"] == [0.03]
    assert facts == without.facts
    assert without.dsc is None


@pytest.mark.parametrize(("seed", "grade"), PEOPLE)
def test_the_acquired_map_measures_the_true_blood_volume(seed, grade):
    p = phantom(seed, grade)
    truth, acquired = p.dsc.truth, p.volumes[Role.CBV_ACQUIRED]
    place = np.array(p.facts["transforms"]["CBV_acquired"])

    def here(mask):
        return acquired.indices(apply_affine(place, apply_affine(mask.affine, np.argwhere(mask.array))))

    reference = here(Volume(p.volumes[Role.ROI].array == 4, p.volumes[Role.ROI].affine))
    levels = [
        ndimage.map_coordinates(m.astype(float), reference.T, order=1).mean() for m in (truth.cbv, acquired.array)
    ]
    assert levels[1] == pytest.approx(1, abs=0.1)
    tissue = (truth.cbf > 15) & (truth.artery + truth.vein < 0.01) & (p.dsc.brain.array == 1)
    true = truth.cbv[tissue] / levels[0]
    found = acquired.array[tissue]
    assert np.corrcoef(true, found)[0, 1] > 0.9
    # Grey matter loses 5–10 % to T1 effects and partial volume with CSF; noise and blur scatter the rest.
    assert np.median(found / true) == pytest.approx(0.95, abs=0.08)
    assert 0.05 < np.std(found / true) < 0.4
    # The slices hold the whole brain where it lay during the series.
    voxels = here(p.volumes[Role.BRAIN])
    assert voxels.min() > -0.5
    assert (voxels.max(axis=0) < np.array(acquired.grid) - 0.5).all()


def test_steps_of_the_processing_are_one_stage_and_its_warnings_are_heard():
    heard = []

    class Listener(Silent):
        def progress(self, stage, fraction):
            heard.append((stage, fraction))

    listener = Listener()
    stage = Stage(Part(listener, 0.5, 1.0), "acquisition")
    stage.progress("relaxation", 0.5)
    stage.warning("The bolus is weak.")
    assert heard == [("acquisition", 0.75)]
    assert listener.warnings == ["The bolus is weak."]


@pytest.mark.parametrize(("seed", "grade"), PEOPLE)
def test_the_automatic_aif_lies_in_arteries(seed, grade):
    p = phantom(seed, grade)
    found = process(DscSeries.from_volumes([p.volumes[Role.DSC]], [0.03], 1.5), Options(motion=False))
    voxels = tuple(found.aif.voxels.T)
    artery, vein = p.dsc.truth.artery[voxels], p.dsc.truth.vein[voxels]
    assert (artery >= LEAST_ARTERY).all()
    assert (artery > vein).all()
    assert np.mean(p.dsc.truth.artery[found.brain] >= LEAST_ARTERY) < 0.05  # which chance would seldom hit
