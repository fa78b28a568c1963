"""The line under each selector: what fits, what is done about it, what is wrong; and never more than a look."""

import numpy as np
import pytest

from HierSynthLib.case import SEQUENCES, Problem, Role, check_roles, check_steps, examine
from HierSynthLib.volume import Volume


def volume(shape=(96, 96, 80), spacing=(2.0, 2.0, 2.0), shift=(0.0, 0.0, 0.0), dtype=np.float32, scale=100.0):
    """A bright ball of 70 mm radius around the origin, on a grid around it."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) * spacing / 2 + shift
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) @ affine[:3, :3] + affine[:3, 3] - shift
    ball = (np.linalg.norm(grid, axis=-1) < 70) * (scale + grid[..., 0] / 10)
    return Volume(ball.astype(dtype), affine)


@pytest.fixture
def case():
    return {role: volume(scale=0.8 if role == Role.ADC else 100.0) for role in SEQUENCES}


def test_what_fits_says_its_grid(case):
    checks = check_roles({Role.T1: case[Role.T1], Role.T2: case[Role.T2]}, expected=())
    assert list(checks) == [Role.T1, Role.T2]
    assert (checks[Role.T1].level, checks[Role.T1].text) == ("ok", "96 × 96 × 80, 2.0 × 2.0 × 2.0 mm")
    assert (checks[Role.T2].level, checks[Role.T2].text) == (
        "ok",
        "96 × 96 × 80, 2.0 × 2.0 × 2.0 mm, grid of the reference",
    )


def test_another_grid_is_announced(case):
    case[Role.T2] = volume((192, 192, 40), (0.9, 0.9, 4.0))
    check = check_roles(case)[Role.T2]
    assert check.level == "info"
    assert check.text == "192 × 192 × 40, 0.90 × 0.90 × 4.0 mm, different grid → will be resampled"


def test_the_reference_is_the_one_chosen(case):
    case[Role.T2] = volume((192, 192, 40), (0.9, 0.9, 4.0))
    checks = check_roles(case, reference=Role.T2)
    assert checks[Role.T2].level == "ok"
    assert [checks[role].level for role in (Role.T1, Role.FLAIR)] == ["info", "info"]


def test_missing_volumes(case):
    del case[Role.FLAIR]
    checks = check_roles(case)
    assert (checks[Role.FLAIR].level, checks[Role.FLAIR].text) == (
        "missing",
        "FLAIR is missing, so the model has to fill in for it.",
    )
    checks = check_roles(case, reference=Role.FLAIR)
    assert checks[Role.FLAIR].level == "error"
    assert "the result shall lie on its grid" in checks[Role.FLAIR].text


def test_nothing_chosen():
    checks = check_roles({})
    assert checks[None].level == "error"
    assert checks[None].text == "There is no T1, T2, FLAIR or ADC volume."
    assert {checks[role].level for role in SEQUENCES} == {"missing"}
    assert set(checks) == {None, *SEQUENCES}  # nothing about roles that nobody expects


def test_units_that_were_guessed_are_no_warning(case):
    case[Role.ADC] = volume(scale=800.0)
    check = check_roles(case)[Role.ADC]
    assert check.level == "info"
    assert "taken to be in 10⁻⁶ mm²/s" in check.text
    assert "grid of the reference" in check.tooltip


def test_units_that_the_user_gave_and_that_cannot_be_are_one(case):
    adc = volume(scale=800.0)
    case[Role.ADC] = Volume(adc.array, adc.affine, "mm²/s")
    check = check_roles(case)[Role.ADC]
    assert check.level == "warning"
    assert "said to be in mm²/s" in check.text
    case[Role.ADC] = volume(scale=5e6)
    assert check_roles(case)[Role.ADC].level == "error"


def test_a_problem_that_the_caller_knows(case):
    warped = Problem(Role.T2, "error", "T2 has a transform that is not linear.", "Harden it.")
    whole = Problem(None, "warning", "The volumes are of two studies.", "Check them.")
    checks = check_roles(case, problems=[warped, whole])
    assert checks[Role.T2].level == "error"
    assert checks[Role.T2].text == "T2 has a transform that is not linear."
    assert "Harden it." in checks[Role.T2].tooltip
    assert checks[None].text == "The volumes are of two studies."
    assert checks[None].level == "warning"


def test_the_worst_problem_is_the_line_and_all_are_in_the_tooltip(case):
    thick = volume((96, 96, 20), (2.0, 2.0, 8.0))
    array = thick.array.copy()
    array[5, 5, 5] = np.nan
    array[0, 0, 0] = np.nan
    case[Role.FLAIR] = Volume(array, thick.affine)
    check = check_roles(case)[Role.FLAIR]
    assert check.level == "error"
    assert "2 voxels" in check.text  # counted in full, not in the sample
    assert "thick slices" in check.tooltip
    assert check.tooltip.startswith("96 × 96 × 20, 2.0 × 2.0 × 8.0 mm")


def test_a_volume_elsewhere(case):
    case[Role.T2] = volume(shift=(500.0, 0.0, 0.0))
    check = check_roles(case)[Role.T2]
    assert (check.level, check.text) == ("error", "T2 and T1 do not overlap in space.")


def test_steps_come_one_by_one_and_look_at_one_volume_each(case):
    seen = []

    class Watched(dict):
        def __getitem__(self, role):
            seen.append(role)
            return super().__getitem__(role)

    steps = check_steps(Watched(case), reference=Role.FLAIR)
    assert next(steps)[0] == Role.FLAIR
    assert set(seen) == {Role.FLAIR}
    assert [role for role, _ in steps] == [Role.T1, Role.T2, Role.ADC]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda case: case,
        lambda case: case | {Role.T2: volume((192, 192, 40), (0.9, 0.9, 4.0))},
        lambda case: case | {Role.FLAIR: volume(shift=(110.0, 0, 0))},
        lambda case: case | {Role.ADC: volume(scale=800.0)},
        lambda case: case | {Role.CBV_ACQUIRED: volume(scale=300.0)},
        lambda case: case | {Role.T2: Volume(np.zeros((96, 96, 80)), np.eye(4))},
        lambda case: case | {Role.ROI: Volume((volume().array > 0).astype(np.uint8), volume().affine)},
        lambda case: case | {Role.ROI: Volume(volume().array * 0.31, volume().affine)},
        lambda case: case | {Role.ROI: Volume(np.zeros((96, 96, 80), np.uint8), volume().affine)},
        lambda case: {role: case[role] for role in (Role.T2, Role.ADC)},
    ],
)
def test_a_quick_look_finds_what_a_full_one_finds(case, spoil):
    spoilt = spoil(case)
    full, quick = examine(spoilt), examine(spoilt, quick=True)
    assert [(problem.role, problem.severity) for problem in full] == [
        (problem.role, problem.severity) for problem in quick
    ]
    levels = {role: check.level for role, check in check_roles(spoilt, quick=False).items()}
    assert levels == {role: check.level for role, check in check_roles(spoilt, quick=True).items()}


def test_a_tiny_roi_is_not_overlooked(case):
    array = np.zeros((240, 240, 155), np.uint8)
    affine = np.diag([0.8, 0.8, 1.0, 1.0])
    affine[:3, 3] = (-96, -96, -78)
    inside, outside = array.copy(), array.copy()
    inside[121, 121, 78] = 1  # 1 mm from the centre, between the voxels of a sample
    outside[1, 1, 1] = 1
    assert check_roles(case | {Role.ROI: Volume(inside, affine)})[Role.ROI].level == "ok"
    check = check_roles(case | {Role.ROI: Volume(outside, affine)})[Role.ROI]
    assert (check.level, check.text) == ("warning", "ROI lies mostly (100 %) outside the head in T1.")
    assert "empty" in check_roles(case | {Role.ROI: Volume(array, affine)})[Role.ROI].text
