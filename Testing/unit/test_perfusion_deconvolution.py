"""CBF, Tmax by deconvolution: against explicit singular value decompositions and simulated tissue."""

import numpy as np
import pytest
from scipy.linalg import circulant, toeplitz
from scipy.signal import resample

from HierSynthLib.perfusion.deconvolution import Deconvolution
from HierSynthLib.perfusion.options import Options
from Testing.unit.test_perfusion_simulation import FRAMES, R2STAR, TE_S, TR_S, Injection, relaxation, rician, tissue

GREY, WHITE = [(4, cbf) for cbf in (10, 30, 50, 60, 70)], [(2, cbf) for cbf in (5, 15, 25, 35)]


def curves_of(injection, cases, **kwargs):
    rows = [injection.frames(tissue(injection, cbv, cbf, **kwargs)) for cbv, cbf in cases]
    return (R2STAR * np.stack(rows)).astype(np.float32)


def flow_of(injection, curves, **options):
    aif = R2STAR * injection.frames(injection.artery())
    chosen = Options(**options)
    found = Deconvolution(aif, injection.tr_s, chosen).run(curves)
    return chosen.blood_factor * 60 * found.peak, found


def noisy_curves(count=30, snr=60, seed=0):
    injection = Injection(recirculation=0.15)
    drop = np.exp(-TE_S * np.tile(curves_of(injection, [(4, 60)]), (count, 1)))
    return injection, relaxation(rician(1000 * drop, 1000 / snr, seed)).astype(np.float32)


def weighted(aif):
    before, after = np.r_[aif[0], aif[:-1]], np.r_[aif[1:], aif[-1]]
    return (before + 4 * aif + after) / 6


def truncated(matrix, threshold):
    left, size, right = np.linalg.svd(matrix)
    return right.T @ np.diag(np.where(size >= threshold * size[0], 1 / size, 0)) @ left.T


def test_ssvd_is_the_truncated_inverse_of_the_triangular_matrix():
    injection, curves = noisy_curves()
    aif = R2STAR * injection.frames(injection.artery())
    column = weighted(aif) * TR_S
    residue = curves @ truncated(toeplitz(column, np.zeros(FRAMES)), 0.2).T
    found = Deconvolution(aif, TR_S, Options(deconvolution="ssvd")).run(curves)
    assert np.all(found.peak >= residue.max(axis=1) - 1e-5)
    np.testing.assert_allclose(found.peak, residue.max(axis=1), rtol=0.02)
    assert np.abs(found.tmax_s - residue.argmax(axis=1) * TR_S).max() <= TR_S


def circular_residues(injection, curves, threshold):
    """(n, 2T) residue functions by the singular value decomposition of the block-circulant matrix."""
    aif = R2STAR * injection.frames(injection.artery())
    count = int(20 / TR_S)
    taper = np.ones(FRAMES)
    taper[-count:] = 0.5 + 0.5 * np.cos(np.pi * np.arange(1, count + 1) / (count + 1))
    matrix = circulant(np.r_[weighted(aif * taper), np.zeros(FRAMES)] * TR_S)
    padded = np.concatenate([curves * taper, np.zeros_like(curves)], axis=1)
    return padded @ truncated(matrix, threshold).T


def test_csvd_is_the_truncated_inverse_of_the_block_circulant_matrix():
    injection, curves = noisy_curves()
    residue = circular_residues(injection, curves, 0.1)
    _, found = flow_of(injection, curves, deconvolution="csvd")
    between = resample(residue, 32 * residue.shape[1], axis=1)  # band-limited, so this is exact
    np.testing.assert_allclose(found.peak, between.max(axis=1), rtol=0.005)
    places = residue.argmax(axis=1) * TR_S
    places = np.where(places > FRAMES * TR_S, places - 2 * FRAMES * TR_S, places)
    assert np.abs(found.tmax_s - places).max() <= TR_S


def test_osvd_takes_the_smallest_threshold_without_oscillation():
    injection, curves = noisy_curves()
    _, found = flow_of(injection, curves)
    assert len(np.unique(found.threshold)) > 1

    ladder = [0.05, 0.06, 0.08, 0.10, 0.12, 0.15, 0.18, 0.22, 0.26, 0.30]
    residues = np.stack([circular_residues(injection, curves, threshold) for threshold in ladder])
    bends = np.abs(np.diff(residues, 2, axis=2)).sum(axis=2)
    oscillation = bends / residues.shape[2] / residues.max(axis=2)  # (thresholds, voxels)
    assert oscillation.min(axis=0).max() < 0.035  # the ladder reaches far enough
    first = np.asarray(ladder)[(oscillation <= 0.035).argmax(axis=0)]
    clear = np.abs(oscillation - 0.035).min(axis=0) > 1e-4  # of rounding
    assert np.count_nonzero(clear) > 20
    np.testing.assert_allclose(found.threshold[clear], first[clear], rtol=1e-6)


@pytest.mark.parametrize(("cbv", "cbf"), [*GREY, *WHITE, (8, 80)])
@pytest.mark.parametrize("recirculation", [0.0, 0.15])
def test_osvd_flow_does_not_change_with_delay(cbv, cbf, recirculation):
    injection = Injection(recirculation=recirculation)
    flows, delays = [], (0.0, 0.3, 0.75, 1.0, 1.5, 2.3, 3.0, 4.1, 5.0)
    for delay_s in delays:
        flow, found = flow_of(injection, curves_of(injection, [(cbv, cbf)], delay_s=delay_s))
        flows.append(flow[0])
        if delay_s == 0:
            start = found.tmax_s[0]
        assert found.tmax_s[0] - start == pytest.approx(delay_s, abs=0.15)
    assert max(flows) / min(flows) - 1 < 0.02


def test_tissue_before_the_artery_has_a_negative_tmax_and_the_same_flow():
    injection = Injection()
    on_time, early = (curves_of(injection, [(4, 60)], delay_s=delay_s) for delay_s in (0.0, -3.0))
    flow, found = flow_of(injection, np.concatenate([on_time, early]))
    assert flow[1] == pytest.approx(flow[0], rel=0.02)
    assert found.tmax_s[1] - found.tmax_s[0] == pytest.approx(-3.0, abs=0.15)


def test_ssvd_flow_depends_on_delay():
    injection = Injection()
    curves = np.concatenate([curves_of(injection, [(4, 60)], delay_s=delay_s) for delay_s in (0.0, 0.5, 1.5, 3.0)])
    flow, _ = flow_of(injection, curves, deconvolution="ssvd")
    assert flow.max() > 1.05 * flow.min()


@pytest.mark.parametrize("kind", ["exponential", "gamma"])
def test_the_grid_of_the_digital_reference_object_is_reproduced(kind):
    """CBV 4 with CBF 10–70 and CBV 2 with CBF 5–35; tolerance 15 + 10 %, as published with such an object (OSIPI).

    Truncation smooths R, so that high flows come out low with every variant; their order stays.
    """
    injection = Injection()
    for cases in (GREY, WHITE):
        true = np.array([cbf for _, cbf in cases], dtype=float)
        flow, _ = flow_of(injection, curves_of(injection, cases, kind=kind))
        assert np.all(np.abs(flow - true) <= 15 + 0.1 * true)
        assert np.all(np.diff(flow) > 0)
        assert np.all(flow > 0.6 * true)
        assert np.all(flow < 1.25 * true)


def test_flow_is_linear_in_the_curves_and_falls_with_a_larger_aif():
    injection, curves = noisy_curves(10)
    aif = R2STAR * injection.frames(injection.artery())
    once = Deconvolution(aif, TR_S, Options()).run(curves)
    twice = Deconvolution(aif, TR_S, Options()).run(2 * curves)
    larger = Deconvolution(4 * aif, TR_S, Options()).run(curves)
    np.testing.assert_allclose(twice.peak, 2 * once.peak, rtol=1e-5)
    np.testing.assert_allclose(larger.peak, once.peak / 4, rtol=1e-4)


def test_the_order_of_the_voxels_does_not_matter():
    injection, curves = noisy_curves(50)
    _, all_at_once = flow_of(injection, curves)
    order = np.random.default_rng(1).permutation(50)
    _, shuffled = flow_of(injection, curves[order])
    np.testing.assert_allclose(shuffled.peak, all_at_once.peak[order], rtol=1e-5)
    np.testing.assert_array_equal(shuffled.threshold, all_at_once.threshold[order])


def test_curves_without_signal_have_no_flow():
    injection = Injection()
    flow, _ = flow_of(injection, np.zeros((3, FRAMES), dtype=np.float32))
    np.testing.assert_array_equal(flow, 0)
