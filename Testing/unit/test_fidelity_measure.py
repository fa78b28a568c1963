"""Measuring whole cases: what is measured where, bad input in words, and what is kept."""

import json

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.metrics import structural_similarity

from HierSynthLib.errors import Cancelled, InputError
from HierSynthLib.fidelity.measures.definitions import ids
from HierSynthLib.fidelity.measures.gridded import MapInput, put_on_grid
from HierSynthLib.fidelity.measures.measure import Measurer
from HierSynthLib.fidelity.measures.settings import Settings
from HierSynthLib.fidelity.regions.shapes import Box, Region, Sphere
from HierSynthLib.preparation.grid import Grid
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume
from Testing.analytic_head import places, turned

SHAPE = (44, 40, 36)
AFFINE = turned((1.5, 1.5, 2.0), SHAPE, angles_deg=(5, -8, 12), centre=(4, -6, 20))
MIDDLE = np.array([4.0, -6.0, 20.0])


def smooth(seed, sigma=1.5):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), sigma)
    return field / field.std()


def ball(name, offset, radius, role="lesion", source=""):
    return Region(name, role, (Sphere(MIDDLE + offset, float(radius)),), source)


LESION = ball("Lesion", (5, 3, -2), 14)
NAWM = ball("NAWM", (-15, 8, 5), 6, "reference", "three spheres")


def inside(region):
    shape = region.shapes[0]
    return np.linalg.norm(places(AFFINE, SHAPE) - shape.centre, axis=-1) <= shape.radius_mm


def normalised(field):
    return (field / field[inside(NAWM)].mean()).astype(np.float32)


TRUE = normalised(np.exp(0.5 * smooth(1)))
OTHER = normalised(TRUE * (1 + 0.15 * smooth(2)))


def image(array, affine=AFFINE, units="nrCBV"):
    return Volume(np.asarray(array, np.float32), affine, units)


def pair(synthetic=TRUE, acquired=OTHER):
    return [MapInput("synthetic", "synthetic", image(synthetic)), MapInput("acquired", "acquired", image(acquired))]


def brain():
    return Volume((np.linalg.norm(places(AFFINE, SHAPE) - MIDDLE, axis=-1) < 28).astype(np.uint8), AFFINE)


def row(rows, **wanted):
    return next(each for each in rows if all(each[key] == value for key, value in wanted.items()))


@pytest.fixture(scope="module")
def found():
    uncertainty = np.abs(OTHER - TRUE) * np.exp(0.5 * smooth(3))
    maps = [
        *pair(),
        MapInput("uncertainty", "uncertainty", image(uncertainty), of="synthetic"),
        MapInput("ADC", "other", image(0.8 + 0.1 * smooth(4), units="10⁻³ mm²/s")),
    ]
    return Measurer(maps, brain()).measure([LESION, NAWM]).to_json()


def test_everything_is_listed_and_goes_into_json(found):
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [region["name"] for region in found["regions"]] == ["Lesion", "NAWM", "Whole brain"]
    assert [region["role"] for region in found["regions"]] == ["lesion", "reference", "brain"]
    assert len(found["intensity"]) == 3 * 4
    assert len(found["agreement"]) == len(found["words"]) == 3
    assert set(found["plots"]) == {"Lesion", "NAWM", "Whole brain"}
    for each in found["intensity"]:
        assert list(each["values"]) == [*ids("intensity"), *ids("texture")]
    for each in found["agreement"]:
        assert list(each["values"]) == list(ids("agreement"))
    assert found["warnings"] == []


def test_intensity_is_that_of_the_voxels_inside(found):
    values = TRUE[inside(LESION)].astype(float)
    got = row(found["intensity"], region="Lesion", map="synthetic")["values"]
    assert got["voxels"] == len(values)
    assert got["volume_ml"] == pytest.approx(len(values) * 4.5 / 1000)
    assert got["mean"] == pytest.approx(values.mean())
    assert got["sd"] == pytest.approx(values.std(ddof=1))
    assert got["p95"] == pytest.approx(np.percentile(values, 95))
    assert got["fraction_above_1.75"] == pytest.approx((values > 1.75).mean())
    assert got["ratio_to_nawm"] == pytest.approx(values.mean() / TRUE[inside(NAWM)].mean(dtype=float))
    assert got["mean"] < got["hotspot_mean"] < got["max"]
    assert got["ibsi_stat_mean"] == got["mean"]
    region = row(found["regions"], name="Lesion")
    assert region["centre"] == pytest.approx(LESION.shapes[0].centre, abs=0.2)
    assert region["voxels"] == len(values)


def test_agreement_is_that_of_the_voxels_inside(found):
    where = inside(LESION)
    x, y = TRUE[where].astype(float), OTHER[where].astype(float)
    got = row(found["agreement"], region="Lesion")["values"]
    full = structural_similarity(
        TRUE.astype(float),
        OTHER.astype(float),
        data_range=6.0,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )[1]
    assert got["ssim"] == pytest.approx(full[where].mean(), abs=1e-5)
    box = ndimage.find_objects(where.astype(int))[0]
    expected = structural_similarity(
        TRUE[box].astype(float),
        OTHER[box].astype(float),
        data_range=6.0,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    assert got["ssim_box"] == pytest.approx(expected, abs=1e-5)
    assert got["bias"] == pytest.approx((x - y).mean(), abs=1e-6)
    assert got["pearson_r"] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
    assert got["pearson_low"] < got["pearson_r"] < got["pearson_high"]
    assert 3 < got["effective_n"] < len(x) / 5
    first, second = x > 1.75, y > 1.75
    assert got["hotspot_dice"] == pytest.approx(2 * (first & second).sum() / (first.sum() + second.sum()))
    assert got["hotspot_hd95_mm"] >= 0
    assert got["uncertainty_error_r"] > 0.5


def test_the_reference_and_its_levels_are_stated(found):
    reference = found["reference"]
    assert (reference["name"], reference["source"]) == ("NAWM", "three spheres")
    assert reference["voxels"] == inside(NAWM).sum()
    assert reference["means"]["synthetic"] == pytest.approx(TRUE[inside(NAWM)].mean(dtype=float))
    assert found["normalisation"]["acquired"]["applied"] is False
    assert row(found["intensity"], region="NAWM", map="ADC")["values"]["ratio_to_nawm"] == pytest.approx(1)


def test_only_cbv_maps_have_levels_and_thresholds(found):
    adc = row(found["intensity"], region="Lesion", map="ADC")
    assert adc["units"] == "10⁻³ mm²/s"
    assert adc["values"]["mean"] is not None
    for name in ("entropy", "fraction_above_1.0", "ibsi_cm_contrast"):
        assert adc["values"][name] is None
    assert any("nrCBV only" in note for note in adc["notes"])
    assert row(found["intensity"], region="Lesion", map="uncertainty")["values"]["ratio_to_nawm"] is None


def test_the_whole_brain_has_no_hotspot(found):
    got = row(found["intensity"], region="Whole brain", map="synthetic")["values"]
    assert got["hotspot_mean"] is None
    assert got["voxels"] == brain().array.sum()
    got = row(found["agreement"], region="Whole brain")["values"]
    assert got["hotspot_hd95_mm"] is None
    assert got["hotspot_dice"] is not None


def test_plots_hold_the_voxels(found):
    plot = found["plots"]["Whole brain"][0]
    assert len(plot["histogram"]["edges"]) == len(plot["histogram"]["synthetic"]) + 1
    voxels = int(brain().array.sum())
    assert sum(plot["histogram"]["synthetic"]) == sum(plot["histogram"]["acquired"]) == voxels
    assert len(plot["scatter"]["synthetic"]) == len(plot["bland_altman"]["mean"]) == 2000
    small = found["plots"]["NAWM"][0]
    np.testing.assert_allclose(small["scatter"]["acquired"], OTHER[inside(NAWM)], atol=6e-4)
    difference = np.subtract(small["scatter"]["synthetic"], small["scatter"]["acquired"])
    np.testing.assert_allclose(small["bland_altman"]["difference"], difference, atol=2e-3)
    values = row(found["agreement"], region="NAWM")["values"]
    assert small["bland_altman"]["lower"] == pytest.approx(values["ba_lower"])
    assert small["bland_altman"]["bias"] == pytest.approx(values["bias"])


def test_the_sentence_is_about_the_hotspot(found):
    words = row(found["words"], region="Lesion")
    hot = [
        row(found["intensity"], region="Lesion", map=name)["values"]["hotspot_mean"]
        for name in ("synthetic", "acquired")
    ]
    percent = round(100 * abs(hot[0] / hot[1] - 1))
    assert f"the hotspot by {percent} %" in words["text"]
    assert row(found["words"], region="NAWM")["level"] == "none"


# Bad input.


def measured(maps, regions, **settings):
    return Measurer(maps, None, Settings(**settings)).measure(regions).to_json()


def test_a_region_outside_the_maps_is_empty_and_said_so():
    found = measured(pair(), [ball("Far", (300, 0, 0), 5), LESION])
    assert row(found["regions"], name="Far")["voxels"] == 0
    assert row(found["regions"], name="Far")["centre"] is None
    assert "outside" in row(found["regions"], name="Far")["notes"][0]
    values = row(found["intensity"], region="Far", map="synthetic")["values"]
    assert values["voxels"] == values["volume_ml"] == 0
    assert {value for key, value in values.items() if key not in ("voxels", "volume_ml", "invalid_voxels")} == {None}
    assert set(row(found["agreement"], region="Far")["values"].values()) == {None}
    assert row(found["words"], region="Far")["level"] == "none"
    assert "The region Far has no voxels in the maps." in found["warnings"]
    assert found["plots"]["Far"][0]["scatter"]["synthetic"] == []
    json.dumps(found, allow_nan=False)


def test_a_single_voxel_has_a_mean_but_no_spread():
    found = measured(pair(), [ball("Dot", (0, 0, 0), 0.3)])
    row_ = row(found["intensity"], region="Dot", map="synthetic")
    assert row_["values"]["voxels"] == 1
    assert row_["values"]["mean"] is not None
    for name in ("sd", "cv", "hotspot_mean", "ibsi_stat_var", "ibsi_cm_contrast"):
        assert row_["values"][name] is None
    assert any("single voxel" in note for note in row_["notes"])
    agreement = row(found["agreement"], region="Dot")
    assert agreement["values"]["bias"] is not None
    assert agreement["values"]["pearson_r"] is None
    assert any("three voxels" in note for note in agreement["notes"])


def test_a_constant_map_has_no_correlation():
    found = measured(pair(synthetic=np.full(SHAPE, 1.3)), [LESION])
    agreement = row(found["agreement"], region="Lesion")
    assert agreement["values"]["pearson_r"] is None
    assert agreement["values"]["ccc"] == 0
    assert -1 <= agreement["values"]["ssim"] < 1
    assert any("The synthetic map is constant here" in note for note in agreement["notes"])
    assert row(found["intensity"], map="synthetic")["values"]["sd"] == pytest.approx(0, abs=1e-9)
    json.dumps(found, allow_nan=False)


def test_voxels_without_a_value_are_left_out_and_counted():
    holed = OTHER.copy()
    gap = inside(LESION) & (np.indices(SHAPE)[0] > 24)
    holed[gap] = np.nan
    holed[tuple(np.argwhere(inside(LESION))[0])] = np.inf
    found = measured(pair(acquired=holed), [LESION])
    left = inside(LESION) & np.isfinite(holed)
    assert row(found["maps"], name="acquired")["invalid_voxels"] == gap.sum() + 1
    intensity = row(found["intensity"], map="acquired")
    assert intensity["values"]["invalid_voxels"] == gap.sum() + 1
    assert intensity["values"]["mean"] == pytest.approx(holed[left].mean(dtype=float))
    agreement = row(found["agreement"], region="Lesion")
    assert agreement["values"]["bias"] == pytest.approx((TRUE - holed)[left].mean(dtype=float), abs=1e-6)
    assert any(f"{gap.sum() + 1} voxels" in note for note in agreement["notes"])
    assert any("NaN or infinite" in sentence for sentence in found["warnings"])
    json.dumps(found, allow_nan=False)


def test_overlapping_regions_are_named_with_their_share():
    small = ball("Core", (5, 3, -2), 7)
    spot = ball("Hotspot 1", (5, 3, -2), 3, "hotspot")
    warnings = measured(pair(), [LESION, small, spot])["warnings"]
    assert any("Lesion and Core overlap: they share 100 %" in sentence for sentence in warnings)
    assert not any("Hotspot" in sentence for sentence in warnings)
    spots = [ball(f"Hotspot {n}", (5 + 2 * n, 3, -2), 3, "hotspot") for n in (1, 2, 3)]
    (sentence,) = (each for each in measured(pair(), [LESION, *spots])["warnings"] if "overlap" in each)
    assert "Hotspot 1 and Hotspot 2 (" in sentence
    assert "Hotspot 2 and Hotspot 3 (" in sentence
    half = Region("Half", "lesion", (Box(MIDDLE + np.array([5, 3, 18]), np.eye(3), np.array([40.0, 40, 40])),))
    warnings = measured(pair(), [LESION, half])["warnings"]
    assert any(
        "share" in sentence and ("49 %" in sentence or "50 %" in sentence or "51 %" in sentence)
        for sentence in warnings
    )


def test_without_an_acquired_map_only_intensity_is_measured():
    found = Measurer(pair()[:1], brain()).measure([LESION]).to_json()
    assert found["agreement"] == found["words"] == []
    assert found["plots"] == {"Lesion": [], "Whole brain": []}
    assert row(found["intensity"], region="Lesion")["values"]["mean"] is not None
    assert any("no acquired map" in sentence for sentence in found["warnings"])


def test_without_a_reference_there_is_no_ratio_and_normalisation_is_not_checked():
    found = measured(pair(), [LESION])
    assert found["reference"] is None
    assert row(found["intensity"], map="synthetic")["values"]["ratio_to_nawm"] is None
    assert any("normalised was not checked" in sentence for sentence in found["warnings"])


def test_an_acquired_map_that_is_not_normalised_is_found_and_left_alone():
    found = measured(pair(acquired=OTHER * 40), [LESION, NAWM])
    state = found["normalisation"]["acquired"]
    mean = (OTHER[inside(NAWM)] * 40).mean(dtype=float)
    assert state["nawm_mean"] == pytest.approx(mean, rel=1e-5)
    assert state["doubtful"] is True
    assert state["applied"] is False
    assert any("does not seem to be normalised" in sentence for sentence in found["warnings"])
    assert row(found["words"], region="Lesion")["level"] == "none"
    assert row(found["intensity"], region="Lesion", map="acquired")["values"]["mean"] == pytest.approx(
        40 * OTHER[inside(LESION)].mean(dtype=float), rel=1e-5
    )


def test_when_asked_for_it_is_normalised_and_said_so():
    found = measured(pair(acquired=OTHER * 40), [LESION, NAWM], normalise=("acquired",))
    mean = OTHER[inside(NAWM)].mean(dtype=float)
    values = row(found["intensity"], region="Lesion", map="acquired")["values"]
    assert values["mean"] == pytest.approx(OTHER[inside(LESION)].mean(dtype=float) / mean, rel=1e-5)
    assert values["ratio_to_nawm"] == pytest.approx(values["mean"], rel=1e-5)
    assert found["normalisation"]["acquired"]["applied"] is True
    assert row(found["words"], region="Lesion")["level"] != "none"
    assert any("was divided by its mean" in sentence for sentence in found["warnings"])


def test_normalisation_follows_a_moved_reference():
    def measurer():
        return Measurer(pair(acquired=OTHER * 40), brain(), Settings(normalise=("acquired",)))

    kept = measurer()
    kept.measure([LESION, NAWM])
    moved = ball("NAWM", (-10, -12, -5), 6, "reference")
    found = kept.measure([LESION, moved]).to_json()
    expected = OTHER[inside(LESION)].mean(dtype=float) / OTHER[inside(moved)].mean(dtype=float)
    got = row(found["intensity"], region="Lesion", map="acquired")["values"]["mean"]
    assert got == pytest.approx(expected, rel=1e-5)
    assert found == measurer().measure([LESION, moved]).to_json()


def test_normalising_an_unknown_map_is_an_error():
    with pytest.raises(InputError, match="no map 'truth'"):
        Measurer(pair(), None, Settings(normalise=("truth",)))


def test_other_units_are_doubted():
    maps = [pair()[0], MapInput("acquired", "acquired", image(OTHER, units="ml/100 g"))]
    found = measured(maps, [LESION, NAWM])
    assert any("is in ml/100 g" in sentence for sentence in found["warnings"])
    assert row(found["intensity"], region="Lesion", map="acquired")["values"]["entropy"] is None


# Other grids.


def formula(points):
    """Linear interpolation reproduces it exactly."""
    return 2.0 + points @ np.array([0.02, -0.015, 0.01])


def test_maps_on_other_grids_are_resampled_in_physical_space():
    shape, affine = (50, 60, 40), turned((1.9, 1.7, 2.3), (50, 60, 40), angles_deg=(-12, 20, 33), centre=(6, -4, 18))
    maps = [
        MapInput("synthetic", "synthetic", image(formula(places(AFFINE, SHAPE)) + 0.25)),
        MapInput("acquired", "acquired", image(formula(places(affine, shape)), affine)),
    ]
    found = measured(maps, [LESION])
    assert row(found["agreement"])["values"]["bias"] == pytest.approx(0.25, abs=1e-4)
    assert row(found["agreement"])["values"]["mae"] == pytest.approx(0.25, abs=1e-4)
    assert row(found["maps"], name="acquired")["resampled"] is True
    assert any("acquired" in sentence and "resampled in physical space" in sentence for sentence in found["warnings"])


def test_a_transform_brings_a_moved_map_into_place():
    move = turned((1, 1, 1), (1, 1, 1), angles_deg=(4, -3, 7), centre=(5, 2, -4))
    maps = [
        MapInput("synthetic", "synthetic", image(formula(places(AFFINE, SHAPE)))),
        MapInput("acquired", "acquired", image(formula(places(AFFINE, SHAPE)), move @ AFFINE), transform=move),
    ]
    assert row(measured(maps, [LESION])["agreement"])["values"]["mae"] == pytest.approx(0, abs=1e-4)


def test_outside_the_field_of_view_there_is_no_value():
    source = MapInput("acquired", "acquired", image(OTHER[:, :, :18]))
    grid = Grid(SHAPE, AFFINE)
    placed = put_on_grid(source, grid)
    assert np.isnan(placed.array[:, :, 18:]).all()
    np.testing.assert_allclose(placed.array[:, :, :18], OTHER[:, :, :18], atol=1e-4)
    assert placed.invalid_voxels == 0
    found = measured([pair()[0], source], [LESION])
    expected = inside(LESION)[:, :, 18:].sum()
    assert row(found["intensity"], map="acquired")["values"]["invalid_voxels"] == expected > 0


def test_values_beside_a_gap_are_not_pulled_towards_zero():
    shape, affine = (40, 44, 40), turned((1.9, 1.7, 2.1), (40, 44, 40), angles_deg=(-12, 20, 33), centre=(4, -6, 20))
    holed = np.full(shape, 2.0, np.float32)
    holed[18:24, 15:25, 15:25] = np.nan
    placed = put_on_grid(MapInput("acquired", "acquired", image(holed, affine)), Grid(SHAPE, AFFINE))
    known = np.isfinite(placed.array)
    assert 0.5 < known.mean() < 1
    np.testing.assert_allclose(placed.array[known], 2.0, atol=1e-4)
    assert placed.invalid_voxels == 6 * 10 * 10


def test_thick_slices_are_noted():
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    maps = [MapInput("synthetic", "synthetic", image(TRUE, affine))]
    found = measured(maps, [Region("Lesion", "lesion", (Sphere(np.array([20.0, 20, 80]), 12.0),))])
    assert any("not isotropic" in note for note in row(found["intensity"])["notes"])


def test_unusual_values_have_no_texture_instead_of_thousands_of_levels():
    found = measured(pair(acquired=OTHER * 1000), [LESION])
    acquired = row(found["intensity"], map="acquired")
    assert acquired["values"]["ibsi_cm_contrast"] is None
    assert any("256 levels" in note for note in acquired["notes"])


def test_without_texture_only_texture_is_missing():
    values = row(measured(pair(), [LESION], texture=False)["intensity"])["values"]
    assert values["entropy"] is not None
    assert not any(name.startswith("ibsi_") for name in values)


def test_regions_of_the_same_name_are_told_apart():
    found = measured(pair(), [LESION, ball("Lesion", (-8, 0, 0), 5)])
    assert [region["name"] for region in found["regions"]] == ["Lesion", "Lesion (2)"]
    assert set(found["plots"]) == {"Lesion", "Lesion (2)"}


def test_several_maps_are_all_paired_each_with_its_own_uncertainty():
    error = np.abs(OTHER - TRUE)
    maps = [
        *pair(),
        MapInput("second", "synthetic", image(TRUE)),
        MapInput("true", "acquired", image(TRUE)),
        MapInput("u2", "uncertainty", image(error), of="second"),
    ]
    found = measured(maps, [LESION])
    pairs = [(each["synthetic"], each["acquired"]) for each in found["agreement"]]
    assert pairs == [("synthetic", "acquired"), ("synthetic", "true"), ("second", "acquired"), ("second", "true")]
    own = row(found["agreement"], synthetic="second", acquired="acquired")["values"]
    assert own["uncertainty_error_r"] == pytest.approx(1)
    assert row(found["agreement"], synthetic="synthetic", acquired="acquired")["values"]["uncertainty_error_r"] is None
    same = row(found["agreement"], synthetic="second", acquired="true")["values"]
    assert same["psnr"] is None
    assert same["ssim"] == pytest.approx(1, abs=1e-5)
    assert same["ccc"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([], "no map"),
        ([pair()[0], pair()[0]], "Two maps are called 'synthetic'"),
    ],
)
def test_maps_that_cannot_be_measured(maps, message):
    with pytest.raises(InputError, match=message):
        Measurer(maps)


def test_a_map_with_frames_or_an_unknown_kind_is_an_error():
    with pytest.raises(InputError, match="frames"):
        MapInput("DSC", "other", Volume(np.zeros((4, 4, 4, 3))))
    with pytest.raises(InputError, match="kind"):
        MapInput("DSC", "measured", image(TRUE))


ODD = {
    "zero": np.zeros(SHAPE, np.float32),
    "nothing": np.full(SHAPE, np.nan, np.float32),
    "huge": TRUE * np.float32(1e30),
    "negative": -TRUE,
    "whole numbers": (TRUE * 3).astype(">i2"),
    "doubles": TRUE.astype(np.float64),
    "mask": TRUE > 1,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("acquired", ODD)
@pytest.mark.parametrize("synthetic", ODD)
def test_no_values_are_too_odd_for_a_file(synthetic, acquired):
    maps = [
        MapInput("synthetic", "synthetic", Volume(ODD[synthetic], AFFINE)),
        MapInput("acquired", "acquired", Volume(ODD[acquired], AFFINE)),
        MapInput("uncertainty", "uncertainty", Volume(ODD[acquired], AFFINE)),
    ]
    found = Measurer(maps, None, Settings(normalise=("acquired",))).measure([ball("Small", (0, 0, 0), 4), NAWM])
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("shape", [(20, 22), (20, 22, 1), (1, 1, 1)])
def test_a_single_slice_or_voxel_can_be_measured(shape):
    values = np.random.default_rng(0).gamma(4, 0.25, shape).astype(np.float32)
    maps = [
        MapInput("synthetic", "synthetic", Volume(values)),
        MapInput("acquired", "acquired", Volume(values + np.float32(0.1))),
    ]
    found = Measurer(maps, Volume(np.ones(shape, np.uint8))).measure([]).to_json()
    assert row(found["agreement"], region="Whole brain")["values"]["bias"] == pytest.approx(-0.1, abs=1e-6)
    json.dumps(found, allow_nan=False)


# Keeping.


class Counting(Silent):
    def __init__(self):
        super().__init__()
        self.stages = []

    def progress(self, stage, fraction):
        assert 0 <= fraction <= 1
        self.stages.append(stage)


def test_only_what_has_changed_is_measured_again():
    measurer = Measurer(pair(), brain())
    regions = [LESION, ball("Other", (-8, 0, 0), 8), NAWM]
    first = measurer.measure(regions).to_json()
    again, changed = Counting(), Counting()
    assert measurer.measure(regions, again).to_json() == first
    assert again.stages.count("measuring") == again.stages.count("comparing") == 0
    regions[1] = ball("Other", (-7, 0, 0), 8)
    second = measurer.measure(regions, changed).to_json()
    assert changed.stages.count("measuring") == 2
    assert changed.stages.count("comparing") == 1
    assert second == Measurer(pair(), brain()).measure(regions).to_json()


def test_a_renamed_region_keeps_its_numbers_and_takes_its_name():
    measurer = Measurer(pair())
    measurer.measure([LESION])
    again = Counting()
    found = measurer.measure([ball("New name", (5, 3, -2), 14, "hotspot", "moved")], again).to_json()
    assert "measuring" not in again.stages
    assert found["regions"][0]["name"] == found["intensity"][0]["region"] == "New name"
    assert found["regions"][0]["source"] == "moved"


def test_a_measurement_can_be_cancelled():
    class Stopped(Silent):
        def progress(self, stage, fraction):
            if stage == "comparing":
                raise Cancelled

    measurer = Measurer(pair())
    with pytest.raises(Cancelled):
        measurer.measure([LESION], Stopped())
    assert measurer.measure([LESION]).to_json() == Measurer(pair()).measure([LESION]).to_json()


def test_maps_are_judged_by_the_voxels_that_both_have():
    high = inside(LESION) & (np.percentile(TRUE[inside(LESION)], 60) < TRUE)
    acquired = np.where(high, np.nan, TRUE)
    found = Measurer(pair(TRUE, acquired)).measure([LESION, NAWM]).to_json()
    assert row(found["agreement"], region="Lesion")["values"]["mae"] == 0
    words = row(found["words"], region="Lesion")
    assert words["level"] == "good"
    assert "agrees with acquired" in words["text"]


def test_an_acquired_map_in_other_units_is_not_judged():
    maps = pair()
    maps[1] = MapInput("acquired", "acquired", image(OTHER, units=""), units="ml/100 g")
    found = Measurer(maps).measure([LESION, NAWM]).to_json()
    assert row(found["words"], region="Lesion")["level"] == "none"
    normalised_now = Measurer(maps, settings=Settings(normalise=("acquired",))).measure([LESION, NAWM]).to_json()
    assert row(normalised_now["words"], region="Lesion")["level"] != "none"
