"""Voxel-wise and spectral terms of the training loss against independent references."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.metrics import structural_similarity

from Training.losses.frequency import focal_frequency_loss
from Training.losses.reconstruction import (
    gaussian_filter,
    laplace_scale_loss,
    low_pass_residual,
    ssim_loss,
    weighted_l1,
    weighted_l2,
)
from Training.losses.statistics import SLOWEST, RunningMean


def pictures(seed: int, count: int = 4, height: int = 20, width: int = 17) -> tuple[torch.Tensor, torch.Tensor]:
    """Two batches of random pictures in double precision."""
    random = torch.Generator().manual_seed(seed)
    shape = (count, 1, height, width)
    first = torch.rand(shape, generator=random, dtype=torch.float64) * 4
    return first, first + 0.3 * torch.randn(shape, generator=random, dtype=torch.float64)


def test_ssim_equals_scikit_image():
    random = np.random.default_rng(0)
    target = ndimage.gaussian_filter(random.random((48, 40)), 2) * 6
    prediction = target + random.normal(0, 0.2, target.shape)
    _, full = structural_similarity(
        target, prediction, data_range=6.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    mask = np.zeros_like(target)
    mask[10:38, 10:30] = 1  # away from the border, where the two pad differently
    tensors = [torch.from_numpy(a)[None, None] for a in (prediction, target, mask)]
    # scikit-image truncates its Gaussian at 3.5 σ, here it ends at 3 σ.
    loss = ssim_loss(*tensors, area=mask.sum()).item()
    assert loss == pytest.approx(1 - full[mask > 0].mean(), abs=2e-3)


def test_gaussian_filter_equals_scipy_in_every_channel():
    image = np.random.default_rng(1).random((2, 3, 30, 20))
    result = gaussian_filter(torch.from_numpy(image), 2.0).numpy()
    for picture, filtered in zip(image.reshape(6, 30, 20), result.reshape(6, 30, 20), strict=True):
        expected = ndimage.gaussian_filter(picture, 2.0, truncate=3.0, mode="constant")
        np.testing.assert_allclose(filtered, expected, atol=1e-12)


def test_laplace_scale_is_least_at_the_mean_absolute_error():
    error = torch.from_numpy(np.random.default_rng(2).laplace(0, 0.7, (1, 1, 100, 100)))
    mask = torch.ones_like(error)
    values = {
        b: laplace_scale_loss(error, torch.full_like(error, math.log(b)), mask, area=10_000).item()
        for b in np.arange(0.3, 1.5, 0.01)
    }
    assert min(values, key=values.get) == pytest.approx(error.abs().mean().item(), abs=0.01)


def test_the_map_does_not_learn_from_the_scale():
    error = torch.ones(1, 1, 4, 4, requires_grad=True)
    scale = torch.zeros(1, 1, 4, 4, requires_grad=True)
    laplace_scale_loss(error, scale, torch.ones(1, 1, 4, 4), area=16).backward()
    assert error.grad is None
    torch.testing.assert_close(scale.grad, torch.zeros(1, 1, 4, 4))  # −|e|/b + 1 = 0 at b = |e|


@pytest.mark.parametrize("width", [16, 17])
def test_focal_frequency_equals_numpy(width):
    prediction, target = pictures(3, count=3, width=width)
    expected = 0.0
    for error in (prediction - target)[:, 0].numpy():
        power = np.abs(np.fft.fft2(error, norm="ortho")) ** 2
        expected += (np.sqrt(power) / np.sqrt(power).max() * power).sum()
    loss = focal_frequency_loss(prediction, target, area=50).item()
    assert loss == pytest.approx(expected / (3 * 50), rel=1e-5)


def test_focal_frequency_has_the_gradient_of_the_weighted_power():
    """Weights are constants: with one wave, all power has weight 1, and the gradient is that of Σe² (Parseval)."""
    wave = torch.cos(2 * math.pi * 3 * torch.arange(16) / 16).expand(16, 16)[None, None].clone().requires_grad_()
    focal_frequency_loss(wave, torch.zeros_like(wave), area=1).backward()
    torch.testing.assert_close(wave.grad, 2 * wave.detach(), atol=1e-4, rtol=1e-4)


def test_weighted_l1_by_hand():
    prediction, target = torch.tensor([[[[1.0, 5.0]]]]), torch.zeros(1, 1, 1, 2)
    weight = torch.tensor([[[[3.0, 1.0]]]])
    assert weighted_l1(prediction, target, weight, area=4).item() == pytest.approx((3 * 1 + 5) / 4)


def test_weighted_l2_by_hand():
    prediction, target = torch.tensor([[[[1.0, 5.0]]]]), torch.zeros(1, 1, 1, 2)
    weight = torch.tensor([[[[3.0, 1.0]]]])
    assert weighted_l2(prediction, target, weight, area=4).item() == pytest.approx((3 * 1 + 25) / 4)


@pytest.mark.parametrize(("loss", "best"), [(weighted_l1, np.median), (weighted_l2, np.mean)])
def test_best_constant_is_the_median_of_l1_and_the_mean_of_l2(loss, best):
    """Values of blood volume are skewed: a map with the least absolute error is too low in the mean."""
    values = np.random.default_rng(1).lognormal(sigma=1.0, size=2001)
    target = torch.from_numpy(values)[None, None, None]
    candidates = np.linspace(0.5, 2.5, 401)
    losses = [loss(torch.full_like(target, level), target, torch.ones_like(target), 1.0).item() for level in candidates]
    assert candidates[np.argmin(losses)] == pytest.approx(best(values), abs=0.005)


def test_low_pass_residual_counts_structure_and_not_texture():
    mask = torch.ones(1, 1, 64, 64)
    texture = torch.ones(64, 64)
    texture[::2] = -1
    inner = slice(16, 48)
    outside = torch.zeros_like(mask)
    outside[..., inner, inner] = 1
    area = float(outside.sum())
    assert low_pass_residual(mask, outside, 2.0, area).item() == pytest.approx(1, abs=1e-3)
    assert low_pass_residual(texture[None, None], outside, 2.0, area).item() < 1e-3


@given(seed=st.integers(0, 1000), cut=st.integers(1, 3))
def test_the_mean_over_parts_is_the_loss_of_the_batch(seed, cut):
    """Sums are divided by a constant, so a batch may be computed in parts, weighted by their number of slices."""
    prediction, target = pictures(seed)
    mask = (torch.rand(target.shape, generator=torch.Generator().manual_seed(seed)) > 0.4).double()
    terms = (
        lambda p, t, m: weighted_l1(p, t, m, 100),
        lambda p, t, m: weighted_l2(p, t, m, 100),
        lambda p, t, m: ssim_loss(p, t, m, 100),
        lambda p, t, m: laplace_scale_loss(p - t, 0.1 * t, m, 100),
        lambda p, t, m: focal_frequency_loss(p, t, 100),
        lambda p, t, m: low_pass_residual(p - t, m, 1.5, 100),
    )
    for term in terms:
        whole = term(prediction, target, mask)
        parts = [term(*(a[part] for a in (prediction, target, mask))) for part in (slice(cut), slice(cut, None))]
        torch.testing.assert_close((cut * parts[0] + (4 - cut) * parts[1]) / 4, whole, rtol=1e-5, atol=1e-7)


def test_running_mean_waits_for_the_next_step():
    mean = RunningMean(2)
    mean.begin(1)
    mean.observe(torch.tensor([2.0, 4.0]), 2)
    mean.observe(torch.tensor([4.0, 8.0]), 4)
    mean.begin(1)
    assert not mean.ready
    assert mean.value.tolist() == [0, 0]
    mean.begin(2)
    assert mean.ready
    torch.testing.assert_close(mean.value, torch.tensor([1.0, 2.0]))


def test_running_mean_over_many_steps():
    """The first steps count equally; after 1/SLOWEST steps it is an exponential mean."""
    mean = RunningMean(1)
    values = np.random.default_rng(4).normal(size=150)
    expected = 0.0
    for step, value in enumerate(values):
        mean.begin(step)
        mean.observe(torch.tensor([3 * value]), 3)
        expected += (value - expected) * max(1 / (step + 1), SLOWEST)
        if step == 79:
            mean.begin(1000)
            assert mean.value.item() == pytest.approx(values[:80].mean(), abs=1e-6)
    mean.begin(2000)
    assert mean.value.item() == pytest.approx(expected, abs=1e-6)


def test_running_mean_is_saved_with_what_waits():
    first, second = RunningMean(1), RunningMean(1)
    first.begin(1)
    first.observe(torch.tensor([3.0]), 1)
    second.load_state_dict(first.state_dict())
    for mean in (first, second):
        mean.begin(2)
    assert torch.equal(first.value, second.value)
    assert second.value.item() == 3
