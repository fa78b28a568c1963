"""Normalised signal against its definition, and what must not change it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HierSynthLib.case import Role
from HierSynthLib.preparation.normalisation import normalise

SHAPE = (24, 24, 24)
BALL = np.linalg.norm(np.indices(SHAPE).T - 11.5, axis=-1) < 10
CORE = np.linalg.norm(np.indices(SHAPE).T - 11.5, axis=-1) < 8
STRUCTURAL = st.sampled_from([Role.T1, Role.T2, Role.FLAIR])


def tissue(seed=0):
    """Grey and white matter, noise, and a rim that does not belong to the brain."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(SHAPE) < 0.5, 70.0, 100.0) + rng.normal(0, 4, SHAPE)
    values[BALL & ~CORE] = 400
    return values.astype(np.float32)


def test_the_scale_is_the_median_and_half_the_range_from_10_to_90_percent_of_the_core():
    values = tissue()
    result, facts = normalise(Role.T1, values, BALL, CORE)
    low, centre, high = np.percentile(values[CORE], (10, 50, 90))
    assert facts["centre"] == pytest.approx(centre)
    assert facts["scale"] == pytest.approx((high - low) / 2)
    np.testing.assert_allclose(result[CORE], np.clip((values[CORE] - centre) / ((high - low) / 2), -5, 5), atol=1e-5)
    np.testing.assert_array_equal(result[~BALL], 0)
    assert result.dtype == np.float32
    assert result.max() == 5


@given(STRUCTURAL, st.floats(1e-3, 1e4), st.floats(-100, 1000))
@settings(max_examples=25, deadline=None)
def test_gain_and_offset_of_the_receiver_change_nothing(role, gain, offset):
    values = tissue().astype(np.float64)
    expected, _ = normalise(role, values.astype(np.float32), BALL, CORE)
    result, _ = normalise(role, (gain * (values + offset)).astype(np.float32), BALL, CORE)
    np.testing.assert_allclose(result, expected, atol=5e-3)


def test_a_lesion_of_a_tenth_of_the_brain_hardly_moves_the_scale():
    values = tissue()
    before = normalise(Role.FLAIR, values, BALL, CORE)[1]
    values[CORE & (np.indices(SHAPE)[0] < 7)] *= 2.5
    assert 0.05 < np.mean(values[CORE] > 150) < 0.15
    after = normalise(Role.FLAIR, values, BALL, CORE)[1]
    assert abs(after["centre"] - before["centre"]) < 0.25 * before["scale"]


@given(st.floats(0, 5))
@settings(max_examples=20, deadline=None)
def test_diffusion_keeps_its_physical_scale(value):
    result, facts = normalise(Role.ADC, np.full(SHAPE, value, np.float32), BALL, CORE)
    assert facts == {"centre": 0.8, "scale": 0.5}
    np.testing.assert_allclose(result[BALL], min(5.0, (value - 0.8) / 0.5), atol=1e-5)


def test_where_nothing_was_acquired_is_0_and_does_not_count():
    values = tissue()
    expected = normalise(Role.T2, values, BALL & (np.indices(SHAPE)[2] < 12), CORE)[1]
    values[:, :, 12:] = np.nan
    result, facts = normalise(Role.T2, values, BALL, CORE)
    assert facts == pytest.approx(expected)
    np.testing.assert_array_equal(result[:, :, 12:], 0)
    assert np.isfinite(result).all()


@pytest.mark.parametrize("values", [np.full(SHAPE, 7.0), np.full(SHAPE, np.nan)], ids=["constant", "not acquired"])
def test_a_volume_without_contrast_becomes_0(values):
    result, facts = normalise(Role.T1, values.astype(np.float32), BALL, CORE)
    np.testing.assert_array_equal(result, 0)
    assert facts["scale"] == 1


def test_a_tiny_brain_is_measured_without_a_core():
    small = np.zeros(SHAPE, bool)
    small[10:13, 10:13, 10:13] = True
    values = tissue()
    _, facts = normalise(Role.T1, values, small, np.zeros(SHAPE, bool))
    assert facts["centre"] == pytest.approx(np.median(values[small]))
