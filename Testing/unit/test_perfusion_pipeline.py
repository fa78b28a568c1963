"""The whole processing of a head whose tissues are known, and what it says when something is missing."""

import json

import numpy as np
import pytest

from HierSynthLib.errors import Cancelled, InputError
from HierSynthLib.perfusion.normalisation import LANDMARK_PERCENTILES, REFERENCE_SCALE
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.qc import scale_is_plausible, scale_warnings
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.perfusion.units import UNITS
from HierSynthLib.progress import Silent
from Testing.unit.test_perfusion_head import CLASSES, TRUE_CBV, make_head, shares
from Testing.unit.test_perfusion_simulation import TE_S, TR_S, Injection, relaxation, signal, tissue

STILL = Options(motion=False)


def pure(head, name):
    found = np.zeros(head.series.grid, bool)
    inside = head.mask(name)
    found[inside] = shares(head.positions[inside])[CLASSES.index(name)] > 0.97
    return found


@pytest.fixture(scope="module")
def head():
    return make_head()


@pytest.fixture(scope="module")
def processed(head):
    return process(head.series, STILL, nawm=pure(head, "white"))


def test_every_map_is_there_with_units_and_zero_outside_the_brain(head, processed):
    expected = {
        "rCBV", "rCBV_uncorrected", "nrCBV", "nrCBV_uncorrected", "rCBV_standardised", "CBV", "CBF", "MTT", "Tmax",
        "K1", "K2", "TTP", "PH", "PSR",
    }  # fmt: skip
    assert set(processed.maps) == expected
    assert processed.units["CBF"] == "ml/100 g/min"
    assert set(processed.units) <= set(UNITS)
    for name, values in processed.maps.items():
        assert values.dtype == np.float32, name
        assert values.shape == head.series.grid
        assert np.isfinite(values).all()
        assert not values[~processed.brain].any()
    np.testing.assert_array_equal(processed.volume("CBV").affine, head.series.affine)


def test_the_brain_is_found_without_scalp(head, processed):
    both = np.count_nonzero(processed.brain & head.brain)
    assert 2 * both / (np.count_nonzero(processed.brain) + np.count_nonzero(head.brain)) > 0.96
    assert np.count_nonzero(processed.brain & head.mask("scalp")) < 0.05 * np.count_nonzero(head.mask("scalp"))


@pytest.mark.parametrize(("name", "tolerance"), [("grey", 0.05), ("tumour", 0.05), ("white", 0.01)])
def test_relative_cbv_is_true_in_leaking_and_tight_tissue(head, processed, name, tolerance):
    mask = pure(head, name) & processed.brain
    assert processed.maps["nrCBV"][mask].mean() == pytest.approx(TRUE_CBV[name] / 2, rel=tolerance)


def test_leakage_is_seen_where_it_is(head, processed):
    tumour, grey = pure(head, "tumour"), pure(head, "grey")
    uncorrected = processed.maps["nrCBV_uncorrected"][tumour].mean()
    assert abs(uncorrected / 4 - 1) > 2 * abs(processed.maps["nrCBV"][tumour].mean() / 4 - 1)
    assert processed.maps["K2"][tumour].mean() > 5 * abs(processed.maps["K2"][grey].mean())
    assert processed.non_enhancing[grey].mean() > 0.9


def test_the_aif_lies_in_the_arteries(head, processed):
    assert processed.aif is not None
    assert {CLASSES[head.labels[tuple(voxel)]] for voxel in processed.aif.voxels} == {"artery"}
    assert processed.quality.aif_voxels == len(processed.aif.voxels)
    assert processed.quality.aif_lead_s > 0.5


def test_mtt_is_cbv_over_cbf_and_longest_in_the_tumour(head, processed):
    maps = processed.maps
    flowing = maps["CBF"] > 1
    np.testing.assert_allclose(
        maps["MTT"][flowing], np.maximum(60 * maps["CBV"][flowing] / maps["CBF"][flowing], 0), rtol=1e-4
    )
    grey, white, tumour = (maps["MTT"][pure(head, name)].mean() for name in ("grey", "white", "tumour"))
    assert grey < white < tumour
    assert np.median(maps["Tmax"][pure(head, "grey")]) == pytest.approx(2.5, abs=1.0)


def test_quality_is_that_of_the_series(head, processed):
    quality = processed.quality
    assert quality.baseline_snr == pytest.approx(80, rel=0.15)
    assert quality.fitted_percent > 85
    assert quality.baseline_frames == 12
    assert quality.motion_mm is None
    assert quality.brain_ml == pytest.approx(head.brain.sum() * 3.2**2 * 8 / 1000, rel=0.08)
    assert json.loads(json.dumps(quality.as_json()))["aif_voxels"] == quality.aif_voxels
    signal = head.series.echoes[0][processed.brain].mean(axis=0)
    assert quality.bolus_drop_percent == pytest.approx(100 * (1 - signal.min() / signal[2:14].mean()), abs=1)
    np.testing.assert_allclose(processed.curves.brain_signal, signal, rtol=1e-4)


def test_mean_curves_are_means_of_voxel_curves(processed):
    reference = processed.non_enhancing
    assert reference[processed.brain].any()
    area = np.trapezoid(processed.curves.corrected[processed.bolus.first :], dx=1.5)
    assert processed.maps["rCBV"][processed.brain].mean() == pytest.approx(area, rel=1e-3)
    area = np.trapezoid(processed.curves.brain[processed.bolus.first :], dx=1.5)
    assert processed.maps["rCBV_uncorrected"][processed.brain].mean() == pytest.approx(area, rel=1e-3)


def test_order_in_memory_threads_and_chunks_change_nothing(head, processed):
    turned = DscSeries((np.asfortranarray(head.series.echoes[0]),), (0.03,), 1.5, head.series.affine)
    other = process(turned, Options(motion=False, threads=1, chunk_voxels=333), nawm=pure(head, "white"))
    for name in ("rCBV", "CBV", "CBF", "K2", "TTP", "PSR"):
        np.testing.assert_allclose(other.maps[name], processed.maps[name], rtol=2e-3, atol=2e-3, err_msg=name)


def test_psr_and_peak_height_are_those_of_the_signal(head, processed):
    voxel = tuple(np.argwhere(pure(head, "grey") & processed.brain)[10])
    signal = head.series.echoes[0][voxel].astype(float)
    base, lowest, late = (
        signal[processed.bolus.baseline].mean(),
        signal[processed.bolus.first :].min(),
        signal[-10:].mean(),
    )
    assert processed.maps["PSR"][voxel] == pytest.approx(100 * (late - lowest) / (base - lowest), rel=1e-4)
    assert processed.maps["PH"][voxel] == pytest.approx(-np.log(lowest / base) / 0.03, rel=1e-4)


def absolute_series(injection):
    """Grey matter, white matter and artery, 2000 voxels each, without noise; blood relaxes by 0.5·C + 2.6·C²."""
    nothing, artery = 0 * injection.times, injection.artery()
    blood = 1000 * np.exp(-TE_S * (0.5 * artery + 2.6 * artery**2))
    kinds = [signal(tissue(injection, 4, 60), nothing), signal(tissue(injection, 2, 25), nothing, T1=0.85), blood]
    values = np.repeat(np.stack([injection.frames(kind) for kind in kinds]), 2000, axis=0).astype(np.float32)
    return DscSeries((values.reshape(3, 40, 50, -1),), (TE_S,), TR_S, np.eye(4))


def test_cbv_is_absolute_where_the_relaxation_of_blood_is_known():
    """In ml/100 g: CBV 4 and 2; CBF as the deconvolution of such curves gives it."""
    series = absolute_series(Injection(recirculation=0.15))
    options = Options(motion=False, leakage="none", aif_blood=(0.5, 2.6))
    found = process(series, options, brain=np.ones(series.grid, bool), aif_voxels=[[2, 0, 0], [2, 3, 3]])
    assert found.maps["CBV"][0].mean() == pytest.approx(4.0, rel=0.01)
    assert found.maps["CBV"][1].mean() == pytest.approx(2.0, rel=0.01)
    assert found.maps["CBF"][0].mean() == pytest.approx(42, abs=3)
    assert found.maps["MTT"][0].mean() == pytest.approx(60 * 4 / found.maps["CBF"][0].mean(), rel=0.01)


def test_integration_can_end_early():
    injection = Injection(recirculation=0.15)
    series = absolute_series(injection)
    everywhere = np.ones(series.grid, bool)
    found = process(series, Options(motion=False, integration_s=20.0, leakage="none"), brain=everywhere)
    curve = relaxation(series.echoes[0][0, 0, 0].astype(float), baseline=found.bolus.stop)
    last = found.bolus.arrival + round(20 / TR_S)
    expected = np.trapezoid(curve[found.bolus.first : last + 1], dx=TR_S)
    assert found.maps["rCBV"][0, 0, 0] == pytest.approx(expected, rel=1e-3)
    assert expected < 0.95 * np.trapezoid(curve, dx=TR_S)


def test_without_an_artery_relative_maps_remain_and_a_warning_says_why(head):
    reporter = Silent()
    found = process(head.series, Options(motion=False, aif_peak_snr=1e4), reporter=reporter)
    assert found.aif is None
    assert "rCBV" in found.maps
    assert not {"CBV", "CBF", "MTT", "Tmax", "nrCBV"} & set(found.maps)
    assert any("No arterial input function" in warning for warning in reporter.warnings)
    assert any("no nrCBV" in warning for warning in reporter.warnings)
    assert tuple(reporter.warnings) == found.quality.warnings


def test_given_voxels_make_the_aif(head, processed):
    voxels = np.argwhere(pure(head, "vein"))[:5]
    found = process(head.series, STILL, aif_voxels=voxels)
    assert found.aif is not None
    np.testing.assert_array_equal(found.aif.voxels, voxels)
    assert found.aif.peak_s > processed.aif.peak_s + 2


def test_a_given_brain_mask_is_used_as_it_is(head):
    mask = head.brain & (np.arange(head.series.grid[2]) > 4)
    found = process(head.series, STILL, brain=mask)
    np.testing.assert_array_equal(found.brain, mask)


@pytest.mark.parametrize("leakage", ["none", "bidirectional"])
def test_other_leakage_models(head, processed, leakage):
    found = process(head.series, Options(motion=False, leakage=leakage), nawm=pure(head, "white"))
    tumour = pure(head, "tumour")
    if leakage == "none":
        np.testing.assert_array_equal(found.maps["rCBV"], found.maps["rCBV_uncorrected"])
        assert not found.maps["K2"].any()
    else:
        assert found.maps["nrCBV"][tumour].mean() == pytest.approx(4.0, rel=0.08)
        assert found.maps["kep"].max() <= 0.0201


def test_cbv_after_a_gamma_variate_fit(head):
    found = process(head.series, Options(motion=False, gamma_fit=True), nawm=pure(head, "white"))
    fitted = found.maps["rCBV_gamma"]
    ratio = fitted[pure(head, "grey")].mean() / fitted[pure(head, "white")].mean()
    assert ratio == pytest.approx(2.0, rel=0.07)
    assert found.quality.fitted_percent > 80


def test_two_echoes():
    head = make_head(te_s=(0.014, 0.04), frames=60)
    found = process(head.series, STILL, nawm=pure(head, "white"))
    assert found.maps["nrCBV"][pure(head, "grey")].mean() == pytest.approx(2.0, rel=0.05)
    assert found.maps["nrCBV"][pure(head, "tumour")].mean() == pytest.approx(4.0, rel=0.08)
    # Without T1 effects, leaked agent can only add to ΔR2*.
    assert found.maps["K2"][pure(head, "tumour")].mean() < 0


def test_voxels_without_signal_are_left_out_and_counted(head):
    values = head.series.echoes[0].copy()
    hole = np.argwhere(pure(head, "white"))[::5]
    frame = 18 + np.arange(len(hole)) % 50  # spread in time: many in one frame would be taken for a bad frame
    values[(*hole.T, frame)] = 0
    found = process(DscSeries((values,), (0.03,), 1.5, head.series.affine), STILL, brain=head.brain)
    assert not found.maps["rCBV"][tuple(hole.T)].any()
    assert found.quality.unusable_percent == pytest.approx(100 * len(hole) / head.brain.sum())
    assert any("no signal in some frames" in warning for warning in found.quality.warnings)


def test_a_signal_that_nearly_vanishes_counts_as_none(head):
    values = head.series.echoes[0].copy()
    hole = np.argwhere(pure(head, "grey"))[::9]
    frame = 50 + np.arange(len(hole)) % 19
    values[(*hole.T, frame)] *= 0.01
    found = process(DscSeries((values,), (0.03,), 1.5, head.series.affine), STILL, brain=head.brain)
    assert not found.maps["rCBV"][tuple(hole.T)].any()
    assert not found.maps["rCBV_standardised"][tuple(hole.T)].any()


def with_holes(head, nawm, every):
    """The series, each so manyth voxel of the white matter without signal in some frame."""
    values = head.series.echoes[0].copy()
    hole = np.argwhere(nawm)[::every]
    values[(*hole.T, 18 + np.arange(len(hole)) % 50)] = 0
    return DscSeries((values,), (0.03,), 1.5, head.series.affine), hole


def test_voxels_without_signal_do_not_change_what_is_divided_by(head, processed):
    nawm = pure(head, "white") & head.brain
    series, hole = with_holes(head, nawm, 3)
    found = process(series, STILL, brain=processed.brain, nawm=nawm)
    assert found.quality.white_matter_lost == len(hole)
    assert found.quality.white_matter_voxels == np.count_nonzero(nawm) - len(hole)
    assert found.quality.white_matter_rcbv == pytest.approx(processed.quality.white_matter_rcbv, rel=0.01)
    grey = pure(head, "grey") & processed.brain
    assert found.maps["nrCBV"][grey].mean() == pytest.approx(processed.maps["nrCBV"][grey].mean(), rel=0.01)
    assert not found.maps["rCBV_standardised"][tuple(hole.T)].any()
    rest = found.maps["rCBV_standardised"][found.brain & (found.maps["PH"] != 0)]
    np.testing.assert_allclose(np.percentile(rest, LANDMARK_PERCENTILES), REFERENCE_SCALE, atol=0.02)
    said = f"{np.count_nonzero(nawm) - len(hole)} are used: {len(hole)} have no signal in some frames"
    assert any(said in warning for warning in found.quality.warnings)


def test_white_matter_of_which_too_little_has_signal_is_refused(head):
    nawm = np.zeros(head.series.grid, bool)
    nawm[tuple(np.argwhere(pure(head, "white"))[100:125].T)] = True
    series, _ = with_holes(head, nawm, 2)
    with pytest.raises(InputError, match="Of the 25 voxels of normal-appearing white matter only 12 have signal"):
        process(series, STILL, brain=head.brain, nawm=nawm)


BAD_FRAMES = {
    "dark in the baseline": (slice(None), 5, 0.3),
    "bright in the baseline": (slice(None), 7, 1.3),
    "dark late": (slice(None), 50, 0.5),
    "slices empty at the end": (slice(8, None), 69, 0.0),
    "all dark at the end": (slice(None), 69, 0.3),
}


@pytest.mark.parametrize(("slices", "frame", "factor"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_bad_frame_is_left_out_and_named(head, processed, slices, frame, factor):
    values = head.series.echoes[0].copy()
    values[:, :, slices, frame] *= factor
    brain, nawm = processed.brain, pure(head, "white")
    found = process(DscSeries((values,), (0.03,), 1.5, head.series.affine), STILL, brain=brain, nawm=nawm)
    for name in ("rCBV", "rCBV_uncorrected", "nrCBV", "CBV"):
        for tissue_name in ("grey", "tumour"):
            mask = pure(head, tissue_name) & brain
            expected = processed.maps[name][mask].mean()
            assert found.maps[name][mask].mean() == pytest.approx(expected, rel=0.02), name
    assert found.quality.mended_frames == 1
    assert found.quality.unusable_percent == pytest.approx(processed.quality.unusable_percent, abs=0.1)
    said = f"frame {frame + 1}" + (", slice 9–1" if slices.start else " (counted")
    assert any("The signal jumps in " + said in warning for warning in found.quality.warnings)


def test_nothing_jumps_in_a_good_series(processed):
    assert processed.quality.mended_frames == 0
    assert not any("jumps" in warning for warning in processed.quality.warnings)


@pytest.mark.parametrize("before", [3, 5, 12])
def test_voxels_of_noise_alone_do_not_count_as_fitted(head, processed, before):
    """Half of the brain becomes noise around its baseline; at most 2 % of it may count, however short the baseline."""
    values, noise = head.series.echoes[0].copy(), np.zeros(head.series.grid, bool)
    noise[:, :, :6] = processed.brain[:, :, :6]
    level = values[noise][:, :10].mean(axis=1, keepdims=True)
    values[noise] = level * np.random.default_rng(4).normal(1, 1 / 40, (noise.sum(), values.shape[3]))
    options = Options(motion=False, baseline_max_frames=before)
    found = process(DscSeries((values,), (0.03,), 1.5, head.series.affine), options, brain=processed.brain)
    assert found.quality.baseline_frames == before
    share = 100 * np.count_nonzero(processed.brain & ~noise) / np.count_nonzero(processed.brain)
    assert found.quality.fitted_percent <= share + 0.02 * (100 - share)
    assert found.quality.fitted_percent > (0.85 if before == 12 else 0.5) * share


def test_a_series_that_ends_early_is_warned_about(head):
    late = make_head(frames=29, injection=Injection(recirculation=0.15, count=29))
    words = process(late.series, STILL, brain=late.brain).quality.warnings
    assert any("ends before the bolus has passed" in warning for warning in words)
    some = make_head(frames=36, injection=Injection(recirculation=0.15, count=36))
    words = process(some.series, STILL, brain=some.brain).quality.warnings
    assert any("frames follow the first pass and count as late, not 10" in warning for warning in words)
    many = process(head.series, Options(motion=False, late_frames=500), brain=head.brain)
    assert any("count as late, not 500" in warning for warning in many.quality.warnings)


def test_absolute_values_that_cannot_be_right_are_named(head, processed):
    assert processed.quality.median_cbv == pytest.approx(np.median(processed.maps["CBV"][processed.brain]), rel=0.01)
    vein = process(head.series, STILL, aif_voxels=np.argwhere(pure(head, "white"))[:9])
    assert vein.quality.median_cbv > 7
    (said,) = scale_warnings(vein.quality)
    assert "Relative CBV does not depend on it; MTT and Tmax depend on its shape" in said


@pytest.mark.parametrize(
    ("cbv", "cbf", "plausible"),
    [(3.5, 45, True), (1.6, 20, True), (6.9, 99, True), (15, 60, False), (1.2, 20, False), (4, 150, False)],
)
def test_which_absolute_values_are_plausible(cbv, cbf, plausible):
    assert scale_is_plausible(cbv, cbf) == plausible


def test_an_aif_without_area_is_refused(head):
    values = head.series.echoes[0].copy()
    values[3:6, 30, 6] = 500 - 2 * np.arange(70)[None]
    values[3:6, 30, 6, 20:24] = 1  # a peak, and then only rise
    values[3:6, 30, 6, 26:] = 5000
    series = DscSeries((values,), (0.03,), 1.5, head.series.affine)
    with pytest.raises(InputError, match="area under the given arterial input function is not positive"):
        process(series, STILL, brain=head.brain, aif_voxels=[[4, 30, 6]])


def test_noise_and_a_short_series_are_warned_about():
    noisy = make_head(snr=12, frames=34)
    warnings = process(noisy.series, STILL, brain=noisy.brain).quality.warnings
    assert any("noisy (SNR 1" in warning for warning in warnings)
    assert any("after the peak of the bolus" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"brain": np.ones((3, 3, 3), bool)}, "brain mask has 3 × 3 × 3 voxels"),
        ({"nawm": np.ones((3, 3, 3), bool)}, "white matter mask"),
        ({"nawm": np.zeros((44, 54, 12), bool)}, "has 0 voxels"),
        ({"brain": np.zeros((44, 54, 12), bool)}, "brain mask is empty"),
        ({"aif_voxels": [[99, 0, 0]]}, "outside the DSC series"),
        ({"aif_voxels": [[1, 2]]}, "not a list of indices"),
        ({"aif_voxels": [[0, 0, 0]]}, "show no bolus"),
    ],
)
def test_masks_and_voxels_that_do_not_fit_are_refused(head, arguments, words):
    with pytest.raises(InputError, match=words):
        process(head.series, STILL, **arguments)


def test_a_series_without_a_head_is_refused():
    values = np.random.default_rng(0).uniform(1, 2, (20, 20, 5, 30))
    with pytest.raises(InputError, match=r"no bolus|No brain"):
        process(DscSeries((values,), (0.03,), 1.5, np.diag([2.0, 2, 5, 1])), STILL)


class Cancelling(Silent):
    def __init__(self, stage):
        super().__init__()
        self.stage = stage

    def progress(self, stage, fraction):
        if stage == self.stage:
            raise Cancelled


@pytest.mark.parametrize("stage", ["brain mask", "relaxation", "maps", "motion correction"])
def test_it_can_be_cancelled_in_every_stage(head, stage):
    with pytest.raises(Cancelled):
        process(head.series, Options(motion=stage == "motion correction"), reporter=Cancelling(stage))
