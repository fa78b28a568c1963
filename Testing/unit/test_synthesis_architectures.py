"""The networks by name: sizes for a comparison, the baselines' layers, the refiner."""

import builtins
import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from HierSynthLib.errors import ModelError
from HierSynthLib.synthesis import architectures, refiner
from HierSynthLib.synthesis.baselines import Pix2Pix, Pix2PixConfig, UNetConfig
from HierSynthLib.synthesis.networks import (
    NetworkConfig,
    SingleConfig,
    SingleNetwork,
    Synthesis,
    TwoStageNetwork,
    parameter_count,
)

SMALL = NetworkConfig(slices=3, global_channels=(8, 12, 16), local_channels=(6, 8, 12), style=8, latent=2)
REFERENCES = (SMALL, NetworkConfig(global_channels=(12, 24, 48, 64), local_channels=(8, 16, 32, 48)))


def built(name: str, reference: NetworkConfig = SMALL) -> torch.nn.Module:
    torch.manual_seed(1)
    return architectures.build(name, dataclasses.asdict(architectures.matched(name, reference))).eval()


def stack(network: torch.nn.Module, count: int = 2) -> torch.Tensor:
    x = torch.randn(count, network.config.inputs, 2 * network.stride, 3 * network.stride)
    x[:, -1] = 1
    return x


@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
def test_every_network_returns_a_synthesis_and_is_deterministic(name):
    network = built(name)
    x = stack(network)
    with torch.inference_mode():
        result, again = network(x), network(x)
    assert isinstance(result, Synthesis)
    for plane, same in zip(result, again, strict=True):
        assert plane.shape == (2, 1, *x.shape[2:])
        assert torch.equal(plane, same)
    if name != "hiersynth":
        assert result.residual.abs().max() == 0
        assert torch.equal(result.final, result.global_map)
    assert result.final.std() > 0


@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
def test_stride_is_what_the_layers_need(name):
    network = built(name)
    x = torch.randn(1, network.config.inputs, network.stride, network.stride * 2)
    if name == "pix2pix":  # its bottleneck would be one pixel high, which works as well
        assert network.stride == 2 ** len(network.config.channels)
    assert network(x).final.shape[2:] == x.shape[2:]


@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
def test_options_survive_json_and_name_the_class(name):
    config = architectures.matched(name, SMALL)
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    architecture = architectures.find(name)
    assert architecture.parse(values) == config
    network = architecture.build(config)
    assert architectures.target_of(network) == architecture.target
    assert architectures.by_target(architecture.target).build is architecture.build
    assert config.inputs == 4 * 3 + 4 + 1


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_monolith_has_as_many_parameters(reference):
    two = TwoStageNetwork(reference)
    wanted = parameter_count(two.global_module) + parameter_count(two.local_module)
    monolith = SingleNetwork(architectures.matched("monolith", reference))
    assert parameter_count(monolith) == pytest.approx(wanted, rel=0.02)
    assert monolith.config.full_resolution
    assert len(monolith.config.channels) == len(reference.global_channels) + 1, "as deep as the global module"
    assert monolith.stride == two.global_module.stride


def test_the_other_networks_have_as_many_parameters():
    wanted = parameter_count(TwoStageNetwork(SMALL))
    for name in ("unet", "pix2pix"):
        assert parameter_count(built(name)) == pytest.approx(wanted, rel=0.05)


def test_the_refiner_does_not_count():
    refined = dataclasses.replace(SMALL, refiner_channels=(8, 8))
    for name in architectures.ARCHITECTURES:
        assert architectures.matched(name, refined) == architectures.matched(name, SMALL)


def test_the_global_module_alone_stays_as_it_is():
    alone = built("no_local")
    twin = TwoStageNetwork(SMALL).global_module
    own = {name: value.shape for name, value in alone.generator.state_dict().items()}
    theirs = {name: value.shape for name, value in twin.state_dict().items()}
    assert own.keys() == theirs.keys()
    different = {name for name in own if own[name] != theirs[name]}
    assert different
    assert all(name.startswith("output.") for name in different), "only the plane of log b is added"


def test_only_the_monolith_can_make_the_finest_detail():
    """A checkerboard is above the Nyquist frequency of a half-resolution map that was interpolated."""
    board = torch.ones(64, 96)
    board[::2, ::2] = board[1::2, 1::2] = -1
    share = {}
    for name in ("monolith", "no_local"):
        network = built(name)
        plane = network(stack(network, 1)).final[0, 0, : board.shape[0], : board.shape[1]].detach()
        inner = (plane - plane.mean()) * 1.0
        share[name] = abs(float((inner * board[: inner.shape[0], : inner.shape[1]]).mean())) / float(inner.std())
    assert share["monolith"] > 3 * share["no_local"]


def test_shipped_weights_fit_the_network():
    from safetensors.torch import load_file

    folder = Path(__file__).parents[2] / "Resources" / "Models" / "hiersynth-demo"
    definition = json.loads((folder / "configs" / "inference.json").read_text())["network_def"]
    network = architectures.by_target(definition["_target_"])
    network.build(network.parse(definition["config"])).load_state_dict(load_file(folder / "model.safetensors"))


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("gan", {}, "Unknown network 'gan'"),
        ("monolith", {"chanels": [8, 8]}, "Unknown network option 'chanels'"),
        ("monolith", {"channels": [8]}, "'channels' has 1 levels"),
        ("monolith", {"channels": [8, 5000]}, "1 to 4096"),
        ("monolith", {"channels": "88"}, "A list of whole numbers"),
        ("monolith", {"full_resolution": 1}, "true or false"),
        ("monolith", {"slices": 2}, "'slices' is even"),
        ("unet", {"features": [8, 8]}, "6 are allowed"),
        ("pix2pix", {"channels": []}, "'channels' has 0 levels"),
        ("hiersynth", {"refiner_channels": [8]}, "'refiner_channels' has 1 levels"),
        ("hiersynth", {"spatial_dims": 3}, "three-dimensional"),
    ],
)
def test_errors_name_the_option(name, values, words):
    with pytest.raises(ModelError) as caught:
        architectures.build(name, values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["os.system", "torch.nn.Linear", None, 3, {"a": 1}])
def test_nothing_else_is_built_from_a_package(target):
    with pytest.raises(ModelError, match="not a network of HierSynth"):
        architectures.by_target(target)


def test_a_class_that_is_no_network_has_no_target():
    with pytest.raises(ModelError, match="not a network of HierSynth"):
        architectures.target_of(torch.nn.Linear(1, 1))


def test_without_monai_only_the_u_net_is_missing(monkeypatch):
    original = builtins.__import__

    def no_monai(name, *args, **kwargs):
        if name.split(".")[0] == "monai":
            raise ImportError("no monai")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_monai)
    with pytest.raises(ModelError, match="not installed") as caught:
        architectures.build("unet", {})
    assert "pip install" in caught.value.hint
    for name in ("hiersynth", "monolith", "pix2pix"):
        architectures.build(name, {})


def test_the_u_net_is_monais():
    from monai.networks.nets.basic_unet import BasicUNet

    config = UNetConfig(slices=1, features=(4, 4, 6, 6, 8, 4))
    network = architectures.build("unet", dataclasses.asdict(config)).eval()
    reference = BasicUNet(spatial_dims=2, in_channels=config.inputs, out_channels=2, features=config.features).eval()
    reference.load_state_dict(network.unet.state_dict())
    x = torch.randn(1, config.inputs, 32, 16)
    torch.testing.assert_close(network(x).log_scale, reference(x)[:, 1:])


def test_pix2pix_drops_features_in_training_only_and_by_the_generator():
    network = Pix2Pix(Pix2PixConfig(slices=1, channels=(4, 6, 8)))
    x = stack(network)
    plain = network.train()(x).final
    dropped = [network(x, generator=torch.Generator().manual_seed(seed)).final for seed in (1, 1, 2)]
    assert torch.equal(dropped[0], dropped[1])
    assert not torch.equal(dropped[0], dropped[2])
    assert not torch.equal(dropped[0], plain)
    assert torch.equal(network.eval()(x, generator=torch.Generator().manual_seed(1)).final, plain)


def test_pix2pix_has_the_parameters_of_the_paper_in_its_first_layers():
    network = Pix2Pix(Pix2PixConfig(slices=1, channels=(64, 128, 256)))
    assert network.encoder[0].weight.shape == (64, network.config.inputs, 4, 4)
    assert network.encoder[1].weight.shape == (128, 64, 4, 4)
    assert network.output.weight.shape == (128, 2, 4, 4), "64 features of the decoder and 64 of the skip"


def test_untrained_refiner_adds_only_its_noise():
    torch.manual_seed(3)
    network = TwoStageNetwork(dataclasses.replace(SMALL, refiner_channels=(4, 6)))
    x, estimate = stack(network, 1), torch.rand(1, 1, 2 * network.stride, 3 * network.stride)
    state = refiner.start(estimate, torch.Generator().manual_seed(5))
    result = refiner.refine(network.refiner, x, estimate, state)
    noise = torch.randn(estimate.shape, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(result, estimate + refiner.SIGMA * noise)
    assert network.stride % network.refiner.stride == 0
    assert "refiner.stem.weight" in network.state_dict()
    assert not any(name.startswith("refiner") for name in TwoStageNetwork(SMALL).state_dict())


def test_the_time_reaches_the_refiner():
    torch.manual_seed(4)
    module = refiner.Refiner(5, (4, 6))
    torch.nn.init.normal_(module.head.weight)
    x, plane = torch.randn(1, 5, 8, 8), torch.randn(1, 1, 8, 8)
    early, late = (module(x, plane, plane, torch.full((1,), t)) for t in (0.0, 0.9))
    assert not torch.allclose(early, late)
    embedded = refiner.time_embedding(torch.tensor([0.25]))[0]
    expected = [math.sin(math.pi * 2**k * 0.25) for k in range(8)] + [math.cos(math.pi * 2**k * 0.25) for k in range(8)]
    torch.testing.assert_close(embedded, torch.tensor(expected), atol=1e-5, rtol=1e-5)


class StraightFlow(torch.nn.Module):
    """The exact velocity of the flow from N(ŷ, σ²) to N(m, s²) along z_t = (1 − t)·z_0 + t·(m + s·(z_0 − ŷ)/σ)."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, x, estimate, state, time):
        t = time[:, None, None, None]
        spread = (1 - t) * refiner.SIGMA + t * self.deviation
        noise = (state - (1 - t) * estimate - t * self.mean) / spread
        return self.mean + self.deviation * noise - (estimate + refiner.SIGMA * noise)


@pytest.mark.parametrize("steps", [1, 4])
def test_euler_steps_are_exact_on_a_straight_flow(steps):
    estimate = torch.full((1, 1, 200, 200), 1.5)
    flow = StraightFlow(mean=2.0, deviation=0.3)
    state = refiner.start(estimate, torch.Generator().manual_seed(6))
    result = refiner.refine(flow, estimate, estimate, state, steps=steps)
    noise = torch.randn(estimate.shape, generator=torch.Generator().manual_seed(6))
    torch.testing.assert_close(result, 2.0 + 0.3 * noise, atol=1e-4, rtol=1e-4)
    assert result.mean().item() == pytest.approx(2.0, abs=0.01)
    assert result.std().item() == pytest.approx(0.3, rel=0.02)


def test_single_options_have_defaults_that_are_allowed():
    assert SingleConfig.parse({}) == SingleConfig()
    assert Pix2PixConfig.parse({}) == Pix2PixConfig()
    assert UNetConfig.parse({}) == UNetConfig()
