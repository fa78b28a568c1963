"""Timing of a DSC series: read only where it is missing, compared with everything else that states it."""

import json

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from HierSynthLib.dicom_series import write_dicom_series
from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.job import run_job
from HierSynthLib.perfusion.reading import is_simulated, read_series, read_timing, sidecar_of
from HierSynthLib.perfusion.timing import frame_distance
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, write_volume
from Testing.unit.test_perfusion_head import make_head

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
FRAMES = 24
TIMES = {"te_s": (0.03,), "tr_s": 1.5}


def echo(shape=(4, 5, 2, FRAMES)):
    return np.random.default_rng(0).integers(200, 1000, shape).astype(np.int16)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "Doe_John.nii.gz"
    write_volume(Volume(echo(), AFFINE), path)
    return path


def say(path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    sidecar_of(path).write_text(text, encoding="utf-8")


def read(path, **options):
    told = []
    return read_series([path], **options, told=told), told


@pytest.fixture
def dicom(tmp_path):
    """Make a series folder: `change(image, frame)` is called for each image before it is written."""

    def make(change, frames=FRAMES, name="dsc"):
        folder = tmp_path / name
        folder.mkdir()
        uid, number = generate_uid(), 0
        values = echo()
        for frame in range(frames):
            part = tmp_path / f"{name}-{frame}"
            write_dicom_series(Volume(values[..., frame], AFFINE), part, case_id="x", description="dsc")
            for path in sorted(part.iterdir()):
                number += 1
                image = pydicom.dcmread(path)
                image.SeriesInstanceUID, image.SOPInstanceUID = uid, generate_uid()
                image.InstanceNumber, image.EchoTime, image.RepetitionTime = number, "30", "1500"
                change(image, frame)
                image.save_as(folder / f"{number:04d}.dcm")
        return folder

    return make


def clock(seconds):
    return f"{int(seconds // 3600) % 24:02d}{int(seconds // 60) % 60:02d}{seconds % 60:09.6f}"


# --- files with a JSON ------------------------------------------------------------------------------------------------

HUGE = '{"EchoTime": 1' + "0" * 400 + ', "RepetitionTime": 1.5}'


@pytest.mark.parametrize(
    "content",
    ["{broken", "[1]", {"EchoTime": "0.03", "RepetitionTime": 1.5}, HUGE],
    ids=["text", "list", "word", "huge"],
)
def test_a_json_that_is_no_good_does_not_matter_where_both_times_are_given(image, content):
    say(image, content)
    with pytest.raises(InputError, match=r"JSON|no number") as caught:
        read(image)
    assert "--te and --tr" in caught.value.hint
    series, told = read(image, **TIMES)
    assert (series.te_s, series.tr_s) == ((0.03,), 1.5)
    assert "that was given, 0.03 s, is used; that of the JSON beside the series cannot be" in told[0]


def test_only_what_is_missing_is_read(image):
    say(image, {"EchoTime": "short", "RepetitionTime": 1.5, "FlipAngle": "flat"})
    series, _ = read(image, te_s=(0.03,))
    assert (series.te_s, series.tr_s, series.flip_deg) == ((0.03,), 1.5, None)
    with pytest.raises(InputError, match=r"EchoTime in .* no number: 'short'"):
        read(image, tr_s=1.5)


def test_given_times_win_and_the_others_are_named(image):
    say(image, {"EchoTime": 0.045, "RepetitionTime": 2.0})
    series, told = read(image, **TIMES)
    assert (series.te_s, series.tr_s) == ((0.03,), 1.5)
    assert told == [
        "The echo time that was given, 0.03 s, is used; the JSON beside the series says 0.045 s.",
        "The time between frames that was given, 1.5 s, is used; the JSON beside the series says 2 s.",
    ]
    say(image, {"EchoTime": 0.0301, "RepetitionTime": 1.501})
    assert read(image, **TIMES)[1] == []


@pytest.mark.parametrize(
    ("step", "unit", "told"),
    [(3.0, "sec", True), (3000, "msec", True), (1.5, "sec", False), (1500, "msec", False), (1.0, "sec", False)],
)
def test_the_time_in_a_nifti_header_is_compared_and_never_taken(tmp_path, step, unit, told):
    """1 s stands in every file of a program that knows no time."""
    path = tmp_path / "dsc.nii.gz"
    header = nibabel.Nifti1Image(echo(), AFFINE)
    header.header.set_zooms((2, 2, 5, step))
    header.header.set_xyzt_units("mm", unit)
    nibabel.save(header, path)
    with pytest.raises(InputError, match=r"time between the frames .* is unknown"):
        read(path, te_s=(0.03,))
    series, said = read(path, **TIMES)
    assert series.tr_s == 1.5
    assert ["its frames are 3 s apart; 1.5 s is used" in each for each in said] == [True] * told


def test_the_header_is_looked_at_before_times_are_asked_for(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no DICOM images"):
        read(tmp_path / "empty")
    write_volume(Volume(echo()[..., 0], AFFINE), tmp_path / "t1.nii")
    with pytest.raises(InputError, match="has 3 dimensions, not 4"):
        read(tmp_path / "t1.nii")
    write_volume(Volume(echo()[..., :19], AFFINE), tmp_path / "short.nii")
    with pytest.raises(InputError, match="has 19 frames"):
        read(tmp_path / "short.nii")


# --- DICOM ------------------------------------------------------------------------------------------------------------


def test_repetition_times_that_differ_by_rounding_are_one(dicom):
    def change(image, frame):
        image.RepetitionTime = "1500" if frame % 3 else "1500.5"

    assert read(dicom(change))[0].tr_s == 1.5


def test_repetition_times_that_differ_are_asked_about_unless_given(dicom):
    def change(image, frame):
        image.RepetitionTime = "1500" if frame % 3 else "1600"

    folder = dicom(change)
    with pytest.raises(InputError, match=r"different repetition times \(1.5 to 1.6 s\)"):
        read(folder)
    assert read(folder, tr_s=1.5)[0].tr_s == 1.5


@pytest.mark.parametrize("name", ["TriggerTime", "AcquisitionTime", "ContentTime"])
def test_frames_at_other_distances_than_their_repetition_time_are_asked_about(dicom, name):
    def change(image, frame):
        # Slices of a frame are not taken at the same time; midnight passes after ten frames.
        seconds = 3.0 * frame + 0.1 * (image.InstanceNumber % 2)
        setattr(image, name, f"{1000 * seconds:g}" if name == "TriggerTime" else clock(86370 + seconds))

    folder = dicom(change)
    with pytest.raises(InputError, match=r"3 s apart, but their repetition time is 1\.5 s") as caught:
        read(folder)
    assert "--tr" in caught.value.hint
    assert read(folder, tr_s=3.0)[0].tr_s == 3.0
    series, told = read(folder, tr_s=1.5)
    assert series.tr_s == 1.5
    assert told == ["The time between frames that was given, 1.5 s, is used; DICOM says 3 s."]


@pytest.mark.parametrize(("step", "expected"), [(1.503, 1.5), (1.54, 1.54), (None, 1.5)])
def test_times_that_agree_are_no_matter(dicom, step, expected):
    """Where nothing but the times differs, they are more exact; a scanner that writes one time for all says nothing."""

    def change(image, frame):
        image.AcquisitionTime = clock(43200 + (step or 0) * frame)

    series, told = read(dicom(change))
    assert series.tr_s == pytest.approx(expected)
    assert told == []


def test_without_a_repetition_time_the_distance_of_the_frames_counts(dicom):
    def change(image, frame):
        image.RepetitionTime = None
        image.AcquisitionTime = clock(43200 + int(1.5 * frame))  # whole seconds

    assert read(dicom(change))[0].tr_s == pytest.approx(1.5, rel=0.03)


def test_frames_that_are_not_even_are_told(dicom):
    def change(image, frame):
        image.AcquisitionTime = clock(43200.25 + 1.5 * frame + 4.5 * (frame > 9))

    series, told = read(dicom(change))
    assert series.tr_s == 1.5
    assert told == ["The frames are not evenly spaced in time: they were taken 1.5 to 6 s apart."]


def test_what_a_host_gets_is_what_is_read(dicom):
    folder = dicom(lambda image, frame: None)
    assert (read_timing(folder).te_s, read_timing(folder).tr_s) == (0.03, 1.5)


@given(st.floats(0.3, 5), st.integers(20, 120), st.floats(0, 1e5))
def test_even_times_have_their_distance(step, count, start):
    times = start + step * np.arange(count)
    assert frame_distance(times) == pytest.approx(step, rel=1e-5)
    assert frame_distance(np.floor(times), 1.0) == pytest.approx(step, rel=1 / step / (count - 1) + 1e-5)
    times[count // 2 :] += 0.4 * step + 1e-3
    assert frame_distance(times) is None
    assert frame_distance(times[::-1]) is None


def mark_by_type(image, frame):
    image.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "NORM", "MOSAIC"]


def mark_by_count(image, frame):
    image.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 31)


def mark_by_count_alone(image, frame):
    image.add_new((0x0019, 0x100A), "US", 31)


def mark_of_another_maker(image, frame):
    image.private_block(0x0019, "GEMS_ACQU_01", create=True).add_new(0x0A, "US", 31)


@pytest.mark.parametrize("mark", [mark_by_type, mark_by_count, mark_by_count_alone])
def test_siemens_mosaics_are_refused(dicom, mark):
    """All slices side by side in one image would be taken for one large slice."""
    with pytest.raises(InputError, match="Siemens mosaics") as caught:
        read(dicom(mark))
    assert "dcm2niix" in caught.value.hint


def test_a_private_element_of_another_maker_is_no_mosaic(dicom):
    assert read(dicom(mark_of_another_maker))[0].grid == (4, 5, 2)


# --- what the files say of themselves ---------------------------------------------------------------------------------


def test_a_simulated_series_is_known_without_its_case(tmp_path, image):
    assert not is_simulated(image)
    say(image, {"EchoTime": 0.03, "Simulated": True})
    assert is_simulated(image)
    for content in ({"Simulated": "no"}, {"Simulated": False}, "{broken"):
        say(image, content)
        assert not is_simulated(image)
    for name in ("a.nii", "a.nii.gz"):
        write_volume(Volume(echo(), AFFINE), tmp_path / name, description="SIMULATED DSC")
        assert is_simulated(tmp_path / name)
    assert not is_simulated(tmp_path)


def test_warnings_are_kept_with_the_result_and_name_no_file(tmp_path):
    head = make_head((16, 20, 8), (8.0, 8.0, 11.0), frames=60).series
    path = tmp_path / "Doe_John.nii.gz"
    write_volume(Volume(np.rint(head.echoes[0]).astype(np.int16), head.affine), path, frame_s=4.0)
    say(path, {"EchoTime": 0.02, "RepetitionTime": "1.5"})
    reporter = Silent()
    parameters = {"series": [str(path)], "output": str(tmp_path / "out"), "te_s": [0.03], "tr_s": 1.5}
    run_job(parameters | {"options": {"motion": False}}, reporter)
    kept = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["warnings"]
    for words in ("says 0.02 s", "between frames that was given, 1.5 s, is used; that of", "its frames are 4 s apart"):
        assert any(words in warning for warning in reporter.warnings)
        assert any(words in warning for warning in kept)
    assert not any("Doe" in warning or str(tmp_path) in warning for warning in kept)
