"""The brain mask against heads whose brain is known."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from HierSynthLib.case import Role
from HierSynthLib.phantom import make_phantom
from HierSynthLib.preparation import brain_mask as module
from HierSynthLib.preparation import resample
from HierSynthLib.preparation.brain_mask import brain_mask
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.preparation.template import load_template
from HierSynthLib.progress import Silent
from HierSynthLib.volume import read_volume
from Testing.analytic_head import brain, head, turned

TRUE_MASK = "brain_mask_true.nii.gz"


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def grid_of(volume):
    return Grid(volume.array.shape, volume.affine)


def find(values, grid, **options):
    return brain_mask(values.astype(np.float32), grid, given=options.get("given"), reporter=Silent())


@pytest.fixture(scope="module")
def patient(small_case: Path):
    """T1, its grid and the true brain of a simulated patient with a high-grade lesion at 3 mm."""
    volume = read_volume(small_case / "T1.nii.gz")
    return volume.array.astype(np.float32), grid_of(volume), read_volume(small_case / TRUE_MASK).array > 0


@pytest.fixture(scope="module")
def found(patient):
    return find(patient[0], patient[1])


def test_the_brain_of_a_simulated_patient_is_found(patient, found):
    mask, quality = found
    assert dice(mask, patient[2]) > 0.95
    assert quality.method == "template"
    assert quality.rating == "good"
    assert quality.volume_ml == pytest.approx(np.count_nonzero(patient[2]) * 0.027, rel=0.08)
    assert ndimage.label(mask)[1] == 1


def test_thick_oblique_slices_do_not_hinder_it(patient):
    """A T1 with slices of 5.5 mm, tilted and turned, of another patient at 2 mm."""
    phantom = make_phantom(11, "low", spacing_mm=2.0, dsc=False)
    t1, truth = phantom.volumes[Role.T1], phantom.volumes[Role.BRAIN]
    shape = (180, 210, 34)
    thick = turned((1.0, 1.0, 5.5), shape, angles_deg=(14, -5, 9), centre=grid_of(t1).centre)
    values = resample(t1.array.astype(np.float32), t1.affine, shape, thick)
    true = resample(truth.array.astype(np.float32), truth.affine, shape, thick) > 0.5
    mask, quality = find(values, Grid(shape, thick))
    assert dice(mask, true) > 0.95
    assert quality.rating == "good"


def test_strong_shading_does_not_hinder_it(patient):
    values, grid, true = patient
    ramp = np.linspace(0.65, 1.35, values.shape[0])[:, None, None] * np.linspace(0.8, 1.2, values.shape[2])
    assert dice(find(values * ramp, grid)[0], true) > 0.95


def test_a_slab_is_masked_and_said_to_be_a_part(patient):
    values, grid, true = patient
    part = slice(26, 46)
    slab = grid.cropped((0, 0, part.start), (*grid.shape[:2], part.stop))
    mask, quality = find(values[:, :, part], slab)
    assert dice(mask, true[:, :, part]) > 0.93
    assert "ends within the brain" in quality.words


def test_the_result_is_the_same_to_the_last_bit(patient, found):
    np.testing.assert_array_equal(find(patient[0], patient[1])[0], found[0])


def test_without_the_template_thresholds_do(patient, monkeypatch):
    monkeypatch.setattr(module, "load_template", lambda: None)
    mask, quality = find(patient[0], patient[1])
    assert quality.method == "thresholds"
    assert quality.rating != "good"
    assert dice(mask, patient[2]) > 0.8


def test_a_given_mask_is_used_as_it_is(patient):
    mask, quality = find(patient[0], patient[1], given=patient[2])
    np.testing.assert_array_equal(mask, patient[2])
    assert quality.method == "given"


def test_a_skull_stripped_volume_is_recognised_and_its_holes_filled(patient):
    values, grid, true = patient
    stripped = np.where(true, values, 0)
    middle = ndimage.center_of_mass(true)
    hole = tuple(slice(int(m) - 2, int(m) + 2) for m in middle)
    stripped[hole] = 0
    mask, quality = find(stripped, grid)
    assert quality.method == "skull-stripped input"
    np.testing.assert_array_equal(mask, ndimage.binary_fill_holes(true))


def test_a_head_on_a_zeroed_background_is_not_taken_for_a_brain():
    """Defacing and denoising tools set the air to 0; a slab of such a head has the volume of a brain."""
    shape = (100, 110, 22)
    affine = turned((2, 2, 3), shape, centre=(0, 0, 15))
    slab = head(affine, shape)
    assert 600 < np.count_nonzero(slab) * 0.012 < 2300
    mask, quality = find(slab, Grid(shape, affine))
    assert quality.method == "template"
    assert dice(mask, brain(affine, shape)) > 0.9
    brain_only = np.where(brain(affine, shape), slab, 0)
    assert find(brain_only, Grid(shape, affine))[1].method == "skull-stripped input"


@pytest.mark.parametrize("content", ["noise", "zeros"])
def test_what_is_no_head_is_called_poor(content):
    grid = Grid((60, 60, 60), turned((3, 3, 3), (60, 60, 60)))
    noise = np.random.default_rng(0).normal(100, 10, grid.shape)
    mask, quality = find(noise if content == "noise" else np.zeros(grid.shape), grid)
    assert quality.rating == "poor"
    assert mask.shape == grid.shape


def test_the_template_lies_where_mni_space_has_it():
    """Published extent of the MNI152 brain: about 136 × 172 mm, 1.8–2.0 litres; symmetric about x = 0."""
    template = load_template()
    assert template is not None
    points = np.argwhere(template.brain) @ template.grid.affine[:3, :3].T + template.grid.affine[:3, 3]
    np.testing.assert_allclose(points.min(axis=0), (-71, -106, -72), atol=4)
    np.testing.assert_allclose(points.max(axis=0), (71, 73, 82), atol=4)
    assert points[:, 0].mean() == pytest.approx(0, abs=1)
    assert 1700 < template.brain.sum() * 0.008 < 2100
