"""Overlap of hotspots against brute force and boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, generate_binary_structure
from scipy.spatial.distance import cdist

from HierSynthLib.fidelity.measures.overlap import dice, hausdorff95, surface


def box(start, stop, shape=(30, 20, 16)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


def brute_force(first, second, steps):
    a, b = (np.argwhere(surface(mask)) @ np.asarray(steps).T for mask in (first, second))
    distances = cdist(a, b)
    return max(np.percentile(distances.min(axis=1), 95), np.percentile(distances.min(axis=0), 95))


def test_boxes_have_the_overlap_of_their_volumes():
    first, second = box((2, 2, 2), (12, 12, 12)), box((7, 2, 2), (17, 12, 12))
    assert dice(first, second) == pytest.approx(0.5)
    assert dice(first, first) == 1
    assert dice(first, np.zeros_like(first)) == 0
    assert dice(np.zeros_like(first), np.zeros_like(first)) is None


@pytest.mark.parametrize("spacing", [1.0, 2.5])
def test_a_shifted_slab_lies_at_its_shift(spacing):
    # Thin plates: every surface voxel is exactly the shift away.
    first, second = box((5, 0, 0), (6, 20, 16)), box((9, 0, 0), (10, 20, 16))
    assert hausdorff95(first, second, np.diag([spacing, 1, 1])) == pytest.approx(4 * spacing)
    assert hausdorff95(first, first, np.eye(3)) == 0


def test_nothing_has_no_distance():
    assert hausdorff95(box((1, 1, 1), (3, 3, 3)), np.zeros((30, 20, 16), bool), np.eye(3)) is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.9))
def test_the_same_as_all_distances(seed, share):
    random = np.random.default_rng(seed)
    first, second = (random.uniform(size=(7, 6, 5)) < share for _ in range(2))
    first[3, 3, 3] = second[2, 2, 2] = True
    angle = np.deg2rad(20)
    turned = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    steps = turned @ np.diag([1.0, 1.5, 3.0])
    assert hausdorff95(first, second, steps) == pytest.approx(brute_force(first, second, steps))


@given(st.integers(0, 2**32 - 1))
def test_the_surface_is_what_erosion_removes(seed):
    mask = np.random.default_rng(seed).uniform(size=(6, 7, 5)) < 0.8
    eroded = binary_erosion(mask, generate_binary_structure(3, 1), border_value=0)
    np.testing.assert_array_equal(surface(mask), mask & ~eroded)
