"""What the pipeline makes of the network's output, with a network whose answer is known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.errors import InputError
from HierSynthLib.preparation import VERSION
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis.model import LoadedModel
from HierSynthLib.synthesis.networks import NetworkConfig, Synthesis
from HierSynthLib.synthesis.package import ModelSettings
from HierSynthLib.synthesis.pipeline import synthesise

CPU = torch.device("cpu")


class Known(nn.Module):
    """Answers with the planes of the input: T1 as global map, T2 as residual, log b = 0."""

    def __init__(self):
        super().__init__()
        self.config = NetworkConfig(slices=1)
        self.stride = 8

    def forward(self, x):
        return Synthesis(x[:, 0:1], x[:, 1:2], torch.zeros_like(x[:, 0:1]))


class Doubling(torch.nn.Module):
    """A velocity that leads to twice the estimate: after any number of steps z_0 + ŷ is reached."""

    def forward(self, x, estimate, state, time):
        return estimate


class Refined(Known):
    def __init__(self):
        super().__init__()
        self.refiner = Doubling()


class KnownModel(LoadedModel):
    def on(self, device):
        return self.network


def run(base, residual, brain=None, network=None, **options):
    settings = ModelSettings(SEQUENCES, (1.0, 1.0, 1.0), 1, 10.0, 0.8, 1.5, True, VERSION)
    sequences = {Role.T1: base.astype(np.float32), Role.T2: residual.astype(np.float32)}
    brain = np.ones(base.shape, bool) if brain is None else brain
    return synthesise(sequences, brain, KnownModel(network or Known(), settings), CPU, Silent(), **options)


def test_the_sum_is_clipped_once_and_not_its_parts():
    base = np.array([-0.3, 12.0, 9.0, 2.0, 0.5]).reshape(5, 1, 1)
    residual = np.array([0.4, -3.0, 4.0, 0.5, -2.0]).reshape(5, 1, 1)
    maps = run(base, residual)
    np.testing.assert_allclose(maps.synthetic.ravel(), [0.1, 9.0, 10.0, 2.5, 0.0], rtol=1e-6)
    np.testing.assert_allclose(maps.global_map.ravel(), [0.0, 10.0, 9.0, 2.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(maps.residual.ravel(), [0.1, -1.0, 1.0, 0.5, -0.5], rtol=1e-5)


def test_every_voxel_returns_to_its_own_place():
    random = np.random.default_rng(0)
    base, brain = random.random((11, 6, 9)), random.random((11, 6, 9)) > 0.3
    brain[:, :, 4] = False
    maps = run(base, np.zeros_like(base), brain)
    np.testing.assert_allclose(maps.synthetic, base * brain, rtol=1e-6)


def test_uncertainty_is_the_scaled_laplace_interval():
    """P(|e| ≤ t) = 1 − exp(−t/b) = 0.8 at t = b·ln 5; here b = 1 and the factor 1.5."""
    maps = run(np.ones((2, 2, 2)), np.zeros((2, 2, 2)))
    np.testing.assert_allclose(maps.uncertainty, 1.5 * math.log(5), rtol=1e-6)
    assert maps.interval == 0.8


def test_the_refiner_starts_from_the_map_and_noise_of_the_seed():
    base = np.full((24, 24, 6), 2.0)
    plain = run(base, 0 * base, network=Refined())
    np.testing.assert_allclose(plain.synthetic, 2.0)
    first, again, other = (run(base, 0 * base, network=Refined(), refine_seed=seed) for seed in (3, 3, 4))
    noise = first.synthetic - 4.0
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(first.synthetic, again.synthetic)
    assert np.abs(first.synthetic - other.synthetic).max() > 0.1
    np.testing.assert_allclose(first.global_map, 2.0)
    np.testing.assert_allclose(first.global_map + first.residual, first.synthetic, rtol=1e-6)
    np.testing.assert_array_equal(first.uncertainty, plain.uncertainty)
    some = run(base, 0 * base, network=Refined(), refine_seed=3, slices=[4])
    np.testing.assert_array_equal(some.synthetic[:, :, 4], first.synthetic[:, :, 4], "a slice's noise is its own")
    assert np.abs(noise[:, :, 4] - noise[:, :, 3]).max() > 0.1


def test_a_model_without_a_refiner_cannot_refine():
    with pytest.raises(InputError, match="has no refiner"):
        run(np.ones((2, 2, 2)), np.zeros((2, 2, 2)), refine_seed=0)
