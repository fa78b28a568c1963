"""Maps of a case are equally sharp, noisy and finely stored, wherever their voxels lie; and nothing is moved."""

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from HierSynthLib.errors import InputError
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.reader_study.images import Placed, equalise
from HierSynthLib.reader_study.matching import on_one_lattice, quantum
from HierSynthLib.reader_study.protocol import DisplaySettings
from HierSynthLib.volume import Volume

SPACING, SHAPE = np.array([2.0, 2.0, 3.0]), (44, 44, 30)
DISPLAY = DisplaySettings()


def grid(shape, spacing, offset=(0.0, 0.0, 0.0), degrees=0.0):
    """A grid around the origin, moved by `offset` and turned about two axes."""
    a, b = np.deg2rad(degrees), np.deg2rad(0.7 * degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x * spacing
    affine[:3, 3] = offset - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


# Of the second map: how many times finer its voxels are, its offset in mm, its rotation in degrees.
PLACES = {
    "half a voxel": (1.0, (0.0, 0.0, 0.0), 0.0),  # one has an even and one an odd number of voxels
    "1.2 times finer": (1.2, (0.3, 0.1, 0.2), 0.0),
    "twice as fine": (2.0, (0.4, 0.2, 0.1), 0.0),
    "turned": (1.0, (0.3, 0.2, 0.5), 12.0),
    "turned and finer": (1.5, (0.3, 0.2, 0.5), 12.0),
}


def two_grids(place):
    finer, offset, degrees = PLACES[place]
    other = tuple(int(1.25 * finer * n) for n in SHAPE)
    return grid(SHAPE, SPACING), grid(other, SPACING / finer, offset, degrees)


def noise(where, random):
    """White noise of the same density (variance times volume of a voxel), so of the same noise in the patient."""
    volume = abs(np.linalg.det(where.affine[:3, :3])) / np.prod(SPACING)
    return Placed(
        Volume((5.0 + random.normal(size=where.shape) / np.sqrt(volume)).astype("f4"), where.affine), np.eye(4)
    )


def deviation_and_neighbours(array):
    """Standard deviation, and correlation of neighbours along each axis, well inside."""
    inside = ndimage.binary_erosion(array > 0, iterations=4)
    values = np.where(inside, array - array[inside].mean(), np.nan)
    deviation = np.sqrt(np.nanmean(values**2))
    neighbours = [
        np.nanmean(np.delete(values, 0, axis) * np.delete(values, -1, axis)) / deviation**2 for axis in range(3)
    ]
    return deviation, np.array(neighbours)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_noise_does_not_tell_which_map_was_interpolated(place, order):
    random = np.random.default_rng(5)
    placed = [noise(where, random) for where in two_grids(place)]
    arrays, _ = equalise({str(n): placed[n] for n in order}, DISPLAY)
    (one, near), (other, near_too) = (deviation_and_neighbours(arrays[str(n)]) for n in (0, 1))
    assert one / other == pytest.approx(1.0, abs=0.04)
    assert np.abs(near - near_too).max() < 0.04
    assert 0.25 < one < 0.4  # white noise of SD 1, smoothed but not smoothed away


@pytest.mark.parametrize("place", PLACES)
def test_a_sphere_keeps_its_place_and_height(place):
    centre, radius = np.array([4.3, -6.1, 5.2]), 14.0
    placed = {}
    for name, where in zip("ab", two_grids(place), strict=True):
        index = np.stack(np.meshgrid(*map(np.arange, where.shape), indexing="ij"), -1)
        points = nibabel.affines.apply_affine(where.affine, index)
        ball = np.linalg.norm(points - centre, axis=-1) <= radius
        placed[name] = Placed(Volume(np.where(ball, 6.0, 1.0).astype("f4"), where.affine), np.eye(4))
    arrays, affine = equalise(placed, DISPLAY)
    index = np.stack(np.meshgrid(*map(np.arange, arrays["a"].shape), indexing="ij"), -1)
    points = nibabel.affines.apply_affine(affine, index)
    distance = np.linalg.norm(points - centre, axis=-1)
    for array in arrays.values():
        excess = np.where((array > 0) & (distance < radius + 8), array - 1.0, 0.0)
        found = (excess[..., None] * points).sum((0, 1, 2)) / excess.sum()
        assert np.abs(found - centre).max() < 0.15
        assert array[distance < radius - 6].min() > 5.8
        assert array[(array > 0) & (distance > radius + 6)].max() < 1.2
    assert np.abs(arrays["a"] - arrays["b"])[distance < radius - 6].max() < 0.15


def test_maps_on_one_lattice_are_copied_whatever_their_axes_and_box():
    random = np.random.default_rng(2)
    values = random.gamma(4.0, 0.5, (9, 8, 7)) + 0.1
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    flipped = affine @ np.array([[0, 0, -1, 8], [1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    # Voxel (i, j, k) of the second is voxel (8 − k, i + 1, j) of the first, up to an error in the header.
    second = random.gamma(4.0, 0.5, (7, 7, 9)) + 0.1
    flipped[:3, 3] += 0.01
    arrays, found = equalise(
        {"a": Placed(Volume(values, affine), np.eye(4)), "b": Placed(Volume(second, flipped), np.eye(4))}, DISPLAY
    )
    inside = arrays["a"] > 0
    assert np.array_equal(np.argwhere(inside).min(0), [0, 1, 0])
    assert inside.sum() == 9 * 7 * 7
    assert np.allclose(found, affine)
    assert np.allclose(arrays["a"][inside], np.rint(values[inside] * 1000) / 1000)
    expected = np.zeros_like(values)
    for (i, j, k), value in np.ndenumerate(second):
        expected[8 - k, i + 1, j] = value
    assert np.allclose(arrays["b"][inside], np.rint(expected[inside] * 1000) / 1000)


def test_one_lattice_or_not():
    first = grid((20, 20, 10), SPACING)
    assert on_one_lattice([first, grid((20, 20, 10), SPACING, offset=(4.0, -2.0, 3.0))])
    assert not on_one_lattice([first, grid((20, 20, 10), SPACING, offset=(1.0, 0.0, 0.0))])
    assert not on_one_lattice([first, grid((20, 20, 10), 1.01 * SPACING)])
    assert not on_one_lattice([first, grid((20, 20, 10), SPACING, degrees=1.0)])
    assert not on_one_lattice([first, grid((40, 40, 20), SPACING / 2, offset=-SPACING / 4)])


def stored_in_steps(random, step, shape=(24, 24, 16)):
    """A smooth map as a vendor stores it: whole numbers, and a factor for all."""
    return np.rint((1.0 + random.gamma(4.0, 0.3, shape)) / step) * np.float64(step)


def share_of_levels(values, step):
    """Of the levels of a step between the quartiles, those that occur."""
    low, high = np.percentile(values, (25, 75))
    levels = np.arange(np.ceil(low / step), np.floor(high / step) + 1)
    return np.isin(levels, np.rint(values / step)).mean()


@pytest.mark.parametrize(("one", "other"), [(0.05, None), (None, 0.05), (0.05, 0.02), (0.03, 0.05)])
def test_no_map_is_known_by_the_steps_in_which_it_was_stored(one, other):
    random = np.random.default_rng(3)
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    placed = {
        name: Placed(Volume(stored_in_steps(random, step or 1e-9), affine), np.eye(4))
        for name, step in (("a", one), ("b", other))
    }
    arrays, _ = equalise(placed, DISPLAY)
    counts = []
    for array in arrays.values():
        inside = array[array > 0].astype(float)
        assert np.abs(inside / 0.05 - np.rint(inside / 0.05)).max() < 1e-3
        assert share_of_levels(inside, 0.05) == 1.0
        counts.append(np.bincount(np.rint(inside / 0.05).astype(int), minlength=200)[20:60])
    # Nor do the levels occur unevenly, as they do where values stored in steps of 0.03 are rounded to 0.05.
    rough = [np.abs(np.diff(each, 2)).sum() / each.sum() for each in counts]
    assert max(rough) < 0.3


def test_steps_that_would_be_seen_are_refused():
    random = np.random.default_rng(4)
    coarse = Placed(Volume(stored_in_steps(random, 0.25), np.eye(4)), np.eye(4))
    fine = Placed(Volume(stored_in_steps(random, 1e-9), np.eye(4)), np.eye(4))
    with pytest.raises(InputError, match=r"arm vendor was stored in steps of 0\.25"):
        equalise({"made": fine, "vendor": coarse}, DISPLAY)


@pytest.mark.parametrize(("step", "expected"), [(0.05, 0.05), (0.01, 0.01), (1e-9, 0.0)])
def test_the_step_of_a_map_is_found(step, expected):
    values = stored_in_steps(np.random.default_rng(1), step).astype(np.float32).ravel()
    assert quantum(values) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_few_other_values_do_not_hide_the_step():
    values = stored_in_steps(np.random.default_rng(1), 0.05).astype(np.float32).ravel()
    values[:20] += np.float32(0.0037)
    assert quantum(values) == pytest.approx(0.05, rel=1e-3)


def rotation(degrees):
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = [2.0, -3.0, 1.0]
    return matrix


def ramp(shape, affine, moved=None):
    """A volume whose value at a point of the common space is a linear function of it."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    back = np.linalg.inv(np.eye(4) if moved is None else moved)
    points = points @ back[:3, :3].T + back[:3, 3]
    return Placed(Volume(3.0 + points @ [0.02, 0.03, -0.01], affine), np.eye(4) if moved is None else moved)


def test_moved_and_finer_maps_arrive_where_they_belong():
    coarse, fine = np.diag([3.0, -3.0, 5.0, 1.0]), np.diag([1.0, 1.0, 2.0, 1.0])
    coarse[:3, 3], fine[:3, 3] = [-30.0, 30.0, -20.0], [-40.0, -40.0, -30.0]
    moved = rotation(10.0)
    placed = {"a": ramp((20, 20, 9), coarse), "b": ramp((80, 80, 30), fine), "c": ramp((90, 90, 40), fine, moved)}
    arrays, affine = equalise(placed, DisplaySettings())
    assert np.allclose(np.abs(affine[:3, :3]), np.diag([3.0, 3.0, 5.0]))
    inside = arrays["a"] > 0
    assert inside.mean() > 0.5
    index = np.stack(np.meshgrid(*map(np.arange, inside.shape), indexing="ij"), -1)
    expected = 3.0 + (index @ affine[:3, :3].T + affine[:3, 3]) @ [0.02, 0.03, -0.01]
    deep = ndimage.binary_erosion(inside, iterations=2)
    assert deep.sum() > 500
    for name, array in arrays.items():
        assert np.array_equal(array > 0, inside), name
        assert np.abs(array - expected)[deep].max() < 3e-3, name
        # Of a map that ends, the mean of what is left is taken: alike for all maps, for all end at the same place.
        assert np.abs(array - expected)[inside].max() < 0.1, name
        assert np.abs(array - arrays["a"])[inside].max() < 0.04, name


def test_maps_without_a_place_in_common_are_told():
    far = np.eye(4)
    far[:3, 3] = 500.0
    placed = {
        "a": Placed(Volume(np.ones((4, 4, 4)), np.eye(4)), np.eye(4)),
        "b": Placed(Volume(np.ones((4, 4, 4)), far), np.eye(4)),
    }
    with pytest.raises(InputError, match="no voxel in common"):
        equalise(placed, DisplaySettings())
