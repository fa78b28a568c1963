"""Agreement measures against published examples, scipy and scikit-image."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from skimage import metrics

from HierSynthLib.fidelity.measures.agreement import (
    agreement,
    bland_altman,
    correlation,
    fisher_interval,
    histogram_distance,
    rank_correlation,
    relative_bias,
)
from HierSynthLib.fidelity.measures.effective import EffectiveCounts

# Peak expiratory flow of 17 subjects in l/min, Wright's large meter and the mini meter, first readings: the example of
# Bland & Altman, Lancet 1986;1:307–310.
WRIGHT = np.array([494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427], float)
MINI = np.array([512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451], float)

COUNTS = EffectiveCounts(20.0, 15.0)
PAIRS = st.lists(st.tuples(st.floats(0, 8, width=32), st.floats(0, 8, width=32)), min_size=3, max_size=50)


def test_the_published_example_of_bland_and_altman():
    found = bland_altman(WRIGHT - MINI, 17)
    assert found["ba_bias"] == pytest.approx(-2.1, abs=0.05)
    assert (WRIGHT - MINI).std(ddof=1) == pytest.approx(38.8, abs=0.05)
    assert (found["ba_bias_low"], found["ba_bias_high"]) == pytest.approx((-22.0, 17.8), abs=0.1)
    # They print −79.7 and 75.5 with 2 SD for 1.96 SD, and −114.3 to −45.1 for the lower limit with 3 s²/n.
    assert found["ba_lower"] == pytest.approx(-79.7, abs=2)
    assert found["ba_upper"] == pytest.approx(75.5, abs=2)
    assert (found["ba_lower_low"], found["ba_lower_high"]) == pytest.approx((-114.3, -45.1), abs=3)


def test_the_published_correlation_and_concordance_of_the_same_example():
    found = correlation(WRIGHT, MINI, 17)
    assert found["pearson_r"] == pytest.approx(0.943, abs=5e-4)
    assert found["ccc"] == pytest.approx(0.943, abs=5e-4)


def test_limits_are_missed_as_often_as_their_intervals_say():
    random = np.random.default_rng(0)
    true, hits = -1.96, {"ba_bias": 0, "ba_lower": 0}
    for _ in range(2000):
        found = bland_altman(random.standard_normal(30), 30)
        hits["ba_bias"] += found["ba_bias_low"] <= 0 <= found["ba_bias_high"]
        hits["ba_lower"] += found["ba_lower_low"] <= true <= found["ba_lower_high"]
    for count in hits.values():
        assert count / 2000 == pytest.approx(0.95, abs=0.015)


@given(PAIRS)
def test_the_same_as_other_libraries(pairs):
    x, y = np.array(pairs, dtype=float).T
    found = agreement(x, y, 6.0, COUNTS)
    mse = metrics.mean_squared_error(x, y)
    assert found["mse"] == pytest.approx(mse, abs=1e-12)
    assert found["mae"] == pytest.approx(np.abs(x - y).mean())
    assert found["bias"] == pytest.approx(np.mean(x - y), abs=1e-12)
    assert found["nrmse"] == pytest.approx(math.sqrt(mse) / 6, abs=1e-12)
    assert found["histogram_distance"] == pytest.approx(stats.wasserstein_distance(x, y), abs=1e-12)
    if mse > 0:
        assert found["psnr"] == pytest.approx(metrics.peak_signal_noise_ratio(y, x, data_range=6.0))
    else:
        assert found["psnr"] is None
    if np.ptp(x) > 1e-3 and np.ptp(y) > 1e-3:
        assert found["pearson_r"] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
        ccc = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        assert found["ccc"] == pytest.approx(ccc, abs=1e-9)


@pytest.mark.parametrize(("r", "n"), [(0.5, 12), (-0.9, 30), (0.0, 5)])
def test_fishers_interval_is_that_of_scipy(r, n):
    random = np.random.default_rng(3)
    x = random.standard_normal(n)
    noise = random.standard_normal(n)
    noise -= noise.mean() + (noise @ (x - x.mean())) / ((x - x.mean()) @ (x - x.mean())) * (x - x.mean())
    scale = np.sqrt((1 - r * r) / noise.var())
    y = r * (x - x.mean()) / x.std() + scale * noise
    expected = stats.pearsonr(x, y).confidence_interval(0.95)
    assert fisher_interval(r, n) == pytest.approx(tuple(expected), abs=1e-4)
    assert fisher_interval(1.0, 9) == (1.0, 1.0)


def test_a_small_effective_number_leaves_no_interval():
    found = correlation(WRIGHT, MINI, 3.0)
    assert found["pearson_r"] is not None
    assert found["pearson_low"] is None
    assert correlation(WRIGHT, MINI, None)["pearson_high"] is None
    assert bland_altman(WRIGHT - MINI, 1.0)["ba_bias_low"] is None


def test_constant_maps_have_no_correlation():
    flat = np.full(9, 0.1)
    found = correlation(flat, np.arange(9.0), 5)
    assert found == {"pearson_r": None, "pearson_low": None, "pearson_high": None, "ccc": 0.0}
    assert correlation(flat, flat, 5)["ccc"] is None
    same = agreement(flat, flat, 6.0, EffectiveCounts(None, None))
    assert same["ba_upper_high"] == same["mae"] == 0


def test_two_voxels_and_one():
    two = agreement(np.array([1.0, 2.0]), np.array([1.5, 1.0]), 6.0, EffectiveCounts(None, None))
    assert two["pearson_r"] is None
    assert two["ba_lower"] is not None
    one = agreement(np.array([1.0]), np.array([1.5]), 6.0, EffectiveCounts(None, None))
    assert one["bias"] == -0.5
    assert one["ba_bias"] is None


def test_the_distance_of_shifted_histograms_is_the_shift():
    values = np.random.default_rng(0).gamma(2, 1, 1000)
    assert histogram_distance(values, np.random.default_rng(1).permutation(values) + 0.4) == pytest.approx(0.4)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=40))
def test_ranks_with_ties_correlate_as_in_scipy(pairs):
    x, y = np.array(pairs, dtype=float).T
    found = rank_correlation(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)


def test_ranks_of_many_voxels_are_those_of_an_even_part():
    random = np.random.default_rng(0)
    x = random.standard_normal(450_000)
    y = x + random.standard_normal(x.size)
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=0.005)


def test_relative_bias_is_in_per_cent_of_the_acquired_mean():
    acquired = np.array([1.0, 2.0, 3.0])
    found = agreement(1.5 * acquired, acquired, 6.0, EffectiveCounts(None, None))
    assert found["relative_bias"] == pytest.approx(50.0)
    assert agreement(acquired, 1.5 * acquired, 6.0, EffectiveCounts(None, None))["relative_bias"] == pytest.approx(
        -100 / 3
    )


def test_a_mean_near_zero_has_no_relative_bias():
    assert relative_bias(1.0, 0.29) is None
    assert relative_bias(1.0, 0.5) == pytest.approx(100.0)
