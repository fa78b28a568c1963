"""ROC over readers: published results of the Van Dyke data, and the covariances by brute force."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from HierSynthLib.reader_study.analysis.diagnosis import diagnoses, diagnostic_accuracy, signed_confidence
from HierSynthLib.reader_study.analysis.mrmc import (
    Components,
    auc_covariance,
    components_of,
    difference_tests,
    obuchowski_rockette,
)
from Testing.simulated_readers import REFERENCE, TEST, simulate

# Van Dyke et al. 1993: empirical AUCs of five readers with cine and spin-echo MRI, as published with MRMCaov and
# RJafroc; covariances and tests: "MRMCaov: Multi-Reader Multi-Case Analysis of Variance", manuscript of the package
# (DeLong; jackknife with fixed readers; fixed cases). The ratings come with packages under the GPL: not repeated here.
AUCS = np.array(
    [[0.9196457, 0.8587762, 0.9038647, 0.9731079, 0.8297907], [0.9478261, 0.9053140, 0.9217391, 0.9993559, 0.9299517]]
)
DELONG = {"variance": 0.0007921325, "cov1": 0.0003420090, "cov2": 0.0003395265, "cov3": 0.0002358497}
JACKKNIFE = {"variance": 0.0008022883, "cov1": 0.0003466137, "cov2": 0.0003440748, "cov3": 0.0002390284}


def published(covariances):
    """A covariance matrix whose averages are the published ones."""
    arm, reader = np.divmod(np.arange(10), 5)
    same_arm, same_reader = arm[:, None] == arm, reader[:, None] == reader
    names = np.where(same_arm, np.where(same_reader, "variance", "cov2"), np.where(same_reader, "cov1", "cov3"))
    return np.vectorize(covariances.get)(names)


def results_of(covariances):
    found = components_of(AUCS, published(covariances))
    return found, {test.model: test for test in difference_tests(found, float(np.diff(AUCS.mean(axis=1))[0]))}


def test_van_dyke_with_delongs_covariances():
    found, tests = results_of(DELONG)
    assert found.ms_arms == pytest.approx(0.004796171, rel=1e-5)
    assert found.ms_interaction == pytest.approx(0.0005510306, rel=1e-5)
    test = tests["random readers, random cases"]
    assert test.f == pytest.approx(4.484854, rel=1e-5)
    assert test.freedom == pytest.approx(15.06611, rel=1e-5)
    assert test.p == pytest.approx(0.05123303, rel=1e-4)
    assert test.standard_error == pytest.approx(0.0206825, rel=1e-5)
    assert test.difference.value == pytest.approx(0.04380032, rel=1e-6)
    assert (test.difference.low, test.difference.high) == pytest.approx((-0.0002665519, 0.0878671960), abs=1e-7)


def test_van_dyke_with_fixed_readers_and_jackknife():
    test = results_of(JACKKNIFE)[1]["fixed readers, random cases"]
    assert test.f == pytest.approx(5.475953, rel=1e-5)
    assert test.freedom is None
    assert test.p == pytest.approx(0.01927984, rel=1e-4)
    assert test.standard_error == pytest.approx(0.01871748, rel=1e-5)
    assert (test.difference.low, test.difference.high) == pytest.approx((0.00711473, 0.08048591), abs=1e-7)


def test_van_dyke_with_fixed_cases():
    test = results_of(JACKKNIFE)[1]["random readers, fixed cases"]
    assert (test.f, test.freedom) == pytest.approx((8.704, 4), rel=1e-4)
    assert test.p == pytest.approx(0.04195875, rel=1e-4)
    assert (test.difference.low, test.difference.high) == pytest.approx((0.00258042, 0.08502022), abs=1e-7)


def test_an_f_whose_covariances_favour_the_arms_is_not_made_larger():
    """Cov₂ < Cov₃ counts as no difference (Hillis 2007)."""
    found = Components(2, 4, 0.01, 0.002, 0.001, 0.0004, 0.0002, 0.0003)
    test = difference_tests(found, np.sqrt(2 * 0.01 / 4))[0]  # MS of the arms = r · difference² / 2
    assert test.f == pytest.approx(0.01 / 0.002)
    assert test.freedom == pytest.approx(3)
    assert test.p == pytest.approx(stats.f.sf(5, 1, 3), rel=1e-6)


DRAW = np.random.default_rng(11)
HIGH, LOW = DRAW.integers(1, 6, (9, 4)).astype(float) + 1, DRAW.integers(1, 6, (12, 4)).astype(float)


def kernel(x, y):
    return float(x > y) + 0.5 * float(x == y)


def test_delongs_covariance_by_brute_force():
    m, n = len(HIGH), len(LOW)
    aucs, found = auc_covariance(HIGH, LOW, "delong")
    for a, b in product(range(4), range(4)):
        table = [np.array([[kernel(x, y) for y in LOW[:, k]] for x in HIGH[:, k]]) for k in (a, b)]
        assert aucs[a] == pytest.approx(table[0].mean())
        s10 = np.cov(table[0].mean(axis=1), table[1].mean(axis=1))[0, 1]
        s01 = np.cov(table[0].mean(axis=0), table[1].mean(axis=0))[0, 1]
        assert found[a, b] == pytest.approx(s10 / m + s01 / n, abs=1e-12)


def test_the_jackknife_by_leaving_out_each_case():
    truth, scores = np.repeat([1, 0], [len(HIGH), len(LOW)]), np.vstack([HIGH, LOW])
    n = len(truth)
    left = np.array(
        [[roc_auc_score(np.delete(truth, k), np.delete(scores[:, c], k)) for k in range(n)] for c in range(4)]
    )
    centred = left - left.mean(axis=1, keepdims=True)
    assert auc_covariance(HIGH, LOW, "jackknife")[1] == pytest.approx((n - 1) / n * centred @ centred.T, abs=1e-12)


def test_the_level_of_the_test_is_held():
    """Readers and cases are drawn anew; both arms are alike (Roe & Metz's model)."""
    draw = np.random.default_rng(12)
    rejected = 0
    for _ in range(150):
        truth = np.arange(60) % 2 == 1
        cases = draw.normal(size=(60, 1))
        scores = np.stack([
            1.4 * truth[:, None] + 0.6 * cases + 0.2 * draw.normal(size=(1, 5)) * truth[:, None]
            + 0.5 * draw.normal(size=(60, 1)) + 0.7 * draw.normal(size=(60, 5))
            for _ in range(2)
        ])  # fmt: skip
        rejected += obuchowski_rockette(scores, truth).tests[0].p < 0.05
    assert rejected / 150 < 0.11


def test_cases_without_every_score_are_left_out():
    truth = np.arange(40) % 2 == 1
    scores = truth[None, :, None] + np.random.default_rng(13).normal(size=(2, 40, 3))
    whole = obuchowski_rockette(scores[:, 4:], truth[4:])
    scores[0, 0, 0] = scores[1, 1, 2] = scores[0, 2, 1] = scores[1, 3, 1] = np.nan
    assert obuchowski_rockette(scores, truth) == whole
    assert (whole.high, whole.low) == (18, 18)


def test_one_reader_or_few_cases_have_no_test():
    truth = np.arange(40) % 2 == 1
    scores = truth[None, :, None] + np.random.default_rng(14).normal(size=(2, 40, 3))
    assert "two readers" in obuchowski_rockette(scores[:, :, :1], truth).note
    assert "needs" in obuchowski_rockette(scores[:, :6], truth[:6]).note
    perfect = np.broadcast_to(truth[None, :, None] * 1.0, (2, 40, 3))
    assert "no test" in obuchowski_rockette(perfect, truth).note


def test_confidence_becomes_a_score_with_a_sign():
    found = signed_confidence(np.array([1, 0, 1, 0, np.nan]), np.array([80.0, 80, 0, 0, 50]))
    assert found[:4].tolist() == [80, -80, 0, 0]
    assert np.isnan(found[4])


def test_the_diagnosis_of_a_study_is_that_of_its_readings():
    study = simulate(3, 30, ratings=1)
    found = diagnostic_accuracy(diagnoses(study)[0])
    for arm in (REFERENCE, TEST):
        own = [one for one in study.firsts("single") if one.reader == "R2" and one.arms == (arm,)]
        truth = [study.truth[one.case]["grade"] == "high" for one in own]
        score = [(1 if one.answers["grade"] == "high" else -1) * one.answers["confidence"] for one in own]
        curve = next(c for c in found["curves"] if (c["arm"], c["reader"]) == (arm, "R2"))
        assert curve["auc"]["value"] == pytest.approx(roc_auc_score(truth, score))
        assert curve["high"] == 15
    calls = [one for one in study.firsts("single") if one.arms == (TEST,)]
    right = [(one.answers["grade"] == study.truth[one.case]["grade"]) for one in calls]
    pooled = next(arm for arm in found["choices"] if arm["arm"] == TEST)["pooled"]
    assert pooled["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert {entry["covariance"] for entry in found["mrmc"]} == {"delong", "jackknife"}
