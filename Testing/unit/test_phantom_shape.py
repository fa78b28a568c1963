"""The phantom's shapes: deformation, anatomy, lesions."""

import importlib.util
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from HierSynthLib.errors import InputError
from HierSynthLib.phantom import anatomy as anatomy_module
from HierSynthLib.phantom.anatomy import load_anatomy
from HierSynthLib.phantom.deformation import LATTICE_MM, random_deformation, rotation
from HierSynthLib.phantom.fields import isotropic_axes, lattice_axes, stream
from HierSynthLib.phantom.lesion import Lesion, infiltrate, plan_lesion


def deformation(seed):
    return random_deformation(stream(seed, "shape"))


def jacobian(shape, points, step=0.25):
    """Determinants of the derivative by central differences, independent of the lattice."""
    columns = []
    for axis in range(3):
        shift = np.zeros((3, 1))
        shift[axis] = step
        columns.append((shape.to_template(points + shift) - shape.to_template(points - shift)) / (2 * step))
    return np.linalg.det(np.stack(columns, axis=-1).transpose(1, 0, 2))


@pytest.mark.parametrize("seed", [0, 1, 2, 17])
def test_deformation_is_invertible_everywhere(seed):
    shape = deformation(seed)
    points = np.random.default_rng(seed).uniform(-85, 85, (3, 20_000))
    assert jacobian(shape, points).min() > 0.05


def test_mass_effect_keeps_the_deformation_invertible_and_pushes_outwards():
    shape = deformation(4)
    centre, radius = np.array([20.0, 10.0, 5.0]), 14.0
    free = np.zeros(lattice_axes(LATTICE_MM).points().shape[1])
    pushed = shape.pushed_away_from(centre, radius, 0.5, free)
    points = np.random.default_rng(0).uniform(-60, 60, (3, 20_000))
    assert jacobian(pushed, points).min() > 0.05
    assert jacobian(shape.pushed_away_from(centre, radius, 2.5, free), points).min() > 0.05  # too strong: lowered
    # A point at the border of the lesion now shows tissue that used to lie nearer to the centre.
    border = centre[:, None] + np.array([[radius], [0], [0]])
    origin = shape.to_frame(pushed.to_template(border))
    assert np.linalg.norm(origin[:, 0] - centre) < radius - 2
    held = shape.pushed_away_from(centre, radius, 0.5, free + 1)
    np.testing.assert_allclose(held.to_template(points), shape.to_template(points), atol=1e-6)


def test_inverse_returns_to_the_start():
    shape = deformation(3)
    points = np.random.default_rng(1).uniform(-70, 70, (3, 2000))
    there = shape.to_template(points)
    assert np.abs(shape.to_frame(there, iterations=60) - points).max() < 1e-3
    assert np.abs(shape.to_frame(there) - points).max() < 0.5


def test_grid_and_points_agree():
    shape, axes = deformation(3), isotropic_axes(12.0)
    grid = np.stack([c.ravel() for c in shape.grid_to_template(axes)])
    np.testing.assert_allclose(grid, shape.to_template(axes.points()), atol=1e-9)


@pytest.mark.parametrize("seed", [0, 5])
def test_warp_is_asymmetric_and_several_millimetres(seed):
    u = np.stack([spline.on(isotropic_axes(6.0)) for spline in deformation(seed).displacement])
    mirrored = u[:, ::-1] * np.array([-1, 1, 1])[:, None, None, None]
    assert np.sqrt(np.mean(np.sum((u - mirrored) ** 2, axis=0))) > 2.0
    size = np.linalg.norm(u, axis=0)
    assert 2 < np.percentile(size, 95) < 14


def test_no_two_seeds_share_a_shape():
    points = np.random.default_rng(0).uniform(-60, 60, (3, 500))
    shapes = [deformation(seed) for seed in range(6)]
    # Compared after removing pose and size: the displacement fields themselves differ.
    fields = [np.stack([u.at(points) for u in shape.displacement]) for shape in shapes]
    for a in range(6):
        for b in range(a):
            assert np.sqrt(np.mean((fields[a] - fields[b]) ** 2)) > 1.0


@settings(deadline=None)
@given(angles=st.tuples(*[st.floats(-3, 3)] * 3))
def test_rotation_agrees_with_scipy(angles):
    np.testing.assert_allclose(rotation(np.array(angles)), Rotation.from_euler("xyz", angles).as_matrix(), atol=1e-12)


@pytest.mark.parametrize("source", ["mni152", "procedural"])
def test_anatomy_has_the_parts_of_a_head(source):
    anatomy = load_anatomy(source)
    at = {
        "white": anatomy.white.at(np.array([[26.0], [-5.0], [32.0]]))[0],
        "ventricle": anatomy.white.at(np.array([[9.0], [-2.0], [20.0]]))[0]
        + anatomy.grey.at(np.array([[9.0], [-2.0], [20.0]]))[0],
        "thalamus": anatomy.grey.at(np.array([[12.0], [-18.0], [7.0]]))[0],
        "air": anatomy.brain.at(np.array([[0.0], [0.0], [110.0]]))[0],
    }
    assert at["white"] > 0.8
    assert at["ventricle"] < 0.5
    assert at["thalamus"] > 0.4
    assert at["air"] == 0
    assert anatomy.hull.at(np.array([[30.0], [0.0], [30.0]]), "nearest")[0] < -10
    assert anatomy.hull.at(np.array([[0.0], [0.0], [110.0]]), "nearest")[0] > 15
    total = anatomy.grey.values + anatomy.white.values
    assert total.max() <= 1 + 1e-6
    litres = anatomy.brain.values.sum() * anatomy.brain.step**3 / 1e6
    assert 1.0 < litres < 2.2


def test_maps_agree_with_nibabel():
    folder = Path(importlib.util.find_spec("nilearn").origin).parent / "datasets" / "data"
    image = nibabel.load(folder / "mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz")
    voxels = np.random.default_rng(0).integers(30, 150, (3, 200))
    ras = nibabel.affines.apply_affine(image.affine, voxels.T).T
    expected = np.asarray(image.dataobj)[tuple(voxels)] / 255
    np.testing.assert_allclose(load_anatomy("mni152").grey.at(ras), expected, atol=1e-6)


def test_without_nilearn_the_procedural_head_stands_in(monkeypatch):
    monkeypatch.setattr(anatomy_module.importlib.util, "find_spec", lambda name: None)
    assert load_anatomy("auto").name == "procedural head"
    with pytest.raises(InputError, match="absent"):
        load_anatomy("mni152")
    with pytest.raises(InputError, match="'mouse' is unknown"):
        load_anatomy("mouse")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_lesions_are_planned_inside_the_cerebrum(seed):
    anatomy = load_anatomy()
    plan = plan_lesion(anatomy, "high", seed)
    assert anatomy.hull.at(plan.template_centre[:, None], "nearest")[0] < -10
    assert anatomy.white.at(plan.template_centre[:, None])[0] > 0.5
    assert plan.side == np.sign(plan.template_centre[0])
    assert 12 <= 2 * plan.radius <= 45
    assert 1 <= plan.hotspots.shape[1] <= 4
    low = plan_lesion(anatomy, "low", seed)
    np.testing.assert_array_equal(low.template_centre, plan.template_centre)
    assert np.linalg.det(plan.stretch) == pytest.approx(1)


def test_lesions_lie_on_both_sides_and_differ_in_size():
    plans = [plan_lesion(load_anatomy(), "high", seed) for seed in range(30)]
    assert {plan.side for plan in plans} == {-1, 1}
    assert np.std([plan.radius for plan in plans]) > 2


def test_high_grade_lesion_has_core_rim_and_oedema_from_inside_out():
    seed = next(s for s in range(50) if plan_lesion(load_anatomy(), "high", s).necrotic > 0)
    plan = plan_lesion(load_anatomy(), "high", seed)
    lesion = Lesion.drawn(plan, np.zeros(3), seed)
    axes = isotropic_axes(2.0)
    parts, hot = lesion.shape(axes)
    distance = np.sqrt(np.sum((plan.stretch @ axes.points()) ** 2, axis=0)).reshape(axes.shape)
    mean = {name: np.average(distance, weights=values) for name, values in parts.items()}
    assert mean["necrosis"] < mean["enhancing"] < mean["oedema"]
    assert (parts["enhancing"] + parts["necrosis"]).max() <= 1 + 1e-9
    assert hot.max() > 0.5
    edge = np.linalg.norm(axes.points(), axis=0).reshape(axes.shape) > lesion.reach
    assert all(values[edge].max() == 0 for values in parts.values())


@settings(deadline=None)
@given(
    shares=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    core=st.floats(0, 1),
    necrosis=st.floats(0, 1),
    oedema=st.floats(0, 1),
    low=st.booleans(),
)
def test_infiltration_replaces_tissue_and_keeps_the_sum(shares, core, necrosis, oedema, low):
    healthy = {n: np.array([s / 3]) for n, s in zip(("grey_matter", "white_matter", "csf"), shares, strict=True)}
    rest = np.array([1 - necrosis])
    wishes = {"enhancing": core * rest, "necrosis": np.array([necrosis]), "oedema": np.array([oedema])}
    result = infiltrate(healthy, {"low_grade": np.array([core])} if low else wishes)
    assert sum(v[0] for v in result.values()) == pytest.approx(sum(shares) / 3)
    assert min(v[0] for v in result.values()) >= -1e-12
