"""Texture descriptors and the perfusion-aware constraint against independent references."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops

from Training.losses.contrast import PerfusionConstraint, info_nce, true_negatives
from Training.losses.descriptors import (
    FLOOR,
    LEVELS,
    NAMES,
    OFFSETS,
    SCALE,
    choose_patches,
    describe,
    describe_patches,
    memberships,
    unfold,
)
from Training.losses.settings import LossConfig

COLUMN = {name: number for number, name in enumerate(NAMES)}


def noise(*shape: int, seed: int = 0, strength: float = 0.5) -> np.ndarray:
    return (np.random.default_rng(seed).gamma(2, strength, shape) - strength).astype(np.float32)


def described(patches: np.ndarray, name: str) -> np.ndarray:
    return describe(torch.from_numpy(patches))[:, COLUMN[name]].numpy()


def test_moments_equal_scipy():
    patches = noise(20, 8, 8)
    flat = patches.reshape(20, -1) / SCALE
    np.testing.assert_allclose(described(patches, "mean"), flat.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(described(patches, "log SD"), 0.5 * np.log(flat.var(axis=1) + FLOOR**2), atol=1e-5)
    np.testing.assert_allclose(described(patches, "skewness"), stats.skew(flat, axis=1), rtol=0.02)


def test_skewness_is_clipped():
    patch = np.zeros((1, 8, 8), np.float32)
    patch[0, 3, 3] = 50
    assert stats.skew(patch.ravel()) > 7
    assert described(patch, "skewness").item() == 3


def test_tails_equal_numpy():
    patches = noise(10, 16, 16)
    ordered = np.sort(patches.reshape(10, -1) / SCALE, axis=1)
    np.testing.assert_allclose(described(patches, "top 10 %"), ordered[:, -26:].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(described(patches, "bottom 10 %"), ordered[:, :26].mean(axis=1), rtol=1e-5)


def values_of(levels: np.ndarray) -> np.ndarray:
    """Pixel values that lie exactly on the grey levels (all but the outermost, which no finite value reaches)."""
    share = 2 * levels / (LEVELS - 1) - 1
    return (SCALE * share / (1 - np.abs(share))).astype(np.float32)


@pytest.mark.parametrize("patch", [8, 16])
def test_co_occurrence_and_entropy_equal_scikit_image(patch):
    levels = np.random.default_rng(1).integers(1, LEVELS - 1, (6, patch, patch))
    result = describe(torch.from_numpy(values_of(levels))).numpy()
    angle = {(0, 1): 0.0, (1, 0): math.pi / 2}
    for number, grey in enumerate(levels.astype(np.uint8)):
        for offset in OFFSETS:
            matrix = graycomatrix(grey, [1], [angle[offset]], levels=LEVELS, symmetric=True, normed=True)
            contrast = graycoprops(matrix, "contrast").item() / (LEVELS - 1) ** 2
            assert result[number, COLUMN[f"GLCM contrast {offset}"]] == pytest.approx(contrast, rel=1e-4)
            energy = graycoprops(matrix, "energy").item()  # √ASM
            assert result[number, COLUMN[f"GLCM √ASM {offset}"]] == pytest.approx(energy, rel=1e-4)
        shares = np.bincount(grey.ravel(), minlength=LEVELS) / grey.size
        assert result[number, COLUMN["entropy"]] == pytest.approx(stats.entropy(shares, base=LEVELS), abs=1e-4)


@given(st.floats(-50, 50, width=32))
def test_grey_levels_share_every_pixel(value):
    share = memberships(torch.full((1, 1, 1), value))[0, 0, 0]
    assert share.sum().item() == pytest.approx(1, abs=1e-5)
    assert (share > 0).sum() <= 2
    centre = (share * torch.arange(LEVELS)).sum().item()
    assert centre == pytest.approx((LEVELS - 1) / 2 * (1 + value / (1 + abs(value))), abs=1e-4)


def test_high_frequency_energy_equals_scipy():
    patches = noise(5, 8, 8)
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    for patch, value in zip(patches, described(patches, "log high-frequency energy"), strict=True):
        detail = (patch - ndimage.convolve(patch, kernel))[1:-1, 1:-1] / SCALE
        assert value == pytest.approx(0.5 * math.log((detail**2).mean() + FLOOR**2), abs=1e-5)


def test_a_patch_is_described_by_itself_alone():
    picture = noise(1, 40, 32)
    grid = describe_patches(picture, 8)
    assert grid.shape == (1, 9, 7, len(NAMES))
    alone = describe(torch.from_numpy(picture[:, 12:20, 8:16].copy())).numpy()
    np.testing.assert_allclose(grid[0, 3, 2], alone[0], atol=1e-6)
    assert describe_patches(picture, 8, stride=8).shape == (1, 5, 4, len(NAMES))


def test_every_descriptor_has_a_gradient_even_for_a_flat_patch():
    flat = torch.zeros(1, 8, 8, requires_grad=True)
    describe(flat).sum().backward()
    assert torch.isfinite(flat.grad).all()
    for column, name in enumerate(NAMES):
        patch = torch.from_numpy(noise(1, 8, 8)).requires_grad_()
        describe(patch)[0, column].backward()
        assert torch.isfinite(patch.grad).all(), name
        assert patch.grad.abs().max() > 0, name


def test_the_gradient_is_that_of_finite_differences():
    patch = torch.from_numpy(noise(1, 8, 8, seed=5))
    direction = torch.from_numpy(noise(1, 8, 8, seed=6))
    moved = [describe(patch + sign * 1e-2 * direction)[0] for sign in (1, -1)]
    numeric = (moved[0] - moved[1]) / 2e-2
    for column in range(len(NAMES)):
        point = patch.clone().requires_grad_()
        describe(point)[0, column].backward()
        exact = (point.grad * direction).sum().item()
        assert exact == pytest.approx(numeric[column].item(), rel=0.1, abs=0.03), NAMES[column]


def test_patches_of_brain_those_with_lesion_first():
    brain, lesion = torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 32, 32)
    brain[0, :, :16] = 1
    lesion[0, :, :8, :8] = 1
    generator = torch.Generator().manual_seed(0)
    chosen = choose_patches(brain, lesion, 8, 0.05, 1000, generator)
    # Rows 0, 4, 8 lie inside, row 12 by half; 7 columns each. The second slice has no brain.
    assert chosen.valid.sum(dim=1).tolist() == [28, 0]
    assert sorted(chosen.number[0].tolist()) == list(range(28))
    assert chosen.weight[1].sum() == 0
    first = chosen.number[0].tolist().index(0)
    assert chosen.weight[0, first].item() == pytest.approx(1.05)
    few = choose_patches(brain, lesion, 8, 0.05, 6, generator)
    assert few.number.shape == (2, 6)
    assert {0, 1, 7, 8} <= set(few.number[0].tolist()), "the four that touch the lesion"


def brute_force(query, key, negative, temperature):
    result = torch.zeros(query.shape[:2])
    for b in range(query.shape[0]):
        for p in range(query.shape[1]):
            own = math.exp(float(query[b, p] @ key[b, p]) / temperature)
            others = sum(
                math.exp(float(query[b, p] @ key[b, n]) / temperature)
                for n in range(query.shape[1])
                if negative[b, p, n]
            )
            result[b, p] = -math.log(own / (own + others))
    return result


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.floats(0.05, 2))
def test_info_nce_equals_a_loop(seed, temperature):
    random = torch.Generator().manual_seed(seed)
    query, key = (torch.nn.functional.normalize(torch.randn(2, 5, 3, generator=random), dim=2) for _ in range(2))
    negative = (torch.rand(2, 5, 5, generator=random) > 0.5) & ~torch.eye(5, dtype=torch.bool)
    expected = brute_force(query, key, negative, temperature)
    torch.testing.assert_close(info_nce(query, key, negative, temperature), expected, rtol=1e-4, atol=1e-5)


def test_false_negatives_are_left_out():
    descriptors = torch.tensor([[[0.0, 0], [0.3, 0], [2, 2], [9, 9]]])
    valid = torch.tensor([[True, True, True, False]])
    negative = true_negatives(descriptors, valid, threshold=0.5)[0]
    # ‖φ_0 − φ_1‖/√2 = 0.21, ‖φ_0 − φ_2‖/√2 = 2; the last patch does not exist.
    assert negative[:3].tolist() == [
        [False, False, True, False],
        [False, False, True, False],
        [True, True, False, False],
    ]


def scene(count: int = 8, seed: int = 0):
    random = torch.Generator().manual_seed(seed)
    brain, lesion = torch.zeros(count, 1, 32, 32), torch.zeros(count, 1, 32, 32)
    brain[:, :, 2:30, 4:28] = 1
    for number in range(count):
        lesion[number, :, 8 : 12 + number, 8:16] = 1
    acquired = torch.randn(count, 1, 32, 32, generator=random) * 0.4
    made = 0.5 * acquired + 0.1 * torch.randn(count, 1, 32, 32, generator=random)
    return made, acquired, brain, lesion


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def constraint(**changes) -> PerfusionConstraint:
    torch.manual_seed(3)
    return PerfusionConstraint(LossConfig(**changes))


@pytest.mark.parametrize("strength", [1.0, 0.02], ids=["texture", "collapsed texture"])
def test_the_constraint_equals_its_formula(strength):
    """One slice, one patch size, computed again from single patches with numpy."""
    module = constraint(patches=(8,))
    made, acquired, brain, lesion = scene(1)
    made = (strength * made).requires_grad_()
    assert module(made, acquired, brain, lesion, 1, seeded()) == {}, "the first step only collects"
    terms = module(made, acquired, brain, lesion, 2, seeded())

    rows = [(4 * i, 4 * j) for i in range(7) for j in range(7)]
    rows = [(i, j) for i, j in rows if brain[0, 0, i : i + 8, j : j + 8].mean() >= 0.5]

    def phi(picture):
        patches = [(picture * brain)[0, 0, i : i + 8, j : j + 8] for i, j in rows]
        return describe(torch.stack(patches)).double().numpy()

    truth, weight = phi(acquired), np.array([lesion[0, 0, i : i + 8, j : j + 8].mean() + 0.05 for i, j in rows])
    mean, deviation = truth.mean(axis=0), np.sqrt(np.maximum(truth.var(axis=0), 1e-4))
    z_true, z_made = ((values - mean) / deviation for values in (truth, phi(made.detach())))
    assert (z_made.min() < -10) == (strength < 1), "far from the acquired texture"
    error = np.abs(z_made - z_true)
    smooth = np.where(error < 1, 0.5 * error**2, error - 0.5).mean(axis=1)
    assert terms["descriptor"].item() == pytest.approx((weight * smooth).sum() / weight.sum(), rel=1e-3)

    def embed(z):
        return torch.nn.functional.normalize(module.projection(torch.from_numpy(z).float()), dim=1)[None].detach()

    distance = np.linalg.norm(z_true[:, None] - z_true[None], axis=2) / math.sqrt(len(NAMES))
    negative = torch.from_numpy(distance > 0.5)[None]
    loss = brute_force(embed(z_made), embed(z_true), negative, 0.1)[0].numpy()
    assert terms["nce"].item() == pytest.approx((weight * loss).sum() / weight.sum(), rel=1e-3)
    terms["descriptor"].backward()
    assert (made.grad * acquired).sum() < 0, "more of the acquired texture makes the term smaller"


def test_the_constraint_is_least_where_the_residual_is_the_acquired_one():
    made, acquired, brain, lesion = scene()
    module = constraint()
    module(made, acquired, brain, lesion, 1, seeded())
    right = module(acquired, acquired, brain, lesion, 2, seeded())
    wrong = module(acquired.flip(0), acquired, brain, lesion, 2, seeded())
    nothing = module(torch.zeros_like(acquired), acquired, brain, lesion, 2, seeded())
    assert right["descriptor"].item() == pytest.approx(0, abs=1e-9)
    assert right["nce"] < wrong["nce"]
    assert right["descriptor"] < wrong["descriptor"] < nothing["descriptor"]


def test_only_the_synthetic_residual_and_the_projection_learn():
    made, acquired, brain, lesion = scene()
    made, acquired = made.requires_grad_(), acquired.requires_grad_()
    module = constraint()
    module(made, acquired, brain, lesion, 1, seeded())
    sum(module(made, acquired, brain, lesion, 2, seeded()).values()).backward()
    assert acquired.grad is None
    assert made.grad.abs().max() > 0
    assert (made.grad * (1 - brain)).abs().max() == 0
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in module.projection.parameters())


def test_weight_zero_is_not_computed():
    made, acquired, brain, lesion = scene()
    for changes, names in (({"nce": 0.0}, {"descriptor"}), ({"descriptor": 0.0}, {"nce"})):
        module = constraint(**changes)
        module(made, acquired, brain, lesion, 1, seeded())
        assert set(module(made, acquired, brain, lesion, 2, seeded())) == names


def test_the_constraint_of_a_batch_is_the_mean_over_its_parts():
    """Both ways the statistics of the steps before are used, and both end with the same statistics."""
    data = scene()
    whole, parted = constraint(), constraint()
    for step in (1, 2, 3):
        together = whole(*data, step, seeded())
        parts = [parted(*(a[part] for a in data), step, seeded()) for part in (slice(4), slice(4, 8))]
        for name, value in together.items():
            torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, value, rtol=1e-4, atol=1e-6)
    assert set(together) == {"nce", "descriptor"}
    for a, b in zip(whole.buffers(), parted.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_slices_without_brain_are_no_error():
    made, acquired, brain, lesion = scene()
    module = constraint()
    module(made, acquired, brain, lesion, 1, seeded())
    made = made.requires_grad_()
    terms = module(made, acquired, 0 * brain, 0 * lesion, 2, seeded())
    assert {name: value.item() for name, value in terms.items()} == {"nce": 0, "descriptor": 0}
    sum(terms.values()).backward()
    assert made.grad.abs().max() == 0
    brain[:4], lesion[:4] = 0, 0
    terms = module(made, acquired, brain, lesion, 3, seeded())
    assert all(torch.isfinite(value) for value in terms.values())


def test_unfold_takes_the_right_pixels():
    picture = torch.arange(12 * 10.0).view(1, 1, 12, 10)
    grid = unfold(picture, 4, 2)
    assert grid.shape == (1, 5, 4, 4, 4)
    torch.testing.assert_close(grid[0, 2, 1], picture[0, 0, 4:8, 2:6])
