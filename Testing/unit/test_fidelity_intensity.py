"""Intensity measures against numpy, scipy and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from HierSynthLib.fidelity.measures.intensity import entropy, fractions_above, hotspot_mean, intensity, percentiles
from HierSynthLib.fidelity.measures.texture import grey_levels, histogram

VALUES = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=60)


@given(VALUES)
def test_the_same_as_numpy(values):
    found = intensity(np.sort(np.array(values, dtype=float)))
    assert found["voxels"] == len(values)
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-9)
    assert found["median"] == pytest.approx(np.median(values), abs=1e-9)
    assert found["max"] == max(values)
    for p in (5, 25, 75, 90, 95):
        assert found[f"p{p}"] == pytest.approx(np.percentile(values, p), abs=1e-9)
    if len(values) == 1:
        assert found["sd"] is None
        assert found["cv"] is None
    else:
        assert found["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)


@given(VALUES, st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_percentiles_of_any_kind(values, wanted):
    np.testing.assert_allclose(
        percentiles(np.sort(np.array(values, dtype=float)), wanted), np.percentile(values, wanted), atol=1e-9
    )


def test_nothing_has_no_statistics():
    found = intensity(np.array([]))
    assert found.pop("voxels") == 0
    assert set(found.values()) == {None}


def test_a_fraction_counts_what_exceeds_the_threshold_not_what_equals_it():
    ordered = np.array([0.5, 1.0, 1.0, 1.75, 2.0])
    assert fractions_above(ordered, (1.0, 1.75)) == {"fraction_above_1.0": 0.4, "fraction_above_1.75": 0.2}
    assert fractions_above(np.array([]), (1.0,)) == {"fraction_above_1.0": None}


def test_entropy_is_shannons_in_bits_for_a_fixed_bin_width():
    values = np.random.default_rng(0).gamma(2, 1, 5000)
    counts = np.histogram(values, np.arange(0, values.max() + 0.25, 0.25))[0]
    assert entropy(histogram(grey_levels(values, 0.25))) == pytest.approx(stats.entropy(counts, base=2))
    assert entropy(histogram(grey_levels(np.array([0.1, 0.3, 0.6, 0.8]), 0.25))) == pytest.approx(2.0)
    assert entropy(histogram(grey_levels(np.full(9, 1.1), 0.25))) == 0.0


def best_sphere(crop, usable, spacing, diameter):
    """By visiting every centre and every voxel."""
    places = np.moveaxis(np.indices(crop.shape), 0, -1) * spacing
    low, high = places.reshape(-1, 3).min(axis=0), places.reshape(-1, 3).max(axis=0)
    best = None
    for centre in places.reshape(-1, 3):
        reach = np.floor(diameter / 2 / spacing + 1e-9) * spacing
        if (centre - reach < low - 1e-9).any() or (centre + reach > high + 1e-9).any():
            continue
        near = np.linalg.norm(places - centre, axis=-1) <= diameter / 2 + 1e-9
        if usable[near].all():
            mean = crop[near].mean()
            best = mean if best is None else max(best, mean)
    return best


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.9, 1.3, 3.0), (2.0, 2.0, 2.0)])
@pytest.mark.parametrize("diameter", [2.0, 6.0, 7.5])
def test_the_hotspot_mean_is_that_of_the_best_sphere_inside(spacing, diameter):
    random = np.random.default_rng(1)
    crop = random.gamma(2, 1, (12, 11, 9))
    usable = random.uniform(size=crop.shape) > 0.004
    spacing = np.array(spacing)
    expected = best_sphere(crop, usable, spacing, diameter)
    found = hotspot_mean(crop.astype(np.float32), usable, spacing, diameter)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-5))


@pytest.mark.parametrize("rounding", [-5e-9, 5e-9])
def test_a_spacing_rounded_to_float32_gives_the_same_sphere(rounding):
    crop = np.random.default_rng(2).gamma(2, 1, (6, 6, 6)).astype(np.float32)
    usable = np.ones(crop.shape, bool)
    exact = best_sphere(crop, usable, np.full(3, 3.0), 6.0)
    assert hotspot_mean(crop, usable, np.full(3, 3.0 * (1 + rounding)), 6.0) == pytest.approx(exact, rel=1e-5)


def test_where_no_sphere_fits_there_is_no_hotspot_mean():
    crop = np.ones((5, 20, 20), dtype=np.float32)
    assert hotspot_mean(crop, np.ones(crop.shape, bool), np.ones(3), 6.0) is None
    crop = np.ones((9, 9, 9), dtype=np.float32)
    usable = np.ones(crop.shape, bool)
    usable[4, 4, 4] = False
    assert hotspot_mean(crop, usable, np.ones(3), 8.0) is None
