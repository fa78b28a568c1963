"""The simulated DSC series: signals of single voxels, blood volume, leakage, response, noise, determinism."""

import json
from functools import cache

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from HierSynthLib.case import Role
from HierSynthLib.errors import Cancelled
from HierSynthLib.phantom.anatomy import load_anatomy
from HierSynthLib.phantom.dsc import WHITE_MATTER_LEVEL, simulate_dsc
from HierSynthLib.phantom.dsc_agent import Bolus, agent, dsc_table
from HierSynthLib.phantom.dsc_protocol import DSC_PROTOCOLS, DSC_SPACING_MM, DscProtocol
from HierSynthLib.phantom.dsc_tissue import Physiology, mix
from HierSynthLib.phantom.fields import Axes, isotropic_axes, stream
from HierSynthLib.phantom.patient import Patient, simulate
from HierSynthLib.phantom.scanner import ImageGrid, Scene
from HierSynthLib.phantom.signal import block_mean
from HierSynthLib.phantom.tissue import tissue_table
from HierSynthLib.phantom.vessels import draw_vessels, stamp
from HierSynthLib.progress import Silent

TISSUES = tissue_table()
GRID = ImageGrid((8, 8, 4), DSC_SPACING_MM, np.eye(4))
MIDDLE = (4, 4, 2)
DUAL = DscProtocol(te_s=(0.014, 0.040))


def block(fractions, cbv, shape=(60, 60, 60), b0=0.0):
    """A patient who is one block of 1 mm voxels, with constant fractions (or arrays) and CBV in ml/100 g."""
    full = {name: np.zeros(shape, np.float32) for name in ("brain", "vessel", "artery")}
    full |= {name: np.full(shape, value, np.float32) for name, value in fractions.items()}
    signals = {"b0": np.full(shape, b0, float)}
    return Patient(signals, np.full(shape, cbv, float), full, None, None, None, TISSUES)


def block_affine(shape=(60, 60, 60)):
    affine = np.eye(4)
    affine[:3, 3] = [-(n - 1) / 2 for n in shape]
    return affine


def scan(patient, protocol=DscProtocol(), *, grid=GRID, seed=1, noise=False, **options):  # noqa: B008
    return simulate_dsc(patient, block_affine(), grid, np.eye(4), protocol, seed, Silent(), noise=noise, **options)


def direct_signal(simulation, voxel, tissue, echo=0, leak_r2star=0.0, k_ep=0.0, cbv=None):
    """The signal of one voxel from the equations, by plain numerical integration on a fine time axis.

    CBV, MTT, delay and K^trans are the true values of the voxel; nothing of the simulation's arithmetic is used.
    """
    protocol, truth, contrast = simulation.facts["protocol"], simulation.truth, agent()
    dt, early = 0.02, 350.0
    t = np.arange(-early, protocol["frames"] * protocol["tr_s"], dt)
    bolus, table = Bolus(**simulation.facts["bolus"]), dsc_table()["bolus"]

    def gamma_variate(times):
        since = np.clip(times - bolus.t0_s, 0, None)
        scale = bolus.peak / ((bolus.r * bolus.b_s) ** bolus.r * np.exp(-bolus.r))
        return scale * since**bolus.r * np.exp(-since / bolus.b_s)

    def injected(times):
        preload = protocol["preload_dose"] * gamma_variate(times + protocol["preload_lead_s"])
        return protocol["dose"] * gamma_variate(times) + preload

    def smoothed(curve, decay):
        return np.convolve(curve, np.exp(-(t - t[0]) / decay))[: t.size] * dt

    C_a = injected(t)
    for wave in table["recirculation"]:
        C_a = C_a + wave["share"] / wave["decay_s"] * smoothed(injected(t - wave["delay_s"]), wave["decay_s"])
    own = simulation.facts["perfusion"][tissue]
    cbv = float(truth.cbv[voxel]) if cbv is None else cbv
    mtt = 60 * float(truth.cbv[voxel] / truth.cbf[voxel])
    passing = smoothed(C_a, mtt) / mtt
    C_t = contrast.density / contrast.haematocrit_factor * cbv / 100 * passing
    C_x = np.zeros(t.size)
    if k_ep:
        C_x = truth.ktrans[voxel] / 60 * smoothed(C_a / (1 - contrast.haematocrit), 1 / k_ep)
    stay = contrast.vascular_water_s * contrast.r1 * passing / contrast.haematocrit_factor
    R1 = 1e3 / TISSUES[tissue].T1 + contrast.r1 * C_t / (1 + stay) + contrast.r1 * C_x
    R2star = 1e3 / own["T2star"] + contrast.r2star_tissue * C_t + leak_r2star * C_x
    E1, flip = np.exp(-protocol["tr_s"] * R1), np.deg2rad(protocol["flip_deg"])
    signal = TISSUES[tissue].PD * np.sin(flip) * (1 - E1) / (1 - np.cos(flip) * E1)
    signal = signal * np.exp(-protocol["te_s"][echo] * R2star)
    return np.interp(truth.time_s - truth.delay_s[voxel], t, signal)


def relative(curve):
    return curve / curve[0]


def delta_r2star(echoes, te_s, baseline=8):
    """ΔR2* in 1/s of one or two echoes (…, T), by the definition."""
    logs = [np.log(e / e[..., :baseline].mean(axis=-1, keepdims=True)) for e in (x.astype(float) for x in echoes)]
    return -logs[0] / te_s[0] if len(logs) == 1 else (logs[0] - logs[1]) / (te_s[1] - te_s[0])


@pytest.mark.parametrize("name", list(DSC_PROTOCOLS))
def test_white_matter_has_the_signal_of_the_equation(name):
    protocol = DSC_PROTOCOLS[name]
    found = scan(block({"white_matter": 1, "brain": 1}, 2.4), protocol)
    for n, echo in enumerate(found.echoes):
        expected = direct_signal(found, MIDDLE, "white_matter", echo=n)
        np.testing.assert_allclose(relative(echo[MIDDLE]), relative(expected), atol=2e-3)
    if not protocol.preload_dose:
        np.testing.assert_allclose(found.echoes[0][MIDDLE][:8], WHITE_MATTER_LEVEL, rtol=1e-4)
    assert found.echoes[0][MIDDLE].min() < 0.9 * WHITE_MATTER_LEVEL
    assert (found.te_s, found.tr_s, found.flip_deg) == (protocol.te_s, 1.5, protocol.flip_deg)


@pytest.mark.parametrize("name", ["no-preload", "dual-echo"])
def test_leaking_tumour_has_the_signal_of_the_equation(name):
    patient = block({"enhancing": 1, "brain": 1}, 8.0)
    found = scan(patient, DSC_PROTOCOLS[name])
    mixture = mix(patient, block_affine(), GRID, np.eye(4), Silent())
    here = np.flatnonzero((np.argwhere(mixture.inside) == MIDDLE).all(axis=1))[0]
    packing = Physiology.drawn(1, mixture.points).r2star_interstitial[here]
    own = found.facts["perfusion"]["enhancing"]
    for n, echo in enumerate(found.echoes):
        expected = direct_signal(
            found, MIDDLE, "enhancing", echo=n, leak_r2star=packing, k_ep=own["Ktrans"] / own["v_e"] / 60
        )
        np.testing.assert_allclose(relative(echo[MIDDLE]), relative(expected), atol=4e-3)


def test_blood_volume_that_varies_within_a_voxel_is_averaged_as_signal():
    shape = (60, 60, 60)
    cbv = np.broadcast_to(np.where(np.random.default_rng(4).uniform(size=60) < 0.5, 3.0, 14.0), shape)
    found = scan(block({"grey_matter": 1, "brain": 1}, cbv))
    checked = 0
    for k in range(1, 3):
        voxel = (4, 4, k)
        z = (GRID.affine @ [4, 4, k, 1])[2] + np.arange(-2, 3)  # the five planes that the slice holds
        planes = cbv[30, 30, np.rint(z + 29.5).astype(int)]
        parts = [direct_signal(found, voxel, "grey_matter", cbv=value) for value in (3.0, 14.0)]
        share = np.mean(planes == 14.0)
        expected = (1 - share) * parts[0] + share * parts[1]
        wrong = direct_signal(found, voxel, "grey_matter")  # of the mean concentration
        error, naive = (np.abs(relative(found.echoes[0][voxel]) - relative(s)).max() for s in (expected, wrong))
        assert error < 0.02
        if 0.3 < share < 0.7:
            assert naive > 2.5 * error
            checked += 1
    assert checked


@pytest.mark.parametrize("tissue", ["grey_matter", "white_matter"])
@pytest.mark.parametrize("cbv", [1.0, 4.0])
def test_area_under_the_curve_is_the_blood_volume(tissue, cbv):
    found = scan(block({tissue: 1, "brain": 1}, cbv), DUAL)  # two echoes: without the influence of T1
    curve = delta_r2star([e[MIDDLE] for e in found.echoes], found.te_s)
    share = agent().density / agent().haematocrit_factor * cbv / 100
    blood, mtt = found.truth.arterial_input, 60 * cbv / found.truth.cbf[MIDDLE]
    inside = blood[-1] * (found.truth.delay_s[MIDDLE] + mtt)  # has arrived in the artery, but not yet left the tissue
    expected = agent().r2star_tissue * share * (blood.sum() * found.tr_s - inside)
    assert curve.sum() * found.tr_s == pytest.approx(expected, rel=0.01)


def test_leakage_has_both_signs_and_nobody_says_which():
    patient, healthy = block({"enhancing": 1, "brain": 1}, 6.0), block({"white_matter": 1, "brain": 1}, 2.0)
    wide = ImageGrid((22, 22, 5), DSC_SPACING_MM, np.eye(4))
    inner = (slice(4, -4), slice(4, -4), slice(1, -1))
    late = {}
    for name in ("no-preload", "low-flip-angle", "dual-echo"):
        tumour, white = (scan(p, DSC_PROTOCOLS[name], grid=wide) for p in (patient, healthy))
        curves = delta_r2star([e[inner] for e in tumour.echoes], tumour.te_s)
        reference = delta_r2star([e[inner] for e in white.echoes], white.te_s)
        late[name] = curves[..., -20:].mean(axis=-1) - 3 * reference[..., -20:].mean(axis=-1)
    assert np.mean(late["no-preload"] < 0) > 0.5  # T1 shortening wins at 60° without preload
    assert np.mean(late["dual-echo"] > 0) == 1  # two echoes see only T2*
    assert np.percentile(late["low-flip-angle"], 2) < 0 < np.percentile(late["low-flip-angle"], 98)


def test_baseline_is_a_steady_state():
    found = scan(block({"white_matter": 0.5, "grey_matter": 0.5, "brain": 1}, 3.0))
    arrival = Bolus(**found.facts["bolus"]).t0_s + found.truth.delay_s[MIDDLE]
    before = found.echoes[0][MIDDLE][found.truth.time_s < arrival]
    assert before.size >= 8
    np.testing.assert_allclose(before, before[0], rtol=1e-6)
    preloaded = scan(block({"white_matter": 1, "brain": 1}, 2.0), DSC_PROTOCOLS["preload"]).echoes[0][MIDDLE][:8]
    np.testing.assert_allclose(preloaded, preloaded[0], rtol=2e-3)


def _response(axis, position):
    """Weights of CSF over the voxels of one row across a sheet of 1 mm at `position` mm."""
    shape = (60, 60, 60)
    sheet = np.zeros(shape, np.float32)
    index = [slice(None)] * 3
    index[axis] = round(position + 29.5)
    sheet[tuple(index)] = 1
    grid = ImageGrid((16, 16, 9), DSC_SPACING_MM, np.eye(4))
    patient = block({"csf": sheet, "brain": sheet}, 0.0)
    simulation = simulate_dsc(patient, block_affine(), grid, np.eye(4), DscProtocol(), 1, Silent(), noise=False)
    row = [8, 8, 4]
    row[axis] = slice(None)
    profile = simulation.echoes[0][..., 0][tuple(row)].astype(float)
    centre = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(grid.shape, grid.spacing, strict=True)][axis]
    return profile / profile.sum(), centre


@pytest.mark.parametrize("axis", [0, 1])
def test_in_plane_blur_has_the_stated_width(axis):
    profile, x = _response(axis, 0.5)
    mean = (profile * x).sum()
    assert mean == pytest.approx(0.5, abs=0.05)
    variance = (profile * (x - mean) ** 2).sum()
    sheet = 1 / 6  # the sheet, interpolated linearly, is a triangle
    assert np.sqrt(variance - sheet) * 2.3548 == pytest.approx(1.3 * 1.8, rel=0.04)


def test_slice_is_five_millimetres_thick():
    for position, expected in ((0.5, [1]), (2.5, [0.5, 0.5])):  # inside a slice, and on the border of two
        profile, _ = _response(2, position)
        found = np.sort(profile[profile > 0.02])[::-1]
        np.testing.assert_allclose(found, expected, atol=0.11)


def test_motion_and_drift_are_in_the_truth():
    patient = block({"white_matter": 1, "brain": 1}, 2.0)
    found = scan(patient, motion=True, drift=True)
    still = scan(patient)
    ratio = found.echoes[0][MIDDLE] / still.echoes[0][MIDDLE]  # a uniform block shows no motion
    np.testing.assert_allclose(ratio, found.truth.drift, atol=5e-3)
    assert found.facts["drift"] == pytest.approx(found.truth.drift[-1] - 1, abs=1e-6)
    assert np.abs(found.truth.motion - np.eye(4)).max() > 0.05
    np.testing.assert_array_equal(still.truth.motion, np.tile(np.eye(4), (90, 1, 1)))


@cache
def person(spacing=3.0, grade="high"):
    """A whole patient."""
    axes, parts = fine_axes(spacing)
    return simulate(load_anatomy("procedural"), axes, parts, 1, grade, Silent())


def fine_axes(spacing):
    """Where tissue is simulated, and how many such voxels there are along an edge of a voxel."""
    parts = max(1, round(spacing / 1.5))
    coarse, offsets = isotropic_axes(spacing), ((np.arange(parts) + 0.5) / parts - 0.5) * spacing
    return Axes(*[(p[:, None] + offsets).ravel() for p in (coarse.i, coarse.j, coarse.k)]), parts


@cache
def head(spacing=3.0, protocol=DscProtocol(frames=40), seed=1, noise=True, misalignment=True):  # noqa: B008
    """The series of the whole patient; cached, so do not change its arrays."""
    scene = Scene.drawn(1, misalignment)
    reference = ImageGrid.covering((spacing,) * 3, scene.frame)
    grid = ImageGrid.covering((3.0, 3.0, 6.0), scene.frames[Role.CBV_ACQUIRED])
    movement = scene.movement[Role.CBV_ACQUIRED]
    return simulate_dsc(person(spacing), reference.affine, grid, movement, protocol, seed, Silent(), noise=noise)


def test_a_patient_says_where_his_arteries_are():
    patient, (axes, parts) = person(), fine_axes(3.0)
    arteries, _ = draw_vessels(load_anatomy("procedural"), patient.deformation, stream(1, "vessels"))
    artery = block_mean(stamp(arteries, axes), (parts,) * 3)
    np.testing.assert_allclose(patient.fractions["artery"], artery, atol=1e-6)
    assert (patient.fractions["artery"] <= patient.fractions["vessel"] + 1e-6).all()
    assert patient.fractions["artery"].max() > 0.5


def test_noise_is_rician_with_the_stated_ratio():
    found, quiet = head(), head(noise=False)
    series, still = found.echoes[0].astype(float), quiet.echoes[0]
    sigma = WHITE_MATTER_LEVEL / 80
    air = still.max(axis=-1) < 1e-3 * WHITE_MATTER_LEVEL
    assert air.sum() > 20_000
    assert np.mean(series[air] ** 2) == pytest.approx(2 * sigma**2, rel=0.02)
    bright = (still[..., 0] > 800) & (found.truth.artery + found.truth.vein < 0.01)
    spread = series[bright][:, :8].std(axis=1, ddof=1)
    assert np.sqrt(np.mean(spread**2)) == pytest.approx(np.hypot(sigma, np.sqrt(1 / 12)), rel=0.02)
    np.testing.assert_array_equal(series, np.rint(series))
    assert not np.array_equal(quiet.echoes[0], np.rint(quiet.echoes[0]))


def test_the_seed_decides_everything():
    first, again = head(), head.__wrapped__()
    np.testing.assert_array_equal(first.echoes[0], again.echoes[0])
    assert first.facts == again.facts
    other = head(seed=2)
    assert other.facts["bolus"] != first.facts["bolus"]
    assert other.facts["perfusion"] != first.facts["perfusion"]
    assert np.mean(other.echoes[0] == first.echoes[0]) < 0.2
    noise = [np.diff(first.echoes[0][i, 20:40, 10:20, :10], axis=-1).ravel() for i in (30, 31)]
    assert abs(np.corrcoef(*noise)[0, 1]) < 0.1  # neighbours have their own noise
    assert json.loads(json.dumps(first.facts)) == first.facts


def test_the_same_person_at_another_size():
    small, finer = head(noise=False), head(spacing=2.0, noise=False)
    assert small.facts == finer.facts
    inside = (small.truth.delay_s > 0) & (finer.truth.delay_s > 0)
    np.testing.assert_allclose(small.truth.delay_s[inside], finer.truth.delay_s[inside], atol=1e-5)
    brain = (small.truth.cbf > 10) & (finer.truth.cbf > 10)
    assert np.corrcoef(small.truth.cbv[brain], finer.truth.cbv[brain])[0, 1] > 0.9
    for frame in (0, 18, 39):
        a, b = (s.echoes[0][..., frame][brain] for s in (small, finer))
        assert np.corrcoef(a, b)[0, 1] > 0.9
        assert a.mean() == pytest.approx(b.mean(), rel=0.02)


def test_true_blood_volume_is_that_of_the_patient_where_he_lies():
    found, patient = head(noise=False), person()
    scene = Scene.drawn(1, True)
    reference = ImageGrid.covering((3.0,) * 3, scene.frame).affine
    assert found.truth.cbv.sum() * 54 == pytest.approx(patient.cbv.sum() * 27, rel=0.02)
    weight = patient.cbv.ravel()
    before = np.average(apply_affine(reference, np.argwhere(np.ones(patient.cbv.shape))), axis=0, weights=weight)
    weight = found.truth.cbv.ravel()
    after = np.average(apply_affine(found.affine, np.argwhere(np.ones(found.truth.cbv.shape))), axis=0, weights=weight)
    np.testing.assert_allclose(apply_affine(scene.movement[Role.CBV_ACQUIRED], before), after, atol=0.3)


def test_physiology_moves_with_the_patient():
    moved, still = head(noise=False), head(noise=False, misalignment=False)
    movement = Scene.drawn(1, True).movement[Role.CBV_ACQUIRED]
    voxels = np.argwhere(still.truth.delay_s > 0)
    places = apply_affine(np.linalg.inv(moved.affine) @ movement @ still.affine, voxels)
    # The field is smooth, so linear interpolation is good where all eight neighbours lie in the head.
    whole = ndimage.map_coordinates((moved.truth.delay_s > 0).astype(float), places.T, order=1) > 0.999
    found = ndimage.map_coordinates(moved.truth.delay_s, places.T, order=1)
    own = still.truth.delay_s[tuple(voxels.T)]
    assert whole.sum() > 1000
    assert np.abs(found - own)[whole].mean() < 0.003  # without the movement 0.011


def test_normalised_blood_volume_comes_back_from_the_series():
    found = head(protocol=DUAL, noise=False)
    truth, brain = found.truth, found.truth.cbf > 10
    clear = brain & (truth.artery + truth.vein < 0.005) & (truth.ktrans < 1e-4)
    assert clear.sum() > 1000
    curves = delta_r2star([e[clear] for e in found.echoes], found.te_s)
    ratio = curves.sum(axis=-1) / truth.cbv[clear]
    assert np.std(ratio) / np.mean(ratio) < 0.12  # tissue with CSF in the same voxel deviates
    assert np.corrcoef(curves.sum(axis=-1), truth.cbv[clear])[0, 1] > 0.94


def test_blood_is_in_arteries_first_and_in_veins_last():
    found = head(noise=False)
    truth = found.truth
    series = np.maximum(found.echoes[0], 1.0)  # air has no signal
    curves = delta_r2star([series], found.te_s)
    groups = {
        "artery": (truth.artery > 0.1) & (truth.vein < 0.01),
        "tissue": (truth.cbf > 20) & (truth.artery + truth.vein < 0.005) & (truth.ktrans < 1e-4),
        "vein": (truth.vein > 0.1) & (truth.artery < 0.01),
    }
    height, centre = {}, {}
    for name, group in groups.items():
        curve = np.clip(curves[group].mean(axis=0), 0, None)[:26]
        height[name], centre[name] = curve.max(), (curve * truth.time_s[:26]).sum() / curve.sum()
    assert centre["artery"] + 1 < centre["tissue"]
    assert centre["artery"] + 1 < centre["vein"]
    assert height["artery"] > 1.5 * height["tissue"]


def test_stopping_is_possible_at_every_report():
    patient = block({"white_matter": 1, "brain": 1}, 2.0)

    class Counter(Silent):
        limit, fractions = 10_000, []

        def progress(self, stage, fraction):
            assert stage == "acquisition"
            self.fractions.append(fraction)
            if len(self.fractions) > self.limit:
                raise Cancelled

    counter = Counter()
    simulate_dsc(patient, block_affine(), GRID, np.eye(4), DscProtocol(), 1, counter, motion=True)
    assert counter.fractions == sorted(counter.fractions)
    assert max(counter.fractions) <= 1
    reports = len(counter.fractions)
    counter.limit = reports + reports // 2
    with pytest.raises(Cancelled):
        simulate_dsc(patient, block_affine(), GRID, np.eye(4), DscProtocol(), 1, counter, motion=True)
