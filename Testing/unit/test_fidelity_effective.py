"""Effective numbers of voxels, against simulations in which the truth is known."""

import numpy as np
import pytest
from scipy import ndimage, stats

from HierSynthLib.fidelity.measures.agreement import bland_altman, fisher_interval
from HierSynthLib.fidelity.measures.effective import effective_counts

REPEATS = 250


def ball(size):
    places = np.indices((size,) * 3) - (size - 1) / 2
    return (places**2).sum(axis=0) <= (size / 2) ** 2


def noise(random, size, sigma):
    margin = int(4 * sigma) + 1
    field = random.standard_normal((size + 2 * margin,) * 3)
    if sigma:
        field = ndimage.gaussian_filter(field, sigma)
    inner = slice(margin, margin + size)
    return field[inner, inner, inner].astype(np.float32)


@pytest.fixture(scope="module", params=[0.0, 1.0, 2.0])
def simulated(request):
    """Correlations and mean differences of independent smooth maps in a ball, with what was found for each."""
    random = np.random.default_rng(5)
    inside = ball(15)
    rows = []
    for _ in range(REPEATS):
        x, y = noise(random, 15, request.param), noise(random, 15, request.param)
        counts = effective_counts(x, y, inside, np.ones(3))
        difference = (x - y)[inside].astype(float)
        rows.append((np.corrcoef(x[inside], y[inside])[0, 1], difference, counts))
    return rows


def test_the_spread_of_correlations_is_that_of_as_many_independent_voxels(simulated):
    # Independent normal values have a correlation of variance 1 / (n − 1).
    variance = np.var([r for r, _, _ in simulated])
    assert np.mean([1 / (counts.correlation - 1) for _, _, counts in simulated]) == pytest.approx(variance, rel=0.25)


def test_intervals_of_the_correlation_cover_the_truth(simulated):
    covered = [low <= 0 <= high for low, high in (fisher_interval(r, c.correlation) for r, _, c in simulated)]
    assert 0.92 <= np.mean(covered) <= 1.0


def test_intervals_of_the_bias_cover_the_truth(simulated):
    covered = []
    for _, difference, counts in simulated:
        found = bland_altman(difference, counts.mean_difference)
        covered.append(found["ba_bias_low"] <= 0 <= found["ba_bias_high"])
    assert 0.89 <= np.mean(covered) <= 0.99


def test_without_it_intervals_would_be_far_too_narrow():
    random = np.random.default_rng(6)
    inside = ball(15)
    covered = []
    for _ in range(100):
        x, y = noise(random, 15, 2.0), noise(random, 15, 2.0)
        covered.append(stats.pearsonr(x[inside], y[inside]).pvalue > 0.05)
    assert np.mean(covered) < 0.4


def test_the_sum_over_lags_is_that_over_all_pairs_of_voxels():
    random = np.random.default_rng(4)
    inside = random.uniform(size=(5, 6, 4)) < 0.6
    x, y = (ndimage.gaussian_filter(random.standard_normal(inside.shape), 1).astype(np.float32) for _ in range(2))
    places = np.argwhere(inside)
    dx, dy = (field[inside] - field[inside].mean(dtype=float) for field in (x, y))
    lags, which = np.unique((places[:, None] - places[None]).reshape(-1, 3), axis=0, return_inverse=True)
    pairs, of_x, of_y = (
        np.bincount(which.ravel(), weights=weights.ravel(), minlength=len(lags))
        for weights in (np.ones((len(dx),) * 2), np.outer(dx, dx), np.outer(dy, dy))
    )
    expected = 1 + (dx @ dx) * (dy @ dy) / (of_x * of_y / pairs).sum()
    assert effective_counts(x, y, inside, np.ones(3)).correlation == pytest.approx(expected, rel=1e-6)


def test_large_regions_are_averaged_in_blocks_and_found_no_larger():
    random = np.random.default_rng(7)
    size = 44
    inside = ball(size)
    x, y = noise(random, size, 2.0), noise(random, size, 2.0)
    found = effective_counts(x, y, inside, np.ones(3))
    # A Gaussian of σ = 2 makes an autocorrelation of σ = 2√2: Σρ = (2π·8)^(3/2), Σρ² = (2π·4)^(3/2).
    voxels = np.count_nonzero(inside)
    assert found.correlation == pytest.approx(voxels / (2 * np.pi * 4) ** 1.5, rel=0.3)
    assert found.mean_difference == pytest.approx(voxels / (2 * np.pi * 8) ** 1.5, rel=0.4)


def test_spacing_only_scales_distances():
    random = np.random.default_rng(8)
    inside = ball(13)
    x, y = noise(random, 13, 1.0), noise(random, 13, 1.0)
    assert effective_counts(x, y, inside, np.full(3, 2.5)) == effective_counts(x, y, inside, np.ones(3))


def test_constant_maps_are_worth_nothing_and_two_voxels_little():
    flat, inside = np.full((4, 4, 4), 0.3, np.float32), np.ones((4, 4, 4), bool)
    found = effective_counts(flat, flat, inside, np.ones(3))
    assert found.correlation is None
    assert found.mean_difference is None
    two = np.zeros((2, 1, 1), bool)
    two[:] = True
    values = np.array([1.0, 2.0], np.float32).reshape(2, 1, 1)
    found = effective_counts(values, values[::-1].copy(), two, np.ones(3))
    assert 1 <= found.correlation <= 2
    assert 1 <= found.mean_difference <= 2


def test_what_lies_outside_the_region_does_not_matter():
    random = np.random.default_rng(9)
    inside = ball(9)
    x, y = noise(random, 9, 1.0), noise(random, 9, 1.0)
    expected = effective_counts(x, y, inside, np.ones(3))
    spoiled = np.where(inside, x, np.nan).astype(np.float32)
    assert effective_counts(spoiled, y, inside, np.ones(3)) == expected
