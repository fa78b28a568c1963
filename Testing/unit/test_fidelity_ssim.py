"""SSIM against scikit-image."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import structural_similarity

from HierSynthLib.fidelity.measures.ssim import inner_box, ssim_map

SHAPE = (40, 34, 27)
RANGE = 6.0


def pair(seed=0, level=2.0):
    random = np.random.default_rng(seed)
    first = level + 3 * ndimage.gaussian_filter(random.standard_normal(SHAPE), 1.5)
    second = first + ndimage.gaussian_filter(random.standard_normal(SHAPE), 1.0)
    return first.astype(np.float32), second.astype(np.float32)


def reference(first, second):
    return structural_similarity(
        first.astype(float),
        second.astype(float),
        data_range=RANGE,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )


def whole(shape=SHAPE):
    return tuple(slice(0, n) for n in shape)


@pytest.mark.parametrize("level", [0.0, 2.0, 40.0])
def test_the_map_is_that_of_scikit_image(level):
    first, second = pair(level=level)
    np.testing.assert_allclose(ssim_map(first, second, whole(), RANGE), reference(first, second)[1], atol=1e-5)


def test_maps_on_different_scales_keep_their_digits():
    first, second = pair(6)
    second = (100 + 50 * second).astype(np.float32)
    np.testing.assert_allclose(ssim_map(first, second, whole(), RANGE), reference(first, second)[1], atol=1e-5)


@pytest.mark.parametrize(
    "box", [(slice(3, 39), slice(0, 12), slice(20, 27)), (slice(20, 21), slice(8, 9), slice(9, 10))]
)
def test_a_box_is_cut_from_the_whole_map(box):
    first, second = pair(1)
    np.testing.assert_allclose(ssim_map(first, second, box, RANGE), reference(first, second)[1][box], atol=1e-5)


def test_memory_order_does_not_matter():
    first, second = pair(2)
    expected = ssim_map(first, second, whole(), RANGE)
    np.testing.assert_array_equal(ssim_map(np.asfortranarray(first), second, whole(), RANGE), expected)


def test_the_mean_of_inner_windows_is_scikit_images_ssim_of_the_box():
    first, second = pair(3)
    box = (slice(5, 30), slice(4, 17), slice(6, 20))
    expected = reference(np.ascontiguousarray(first[box]), np.ascontiguousarray(second[box]))[0]
    found = ssim_map(first, second, box, RANGE)
    inner = inner_box(tuple(slice(0, n) for n in found.shape))
    assert found[inner].mean(dtype=float) == pytest.approx(expected, abs=1e-5)


def test_a_box_shorter_than_the_window_has_no_inner_part():
    assert inner_box((slice(0, 11), slice(0, 11), slice(3, 14))) == (slice(5, 6), slice(5, 6), slice(8, 9))
    assert inner_box((slice(0, 11), slice(0, 10), slice(0, 11))) is None


def test_equal_and_constant_maps():
    first, _ = pair(4)
    np.testing.assert_allclose(ssim_map(first, first, whole(), RANGE), 1, atol=1e-5)
    # Without any structure only the means differ: (2ab + C₁) / (a² + b² + C₁).
    one, other = np.full(SHAPE, 1.0, np.float32), np.full(SHAPE, 3.0, np.float32)
    expected = (2 * 3 + 0.06**2) / (1 + 9 + 0.06**2)
    np.testing.assert_allclose(ssim_map(one, other, whole(), RANGE), expected, atol=1e-5)


def test_voxels_without_a_value_have_no_weight():
    first, second = pair(5)
    gap = np.zeros(SHAPE, bool)
    gap[15:22, 10:20, 5:20] = True
    holed = np.where(gap, np.nan, first).astype(np.float32)
    found = ssim_map(holed, second, whole(), RANGE)
    np.testing.assert_array_equal(np.isnan(found), gap)
    far = ndimage.distance_transform_cdt(~gap, "chessboard") > 5
    np.testing.assert_allclose(found[far], reference(first, second)[1][far], atol=1e-5)
    # A map that continues unchanged behind the gap keeps its SSIM beside it; zeros in the gap would spoil it.
    flat, raised = np.full(SHAPE, 2.0, np.float32), np.where(gap, np.inf, 2.5).astype(np.float32)
    expected = (2 * 2 * 2.5 + 0.06**2) / (4 + 6.25 + 0.06**2)
    np.testing.assert_allclose(ssim_map(flat, raised, whole(), RANGE)[~gap], expected, atol=1e-5)


def test_a_slab_without_any_value_is_empty():
    nothing = np.full(SHAPE, np.nan, np.float32)
    assert np.isnan(ssim_map(nothing, pair()[0], whole(), RANGE)).all()
