"""2.5-D stacks against loops written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.synthesis.slices import SliceStacks, occupied_slices


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)),
    slices=st.sampled_from([1, 3, 5]),
    step=st.integers(1, 3),
    multiple=st.sampled_from([1, 4, 8]),
    missing=st.sets(st.sampled_from(SEQUENCES), max_size=3),
    seed=st.integers(0, 1000),
)
def test_batch_equals_the_definition(shape, slices, step, multiple, missing, seed):
    random = np.random.default_rng(seed)
    given_sequences = {r: random.normal(size=shape).astype(np.float32) for r in SEQUENCES if r not in missing}
    brain = random.random(shape) > 0.5
    stacks = SliceStacks(given_sequences, brain, order=SEQUENCES, slices=slices, step=step, multiple=multiple)
    centres = list(range(shape[2]))
    batch = stacks.batch(centres)

    assert batch.shape[0] == shape[2]
    assert batch.shape[1] == 4 * slices + 5
    assert batch.shape[2] % multiple == 0
    assert batch.shape[3] % multiple == 0
    for k in centres:
        for m, role in enumerate(SEQUENCES):
            for n in range(slices):
                neighbour = min(max(k + (n - slices // 2) * step, 0), shape[2] - 1)
                expected = given_sequences[role][:, :, neighbour] if role in given_sequences else np.zeros(shape[:2])
                np.testing.assert_array_equal(stacks.unpad(batch[k : k + 1, m * slices + n])[0], expected)
            assert (batch[k, 4 * slices + m] == (role in given_sequences)).all()
        np.testing.assert_array_equal(stacks.unpad(batch[k : k + 1, -1])[0], brain[:, :, k])


def test_padding_is_zero_and_centred():
    sequence = np.ones((3, 4, 1), np.float32)
    stacks = SliceStacks({Role.T1: sequence}, sequence > 0, order=[Role.T1], slices=1, step=1, multiple=8)
    picture = stacks.batch([0])[0, 0]
    assert picture.shape == (8, 8)
    assert picture.sum() == 12
    assert picture[2:5, 2:6].sum() == 12


def test_shapes_must_agree_and_slices_be_odd():
    brain = np.ones((4, 4, 4), bool)
    with pytest.raises(ValueError, match="T1"):
        SliceStacks({Role.T1: np.ones((4, 4, 3), np.float32)}, brain, order=[Role.T1], slices=1, step=1, multiple=1)
    with pytest.raises(ValueError, match="odd"):
        SliceStacks({}, brain, order=[Role.T1], slices=2, step=1, multiple=1)


def test_occupied_slices():
    brain = np.zeros((3, 3, 5), bool)
    brain[1, 2, 1] = brain[0, 0, 3] = True
    assert occupied_slices(brain).tolist() == [1, 3]
