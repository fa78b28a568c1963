"""The arterial input function among curves whose kind is known."""

import numpy as np
import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.aif import AifError, Candidates, find_aif, given_aif, tissue_equivalent
from HierSynthLib.perfusion.baseline import find_bolus
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.qc import assess
from Testing.unit.test_perfusion_simulation import (
    TE_S,
    TR_S,
    Injection,
    convolve,
    leaked,
    relaxation,
    rician,
    signal,
    tissue,
)

KINDS = ("grey", "white", "tumour", "artery", "partial", "late", "vein")
COUNTS = dict(zip(KINDS, (3000, 3000, 300, 25, 60, 25, 80), strict=True))


def brain(seed, snr=80.0, arteries=True):
    """Candidates of a brain with arteries, partly filled and late ones, veins and a leaking tumour; their kinds."""
    injection = Injection(recirculation=0.15)
    rng = np.random.default_rng(seed)
    nothing = 0 * injection.times
    grey = injection.frames(signal(tissue(injection, 4, 60), nothing))

    def blood(concentration, share):
        pure = 1000 * np.exp(-TE_S * (20 + 0.5 * concentration + 2.6 * concentration**2))
        return share * injection.frames(pure) + (1 - share) * grey

    venous = convolve(injection.artery(1.5), np.exp(-injection.times / 4) / 4)
    shapes = {
        "grey": grey,
        "white": injection.frames(signal(tissue(injection, 2, 25), nothing, T1=0.85)),
        "tumour": injection.frames(signal(tissue(injection, 8, 80), leaked(injection, 0.1), T1=1.7)),
        "artery": blood(injection.artery(-1.0), 0.85),
        "partial": blood(injection.artery(-1.0), 0.25),
        "late": blood(injection.artery(4.0), 0.85),
        "vein": blood(venous, 0.9),
    }
    rows = [np.tile(shapes[kind], (COUNTS[kind], 1)) for kind in KINDS if arteries or kind not in ("artery", "partial")]
    kinds = np.repeat([k for k in KINDS if arteries or k not in ("artery", "partial")], [len(r) for r in rows])
    clean = np.concatenate(rows) * rng.uniform(0.8, 1.2, (len(kinds), 1))
    values = rician(clean, grey[0] / snr, seed)
    bolus = find_bolus(values.mean(axis=0), Options())
    level = values[:, bolus.baseline].mean(axis=1)
    curves = relaxation(values, baseline=bolus.stop).astype(np.float32)
    candidates = Candidates(
        curves=curves,
        voxels=np.stack([np.arange(len(kinds)), 0 * np.arange(len(kinds)), 0 * np.arange(len(kinds))], axis=1),
        usable=np.ones(len(kinds), dtype=bool),
        noise=curves[:, bolus.baseline].std(axis=1),
        lowest=(values.min(axis=1) / level).astype(np.float32),
        noise_level=(values[:, bolus.baseline].std(axis=1) / level).astype(np.float32),
    )
    return candidates, kinds, bolus, curves.mean(axis=0, dtype=float)


def kinds_of(found, kinds):
    return [str(kinds[voxel]) for voxel in found.voxels[:, 0]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("snr", [40, 100])
def test_arteries_are_found_and_partial_volume_and_late_arrival_rejected(seed, snr):
    candidates, kinds, bolus, mean = brain(seed, snr)
    found = find_aif(candidates, bolus, mean, TR_S, Options())
    assert set(kinds_of(found, kinds)) == {"artery"}
    assert 3 <= len(found.voxels) <= 8
    assert found.agreement > 0.95
    assert found.lead_s > 1
    assert 4 < found.width_s < 12
    np.testing.assert_allclose(found.curve, candidates.curves[found.voxels[:, 0]].mean(axis=0), rtol=1e-4, atol=1e-5)


def test_the_same_series_gives_the_same_voxels():
    candidates, _, bolus, mean = brain(3)
    first, second = (find_aif(candidates, bolus, mean, TR_S, Options()) for _ in range(2))
    np.testing.assert_array_equal(first.voxels, second.voxels)


def test_saturated_voxels_are_rejected():
    candidates, kinds, bolus, mean = brain(1)
    bottomed = (kinds == "artery") & (np.arange(len(kinds)) % 2 == 0)
    lowest = np.where(bottomed, candidates.noise_level, candidates.lowest).astype(np.float32)
    found = find_aif(Candidates(**{**vars(candidates), "lowest": lowest}), bolus, mean, TR_S, Options())
    assert set(kinds_of(found, kinds)) == {"artery"}
    assert not bottomed[found.voxels[:, 0]].any()


@pytest.mark.parametrize("seed", range(3))
def test_without_arteries_neither_late_voxels_nor_leaking_tumour_are_taken(seed):
    candidates, kinds, bolus, mean = brain(seed, arteries=False)
    try:
        found = find_aif(candidates, bolus, mean, TR_S, Options())
    except AifError:
        return
    assert not {"late", "tumour"} & set(kinds_of(found, kinds))


def test_where_nothing_looks_like_an_artery_the_message_offers_a_way():
    candidates, _, bolus, mean = brain(0)
    with pytest.raises(AifError, match="No arterial input function") as caught:
        find_aif(candidates, bolus, mean, TR_S, Options(aif_peak_snr=1e4))
    assert "by hand" in caught.value.hint
    assert "relative CBV" in caught.value.hint


def mixed_agent(beside):
    """Candidates of a brain in which agent remains in the blood: tissue, voxels inside and `beside` arteries."""
    injection = Injection()
    times = injection.times
    blood = injection.artery() + 0.6 * (1 - np.exp(-np.clip(times - 20, 0, None) / 8))
    vessels = 0.03 * convolve(blood, np.exp(-times / 5) / 5)  # 3 ml of blood in 100 ml, mean transit time 5 s
    nothing = np.zeros_like(times)
    shapes = {
        "tissue": injection.frames(signal(vessels, nothing)),
        "inside": injection.frames(1000 * np.exp(-TE_S * (0.5 * blood + 2.6 * blood**2))),  # van Osch 2003, at 3 T
        "beside": injection.frames(signal(0.08 * blood, nothing)),  # blood volume of 8 %, arterial
    }
    counts = {"tissue": 3000, "inside": 60, "beside": beside}
    kinds = np.repeat(list(counts), list(counts.values()))
    values = rician(np.stack([shapes[kind] for kind in kinds]), 6.0)
    bolus = find_bolus(values.mean(axis=0), Options())
    level = values[:, bolus.baseline].mean(axis=1)
    curves = relaxation(values, baseline=bolus.stop).astype(np.float32)
    candidates = Candidates(
        curves=curves,
        voxels=np.stack([np.arange(len(kinds))] * 3, axis=1),
        usable=np.ones(len(kinds), dtype=bool),
        noise=curves[:, bolus.baseline].std(axis=1),
        lowest=(values.min(axis=1) / level).astype(np.float32),
        noise_level=(values[:, bolus.baseline].std(axis=1) / level).astype(np.float32),
    )
    return candidates, kinds, bolus, curves.mean(axis=0, dtype=float)


def test_curves_that_blood_distorts_are_left_out_where_there_are_others():
    candidates, kinds, bolus, mean = mixed_agent(beside=40)
    distorted = find_aif(candidates, bolus, mean, TR_S, Options(aif_least_tail=0))
    assert set(kinds_of(distorted, kinds)) == {"inside"}  # narrower, higher, and wrong
    assert distorted.tail < 0.5
    found = find_aif(candidates, bolus, mean, TR_S, Options())
    assert set(kinds_of(found, kinds)) == {"beside"}
    assert found.tail == pytest.approx(1, abs=0.1)
    # Whoever states how blood relaxes may measure inside an artery.
    known = find_aif(candidates, bolus, mean, TR_S, Options(aif_blood=(0.5, 2.6)))
    assert set(kinds_of(known, kinds)) == {"inside"}
    assert known.tail is None


def test_distorted_curves_are_better_than_none_and_are_named():
    candidates, kinds, bolus, mean = mixed_agent(beside=3)
    found = find_aif(candidates, bolus, mean, TR_S, Options())
    assert set(kinds_of(found, kinds)) == {"inside"}
    quality = assess(
        bolus=bolus, frames=90, tr_s=TR_S, snr=80.0, brain_ml=1500.0, shares=(0.0, 100.0, 100.0), motion=None,
        aif=found, white_matter=None, mended_frames=0, medians=None, found=[],
    )  # fmt: skip
    assert any("falls off faster" in words for words in quality.warnings)


def test_given_voxels_are_averaged_and_described():
    candidates, kinds, bolus, mean = brain(2)
    rows = np.flatnonzero(kinds == "late")[:5]
    found = given_aif(candidates.curves[rows], candidates.voxels[rows], bolus, mean, TR_S, Options())
    np.testing.assert_allclose(found.curve, candidates.curves[rows].mean(axis=0), rtol=1e-4, atol=1e-5)
    assert found.method == "given"
    automatic = find_aif(candidates, bolus, mean, TR_S, Options())
    assert found.peak_s - automatic.peak_s == pytest.approx(5.0, abs=0.5)


def test_given_voxels_without_a_bolus_are_refused():
    candidates, _, bolus, mean = brain(2)
    flat = np.random.default_rng(0).normal(scale=0.5, size=(3, candidates.curves.shape[1])).astype(np.float32)
    flat[:, bolus.first :] = -np.abs(flat[:, bolus.first :])
    with pytest.raises(InputError, match="show no bolus"):
        given_aif(flat, np.zeros((3, 3), int), bolus, mean, TR_S, Options())


@pytest.mark.parametrize("blood", [(0.5, 2.6), (7.6, 0.57), (87.0, 0.0)])
def test_the_relaxation_of_blood_is_inverted(blood):
    concentration = np.linspace(0, 8, 50)
    measured = blood[0] * concentration + blood[1] * concentration**2
    np.testing.assert_allclose(tissue_equivalent(measured, blood, 87.0), 87 * concentration, rtol=1e-9, atol=1e-9)
