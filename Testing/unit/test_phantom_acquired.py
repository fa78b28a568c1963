"""The perfusion examination of a simulated patient: the DSC series, the map processed from it, the place of its AIF."""

import json
from contextlib import nullcontext
from functools import cache

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from HierSynthLib.case import Case, Role, load_case
from HierSynthLib.cli import main
from HierSynthLib.commands import phantom as command
from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.job import run_job
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.reading import is_simulated, read_series
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.phantom import make_phantom, write_phantom
from HierSynthLib.phantom.dsc_protocol import DSC_PROTOCOLS
from HierSynthLib.progress import Part, Silent, Stage
from HierSynthLib.volume import Volume, read_volume

PEOPLE = [(1, "high"), (2, "low"), (3, "none")]
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


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """Case folder of a patient that moves before a drifting scanner, measured with two echoes."""
    folder = tmp_path_factory.mktemp("disturbed") / "case"
    write_phantom(
        folder, seed=1, spacing_mm=4.5, dsc_protocol="dual-echo", dsc_motion=True, dsc_drift=True
    )  # fmt: skip
    return folder


def test_two_echoes_are_two_files_that_say_what_they_are(disturbed):
    names = ("DSC.nii.gz", "DSC_echo2.nii.gz")
    series = read_series([disturbed / name for name in names])
    assert (series.te_s, series.tr_s) == ((0.014, 0.04), 1.5)
    brain = read_volume(disturbed / "DSC_brain_mask_true.nii.gz").array > 0
    first, second = (echo[brain].mean(axis=0) for echo in series.echoes)
    assert (second < first).all()
    facts = Case.read(disturbed).facts
    assert facts["dsc_second_echo"] == names[1]
    for name in names:
        header = nibabel.load(disturbed / name).header
        assert header["descrip"].item().decode().startswith("SIMULATED")
        assert header.get_zooms()[3] == 1.5
        assert header.get_xyzt_units() == ("mm", "sec")
        assert is_simulated(disturbed / name)
        said = json.loads((disturbed / name.replace(".nii.gz", ".json")).read_text("utf-8"))
        assert said["Simulated"] is True


def test_motion_and_drift_are_in_the_series_and_recorded(disturbed):
    facts = Case.read(disturbed).facts["sequences"]["DSC"]
    poses = np.array(facts["poses_ras_mm"])
    assert poses.shape == (90, 4, 4)
    assert np.linalg.norm(poses[:, :3, 3], axis=1).max() > 0.5
    np.testing.assert_allclose(poses[0], np.eye(4))
    assert facts["motion"] is True
    assert 0 < abs(facts["drift"]) <= 0.04
    assert facts["processing"]["options"]["motion"] is True
    assert set(phantom(1, "high").facts["sequences"]["DSC"]) == set(facts) - {"poses_ras_mm"}
    # What the head's movement adds to the noise between neighbouring frames, long after the bolus.
    moving = read_volume(disturbed / "DSC.nii.gz").array[..., 60:].astype(float)
    quiet = phantom(1, "high").volumes[Role.DSC].array[..., 60:].astype(float)
    edge = phantom(1, "high").dsc.brain.array == 1
    assert moving[edge].std(axis=1).mean() > 1.2 * quiet[edge].std(axis=1).mean()


def test_the_default_series_is_that_of_the_default_protocol():
    plain, named = phantom(2, "low"), make_phantom(2, "low", spacing_mm=4.5, dsc_protocol="no-preload")
    np.testing.assert_array_equal(plain.volumes[Role.DSC].array, named.volumes[Role.DSC].array)
    assert plain.facts == named.facts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"dsc_protocol": "fast"}, "'fast' is unknown"), ({"dsc": False, "dsc_motion": True}, "without DSC")],
)
def test_a_series_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        make_phantom(1, **arguments)


def test_the_command_offers_what_the_generator_knows(capsys, monkeypatch, tmp_path):
    asked = {}

    def run_job(client, kind, parameters, **_):
        asked.update(parameters)
        return {"id": "p"}, []

    monkeypatch.setattr(command, "worker", nullcontext)
    monkeypatch.setattr(command, "run_job", run_job)
    assert {str(name) for name in command.DscProtocolName} == set(DSC_PROTOCOLS)
    out = str(tmp_path / "out")
    assert main(["phantom", out, "--dsc-protocol", "preload", "--motion", "--drift"]) == 0
    assert (asked["dsc_protocol"], asked["dsc_motion"], asked["dsc_drift"]) == ("preload", True, True)
    asked.clear()
    assert main(["phantom", out]) == 0
    assert set(asked) == {"out", "seed", "grade", "size", "dsc"}
    capsys.readouterr()
    assert main(["phantom", out, "--no-dsc", "--motion"]) == 1
    assert "--no-dsc wants none. Leave out --no-dsc." in capsys.readouterr().err
