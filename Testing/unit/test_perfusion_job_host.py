"""What a host asks of the perfusion job: frames one by one, times in ms, regions and points in the patient."""

import json
from pathlib import Path

import numpy as np
import pytest

from HierSynthLib.errors import Cancelled, InputError
from HierSynthLib.fidelity.regions.shapes import Region, Sphere
from HierSynthLib.perfusion.job import run_job
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.request import PerfusionRequest
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, read_volume, write_volume
from Testing.unit.test_perfusion_head import make_head

STILL = {"motion": False}
TIMES = {"te_ms": [30.0], "tr_s": 1.5}


@pytest.fixture(scope="module")
def head():
    return make_head((22, 27, 10), (6.4, 6.4, 9.6), frames=60)


@pytest.fixture(scope="module")
def frames(head, tmp_path_factory):
    """The head, written frame by frame."""
    folder = tmp_path_factory.mktemp("frames")
    echo = head.series.echoes[0]
    paths = [folder / f"{number}.npy" for number in range(echo.shape[3])]
    for number, path in enumerate(paths):
        write_volume(Volume(echo[..., number], head.series.affine), path)
    return [str(path) for path in paths]


def run(tmp_path, reporter=None, **parameters):
    parameters = {"output": str(tmp_path / "out"), "options": STILL, "format": "npy"} | TIMES | parameters
    return run_job(parameters, reporter or Silent())


def values(result, name):
    return read_volume(Path(result["maps"][name])).array


def test_frames_are_the_series(head, frames, tmp_path):
    result = run(tmp_path, frames=[frames])
    expected = process(head.series, Options(**STILL))
    for name, values_of_map in expected.maps.items():
        np.testing.assert_array_equal(values(result, name), values_of_map)
    described = json.loads(Path(result["run"]).read_text("utf-8"))
    assert described["series"]["te_s"] == [0.03]
    assert set(described["inputs"]) == {"echo 1"}
    json.dumps(result, allow_nan=False)
    np.testing.assert_allclose(result["mean_curves"]["aif"], expected.aif.curve, rtol=1e-5)
    np.testing.assert_allclose(result["mean_curves"]["non_enhancing"], expected.curves.non_enhancing, rtol=1e-5)
    assert result["te_s"] == [0.03]
    low, high = result["windows"]["rCBV"]
    inside = expected.maps["rCBV"][expected.brain]
    assert (np.mean(inside < low), np.mean(inside > high)) == pytest.approx((0.02, 0.02), abs=0.005)


def test_other_frames_have_another_hash(frames, tmp_path):
    results = [run(tmp_path / str(number), frames=[frames[: 60 - number]]) for number in (0, 1)]
    hashes = [json.loads(Path(each["run"]).read_text("utf-8"))["inputs"]["echo 1"]["sha256"] for each in results]
    assert len(set(hashes)) == 2


def test_a_region_in_the_patient_is_the_white_matter(head, frames, tmp_path):
    centre = head.positions[head.mask("white") & head.brain].mean(axis=0)
    region = Region("NAWM reference", "reference", (Sphere(centre, 22.0),))
    result = run(tmp_path, frames=[frames], nawm_region=region.to_json())
    inside = np.linalg.norm(head.positions - centre, axis=-1) <= 22.0
    expected = process(head.series, Options(**STILL), nawm=inside)
    np.testing.assert_allclose(values(result, "nrCBV"), expected.maps["nrCBV"], rtol=1e-6)
    far = Region("NAWM reference", "reference", (Sphere(centre + 5000, 22.0),))
    with pytest.raises(InputError, match="holds no voxel of the DSC series"):
        run(tmp_path / "far", frames=[frames], nawm_region=far.to_json())


def test_points_in_the_patient_are_the_aif(head, frames, tmp_path):
    voxels = np.argwhere(head.mask("artery"))[:3]
    centres = voxels @ head.series.affine[:3, :3].T + head.series.affine[:3, 3]
    # Not exactly at the centres, and two in the same voxel.
    points = [*(centres + np.array([1.0, -2.0, 3.0])).tolist(), centres[0].tolist()]
    result = run(tmp_path, frames=[frames], aif_points_ras=points)
    assert sorted(result["aif"]["voxels"]) == sorted(voxels.tolist())
    expected = process(head.series, Options(**STILL), aif_voxels=voxels)
    np.testing.assert_allclose(values(result, "CBF"), expected.maps["CBF"], rtol=1e-5)
    with pytest.raises(InputError, match="Point 2 of the arterial input function lies outside"):
        run(tmp_path / "far", frames=[frames], aif_points_ras=[points[0], [999.0, 0, 0]])


def test_frames_that_do_not_belong_together(head, frames, tmp_path):
    moved, four_d = tmp_path / "moved.npy", tmp_path / "four.npy"
    echo = head.series.echoes[0]
    write_volume(Volume(echo[..., 3], head.series.affine + np.eye(4, k=3)), moved)
    write_volume(Volume(echo[..., :3], head.series.affine), four_d)
    for wrong, said in (
        (moved, "Frame 4 of the DSC series lies on another grid"),
        (four_d, "Frame 4 .* series itself"),
    ):
        with pytest.raises(InputError, match=said):
            run(tmp_path, frames=[[*frames[:3], str(wrong), *frames[4:]]])
    with pytest.raises(InputError, match="echo time of the DSC series is unknown"):
        run(tmp_path, frames=[frames], te_ms=None)
    with pytest.raises(InputError, match="time between the frames of the DSC series is unknown"):
        run(tmp_path, frames=[frames], tr_s=None)
    assert not (tmp_path / "out").exists()


def test_reading_frames_can_be_cancelled(frames, tmp_path):
    class Stopper(Silent):
        def progress(self, stage, fraction):
            if stage == "reading" and fraction > 0.04:
                raise Cancelled

    with pytest.raises(Cancelled):
        run(tmp_path, Stopper(), frames=[frames])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"series": ["a.nii"]}, "needs 'series'"),
        ({"frames": []}, "needs 'series'"),
        ({"frames": [[]]}, "needs 'series'"),
        ({"frames": ["a.nii"]}, "needs 'series'"),
        ({"te_s": [0.03]}, "in s and in ms"),
        ({"te_ms": [0.03]}, "looks like seconds. If it is 0.03 s, enter 30 ms"),
        ({"tr_s": 1500}, "looks like milliseconds. If it is 1500 ms, enter 1.5 s"),
        ({"te_ms": ["30"]}, "not numbers.*milliseconds"),
        ({"nawm_region": {"name": "x"}}, "x"),
        ({"nawm_region": {}, "nawm": "a.nii"}, "as a file and as a region"),
        ({"aif_points_ras": []}, "no point"),
        ({"aif_points_ras": [[1, 2]]}, "no position"),
        ({"aif_points_ras": [[1, 2, float("nan")]]}, "no position"),
        ({"aif_points_ras": [[1, 2, 3]], "aif_voxels": [[1, 2, 3]]}, "several ways"),
    ],
)
def test_wrong_parameters_are_refused(changes, said):
    with pytest.raises(InputError, match=said):
        PerfusionRequest.parse({"frames": [["a.npy"]], "output": "out"} | TIMES | changes)
