"""A whole case on the working grid and back, in physical space."""

import json
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HierSynthLib.case import Role
from HierSynthLib.errors import Cancelled, InputError
from HierSynthLib.preparation import prepare, to_reference
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, read_volume
from Testing.analytic_head import brain, head, movement, places, turned

SHAPE = (60, 68, 24)
TILTED = turned((3.0, 3.0, 6.5), SHAPE, angles_deg=(12, -6, 8), centre=(5, -9, 14))
BRAIN_MASK = {Role.BRAIN: Volume(brain(TILTED, SHAPE).astype(np.uint8), TILTED)}
ORIENTATIONS = [
    np.array([[axis, flip] for axis, flip in zip(order, flips, strict=True)])
    for order in permutations(range(3))
    for flips in product((1, -1), repeat=3)
]


def signal(contrast="T1", moved=None, seed=0):
    noise = np.random.default_rng(seed).normal(scale=2, size=SHAPE)
    return Volume((head(TILTED, SHAPE, contrast, moved) + noise).astype(np.float32), TILTED)


def stored_as(volume, orientation):
    """The same image with its axes permuted and flipped, by nibabel."""
    image = nib.Nifti1Image(volume.array, volume.affine).as_reoriented(orientation)
    return Volume(np.asarray(image.dataobj), image.affine)


T1 = signal()


@pytest.fixture(scope="module")
def plain():
    return prepare({Role.T1: T1, **BRAIN_MASK}, spacing_mm=(3, 3, 3))


@given(st.sampled_from(ORIENTATIONS))
@settings(max_examples=48, deadline=None)
def test_how_the_axes_are_stored_changes_nothing(plain, orientation):
    volumes = {Role.T1: T1, **BRAIN_MASK}
    turned_case = {role: stored_as(volume, orientation) for role, volume in volumes.items()}
    result = prepare(turned_case, spacing_mm=(3, 3, 3))
    np.testing.assert_allclose(result.affine, plain.affine, atol=1e-6)
    np.testing.assert_array_equal(result.brain, plain.brain)
    np.testing.assert_allclose(result.sequences[Role.T1], plain.sequences[Role.T1], atol=1e-3)
    back = to_reference(result.sequences[Role.T1], result)
    expected = stored_as(Volume(to_reference(plain.sequences[Role.T1], plain), TILTED), orientation)
    np.testing.assert_allclose(back, expected.array, atol=1e-3)


def test_the_grid_runs_along_the_references_own_axes_close_around_the_brain(plain):
    direction = plain.affine[:3, :3] / 3
    np.testing.assert_allclose(direction, TILTED[:3, :3] / (3, 3, 6.5), atol=1e-9)
    for axis in range(3):
        used = np.flatnonzero(plain.brain.any(axis=tuple(a for a in range(3) if a != axis)))
        for gap in (used[0], plain.brain.shape[axis] - 1 - used[-1]):
            # 6 mm to the voxel in the plane of the slices; across, a thick slice reaches further than the brain in it,
            # and the volume may end.
            assert (6 if axis < 2 else 0) <= gap * 3 <= (9 if axis < 2 else 6 + 6.5)
    true = brain(plain.affine, plain.brain.shape)
    overlap = 2 * (plain.brain & true).sum() / (plain.brain.sum() + true.sum())
    assert overlap > 0.96


def test_every_sequence_shows_the_same_place_at_the_same_voxel():
    """Two contrasts of a patient who moved, on grids of their own, against the formula at the working grid's places."""
    moved = movement((2, -1, 4), (3, 2, -2))
    own_shape = (110, 130, 60)
    own = turned((1.8, 1.8, 3), own_shape, angles_deg=(-5, 4, 0), centre=(2, -4, 6))
    noise = np.random.default_rng(1).normal(scale=2, size=own_shape)
    t2 = Volume((head(own, own_shape, "T2", moved) + noise).astype(np.float32), own)
    result = prepare({Role.T1: signal(), Role.T2: t2, **BRAIN_MASK}, spacing_mm=(2, 2, 2))
    assert result.registrations[Role.T2].method == "rigid"
    inner = np.linalg.norm(places(result.affine, result.brain.shape) / (60, 75, 55), axis=-1) < 1
    facts = result.normalisation[Role.T2]
    expected = head(result.affine, result.brain.shape, "T2")
    found = result.sequences[Role.T2] * facts["scale"] + facts["centre"]
    unclipped = inner & (np.abs(result.sequences[Role.T2]) < 4.9)
    assert np.corrcoef(found[unclipped], expected[unclipped])[0, 1] > 0.95


def test_a_map_comes_back_to_where_it_belongs(plain):
    """A ramp in space, as a map on the working grid, is the same ramp on the reference's grid, up to the rim."""
    slope = np.array([0.01, -0.02, 0.03])
    ramp = 2 + places(plain.affine, plain.brain.shape) @ slope
    for interpolation in ("linear", "cubic"):
        back = to_reference(np.where(plain.brain, ramp, 0), plain, interpolation=interpolation)
        assert back.shape == SHAPE
        inside = back != 0
        deep = np.linalg.norm(places(TILTED, SHAPE) / (56, 72, 50), axis=-1) < 1
        expected = 2 + places(TILTED, SHAPE) @ slope
        assert inside[deep].all()
        np.testing.assert_allclose(back[deep], expected[deep], atol=0.01)
        # Not darkened by the zeros outside; averaging over part of a thick voxel shifts it a little.
        np.testing.assert_allclose(back[inside], expected[inside], atol=0.15)
        np.testing.assert_array_equal(back[~brain(TILTED, SHAPE) & (_outside() > 1.15)], 0)


def _outside():
    return np.linalg.norm(places(TILTED, SHAPE) / (66, 82, 62), axis=-1)


class Watching(Silent):
    """Keeps what is reported; cancels at the first report of a stage."""

    def __init__(self, stop_in=None):
        super().__init__()
        self.seen, self.stop_in = [], stop_in

    def progress(self, stage, fraction):
        self.seen.append((stage, fraction))
        if stage == self.stop_in:
            raise Cancelled


@pytest.fixture(scope="module")
def patient(small_case: Path):
    """The simulated patient, prepared without a given mask, and what was reported meanwhile."""
    roles = (Role.T1, Role.T2, Role.FLAIR, Role.ADC)
    volumes = {role: read_volume(small_case / f"{role.value}.nii.gz") for role in roles}
    reporter = Watching()
    return prepare(volumes, spacing_mm=(3, 3, 3), reporter=reporter), reporter


def test_a_simulated_patient_end_to_end(small_case: Path, patient):
    roles = (Role.T1, Role.T2, Role.FLAIR, Role.ADC)
    transforms = json.loads((small_case / "case.json").read_text())["facts"]["transforms"]
    result, reporter = patient
    assert set(result.sequences) == set(roles)
    points = places(result.affine, result.brain.shape)[result.brain][::50]
    for role in roles[1:]:
        difference = result.transforms[role] - np.array(transforms[role.value])
        error = np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=-1)
        # A third of a voxel, anywhere in the brain.
        assert error.max() < 1.0, role
    for values in result.sequences.values():
        assert values.dtype == np.float32
        assert np.abs(values).max() <= 5
        np.testing.assert_array_equal(values[~result.brain], 0)
        assert abs(np.median(values[result.brain])) < 1
    assert not reporter.warnings


def test_missing_voxels_are_harmless():
    volume = signal()
    damaged = volume.array.copy()
    damaged[20:22, 20:22, 10] = np.nan
    damaged[0, 0, 0] = np.inf
    result = prepare({Role.T1: Volume(damaged, TILTED), **BRAIN_MASK}, spacing_mm=(3, 3, 3))
    assert np.isfinite(result.sequences[Role.T1]).all()


def test_part_of_the_brain_not_covered_by_a_sequence_is_0_there():
    part = Volume(signal("T2").array[:, :, 12:], turned_from(12))
    volumes = {Role.T1: signal(), Role.T2: part, **BRAIN_MASK}
    result = prepare(volumes, spacing_mm=(3, 3, 3), register=False)
    index = (
        np.linalg.inv(part.affine)
        @ result.affine
        @ np.r_[np.array(np.nonzero(result.brain)), [[1] * result.brain.sum()]]
    )
    missing = index[2] < -0.51
    assert missing.any()
    values = result.sequences[Role.T2][result.brain]
    np.testing.assert_array_equal(values[missing], 0)
    assert np.count_nonzero(values[~missing] == 0) < 0.01 * values.size


def turned_from(k):
    affine = TILTED.copy()
    affine[:3, 3] += affine[:3, 2] * k
    return affine


def test_registration_can_be_switched_off():
    moved = signal("T2", movement((0, 0, 5), (3, 0, 0)))
    result = prepare({Role.T1: signal(), Role.T2: moved, **BRAIN_MASK}, spacing_mm=(3, 3, 3), register=False)
    np.testing.assert_array_equal(result.transforms[Role.T2], np.eye(4))
    assert result.registrations[Role.T2].method == "off"


def test_another_reference_can_be_chosen():
    volumes = {Role.T1: signal(), Role.T2: signal("T2"), **BRAIN_MASK}
    result = prepare(volumes, reference=Role.T2, spacing_mm=(3, 3, 3))
    assert result.registrations[Role.T2].method == "reference"
    assert result.registrations[Role.T1].method == "co-registered"


@pytest.mark.parametrize(
    ("volumes", "words"),
    [
        ({Role.T2: signal("T2")}, "T1 is missing"),
        ({Role.T1: Volume(np.ones((8, 8, 8, 2)), np.eye(4))}, "4 dimensions"),
        ({Role.T1: Volume(np.zeros((20, 20, 20)), np.diag([8.0, 8, 8, 1]))}, "No brain"),
        ({Role.T1: signal(), Role.BRAIN: Volume(np.zeros(SHAPE), TILTED)}, "No brain"),
    ],
    ids=["no reference", "4-D", "all zeros", "empty mask"],
)
def test_bad_input_ends_in_one_line(volumes, words):
    with pytest.raises(InputError, match=words) as caught:
        prepare(volumes)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_progress_runs_forwards_and_cancelling_ends_it(small_case: Path, patient):
    _, watching = patient
    assert list(dict.fromkeys(stage for stage, _ in watching.seen)) == ["brain mask", "registration", "resampling"]
    fractions = [fraction for _, fraction in watching.seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    volumes = {role: read_volume(small_case / f"{role.value}.nii.gz") for role in (Role.T1, Role.T2)}
    mask = {Role.BRAIN: read_volume(small_case / "brain_mask_true.nii.gz")}
    for stage, more in (("brain mask", {}), ("registration", mask), ("resampling", mask)):
        stopping = Watching(stop_in=stage)
        with pytest.raises(Cancelled):
            prepare(volumes | more, spacing_mm=(3, 3, 3), reporter=stopping)
        assert stopping.seen[-1][0] == stage
