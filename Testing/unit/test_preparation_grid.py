"""Grids and resampling against analytic ramps and scipy's interpolation in index space."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from HierSynthLib.errors import InputError
from HierSynthLib.preparation import Grid, resample

angles = st.tuples(*(st.floats(-180, 180) for _ in range(3)))
small_angles = st.tuples(*(st.floats(-25, 25) for _ in range(3)))
shifts = st.tuples(*(st.floats(-60, 60) for _ in range(3)))
seeds = st.integers(0, 2**31)


def oblique(angles_deg, spacing, centre, shape):
    """Affine of a grid of `shape` turned by Euler angles, with its middle at `centre`."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix() * np.asarray(spacing)
    affine[:3, 3] = np.asarray(centre) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return affine


def positions(affine, shape):
    index = np.moveaxis(np.indices(shape), 0, -1)
    return index @ affine[:3, :3].T + affine[:3, 3]


@given(angles, small_angles, shifts, st.sampled_from(["linear", "cubic"]), seeds)
@settings(max_examples=25, deadline=None)
def test_a_linear_ramp_in_space_is_the_same_ramp_on_any_grid_and_after_any_rigid_movement(
    turn, movement, centre, interpolation, seed
):
    rng = np.random.default_rng(seed)
    slope, offset = rng.normal(size=3), rng.normal()
    source_shape, target_shape = (30, 26, 22), (9, 8, 7)
    source = oblique(turn, rng.uniform(1.5, 3, 3), centre, source_shape)
    move = oblique(movement, (1, 1, 1), rng.uniform(-3, 3, 3), (1, 1, 1))
    target_centre = np.linalg.inv(move)[:3] @ np.r_[centre, 1.0]
    target = oblique(rng.uniform(-180, 180, 3), rng.uniform(1, 1.8, 3), target_centre, target_shape)
    ramp = positions(source, source_shape) @ slope + offset
    result = resample(ramp, source, target_shape, target, transform=move, interpolation=interpolation, fill=np.nan)
    moved = positions(target, target_shape) @ move[:3, :3].T + move[:3, 3]
    inside = np.isfinite(result)
    assert inside.mean() > 0.9
    # Cubic splines mirror the image at its border, which bends a ramp there: compare the middle.
    middle = inside & (np.linalg.norm(moved - np.asarray(centre), axis=-1) < 8)
    expected = moved @ slope + offset
    np.testing.assert_allclose(result[middle], expected[middle], rtol=1e-3, atol=2e-2)


@given(angles, shifts, st.sampled_from([("linear", 1), ("nearest", 0), ("cubic", 3)]), seeds)
@settings(max_examples=25, deadline=None)
def test_random_voxels_agree_with_scipy(turn, centre, method, seed):
    rng = np.random.default_rng(seed)
    array = rng.normal(size=(14, 12, 10)).astype(np.float32)
    source = oblique(turn, (2, 2.5, 3), centre, array.shape)
    target_shape = (8, 7, 6)
    target = oblique(rng.uniform(-180, 180, 3), (1.5, 1.5, 1.5), np.add(centre, 0.3), target_shape)
    result = resample(array, source, target_shape, target, interpolation=method[0])
    index = np.linalg.inv(source) @ np.vstack([positions(target, target_shape).reshape(-1, 3).T, np.ones(8 * 7 * 6)])
    expected = ndimage.map_coordinates(array, index[:3], order=method[1], mode="mirror").reshape(target_shape)
    # Where rounding decides between two neighbours, either is right.
    sure = np.ones(target_shape, bool)
    if method[0] == "nearest":
        fraction = np.abs(index[:3] % 1 - 0.5).min(axis=0).reshape(target_shape)
        sure = fraction > 1e-6
    np.testing.assert_allclose(result[sure], expected[sure], atol=2e-4)


def test_labels_keep_their_type_and_values():
    labels = np.random.default_rng(0).integers(0, 5, (10, 10, 10)).astype(np.uint8)
    result = resample(labels, np.eye(4), (19, 19, 19), np.diag([0.5, 0.5, 0.5, 1]), interpolation="nearest")
    assert result.dtype == np.uint8
    assert set(np.unique(result)) <= set(range(5))
    mask = resample(labels > 2, np.eye(4), (10, 10, 10), np.eye(4), interpolation="nearest")
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, labels > 2)


def test_outside_the_source_is_the_fill_value():
    result = resample(np.ones((4, 4, 4)), np.eye(4), (12, 4, 4), np.eye(4), fill=-7.0)
    np.testing.assert_array_equal(result[:4], 1)
    np.testing.assert_array_equal(result[4:], -7)


def test_thin_slices_are_averaged_into_thick_ones_instead_of_picked():
    """A stripe pattern finer than the target's voxels must vanish, a coarse one must stay."""
    z = np.arange(120)
    fine = np.broadcast_to(1.0 + np.cos(2 * np.pi * z / 2.5), (4, 4, 120))
    coarse = np.broadcast_to(1.0 + np.cos(2 * np.pi * z / 40), (4, 4, 120))
    thick = np.diag([1.0, 1.0, 5.0, 1.0])
    thick[2, 3] = 2.0
    assert np.ptp(resample(fine, np.eye(4), (4, 4, 24), thick)[:, :, 3:-3]) < 0.02
    np.testing.assert_allclose(
        resample(coarse, np.eye(4), (4, 4, 24), thick)[0, 0, 3:-3],
        1 + np.cos(2 * np.pi * (2 + 5 * np.arange(24)) / 40)[3:-3],
        atol=0.08,
    )


def test_smoothing_brings_a_point_to_the_resolution_of_the_target():
    """Full width at half maximum of a point, sampled densely after smoothing for 6 mm voxels: 6 mm."""
    point = np.zeros((1, 1, 121), np.float32)
    point[0, 0, 60] = 1
    offsets = np.arange(0, 6)
    samples = {}
    for offset in offsets:
        target = np.diag([1.0, 1.0, 6.0, 1.0])
        target[2, 3] = offset
        for n, value in enumerate(resample(point, np.eye(4), (1, 1, 19), target)[0, 0]):
            samples[offset + 6 * n] = value
    profile = np.array([samples[k] for k in sorted(samples)])
    variance = (profile * (np.arange(profile.size) - 60) ** 2).sum() / profile.sum()
    assert 2.355 * np.sqrt(variance) == pytest.approx(np.sqrt(6**2 - 1), rel=0.03)


def test_a_singular_affine_is_refused_in_one_line():
    with pytest.raises(InputError, match="singular"):
        resample(np.ones((3, 3, 3)), np.diag([1.0, 0, 1, 1]), (3, 3, 3), np.eye(4))
    with pytest.raises(InputError, match="dimensions"):
        resample(np.ones((3, 3)), np.eye(4), (3, 3, 3), np.eye(4))


@given(small_angles, st.permutations(range(3)), st.tuples(*(st.booleans() for _ in range(3))))
@settings(max_examples=48, deadline=None)
def test_canonical_axes_are_nibabels(turn, order, flips):
    shape, spacing = (5, 6, 7), (1.0, 2.0, 3.0)
    base = nib.Nifti1Image(np.zeros(shape), oblique(turn, spacing, (3, 4, 5), shape))
    ornt = np.array([[order[a], -1 if flips[a] else 1] for a in range(3)])
    stored = base.as_reoriented(ornt)
    mine = Grid(stored.shape, stored.affine).canonical()
    theirs = nib.as_closest_canonical(stored)
    assert mine.shape == theirs.shape
    np.testing.assert_allclose(mine.affine, theirs.affine, atol=1e-9)


def test_another_spacing_covers_the_same_box_from_the_same_corner():
    grid = Grid((10, 20, 8), oblique((10, 20, 30), (1, 1, 5), (1, 2, 3), (10, 20, 8)))
    fine = grid.respaced((2.0, 2.0, 1.0))
    assert fine.shape == (5, 10, 40)
    np.testing.assert_allclose(fine.spacing, (2, 2, 1))
    np.testing.assert_allclose(fine.corners(), grid.corners(), atol=1e-9)
    assert grid.respaced(grid.spacing).same(grid)


def test_cropping_keeps_every_voxel_where_it_is():
    grid = Grid((10, 20, 8), oblique((10, 20, 30), (1, 1, 5), (1, 2, 3), (10, 20, 8)))
    part = grid.cropped((2, -3, 1), (5, 4, 7))
    assert part.shape == (3, 7, 6)
    np.testing.assert_allclose(part.affine @ (0, 3, 0, 1), grid.affine @ (2, 0, 1, 1))


def test_the_same_grid_means_the_same_places():
    grid = Grid((4, 5, 6), np.diag([1.0, 1.0, 2.0, 1.0]))
    moved = grid.affine.copy()
    moved[0, 3] = 0.02
    assert grid.same(Grid((4, 5, 6), grid.affine.copy()))
    assert not grid.same(Grid((4, 5, 6), moved))
    assert not grid.same(Grid((4, 5, 7), grid.affine))
