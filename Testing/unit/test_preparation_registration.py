"""Rigid registration of heads whose movement is known exactly."""

import numpy as np
import pytest

from HierSynthLib.errors import Cancelled
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.preparation.registration import Image, register_rigid
from HierSynthLib.progress import Silent
from Testing.analytic_head import brain, head, largest_error_mm, movement, turned

SHAPE = (100, 116, 96)
HOME = turned((2, 2, 2), SHAPE)
NOISE = 3.0


def image(affine, shape, contrast, moved=None, seed=0):
    noise = np.random.default_rng(seed).normal(scale=NOISE, size=shape)
    return Image((head(affine, shape, contrast, moved) + noise).astype(np.float32), Grid(shape, affine))


@pytest.fixture(scope="module")
def reference():
    return image(HOME, SHAPE, "T1")


@pytest.fixture(scope="module")
def region():
    wide = turned((4, 4, 4), (50, 58, 48))
    return Image(brain(wide, (50, 58, 48)).astype(np.float32), Grid((50, 58, 48), wide))


@pytest.mark.parametrize(
    ("angles", "shift", "spacing", "shape", "tilt"),
    [
        ((1.5, -2, 3), (2, -1.5, 3), (1.5, 1.5, 2), (120, 140, 90), (0, 0, 0)),
        ((-8, 2, 14), (9, -6, -15), (1.0, 1.0, 5.5), (180, 200, 34), (15, -4, 0)),
        ((0, 0, 0), (0, 0, 0), (1.2, 1.2, 4), (150, 170, 45), (90, 0, 10)),
    ],
    ids=["small", "thick oblique slices, large", "sagittal, none"],
)
def test_a_known_movement_is_found_to_half_a_millimetre(reference, region, angles, shift, spacing, shape, tilt):
    true = movement(angles, shift)
    grid = turned(spacing, shape, angles_deg=tilt, centre=(4, -3, 2))
    reporter = Silent()
    found = register_rigid(reference, region, image(grid, shape, "T2", true, seed=1), reporter=reporter)
    assert found.method == "rigid"
    assert largest_error_mm(found.transform, true) < 0.5
    turn = found.transform[:3, :3] @ true[:3, :3].T
    assert np.degrees(np.arccos(min(1, (np.trace(turn) - 1) / 2))) < 0.5
    assert found.angle_deg == pytest.approx(np.degrees(np.arccos((np.trace(true[:3, :3]) - 1) / 2)), abs=0.5)
    assert found.shift_mm == pytest.approx(np.linalg.norm(shift), abs=0.5)
    assert not reporter.warnings


def test_the_result_is_the_same_to_the_last_bit(reference, region):
    moving = image(turned((3, 3, 6), (60, 74, 30)), (60, 74, 30), "T2", movement((2, 1, -3), (1, 2, 3)), seed=1)
    first, second = (register_rigid(reference, region, moving, reporter=Silent()).transform for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_volumes_on_one_grid_that_agree_are_left_alone(reference, region):
    found = register_rigid(reference, region, image(HOME, SHAPE, "T2", seed=1), reporter=Silent())
    assert found.method == "co-registered"
    np.testing.assert_array_equal(found.transform, np.eye(4))


def test_a_patient_who_moved_on_the_same_grid_is_registered(reference, region):
    true = movement((0, 0, 2), (1.5, 0, 1))
    found = register_rigid(reference, region, image(HOME, SHAPE, "T2", true, seed=1), reporter=Silent())
    assert found.method == "rigid"
    assert largest_error_mm(found.transform, true) < 0.5


def test_volumes_cut_out_with_one_mask_count_as_co_registered(region):
    """Whoever cut both along one contour has aligned them, even if the signal could be moved by a millimetre."""
    mask = brain(HOME, SHAPE)
    cut = [
        Image(np.where(mask, head(HOME, SHAPE, contrast, moved), 0).astype(np.float32), Grid(SHAPE, HOME))
        for contrast, moved in (("T1", None), ("T2", movement((0, 0, 0), (0, 1.2, 0))))
    ]
    assert register_rigid(cut[0], region, cut[1], reporter=Silent()).method == "co-registered"


def test_an_implausible_result_is_dropped_with_a_warning(reference, region):
    far = turned((2, 2, 3), (90, 110, 60), centre=(0, 0, 60))
    reporter = Silent()
    moving = image(far, (90, 110, 60), "T2", movement((0, 0, 0), (0, 0, 60)), seed=1)
    found = register_rigid(reference, region, moving, reporter=reporter, name="FLAIR")
    assert found.method == "rejected"
    np.testing.assert_array_equal(found.transform, np.eye(4))
    assert len(reporter.warnings) == 1
    assert "FLAIR" in reporter.warnings[0]


def test_a_volume_that_lies_elsewhere_is_not_moved(reference, region):
    away = turned((2, 2, 2), (40, 40, 40), centre=(500, 0, 0))
    reporter = Silent()
    noise = np.random.default_rng(0).normal(10, 1, (40, 40, 40)).astype(np.float32)
    found = register_rigid(reference, region, Image(noise, Grid((40, 40, 40), away)), reporter=reporter)
    assert found.method == "rejected"
    assert reporter.warnings


def test_cancelling_stops_it_soon(reference, region):
    class Stopping(Silent):
        calls = 0

        def progress(self, stage, fraction):
            self.calls += 1
            if self.calls == 40:
                raise Cancelled

    reporter = Stopping()
    moving = image(turned((2, 2, 4), (90, 110, 45)), (90, 110, 45), "T2", movement((2, 1, -3), (1, 2, 3)), seed=1)
    with pytest.raises(Cancelled):
        register_rigid(reference, region, moving, reporter=reporter)
    assert reporter.calls == 40
