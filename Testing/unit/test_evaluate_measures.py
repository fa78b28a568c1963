"""The measures of an evaluation against independent references and planted faults."""

import math

import numpy as np
import pytest
from scipy import ndimage, spatial, stats
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from HierSynthLib.progress import Silent
from Testing.evaluation_patients import SPACING, BallCase, flat_descriptors
from Training.evaluation.calibration import LEVELS, calibration, stretched
from Training.evaluation.definitions import column, columns
from Training.evaluation.descriptors import HELD_OUT_OFFSETS, DescriptorError, describe
from Training.evaluation.measuring import Measurer, case_features, features
from Training.evaluation.predictor import Prediction
from Training.evaluation.settings import EvaluationSettings
from Training.evaluation.subject import make_subject
from Training.evaluation.texture import BANDS, RadialPower, high_pass, spread_ratio
from Training.losses.descriptors import LEVELS as GREY_LEVELS
from Training.losses.descriptors import NAMES, OFFSETS, SCALE
from Training.losses.settings import LossConfig

SETTINGS = EvaluationSettings()
RNG = np.random.default_rng(20266)


@pytest.fixture(scope="module")
def subject():
    return make_subject(BallCase(5, tissues=True), [(SPACING,) * 3], SETTINGS, Silent())


@pytest.fixture(scope="module")
def measurer(subject):
    return Measurer(subject, SETTINGS, flat_descriptors)


def predicted(subject, values, half_width=0.5, interval=0.8):
    return Prediction(values.astype(np.float32), np.full(values.shape, half_width, np.float32), interval, "cpu")


# --- the subject -----------------------------------------------------------------------------------------------------


def test_the_target_is_the_map_of_the_case_inside_the_brain(subject):
    from Testing.evaluation_patients import AFFINE, BRAIN, LESION, cbv_of

    corner = np.linalg.solve(AFFINE, subject.grid.affine[:, 3])[:3].round().astype(int)
    window = tuple(slice(a, a + n) for a, n in zip(corner, subject.grid.shape, strict=True))
    np.testing.assert_allclose(subject.target, (cbv_of(5) * BRAIN)[window], atol=1e-5)
    assert (subject.brain == BRAIN[window]).all()
    assert (subject.roi == (LESION & BRAIN)[window]).all(), "the NAWM reference is no lesion"


# --- similarity and agreement ----------------------------------------------------------------------------------------


def test_a_model_that_is_exactly_the_target_gets_full_marks(subject, measurer):
    values, _ = measurer.measure(predicted(subject, subject.target))
    ones = ("roi_ssim", "brain_ssim", "roi_ssim_box", "brain_ccc", "roi_ccc", "brain_pearson_r", "roi_hotspot_dice")
    ones += ("roi_high_frequency_ratio", "brain_high_frequency_ratio", "grey_white_ratio", "brain_coverage")
    ones += tuple(f"brain_spectrum_ratio_{n}" for n in (1, 2, 3, 4))
    assert [values[name] for name in ones] == pytest.approx([1.0] * len(ones), abs=1e-6)
    zeros = (
        "roi_mae",
        "brain_mae",
        "brain_mse",
        "roi_nrmse",
        "brain_bias",
        "roi_descriptor_error",
        "roi_hotspot_hd95_mm",
    )
    assert [values[name] for name in zeros] == pytest.approx([0.0] * len(zeros), abs=1e-9)
    assert values["brain_psnr"] is None, "there is no noise to relate the range to"


def test_ssim_is_the_full_map_averaged_in_the_region(subject, measurer):
    noisy = subject.target + 0.4 * RNG.standard_normal(subject.grid.shape) * subject.brain
    values, _ = measurer.measure(predicted(subject, noisy))
    full = structural_similarity(
        noisy.astype(np.float64), subject.target.astype(np.float64), data_range=6.0, full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )[1]  # fmt: skip
    assert values["roi_ssim"] == pytest.approx(full[subject.roi].mean(), abs=2e-5)
    assert values["brain_ssim"] == pytest.approx(full[subject.brain].mean(), abs=2e-5)
    i, j, k = (slice(along.start + 5, along.stop - 5) for along in ndimage.find_objects(subject.roi.astype(int))[0])
    assert values["roi_ssim_box"] == pytest.approx(full[i, j, k].mean(), abs=2e-5)


def test_errors_are_those_of_other_libraries(subject, measurer):
    noisy = np.where(subject.brain, 0.9 * subject.target + 0.3 * RNG.standard_normal(subject.grid.shape), 0)
    values, _ = measurer.measure(predicted(subject, noisy))
    for region, mask in (("brain", subject.brain), ("roi", subject.roi)):
        x, y = noisy[mask].astype(np.float32).astype(np.float64), subject.target[mask].astype(np.float64)
        assert values[f"{region}_mse"] == pytest.approx(mean_squared_error(x, y))
        assert values[f"{region}_psnr"] == pytest.approx(peak_signal_noise_ratio(y, x, data_range=6.0))
        assert values[f"{region}_mae"] == pytest.approx(np.abs(x - y).mean())
        assert values[f"{region}_nrmse"] == pytest.approx(math.sqrt(mean_squared_error(x, y)) / 6)
        assert values[f"{region}_pearson_r"] == pytest.approx(stats.pearsonr(x, y).statistic)
        lin = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        assert values[f"{region}_ccc"] == pytest.approx(lin)


def test_a_constant_bias_is_found_and_nothing_else(subject, measurer):
    values, _ = measurer.measure(predicted(subject, subject.target + 0.25 * subject.brain))
    assert values["brain_bias"] == pytest.approx(0.25, abs=1e-6)
    assert values["roi_mae"] == pytest.approx(0.25, abs=1e-6)
    assert values["brain_pearson_r"] == pytest.approx(1.0)
    assert values["roi_high_frequency_ratio"] == pytest.approx(1.0, abs=1e-5)


def test_values_outside_the_brain_do_not_count(subject, measurer):
    around = np.where(subject.brain, subject.target, 9.0)
    clean, spoiled = (measurer.measure(predicted(subject, each))[0] for each in (subject.target, around))
    assert clean == spoiled


def test_hotspots_overlap_as_counted_by_hand(subject, measurer):
    halved = np.where(subject.roi & (np.arange(subject.grid.shape[0])[:, None, None] % 2 == 0), 0.0, subject.target)
    values, _ = measurer.measure(predicted(subject, halved))
    one, other = (subject.roi & (each > 1.75) for each in (halved, subject.target))
    assert values["roi_hotspot_dice"] == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()))
    rims = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) * SPACING for mask in (one, other)]
    gaps = spatial.distance.cdist(*rims)
    expected = max(np.percentile(gaps.min(axis=axis), 95) for axis in (0, 1))
    assert expected > 0
    assert values["roi_hotspot_hd95_mm"] == pytest.approx(expected)


def test_the_grey_white_ratio_is_relative_to_the_targets(subject, measurer):
    grey = subject.tissues["grey"]
    assert not (grey & subject.tissues["white"]).any()
    assert not (subject.tissues["white"] & subject.roi).any()
    values, _ = measurer.measure(predicted(subject, np.where(grey, 1.3 * subject.target, subject.target)))
    assert values["grey_white_ratio"] == pytest.approx(1.3, rel=1e-5)


def test_a_patient_without_a_lesion_has_brain_values_only():
    subject = make_subject(BallCase(6, lesion=False), [(SPACING,) * 3], SETTINGS, Silent())
    values, curves = Measurer(subject, SETTINGS, flat_descriptors).measure(predicted(subject, subject.target))
    assert not [name for name in values if name.startswith("roi_")]
    assert values["brain_ccc"] == pytest.approx(1.0)
    assert set(curves["calibration"]) == {"brain"}
    assert case_features(subject, SETTINGS) == {}


def test_every_column_is_measured(subject, measurer):
    values, _ = measurer.measure(predicted(subject, subject.target * 0.9))
    assert {each.id for each in columns()} == set(values)


def test_the_target_is_cut_off_at_the_ceiling():
    low = make_subject(BallCase(5), [(SPACING,) * 3], EvaluationSettings(ceiling=1.0), Silent())
    assert low.target.max() == 1.0


# --- fine structure --------------------------------------------------------------------------------------------------


def test_the_high_pass_leaves_what_a_gaussian_over_the_brain_takes_away(subject):
    sigma = np.full(3, 3.0 / SPACING)
    fine = high_pass(subject.target, subject.brain, sigma)
    inside = subject.brain.astype(np.float64)
    i, j, k = np.argwhere(subject.roi)[0]
    offsets = np.indices(subject.grid.shape) - np.array([i, j, k]).reshape(3, 1, 1, 1)
    weight = np.exp(-0.5 * (offsets**2 / sigma.reshape(3, 1, 1, 1) ** 2).sum(axis=0)) * inside
    weight[np.abs(offsets).max(axis=0) > round(4 * sigma[0])] = 0  # where scipy cuts its kernel
    mean = (weight * subject.target).sum() / weight.sum()
    assert fine[i, j, k] == pytest.approx(subject.target[i, j, k] - mean, abs=1e-5)
    assert not fine[~subject.brain].any()
    constant = high_pass(np.where(subject.brain, 2.0, 0.0).astype(np.float32), subject.brain, sigma)
    assert np.abs(constant).max() < 1e-5, "the edge of the brain is no fine structure"


def test_a_smooth_map_has_a_low_and_a_noisy_one_a_high_ratio(subject, measurer):
    scaled, _ = measurer.measure(predicted(subject, 0.5 * subject.target))
    assert scaled["roi_high_frequency_ratio"] == pytest.approx(0.5, rel=1e-4)
    fine = np.std(high_pass(subject.target, subject.brain, np.full(3, 1.5))[subject.roi])
    noise = 0.8 * RNG.standard_normal(subject.grid.shape)
    noisy, _ = measurer.measure(predicted(subject, np.where(subject.brain, subject.target + noise, 0)))
    own = np.std(
        high_pass(np.where(subject.brain, noise, 0).astype(np.float32), subject.brain, np.full(3, 1.5))[subject.roi]
    )
    expected = math.sqrt(1 + own**2 / fine**2)  # variances of independent fields add up
    assert noisy["roi_high_frequency_ratio"] == pytest.approx(expected, rel=0.05)
    blurred, _ = measurer.measure(predicted(subject, ndimage.gaussian_filter(subject.target, 2.0)))
    assert blurred["roi_high_frequency_ratio"] < 0.4


def test_a_constant_target_has_no_spread_ratio():
    flat, mask = np.ones((4, 4, 4)), np.ones((4, 4, 4), bool)
    assert spread_ratio(RNG.random((4, 4, 4)), flat, mask) is None


def test_power_is_that_of_the_whole_transform():
    """Against numpy's full complex transform and a loop over its frequencies."""
    shape, spacing = (12, 10, 14), np.array([1.0, 1.0, 2.0])
    field = RNG.standard_normal(shape).astype(np.float32)
    region = np.ones(shape, bool)
    radial = RadialPower(region, spacing)
    whole = (
        np.abs(np.fft.fftn(field.astype(np.float64) - field.mean(dtype=np.float64), (12, 10, 15), axes=(0, 1, 2))) ** 2
    )
    assert radial._shape == [12, 10, 15], "padded to lengths that transform fast"
    f = np.meshgrid(np.fft.fftfreq(12, 1.0), np.fft.fftfreq(10, 1.0), np.fft.fftfreq(15, 2.0), indexing="ij")
    radius = np.sqrt(sum(each**2 for each in f)) / 0.25
    assert radial.nyquist == 0.25
    found = radial.bands(radial.of(field))
    for (low, high), value in zip(BANDS, found, strict=True):
        chosen = whole[(radius > low) & (radius <= high)]
        assert value == (pytest.approx(chosen.mean()) if chosen.size else None)


def test_a_wave_lies_in_its_own_band():
    side = 32
    axis = np.arange(side)
    region = np.ones((side,) * 3, bool)
    radial = RadialPower(region, np.ones(3))
    for cycles, band in ((1.5, 0), (3, 1), (6, 2), (12, 3)):  # Nyquist: 16 cycles
        wave = np.cos(2 * np.pi * cycles * axis / side)[:, None, None] * np.ones((1, side, side))
        powers = radial.bands(radial.of(wave.astype(np.float32)))
        assert int(np.argmax([p or 0 for p in powers])) == band


def test_the_power_ratio_is_the_square_of_a_gain(subject, measurer):
    values, curves = measurer.measure(predicted(subject, 0.7 * subject.target))
    assert [values[f"roi_spectrum_ratio_{n}"] for n in (3, 4)] == pytest.approx([0.49, 0.49], rel=1e-5)
    known = [r for r in curves["spectrum"]["brain"] if r is not None]
    assert len(known) > 15
    assert known == pytest.approx([0.49] * len(known), rel=1e-4)


# --- descriptors -----------------------------------------------------------------------------------------------------


def test_the_descriptor_error_is_the_mean_distance_in_standard_deviations():
    """Against loops over patches."""
    shape, patch = (24, 20, 6), 8
    target, other = RNG.standard_normal((2, *shape))
    brain = np.ones(shape, bool)
    roi = np.zeros(shape, bool)
    roi[6:17, 5:14, 2:4] = True
    found = DescriptorError(target, brain, roi, patch, flat_descriptors)(other)
    pool, gaps = [], []
    for k in (2, 3):
        for i in range(0, 24 - patch + 1, 4):
            for j in range(0, 20 - patch + 1, 4):
                place = (slice(i, i + patch), slice(j, j + patch), k)
                phi = [np.array([each[place].mean(), each[place].std()]) for each in (target, other)]
                pool.append(phi[0])
                if roi[place].mean() >= 0.25:
                    gaps.append(np.abs(phi[1] - phi[0]))
    expected = (np.array(gaps) / np.std(pool, axis=0)).mean()
    assert found == pytest.approx(expected, rel=1e-4)
    assert DescriptorError(target, brain, roi, patch, flat_descriptors)(target) == 0


def test_a_lesion_smaller_than_a_quarter_patch_still_counts():
    target = RNG.standard_normal((24, 24, 3))
    roi = np.zeros(target.shape, bool)
    roi[10:12, 10:12, 1] = True
    error = DescriptorError(target, np.ones_like(roi), roi, 8, flat_descriptors)
    assert error(0.5 * target) > 0


def test_the_trainings_descriptors_tell_texture_from_its_absence():
    target = RNG.standard_normal((40, 40, 4))
    roi = np.zeros(target.shape, bool)
    roi[8:32, 8:32] = True
    error = DescriptorError(target, np.ones_like(roi), roi, 8, describe)
    other = error(np.random.default_rng(5).standard_normal(target.shape))
    smooth = error(ndimage.gaussian_filter(target, (2, 2, 0)))
    assert error(target) == 0
    assert 0 < other < 0.5 * smooth, "another sample of the same texture is nearer than a blurred one"


# --- uncertainty -----------------------------------------------------------------------------------------------------


def test_a_laplace_error_is_covered_as_its_scale_says():
    scale = RNG.uniform(0.2, 2.0, 200_000)
    error = RNG.laplace(scale=scale)
    half_width = -scale * math.log(0.2)
    found, curve = calibration(error, half_width, 0.8)
    assert found["coverage"] == pytest.approx(0.8, abs=0.005)
    assert curve == pytest.approx(LEVELS, abs=0.006)
    assert found["calibration_error"] < 0.005
    assert found["interval_width"] == pytest.approx(2 * half_width.mean())
    assert found["uncertainty_error_r"] == pytest.approx(stats.spearmanr(half_width, np.abs(error)).statistic, abs=0.01)


def test_an_interval_of_another_share_is_stretched():
    b = np.array([0.5, 2.0])
    np.testing.assert_allclose(stretched(-b * math.log(0.5), 0.5, 0.8), -b * math.log(0.2))
    found, _ = calibration(RNG.laplace(size=100_000), np.full(100_000, -math.log(0.1)), 0.9)
    assert found["coverage"] == pytest.approx(0.8, abs=0.006)


def test_intervals_half_as_wide_are_told_from_right_ones(subject, measurer):
    noise = RNG.laplace(scale=0.3, size=subject.grid.shape)
    right = -0.3 * math.log(0.2)
    values = [
        measurer.measure(predicted(subject, np.where(subject.brain, subject.target + noise, 0), width))[0]
        for width in (right, right / 2)
    ]
    assert values[0]["brain_coverage"] == pytest.approx(0.8, abs=0.02)
    assert values[1]["brain_coverage"] == pytest.approx(1 - math.sqrt(0.2), abs=0.02)
    assert values[1]["brain_calibration_error"] > 5 * values[0]["brain_calibration_error"]


def test_a_model_without_uncertainty_has_no_such_values(subject, measurer):
    values, curves = measurer.measure(Prediction(subject.target, None, 0.8, "cpu"))
    assert "brain_coverage" not in values
    assert curves["calibration"] == {}


# --- features and definitions ----------------------------------------------------------------------------------------


def test_features_are_mean_percentile_and_entropy():
    values = RNG.gamma(2.0, 1.0, 3000).astype(np.float32)
    found = features(values, SETTINGS)
    counts = np.bincount(np.floor(values.astype(np.float64) / 0.25).astype(int))
    assert found["mean"] == pytest.approx(values.mean(dtype=np.float64))
    assert found["p95"] == pytest.approx(np.percentile(values.astype(np.float64), 95))
    assert found["entropy"] == pytest.approx(stats.entropy(counts, base=2))


def test_columns_have_definition_unit_and_direction():
    for each in columns():
        assert each.measure.formula, each.id
        assert each.measure.definition, each.id
        assert each.better in ("higher", "lower", "none") or isinstance(each.better, float), each.id
    assert column("roi_high_frequency_ratio").loss(0.8) == pytest.approx(0.2)
    assert column("roi_ssim").loss(0.8) < column("roi_ssim").loss(0.7)
    assert column("roi_mae").text(-0.12345, signed=True) == "−0.123"


def test_held_out_descriptors_are_of_another_size_and_other_neighbours():
    """Contrast of the co-occurrence at (1, 1) and (2, 0), counted pixel by pixel on pictures of whole grey levels."""
    level = np.random.default_rng(4).integers(1, GREY_LEVELS - 1, (1, 12, 12))
    share = level / ((GREY_LEVELS - 1) / 2) - 1
    picture = (SCALE * share / (1 - np.abs(share))).astype(np.float32)
    own, held_out = (describe(picture, 12, offsets)[0, 0, 0] for offsets in (None, HELD_OUT_OFFSETS))
    first = NAMES.index("GLCM contrast (0, 1)")
    for number, (down, right) in enumerate(HELD_OUT_OFFSETS):
        gap = level[0, down:, right:] - level[0, : 12 - down, : 12 - right]
        assert held_out[first + number] == pytest.approx((gap**2).mean() / (GREY_LEVELS - 1) ** 2, rel=1e-4)
    others = [n for n, name in enumerate(NAMES) if "GLCM" not in name]
    np.testing.assert_array_equal(own[others], held_out[others])
    assert not set(HELD_OUT_OFFSETS) & set(OFFSETS)
    assert EvaluationSettings().held_out_patch not in LossConfig().patches


def test_the_held_out_error_is_a_measure_of_its_own(subject):
    noisy = subject.target + np.random.default_rng(0).normal(0, 0.5, subject.target.shape).astype(np.float32)
    values, _ = Measurer(subject, EvaluationSettings()).measure(Prediction(noisy, None, 0.8, "cpu"))
    right, _ = Measurer(subject, EvaluationSettings()).measure(Prediction(subject.target, None, 0.8, "cpu"))
    assert right["roi_held_out_descriptor_error"] == pytest.approx(0, abs=1e-6)
    assert values["roi_held_out_descriptor_error"] > 0.1
    assert values["roi_held_out_descriptor_error"] != values["roi_descriptor_error"]
