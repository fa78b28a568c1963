"""Texture against the reference values of the Image Biomarker Standardisation Initiative and scikit-image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import graycomatrix, graycoprops

from HierSynthLib.fidelity.measures.definitions import ids
from HierSynthLib.fidelity.measures.texture import (
    DIRECTIONS,
    cooccurrence,
    first_order,
    glcm_texture,
    grey_levels,
    histogram,
    histogram_texture,
)

# The digital phantom of IBSI (A. Zwanenburg, CC BY 4.0), 2 mm voxels; 0 is outside its region of interest.
PHANTOM = np.array(
    [
        [[1, 1, 1, 1], [1, 1, 1, 1], [4, 0, 1, 1], [4, 4, 1, 1]],
        [[4, 4, 4, 4], [4, 1, 1, 1], [1, 1, 1, 1], [4, 4, 1, 1]],
        [[4, 4, 4, 4], [6, 6, 1, 1], [6, 3, 0, 1], [6, 6, 6, 6]],
        [[1, 1, 0, 0], [1, 1, 1, 1], [4, 1, 1, 1], [4, 1, 1, 1]],
        [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]],
    ],
    dtype=np.int16,
)
# Reference values of the manual (arXiv:1612.07003): three digits, tolerance 0. Texture is "3D, merged".
REFERENCE = {
    "stat_mean": 2.15,
    "stat_var": 3.05,
    "stat_skew": 1.08,
    "stat_kurt": -0.355,
    "stat_median": 1,
    "stat_min": 1,
    "stat_p10": 1,
    "stat_p90": 4,
    "stat_max": 6,
    "stat_iqr": 3,
    "stat_range": 5,
    "stat_mad": 1.55,
    "stat_rmad": 1.11,
    "stat_medad": 1.15,
    "stat_cov": 0.812,
    "stat_qcod": 0.6,
    "stat_energy": 567,
    "stat_rms": 2.77,
    "ih_entropy": 1.27,
    "ih_uniformity": 0.512,
    "cm_joint_max": 0.509,
    "cm_joint_avg": 2.15,
    "cm_joint_var": 3.13,
    "cm_joint_entr": 2.57,
    "cm_diff_avg": 1.38,
    "cm_diff_var": 3.21,
    "cm_diff_entr": 1.64,
    "cm_sum_avg": 4.3,
    "cm_sum_var": 7.41,
    "cm_sum_entr": 2.11,
    "cm_energy": 0.291,
    "cm_contrast": 5.12,
    "cm_dissimilarity": 1.38,
    "cm_inv_diff": 0.688,
    "cm_inv_diff_norm": 0.856,
    "cm_inv_diff_mom": 0.631,
    "cm_inv_diff_mom_norm": 0.902,
    "cm_inv_var": 0.0574,
    "cm_corr": 0.183,
    "cm_auto_corr": 5.19,
    "cm_clust_tend": 7.41,
    "cm_clust_shade": 17.4,
    "cm_clust_prom": 147,
    "cm_info_corr1": -0.0288,
    "cm_info_corr2": 0.269,
}


@pytest.fixture(scope="module")
def phantom():
    levels = PHANTOM[PHANTOM > 0]
    found = first_order(np.sort(levels.astype(float))) | histogram_texture(histogram(levels))
    return found | glcm_texture(cooccurrence(PHANTOM))


@pytest.mark.parametrize("name", REFERENCE)
def test_the_digital_phantom_has_its_published_value(phantom, name):
    assert float(f"{phantom[f'ibsi_{name}']:.3g}") == REFERENCE[name]


def test_every_measure_of_texture_has_a_published_value(phantom):
    assert set(phantom) == {f"ibsi_{name}" for name in REFERENCE} == set(ids("texture"))


def test_thirteen_directions_are_all_neighbours_but_one_of_each_opposite_pair():
    assert len(set(DIRECTIONS)) == 13
    assert not {tuple(-step for step in d) for d in DIRECTIONS} & set(DIRECTIONS)


def merged(levels):
    """The matrix by visiting every voxel and its 26 neighbours."""
    side = levels.max()
    counts = np.zeros((side, side), int)
    for place in np.argwhere(levels):
        for step in np.ndindex(3, 3, 3):
            other = place + step - 1
            if step == (1, 1, 1) or (other < 0).any() or (other >= levels.shape).any() or not levels[tuple(other)]:
                continue
            counts[levels[tuple(place)] - 1, levels[tuple(other)] - 1] += 1
    return counts


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(1, 5)] * 3), st.integers(1, 9))
def test_neighbours_are_counted_as_by_hand(seed, shape, highest):
    levels = np.random.default_rng(seed).integers(0, highest + 1, shape).astype(np.int16)
    levels.flat[0] = highest
    np.testing.assert_array_equal(cooccurrence(levels), merged(levels))


def test_blocks_of_a_large_crop_lose_no_pair():
    levels = np.random.default_rng(0).integers(0, 4, (50, 60, 40)).astype(np.int16)
    pairs = 0
    for d in DIRECTIONS:
        ahead = tuple(slice(max(0, s), n + min(0, s)) for s, n in zip(d, levels.shape, strict=True))
        behind = tuple(slice(max(0, -s), n + min(0, -s)) for s, n in zip(d, levels.shape, strict=True))
        pairs += np.count_nonzero((levels[ahead] > 0) & (levels[behind] > 0))
    counts = cooccurrence(levels)
    assert counts.sum() == 2 * pairs
    np.testing.assert_array_equal(counts, counts.T)


def test_the_same_as_scikit_image_in_a_plane():
    image = np.random.default_rng(2).integers(0, 6, (20, 25)).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    matrix = graycomatrix(image, [1], angles, levels=6, symmetric=True).sum(axis=3)
    counts = cooccurrence((image + 1).astype(np.int16)[:, :, None])
    np.testing.assert_array_equal(counts, matrix[:, :, 0])
    found = glcm_texture(counts)
    normed = (matrix / matrix.sum())[:, :, :, None]
    for ours, theirs in {
        "contrast": "contrast",
        "dissimilarity": "dissimilarity",
        "inv_diff_mom": "homogeneity",
        "energy": "ASM",
        "corr": "correlation",
    }.items():
        assert found[f"ibsi_cm_{ours}"] == pytest.approx(graycoprops(normed, theirs)[0, 0])


def test_levels_have_a_fixed_width_from_zero():
    values = np.array([-0.3, 0.0, 0.2499, 0.25, 0.5, 10.0])
    np.testing.assert_array_equal(grey_levels(values, 0.25), [1, 1, 1, 2, 3, 41])


def test_a_constant_region_has_texture_but_no_correlation():
    found = glcm_texture(cooccurrence(np.full((3, 3, 3), 7, dtype=np.int16)))
    assert found["ibsi_cm_corr"] is None
    assert found["ibsi_cm_info_corr1"] is None
    assert found["ibsi_cm_joint_entr"] == 0
    assert found["ibsi_cm_contrast"] == 0
    assert found["ibsi_cm_joint_avg"] == 7
    statistics = first_order(np.full(27, 1.7))
    for name in ("var", "skew", "kurt", "mad", "rmad", "cov", "range"):
        assert statistics[f"ibsi_stat_{name}"] == pytest.approx(0, abs=1e-12)
    assert first_order(np.zeros(5))["ibsi_stat_cov"] is None
    assert first_order(np.zeros(5))["ibsi_stat_qcod"] is None
