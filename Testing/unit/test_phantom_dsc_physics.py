"""The physics of the simulated DSC series: bolus, residue, leakage, signal, noise, motion."""

import json
from math import gamma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, ndimage
from scipy.spatial.transform import Rotation

import HierSynthLib.phantom as package
from HierSynthLib.errors import InputError
from HierSynthLib.phantom.dsc_agent import Bolus, Kinetics, agent, convolved, mtt_rows
from HierSynthLib.phantom.dsc_disturbance import add_noise, drawn_drift, drawn_motion, move
from HierSynthLib.phantom.dsc_protocol import DSC_PROTOCOLS, DscProtocol
from HierSynthLib.phantom.dsc_signal import gradient_echo
from HierSynthLib.phantom.dsc_tissue import perfusion_table, personal_perfusion
from HierSynthLib.phantom.scanner import ImageGrid
from HierSynthLib.phantom.tissue import tissue_table
from HierSynthLib.progress import Silent

BOLUS = Bolus(peak=6.0, r=3.0, b_s=1.5, t0_s=20.0)
LONG = DscProtocol(frames=90, tr_s=1.5)


def test_bolus_is_the_gamma_variate():
    times = np.arange(0, 100, 0.01)
    C0 = BOLUS.peak / (4.5**3 * np.exp(-3))  # the peak lies r·b = 4.5 s after t0
    assert BOLUS.first_pass(np.array([24.5]))[0] == pytest.approx(BOLUS.peak)
    assert BOLUS.first_pass(np.array([27.0]))[0] == pytest.approx(C0 * 7**3 * np.exp(-7 / 1.5))
    assert BOLUS.first_pass(np.array([0.0, 20.0])).tolist() == [0, 0]
    area = np.trapezoid(BOLUS.first_pass(times), times)
    assert area == pytest.approx(C0 * 1.5**4 * gamma(4), rel=1e-4)


@settings(deadline=None, max_examples=15)
@given(decay=st.floats(0.3, 1000), end=st.floats(22, 90))
def test_convolution_with_an_exponential_agrees_with_quadrature(decay, end):
    step = 0.05
    times = np.arange(0, 100, step)
    found = np.interp(end, times, convolved(BOLUS.first_pass(times), decay, step))
    expected = integrate.quad(
        lambda t: BOLUS.first_pass(np.array([t]))[0] * np.exp(-(end - t) / decay), 20, end, points=[24.5], limit=200
    )[0]
    assert found == pytest.approx(expected, rel=2e-3, abs=2e-4)


def test_convolution_of_a_ramp_is_exact():
    times = np.arange(0, 50, 0.5)
    for decay in (0.7, 5.0, 1e5):
        # ∫τ·e^(−(t − τ)/T)dτ = T·t − T²·(1 − e^(−t/T)); its difference of large numbers limits the check at 1e5
        exact = decay * times + decay**2 * np.expm1(-times / decay)
        np.testing.assert_allclose(convolved(times, decay, 0.5), exact, rtol=1e-4, atol=1e-5)


def _artery(kinetics, frames, tr, delay=0.0):
    return kinetics.artery.at(np.zeros(1), np.array([delay]), tr, frames)[0]


def test_a_delay_moves_the_curve():
    kinetics = Kinetics(BOLUS, LONG)
    now, later = _artery(kinetics, 90, 1.5), _artery(kinetics, 90, 1.5, delay=3.0)
    np.testing.assert_allclose(later[2:], now[:-2], atol=1e-9)
    between = _artery(kinetics, 90, 1.5, delay=0.73)
    times = 1.5 * np.arange(90) - 0.73
    fresh = times < 30  # before anything has come round
    np.testing.assert_allclose(between[fresh], BOLUS.first_pass(times[fresh]), atol=0.02)


def test_blood_comes_back_and_stays():
    curve = _artery(Kinetics(BOLUS, LONG), 90, 1.5)
    first = BOLUS.first_pass(1.5 * np.arange(90))
    assert np.argmax(curve[22:]) + 22 in range(23, 28)  # the second hump, 35–42 s
    assert 0.03 * BOLUS.peak < curve[-1] < 0.12 * BOLUS.peak
    assert first[-1] < 1e-6


@pytest.mark.parametrize("mtt", [1.3, 4.0, 4.8, 8.57])
def test_tissue_curve_of_any_transit_time(mtt):
    kinetics = Kinetics(BOLUS, LONG)
    found = kinetics.tissue().at(mtt_rows(np.array([mtt])), np.zeros(1), 1.5, 90)[0]
    fine = np.arange(0, 135, 0.02)
    artery = kinetics.artery.at(np.zeros(1), np.zeros(1), 0.1, 1350)[0]
    artery = np.interp(fine, 0.1 * np.arange(1350), artery)
    direct = np.convolve(artery, np.exp(-fine / mtt))[: fine.size] * 0.02 / mtt
    expected = np.interp(1.5 * np.arange(90), fine, direct)
    np.testing.assert_allclose(found, expected, atol=0.01 * expected.max())


def test_all_blood_that_enters_tissue_leaves_it():
    kinetics = Kinetics(BOLUS, DscProtocol(frames=400, tr_s=0.5))
    areas = [_artery(kinetics, 400, 0.5).sum()]
    areas += [kinetics.tissue().at(mtt_rows(np.array([mtt])), np.zeros(1), 0.5, 400).sum() for mtt in (2.0, 4.8)]
    areas.append(kinetics.vein.at(np.zeros(1), np.zeros(1), 0.5, 400).sum())
    np.testing.assert_allclose(areas, areas[0], rtol=0.03)  # what has not left yet at the end is missing


def test_leakage_solves_its_differential_equation():
    Ktrans, v_e, haematocrit = 0.1 / 60, 0.29, 0.45
    kinetics = Kinetics(BOLUS, LONG)
    found = Ktrans * kinetics.leakage(Ktrans / v_e, haematocrit).at(np.zeros(1), np.zeros(1), 1.5, 90)[0]
    fine = 0.1 * np.arange(1350)
    plasma = kinetics.artery.at(np.zeros(1), np.zeros(1), 0.1, 1350)[0] / (1 - haematocrit)
    solved = integrate.solve_ivp(
        lambda t, C_e: Ktrans / v_e * (np.interp(t, fine, plasma) - C_e), (0, 134), [0.0], max_step=0.2, rtol=1e-8,
        t_eval=1.5 * np.arange(90),
    )  # fmt: skip
    np.testing.assert_allclose(found, v_e * solved.y[0], atol=2e-4 * found.max())


def test_preload_is_still_there_when_the_bolus_comes():
    alone, after = (Kinetics(BOLUS, DscProtocol(preload_dose=dose)) for dose in (0.0, 1.0))
    before, curve = _artery(alone, 90, 1.5), _artery(after, 90, 1.5)
    assert before[:12].max() == 0
    assert 0.02 * BOLUS.peak < curve[0] < 0.12 * BOLUS.peak
    assert curve[10] < curve[0]
    np.testing.assert_allclose(curve - before, np.interp(np.arange(90), [0, 10], curve[[0, 10]]), rtol=0.2)


def test_signal_is_the_steady_state_of_repeated_pulses():
    T1, T2star, TR, TE, flip = 1.4, 0.05, 1.5, 0.03, 60
    longitudinal = 1.0
    for _ in range(100):  # pulse, spoiling, recovery
        echo = longitudinal * np.sin(np.deg2rad(flip)) * np.exp(-TE / T2star)
        longitudinal = 1 + (longitudinal * np.cos(np.deg2rad(flip)) - 1) * np.exp(-TR / T1)
    found = gradient_echo(700.0, 1 / T1, 1 / T2star, tr_s=TR, te_s=TE, flip_deg=flip)
    assert found == pytest.approx(700 * echo, rel=1e-9)


@pytest.mark.parametrize("concentration", [0.05, 0.5, 3.0])
def test_water_in_vessels_feels_the_agent_as_in_two_pools(concentration):
    contrast = agent()
    v, stay = 0.002, contrast.vascular_water_s  # the formula holds for a small pool
    C_b = concentration / contrast.haematocrit_factor
    into, out = v / stay, (1 - v) / stay
    R1 = 1 / 1.4
    exchange = np.array([[-R1 - into, out], [into, -R1 - contrast.r1 * C_b - out]])
    slow = -np.linalg.eigvals(exchange).real.max()
    found = contrast.vascular_r1(np.array([concentration]))[0] * v * C_b
    assert found == pytest.approx(slow - R1, rel=0.02)


def test_noise_is_rician_and_has_its_strength():
    for signal in (0.0, 40.0, 1000.0):
        series = np.full((40, 30, 20, 20), signal, np.float32)
        add_noise(series, 12.5, np.random.default_rng(2), Silent())
        assert np.mean(series.astype(float) ** 2) == pytest.approx(signal**2 + 2 * 12.5**2, rel=0.01)
        if signal == 0:
            assert series.mean() == pytest.approx(12.5 * np.sqrt(np.pi / 2), rel=0.01)
        if signal == 1000:
            assert series.std() == pytest.approx(12.5, rel=0.01)
        np.testing.assert_array_equal(series, np.rint(series))


def test_drift_is_a_line_and_small():
    ends = []
    for seed in range(200):
        gain = drawn_drift(np.random.default_rng(seed), 90)
        np.testing.assert_allclose(np.diff(gain), (gain[-1] - 1) / 89)
        ends.append(gain[-1] - 1)
    assert np.abs(ends).max() < 0.04 + 1e-9
    assert np.std(ends) == pytest.approx(0.02, rel=0.2)


def test_motion_is_rigid_and_begins_at_the_first_frame():
    poses = drawn_motion(np.random.default_rng(3), 90, np.array([5.0, -3.0, 20.0]))
    np.testing.assert_array_equal(poses[0], np.eye(4))
    for pose in poses:
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
    degrees = np.rad2deg(Rotation.from_matrix(poses[:, :3, :3]).magnitude())
    assert 0.1 < degrees.max() < 6
    shift = np.linalg.norm(poses[:, :3, :3] @ [5, -3, 20] + poses[:, :3, 3] - [5, -3, 20], axis=1)
    assert 0.1 < shift.max() < 6


def test_a_moved_frame_shows_points_where_the_motion_says():
    frame = np.eye(4)
    frame[:3, :3] = Rotation.from_euler("xyz", [10, -5, 8], degrees=True).as_matrix()
    grid = ImageGrid((40, 40, 24), (2.0, 2.0, 4.0), frame)
    blob = np.zeros(grid.shape)
    blob[22, 17, 11] = 1e4
    blob = ndimage.gaussian_filter(blob, 2.0).astype(np.float32)
    series = np.repeat(blob[..., None], 2, axis=3)
    motion = np.tile(np.eye(4), (2, 1, 1))
    motion[1, :3, :3] = Rotation.from_euler("xyz", [2, 1, -3], degrees=True).as_matrix()
    motion[1, :3, 3] = [1.5, -2.2, 1.1]
    move(series, motion, grid, Silent())
    np.testing.assert_array_equal(series[..., 0], blob)
    start = (grid.affine @ [22, 17, 11, 1])[:3]
    expected = motion[1, :3, :3] @ start + motion[1, :3, 3]
    found = (grid.affine @ [*ndimage.center_of_mass(series[..., 1]), 1])[:3]
    np.testing.assert_allclose(found, expected, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"te_s": (30.0,)}, "te_s"),
        ({"te_s": (0.04, 0.014)}, "rise"),
        ({"te_s": ()}, "echo"),
        ({"tr_s": 1500.0}, "tr_s"),
        ({"flip_deg": 0.0}, "flip_deg"),
        ({"frames": 12}, "frames"),
        ({"preload_dose": -1.0}, "preload_dose"),
        ({"snr": float("nan")}, "snr"),
    ],
)
def test_a_protocol_that_no_scanner_runs_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        DscProtocol(**arguments)


def test_named_protocols():
    assert DSC_PROTOCOLS["no-preload"] == DscProtocol()
    assert DSC_PROTOCOLS["preload"].preload_dose > 0
    assert DSC_PROTOCOLS["low-flip-angle"].flip_deg == 30
    assert len(DSC_PROTOCOLS["dual-echo"].te_s) == 2
    assert json.loads(json.dumps(DscProtocol().as_json()))["te_s"] == [0.03]


def test_perfusion_values_are_those_of_the_literature():
    table, contrast = perfusion_table(), agent()
    assert (table["grey_matter"].MTT, table["white_matter"].MTT) == (4.0, 4.8)
    assert (table["enhancing"].Ktrans, table["enhancing"].v_e) == (0.10, 0.29)
    # CBV/MTT gives the published CBF of grey and white matter, 60 and 25 ml/100 g/min
    for name, cbf in (("grey_matter", 60.0), ("white_matter", 25.0)):
        assert pytest.approx(cbf) == 60 * tissue_table()[name].CBV / table[name].MTT
    assert (contrast.r1, contrast.r2star_tissue, contrast.r2star_interstitial) == (4.5, 87.0, (5.0, 30.0))
    assert (contrast.haematocrit_factor, contrast.density) == (0.73, 1.04)
    assert contrast.haematocrit_factor == pytest.approx((1 - contrast.haematocrit) / (1 - 0.25), abs=0.005)


def test_design_values_are_named_as_such():
    content = json.loads((Path(package.__file__).parent / "dsc.json").read_text(encoding="utf-8"))
    assert "design" in content["sources"]
    for row in (content["contrast_agent"], content["bolus"], *content["tissues"].values()):
        assert set(row["design"]) <= set(row)
    assert content["tissues"]["grey_matter"]["design"] == ["T2star"]


def test_people_differ_and_leak_rates_stay_possible():
    people = [personal_perfusion(np.random.default_rng(seed)) for seed in range(100)]
    assert np.std([p["grey_matter"].MTT for p in people]) / 4.0 == pytest.approx(0.08, rel=0.3)
    for person in people:
        assert person["necrosis"].v_e <= 0.9
        assert person["enhancing"].Ktrans / person["enhancing"].v_e == pytest.approx(0.1 / 0.29)
        assert json.loads(json.dumps(person["enhancing"].as_json()))["MTT"] > 0
