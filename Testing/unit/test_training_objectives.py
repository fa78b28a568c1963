"""The objectives: which terms they have, what learns from them, and that a batch may be computed in parts."""

import dataclasses

import pytest
import torch

from HierSynthLib.synthesis import architectures
from HierSynthLib.synthesis.networks import Synthesis, TwoStageNetwork
from Testing.objective_toys import AREA, COUNT, NETWORK, PLAIN, objective, objectives, seeded, settings, slices, train
from Training.augmentation import AugmentationConfig
from Training.config import StageConfig, TargetConfig
from Training.objectives import Objective, stages
from Training.objectives.adversary import condition_of
from Training.objectives.base import take
from Training.objectives.local_stage import local_terms
from Training.objectives.parts import Parts

RECONSTRUCTION = {"l1", "l2", "ssim", "scale", "frequency"}
LOCAL = RECONSTRUCTION | {"low_pass_residual", "nce", "descriptor", "residual_adversarial"}
GLOBAL = {"l1", "ssim", "adversarial", "path_length"}

TERMS = {
    ("hiersynth", "global"): GLOBAL,
    ("hiersynth", "local"): LOCAL,
    ("hiersynth", "joint"): LOCAL | {f"global_{name}" for name in GLOBAL},
    ("hiersynth", "refiner"): {"flow"},
    ("monolith", "single"): RECONSTRUCTION | {"adversarial", "path_length"},
    ("no_local", "single"): RECONSTRUCTION | {"adversarial", "path_length"},
    ("unet", "single"): RECONSTRUCTION,
    ("pix2pix", "pix2pix"): {"l1", "adversarial", "scale"},
}


@pytest.mark.parametrize(("method", "name"), TERMS)
def test_every_stage_has_its_terms_and_trains_all_of_its_parameters(method, name):
    config = settings(method)
    one, batch = objective(name, config), slices()
    seen: dict[str, set[str]] = {}
    touched = set()
    for number in range(1, 5):
        (step,) = train(one, batch, 1, first=number)
        for group, terms in step.items():
            seen.setdefault(group, set()).update(terms)
        touched |= {id(p) for group in one.groups() for p in group.parameters if p.grad is not None}
    assert seen.pop("generator") == TERMS[method, name]
    for group, terms in seen.items():
        assert terms == ({"adversarial"} if method == "pix2pix" else {"adversarial", "r1"}), group
    assert touched == {id(p) for group in one.groups() for p in group.parameters}


def test_stages_of_hiersynth_in_order():
    assert [one.name for one in objectives(settings())] == ["global", "local", "joint", "refiner"]
    without = settings(network=NETWORK, refiner_stage=StageConfig())
    assert [one.name for one in objectives(without)] == ["global", "local", "joint"]


def test_single_networks_run_for_all_steps():
    for method in ("monolith", "no_local", "unet", "pix2pix"):
        config = settings(method)
        network = architectures.build(method, config.network_settings())
        ((stage, _),) = stages(config, network, AREA)
        assert stage.steps == 12
        assert stage.rate == config.global_stage.rate


def test_discriminators_slow_down_with_the_network():
    rates = {one.name: {g.name: g.rate for g in one.groups()} for one in objectives(settings())}
    assert rates["global"]["discriminator"] == pytest.approx(5e-4)
    assert rates["local"]["residual_discriminator"] == pytest.approx(2.5e-4)
    assert rates["joint"]["discriminator"] == pytest.approx(5e-5)
    assert rates["joint"]["generator"] == pytest.approx(2e-4)


OFF = {
    "l1": {"l1"},
    "l2": {"l2"},
    "ssim": {"ssim"},
    "scale": {"scale"},
    "frequency": {"frequency"},
    "low_pass_residual": {"low_pass_residual"},
    "nce": {"nce"},
    "descriptor": {"descriptor"},
    "residual_adversarial": {"residual_adversarial"},
}


@pytest.mark.parametrize("weight", OFF)
def test_a_weight_of_zero_removes_exactly_its_term(weight):
    one = objective("local", settings(losses={weight: 0.0}))
    last = train(one, slices(), 2)[-1]
    assert set(last["generator"]) == LOCAL - OFF[weight]


def test_modules_exist_only_where_they_are_needed():
    full = set(objectives(settings())[0].modules())
    assert full == {"network", "discriminator", "residual_discriminator", "constraint", "path_length"}
    quiet = {"adversarial": 0.0, "residual_adversarial": 0.0, "nce": 0.0, "descriptor": 0.0, "path_length": 0.0}
    assert set(objectives(settings(losses=quiet))[0].modules()) == {"network"}
    assert set(objectives(settings("unet"))[0].modules()) == {"network"}
    assert set(objectives(settings("pix2pix"))[0].modules()) == {"network", "discriminator"}
    textured = objectives(settings("monolith", losses={"texture_on_single": True}))[0]
    assert "constraint" in textured.modules()
    assert {"nce", "descriptor"} <= set(train(textured, slices(), 2)[-1]["generator"])


def test_the_constraint_on_a_single_network_is_that_of_the_two_modules():
    """With the low-pass target as global map, the same map has the same texture terms in both."""
    batch, losses = slices(), {"texture_on_single": True}
    single = objective("single", settings("monolith", losses=losses, augmentation=PLAIN))
    config = settings(losses=losses, augmentation=PLAIN)
    parts = Parts(config, architectures.build("hiersynth", config.network_settings()), AREA)
    taken, network = take(batch, NETWORK, config, seeded()), single.modules()["network"]
    for step in (1, 2):
        found = single.losses("generator", batch, step, seeded())
        made = network(taken.x)
        base = batch["low_pass"]
        result = Synthesis(base, made.final - base, made.log_scale)
        expected = local_terms(parts, result, taken, step, seeded())
    for name in ("nce", "descriptor"):
        torch.testing.assert_close(found[name], expected[name])


def test_weights_scale_their_terms():
    batch = slices()
    once = objective("local", settings()).losses("generator", batch, 1, seeded())
    twice = objective("local", settings(losses={"l1": 20.0, "ssim": 2.0})).losses("generator", batch, 1, seeded())
    for name in once:
        factor = 2 if name in {"l1", "ssim"} else 1
        torch.testing.assert_close(twice[name], factor * once[name])


def test_the_residual_never_trains_the_global_module():
    """In the joint stage the gradient of the local terms alone stops at the global map."""
    quiet = {"l1": 0.0, "ssim": 0.0, "adversarial": 0.0, "path_length": 0.0}
    one = objective("joint", settings(losses=quiet))
    network = one.modules()["network"]
    assert isinstance(network, TwoStageNetwork)
    torch.nn.init.normal_(network.local_module.head.weight)
    for step in (1, 2):
        terms = one.losses("generator", slices(), step, seeded(step))
    sum(terms.values()).backward()
    assert {"nce", "descriptor", "residual_adversarial", "scale"} <= set(terms)
    assert all(p.grad is None for p in network.global_module.parameters())
    assert sum(float(p.grad.abs().sum()) for p in network.local_module.parameters()) > 0


def test_the_whole_map_trains_both_modules_where_they_are_coupled():
    """Here the map's L1 is the only term, so that a gradient at the global module's output can come from it alone."""
    names = ("l2", "ssim", "scale", "frequency", "low_pass_residual", "adversarial", "path_length", "nce", "descriptor")
    losses = dict.fromkeys((*names, "residual_adversarial", "global_share"), 0.0)
    for coupled in (False, True):
        network = dataclasses.replace(NETWORK, context=True, coupled=coupled)
        one = objective("joint", settings(network=network, losses=losses, refiner_stage=StageConfig()))
        terms = one.losses("generator", slices(), 1, seeded())
        assert set(terms) == {"l1"}
        terms["l1"].backward()
        output = one.modules()["network"].global_module.output[-1].weight
        assert (output.grad is not None and output.grad.abs().max().item() > 0) == coupled


def test_the_share_scales_the_global_terms_of_reconstruction_in_the_joint_stage():
    once, half = (
        objective("joint", settings(losses={"global_share": share})).losses("generator", slices(), 1, seeded())
        for share in (1.0, 0.5)
    )
    assert set(once) == set(half)
    for name in once:
        factor = 0.5 if name in {"global_l1", "global_ssim"} else 1
        torch.testing.assert_close(half[name], factor * once[name])


def test_the_local_stage_trains_neither_global_module_nor_discriminator_in_the_generators_turn():
    one = objective("local", settings())
    modules = one.modules()
    trained = {id(p) for group in one.groups() for p in group.parameters if group.name == "generator"}
    network = modules["network"]
    assert {id(p) for p in network.local_module.parameters()} <= trained
    assert not {id(p) for p in network.global_module.parameters()} & trained
    assert not {id(p) for p in modules["residual_discriminator"].parameters()} & trained


def test_the_discriminators_turn_does_not_reach_the_network():
    one = objective("joint", settings())
    one.losses("generator", slices(), 2, seeded())
    for group in ("residual_discriminator", "discriminator"):
        sum(one.losses(group, slices(), 2, seeded()).values()).backward()
    assert all(p.grad is None for p in one.modules()["network"].parameters())


@pytest.mark.parametrize("name", ["global", "local", "single", "pix2pix"])
def test_a_batch_may_be_computed_in_parts(name):
    """Same terms and same gradient: accumulation and data parallel change nothing."""
    method = {"single": "monolith", "pix2pix": "pix2pix"}.get(name, "hiersynth")
    # What is drawn per part (style, crops) is off.
    drawn = {"random_style": 0.0, "path_length": 0.0, "residual_adversarial": 0.0}
    config = settings(method, augmentation=PLAIN, losses=drawn)
    batch, half = slices(count=2 * COUNT), COUNT
    parts = [{key: value[cut] for key, value in batch.items()} for cut in (slice(half), slice(half, None))]
    whole, parted = objective(name, config), objective(name, config)
    if method == "pix2pix":
        for one in (whole, parted):
            one.modules()["network"].eval()  # dropout is drawn per part
    for step in (1, 2):
        for group in [group.name for group in whole.groups()]:
            for one in (whole, parted):
                for module in one.modules().values():
                    module.zero_grad()
            terms = whole.losses(group, batch, step, seeded())
            sum(terms.values()).backward()
            halves = [parted.losses(group, part, step, seeded()) for part in parts]
            for half_terms in halves:
                (sum(half_terms.values()) / 2).backward()
            for key, value in terms.items():
                mean = (halves[0][key] + halves[1][key]) / 2
                torch.testing.assert_close(mean, value, rtol=1e-4, atol=1e-6, msg=f"{group} {key}")
            for a, b in zip(gradients(whole), gradients(parted), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def gradients(one: Objective) -> list[torch.Tensor]:
    return [p.grad for m in one.modules().values() for p in m.parameters() if p.grad is not None]


@pytest.mark.parametrize(("method", "name"), [("hiersynth", "joint"), ("monolith", "single"), ("pix2pix", "pix2pix")])
def test_half_precision_changes_the_terms_little(method, name):
    """The engine may call the losses under bfloat16 autocast; sums, spectra and descriptors stay in float32."""
    values = []
    for enabled in (False, True):
        one = objective(name, settings(method, augmentation=PLAIN))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            for step in (1, 2):
                terms = {}
                for group in one.groups():
                    found = one.losses(group.name, slices(), step, seeded(step))
                    terms |= {(group.name, key): value for key, value in found.items()}
        sum(terms.values()).backward()
        assert all(value.dtype == torch.float32 for value in terms.values())
        values.append({key: value.item() for key, value in terms.items()})
    for key, value in values[0].items():
        assert values[1][key] == pytest.approx(value, rel=0.1, abs=0.02), key


@pytest.mark.parametrize(("method", "name"), [("hiersynth", "joint"), ("hiersynth", "refiner"), ("pix2pix", "pix2pix")])
def test_the_generator_decides_everything_random(method, name):
    def run(seed: int, noise: int) -> list[float]:
        one = objective(name, settings(method))
        torch.manual_seed(noise)  # must not matter
        values = []
        for step in (1, 2):
            for group in one.groups():
                terms = one.losses(group.name, slices(), step, seeded(seed))
                values += [value.item() for value in terms.values()]
        return values

    assert run(1, 5) == run(1, 6)
    assert run(1, 5) != run(2, 5)


def test_initial_weights_come_from_the_seed_of_the_settings():
    states = []
    for seed, noise in ((1, 5), (1, 6), (2, 5)):
        config = settings(seed=seed)
        network = architectures.build("hiersynth", config.network_settings())
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        one = stages(config, network, AREA)[0][1]()
        assert torch.equal(torch.get_rng_state(), before)
        states.append(one.modules()["discriminator"].state_dict()["stem.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_all_stages_share_their_modules():
    first, second, third, _ = objectives(settings())
    for name, module in first.modules().items():
        assert module is second.modules()[name]
        assert module is third.modules()[name]


def test_z_and_noise_are_trained_in_the_asked_share_of_the_steps():
    for share, expected in ((0.0, 0), (0.5, 4), (1.0, 8)):
        one = objective("global", settings(losses={"random_style": share, "path_length": 0.0}))
        module = one.modules()["network"].global_module
        random = 0
        for step in range(1, 9):
            module.zero_grad()
            sum(one.losses("generator", slices(), step, seeded(step)).values()).backward()
            strength = module.bottleneck.noise_strength.grad
            random += strength is not None and float(strength.abs()) > 0
        assert random == expected


def test_reconstruction_is_measured_without_randomness():
    """The L1 term of a step with a random style is that of the map for z = 0."""
    config = settings(augmentation=PLAIN)
    one, batch = objective("global", config), slices()
    network = one.modules()["network"]
    torch.nn.init.ones_(network.global_module.bottleneck.noise_strength)
    terms = one.losses("generator", batch, 1, seeded())
    with torch.no_grad():
        error = (network.global_module(batch["x"]) * batch["brain"] - batch["low_pass"]).abs()
    expected = 10 * (error * batch["brain"] * (1 + 4 * batch["lesion"])).sum() / (COUNT * AREA)
    assert terms["l1"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_target_of_the_global_module_without_a_split_is_the_whole_map():
    batch = slices()
    for split, name in (("gaussian", "low_pass"), ("none", "cbv")):
        config = settings(target=TargetConfig(split=split), augmentation=PLAIN)
        assert torch.equal(take(batch, NETWORK, config, seeded()).goal, batch[name])


@pytest.mark.parametrize(
    ("method", "name", "steps", "term"),
    [
        ("hiersynth", "global", 25, "l1"),
        ("hiersynth", "local", 25, "l1"),
        ("monolith", "single", 25, "l1"),
        ("unet", "single", 25, "l1"),
        ("pix2pix", "pix2pix", 40, "l1"),
        ("hiersynth", "refiner", 25, "flow"),
    ],
)
def test_every_stage_learns(method, name, steps, term):
    config = settings(method, losses={"path_length": 0.0}, augmentation=AugmentationConfig(dropout=0))
    stage = dataclasses.replace(config.global_stage, rate=5e-3)
    config = dataclasses.replace(config, global_stage=stage, local_stage=stage, refiner_stage=stage)
    history = train(objective(name, config), slices(), steps)
    assert history[-1]["generator"][term] < 0.8 * history[0]["generator"][term]
    for group in history[-1]:
        assert all(abs(value) < 1000 for value in history[-1][group].values())


def test_the_condition_is_the_centre_slices_and_the_brain():
    batch = slices()
    condition = condition_of(batch["x"], NETWORK)
    assert torch.equal(condition[:, :4], batch["x"][:, [1, 4, 7, 10]])
    assert torch.equal(condition[:, 4:], batch["x"][:, -1:])


def test_previews_are_maps_in_the_brain():
    for one in (objectives(settings())[3], objectives(settings("monolith"))[0]):
        batch = slices()
        shown = one.preview(batch)
        for name, picture in shown.items():
            assert picture.shape == batch["cbv"].shape, name
            assert (picture * (1 - batch["brain"])).abs().max() == 0, name
        torch.testing.assert_close(shown["global"] + shown["residual"], shown["synthetic"])
        assert torch.equal(shown["acquired"], batch["cbv"])
    assert "refined" in objectives(settings())[3].preview(batch)
