"""Arrival of the bolus and baseline window, against curves whose bolus is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.baseline import find_bolus
from HierSynthLib.perfusion.options import Options
from Testing.unit.test_perfusion_simulation import TR_S, gamma_variate

OPTIONS = Options()


def curve(arrival_frame, drop=0.3, frames=80, noise=0.0, seed=0):
    """Signal of a brain whose bolus arrives just after `arrival_frame` − 1."""
    times = np.arange(frames) * TR_S
    bolus = gamma_variate(times, start=(arrival_frame - 1) * TR_S, shape=3, width=2)
    signal = 1000 * (1 - drop * bolus)
    return signal + np.random.default_rng(seed).normal(scale=noise, size=frames)


@given(st.integers(6, 40), st.floats(0.1, 0.6), st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_the_baseline_ends_before_the_bolus_and_the_arrival_is_within_a_frame(arrival, drop, seed):
    found = find_bolus(curve(arrival, drop, noise=2.0, seed=seed), OPTIONS)
    assert found.stop <= arrival
    assert abs(found.arrival - arrival) <= 1
    assert abs(found.peak - (arrival - 1 + 6 / TR_S)) <= 1.5  # r·b = 6 s after the start
    assert OPTIONS.baseline_min_frames <= found.stop - found.start <= OPTIONS.baseline_max_frames
    assert found.drop == pytest.approx(drop, abs=0.05 * drop + 0.01)


def test_of_a_long_baseline_the_last_twelve_frames_are_used():
    found = find_bolus(curve(40), OPTIONS)
    assert (found.start, found.stop) == (found.arrival - 13, found.arrival - 1)


def test_frames_before_the_steady_state_are_left_out():
    signal = curve(10)
    signal[:3] *= [1.8, 1.25, 1.05]
    found = find_bolus(signal, OPTIONS)
    assert found.steady == 3
    assert found.start == 3
    assert found.drop == pytest.approx(0.3, abs=0.01)


def test_one_dark_frame_is_no_bolus():
    signal = curve(30)
    signal[5] *= 0.5
    found = find_bolus(signal, OPTIONS)
    assert found.arrival == pytest.approx(30, abs=1)


@pytest.mark.parametrize("noise", [0.0, 15.0])
def test_without_a_bolus_the_message_says_so(noise):
    signal = 1000 + np.random.default_rng(1).normal(scale=noise, size=60)
    with pytest.raises(InputError, match="no bolus"):
        find_bolus(signal, OPTIONS)


@pytest.mark.parametrize("arrival", [1, 2, 3])
def test_a_baseline_that_is_too_short_is_named(arrival):
    with pytest.raises(InputError, match="baseline of the DSC series is too short"):
        find_bolus(curve(arrival), OPTIONS)


def unsteady(kind, frames=90, seed=0):
    """Signal without a bolus, disturbed as real series are."""
    signal = 1000 + np.random.default_rng(seed).normal(scale=1.0, size=frames)
    if kind.startswith("drift"):
        signal *= np.linspace(1, 1 - int(kind[6:]) / 100, frames)
    elif kind == "dark frame":
        signal[40] *= 0.3
    elif kind == "two dark frames":
        signal[40:42] *= 0.3
    elif kind == "last frame dark":
        signal[-1] *= 0.3
    elif kind == "last frames dark":
        signal[-2:] *= 0.2
    elif kind == "first frame dark":
        signal[0] *= 0.3
    return signal


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "kind",
    [
        "drift 4", "drift 6", "drift 8", "drift 15", "dark frame", "two dark frames", "last frame dark",
        "last frames dark", "first frame dark",
    ],
)  # fmt: skip
def test_drift_and_artefacts_are_no_bolus(kind, seed):
    with pytest.raises(InputError, match="no bolus"):
        find_bolus(unsteady(kind, seed=seed), OPTIONS)


@pytest.mark.parametrize("drop", [0.12, 0.3])
@pytest.mark.parametrize(
    "kind", ["drift 6", "drift 8", "dark frame", "two dark frames", "last frame dark", "last frames dark"]
)
def test_a_bolus_is_found_in_spite_of_drift_and_artefacts(kind, drop):
    signal = curve(20, drop, frames=90) / 1000 * unsteady(kind)
    found = find_bolus(signal, OPTIONS)
    assert found.arrival == pytest.approx(20, abs=1)
    assert found.peak == pytest.approx(23, abs=1)
    assert found.drop == pytest.approx(drop, abs=0.015)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_a_series_that_ends_within_the_bolus_is_named(beyond):
    """The peak lies in frame 23."""
    with pytest.raises(InputError, match="ends before the bolus has passed"):
        find_bolus(curve(20, noise=2.0)[: 24 + beyond + 1], OPTIONS)


def test_a_short_series_that_ends_while_the_signal_comes_back_is_named():
    """The mean curve of a simulated patient: 39 % down, and a third of that back."""
    tail = [1151, 1096, 965, 825, 741, 716, 736, 783, 840]
    with pytest.raises(InputError, match="ends before the bolus has passed"):
        find_bolus(np.r_[np.full(11, 1159.0), tail], OPTIONS)


def test_a_series_that_begins_within_the_bolus_has_no_baseline():
    with pytest.raises(InputError, match="baseline of the DSC series is too short"):
        find_bolus(curve(20, noise=2.0)[22:], OPTIONS)


def test_late_frames_follow_the_first_pass_and_stay_within_the_series():
    found = find_bolus(curve(20, frames=90), OPTIONS)
    assert found.late(90, 10) == slice(80, 90)
    assert found.late(90, 500) == slice(found.passed, 90)
    assert found.late(found.passed + 5, 10) == slice(found.passed, found.passed + 5)
    assert found.late(found.passed, 10) == slice(found.passed - 3, found.passed)
