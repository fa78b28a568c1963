"""The sampler: a function of seed, step and place, the same slices as at inference, parts for several processes."""

import itertools
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.errors import InputError
from HierSynthLib.synthesis.networks import NetworkConfig
from HierSynthLib.synthesis.slices import SliceStacks
from Training.config import TrainingConfig
from Training.datasets.patient import Patient, SliceCounts, low_pass
from Training.datasets.sampler import Prefetcher, SliceSampler

CONFIG = TrainingConfig(network=NetworkConfig(slices=3), slice_step=2)


def patient(number: int = 0, shape=(14, 11, 9), lesion=(4,), roles=SEQUENCES) -> Patient:
    """Every voxel has its own value: CBV = patient, slice and place in one number."""
    brain = np.zeros(shape, bool)
    brain[2:-2, 2:-3, 1:-1] = True
    hurt = np.zeros(shape, bool)
    hurt[5:8, 4:6, list(lesion)] = True
    random = np.random.default_rng(number)
    cbv = (random.random(shape) * brain).astype(np.float32)
    sequences = {role: (random.normal(size=shape) * brain).astype(np.float16) for role in roles}
    known = brain.copy()
    known[:, :, 1:3] = False
    return Patient(f"p{number}", sequences, brain, hurt & brain, cbv, cbv / 2, known=known)


@pytest.fixture(scope="module")
def sampler():
    return SliceSampler([patient(0), patient(1, (10, 18, 7), ()), patient(2)], CONFIG, 8, seed=5)


@given(st.integers(0, 10**9), st.sampled_from([(1, 0), (2, 1), (3, 2), (4, 0), (6, 3)]))
@settings(max_examples=20, deadline=None)
def test_processes_draw_the_parts_of_one_batch(sampler, step, share):
    world, _ = share
    whole = sampler.batch(step, 12)
    parts = [sampler.batch(step, 12, rank, world) for rank in range(world)]
    for name, tensor in whole.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), tensor)


def test_a_batch_depends_on_seed_and_step_only(sampler):
    again = SliceSampler([patient(0), patient(1, (10, 18, 7), ()), patient(2)], CONFIG, 8, seed=5)
    sampler.batch(3, 4)
    assert torch.equal(sampler.batch(7, 4)["x"], again.batch(7, 4)["x"])
    assert not torch.equal(sampler.batch(7, 4)["cbv"], sampler.batch(8, 4)["cbv"])
    other = SliceSampler([patient(0), patient(1, (10, 18, 7), ()), patient(2)], CONFIG, 8, seed=6)
    assert not torch.equal(sampler.batch(7, 4)["cbv"], other.batch(7, 4)["cbv"])
    first, more = sampler.batch(7, 4), sampler.batch(7, 8)
    assert torch.equal(first["x"], more["x"][:4]), "a larger batch begins with the smaller one"


@pytest.mark.parametrize("roles", [SEQUENCES, (Role.T1, Role.ADC)])
def test_slices_are_those_of_the_inference(roles):
    one = patient(0, roles=roles)
    own = SliceSampler([one], CONFIG, 8, seed=0)
    stacks = SliceStacks(one.sequences, one.brain, order=SEQUENCES, slices=3, step=2, multiple=8)
    for k in range(one.brain.shape[2]):
        pictures = own.pictures(one, k)
        np.testing.assert_array_equal(pictures["x"], stacks.batch([k])[0])
        np.testing.assert_array_equal(stacks.unpad(pictures["cbv"])[0], one.cbv[:, :, k])
        np.testing.assert_array_equal(stacks.unpad(pictures["brain"])[0], one.known[:, :, k])


def test_pictures_mirroring_and_padding(sampler):
    batch = sampler.batch(0, 200)
    assert batch["x"].shape == (200, 4 * 3 + 5, 16, 24)
    assert all(batch[name].shape == (200, 1, 16, 24) for name in ("cbv", "low_pass", "brain", "lesion"))
    assert all(tensor.dtype == torch.float32 for tensor in batch.values())
    assert ((batch["cbv"] != 0) <= (batch["brain"] != 0)).all()
    assert ((batch["lesion"] != 0) <= (batch["brain"] != 0)).all()
    torch.testing.assert_close(batch["low_pass"], batch["cbv"] / 2)
    slices = {}
    for n in range(200):
        values = batch["cbv"][n, 0]
        slices.setdefault(round(float(values.double().sum()), 3), []).append(values)
    both = 0
    for same in slices.values():
        plain = [value for value in same if torch.equal(value, same[0])]
        both += len(same) - len(plain) > 0
        for value in same:
            # A picture is mirrored within its own padded width, then placed at the top left.
            height = 16
            assert torch.equal(value, same[0]) or torch.equal(value[:height], same[0][:height].flip(0))
    assert both > 5, "about half of the draws are mirrored"


def test_half_of_the_slices_pass_through_the_lesion():
    one = patient(0, lesion=(4,))
    own = SliceSampler([one], CONFIG, 8, seed=1)
    share = (own.batch(0, 600)["lesion"].amax(dim=(1, 2, 3)) > 0).float().mean().item()
    # Half by choice, and by chance one of the five known slices in the other half: 0.5 + 0.5/5.
    assert share == pytest.approx(0.6, abs=0.06)


def test_the_area_is_the_mean_number_of_known_voxels():
    patients = [patient(0), patient(1, (10, 18, 7), ())]
    own = SliceSampler(patients, CONFIG, 8, seed=1)
    areas = [p.known[:, :, k].sum() for p in patients for k in range(p.brain.shape[2]) if p.known[:, :, k].any()]
    assert own.area == pytest.approx(np.mean(areas))


def test_what_cannot_be_sampled():
    with pytest.raises(InputError, match="no patient"):
        SliceSampler([], CONFIG, 8, 0)
    empty = patient(0)
    empty.known[...] = False
    with pytest.raises(InputError, match="No CBV is known in p0"):
        SliceSampler([empty], CONFIG, 8, 0)
    sampler = SliceSampler([patient(0)], CONFIG, 8, 0)
    for size, rank, world in ((5, 0, 2), (0, 0, 1), (4, 2, 2)):
        with pytest.raises(ValueError, match="cannot be divided"):
            sampler.batch(0, size, rank, world)


def test_prefetched_batches_are_the_same_in_order(sampler):
    with Prefetcher(sampler, range(3, 20), 4, rank=1, world=2, depth=2) as batches:
        found = list(batches)
    assert [step for step, _ in found] == list(range(3, 20))
    for step, batch in found:
        expected = sampler.batch(step, 4, 1, 2)
        assert all(torch.equal(batch[name], expected[name]) for name in expected)


def test_the_prefetcher_ends_its_thread_and_hands_on_errors(sampler):
    before = threading.active_count()
    with Prefetcher(sampler, itertools.count(), 2) as batches:
        step, _ = next(iter(batches))
    assert step == 0
    assert threading.active_count() == before
    with Prefetcher(sampler, [0], 5, world=2) as batches, pytest.raises(ValueError, match="cannot be divided"):
        list(batches)


def test_counts_of_slices():
    one = patient(0)
    counts = one.slice_counts()
    assert counts.brain.tolist() == [int(one.brain[:, :, k].sum()) for k in range(9)]
    assert counts.known.tolist() == [0, 0, 0, *counts.brain[3:].tolist()]
    assert SliceCounts.of(one.brain, one.known, one.lesion).lesion.tolist() == [0, 0, 0, 0, 6, 0, 0, 0, 0]


def test_low_pass_of_a_constant_brain_is_constant_up_to_its_edge():
    brain = np.zeros((20, 20, 20), bool)
    brain[5:15, 5:15, 5:15] = True
    result = low_pass(np.full(brain.shape, 2.0, np.float32), brain, np.array([2.0, 2.0, 2.0]))
    np.testing.assert_allclose(result[brain], 2.0, atol=1e-4)
    assert (result[~brain] == 0).all()
