"""DSC series: what is accepted, what is refused and in which words; reading it with its timing."""

import json

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from HierSynthLib.dicom_series import write_dicom_series
from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.reading import read_series, sidecar_of
from HierSynthLib.perfusion.series import DscSeries, check_timing
from HierSynthLib.volume import Volume, write_volume

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


def echo(shape=(4, 5, 3, 25), seed=0):
    return np.random.default_rng(seed).uniform(200, 1000, shape).astype(np.float32)


def series(*echoes, te_s=(0.03,), tr_s=1.5):
    return DscSeries(echoes, te_s, tr_s, AFFINE)


def test_a_series_knows_its_grid_frames_and_times():
    found = series(echo())
    assert found.grid == (4, 5, 3)
    assert found.frames == 25
    np.testing.assert_allclose(found.times_s[[0, 1, -1]], [0, 1.5, 36])
    np.testing.assert_allclose(found.spacing, [2, 2, 5])


def test_whole_numbers_are_converted_without_change():
    values = np.random.default_rng(0).integers(0, 900, (4, 4, 2, 20)).astype(np.int16)
    np.testing.assert_array_equal(series(values).echoes[0], values)


def spoil(change):
    values = echo()
    change(values)
    return values


def frame_to_zero(values):
    values[..., 7] = 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (echo((4, 5, 25)), "has 3 dimensions, not 4"),
        (echo((4, 5, 3, 19)), "has 19 frames"),
        (-echo(), "negative in 100.0%"),
        (np.zeros((4, 5, 3, 25)), "no signal in 25 of 25 frames"),
        (spoil(frame_to_zero), "no signal in 1 of 25 frames .the first is frame 8."),
        (np.minimum(echo() * 8, 4095), "saturated"),
        (echo() + 1j, "holds no numbers"),
    ],
    ids=["3-D", "19 frames", "negative", "zero", "empty frame", "saturated", "complex"],
)
def test_what_is_no_dsc_series_is_refused_in_one_line(values, words):
    with pytest.raises(InputError, match=words) as caught:
        series(values)
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("kind", [np.float32, np.int16])
@pytest.mark.parametrize(("top", "slope"), [(1200, 1.0), (1023, 2.5), (1100, 0.3)])
def test_a_series_cut_off_at_any_value_is_refused(top, slope, kind):
    values = np.random.default_rng(0).normal(1000, 80, (20, 20, 5, 25))
    cut = np.minimum(np.rint(values), top) * slope
    with pytest.raises(InputError, match=r"saturated: .* the largest value that was stored") as caught:
        series(cut.astype(kind))
    assert "\n" not in caught.value.message


def test_a_series_that_is_not_cut_off_is_accepted():
    rng = np.random.default_rng(1)
    noisy = rng.normal(1000, 80, (20, 20, 5, 25))
    coarse = np.rint(rng.normal(30, 3, (20, 20, 5, 25)))  # few values, many samples at the largest
    flat = np.repeat(rng.uniform(800, 1000, (20, 20, 5, 1)), 25, axis=3)  # simulated, without noise
    flat[5:] = 1000
    for values in (noisy, np.rint(noisy), coarse, np.minimum(coarse, 40), flat):
        np.testing.assert_allclose(series(values).echoes[0], values, rtol=1e-6)


def test_nan_and_a_few_negative_values_count_as_no_signal():
    values = echo((10, 10, 10, 20))
    values[0, 0, 0, 3], values[1, 0, 0, 4] = np.nan, -2
    found = series(values).echoes[0]
    assert found[0, 0, 0, 3] == 0
    assert found[1, 0, 0, 4] == 0
    np.testing.assert_array_equal(found[2:], values[2:])


@settings(deadline=None)
@given(st.floats(3.1, 200))
def test_an_echo_time_in_milliseconds_is_recognised_and_asked_about(te_ms):
    with pytest.raises(InputError, match="looks like milliseconds") as caught:
        check_timing((te_ms,), 1.5)
    assert f"--te {te_ms / 1000:g}" in caught.value.hint


@settings(deadline=None)
@given(st.floats(201, 6000))
def test_a_repetition_time_in_milliseconds_is_recognised_and_asked_about(tr_ms):
    with pytest.raises(InputError, match="looks like milliseconds") as caught:
        check_timing((0.03,), tr_ms)
    assert f"--tr {tr_ms / 1000:g}" in caught.value.hint


@pytest.mark.parametrize(("te", "tr"), [((0.0,), 1.5), ((0.03,), 0.0), ((float("nan"),), 1.5), ((0.03,), -1)])
def test_absurd_times_are_refused(te, tr):
    with pytest.raises(InputError, match="out of range"):
        check_timing(te, tr)


def test_echoes_must_rise_agree_and_have_a_time_each():
    with pytest.raises(InputError, match="two that rise"):
        series(echo(), echo(), te_s=(0.04, 0.014))
    with pytest.raises(InputError, match="2 echoes and 1 echo times"):
        series(echo(), echo())
    with pytest.raises(InputError, match="differ in size"):
        series(echo(), echo((4, 5, 3, 26)), te_s=(0.014, 0.04))


def test_a_nifti_file_gets_its_timing_from_the_json_beside_it(tmp_path):
    path = tmp_path / "sub-1_dsc.nii.gz"
    write_volume(Volume(echo(), AFFINE), path)
    sidecar = {"EchoTime": 0.029, "RepetitionTime": 1.6, "FlipAngle": 60, "Other": "x"}
    sidecar_of(path).write_text(json.dumps(sidecar), encoding="utf-8")
    found = read_series([path])
    assert (found.te_s, found.tr_s, found.flip_deg) == ((0.029,), 1.6, 60)
    np.testing.assert_array_equal(found.echoes[0], echo())
    assert read_series([path], te_s=[0.05], tr_s=2.0).te_s == (0.05,)


def test_missing_times_are_asked_for_not_guessed(tmp_path):
    path = tmp_path / "dsc.nii"
    write_volume(Volume(echo(), AFFINE), path)
    with pytest.raises(InputError, match=r"echo time of .*dsc.nii is unknown") as caught:
        read_series([path])
    assert "--te" in caught.value.hint
    with pytest.raises(InputError, match="time between the frames") as caught:
        read_series([path], te_s=[0.03])
    assert "--tr" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "cannot be read as JSON"), ("[1]", "no JSON object"), ('{"EchoTime": "30 ms"}', "EchoTime in .* no number")],
)
def test_a_damaged_json_is_named(tmp_path, text, words):
    path = tmp_path / "dsc.nii"
    write_volume(Volume(echo(), AFFINE), path)
    sidecar_of(path).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_series([path])


def test_a_json_in_milliseconds_is_asked_about(tmp_path):
    path = tmp_path / "dsc.nii"
    write_volume(Volume(echo(), AFFINE), path)
    sidecar_of(path).write_text('{"EchoTime": 30, "RepetitionTime": 1.5}', encoding="utf-8")
    with pytest.raises(InputError, match="looks like milliseconds"):
        read_series([path])


def dicom_folder(folder, values, te_ms, tr_ms=1500.0):
    """A series folder with one file per slice and frame."""
    folder.mkdir()
    uid = generate_uid()
    for frame in range(values.shape[3]):
        part = folder.parent / f"{folder.name}-{frame}"
        write_dicom_series(Volume(values[..., frame], AFFINE), part, case_id="x", description="dsc")
        for path in part.iterdir():
            image = pydicom.dcmread(path)
            image.SeriesInstanceUID, image.SOPInstanceUID = uid, generate_uid()
            image.AcquisitionNumber, image.RepetitionTime, image.FlipAngle = frame + 1, tr_ms, 60
            image.EchoTime = te_ms[frame % len(te_ms)]
            image.save_as(folder / f"{frame:03d}-{path.name}")


def test_dicom_times_are_milliseconds(tmp_path):
    values = np.rint(echo((6, 5, 2, 20))).astype(np.int16)
    dicom_folder(tmp_path / "dsc", values, [30.0])
    found = read_series([tmp_path / "dsc"])
    assert (found.te_s, found.tr_s, found.flip_deg) == ((0.03,), 1.5, 60)
    np.testing.assert_array_equal(found.echoes[0], values)


def test_both_echoes_in_one_dicom_folder_are_refused(tmp_path):
    dicom_folder(tmp_path / "dsc", np.rint(echo((6, 5, 2, 20))).astype(np.int16), [14.0, 40.0])
    with pytest.raises(InputError, match=r"several echo times \(14, 40 ms\)"):
        read_series([tmp_path / "dsc"])
