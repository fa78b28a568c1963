"""A head of simple shapes whose tissues, arteries and movement are known, as a DSC series; and that it is what it says.

Tissue curves are those of test_perfusion_simulation; shapes have soft borders, so that a moved head is sampled, not
interpolated.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from HierSynthLib.perfusion.series import DscSeries
from Testing.unit.test_perfusion_simulation import TE_S, TR_S, Injection, convolve, leaked, signal, tissue

CLASSES = ("grey", "white", "csf", "tumour", "artery", "vein", "scalp")
TRUE_CBV = {"grey": 4.0, "white": 2.0, "csf": 0.0, "tumour": 8.0}
KTRANS = 0.03
BRAIN_MM = np.array([66.0, 82.0, 60.0])


@dataclass(frozen=True)
class Head:
    """A series; what most of each voxel is, as a number in CLASSES (−1 outside); positions (I, J, K, 3) in mm."""

    series: DscSeries
    labels: np.ndarray
    positions: np.ndarray

    def mask(self, name):
        return self.labels == CLASSES.index(name)

    @property
    def brain(self):
        return (self.labels >= 0) & ~self.mask("scalp")


def shares(points):
    """(7, N) share of each class at (N, 3) positions in mm in the head at rest."""
    x, y, z = points.T
    radius = np.sqrt(((points / BRAIN_MM) ** 2).sum(axis=1))

    def soft(inside, width):
        return 1 / (1 + np.exp(-np.clip(inside / width, -30, 30)))

    inside = soft(1 - radius, 0.02)
    white = soft(0.25 - np.sin(x / 11) * np.sin(y / 13) - 0.3 * np.sin(z / 15), 0.15) * soft(0.86 - radius, 0.02)
    found = np.zeros((len(CLASSES), len(points)))
    found[0], found[1] = inside * (1 - white), inside * white
    masks = (
        soft(12 - np.hypot(np.hypot(np.abs(x) - 12, y / 2), z), 1.0),
        soft(15 - np.linalg.norm(points - [32, 15, 8], axis=1), 1.0),
        soft(4.5 - np.hypot(np.abs(x) - 22, y - 30), 0.5) * soft(-z, 2),
        soft(4.5 - np.hypot(x, y + 70), 0.5),
    )
    for number, mask in enumerate(masks, 2):
        found[:number] *= 1 - mask
        found[number] = mask * inside
    found[6] = soft(1.2 - radius, 0.01) * soft(radius - 1.12, 0.01)
    return found


def class_curves(injection, te_s=TE_S):
    """(7, T) signal of the pure classes."""
    nothing = 0 * injection.times
    early = injection.artery(-1.0)
    venous = convolve(injection.artery(1.0), np.exp(-injection.times / 4) / 4)

    def blood(concentration):
        return 1000 * np.exp(-te_s * (20 + 0.5 * concentration + 2.6 * concentration**2))

    curves = (
        signal(tissue(injection, 4, 60), nothing, flip=30, te_s=te_s),
        signal(tissue(injection, 2, 25), nothing, T1=0.85, flip=30, te_s=te_s),
        signal(nothing, nothing, T1=4.3, T2star=0.25, flip=30, te_s=te_s),
        signal(tissue(injection, 8, 80), leaked(injection, KTRANS), T1=1.7, flip=30, te_s=te_s),
        blood(early),
        blood(venous),
        nothing + 60.0,
    )
    return np.stack([injection.frames(curve) for curve in curves])


def make_head(
    shape=(44, 54, 12),
    spacing=(3.2, 3.2, 8.0),
    frames=70,
    snr=80.0,
    seed=0,
    poses=None,
    te_s=(TE_S,),
    injection=None,
):
    """The series of a head; `poses` (T, 4, 4) move it, RAS mm, rest → frame."""
    injection = injection or Injection(recirculation=0.15, count=frames)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(count - 1) / 2 * step for count, step in zip(shape, spacing, strict=True)]
    points = np.argwhere(np.ones(shape)) @ affine[:3, :3].T + affine[:3, 3]
    curves = [class_curves(injection, te) for te in te_s]
    still = shares(points)
    sd = curves[0][1, 0] / snr if snr else 0.0
    rng = np.random.default_rng(seed)
    echoes = [np.empty((*shape, frames), np.float32) for _ in te_s]
    for frame in range(frames):
        now = still
        if poses is not None and not np.allclose(poses[frame], np.eye(4)):
            back = np.linalg.inv(poses[frame])
            now = shares(points @ back[:3, :3].T + back[:3, 3])
        for echo, own in zip(echoes, curves, strict=True):
            clean = (own[:, frame] @ now).reshape(shape)
            echo[..., frame] = np.hypot(clean + rng.normal(scale=sd, size=shape), rng.normal(scale=sd, size=shape))
    labels = np.where(still.max(axis=0) > 0.5, still.argmax(axis=0), -1).reshape(shape)
    return Head(DscSeries(tuple(echoes), te_s, TR_S, affine), labels, points.reshape(*shape, 3))


def test_the_head_holds_all_classes_and_their_signal():
    head = make_head(snr=0)
    curves = class_curves(Injection(recirculation=0.15, count=70))
    for number, name in enumerate(CLASSES):
        assert head.mask(name).sum() > 3
        if name in ("grey", "white", "tumour"):
            pure = shares(head.positions[head.mask(name)])[number] > 0.98
            values = head.series.echoes[0][head.mask(name)][pure]
            np.testing.assert_allclose(values.mean(axis=0), curves[number], rtol=0.02)


def test_a_moved_head_is_where_its_pose_says():
    pose = np.eye(4)
    pose[0, 3] = 2 * 3.2
    poses = np.stack([np.eye(4)] * 10 + [pose] * 60)
    head = make_head(snr=0, poses=poses)
    values = head.series.echoes[0]
    np.testing.assert_allclose(values[2:, :, :, 11], make_head(snr=0).series.echoes[0][:-2, :, :, 11], rtol=1e-4)
    assert values[..., 0].mean() == pytest.approx(values[..., 11].mean(), rel=0.02)
