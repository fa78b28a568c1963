"""The worker's job: from files to a folder of maps, masks on other grids, provenance, and nothing half-written."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from HierSynthLib.errors import Cancelled, InputError
from HierSynthLib.perfusion.job import run_job
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.reading import sidecar_of
from HierSynthLib.perfusion.request import PerfusionRequest
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, read_volume, write_volume
from Testing.unit.test_perfusion_head import make_head

STILL = {"motion": False}


def write_series(path, series, number=0):
    write_volume(Volume(series.echoes[number], series.affine), path)
    times = {"EchoTime": series.te_s[number], "RepetitionTime": series.tr_s, "FlipAngle": 30}
    sidecar_of(path).write_text(json.dumps(times), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def head():
    return make_head((22, 27, 10), (6.4, 6.4, 9.6), frames=60)


@pytest.fixture(scope="module")
def dsc(head, tmp_path_factory):
    return write_series(tmp_path_factory.mktemp("Mustermann") / "Mustermann.nii", head.series)


@pytest.fixture(scope="module")
def white(head, tmp_path_factory):
    path = tmp_path_factory.mktemp("masks") / "white.nii"
    write_volume(Volume((head.mask("white") & head.brain).astype(np.uint8), head.series.affine), path)
    return str(path)


def run(tmp_path, reporter=None, **parameters):
    parameters = {"output": str(tmp_path / "out"), "options": STILL} | parameters
    return run_job(parameters, reporter or Silent())


def test_the_folder_holds_what_the_processing_gives(head, dsc, white, tmp_path):
    result = run(tmp_path, series=[dsc], nawm=white)
    expected = process(head.series, Options(motion=False), nawm=head.mask("white") & head.brain)
    assert set(result["maps"]) == set(expected.maps)
    for name, path in result["maps"].items():
        np.testing.assert_array_equal(read_volume(Path(path)).array, expected.maps[name])
    assert result["units"]["nrCBV"] == "nrCBV"
    there = {path.name for path in (tmp_path / "out").iterdir()}
    named = [*result["maps"].values(), *result["masks"].values()]
    named += [result[name] for name in ("curves", "qc", "run", "description")]
    assert there == {Path(path).name for path in named}
    assert result["aif"]["voxels"] == expected.aif.voxels.tolist()
    assert json.loads(Path(result["qc"]).read_text("utf-8")) == result["quality"]


def test_the_run_is_described_without_names(dsc, white, tmp_path):
    result = run(tmp_path, series=[dsc], nawm=white, simulated=True, options=STILL | {"late_frames": 8})
    text = Path(result["run"]).read_text("utf-8")
    described = json.loads(text)
    assert "Mustermann" not in text
    assert str(tmp_path) not in text
    assert described["inputs"]["echo 1"]["sha256"] == hashlib.sha256(Path(dsc).read_bytes()).hexdigest()
    assert set(described["inputs"]) == {"echo 1", "nawm"}
    assert described["series"]["te_s"] == [0.03]
    assert described["series"]["flip_deg"] == 30
    assert described["simulated"] is True
    assert Options.from_json(described["options"]) == Options(motion=False, late_frames=8)
    assert described["libraries"]["numpy"] == np.__version__


def test_given_times_replace_those_of_the_file(dsc, tmp_path):
    result = run(tmp_path, series=[dsc], te_s=[0.025], tr_s=2, flip_deg=60)
    series = json.loads(Path(result["run"]).read_text("utf-8"))["series"]
    assert (series["te_s"], series["tr_s"], series["flip_deg"]) == ([0.025], 2.0, 60.0)


def test_two_echoes(tmp_path):
    head = make_head((22, 27, 10), (6.4, 6.4, 9.6), frames=60, te_s=(0.014, 0.04))
    files = [write_series(tmp_path / f"echo{number}.nii", head.series, number) for number in (0, 1)]
    result = run(tmp_path, series=files)
    expected = process(head.series, Options(motion=False))
    np.testing.assert_array_equal(read_volume(Path(result["maps"]["rCBV"])).array, expected.maps["rCBV"])
    assert set(json.loads(Path(result["run"]).read_text("utf-8"))["inputs"]) == {"echo 1", "echo 2"}
    with pytest.raises(InputError, match="rise"):
        run(tmp_path / "swapped", series=files[::-1])


# --- masks and AIF ---------------------------------------------------------------------------------------------------


def test_masks_on_another_grid_are_brought_onto_the_series(head, dsc, tmp_path):
    affine = head.series.affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = head.series.affine[:3, 3] - head.series.affine[:3, :3] @ [0.25, 0.25, 0.25]
    for name, mask in (("white", head.mask("white") & head.brain), ("brain", head.brain)):
        doubled = np.kron(mask, np.ones((2, 2, 2), bool)).astype(np.uint8)
        write_volume(Volume(doubled, affine), tmp_path / f"{name}.nii")
    reporter = Silent()
    result = run(tmp_path, reporter, series=[dsc], nawm=str(tmp_path / "white.nii"), brain=str(tmp_path / "brain.nii"))
    assert sum("another grid" in warning for warning in reporter.warnings) == 2
    assert sum("another grid" in warning for warning in result["quality"]["warnings"]) == 2
    brain = read_volume(Path(result["masks"]["brain_mask"])).array > 0
    assert np.count_nonzero(brain ^ head.brain) < 0.1 * np.count_nonzero(head.brain)
    nrcbv = read_volume(Path(result["maps"]["nrCBV"])).array
    assert nrcbv[head.mask("white") & brain].mean() == pytest.approx(1, abs=0.05)


def test_a_brain_mask_is_taken_as_it_is(head, dsc, tmp_path):
    part = head.brain & (head.positions[..., 0] > 0)
    write_volume(Volume(part.astype(np.float32), head.series.affine), tmp_path / "brain.nii")
    reporter = Silent()
    result = run(tmp_path, reporter, series=[dsc], brain=str(tmp_path / "brain.nii"))
    np.testing.assert_array_equal(read_volume(Path(result["masks"]["brain_mask"])).array > 0, part)
    assert not any("another grid" in warning for warning in reporter.warnings)


def test_one_label_of_several(head, dsc, tmp_path):
    labels = 1 * head.mask("tumour") + 4 * head.mask("white")
    write_volume(Volume(labels.astype(np.int16), head.series.affine), tmp_path / "roi.nii")
    roi = str(tmp_path / "roi.nii")
    result = run(tmp_path, series=[dsc], nawm=roi, nawm_label=4)
    nrcbv = read_volume(Path(result["maps"]["nrCBV"])).array
    inside = head.mask("white") & (read_volume(Path(result["masks"]["brain_mask"])).array > 0)
    assert nrcbv[inside].mean() == pytest.approx(1, rel=1e-3)
    with pytest.raises(InputError, match=r"several values \(1, 4\)"):
        run(tmp_path / "a", series=[dsc], nawm=roi)
    with pytest.raises(InputError, match="without the label 9"):
        run(tmp_path / "b", series=[dsc], nawm=roi, nawm_label=9)


def test_voxels_and_a_mask_of_them_are_the_same_aif(head, dsc, tmp_path):
    voxels = np.argwhere(head.mask("artery"))[:3]
    mask = np.zeros(head.series.grid, np.uint8)
    mask[tuple(voxels.T)] = 1
    write_volume(Volume(mask, head.series.affine), tmp_path / "aif.nii")
    by_voxels = run(tmp_path / "a", series=[dsc], aif_voxels=voxels.tolist())
    by_mask = run(tmp_path / "b", series=[dsc], aif_mask=str(tmp_path / "aif.nii"))
    assert by_voxels["aif"] == by_mask["aif"]
    assert by_voxels["aif"]["method"] == "given"
    expected = process(head.series, Options(motion=False), aif_voxels=voxels)
    np.testing.assert_array_equal(read_volume(Path(by_mask["maps"]["CBF"])).array, expected.maps["CBF"])


def test_without_an_aif_there_are_relative_maps_and_a_warning(dsc, tmp_path):
    reporter = Silent()
    result = run(tmp_path, reporter, series=[dsc], options=STILL | {"aif_peak_snr": 1e6})
    assert result["aif"] is None
    assert {"rCBV", "rCBV_standardised", "K2", "TTP", "PSR"} <= set(result["maps"])
    assert not {"CBV", "CBF", "MTT", "Tmax"} & set(result["maps"])
    assert "aif_mask" not in result["masks"]
    assert any("No arterial input function was found" in warning for warning in reporter.warnings)


def test_an_aif_of_the_wrong_size_is_told(head, dsc, tmp_path):
    weakest = np.argwhere(head.mask("white") & head.brain)[100:101]
    result = run(tmp_path, series=[dsc], aif_voxels=weakest.tolist())
    assert any("Absolute CBV and CBF are implausible" in warning for warning in result["quality"]["warnings"])


def broken(kind, head, folder):
    path = folder / f"{kind}.nii"
    shape, affine = head.series.grid, head.series.affine
    arrays = {
        "empty": np.zeros(shape, np.uint8),
        "series": np.ones((*shape, 2), np.uint8),
        "elsewhere": np.ones(shape, np.uint8),
        "fine": np.ones([2 * count for count in shape], np.uint8),
    }
    moved = affine.copy()
    moved[0, 3] += 5000 if kind == "elsewhere" else 0
    write_volume(Volume(arrays[kind], moved), path)
    return str(path)


@pytest.mark.parametrize(
    ("parameter", "kind", "said"),
    [
        ("brain", "empty", "is empty"),
        ("nawm", "series", "has 4 dimensions"),
        ("brain", "elsewhere", "holds no voxel of the DSC series"),
        ("aif_mask", "fine", "another grid"),
        ("aif_mask", "empty", "is empty"),
    ],
)
def test_masks_that_cannot_be_used(head, dsc, tmp_path, parameter, kind, said):
    with pytest.raises(InputError, match=said):
        run(tmp_path, series=[dsc], **{parameter: broken(kind, head, tmp_path)})
    assert not (tmp_path / "out").exists()


# --- the request -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"series": []}, "needs 'series'"),
        ({"series": [3]}, "needs 'series'"),
        ({"output": None}, "needs 'series'"),
        ({"colour": "red"}, "Unknown parameter 'colour'"),
        ({"tr_s": "1.5"}, "'tr_s'"),
        ({"tr_s": True}, "'tr_s'"),
        ({"te_s": ["a"]}, "not numbers"),
        ({"flip_deg": 0}, "flip angle of 0° is out of range"),
        ({"format": "dcm"}, "'dcm'"),
        ({"aif_voxels": [[1, 2]]}, "no voxel"),
        ({"aif_voxels": [[1, 2, 3.5]]}, "no voxel"),
        ({"aif_voxels": []}, "empty"),
        ({"aif_voxels": [[1, 2, 3]], "aif_mask": "a.nii"}, "one or the other"),
        ({"nawm_label": 4}, "no file with white matter"),
        ({"options": {"colour": 1}}, "'colour'"),
        ({"options": {"leakage": "some"}}, "leakage = 'some'"),
    ],
)
def test_wrong_parameters_are_refused(changes, said):
    with pytest.raises(InputError, match=said):
        PerfusionRequest.parse({"series": ["a.nii"], "output": "out"} | changes)


def test_none_is_what_is_not_given():
    request = PerfusionRequest.parse({"series": ["a.nii"], "output": "out", "te_s": None, "brain": None})
    assert request == PerfusionRequest.parse({"series": ["a.nii"], "output": "out"})
    assert request.options == Options()


@pytest.mark.parametrize("stage", ["reading", "relaxation", "maps", "writing"])
def test_cancelled_leaves_nothing(dsc, tmp_path, stage):
    class Impatient(Silent):
        def progress(self, now, fraction):
            if now == stage:
                raise Cancelled

    with pytest.raises(Cancelled):
        run(tmp_path, Impatient(), series=[dsc])
    assert not list(tmp_path.iterdir())


def test_progress_rises(dsc, tmp_path):
    told = []

    class Listening(Silent):
        def progress(self, stage, fraction):
            told.append(fraction)

    run(tmp_path, Listening(), series=[dsc])
    assert told == sorted(told)
    assert told[-1] == 1.0
