"""Hotspots: planted blobs are found where they are, on grids of any shape, against a search by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.regions.hotspots import find_hotspots
from HierSynthLib.fidelity.regions.masks import rasterise
from HierSynthLib.fidelity.regions.shapes import Region
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume
from Testing.analytic_head import places, turned

CENTRES = np.array([(-20, 4, 10), (-2, 14, 6), (14, -2, 16), (2, -12, 2)])
HEIGHTS = np.array([5.0, 4.5, 4.0, 3.5])


def planted(spacing, shape, angles_deg=(10, -15, 30)):
    """A map of 1 with smooth blobs of known heights, and a lesion around all of them."""
    affine = turned(spacing, shape, angles_deg=angles_deg, centre=(0, 0, 8))
    points = places(affine, shape)
    away = np.linalg.norm(points[..., None, :] - CENTRES, axis=-1)
    values = 1 + (HEIGHTS * np.exp(-((away / 6) ** 2))).sum(axis=-1)
    lesion = np.linalg.norm(points - (-3, 1, 9), axis=-1) < 30
    return Volume(values.astype(np.float32), affine, "nrCBV"), lesion


@pytest.mark.parametrize(
    ("spacing", "shape"), [((1.5, 1.5, 1.5), (60, 60, 56)), ((1.8, 1.8, 5.0), (50, 50, 18)), ((3, 3, 3), (30, 30, 28))]
)
def test_planted_blobs_are_found_the_highest_first(spacing, shape):
    volume, lesion = planted(spacing, shape)
    found, warnings = find_hotspots(volume, lesion, Silent())
    assert warnings == []
    reach = np.linalg.norm(spacing) / 2 + 0.1  # half the diagonal of a voxel
    for spot, centre in zip(found, CENTRES, strict=True):
        assert np.linalg.norm(spot.sphere.centre - centre) <= reach
        assert spot.sphere.radius_mm == 3.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), spacing=st.tuples(*[st.floats(1.0, 4.0)] * 3), diameter=st.floats(3, 12))
def test_means_are_those_of_the_region_and_none_is_missed(seed, spacing, diameter):
    random = np.random.default_rng(seed)
    shape = (9, 8, 8)
    affine = turned(spacing, shape, angles_deg=random.uniform(-60, 60, 3))
    values = random.gamma(9.0, 0.3, shape).astype(np.float32)
    values[random.uniform(size=shape) < 0.02] = np.nan
    lesion = random.uniform(size=shape) < 0.995
    volume, grid = Volume(values, affine), Grid(shape, affine)
    found, warnings = find_hotspots(volume, lesion, Silent(), diameter_mm=diameter)
    masks = [rasterise(Region("Spot", "hotspot", (spot.sphere,)), grid, None) for spot in found]
    usable = lesion & np.isfinite(values)
    for spot, mask in zip(found, masks, strict=True):
        assert spot.mean == pytest.approx(float(np.nanmean(mask.of(values))), rel=1e-5)
        assert mask.of(usable).mean() >= 0.9 - 1e-9
    centres = np.array([spot.sphere.centre for spot in found]).reshape(-1, 3)
    for n, centre in enumerate(centres):
        assert (np.linalg.norm(centres[:n] - centre, axis=1) >= diameter).all()
    assert bool(warnings) == (len(found) < 4)
    best = _highest_by_hand(values, usable, affine, diameter / 2)
    assert (found[0].mean if found else None) == (best if best is None else pytest.approx(best, rel=1e-5))


def _highest_by_hand(values, usable, affine, radius):
    """The highest mean of all whole spheres around voxels that have no vessel-like peak."""
    points = places(affine, values.shape).reshape(-1, 3)
    known, flat = usable.reshape(-1), values.reshape(-1)
    voxels = np.count_nonzero(_infinite_sphere(affine, radius))
    best = None
    for centre in points:
        inside = np.linalg.norm(points - centre, axis=1) <= radius + 1e-6
        if np.count_nonzero(known[inside]) < 0.9 * voxels - 1e-9:
            continue
        own = flat[inside][np.isfinite(flat[inside])]
        if own.max() <= 3 * np.median(own):
            best = max(best or 0, float(own.mean(dtype=float)))
    return best


def _infinite_sphere(affine, radius):
    steps = np.moveaxis(np.indices((15, 15, 15)) - 7, 0, -1)
    return np.linalg.norm(steps @ affine[:3, :3].T, axis=-1) <= radius + 1e-6


def test_hotspots_do_not_share_voxels_where_they_touch():
    volume = Volume(np.ones((20, 20, 20), np.float32), np.eye(4))
    found, _ = find_hotspots(volume, np.ones((20, 20, 20), bool), Silent())
    masks = [
        rasterise(Region("Spot", "hotspot", (spot.sphere,)), Grid((20, 20, 20), np.eye(4)), None) for spot in found
    ]
    count = np.zeros((20, 20, 20), int)
    for mask in masks:
        count[mask.slices] += mask.inside
    assert count.max() == 1


def test_fewer_fit_into_a_small_lesion():
    volume, _ = planted((1.5, 1.5, 1.5), (60, 60, 56))
    points = places(volume.affine, volume.grid)
    small = np.linalg.norm(points - (0, 0, 8), axis=-1) < 4.5
    found, warnings = find_hotspots(volume, small, Silent())
    assert len(found) == 1
    assert warnings == ["Only 1 of 4 hotspots of 6 mm diameter fits into the lesion without overlap."]
    found, warnings = find_hotspots(volume, np.linalg.norm(points - (0, 0, 8), axis=-1) < 2.0, Silent())
    assert found == []
    assert warnings == ["No hotspot of 6 mm diameter fits into the lesion without overlap."]


def test_no_lesion_and_no_values():
    volume, lesion = planted((3, 3, 3), (30, 30, 28))
    unknown = Volume(np.full(volume.grid, np.nan, np.float32), volume.affine)
    for case in ((volume, np.zeros_like(lesion)), (unknown, lesion)):
        found, warnings = find_hotspots(*case, Silent())
        assert found == []
        assert "no voxel with a value" in warnings[0]


def test_a_vessel_is_no_hotspot_in_a_sharp_map():
    volume, lesion = planted((1.5, 1.5, 1.5), (60, 60, 56))
    with_vessel = volume.array.copy()
    with_vessel[:, 28, 30] = 50.0
    plain, _ = find_hotspots(volume, lesion, Silent())
    found, _ = find_hotspots(Volume(with_vessel, volume.affine), lesion, Silent())
    assert max(spot.mean for spot in found) <= plain[0].mean + 1e-6


@pytest.mark.parametrize("change", [{"count": 0}, {"diameter_mm": 0}, {"diameter_mm": float("nan")}])
def test_impossible_wishes(change):
    with pytest.raises(InputError, match="cannot be found"):
        find_hotspots(*planted((3, 3, 3), (30, 30, 28)), Silent(), **change)


def test_a_sphere_of_countless_voxels_is_refused():
    with pytest.raises(InputError, match="more than 100000 voxels"):
        find_hotspots(*planted((3, 3, 3), (30, 30, 28)), Silent(), diameter_mm=1000)
