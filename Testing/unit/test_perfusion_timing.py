"""Echo time and time between frames: read where a node states them, never guessed, checked when they are entered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.timing import check_entered, index_of_frames, stated_timing

TE, TR, FLIP = (f"MultiVolume.DICOM.{name}" for name in ("EchoTime", "RepetitionTime", "FlipAngle"))
LABELS, UNIT = "MultiVolume.FrameLabels", "MultiVolume.FrameIdentifyingDICOMTagUnits"
TAG = "MultiVolume.FrameIdentifyingDICOMTagName"


def times(step, count=30):
    return [f"{step * number:g}" for number in range(count)]


def test_what_dicom_states_is_read():
    found = stated_timing({TE: "30", TR: "1500", FLIP: "60"}, (), "")
    assert (found.te_ms, found.tr_s, found.flip_deg, found.note) == (30.0, 1.5, 60.0, "")


@pytest.mark.parametrize(
    ("attributes", "values", "unit", "tr_s"),
    [
        ({}, times(1.25), "s", 1.25),
        ({}, times(1250), "ms", 1.25),
        ({LABELS: ",".join(times(1250)), UNIT: "ms"}, times(1), "", 1.25),
        ({LABELS: ",".join(times(1250)), UNIT: "ms", TR: "1250"}, (), "", 1.25),
        # What is no time: frame numbers, another unit, none, uneven, backwards, text.
        ({}, times(1), "s", None),
        ({}, [str(number) for number in range(1, 31)], "s", None),
        ({}, times(1.25), "", None),
        ({}, times(30), "degrees", None),
        ({}, ["0", "1.5", "4.5", "6"], "s", None),
        ({}, ["3", "1.5", "0"], "s", None),
        ({}, ["one", "two"], "s", None),
        ({}, ["0"], "s", None),
        ({TR: ""}, (), "", None),
        ({TR: "0"}, (), "", None),
        ({TR: "nan"}, (), "", None),
        ({TR: None}, (), "", None),
    ],
)
def test_the_time_between_frames_is_that_of_the_frames(attributes, values, unit, tr_s):
    assert stated_timing(attributes, values, unit).tr_s == tr_s


def test_two_statements_that_differ_are_asked_about():
    found = stated_timing({TR: "500"}, times(1.5), "s")
    assert found.tr_s is None
    assert "1.5 s apart, but the repetition time is 0.5 s" in found.note


UNEVEN = ["0", "1500", "4500", "6000", "7500"]
"""Milliseconds, 1.875 s apart on average."""


@pytest.mark.parametrize(("repetition", "tr_s"), [("1875", 1.875), ("1800", 1.8), ("1500", None), ("2000", None)])
def test_uneven_times_are_taken_where_their_mean_is_the_repetition_time(repetition, tr_s):
    found = stated_timing({LABELS: ",".join(UNEVEN), UNIT: "ms", TR: repetition}, (), "")
    assert found.tr_s == tr_s
    asked = f"1.875 s apart on average, but the repetition time is {int(repetition) / 1000:.4g} s"
    assert (asked in found.note) == (tr_s is None)


def test_uneven_times_alone_are_asked_about():
    found = stated_timing({}, UNEVEN, "ms")
    assert found.tr_s is None
    assert "uneven" in found.note


@pytest.mark.parametrize("tag", ["AcquisitionTime", "TriggerTime", "ContentTime", "SeriesTime", "Time"])
def test_times_of_any_time_tag_are_taken(tag):
    assert stated_timing({LABELS: ",".join(times(1250)), TAG: tag, UNIT: "ms"}, (), "").tr_s == 1.25


def test_start_times_in_seconds_are_taken():
    assert stated_timing({LABELS: ",".join(times(1.25)), TAG: "DeltaStartTime", UNIT: "sec"}, (), "").tr_s == 1.25


@pytest.mark.parametrize(("tag", "unit"), [("EchoTime", "ms"), ("FlipAngle", "degrees")])
def test_what_is_no_time_of_a_frame_is_not_taken_for_one(tag, unit):
    assert stated_timing({LABELS: ",".join(times(1250)), TAG: tag, UNIT: unit}, (), "").tr_s is None


def test_frames_that_are_only_counted_leave_the_repetition_time_and_say_so():
    labels = ",".join(times(1))
    found = stated_timing({LABELS: labels, TAG: "TemporalPositionIdentifier", UNIT: "count", TR: "1500"}, (), "")
    assert found.tr_s == 1.5
    assert "DICOM's repetition time" in found.note


def test_times_that_are_rounded_are_even():
    values = [f"{1.4857 * number:.2f}" for number in range(60)]
    assert stated_timing({}, values, "s").tr_s == pytest.approx(1.4857, abs=0.002)


@given(
    st.floats(0.005, 0.1) | st.none(), st.floats(0.3, 3) | st.none(), st.floats(10, 90) | st.none(), st.integers(20, 99)
)
def test_what_is_written_is_read_again(te_s, tr_s, flip_deg, frames):
    values, unit, attributes = index_of_frames(frames, te_s, tr_s, flip_deg)
    assert len(set(values)) == frames
    found = stated_timing(attributes, values, unit)
    assert found.te_ms == (None if te_s is None else pytest.approx(1000 * te_s, rel=1e-6))
    assert found.tr_s == (None if tr_s is None else pytest.approx(tr_s, rel=1e-5))
    assert found.flip_deg == (None if flip_deg is None else pytest.approx(flip_deg, rel=1e-6))


@given(st.floats(3, 200), st.floats(0.2, 6))
def test_sensible_times_are_taken(te_ms, tr_s):
    check_entered([te_ms], tr_s)


@given(st.floats(0.003, 0.2))
def test_an_echo_time_in_seconds_is_asked_about(te_s):
    with pytest.raises(InputError, match="ms, which looks like seconds") as caught:
        check_entered([te_s], 1.5)
    assert f"enter {1000 * te_s:g} ms" in caught.value.hint


@given(st.floats(200.1, 6000))
def test_a_time_between_frames_in_milliseconds_is_asked_about(tr_ms):
    with pytest.raises(InputError, match="s, which looks like milliseconds") as caught:
        check_entered([30], tr_ms)
    assert f"enter {tr_ms / 1000:g} s" in caught.value.hint


@pytest.mark.parametrize(
    ("te", "tr"), [(0, 1.5), (np.nan, 1.5), (900, 1.5), (-3, 1.5), (30, 0), (30, 50), (30, np.inf)]
)
def test_absurd_times_are_refused(te, tr):
    with pytest.raises(InputError, match="out of range"):
        check_entered([te], tr)
