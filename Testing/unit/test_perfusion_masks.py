"""The brain and the non-enhancing part of it."""

import numpy as np
import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.masks import brain_from_series, non_enhancing
from HierSynthLib.perfusion.options import Options

COUNT = 1000


def voxels(circulating=0.0, seed=0):
    """Late drop, area and noise of 800 tight voxels, 100 with T1 and 100 with T2* leakage."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(20, 100, COUNT)
    leak = np.r_[np.zeros(800), np.full(100, -0.15), np.full(100, 0.15)]
    late = circulating * area + leak + rng.normal(scale=0.003, size=COUNT)
    return late.astype(np.float32), area.astype(np.float32), np.full(COUNT, 0.01, np.float32)


@pytest.mark.parametrize("circulating", [0.0, 0.0005, 0.002])
def test_both_signs_of_leakage_are_left_out_while_agent_circulates(circulating):
    found = non_enhancing(*voxels(circulating), np.ones(COUNT, bool), Options())
    assert found[:800].mean() > 0.95
    assert not found[800:].any()


def test_noise_widens_the_tolerance():
    late, area, _ = voxels()
    found = non_enhancing(late, area, np.full(COUNT, 0.2, np.float32), np.ones(COUNT, bool), Options())
    assert found.all()


def test_where_nearly_all_enhances_the_nearest_voxels_are_taken():
    area = np.full(COUNT, 50, np.float32)
    late = np.where(np.arange(COUNT) % 2, 1, -1) * np.linspace(0.1, 1, COUNT)
    found = non_enhancing(late.astype(np.float32), area, np.zeros(COUNT, np.float32), np.ones(COUNT, bool), Options())
    np.testing.assert_array_equal(np.flatnonzero(found), np.arange(100))


def test_unusable_voxels_are_never_taken():
    usable = np.arange(COUNT) % 3 > 0
    assert not non_enhancing(*voxels(), usable, Options())[~usable].any()
    with pytest.raises(InputError, match="No voxel of the brain has signal"):
        non_enhancing(*voxels(), np.zeros(COUNT, bool), Options())


def test_a_brain_within_a_scalp_is_found_with_its_ventricles():
    x, y, z = (np.arange(-n, n + 1) * step for n, step in ((45, 2.0), (50, 2.0), (12, 5.0)))
    radius = np.sqrt((x[:, None, None] / 65) ** 2 + (y[None, :, None] / 80) ** 2 + (z / 58) ** 2)
    image = np.where(radius < 1, 900.0, 20.0) + np.where((radius > 1.1) & (radius < 1.16), 500.0, 0.0)
    image[radius < 0.15] = 30
    image += np.random.default_rng(0).normal(scale=15, size=image.shape)
    found = brain_from_series(image.astype(np.float32), np.array([2.0, 2, 5]))
    true = radius < 1
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.98
    assert found[radius < 0.15].all()


def test_no_brain_is_said_in_words():
    with pytest.raises(InputError, match="No brain was found") as caught:
        brain_from_series(np.random.default_rng(0).uniform(0, 1, (20, 20, 4)).astype(np.float32), np.ones(3))
    assert "brain mask" in caught.value.hint
