"""Comparing maps on one grid, against formulas that can be sampled anywhere and against SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.compare import checkerboard, compare, compare_files
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, read_volume, write_volume
from Testing.analytic_head import places, turned
from Testing.sitk_images import from_sitk, to_sitk

SHAPE = (40, 44, 36)
GRID = turned((2.0, 2.0, 2.5), SHAPE, angles_deg=(8, -5, 12), centre=(3, -4, 10))


def linear(points):
    """A map that linear interpolation reproduces exactly."""
    return (3.0 + points @ [0.02, -0.015, 0.01]).astype(np.float32)


def sampled(affine, shape, function=linear):
    return Volume(function(places(affine, shape)), affine, "nrCBV")


@pytest.fixture
def synthetic():
    return sampled(GRID, SHAPE, lambda points: linear(points) + 0.5)


def oblique(shape=(70, 64, 60), centre=(0, 0, 8), angles=(-20, 15, 33)):
    return turned((1.7, 2.1, 2.3), shape, angles_deg=angles, centre=centre), shape


def test_a_constant_difference_is_found_on_an_oblique_grid(synthetic):
    acquired = sampled(*oblique())
    found = compare(synthetic, acquired)
    indices = acquired.indices(places(GRID, SHAPE))
    between = np.all((indices >= 0) & (indices <= np.array(acquired.grid) - 1), axis=-1)
    assert between.mean() > 0.9
    assert found.covered[between].all()
    np.testing.assert_allclose(found.difference[between], 0.5, atol=1e-4)
    np.testing.assert_allclose(found.acquired_on_grid[between], (synthetic.array - 0.5)[between], atol=1e-4)


def test_outside_the_field_of_view_is_nothing(synthetic):
    acquired = sampled(*oblique(shape=(30, 64, 60), centre=(20, 0, 8)))
    found = compare(synthetic, acquired)
    indices = acquired.indices(places(GRID, SHAPE))
    inside = np.all((indices > -0.49) & (indices < np.array(acquired.grid) - 0.51), axis=-1)
    outside = np.any((indices < -0.51) | (indices > np.array(acquired.grid) - 0.49), axis=-1)
    assert 0.1 < inside.mean() < 0.9
    assert found.covered[inside].all()
    assert not found.covered[outside].any()
    for array in (found.acquired_on_grid, found.difference):
        assert (array[~found.covered] == 0).all()
        assert np.isfinite(array).all()


def test_the_same_as_simpleitk(synthetic):
    random = np.random.default_rng(0)
    affine, shape = oblique()
    acquired = Volume(random.uniform(0, 5, shape).astype(np.float32), affine, "nrCBV")
    expected = from_sitk(sitk.Resample(to_sitk(acquired), to_sitk(synthetic), sitk.Transform(), sitk.sitkLinear, -1.0))
    found = compare(synthetic, acquired)
    known = (expected.array != -1.0) & found.covered
    assert known.mean() > 0.9
    np.testing.assert_allclose(found.acquired_on_grid[known], expected.array[known], atol=1e-3)


def test_the_same_grid_is_not_interpolated(synthetic):
    random = np.random.default_rng(0)
    acquired = Volume(random.uniform(0, 5, SHAPE).astype(np.float32), GRID, "nrCBV")
    found = compare(synthetic, acquired)
    assert found.covered.all()
    np.testing.assert_allclose(found.acquired_on_grid, acquired.array, atol=1e-4)
    np.testing.assert_allclose(found.difference, synthetic.array - acquired.array, atol=1e-4)


def test_voxels_without_a_number_are_not_covered(synthetic):
    array = np.ones(SHAPE, np.float32)
    array[10:20, 5, 7] = np.nan
    array[3, 3, 3] = np.inf
    found = compare(synthetic, Volume(array, GRID))
    np.testing.assert_array_equal(found.covered, np.isfinite(array))
    assert np.isfinite(found.difference).all()
    assert (found.difference[10:20, 5, 7] == 0).all()


def test_the_checkerboard_shows_both_in_cubes_of_the_right_size(synthetic):
    acquired = Volume(np.full(SHAPE, 9.0, np.float32), GRID)
    found = compare(synthetic, acquired, 20.0)
    odd = found.checkerboard == 9.0
    np.testing.assert_array_equal(found.checkerboard[~odd], synthetic.array[~odd])
    # Voxels of 2 × 2 × 2.5 mm: cubes of 10 × 10 × 8 voxels, the first of which shows the synthetic map.
    for index in np.ndindex(4, 4, 4):
        i, j, k = np.array(index) * (10, 10, 8)
        assert (odd[i : i + 10, j : j + 10, k : k + 8] == bool(sum(index) % 2)).all()


@pytest.mark.parametrize("square", [3.0, 7.5, 40.0])
def test_cubes_are_cubes_whatever_the_voxels(square):
    volume = Volume(np.zeros((60, 30, 20)), np.diag([1.0, 2.0, 3.0, 1.0]))
    odd = checkerboard(volume, square)
    centres = (np.stack(np.meshgrid(*map(np.arange, volume.grid), indexing="ij"), -1) + 0.5) * [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(odd, (centres // square).sum(-1) % 2 == 1)


@pytest.mark.parametrize("square", [0.0, -5.0, float("nan"), float("inf")])
def test_impossible_squares(synthetic, square):
    with pytest.raises(InputError, match="cannot be drawn"):
        compare(synthetic, synthetic, square)


def test_maps_that_do_not_overlap(synthetic):
    elsewhere = sampled(*oblique(centre=(900, 0, 0)))
    with pytest.raises(InputError, match="do not overlap"):
        compare(synthetic, elsewhere)


def test_files_for_a_host(synthetic, tmp_path):
    acquired = sampled(*oblique())
    write_volume(synthetic, tmp_path / "a.npy")
    write_volume(acquired, tmp_path / "b.nii.gz")
    answer = compare_files(tmp_path / "a.npy", tmp_path / "b.nii.gz", tmp_path / "out", 20.0, Silent())
    expected = compare(synthetic, acquired, 20.0)
    assert set(answer["maps"]) == {"acquired_on_grid", "difference", "checkerboard", "covered"}
    for key, path in answer["maps"].items():
        raw = np.load(path, allow_pickle=False)
        assert raw.flags.f_contiguous
        np.testing.assert_allclose(raw, getattr(expected, key), atol=1e-3)
        np.testing.assert_allclose(read_volume(tmp_path / "out" / f"{key}.npy").affine, GRID)
    assert read_volume(tmp_path / "out" / "difference.npy").units == "nrCBV"


@pytest.mark.parametrize(("which", "units"), [("acquired", "a.u."), ("synthetic", "ml/100 g")])
def test_maps_in_other_units_are_refused(which, units, tmp_path):
    small = np.ones((4, 4, 4), np.float32)
    files = {each: tmp_path / f"{each}.npy" for each in ("synthetic", "acquired")}
    for each, path in files.items():
        write_volume(Volume(small, np.eye(4), units if each == which else "nrCBV"), path)
    with pytest.raises(InputError, match=f"The {which} map is in {units}; only maps in nrCBV"):
        compare_files(files["synthetic"], files["acquired"], tmp_path / "out", 20.0, Silent())
    assert not (tmp_path / "out").exists()
