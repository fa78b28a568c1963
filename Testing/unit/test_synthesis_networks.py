"""The networks against their definitions, computed another way."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from HierSynthLib.errors import ModelError
from HierSynthLib.synthesis.layers import ModulatedConvolution, ResidualBlock, haar_details
from HierSynthLib.synthesis.networks import NetworkConfig, TwoStageNetwork, parameter_count

SMALL = NetworkConfig(slices=3, global_channels=(4, 6, 8), local_channels=(4, 6), style=8, latent=2)


def test_modulated_convolution_equals_modulated_and_demodulated_weights():
    torch.manual_seed(1)
    layer = ModulatedConvolution(3, 5, style=4).double()
    torch.nn.init.normal_(layer.bias)
    x, w = torch.randn(2, 3, 9, 7, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    result = layer(x, w)
    for sample in range(2):
        scale = layer.style.weight @ w[sample] + layer.style.bias
        weight = layer.weight * scale[None, :, None, None]
        weight = weight / weight.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        expected = torch.nn.functional.conv2d(x[sample : sample + 1], weight, padding=1) * 2**0.5
        torch.testing.assert_close(
            result[sample : sample + 1], expected + layer.bias[:, None, None], rtol=1e-5, atol=1e-6
        )


def test_residual_block_starts_as_identity_on_activated_features():
    block, x = ResidualBlock(4), torch.randn(1, 4, 6, 6).abs()
    torch.testing.assert_close(block(x), x)


@given(arrays(np.float64, (1, 1, 6, 8), elements=st.floats(-10, 10)))
def test_haar_details_and_mean_keep_the_energy(image):
    tensor = torch.from_numpy(image)
    low = torch.nn.functional.avg_pool2d(tensor, 2) * 2
    energy = low.square().sum() + haar_details(tensor).square().sum()
    assert energy.item() == pytest.approx(float((image**2).sum()), abs=1e-9)


def test_haar_details_of_known_patterns():
    columns = torch.tensor([[1.0, 0.0], [1.0, 0.0]])[None, None]
    np.testing.assert_allclose(haar_details(columns)[0, :, 0, 0], [1, 0, 0])
    np.testing.assert_allclose(haar_details(columns.mT)[0, :, 0, 0], [0, 1, 0])
    np.testing.assert_allclose(haar_details(torch.eye(2)[None, None])[0, :, 0, 0], [0, 0, 1])


def test_untrained_local_module_leaves_the_global_map_unchanged():
    network = TwoStageNetwork(SMALL).eval()
    result = network(torch.randn(2, SMALL.inputs, 16, 24))
    assert result.final.shape == (2, 1, 16, 24)
    assert result.global_map.abs().max() > 0
    assert torch.equal(result.final, result.global_map)


def test_the_residual_does_not_train_the_global_module():
    network = TwoStageNetwork(SMALL)
    torch.nn.init.normal_(network.local_module.head.weight)
    network(torch.randn(1, SMALL.inputs, 16, 16)).residual.square().sum().backward()
    assert all(p.grad is None for p in network.global_module.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in network.local_module.parameters())


def test_features_of_the_global_module_reach_the_local_one_but_no_gradient_comes_back():
    torch.manual_seed(5)
    network = TwoStageNetwork(dataclasses.replace(SMALL, context=True))
    torch.nn.init.normal_(network.local_module.head.weight)
    x = torch.randn(1, SMALL.inputs, 16, 16)
    plain = network(x)
    plain.residual.square().sum().backward()
    assert all(p.grad is None for p in network.global_module.parameters())
    assert network.local_module.context.weight.grad.abs().max() > 0
    with torch.no_grad():
        network.local_module.context.weight.zero_()
    assert not torch.allclose(network(x).residual, plain.residual)
    torch.testing.assert_close(network(x).global_map, plain.global_map)
    without = {name for name in network.state_dict() if not name.startswith("local_module.context")}
    assert without == set(TwoStageNetwork(SMALL).state_dict())


def test_coupled_modules_learn_together():
    torch.manual_seed(7)
    config = dataclasses.replace(SMALL, context=True, coupled=True)
    network, x = TwoStageNetwork(config), torch.randn(1, SMALL.inputs, 16, 16)
    made = network(x)
    assert made.residual.abs().max() > 0, "the last layer does not start at zero"
    made.residual.square().sum().backward()
    assert all(p.grad is None for p in network.global_module.output.parameters()), "the map is no input with gradient"
    assert all(p.grad.abs().max() > 0 for p in network.global_module.stem.parameters())
    stopped = TwoStageNetwork(dataclasses.replace(config, coupled=False))
    stopped.load_state_dict(network.state_dict())
    for one, other in zip(stopped(x), made, strict=True):
        torch.testing.assert_close(one, other)


def test_a_map_is_made_from_features_and_style():
    """encode, style and synthesise are the steps of forward; w alone decides when the features are fixed."""
    torch.manual_seed(6)
    module = TwoStageNetwork(SMALL).global_module
    x, z = torch.randn(2, SMALL.inputs, 16, 16), torch.randn(2, SMALL.latent)
    skips, pooled = module.encode(x)
    assert [tuple(skip.shape[1:]) for skip in skips] == [(4, 8, 8), (6, 4, 4), (8, 2, 2)]
    image, features = module.synthesise_with_features(skips, module.style(pooled, z))
    torch.testing.assert_close(image, module(x, z))
    assert features.shape == (2, 4, 8, 8)
    assert not torch.allclose(module.synthesise(skips, module.style(pooled, -z)), image)


def test_latent_and_noise_change_the_map_only_when_given():
    torch.manual_seed(2)
    module = TwoStageNetwork(SMALL).global_module.eval()
    x = torch.randn(1, SMALL.inputs, 16, 16)
    x[:, -1] = 1
    plain = module(x)
    assert torch.equal(plain, module(x))
    assert torch.equal(plain, module(x, torch.zeros(1, SMALL.latent)))
    assert not torch.equal(plain, module(x, torch.ones(1, SMALL.latent)))
    assert torch.equal(plain, module(x, generator=torch.Generator().manual_seed(1))), "noise strength starts at 0"
    torch.nn.init.ones_(module.merge[0].noise_strength)
    assert not torch.equal(plain, module(x, generator=torch.Generator().manual_seed(1)))


def test_style_depends_on_the_brain_and_not_on_the_crop():
    """The pooled features are a mean over the mask: more air around the brain must not dilute them."""
    torch.manual_seed(3)
    module = TwoStageNetwork(SMALL).global_module.eval()
    styles = []
    module.mapping.register_forward_hook(lambda _layer, inputs, _output: styles.append(inputs[0].detach()))
    x = torch.randn(1, SMALL.inputs, 64, 64)
    x[:, -1] = 0
    x[:, -1, 16:48, 16:48] = 1
    x = x * x[:, -1:].clone()
    module(x)
    module(torch.nn.functional.pad(x, (32, 32, 32, 32)))
    torch.testing.assert_close(styles[0], styles[1], rtol=1e-4, atol=1e-5)


def test_parameter_count_of_a_known_layer():
    assert parameter_count(torch.nn.Conv2d(3, 5, 3)) == 3 * 5 * 9 + 5


def test_config_round_trip_and_inputs():
    config = NetworkConfig.parse({"global_channels": [8, 16], "slices": 3})
    assert config.global_channels == (8, 16)
    assert config.inputs == 4 * 3 + 4 + 1
    assert NetworkConfig.parse(dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"layers": 3}, "layers"),
        ({"slices": 4}, "slices"),
        ({"slices": 0}, "slices"),
        ({"style": "big"}, "style"),
        ({"style": True}, "style"),
        ({"global_channels": [8]}, "global_channels"),
        ({"global_channels": 8}, "global_channels"),
        ({"local_channels": [8, 10**9]}, "local_channels"),
        ({"spatial_dims": 3}, "three-dimensional"),
    ],
)
def test_config_errors_name_the_option(values, named):
    with pytest.raises(ModelError, match=named):
        NetworkConfig.parse(values)
