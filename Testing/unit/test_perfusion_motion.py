"""Movement between frames while the bolus changes the signal, against movement that is known exactly."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from HierSynthLib.errors import Cancelled
from HierSynthLib.perfusion.baseline import find_bolus
from HierSynthLib.perfusion.motion import correct_motion
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.phantom import make_phantom
from HierSynthLib.progress import Silent
from Testing.unit.test_perfusion_head import make_head

FRAMES = 28
JUMP = 17  # during the first pass


def pose(angles_deg, shift_mm):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def moved_head(*later):
    poses = np.stack([np.eye(4)] * FRAMES)
    for start, matrix in later:
        poses[start:] = matrix
    return make_head((44, 54, 22), (3.2, 3.2, 4.5), frames=FRAMES, poses=poses), poses


def correct(head, reporter=None, options=None):
    bolus = find_bolus(head.series.echoes[0][head.brain].mean(axis=0), Options())
    return correct_motion(head.series, head.brain, bolus, options or Options(), reporter or Silent())


def errors_mm(found, poses, head):
    points = head.positions[head.brain]
    return np.array(
        [
            np.linalg.norm(points @ (a - b)[:3, :3].T + (a - b)[:3, 3], axis=1).max()
            for a, b in zip(found, poses, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def jumped():
    head, poses = moved_head((JUMP, pose((2, -1.5, 3), (1.5, -2, 1.5))), (23, pose((-1, 0.5, -2), (0, 1, -1))))
    return head, poses, *correct(head)


def test_movement_during_the_bolus_is_found_to_half_a_millimetre(jumped):
    head, poses, _, motion = jumped
    still = np.stack([np.eye(4)] * FRAMES)
    assert errors_mm(still, poses, head)[JUMP:].min() > 3
    found = errors_mm(motion.transforms, poses, head)
    assert found.max() < 0.6
    assert np.median(found) < 0.2
    assert motion.angle_deg[JUMP] == pytest.approx(np.degrees(np.linalg.norm(rotation_vector(poses[JUMP]))), abs=0.3)
    assert motion.corrected[JUMP:].all()
    assert not motion.corrected[:10].any()


def rotation_vector(matrix):
    return Rotation.from_matrix(matrix[:3, :3]).as_rotvec()


def test_the_corrected_series_is_that_of_a_head_that_kept_still(jumped):
    head, _, series, motion = jumped
    still = make_head((44, 54, 22), (3.2, 3.2, 4.5), frames=FRAMES)
    before = np.abs(head.series.echoes[0] - still.series.echoes[0])[head.brain]
    after = np.abs(series.echoes[0] - still.series.echoes[0])[head.brain]
    assert np.percentile(after[:, JUMP:], 90) < 0.4 * np.percentile(before[:, JUMP:], 90)
    kept = ~motion.corrected
    np.testing.assert_array_equal(series.echoes[0][..., kept], head.series.echoes[0][..., kept])
    assert series.echoes[0].min() >= 0


def test_a_head_that_keeps_still_is_left_alone():
    head, _ = moved_head()
    series, motion = correct(head)
    assert not motion.corrected.any()
    assert series is head.series
    assert motion.largest_mm.max() < 0.3


@pytest.fixture(scope="module")
def patient():
    """The simulated patient in whom the bolus feigns the largest movement: the first 40 frames of its series."""
    acquired = make_phantom(2, "low", "small").dsc
    return acquired.series.array[..., :40].astype(np.float32), acquired.series.affine, acquired.brain.array > 0


def correct_patient(patient, poses):
    values, affine, brain = patient
    values = values.copy()
    to_voxels = np.linalg.inv(affine)
    for frame, matrix in enumerate(poses):
        back = to_voxels @ np.linalg.inv(matrix) @ affine
        if not np.array_equal(matrix, np.eye(4)):
            still = np.ascontiguousarray(values[..., frame])
            moved = ndimage.affine_transform(still, back[:3, :3], back[:3, 3], order=3, mode="nearest")
            values[..., frame] = np.maximum(moved, 0)
    series = DscSeries((values,), (0.03,), 1.5, affine)
    bolus = find_bolus(values[brain].mean(axis=0), Options())
    corrected, motion = correct_motion(series, brain, bolus, Options(), Silent())
    points = np.argwhere(brain)[::50] @ affine[:3, :3].T + affine[:3, 3]
    between = motion.transforms - poses
    away = np.einsum("tij,nj->tni", between[:, :3, :3], points) + between[:, None, :3, 3]
    return series, corrected, motion, bolus, np.linalg.norm(away, axis=2).max(axis=1)


def test_no_frame_of_a_patient_that_keeps_still_is_resampled(patient):
    series, corrected, motion, _, _ = correct_patient(patient, np.stack([np.eye(4)] * 40))
    assert not motion.corrected.any()
    assert corrected is series
    assert motion.largest_mm.max() < 0.3


@pytest.mark.parametrize(
    ("frame", "angles", "shift"),
    [(17, (0, 0, 0.3), (0.6, 0.5, 0.5)), (20, (0, 1, -0.5), (1.5, 2, -1))],
    ids=["1 mm", "3 mm"],
)
def test_a_patient_that_moves_during_the_bolus_is_put_back_to_a_third_of_a_millimetre(patient, frame, angles, shift):
    poses = np.stack([np.eye(4)] * 40)
    poses[frame:] = pose(angles, shift)
    _, _, motion, bolus, away = correct_patient(patient, poses)
    assert bolus.first_pass(40).start < frame < bolus.first_pass(40).stop - 5
    assert motion.corrected.nonzero()[0].tolist() == list(range(frame, 40))
    assert away.max() < 0.33


def test_a_movement_within_the_bolus_is_undone_but_for_what_the_bolus_feigns(patient):
    poses = np.stack([np.eye(4)] * 40)
    poses[18:20] = pose((0, 0, 0), (2, 2, -2))
    _, _, motion, _, away = correct_patient(patient, poses)
    assert motion.corrected.nonzero()[0].tolist() == [18, 19]
    assert away.max() < 1.5


class StopsAt:
    def __init__(self, calls):
        self.left, self.stages = calls, set()

    def progress(self, stage, fraction):
        self.stages.add(stage)
        assert 0 <= fraction <= 1
        self.left -= 1
        if self.left < 0:
            raise Cancelled

    def warning(self, message):
        pass


def test_it_can_be_cancelled_after_every_frame():
    head, _ = moved_head()
    reporter = StopsAt(FRAMES + 15)
    with pytest.raises(Cancelled):
        correct(head, reporter)
    assert reporter.stages == {"motion correction"}
