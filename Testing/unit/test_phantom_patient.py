"""Whole simulated patients: contrasts, CBV, labels, geometry, independence."""

from functools import cache

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from HierSynthLib.case import SEQUENCES, Role, examine
from HierSynthLib.errors import InputError
from HierSynthLib.phantom import make_phantom, patient
from HierSynthLib.phantom.make import drawn_thick
from HierSynthLib.phantom.signal import PROTOCOLS, inversion_recovery, spin_echo

OUTPUTS = {*SEQUENCES, Role.CBV_TRUE, Role.ROI, Role.BRAIN}


@cache
def phantom(seed=1, grade="high", **options):
    """A small simulated patient without its DSC series; cached, so do not change its arrays."""
    return make_phantom(seed, grade, "small", dsc=False, **options)


def quiet(seed=1, grade="high", misalignment=False):
    """Without noise and bias, where values can be compared with equations."""
    return phantom(seed, grade, noise=False, misalignment=misalignment)


def pure(p, tissue, share=0.98):
    """Voxels of one healthy tissue without vessels."""
    inside = (p.truth[tissue] > share) & (p.truth["vessel"] < 0.002)
    assert inside.sum() > 100
    return inside


def at_points(volume, ras, blur=0.0):
    """Values at RAS points (n, 3), blurred by `blur` voxels, through nibabel's affine algebra."""
    voxels = apply_affine(np.linalg.inv(volume.affine), ras)
    values = ndimage.gaussian_filter(volume.array.astype(float), blur)
    return ndimage.map_coordinates(values, voxels.T, order=1)


@pytest.mark.parametrize(("seed", "grade"), [(1, "high"), (2, "low"), (3, "none")])
def test_every_grade_has_all_volumes_and_its_labels(seed, grade):
    p = phantom(seed, grade)
    assert set(p.volumes) == OUTPUTS
    expected = {"high": {1, 2, 3, 4}, "low": {4, 5}, "none": {4}}[grade]
    roi = p.volumes[Role.ROI].array
    assert set(np.unique(roi)) == expected | {0}
    assert set(p.labels) == expected
    assert p.labels[4] == "NAWM reference"


def test_nothing_is_wrong_with_a_phantom():
    p = phantom(1, "high")
    problems = examine({role: volume for role, volume in p.volumes.items() if role is not Role.BRAIN})
    assert [problem for problem in problems if problem.severity == "error"] == []


@pytest.mark.parametrize("tissue", ["grey_matter", "white_matter"])
def test_pure_tissue_has_the_signal_of_the_equation(tissue):
    p = quiet()
    own = p.facts["tissues"][tissue]
    white = p.facts["tissues"]["white_matter"]
    equations = {
        Role.T1: lambda t: spin_echo(t["PD"], t["T1"], t["T2"], TR=600, TE=10),
        Role.T2: lambda t: spin_echo(t["PD"], t["T1"], t["T2"], TR=5000, TE=100),
        Role.FLAIR: lambda t: inversion_recovery(t["PD"], t["T1"], t["T2"], TR=9000, TE=120, TI=2500),
    }
    for role, equation in equations.items():
        level = p.facts["sequences"][role.value]["white_matter_level"]
        measured = p.volumes[role].array[pure(p, tissue)].mean()
        assert measured == pytest.approx(level * equation(own) / equation(white), rel=0.03), role
    assert p.volumes[Role.ADC].array[pure(p, tissue)].mean() == pytest.approx(own["ADC"], rel=0.02)
    assert p.facts["sequences"]["T1"]["TR_ms"] == PROTOCOLS["T1"].TR == 600


def test_contrasts_are_those_of_the_sequences():
    p = phantom(misalignment=False)
    grey, white = pure(p, "grey_matter", 0.9), pure(p, "white_matter", 0.9)
    fluid = (p.truth["csf"] > 0.95) & (p.truth["vessel"] < 0.01)
    mean = {
        role: {n: p.volumes[role].array[m].mean() for n, m in (("grey", grey), ("white", white), ("fluid", fluid))}
        for role in SEQUENCES
    }
    assert mean[Role.T1]["white"] > mean[Role.T1]["grey"] > mean[Role.T1]["fluid"]
    assert mean[Role.T2]["fluid"] > mean[Role.T2]["grey"] > mean[Role.T2]["white"]
    assert mean[Role.FLAIR]["grey"] > mean[Role.FLAIR]["white"] > 2 * mean[Role.FLAIR]["fluid"]
    assert mean[Role.ADC]["fluid"] == pytest.approx(3.0, abs=0.4)


def test_grey_matter_holds_about_twice_the_blood_of_white_matter():
    ratios = []
    for seed, grade in ((1, "high"), (2, "low"), (3, "none")):
        p = phantom(seed, grade)
        cbv = p.volumes[Role.CBV_TRUE].array
        ratios.append(cbv[pure(p, "grey_matter", 0.9)].mean() / cbv[pure(p, "white_matter", 0.9)].mean())
    assert np.mean(ratios) == pytest.approx(2.0, abs=0.25)
    assert min(ratios) > 1.5


@pytest.mark.parametrize(("seed", "grade"), [(1, "high"), (2, "low"), (3, "none")])
def test_normalised_cbv_is_one_in_the_reference(seed, grade):
    p = phantom(seed, grade)
    reference = p.volumes[Role.ROI].array == 4
    assert p.volumes[Role.CBV_TRUE].array[reference].mean() == pytest.approx(1, abs=1e-3)
    assert p.truth["white_matter"][reference].min() > 0.9
    assert 1.2 < p.facts["nawm"]["mean_cbv_ml_per_100g"] < 3.2


@pytest.mark.parametrize(("seed", "grade"), [(1, "high"), (2, "low")])
def test_lesion_lies_in_the_brain_opposite_the_reference(seed, grade):
    p = phantom(seed, grade)
    roi, brain = p.volumes[Role.ROI], p.volumes[Role.BRAIN]
    lesion = np.isin(roi.array, [1, 2, 5])
    assert brain.array[lesion].min() == 1
    frame = np.linalg.inv(roi.affine)
    middle = (np.array(roi.array.shape) - 1) / 2

    def sideways(mask):
        return (np.argwhere(mask).mean(axis=0) - middle)[0]

    assert np.sign(sideways(lesion)) == -np.sign(sideways(roi.array == 4))
    assert (sideways(lesion) > 0) == (p.facts["lesion"]["side"] == "right")
    centre = apply_affine(frame, np.array(p.facts["lesion"]["centre_ras_mm"]))
    assert np.linalg.norm(np.argwhere(lesion).mean(axis=0) - centre) * 3 < 8


def test_lesion_parts_have_their_blood_volume():
    p = phantom(misalignment=False)
    cbv, roi = p.volumes[Role.CBV_TRUE].array, p.volumes[Role.ROI].array
    clear = p.truth["vessel"] < 0.01
    mean = {label: cbv[(roi == label) & clear].mean() for label in (1, 2, 3)}
    assert mean[1] > 2.0
    assert mean[2] < 0.5 * mean[1]
    assert mean[1] > 2 * mean[3]
    flair = p.volumes[Role.FLAIR].array
    assert flair[roi == 3].mean() > 1.3 * flair[roi == 4].mean()


def test_grade_changes_the_lesion_and_not_the_person():
    high, none = quiet(1, "high"), quiet(1, "none")
    assert high.facts["tissues"] == none.facts["tissues"]
    far = ndimage.distance_transform_edt(~np.isin(high.volumes[Role.ROI].array, [1, 2, 3])) * 3 > 45
    difference = np.abs(high.volumes[Role.T2].array[far].astype(float) - none.volumes[Role.T2].array[far])
    assert np.median(difference) == 0
    assert np.mean(difference > 20) < 0.05


def _explained(target, images):
    """Share of the variance of `target` that a linear model of the images, their squares and products explains."""
    columns = [np.ones(target.size), *images, *(a * b for i, a in enumerate(images) for b in images[: i + 1])]
    design = np.stack(columns, axis=1)
    residual = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return 1 - residual.var() / target.var()


def test_heterogeneity_of_cbv_cannot_be_read_from_the_structural_images():
    for tissue in ("grey_matter", "white_matter"):
        correlations, explained, blood = [], [], []
        for seed in (1, 2):
            p = quiet(seed)
            inside = pure(p, tissue, 0.95)
            factor = p.truth["cbv_heterogeneity"][inside]
            images = [p.volumes[role].array[inside].astype(float) for role in SEQUENCES]
            correlations.append([np.corrcoef(factor, image)[0, 1] for image in images])
            explained.append(_explained(factor, [(image - image.mean()) / image.std() for image in images]))
            blood.append(np.corrcoef(factor, np.log(p.volumes[Role.CBV_TRUE].array[inside]))[0, 1])
        assert np.abs(np.mean(correlations, axis=0)).max() < 0.12, tissue
        assert np.mean(explained) < 0.05, tissue
        assert np.min(blood) > 0.9, tissue  # and it is what makes CBV vary within a tissue


def test_no_structural_image_depends_on_the_heterogeneity_of_cbv(monkeypatch):
    before = quiet(1)
    drawn = patient.stream
    monkeypatch.setattr(patient, "stream", lambda seed, name: drawn(seed + 100 * (name == "blood volume"), name))
    after = make_phantom(1, "high", "small", noise=False, misalignment=False, dsc=False)
    for role in (*SEQUENCES, Role.ROI):
        np.testing.assert_array_equal(after.volumes[role].array, before.volumes[role].array)
    rim = before.volumes[Role.ROI].array == 1
    cbv = [p.volumes[Role.CBV_TRUE].array[rim] for p in (before, after)]
    assert np.mean(np.abs(cbv[0] / cbv[1] - 1)) > 0.1


def test_a_part_of_cbv_can_be_read_from_the_structural_images():
    p = quiet(1, "none")
    inside = (p.volumes[Role.BRAIN].array == 1) & (p.truth["vessel"] < 0.002)
    images = [p.volumes[role].array[inside].astype(float) for role in SEQUENCES]
    assert _explained(p.volumes[Role.CBV_TRUE].array[inside], images) > 0.4


@pytest.mark.parametrize("role", [Role.T2, Role.FLAIR])
def test_true_transforms_say_where_every_point_went(role):
    still, moved = quiet(1), quiet(1, misalignment=True)
    transform = np.array(moved.facts["transforms"][role.value])
    np.testing.assert_allclose(transform[:3, :3] @ transform[:3, :3].T, np.eye(3), atol=1e-6)
    assert np.linalg.norm(transform - np.eye(4)) > 0.2
    voxels = np.argwhere(still.volumes[Role.BRAIN].array == 1)
    ras = apply_affine(still.volumes[role].affine, voxels)
    # Blurred, so that interpolation on two grids does not count.
    before = at_points(still.volumes[role], ras, 1.0)
    found = np.corrcoef(before, at_points(moved.volumes[role], apply_affine(transform, ras), 1.0))[0, 1]
    missed = np.corrcoef(before, at_points(moved.volumes[role], ras, 1.0))[0, 1]
    backwards = np.corrcoef(before, at_points(moved.volumes[role], apply_affine(np.linalg.inv(transform), ras), 1.0))
    assert found > 0.985
    assert found > missed + 0.01 > backwards[0, 1]


def test_without_misalignment_all_sequences_share_the_reference_grid():
    p = phantom(misalignment=False)
    for role in (*SEQUENCES, Role.ROI, Role.BRAIN):
        assert p.volumes[role].same_grid(p.volumes[Role.CBV_TRUE])
    assert p.facts["transforms"]["T2"] == np.eye(4).tolist()
    moved = phantom()
    assert not moved.volumes[Role.T2].same_grid(moved.volumes[Role.T1])
    assert moved.volumes[Role.T1].same_grid(moved.volumes[Role.CBV_TRUE])


def test_grids_are_oblique_and_differ_between_people():
    directions = [p.volumes[Role.T1].direction for p in (phantom(1), phantom(2, "low"), phantom(3, "none"))]
    for direction in directions:
        assert np.abs(direction - np.eye(3)).max() > 0.01
        np.testing.assert_allclose(direction @ direction.T, np.eye(3), atol=1e-9)
    assert np.abs(directions[0] - directions[1]).max() > 0.01


def test_the_same_seed_is_the_same_person_at_every_spacing():
    small, finer = quiet(1), make_phantom(1, "high", spacing_mm=2.0, noise=False, misalignment=False, dsc=False)
    assert small.facts["lesion"] == finer.facts["lesion"]
    centres = {}
    for name, p in (("small", small), ("finer", finer)):
        roi, brain = p.volumes[Role.ROI], p.volumes[Role.BRAIN]
        centres[name] = [
            apply_affine(roi.affine, np.argwhere(np.isin(roi.array, [1, 2])).mean(axis=0)),
            apply_affine(brain.affine, np.argwhere(brain.array == 1).mean(axis=0)),
        ]
        centres[name].append(np.array([(brain.array == 1).sum() * np.prod(brain.spacing) / 1e6] * 3))
    assert np.abs(centres["small"][0] - centres["finer"][0]).max() < 1.0
    assert np.abs(centres["small"][1] - centres["finer"][1]).max() < 0.5
    assert centres["small"][2] == pytest.approx(centres["finer"][2], rel=0.03)
    ras = apply_affine(small.volumes[Role.T1].affine, np.argwhere(small.volumes[Role.BRAIN].array == 1))
    levels = [at_points(p.volumes[Role.T1], ras) for p in (small, finer)]
    assert np.corrcoef(*levels)[0, 1] > 0.9


def test_thick_slices_are_thick_and_cover_the_head():
    p = phantom(1, thick_slices=True)
    assert p.facts["thick_slices"] is True
    for role in (Role.T2, Role.FLAIR, Role.ADC):
        assert p.volumes[role].spacing == pytest.approx([3, 3, 5])
        assert p.volumes[role].array.shape[2] * 5 >= 190
    assert p.volumes[Role.T1].spacing == pytest.approx([3, 3, 3])


def test_thick_slices_can_be_drawn_from_the_seed():
    assert np.mean([drawn_thick(seed) for seed in range(2000)]) == pytest.approx(0.3, abs=0.03)
    seed = next(s for s in range(50) if drawn_thick(s))
    assert make_phantom(seed, "none", spacing_mm=6, thick_slices=None, dsc=False).facts["thick_slices"] is True


def test_noise_has_the_stated_strength():
    noisy, still = phantom(misalignment=False), quiet(1)
    for role in (Role.T1, Role.T2, Role.FLAIR):
        settings = noisy.facts["sequences"][role.value]
        sigma = settings["white_matter_level"] / settings["snr_white_matter"]
        air = still.volumes[role].array == 0
        air = ndimage.binary_erosion(air, iterations=2)
        assert air.sum() > 5000
        background = noisy.volumes[role].array[air].astype(float)
        assert np.sqrt(np.mean(background**2) / 2) == pytest.approx(sigma, rel=0.12)  # bias does not change noise


def test_head_surrounds_the_brain():
    p = quiet(1, "none")
    t1, brain = p.volumes[Role.T1].array.astype(float), p.volumes[Role.BRAIN].array == 1
    assert 1.2 < brain.sum() * 27 / 1e6 < 2.0  # litres
    distance = ndimage.distance_transform_edt(~brain) * 3
    upper = np.arange(brain.shape[2]) > np.argwhere(brain)[:, 2].mean()
    t2 = p.volumes[Role.T2].array.astype(float)  # on which CSF is bright and only bone dark
    skull = np.percentile(t2[(distance > 3) & (distance < 9) & upper], 20)
    scalp = np.percentile(t1[(distance > 9) & (distance < 18) & upper], 90)
    inside = t1[brain].mean()
    assert skull < 0.5 * t2[brain].mean()
    assert scalp > 1.3 * inside
    assert p.volumes[Role.ADC].array[(distance > 40) & upper].max() == 0


def test_vessels_are_full_of_blood():
    p = quiet(1, "none")
    full = p.truth["vessel"] > 0.9
    assert full.sum() > 5
    cbv = p.volumes[Role.CBV_TRUE].array[full] * p.facts["nawm"]["mean_cbv_ml_per_100g"]
    assert cbv.min() > 90
    assert cbv.max() <= 100.1


def test_values_are_quantised():
    p = phantom()
    for role in (Role.CBV_TRUE, Role.ADC):
        values = p.volumes[role].array
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, np.round(values.astype(float), 3).astype(np.float32))
    assert p.volumes[Role.T1].array.dtype == np.int16
    assert p.volumes[Role.ADC].units == "10⁻³ mm²/s"
    assert p.volumes[Role.CBV_TRUE].units == "nrCBV"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed -1"),
        ({"seed": 1.5}, "seed 1.5"),
        ({"seed": 1, "grade": "medium"}, "'medium'"),
        ({"seed": 1, "size": "huge"}, "'huge'"),
        ({"seed": 1, "spacing_mm": 0.1}, "0.1 mm"),
        ({"seed": 1, "spacing_mm": float("nan")}, "nan mm"),
        ({"seed": 1, "anatomy": "mouse"}, "'mouse'"),
    ],
)
def test_bad_arguments_are_explained(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        make_phantom(**arguments)
    assert caught.value.hint
