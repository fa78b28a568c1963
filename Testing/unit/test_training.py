"""Training: configuration, losses against independent references, sampling, and a run of a few steps."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.metrics import structural_similarity

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.synthesis.model import load_model
from HierSynthLib.synthesis.networks import NetworkConfig
from HierSynthLib.synthesis.package import METADATA
from HierSynthLib.synthesis.pipeline import Maps
from Training import losses
from Training.augmentation import augment
from Training.config import AugmentationConfig, TrainingConfig, read_config
from Training.dataset import Patient, SliceSampler, low_pass
from Training.export import interval_factor, measure
from Training.train import Ema, TrainingDivergedError, global_loss, run_stage, train

FEW_STEPS = """
name: few-steps
spacing_mm: [3, 3, 3]
slice_step: 1
data: {phantoms: 1, held_out: 1, first_seed: 40, grades: [high], size: small}
network: {slices: 3, global_channels: [8, 12], local_channels: [6, 8], style: 8, latent: 2}
global_stage: {steps: 12, batch: 4, rate: 0.002}
local_stage: {steps: 8, batch: 4, rate: 0.002}
joint_stage: {steps: 2, batch: 4, rate: 0.0002}
"""


def config_file(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_the_shipped_config_is_valid():
    config = read_config(Path(__file__).parents[2] / "Training" / "configs" / "demo.yaml")
    assert config.name == "hiersynth-demo"
    assert config.network.global_channels == (32, 64, 128, 160)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("global_stages: {steps: 1}", "Did you mean 'global_stage'"),
        ("losses: {l2: 1}", "unknown setting 'l2'"),
        ("seed: yes", "seed: int expected"),
        ("seed: -1", "negative"),
        ("network: {slices: [3]}", "network: slices"),
        ("spacing_mm: 3", "a list expected"),
        ("spacing_mm: [3]", "three values"),
        ("data: 3", "settings expected"),
        ("- a\n- b", "no settings"),
        ("network: {slices: 4}", "'slices' is even"),
        ("network: {spatial_dims: 3}", "three-dimensional"),
        ("network: {sequences: 3}", "'sequences' must be 4"),
        ("data: {phantoms: 0}", "at least 1"),
        ("local_stage: {batch: 0}", "at least 1"),
        ("seed: [1", "not valid YAML"),
    ],
)
def test_config_errors_name_the_setting(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        read_config(config_file(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_config_that_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml"):
        read_config(tmp_path / "absent.yaml")


def test_ssim_loss_equals_scikit_image():
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
    assert losses.ssim_loss(*tensors).item() == pytest.approx(1 - full[mask > 0].mean(), abs=2e-3)


def test_gaussian_filter_equals_scipy():
    image = np.random.default_rng(1).random((30, 20))
    expected = ndimage.gaussian_filter(image, 2.0, truncate=3.0, mode="constant")
    result = losses.gaussian_filter(torch.from_numpy(image)[None, None], 2.0)[0, 0].numpy()
    np.testing.assert_allclose(result, expected, atol=1e-12)


def test_laplace_scale_loss_is_least_at_the_mean_absolute_error():
    error = torch.from_numpy(np.random.default_rng(2).laplace(0, 0.7, (1, 1, 100, 100)))
    mask = torch.ones_like(error)
    values = {
        b: losses.laplace_scale_loss(error, torch.full_like(error, math.log(b)), mask).item()
        for b in np.arange(0.3, 1.5, 0.01)
    }
    assert min(values, key=values.get) == pytest.approx(error.abs().mean().item(), abs=0.01)


def test_focal_frequency_loss_of_one_wave():
    """A single cosine of amplitude a has two spectral lines of power a²·N/4 each; the weight of both is 1."""
    n = 16
    wave = torch.cos(2 * math.pi * 3 * torch.arange(n) / n).expand(n, n)[None, None] * 0.5
    loss = losses.focal_frequency_loss(wave, torch.zeros_like(wave)).item()
    assert loss == pytest.approx(2 * (0.5**2 * n * n / 4) / (n * n), rel=1e-5)


def test_weighted_l1():
    value = losses.weighted_l1(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 0.0]), torch.tensor([3.0, 1.0]))
    assert value.item() == pytest.approx((3 * 1 + 5) / 4)


def test_low_pass_of_a_constant_brain_is_constant_up_to_its_edge():
    brain = np.zeros((20, 20, 20), bool)
    brain[5:15, 5:15, 5:15] = True
    result = low_pass(np.full(brain.shape, 2.0, np.float32), brain, np.array([2.0, 2.0, 2.0]))
    np.testing.assert_allclose(result[brain], 2.0, atol=1e-4)
    assert (result[~brain] == 0).all()


def simple_patient(shape=(16, 16, 6)) -> Patient:
    random = np.random.default_rng(5)
    brain = np.zeros(shape, bool)
    brain[2:-2, 2:-2, 1:-1] = True
    lesion = np.zeros(shape, bool)
    lesion[5:8, 5:8, 3] = True
    sequences = {role: (random.normal(size=shape) * brain).astype(np.float32) for role in SEQUENCES}
    cbv = (random.random(shape) * brain).astype(np.float32)
    return Patient(0, sequences, brain, lesion, cbv, cbv)


def test_the_sampler_keeps_input_and_target_together():
    """The first sequence is made equal to the target, so they must stay equal through padding and mirroring."""
    patient = simple_patient()
    patient = Patient(
        0, {**patient.sequences, Role.T1: patient.cbv}, patient.brain, patient.lesion, patient.cbv, patient.cbv
    )
    config = TrainingConfig(network=NetworkConfig(slices=3), slice_step=1)
    batch = SliceSampler([patient, simple_patient((10, 20, 5))], config, multiple=8, seed=0).draw(20)
    assert batch.x.shape == (20, 4 * 3 + 5, 16, 24)
    own = np.abs(batch.x[:, 1] - batch.cbv[:, 0]).reshape(20, -1).max(axis=1)
    assert (own == 0).sum() >= 5, "slices of the first patient"
    np.testing.assert_array_equal(batch.x[:, -1], batch.brain[:, 0])
    assert (batch.lesion * (1 - batch.brain) == 0).all()
    assert (batch.lesion.reshape(20, -1).max(axis=1) > 0).mean() > 0.4


def test_augmentation_keeps_zeros_and_one_sequence():
    network = NetworkConfig(slices=3)
    x = torch.randn(64, network.inputs, 8, 8)
    x[:, 12:16] = 1
    x[:, 15] = 0  # ADC is not there
    x[:, 9:12] = 0
    x[:, :9, :2] = 0
    x[:, -1] = 1
    result = augment(x, network, AugmentationConfig(dropout=0.9), torch.Generator().manual_seed(0))
    kept = result[:, 12:16, 0, 0]
    assert (kept.sum(dim=1) >= 1).all()
    assert (kept[:, 3] == 0).all()
    assert kept[:, :3].mean() < 0.6
    assert (result[:, :9, :2] == 0).all()
    for m in range(4):
        present = result[:, 3 * m : 3 * m + 3].abs().amax(dim=(1, 2, 3)) > 0
        assert torch.equal(present, kept[:, m] > 0)
    assert torch.equal(result[:, -1], x[:, -1])
    plain = AugmentationConfig(gain=0, offset=0, noise=0, dropout=0)
    assert torch.equal(augment(x, network, plain, torch.Generator()), x)


def test_the_factor_makes_the_interval_cover():
    random = np.random.default_rng(7)
    patient = simple_patient((40, 40, 20))
    final = patient.cbv + random.laplace(0, 0.6, patient.cbv.shape).astype(np.float32)
    half_width = np.full(patient.cbv.shape, -0.3 * math.log(0.2), np.float32)
    maps = Maps(final, final + 1, final * 0, half_width, 0.8, torch.device("cpu"))
    factor = interval_factor([maps], [patient])
    assert factor == pytest.approx(2.0, rel=0.03), "the errors are twice as wide as the scale says"
    scores = measure(maps, patient, factor)
    assert scores["coverage of the 80% interval"] == pytest.approx(0.8, abs=0.005)
    assert scores["MAE, brain (nrCBV)"] == pytest.approx(0.6, rel=0.03)
    inside = final[patient.lesion].mean() / patient.cbv[patient.lesion].mean()
    assert scores["mean synthetic / mean true nrCBV, lesion"] == pytest.approx(inside, rel=1e-5)
    assert interval_factor([], []) == 1.0


def test_the_average_follows_the_weights():
    from HierSynthLib.synthesis.networks import TwoStageNetwork

    network = TwoStageNetwork(NetworkConfig(slices=1, global_channels=(4, 4), local_channels=(4, 4), style=4, latent=1))
    average = Ema(network, 0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in average.network.parameters()]
    average.update(network)
    decay = min(0.5, 2 / 11)
    for old, new in zip(before, average.network.parameters(), strict=True):
        torch.testing.assert_close(new, old + (1 - decay))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training of a few steps: folder and configuration."""
    folder = tmp_path_factory.mktemp("training")
    config = read_config(config_file(folder, FEW_STEPS))
    return train(config, folder / "run", workers=1), config, folder


def test_a_few_steps_make_a_verified_package(run):
    package, config, _ = run
    model = load_model(package)
    assert model.network.config == config.network
    metadata = json.loads((package / METADATA).read_text())
    assert metadata["hiersynth"]["uncertainty_scale"] > 0
    card = (package / "docs" / "README.md").read_text()
    assert "simulated" in card
    assert "MAE, brain (nrCBV) |" in card


def test_the_same_seed_trains_the_same_weights(run, capsys):
    package, config, folder = run
    first = load_model(package).network.state_dict()
    with pytest.raises(OutputError, match="exists already"):
        train(config, folder / "run", workers=1)
    package.rename(folder / "first")
    again = load_model(train(config, folder / "run", workers=1)).network.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_training_lowers_the_loss(run, capsys):
    _, config, folder = run
    import dataclasses

    longer = dataclasses.replace(
        config, global_stage=dataclasses.replace(config.global_stage, steps=75), local_stage=type(config.local_stage)()
    )
    train(dataclasses.replace(longer, name="longer"), folder / "run", workers=1)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("global")]
    values = [float(line[line.index("loss") + 1]) for line in lines]
    assert values[-1] < 0.8 * values[0]


def test_a_loss_that_is_no_number_stops_the_training():
    config = TrainingConfig(
        network=NetworkConfig(slices=1, global_channels=(4, 4), local_channels=(4, 4)), slice_step=1
    )
    from HierSynthLib.synthesis.networks import TwoStageNetwork

    patient = simple_patient()
    patient.sequences[Role.T1][...] = np.nan
    network = TwoStageNetwork(config.network)
    stage = type(config.global_stage)(steps=3, batch=2, rate=0.1)
    sampler = SliceSampler([patient], config, 8, 0)
    with pytest.raises(TrainingDivergedError, match="step 1"):
        run_stage("global", network, network.global_module, global_loss, stage, sampler, config)
