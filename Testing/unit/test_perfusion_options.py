"""Options, summary parameters and scales of relative CBV."""

import json
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.normalisation import (
    LANDMARK_PERCENTILES,
    REFERENCE_SCALE,
    landmarks,
    normalise_to_white_matter,
    standardise,
)
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.summary import peak_of, signal_recovery


def test_options_survive_json():
    options = Options(leakage="bidirectional", aif_blood=(0.5, 2.6), integration_s=60.0, motion=False, threads=4)
    assert Options.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert Options.from_json({}) == Options()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"leakge": "bsw"}, "'leakge' .* unknown"),
        ({"leakage": "bws"}, "leakage = 'bws' is unknown"),
        ({"deconvolution": 3}, "wrong kind"),
        ({"motion": 1}, "wrong kind"),
        ({"threads": 0}, "out of range"),
        ({"threads": 1.5}, "wrong kind"),
        ({"csvd_threshold": float("nan")}, "out of range"),
        ({"aif_blood": [1]}, "not a pair"),
        ({"baseline_min_frames": 20}, "baseline_max_frames"),
        ({"integration_s": 0.1}, "out of range"),
        ({"integration_s": float("inf")}, "out of range"),
        ({"taper_s": float("inf")}, "taper_s = inf is out of range"),
        ({"non_enhancing_sd": float("inf")}, "out of range"),
        ({"aif_blood": [0, 0]}, "aif_blood = 0 is out of range"),
        ({"aif_blood": [-1, 0]}, "out of range"),
        ({"aif_blood": [0.5, -0.1]}, "out of range"),
        ({"aif_blood": [0.5, float("nan")]}, "out of range"),
        ({"aif_least_signal": 1e6}, "out of range"),
        ({"aif_least_signal": -1}, "out of range"),
        ({"baseline_guard_frames": 30}, "out of range"),
        ({"late_frames": 10**400}, "out of range"),
        ({"signal_floor": 0}, "out of range"),
        ({"leakage_transits_s": 6}, "not a list"),
        ({"leakage_transits_s": [3, 0]}, "out of range"),
        ({"leakage_transits_s": [1, 2, 3, 4, 5]}, "has 5 values"),
    ],
)
def test_what_cannot_be_meant_is_refused(content, words):
    with pytest.raises(InputError, match=words) as caught:
        Options.from_json(content)
    assert caught.value.hint


def test_the_blood_factor_is_that_of_the_formula():
    assert Options().blood_factor == pytest.approx(100 * 0.73 / 1.04)


def test_time_to_peak_lies_between_frames():
    times = np.arange(30) * 1.5
    peaks = np.linspace(12, 30, 17)
    curves = (10 - 0.4 * (times - peaks[:, None]) ** 2).astype(np.float32)
    height, found = peak_of(curves, 1.5)
    np.testing.assert_allclose(found, peaks, atol=1e-3)
    np.testing.assert_allclose(height, curves.max(axis=1))


def test_signal_recovery():
    lowest, late = np.array([0.5, 0.6, 1.0], np.float32), np.array([0.9, 1.2, 1.0], np.float32)
    np.testing.assert_allclose(signal_recovery(lowest, late), [80, 150, 0], rtol=1e-5)


@settings(deadline=None)
@given(st.floats(0.01, 1000))
def test_normalised_cbv_does_not_depend_on_the_scale(scale):
    rcbv = np.random.default_rng(0).gamma(3, 1, (20, 20, 5)).astype(np.float32)
    white = np.zeros(rcbv.shape, bool)
    white[:5] = True
    found, mean = normalise_to_white_matter(rcbv * np.float32(scale), white)
    np.testing.assert_allclose(found, rcbv / rcbv[white].mean(), rtol=1e-4)
    assert mean == pytest.approx(scale * rcbv[white].mean(), rel=1e-4)


def test_white_matter_that_is_too_small_or_has_no_cbv_is_refused():
    rcbv = np.ones((10, 10, 10), np.float32)
    with pytest.raises(InputError, match="has 1 voxels"):
        normalise_to_white_matter(rcbv, rcbv.cumsum().reshape(rcbv.shape) == 1)
    with pytest.raises(InputError, match="not positive"):
        normalise_to_white_matter(-rcbv, rcbv > 0)


@settings(deadline=None)
@given(st.floats(0.05, 50), st.floats(-5, 5))
def test_standardised_cbv_does_not_depend_on_gain_and_offset(gain, offset):
    rcbv = np.random.default_rng(1).gamma(3, 1, (20, 20, 10)).astype(np.float32)
    brain = np.ones(rcbv.shape, bool)
    found = standardise(rcbv * np.float32(gain) + np.float32(offset), brain)
    np.testing.assert_allclose(found, standardise(rcbv, brain), atol=0.02)
    np.testing.assert_allclose(np.percentile(found, LANDMARK_PERCENTILES), REFERENCE_SCALE, atol=0.02)


def test_standardising_keeps_the_order_of_the_values():
    rcbv = np.random.default_rng(2).gamma(2, 1, (30, 30, 5)).astype(np.float32)
    found = standardise(rcbv, np.ones(rcbv.shape, bool)).ravel()
    assert np.all(np.diff(found[np.argsort(rcbv, axis=None)]) >= -1e-6)


def test_standardising_needs_a_brain_with_variation():
    with pytest.raises(InputError, match="too few"):
        landmarks(np.ones((5, 5, 5), np.float32), np.ones((5, 5, 5), bool))
    with pytest.raises(InputError, match="nearly constant"):
        landmarks(np.ones((15, 15, 15), np.float32), np.ones((15, 15, 15), bool))


def test_options_series_and_units_need_only_numpy():
    """Slicer's process imports them to offer the options and to check a series."""
    code = (
        "import sys; from HierSynthLib.perfusion import options, series, units;"
        "print(sorted({'scipy', 'SimpleITK', 'torch', 'pydicom'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


NUMBERS = [field.name for field in fields(Options) if isinstance(field.default, float) or field.name == "integration_s"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_no_number_may_be_infinite_or_negative(name, value):
    with pytest.raises(InputError, match=f"{name} = .* is out of range"):
        Options.from_json({name: value})
