"""Regions on grids, against formulas in physical space, analytic volumes, matplotlib, scikit-image and resampling."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from scipy import ndimage
from scipy.spatial.transform import Rotation
from skimage.draw import polygon as draw_polygon

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions import masks
from HierSynthLib.fidelity.regions.masks import rasterise
from HierSynthLib.fidelity.regions.shapes import Box, Curve, Labels, Region, Sphere
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.volume import Volume
from Testing.analytic_head import places, turned

SHAPE = (40, 36, 30)
TURNED = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()
angles = st.tuples(*[st.floats(-180, 180)] * 3)
spacings = st.tuples(*[st.floats(0.7, 4.0)] * 3)
positions = st.tuples(*[st.floats(-12, 12)] * 3)


def oblique(spacing=(1.5, 2.0, 3.0), shape=SHAPE, angles_deg=(12, -30, 47)):
    return Grid(shape, turned(spacing, shape, angles_deg=angles_deg, centre=(3, -4, 10)))


def straight(spacing=1.0, shape=SHAPE):
    return Grid(shape, np.diag([spacing, spacing, spacing, 1.0]))


def on(grid, *shapes, read=None, role="lesion"):
    return rasterise(Region("Core", role, shapes, "drawn"), grid, read)


def whole(mask, grid):
    result = np.zeros(grid.shape, bool)
    result[mask.slices] = mask.inside
    return result


def circle(radius, centre=(0, 0, 0), count=90, wobble=0.0):
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.add(np.stack([radius * np.cos(t), radius * np.sin(t), wobble * np.sin(4 * t)], axis=1), centre)


@settings(max_examples=40, deadline=None)
@given(angles=angles, spacing=spacings, centre=positions, radius=st.floats(0.1, 25))
def test_a_sphere_holds_the_centres_within_its_radius(angles, spacing, centre, radius):
    grid = oblique(spacing, angles_deg=angles)
    centre = np.add(centre, (3, -4, 10))
    away = np.linalg.norm(places(grid.affine, grid.shape) - centre, axis=-1)
    mask = on(grid, Sphere(centre, radius))
    if (away <= radius).any():
        np.testing.assert_array_equal(whole(mask, grid), away <= radius + 1e-6)
    else:
        assert mask.count <= 1


@settings(max_examples=40, deadline=None)
@given(angles=angles, spacing=spacings, centre=positions, size=st.tuples(*[st.floats(5, 40)] * 3))
def test_a_box_holds_the_centres_between_its_faces(angles, spacing, centre, size):
    grid = oblique(spacing, angles_deg=angles)
    centre = np.add(centre, (3, -4, 10))
    along = np.abs((places(grid.affine, grid.shape) - centre) @ TURNED) - np.array(size) / 2
    mask = whole(on(grid, Box(centre, TURNED, size)), grid)
    inside, near = (along <= 0).all(axis=-1), np.abs(along).min(axis=-1) < 1e-5
    np.testing.assert_array_equal(mask[~near], inside[~near])


@pytest.mark.parametrize("spacing", [2.0, 1.0, 0.5])
def test_volumes_approach_the_analytic_ones_as_the_grid_gets_finer(spacing):
    voxel = (spacing, spacing, 1.3 * spacing)
    grid = oblique(voxel, tuple(int(44 / s) for s in voxel))
    cases = {
        Sphere((3, -4, 10), 12.0): 4 / 3 * np.pi * 12**3,
        Box((3, -4, 10), TURNED, (22, 15, 11)): 22 * 15 * 11,
        Curve(circle(14, count=400) @ TURNED.T + (3, -4, 10), 9.0): np.pi * 14**2 * 9,
    }
    for shape, expected in cases.items():
        volume = on(grid, shape).count * np.prod(grid.spacing)
        assert volume == pytest.approx(expected, rel=0.02 * spacing)


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5])
def test_a_box_on_the_grid_holds_its_volume_wherever_its_faces_touch_centres(shift):
    assert on(straight(), Box(np.array([20, 15, 12]) + shift, np.eye(3), (10, 7, 4))).count == 10 * 7 * 4
    square = np.add([(10, 10, 12), (20, 10, 12), (20, 17, 12), (10, 17, 12)], (shift, shift, 0))
    assert on(straight(), Curve(square, 3.0)).count == 10 * 7 * 3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), angles=angles)
def test_curves_enclose_what_matplotlib_says(seed, angles):
    random = np.random.default_rng(seed)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    t = np.sort(random.uniform(0, 2 * np.pi, 25))
    outline = random.uniform(5, 16, (25, 1)) * np.stack([np.cos(t), np.sin(t)], axis=1)  # star-shaped, not convex
    grid = oblique((1.1, 1.7, 2.3))
    points = np.pad(outline, ((0, 0), (0, 1))) @ turn.T + (3, -4, 10)
    u, v, w = np.moveaxis((places(grid.affine, grid.shape) - (3, -4, 10)) @ turn, -1, 0)
    expected = Outline(outline, closed=False).contains_points(np.stack([u.ravel(), v.ravel()], 1)).reshape(grid.shape)
    mask = on(grid, Curve(points, 6.0))
    clear = np.abs(np.abs(w) - 3.0) > 1e-4
    np.testing.assert_array_equal(whole(mask, grid)[clear], (expected & (np.abs(w) < 3.0))[clear])
    assert mask.notes == ()


def test_a_curve_agrees_with_scikit_image_and_does_not_mind_its_direction_or_doubled_points():
    outline = np.array([(4.3, 5.2), (30.1, 8.4), (20.2, 18.3), (28.7, 30.6), (6.6, 22.9)])
    rows, columns = draw_polygon(outline[:, 0], outline[:, 1], SHAPE[:2])
    expected = np.zeros(SHAPE, bool)
    expected[rows, columns, 11:14] = True
    points = np.pad(outline, ((0, 0), (0, 1)), constant_values=12.0)
    for form in (points, points[::-1], np.repeat(points, 2, axis=0), np.vstack([points, points[:1]])):
        np.testing.assert_array_equal(whole(on(straight(), Curve(form, 3.0)), straight()), expected)


def test_a_curve_that_is_not_flat_lies_in_its_best_plane():
    flat, waved = (Curve(circle(12, (20, 17, 12), wobble=height), 4.0) for height in (0.0, 1.5))
    assert abs(on(straight(), waved).count / on(straight(), flat).count - 1) < 0.02
    assert on(straight(), waved).notes == ()  # within its thickness
    assert "is not flat" in on(straight(), Curve(waved.points, 2.0)).notes[0]


def test_what_a_crossing_curve_encloses_twice_is_outside():
    t = np.linspace(0, 2 * np.pi, 100, endpoint=False)  # a limaçon: its small loop lies in the large one
    r = 4 + 9 * np.cos(t)
    points = np.stack([r * np.cos(t) + 15, r * np.sin(t) + 17, 0 * t + 12], axis=1)
    mask = on(straight(), Curve(points, 1.0))
    assert mask.notes == ("It crosses itself; what it encloses twice does not count.",)
    inside = whole(mask, straight())
    assert not inside[18, 17, 12]
    assert inside[24, 17, 12]


def test_a_figure_of_eight_has_two_lobes():
    t = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    points = np.stack([15 * np.sin(t) + 19.5, 10 * np.sin(2 * t) + 17.5, 0 * t + 12], axis=1)
    mask = on(straight(), Curve(points, 1.0))
    assert mask.count == pytest.approx(2 * 15 * 10 * 4 / 3, rel=0.03)  # ∫|y dx| of the Lissajous curve
    assert "crosses itself" in mask.notes[0]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), angles=angles)
def test_labels_are_those_of_the_nearest_neighbour(seed, angles):
    random = np.random.default_rng(seed)
    array = np.zeros((30, 30, 20), np.uint8)
    array[4:-4, 4:-4, 4:-4] = ndimage.zoom(random.integers(0, 4, (6, 6, 4)), (22 / 6, 22 / 6, 3), order=0)
    array[15, 15, 10] = 2
    labels = Volume(array, turned((1.3, 1.6, 2.1), array.shape, angles_deg=angles, centre=(5, -1, 9)))
    grid = oblique((1.5, 1.5, 2.5))
    mask = on(grid, Labels(Path("x"), (2, 3)), read=lambda _: labels)
    nearest = resample(array, labels.affine, grid.shape, grid.affine, interpolation="nearest")
    index = np.moveaxis(labels.indices(places(grid.affine, grid.shape)), -1, 0)
    by_scipy = ndimage.map_coordinates(array, index, order=0, mode="constant", prefilter=False)
    np.testing.assert_array_equal(whole(mask, grid), np.isin(nearest, (2, 3)))
    clear = (np.abs(index % 1 - 0.5) > 1e-6).all(axis=0) & (index > 0).all(axis=0)
    clear &= (index < np.reshape(array.shape, (3, 1, 1, 1)) - 1).all(axis=0)
    np.testing.assert_array_equal(whole(mask, grid)[clear], np.isin(by_scipy, (2, 3))[clear])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_labels_on_the_same_grid_are_taken_as_they_are(dtype):
    grid = oblique()
    array = np.zeros(SHAPE, dtype)
    array[3:7, 4:9, 0:2] = 5
    mask = on(grid, Labels(Path("x"), (5, 300)), read=lambda _: Volume(array, grid.affine))
    assert mask.inside.shape == (4, 5, 2)
    np.testing.assert_array_equal(whole(mask, grid), array == 5)
    assert mask.notes == ()


def test_labels_that_are_not_there_and_files_that_hold_more_than_one_image():
    empty = on(straight(), Labels(Path("x"), (7,)), read=lambda _: Volume(np.ones(SHAPE)))
    assert empty.count == 0
    assert empty.notes == ("It has no voxel in its label map.",)
    with pytest.raises(InputError, match="holds 2 images"):
        on(straight(), Labels(Path("x"), (1,)), read=lambda _: Volume(np.ones((*SHAPE, 2))))


def test_a_union_counts_no_voxel_twice_and_is_cropped_closely():
    first, second = Sphere((12, 12, 12), 5), Box((15, 12, 12), np.eye(3), (8, 4, 4))
    mask = on(straight(), first, second)
    both = whole(on(straight(), first), straight()) | whole(on(straight(), second), straight())
    np.testing.assert_array_equal(whole(mask, straight()), both)
    for axis in range(3):
        along = mask.inside.any(axis=tuple({0, 1, 2} - {axis}))
        assert along[0]
        assert along[-1]
    values = np.arange(both.size).reshape(SHAPE)
    np.testing.assert_array_equal(np.sort(mask.of(values)), np.sort(values[both]))
    np.testing.assert_allclose(mask.centre(straight()), np.argwhere(both).mean(axis=0))


@pytest.mark.parametrize(
    "shape",
    [
        Sphere((10.3, 11.4, 12.2), 0.1),
        Box((10.3, 11.4, 12.2), TURNED, (0.2, 0.1, 0.1)),
        Curve(circle(0.1, (10.3, 11.4, 12.2)), 0.1),
    ],
)
def test_a_shape_smaller_than_a_voxel_takes_the_one_it_lies_in(shape):
    mask = on(straight(), shape)
    assert mask.start.tolist() == [10, 11, 12]
    assert mask.count == 1
    assert "holds no voxel centre" in mask.notes[0]


def test_a_flat_shape_between_two_slices_takes_the_slice_it_lies_in():
    grid = Grid(SHAPE, np.diag([1.0, 1.0, 5.0, 1.0]))
    for shape in (Curve(circle(10, (20, 17, 21.5)), 1.0), Box((20, 17, 21.5), np.eye(3), (20, 20, 1))):
        mask = on(grid, shape)
        assert (mask.start[2], mask.inside.shape[2]) == (4, 1)
        assert mask.count > 300
        assert "holds no voxel centre" in mask.notes[0]


def test_a_small_label_takes_the_voxels_it_lies_in():
    labels = np.zeros((60, 60, 60), np.uint8)
    labels[30:36, 30, 30] = 1
    fine = Volume(labels, np.diag([0.5, 0.5, 0.5, 1.0]))
    coarse = Grid((6, 6, 6), turned((5, 5, 5), (6, 6, 6), centre=(13.4, 13.4, 13.4)))
    mask = on(coarse, Labels(Path("x"), (1,)), read=lambda _: fine)
    index = np.round(np.linalg.solve(coarse.affine, [16.0, 15.0, 15.0, 1.0])[:3]).astype(int)
    assert whole(mask, coarse)[tuple(index)]
    assert "holds no voxel centre" in mask.notes[0]


def far_labels(_):
    return Volume(np.ones((5, 5, 5), np.uint8), turned((1, 1, 1), (5, 5, 5), centre=(500, 0, 0)))


def edge_labels(_):
    return Volume(np.ones((5, 5, 5), np.uint8), turned((1, 1, 1), (5, 5, 5), centre=(0.3, 10, 10)))


@pytest.mark.parametrize(
    ("far", "edge"),
    [
        (Sphere((500, 0, 0), 5), Sphere((0.3, 10, 10), 5)),
        (Sphere((-0.6, 10, 10), 0.01), None),
        (Box((500, 0, 0), TURNED, (5, 5, 5)), Box((0.3, 10, 10), TURNED, (5, 5, 5))),
        (Curve(circle(5, (500, 0, 0)), 3), Curve(circle(5, (0.3, 10, 10)), 3)),
        (Labels(Path("far"), (1,)), Labels(Path("edge"), (1,))),
    ],
)
def test_outside_and_partly_outside(far, edge):
    def read(path):
        return far_labels(path) if path.name == "far" else edge_labels(path)

    outside = on(straight(), far, read=read)
    assert outside.count == 0
    assert outside.centre(straight()) is None
    assert outside.notes == (f"It {masks.OUTSIDE}.",)
    assert outside.of(np.ones(SHAPE)).shape == (0,)
    if edge is not None:
        partly = on(straight(), edge, read=read)
        assert partly.count > 0
        assert partly.notes == (f"It {masks.PARTLY_OUTSIDE}.",)


def test_notes_name_the_shape():
    mask = on(straight(), Sphere((12, 12, 12), 5), Sphere((500, 0, 0), 5))
    assert mask.count == on(straight(), Sphere((12, 12, 12), 5)).count
    assert mask.notes == ("Shape 2 of 2 lies outside the map.",)
    assert (mask.name, mask.role, mask.source) == ("Core", "lesion", "drawn")


def test_a_singular_affine_is_refused():
    with pytest.raises(InputError, match="singular"):
        on(Grid(SHAPE, np.diag([1.0, 1.0, 0.0, 1.0])), Sphere((0, 0, 0), 3))
