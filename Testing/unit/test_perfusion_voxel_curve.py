"""The curve of one voxel: that of the processing, in the voxel that a position lies in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.perfusion.job import describe_curves
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.voxel_curve import centres_of, voxel_at, voxel_curves, voxels_at
from Testing.unit.test_perfusion_head import make_head

AFFINE = np.array([[-2.0, 0, 0, 20], [0, 0, 3.0, -15], [0, 1.5, 0, 4], [0, 0, 0, 1]])
GRID = (10, 12, 8)


@pytest.fixture(scope="module")
def head():
    return make_head((22, 27, 10), (6.4, 6.4, 9.6), frames=60)


@pytest.fixture(scope="module")
def result(head):
    return process(head.series, Options(motion=False))


@given(st.tuples(st.integers(0, 9), st.integers(0, 11), st.integers(0, 7)), st.tuples(*[st.floats(-0.49, 0.49)] * 3))
def test_a_position_lies_in_the_voxel_with_the_nearest_centre(voxel, within):
    position = AFFINE[:3, :3] @ (np.array(voxel) + within) + AFFINE[:3, 3]
    assert voxel_at(position, AFFINE, GRID) == voxel
    np.testing.assert_array_equal(voxels_at([position], AFFINE), [voxel])


def test_centres_are_where_the_affine_puts_the_indices():
    np.testing.assert_allclose(centres_of([[0, 0, 0], [9, 2, 4]], AFFINE), [[20, -15, 4], [2, -3, 7]])
    assert centres_of([], AFFINE) == []


@pytest.mark.parametrize("voxel", [(-1, 0, 0), (0, 12, 0), (9, 11, 8), (-0.6, 3, 3)])
def test_outside_there_is_no_voxel(voxel):
    assert voxel_at(AFFINE[:3, :3] @ voxel + AFFINE[:3, 3], AFFINE, GRID) is None


def test_the_curve_is_that_of_the_processing(head, result):
    mean = describe_curves(result)
    voxel = tuple(np.argwhere(head.mask("tumour"))[0])
    found = voxel_curves(head.series.echoes[0][voxel], head.series.te_s[0], mean)
    np.testing.assert_allclose(found.relaxation.max(), result.maps["PH"][voxel], rtol=1e-4)
    signal = head.series.echoes[0][voxel].astype(float)
    level = signal[result.bolus.start : result.bolus.stop].mean()
    by_hand = -np.log(signal / level) / head.series.te_s[0]
    by_hand[: result.bolus.steady] = 0
    np.testing.assert_allclose(found.relaxation, by_hand, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.signal, signal)
    np.testing.assert_allclose(found.times_s, head.series.times_s)
    np.testing.assert_allclose(found.aif * found.aif_divisor, result.aif.curve, rtol=1e-4, atol=1e-4)
    assert found.aif_divisor > 1
    assert found.aif.max() <= 2 * max(found.relaxation.max(), found.non_enhancing.max()) + 1e-9


def test_the_artery_itself_is_not_divided_and_without_aif_there_is_none(head, result):
    mean = describe_curves(result)
    artery = voxel_curves(head.series.echoes[0][tuple(result.aif.voxels[0])], head.series.te_s[0], mean)
    assert artery.aif_divisor == 1
    assert voxel_curves(head.series.echoes[0][5, 5, 5], head.series.te_s[0], mean | {"aif": None}).aif is None


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -3.0])
def test_a_voxel_without_signal_gives_finite_curves_and_axes(head, result, value):
    found = voxel_curves(np.full(60, value), 0.03, describe_curves(result))
    assert np.isfinite(found.relaxation).all()
    for low, high in (found.signal_range, found.relaxation_range, found.time_range):
        assert np.isfinite([low, high]).all()
        assert low < high


def test_all_curves_lie_within_the_axes(head, result):
    found = voxel_curves(head.series.echoes[0][11, 13, 5], 0.03, describe_curves(result))
    for curves, (low, high) in (
        ([found.signal], found.signal_range),
        ([found.relaxation, found.aif, found.non_enhancing], found.relaxation_range),
    ):
        assert low <= min(curve.min() for curve in curves)
        assert high > max(curve.max() for curve in curves)
