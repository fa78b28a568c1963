"""Random changes of the input, and of what a discriminator sees."""

import torch

from HierSynthLib.synthesis.networks import NetworkConfig
from Training.augmentation import AugmentationConfig, augment, augment_pair

NETWORK = NetworkConfig(slices=3)
PLAIN = AugmentationConfig(gain=0, offset=0, noise=0, dropout=0, differentiable=False)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_input_augmentation_keeps_zeros_and_one_sequence():
    x = torch.randn(64, NETWORK.inputs, 8, 8)
    x[:, 12:16] = 1
    x[:, 15] = 0  # ADC is not there
    x[:, 9:12] = 0
    x[:, :9, :2] = 0
    x[:, -1] = 1
    result = augment(x, NETWORK, AugmentationConfig(dropout=0.9), seeded())
    kept = result[:, 12:16, 0, 0]
    assert (kept.sum(dim=1) >= 1).all()
    assert (kept[:, 3] == 0).all()
    assert kept[:, :3].mean() < 0.6
    assert (result[:, :9, :2] == 0).all()
    for m in range(4):
        present = result[:, 3 * m : 3 * m + 3].abs().amax(dim=(1, 2, 3)) > 0
        assert torch.equal(present, kept[:, m] > 0)
    assert torch.equal(result[:, -1], x[:, -1])
    assert torch.equal(augment(x, NETWORK, PLAIN, seeded()), x)


def test_gain_and_offset_are_one_number_per_sequence():
    x = torch.rand(16, NETWORK.inputs, 8, 8, generator=seeded(3)) + 1
    x[:, 12:16] = 1
    changed = augment(x, NETWORK, AugmentationConfig(noise=0, dropout=0), seeded(4))
    for m in range(4):
        before, after = x[:, 3 * m : 3 * m + 3].flatten(1), changed[:, 3 * m : 3 * m + 3].flatten(1)
        gain = (after.amax(dim=1) - after.amin(dim=1)) / (before.amax(dim=1) - before.amin(dim=1))
        offset = after.amin(dim=1) - gain * before.amin(dim=1)
        torch.testing.assert_close(after, before * gain[:, None] + offset[:, None], rtol=1e-4, atol=1e-4)
        assert ((gain > 0.84) & (gain < 1.16)).all()
        assert gain.std() > 0.03


def test_augmentation_moves_condition_and_map_together():
    plane = torch.rand(16, 1, 24, 20, generator=seeded(8)) + 0.5
    pair = augment_pair(torch.cat([plane, 3 * plane], dim=1), AugmentationConfig(), seeded(9))
    torch.testing.assert_close(pair[:, 1], 3 * pair[:, 0])
    assert (pair[:, 0] == 0).flatten(1).any(dim=1).all(), "every slice is cut"
    assert not torch.equal(pair[0, 0] > 0, pair[1, 0] > 0), "each slice in its own way"


def test_augmentation_is_a_translation_and_a_mirror():
    config = AugmentationConfig(cutout=0, brightness=0, shift=0.25)
    picture = torch.zeros(500, 1, 16, 16)
    picture[:, :, 7, 4] = 1
    moved = augment_pair(picture, config, seeded(10))
    places = moved[:, 0].flatten(1).argmax(dim=1)
    rows, columns = places // 16, places % 16
    assert (moved.flatten(1).sum(dim=1) == 1).all()
    assert set((rows - 7).tolist()) == set(range(-4, 5))
    assert set(columns.tolist()) == set(range(9)) | set(range(7, 16)), "column 4 or its mirror 11, moved by at most 4"


def test_augmentation_has_a_gradient_and_can_be_off():
    picture = torch.rand(4, 2, 16, 16, generator=seeded(11)).requires_grad_()
    changed = augment_pair(picture, AugmentationConfig(), seeded(12))
    changed.sum().backward()
    gains = picture.grad.flatten(1).amax(dim=1)
    assert ((gains >= 0.9) & (gains <= 1.1)).all()
    assert torch.equal(augment_pair(picture, AugmentationConfig(differentiable=False), seeded()), picture)
