"""The plane of symmetry and the reference, on a head given by formulas and on simulated patients."""

import numpy as np
import pytest

from HierSynthLib.case import Role
from HierSynthLib.errors import Cancelled, InputError
from HierSynthLib.fidelity.regions.masks import rasterise
from HierSynthLib.fidelity.regions.reference import NAME, suggest_reference
from HierSynthLib.fidelity.regions.symmetry import SymmetryPlane, find_symmetry
from HierSynthLib.phantom import make_phantom
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume
from Testing import analytic_head
from Testing.analytic_head import movement, places, turned

NONE = np.zeros((0, 3))
SEQUENCES = ("T1", "T2", "FLAIR", "ADC")


def symmetric_head(affine, shape, moved=None):
    """A head that equals its mirror image: the mean of the analytic one and its reflection."""
    moved = np.eye(4) if moved is None else moved
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    return (
        analytic_head.head(affine, shape, movement=moved) + analytic_head.head(affine, shape, movement=moved @ mirror)
    ) / 2


def mirrored_brain(affine, shape, moved):
    points = (places(affine, shape) - moved[:3, 3]) @ moved[:3, :3]
    return analytic_head.radius(points, analytic_head.BRAIN_MM) < 1


def angle_deg(first, second):
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


@pytest.mark.parametrize(
    ("turn", "spacing", "grid_angles"),
    [
        ((0, 0, 0), (4, 4, 4), (0, 0, 0)),
        ((10, -18, 20), (4, 4, 4), (0, 0, 0)),
        ((-15, 20, -12), (2.5, 2.5, 5), (25, -10, 90)),
    ],
)
def test_the_plane_of_a_symmetric_head_is_found_however_head_and_grid_are_turned(turn, spacing, grid_angles):
    shape = tuple(int(np.ceil(230 / s)) for s in spacing)
    affine = turned(spacing, shape, angles_deg=grid_angles, centre=(4, -6, 5))
    moved = movement(turn, (7, -4, 3))
    values = symmetric_head(affine, shape, moved)
    brain = mirrored_brain(affine, shape, moved)
    # A large bright lesion on one side, and a coil that sees one side better than the other.
    away = np.linalg.norm(places(affine, shape) - (moved[:3, :3] @ (35, 10, 20) + moved[:3, 3]), axis=-1)
    values = np.where(away < 18, 180, values) * np.exp(places(affine, shape)[..., 0] / 300)
    plane = find_symmetry(values.astype(np.float32), Grid(shape, affine), brain, Silent())
    assert plane.normal[0] > 0
    assert angle_deg(plane.normal, moved[:3, 0]) < 1.0
    assert abs(plane.side(moved[:3, 3])) < 0.7
    assert plane.correlation > 0.6


def test_axes_are_right_anterior_and_superior():
    plane = SymmetryPlane(np.array([np.cos(0.2), np.sin(0.2), 0.0]), np.zeros(3), 1.0)
    np.testing.assert_allclose(plane.axes.T @ plane.axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(plane.axes) == pytest.approx(1)
    assert (np.diag(plane.axes) > 0.9).all()
    assert plane.side(np.array([30.0, 0, 0])) == pytest.approx(30 * np.cos(0.2))


def test_symmetry_of_nothing_is_refused():
    grid = Grid((40, 40, 40), np.diag([4.0, 4.0, 4.0, 1.0]))
    ball = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) - 20, axis=-1) < 15
    noise = np.random.default_rng(0).normal(100, 10, grid.shape).astype(np.float32)
    for values, brain, fault in (
        (noise, np.zeros(grid.shape, bool), "The brain mask is empty"),
        (noise, ball & (np.indices(grid.shape)[0] == 20) & (np.indices(grid.shape)[1] == 20), "The brain mask has"),
        (np.ones(grid.shape, np.float32), ball, "is constant in the brain"),
    ):
        with pytest.raises(InputError, match=fault):
            find_symmetry(values, grid, brain, Silent())


def test_the_search_can_be_cancelled():
    class Stopping(Silent):
        def progress(self, stage, fraction):
            if fraction > 0.3:
                raise Cancelled

    shape = (58, 64, 50)
    affine = turned((4, 4, 4), shape)
    with pytest.raises(Cancelled):
        find_symmetry(
            symmetric_head(affine, shape), Grid(shape, affine), analytic_head.brain(affine, shape), Stopping()
        )


class Patient:
    """A simulated patient with what the suggestion needs and what is true."""

    def __init__(self, seed, grade):
        phantom = make_phantom(seed, grade, spacing_mm=3.0, dsc=False)
        self.anatomy = {name: phantom.volumes[Role(name)] for name in SEQUENCES}
        self.brain = phantom.volumes[Role.BRAIN]
        self.cbv = phantom.volumes[Role.CBV_TRUE]
        self.white_matter = phantom.truth["white_matter"]
        self.grid = Grid(self.cbv.grid, self.cbv.affine)
        self.side = phantom.facts["lesion"] and phantom.facts["lesion"]["side"]
        self.labels = phantom.volumes[Role.ROI].array
        self.lesion = self.cbv.positions(np.argwhere(np.isin(self.labels, (1, 2, 3, 5))))
        self.plane = self.symmetry("T1")

    def symmetry(self, name):
        volume = self.anatomy[name]
        grid = Grid(volume.grid, volume.affine)
        inside = resample(self.brain.array > 0, self.brain.affine, grid.shape, grid.affine, interpolation="nearest")
        return find_symmetry(volume.array.astype(np.float32), grid, inside, Silent())

    def suggest(self, names=SEQUENCES, **changes):
        order = {"brain": self.brain, "plane": self.plane, "lesion": self.lesion, "reporter": Silent()} | changes
        return suggest_reference({name: self.anatomy[name] for name in names}, **order)


@pytest.fixture(scope="module")
def patient():
    return Patient(1, "high")


@pytest.mark.parametrize("names", [SEQUENCES, ("T1",), ("T2", "FLAIR")], ids="+".join)
def test_the_reference_lies_in_white_matter_opposite_the_lesion(patient, names):
    found = patient.suggest(names)
    assert found.warnings == ()
    assert (found.region.name, found.region.role) == (NAME, "reference")
    assert [sphere.radius_mm for sphere in found.region.shapes] == [5.0] * 3
    assert found.side != patient.side
    assert found.side in found.region.source
    mask = rasterise(found.region, patient.grid, None)
    assert (mask.of(patient.white_matter) > 0.9).mean() > 0.9
    assert mask.of(patient.cbv.array).mean() == pytest.approx(1.0, abs=0.15)  # part of CBV shows in no anatomy
    centres = np.array([sphere.centre for sphere in found.region.shapes])
    assert all((patient.plane.side(centre) > 0) == (found.side == "right") for centre in centres)
    assert min(np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > 10
    assert min(np.linalg.norm(patient.lesion - centre, axis=1).min() for centre in centres) > 15 - 2.6  # ½ diagonal


def test_without_a_lesion_the_more_homogeneous_side_is_taken(patient):
    found = patient.suggest(lesion=NONE)
    assert found.side == patient.suggest().side  # the other holds the lesion
    assert "because no lesion was given" in found.region.source


def test_adc_alone_is_no_sure_witness(patient):
    found = patient.suggest(("ADC",))
    assert (rasterise(found.region, patient.grid, None).of(patient.white_matter) > 0.9).mean() > 0.75
    assert "ADC alone" in found.warnings[0]


def test_what_is_not_known_is_said(patient):
    assert patient.suggest(()).warnings[0].startswith("No reference is suggested: There is no T1")
    unsure = SymmetryPlane(patient.plane.normal, patient.plane.point, 0.2)
    assert "unsure" in patient.suggest(plane=unsure).warnings[0]
    assert patient.suggest(plane=SymmetryPlane(patient.plane.normal, patient.plane.point, 0.1)).region is None
    near = patient.suggest(lesion=patient.plane.point[None] + np.array([[0.0, 0.0, -40.0]]))
    assert any("near the middle" in warning for warning in near.warnings)


def test_without_a_vertex_there_is_no_reference(patient):
    brain = patient.brain
    high = np.flatnonzero((brain.array > 0).any(axis=(0, 1)))[-1]
    slab = Volume(brain.array[:, :, : high - 10], brain.affine)
    found = patient.suggest(brain=slab)
    assert found.region is None
    assert found.warnings == (
        "No reference is suggested: The volume ends below the vertex of the brain. Place it by hand.",
    )


def test_without_white_matter_there_is_no_reference(patient):
    t1 = patient.anatomy["T1"]
    noise = np.random.default_rng(0).uniform(0, 1000, t1.grid).astype(np.float32)
    found = suggest_reference({"T1": Volume(noise, t1.affine)}, patient.brain, patient.plane, patient.lesion, Silent())
    assert found.region is None
    assert "homogeneous normal-appearing white matter" in found.warnings[0]
    everywhere = patient.cbv.positions(np.argwhere(patient.brain.array > 0))
    one_side = everywhere[[patient.plane.side(place) < 40 for place in everywhere]]
    assert patient.suggest(lesion=one_side).region is None
