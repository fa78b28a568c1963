"""Adversarial losses, their regularisation and the discriminators against analytic references."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from Training.augmentation import AugmentationConfig
from Training.discriminators import GROUP, AdversaryConfig, Discriminator, PatchDiscriminator, minibatch_deviation
from Training.losses.adversarial import discriminator_loss, generator_loss, gradient_penalty, path_length_penalty
from Training.losses.settings import LossConfig
from Training.losses.statistics import RunningMean
from Training.objectives.adversary import Adversary
from Training.objectives.crops import Crops


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=4), st.lists(st.floats(-8, 8), min_size=1, max_size=4))
def test_losses_equal_their_formulas(real, fake):
    def sigmoid(values):
        return 1 / (1 + np.exp(-np.asarray(values)))

    r, f = torch.tensor(real), torch.tensor(fake)
    true, false = -np.log(sigmoid(real)).mean(), -np.log(1 - sigmoid(fake)).mean()
    assert generator_loss(f, "non_saturating").item() == pytest.approx(-np.log(sigmoid(fake)).mean(), rel=1e-4)
    assert discriminator_loss(r, f, "non_saturating").item() == pytest.approx(true + false, rel=1e-4)
    assert discriminator_loss(r, f, "bce").item() == pytest.approx((true + false) / 2, rel=1e-4)
    hinge = np.mean([max(0, 1 - v) for v in real]) + np.mean([max(0, 1 + v) for v in fake])
    assert discriminator_loss(r, f, "hinge").item() == pytest.approx(hinge, abs=1e-5)
    assert generator_loss(f, "hinge").item() == pytest.approx(-np.mean(fake), abs=1e-5)
    squares = (np.mean((np.array(real) - 1) ** 2) + np.mean(np.array(fake) ** 2)) / 2
    assert discriminator_loss(r, f, "lsgan").item() == pytest.approx(squares, rel=1e-4, abs=1e-6)
    assert generator_loss(f, "lsgan").item() == pytest.approx(np.mean((np.array(fake) - 1) ** 2), rel=1e-4, abs=1e-6)


def test_gradient_penalty_of_a_linear_discriminator():
    """D(y) = Σ a·y: the slope is a everywhere, so the penalty is ½‖a‖²."""
    weight = torch.randn(1, 1, 6, 5, generator=seeded()).requires_grad_()
    penalty = gradient_penalty(lambda y: (weight * y).sum(dim=(1, 2, 3)), torch.randn(3, 1, 6, 5))
    assert penalty.item() == pytest.approx(0.5 * weight.square().sum().item(), rel=1e-5)
    penalty.backward()
    torch.testing.assert_close(weight.grad, weight.detach())


def test_gradient_penalty_of_a_quadratic_discriminator():
    """D(y) = ½ a‖y‖²: the slope is a·y, the penalty ½ a² · mean ‖y‖², its derivative a · mean ‖y‖²."""
    real, a = torch.randn(4, 1, 6, 5, generator=seeded(1)), torch.tensor(0.7, requires_grad=True)
    mean = real.square().sum(dim=(1, 2, 3)).mean().item()
    penalty = gradient_penalty(lambda y: 0.5 * a * y.square(), real)
    assert penalty.item() == pytest.approx(0.5 * 0.7**2 * mean, rel=1e-5)
    penalty.backward()
    assert a.grad.item() == pytest.approx(0.7 * mean, rel=1e-5)


def test_path_length_of_a_linear_generator():
    """G(w) = A w: the slope of ⟨G(w), y⟩ is Aᵀy whatever w."""
    height, width, style = 4, 6, 3
    a = torch.randn(height * width, style, generator=seeded(2)).requires_grad_()
    mean = RunningMean(1)

    def synthesise(w):
        return (w @ a.T).view(-1, 1, height, width)

    def lengths(seed):
        direction = torch.randn(5, 1, height, width, generator=seeded(seed)).flatten(1) / math.sqrt(height * width)
        return (direction @ a).norm(dim=1)

    w = torch.randn(5, style, generator=seeded(3))
    assert path_length_penalty(synthesise, w, mean, 1, seeded(7)) is None
    penalty = path_length_penalty(synthesise, w, mean, 2, seeded(8))
    average = lengths(7).mean().item()
    assert mean.value.item() == pytest.approx(average, rel=1e-5)
    expected = (lengths(8) - average).square().mean()
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-4)
    (slope,) = torch.autograd.grad(penalty, a)
    (analytic,) = torch.autograd.grad((lengths(8) - average).square().mean(), a)
    torch.testing.assert_close(slope, analytic, rtol=1e-4, atol=1e-5)


def test_the_expected_square_of_the_path_length_is_the_norm_of_the_jacobian():
    """E‖Aᵀy‖² = ‖A‖²/(H·W) for normal y/√(H·W)."""
    a = torch.randn(64, 4, generator=seeded(4))
    mean = RunningMean(1)
    mean.updates += 1  # a mean length of 0 is known
    penalty = path_length_penalty(lambda w: (w @ a.T).view(-1, 1, 8, 8), torch.zeros(4000, 4), mean, 1, seeded(5))
    assert penalty.item() == pytest.approx(a.square().sum().item() / 64, rel=0.05)


def test_minibatch_deviation_by_hand():
    features = torch.randn(6, 3, 4, 5, generator=seeded(6))
    planes = minibatch_deviation(features)
    assert planes.shape == (6, 1, 4, 5)
    for part in (slice(0, GROUP), slice(GROUP, 6)):
        expected = features[part].numpy().std(axis=0).mean()
        np.testing.assert_allclose(planes[part].numpy(), expected, rtol=1e-4)
    identical = minibatch_deviation(features[:1].expand(4, -1, -1, -1))
    assert identical.abs().max() < 1e-3


def test_the_discriminator_of_a_batch_is_that_of_its_parts():
    torch.manual_seed(0)
    network, pictures = Discriminator(3, (4, 6, 8)), torch.randn(2 * GROUP, 3, 21, 26)
    whole = network(pictures)
    parts = torch.cat([network(pictures[:GROUP]), network(pictures[GROUP:])])
    assert whole.shape == (2 * GROUP, 1)
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


def test_a_discriminator_learns_to_tell_textures_apart():
    torch.manual_seed(1)
    network = Discriminator(1, (8, 12))
    optimiser = torch.optim.Adam(network.parameters(), 3e-3, betas=(0.0, 0.99))
    for _ in range(40):
        smooth = torch.nn.functional.avg_pool2d(torch.randn(8, 1, 18, 18), 3, 1)
        rough = torch.randn(8, 1, 16, 16) * smooth.std()
        loss = discriminator_loss(network(rough), network(smooth), "non_saturating")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 1.0, "chance is 2·ln 2 = 1.39"


def test_a_logit_of_the_patch_discriminator_sees_70_pixels():
    torch.manual_seed(2)
    network = PatchDiscriminator(2, 3)
    # Instance normalisation looks at the whole picture; the receptive field is that of the convolutions.
    plain = torch.nn.Sequential(*network.layers, network.head)
    picture = torch.randn(1, 2, 160, 160, requires_grad=True)
    logits = plain(picture)
    assert logits.shape == network(picture).shape == (1, 1, 18, 18)
    logits[0, 0, 9, 9].backward()
    rows = picture.grad[0].abs().amax(dim=(0, 2)).nonzero()[:, 0]
    assert rows[-1] - rows[0] + 1 == 70


def test_crops_lie_on_the_lesion_or_else_on_the_brain():
    lesion, brain = torch.zeros(60, 1, 40, 30), torch.zeros(60, 1, 40, 30)
    brain[:, :, 5:35, 5:25] = 1
    lesion[:30, :, 20, 12:15] = 1
    crops = Crops.draw(lesion, brain, 8, seeded(13))
    cut = crops.of(torch.cat([lesion, brain], dim=1))
    assert cut.shape == (60, 2, 8, 8)
    assert (cut[:30, 0].flatten(1).sum(dim=1) > 0).all()
    assert (crops.rows[:30] == 16).all()
    assert set((crops.columns[:30] + 4).tolist()) == {12, 13, 14}
    assert (cut[30:, 1, 4, 4] == 1).all(), "the centre is a voxel of the brain"
    assert len(set(crops.rows[30:].tolist())) > 5
    positions = torch.arange(40 * 30.0).view(1, 1, 40, 30).expand(60, 1, 40, 30)
    expected = crops.rows * 30 + crops.columns
    torch.testing.assert_close(crops.of(positions)[:, 0, 0, 0], expected.float())
    whole = Crops.draw(lesion, brain, 100, seeded(13))
    assert whole.size == 30
    assert (whole.columns == 0).all()


def judge(weights: LossConfig) -> Adversary:
    torch.manual_seed(4)
    config = AdversaryConfig()
    plain = AugmentationConfig(differentiable=False)
    return Adversary(Discriminator(3, (4, 6)), config.kind, 0.5, weights, plain)


def test_the_discriminator_judges_the_maps_of_the_generators_turn():
    adversary = judge(LossConfig(r1=2.0, r1_every=3))
    condition, real, fake = (torch.randn(4, c, 16, 16, generator=seeded(14)) for c in (2, 1, 1))
    first = adversary.generator_term(condition, real, fake, 3, seeded())
    second = adversary.generator_term(condition, real, 2 * fake, 3, seeded())
    network = adversary.discriminator
    fakes = [network(torch.cat([condition, map_], dim=1)) for map_ in (fake, 2 * fake)]
    reals = network(torch.cat([condition, real], dim=1))
    torch.testing.assert_close(first, 0.5 * generator_loss(fakes[0], "non_saturating"))
    torch.testing.assert_close(second, 0.5 * generator_loss(fakes[1], "non_saturating"))
    for logits in fakes:
        terms = adversary.discriminator_terms(3, seeded())
        expected = discriminator_loss(reals, logits, "non_saturating")
        torch.testing.assert_close(terms["adversarial"], expected)

        def of_map(y):
            return network(torch.cat([condition, y], dim=1))

        torch.testing.assert_close(terms["r1"], 2 * 3 * gradient_penalty(of_map, real))


def test_the_gradient_penalty_is_due_every_few_steps():
    adversary = judge(LossConfig(r1_every=3))
    maps = [torch.randn(4, c, 16, 16, generator=seeded(15)) for c in (2, 1, 1)]
    due = []
    for step in range(1, 7):
        adversary.generator_term(*maps, step, seeded())
        due.append("r1" in adversary.discriminator_terms(step, seeded()))
    assert due == [False, False, True, False, False, True]


def test_maps_that_were_never_judged_are_forgotten():
    """A step that broke off must not leave its maps to the next one."""
    adversary = judge(LossConfig(r1=0.0))
    maps = [torch.randn(4, c, 16, 16, generator=seeded(16)) for c in (2, 1, 1)]
    adversary.generator_term(maps[0], maps[1], 100 * maps[2], 1, seeded())
    adversary.generator_term(*maps, 2, seeded())
    kept = adversary.discriminator_terms(2, seeded())["adversarial"]
    adversary.generator_term(*maps, 3, seeded())
    torch.testing.assert_close(kept, adversary.discriminator_terms(3, seeded())["adversarial"])
