"""Any case as arrays for a host: the same values in the same place, units untouched, nothing silently missing."""

import json

import nibabel
import numpy as np
import pytest

from HierSynthLib.case import Case, Role
from HierSynthLib.case.handover import hand_over
from HierSynthLib.errors import Cancelled, InputError
from HierSynthLib.perfusion.timing import stated_timing
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, write_volume
from HierSynthLib.worker.transfer import ArrayFile

AFFINE = np.array([[-2.0, 0, 0, 60], [0, 2.0, 0, -60], [0, 0, 2.0, -40], [0, 0, 0, 1.0]])


def image(scale=100.0, dtype=np.float32, seed=0):
    return (np.random.default_rng(seed).uniform(0.5, 1, (60, 60, 40)) * scale).astype(dtype)


def test_a_simulated_patient(small_case, tmp_path):
    answer = hand_over(str(small_case), tmp_path / "out", Silent())
    case = Case.read(small_case)
    assert (answer["id"], answer["simulated"]) == (case.id, True)
    assert set(answer["volumes"]) == {str(role) for role in case.files} - {"DSC"}
    times = json.loads((small_case / "DSC.json").read_text("utf-8"))
    series = answer["series"]
    stated = stated_timing(series["attributes"], series["index_values"], series["index_unit"])
    assert (stated.te_ms, stated.tr_s) == pytest.approx((1000 * times["EchoTime"], times["RepetitionTime"]))
    assert stated.flip_deg == times["FlipAngle"]
    assert answer["labels"] == {str(value): name for value, name in case.labels.items()}
    assert answer["units"]["CBV_acquired"] == "nrCBV"
    json.dumps(answer, allow_nan=False)
    frames = np.asarray(nibabel.load(case.files[Role.DSC]).dataobj)
    assert len(series["frames"]) == frames.shape[3]
    for number in (0, frames.shape[3] - 1):
        np.testing.assert_array_equal(np.load(series["frames"][number]), frames[..., number])
    for role, path in answer["volumes"].items():
        expected = nibabel.load(case.files[Role(role)])
        file = ArrayFile.open(path)
        assert file.fortran_order
        memory = np.empty(file.shape[::-1], file.dtype)
        list(file.read_into(memory))
        np.testing.assert_array_equal(memory.T, np.asarray(expected.dataobj))
        np.testing.assert_allclose(file.affine, expected.affine, atol=1e-4)


def test_units_stay_those_of_the_file(tmp_path):
    write_volume(Volume(image(800.0), AFFINE), tmp_path / "case" / "ADC.nii.gz")
    write_volume(Volume(image(), AFFINE), tmp_path / "case" / "T1.nii.gz")
    answer = hand_over(str(tmp_path / "case"), tmp_path / "out", Silent())
    np.testing.assert_array_equal(np.load(answer["volumes"]["ADC"]), image(800.0))
    assert any("taken to be in 10⁻⁶" in problem["what"] for problem in answer["problems"])
    assert "ADC" not in answer["units"]


def test_single_files(tmp_path):
    write_volume(Volume(image(), AFFINE), tmp_path / "any.nii.gz")
    source = {"inputs": {"T1": str(tmp_path / "any.nii.gz")}, "units": {"T1": "a.u."}}
    answer = hand_over(source, tmp_path / "out", Silent())
    assert set(answer["volumes"]) == {"T1"}
    assert answer["units"] == {"T1": "a.u."}
    assert answer["simulated"] is False


def test_types_that_a_host_lacks_are_changed(tmp_path):
    mask = image() > 75
    write_volume(Volume(mask, AFFINE), tmp_path / "mask.npy")
    answer = hand_over({"inputs": {"ROI": str(tmp_path / "mask.npy")}}, tmp_path / "out", Silent())
    raw = np.load(answer["volumes"]["ROI"])
    assert raw.dtype == np.uint8
    np.testing.assert_array_equal(raw, mask)


def test_what_cannot_be_read_is_said_and_the_rest_is_there(tmp_path):
    folder = tmp_path / "case"
    write_volume(Volume(image(), AFFINE), folder / "T1.nii.gz")
    write_volume(Volume(np.stack([image()] * 3, -1), AFFINE), folder / "T2.nii.gz")
    write_volume(Volume(np.stack([image()] * 3, -1), AFFINE), folder / "DSC.nii.gz")
    (folder / "FLAIR.nii.gz").write_bytes(b"damaged")
    answer = hand_over(str(folder), tmp_path / "out", Silent())
    assert set(answer["volumes"]) == {"T1"}
    paths = [str(tmp_path / "out" / "DSC" / f"000{number}.npy") for number in (1, 2, 3)]
    assert answer["series"] == {
        "frames": paths,
        "index_values": ["0", "1", "2"],
        "index_unit": "",
        "attributes": {},
    }
    of = {(problem["role"], problem["severity"]) for problem in answer["problems"]}
    assert {("FLAIR", "error"), ("T2", "warning")} <= of
    assert not any(problem["role"] == "DSC" for problem in answer["problems"])
    there = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert there == ["DSC", "T1.json", "T1.npy"]


def test_the_times_of_a_series_are_those_of_its_file_or_asked_for(tmp_path):
    folder = tmp_path / "case"
    write_volume(Volume(np.stack([image()] * 3, -1), AFFINE), folder / "DSC.nii.gz")
    for number, (text, expected) in enumerate(
        [('{"EchoTime": 0.0284, "RepetitionTime": 1.25}', ("28.4", "2.5", "s")), ("{damaged", (None, "2", ""))]
    ):
        (folder / "DSC.json").write_text(text, "utf-8")
        answer = hand_over(str(folder), tmp_path / f"out{number}", Silent())
        series = answer["series"]
        echo_time = series["attributes"].get("MultiVolume.DICOM.EchoTime")
        assert (echo_time, series["index_values"][-1], series["index_unit"]) == expected
    assert any("cannot be read as JSON" in problem["what"] for problem in answer["problems"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("absent", "absent"),
        ({}, "needs a folder"),
        ({"inputs": {}}, "needs a folder"),
        ({"inputs": {"T9": "x"}}, "'T9' is no role"),
        ({"inputs": {"T1": 3}}, "'T1' is no role with a path"),
        ({"inputs": {"T1": "absent.nii.gz"}}, "No volume of this case can be read. T1: absent.nii.gz does not exist"),
    ],
)
def test_what_is_no_case(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        hand_over(source, tmp_path / "out", Silent())
    assert not list(tmp_path.iterdir())


def test_cancelling_leaves_nothing(small_case, tmp_path):
    class Stopper(Silent):
        def progress(self, stage, fraction):
            if fraction > 0.3:
                raise Cancelled

    with pytest.raises(Cancelled):
        hand_over(str(small_case), tmp_path / "out", Stopper())
    assert not list(tmp_path.iterdir())
