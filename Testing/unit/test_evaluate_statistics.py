"""Statistics of an evaluation: trainings, paired differences, Holm, intervals, decisions, missing sequences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.fidelity.cohort import statistics
from HierSynthLib.progress import Silent
from Testing.evaluation_patients import BallCase, BallModel
from Training.evaluation.decisions import MET, MISSED, OPEN, UNDECIDED, decide, targets
from Training.evaluation.definitions import column, primary
from Training.evaluation.predictor import Method
from Training.evaluation.robustness import costs, left_out
from Training.evaluation.run import Rows
from Training.evaluation.store import REFERENCE, Row
from Training.evaluation.summary import summarise
from Training.evaluation.table import (
    Table,
    crossed_interval,
    crossed_ratio,
    difference_entry,
    mean_entry,
    ratio_interval,
    wider,
)

PATIENTS = 30
RNG = np.random.default_rng(7)
FACTS = {
    "target": "true",
    "simulated": True,
    "lesion_voxels": 9,
    "brain_voxels": 99,
    "nyquist_per_mm": 0.25,
    "warnings": [],
}


def made(values, trainings, people=None):
    """Rows and methods with given values: method → column → (examinations, trainings)."""
    cases = [BallCase(n, person="" if people is None else people[n]) for n in range(PATIENTS)]
    rows = Rows(cases=cases)
    rows.facts = {
        case.id: Row(case.id, case.key(), REFERENCE, curves={"facts": FACTS, "features": {}}) for case in cases
    }
    methods = [Method(name, tuple(BallModel(name, seed) for seed in range(count))) for name, count in trainings.items()]
    for n, case in enumerate(cases):
        for name, columns in values.items():
            for training in range(trainings[name]):
                own = {each: _plain(array[n, training]) for each, array in columns.items()}
                rows.rows[case.id, name, training] = Row(case.id, case.key(), f"{name}{training}", values=own)
    return rows, methods


def _plain(value):
    return None if math.isnan(value) else float(value)


@pytest.fixture
def planted():
    """A method that is better by 0.03 in every patient, give or take; three trainings of each."""
    patient = RNG.normal(0.6, 0.08, (PATIENTS, 1))
    base = patient + RNG.normal(0, 0.005, (PATIENTS, 3))
    better = patient + 0.03 + RNG.normal(0, 0.01, (PATIENTS, 3)) + np.array([-0.004, 0.0, 0.004])
    values = {
        "new": {
            "roi_ssim": better,
            "roi_descriptor_error": 0.5 * (1 + 0 * base),
            "roi_high_frequency_ratio": 0.97 + 0 * base,
        },
        "old": {"roi_ssim": base, "roi_descriptor_error": 1.0 + 0 * base, "roi_high_frequency_ratio": 0.7 + 0 * base},
    }
    return values, made(values, {"new": 3, "old": 3})


# --- means and trainings ---------------------------------------------------------------------------------------------


def test_trainings_are_averaged_before_patients_are_counted(planted):
    values, (rows, methods) = planted
    entry = mean_entry(Table(rows, methods), "new", column("roi_ssim"))
    own = values["new"]["roi_ssim"]
    assert entry["mean"]["n"] == PATIENTS, "not three times as many"
    assert entry["mean"]["value"] == pytest.approx(own.mean())
    assert entry["sd"] == pytest.approx(own.mean(axis=1).std(ddof=1))
    assert entry["seeds"] == pytest.approx(own.mean(axis=0))
    assert entry["seed_sd"] == pytest.approx(own.mean(axis=0).std(ddof=1))
    reference = stats.bootstrap(
        (own.mean(axis=1),), np.mean, n_resamples=9999, method="BCa", random_state=np.random.default_rng(1)
    ).confidence_interval
    assert [entry["mean"]["low"], entry["mean"]["high"]] == pytest.approx([reference.low, reference.high], abs=0.002)


def test_a_patient_that_one_training_lacks_is_left_out_of_that_method(planted):
    values, _ = planted
    values["new"]["roi_ssim"][4, 1] = math.nan
    rows, methods = made(values, {"new": 3, "old": 3})
    table = Table(rows, methods)
    assert mean_entry(table, "new", column("roi_ssim"))["mean"]["n"] == PATIENTS - 1
    assert difference_entry(table, "new", "old", column("roi_ssim"))["test"]["n"] == PATIENTS - 1


# --- several examinations of a patient -------------------------------------------------------------------------------


def twins():
    """Examinations 2n and 2n + 1 are of one patient."""
    return [f"person {n // 2}" for n in range(PATIENTS)]


def test_examinations_of_one_patient_are_averaged_before_everything(planted):
    """As if there were half as many patients, whose values are the means of both examinations."""
    values, _ = planted
    rows, methods = made(values, {"new": 3, "old": 3}, twins())
    table = Table(rows, methods)
    averaged = {m: {c: v.reshape(-1, 2, 3).mean(axis=1) for c, v in columns.items()} for m, columns in values.items()}
    own = averaged["new"]["roi_ssim"]
    entry = mean_entry(table, "new", column("roi_ssim"))
    assert entry["mean"]["n"] == PATIENTS // 2
    assert entry["mean"] == statistics.mean_interval(own.mean(axis=1)).to_json()
    assert entry["sd"] == pytest.approx(own.mean(axis=1).std(ddof=1))
    found = difference_entry(table, "new", "old", column("roi_ssim"))
    gain = (own - averaged["old"]["roi_ssim"]).mean(axis=1)
    assert found["test"]["n"] == PATIENTS // 2
    assert found["test"]["p"] == pytest.approx(stats.wilcoxon(gain).pvalue)
    assert found["better"] == int((gain > 0).sum())
    crossed = crossed_interval(own, averaged["old"]["roi_ssim"])
    assert found["with_seeds"] == pytest.approx(crossed.to_json())
    because = {each["target"]: each["because"] for each in decide(table, "old", [])}["ssim_gain"]
    assert f"n = {PATIENTS // 2}" in because


def test_a_pair_is_of_the_same_examinations():
    """One method has the easy and the hard examination of a patient, the other only the hard one."""
    both = np.full((PATIENTS, 1), math.nan)
    both[:4, 0] = [0.9, 0.5, 0.9, 0.5]
    hard = np.full((PATIENTS, 1), math.nan)
    hard[:4, 0] = [math.nan, 0.5, math.nan, 0.5]
    rows, methods = made({"a": {"roi_ssim": both}, "b": {"roi_ssim": hard}}, {"a": 1, "b": 1}, twins())
    table = Table(rows, methods)
    assert mean_entry(table, "a", column("roi_ssim"))["mean"]["value"] == pytest.approx(0.7)
    entry = difference_entry(table, "a", "b", column("roi_ssim"))
    assert entry["difference"]["value"] == pytest.approx(0)
    assert entry["difference"]["n"] == 2


def test_curves_are_means_of_patients():
    rows, methods = made({"a": {"roi_ssim": np.ones((PATIENTS, 1))}}, {"a": 1}, ["one"] * 29 + ["two"])
    for n, case in enumerate(rows.cases):
        rows.rows[case.id, "a", 0].curves["spectrum"] = {"roi": [1.0, 3.0] if n < 29 else [2.0, 5.0]}
    found = Table(rows, methods).curves("a", "spectrum", "roi")
    np.testing.assert_allclose(found, [[1, 3], [2, 5]])


# --- differences -----------------------------------------------------------------------------------------------------


def test_a_planted_difference_is_found_with_its_test(planted):
    values, (rows, methods) = planted
    entry = difference_entry(Table(rows, methods), "new", "old", column("roi_ssim"))
    gain = values["new"]["roi_ssim"].mean(axis=1) - values["old"]["roi_ssim"].mean(axis=1)
    assert entry["difference"]["value"] == pytest.approx(gain.mean())
    assert entry["difference"]["low"] < 0.03 < entry["difference"]["high"] or abs(gain.mean() - 0.03) < 0.004
    assert entry["better"] == int((gain > 0).sum())
    assert entry["test"]["p"] == pytest.approx(stats.wilcoxon(gain).pvalue)
    ranks = stats.rankdata(np.abs(gain))
    assert entry["test"]["effect"] == pytest.approx((ranks[gain > 0].sum() - ranks[gain < 0].sum()) / ranks.sum())


def test_the_effect_is_above_0_where_less_is_better_and_is_less():
    error = {
        "new": {"roi_mae": RNG.uniform(0.2, 0.3, (PATIENTS, 1))},
        "old": {"roi_mae": RNG.uniform(0.4, 0.5, (PATIENTS, 1))},
    }
    entry = difference_entry(Table(*made(error, {"new": 1, "old": 1})), "new", "old", column("roi_mae"))
    assert entry["difference"]["value"] < 0
    assert entry["test"]["effect"] == 1
    assert entry["better"] == PATIENTS


def test_a_measure_with_a_right_value_is_tested_by_the_distance_from_it():
    """1.1 is nearer to 1 than 0.7, although neither is larger 'for the better'."""
    ratio = {
        "new": {"roi_high_frequency_ratio": 1.1 + RNG.normal(0, 0.01, (PATIENTS, 1))},
        "old": {"roi_high_frequency_ratio": 0.7 + RNG.normal(0, 0.01, (PATIENTS, 1))},
    }
    entry = difference_entry(
        Table(*made(ratio, {"new": 1, "old": 1})), "new", "old", column("roi_high_frequency_ratio")
    )
    assert entry["better"] == PATIENTS
    assert entry["test"]["effect"] == 1


def test_a_distance_is_taken_before_trainings_are_averaged():
    """Trainings at 0.8 and 1.2 are both wrong by 0.2, although their mean is right."""
    two = np.tile([0.8, 1.2], (PATIENTS, 1))
    ratio = {"new": {"roi_high_frequency_ratio": two}, "old": {"roi_high_frequency_ratio": np.full((PATIENTS, 1), 0.9)}}
    entry = difference_entry(
        Table(*made(ratio, {"new": 2, "old": 1})), "new", "old", column("roi_high_frequency_ratio")
    )
    assert entry["better"] == 0
    assert entry["test"]["effect"] == -1


def test_holm_as_by_hand():
    """0.01·4, 0.02·3 → 0.06, 0.03·2 → 0.06, 0.2·1; and the largest so far."""
    assert statistics.holm([0.03, 0.01, 0.2, 0.02]) == pytest.approx([0.06, 0.04, 0.2, 0.06])
    assert statistics.holm([0.01, 0.011, 0.012]) == pytest.approx([0.03, 0.03, 0.03])


def test_all_tests_of_the_table_are_adjusted_together(planted):
    _, (rows, methods) = planted
    summary = summarise(rows, methods, "old", {}, with_grading=False, reporter=Silent())
    known = {e["column"]: e for e in summary["differences"] if e["test"]["p"] is not None}
    raw = [e["test"]["p"] for e in known.values()]
    assert len(raw) == 3, "three measures have values"
    assert {e["tests"] for e in summary["differences"]} == {3}
    assert [e["p_holm"] for e in known.values()] == pytest.approx(statistics.holm(raw))
    assert len(summary["differences"]) == len(primary())


def test_the_interval_with_trainings_covers_a_planted_difference():
    """Patients and trainings vary: over repeated studies the interval holds the truth about as often as it says."""
    held = 0
    for study in range(60):
        rng = np.random.default_rng(study)
        patient = rng.normal(0, 1, (40, 1))
        first = patient + 0.5 + rng.normal(0, 0.2, (1, 6)) + rng.normal(0, 0.3, (40, 6))
        second = patient + rng.normal(0, 0.2, (1, 6)) + rng.normal(0, 0.3, (40, 6))
        found = crossed_interval(first, second)
        held += found.low <= 0.5 <= found.high
    assert held >= 48, "six trainings give an interval that is a little too narrow"
    fixed = statistics.mean_interval((first - second).mean(axis=1))
    assert found.high - found.low > 2 * (fixed.high - fixed.low), "taking trainings as fixed promises too much"


def test_the_interval_with_trainings_is_that_of_explicit_resampling():
    first, second = RNG.normal(1, 0.3, (12, 3)), RNG.normal(0, 0.3, (12, 3))
    rng = np.random.default_rng(3)
    draws = []
    for _ in range(4000):
        patients, a, b = rng.integers(12, size=12), rng.integers(3, size=3), rng.integers(3, size=3)
        draws.append(first[np.ix_(patients, a)].mean() - second[np.ix_(patients, b)].mean())
    found = crossed_interval(first, second)
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert [found.low, found.high] == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.02)


def test_one_training_has_no_interval_with_trainings():
    found = crossed_interval(RNG.normal(size=(12, 1)), RNG.normal(size=(12, 3)))
    assert found.low is None
    assert "two trainings" in found.note


@given(st.lists(st.floats(0.1, 3.0), min_size=8, max_size=20), st.floats(0.2, 3.0))
def test_the_ratio_of_means_of_proportional_methods_is_their_factor(values, factor):
    array = np.tile(np.array(values)[:, None], (1, 2))
    for find in (ratio_interval, crossed_ratio):
        found = find(factor * array, array)
        assert [found.value, found.low, found.high] == pytest.approx([factor] * 3)
        assert found.n == len(values)


def test_a_ratio_with_trainings_is_that_of_explicit_resampling_and_wider():
    first = RNG.normal(0.7, 0.05, (12, 3)) + np.array([-0.1, 0.0, 0.1])
    second = RNG.normal(1, 0.05, (12, 3)) + np.array([-0.1, 0.0, 0.1])
    rng = np.random.default_rng(3)
    draws = []
    for _ in range(4000):
        patients, a, b = rng.integers(12, size=12), rng.integers(3, size=3), rng.integers(3, size=3)
        draws.append(first[np.ix_(patients, a)].mean() / second[np.ix_(patients, b)].mean())
    found, fixed = crossed_ratio(first, second), ratio_interval(first, second)
    assert [found.low, found.high] == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.01)
    assert fixed.value == pytest.approx(found.value)
    assert found.high - found.low > 2 * (fixed.high - fixed.low)
    assert wider(fixed, found) is found
    assert wider(found, statistics.Estimate(0.7)) is found


# --- decisions -------------------------------------------------------------------------------------------------------


def test_targets_are_met_or_missed_with_their_numbers(planted):
    values, (rows, methods) = planted
    found = {each["target"]: each for each in decide(Table(rows, methods), "old", [])}
    gain = (values["new"]["roi_ssim"] - values["old"]["roi_ssim"]).mean()
    assert found["ssim_gain"]["status"] == MET
    assert f"+{gain:.3f} [" in found["ssim_gain"]["because"]
    assert f"n = {PATIENTS}" in found["ssim_gain"]["because"]
    assert found["descriptor_ratio"]["status"] == MET
    assert found["descriptor_ratio"]["because"].startswith("0.500 ")
    assert found["held_out_descriptor_ratio"]["status"] == OPEN
    assert found["high_frequency"]["status"] == MET
    assert f"{PATIENTS} of them inside" in found["high_frequency"]["because"]
    assert found["concordance"]["status"] == OPEN
    assert found["missing"]["status"] == OPEN
    assert {each["id"] for each in targets()} == set(found)


def test_a_gain_whose_interval_reaches_0_is_missed(planted):
    values, _ = planted
    swing = np.where(np.arange(PATIENTS) % 2, 0.3, -0.3)[:, None]
    values["new"]["roi_ssim"] = values["old"]["roi_ssim"] + 0.025 + swing
    rows, methods = made(values, {"new": 3, "old": 3})
    found = {each["target"]: each for each in decide(Table(rows, methods), "old", [])}
    assert found["ssim_gain"]["status"] == MISSED


def test_a_sure_but_small_gain_is_missed(planted):
    values, _ = planted
    values["new"]["roi_ssim"] = values["old"]["roi_ssim"] + RNG.normal(0.015, 0.001, (PATIENTS, 1))
    rows, methods = made(values, {"new": 3, "old": 3})
    found = {each["target"]: each for each in decide(Table(rows, methods), "old", [])}
    assert found["ssim_gain"]["status"] == MISSED


def test_a_gain_that_rests_on_a_lucky_training_is_missed(planted):
    """In every patient the mean of three trainings is 0.03 better, but all of it is one training's."""
    values, _ = planted
    values["new"]["roi_ssim"] = values["old"]["roi_ssim"] + np.array([0.0, 0.0, 0.09])
    rows, methods = made(values, {"new": 3, "old": 3})
    table = Table(rows, methods)
    assert difference_entry(table, "new", "old", column("roi_ssim"))["difference"]["low"] > 0.02
    found = {each["target"]: each for each in decide(table, "old", [])}
    assert found["ssim_gain"]["status"] == MISSED
    assert "3 and 3 trainings" in found["ssim_gain"]["because"]


@pytest.mark.parametrize("trainings", [(1, 1), (1, 3), (3, 1)])
def test_one_training_decides_nothing(planted, trainings):
    values, _ = planted
    counts = dict(zip(("new", "old"), trainings, strict=True))
    cut = {m: {c: v[:, : counts[m]] for c, v in columns.items()} for m, columns in values.items()}
    found = {each["target"]: each for each in decide(Table(*made(cut, counts)), "old", [])}
    for target in ("ssim_gain", "descriptor_ratio"):
        assert found[target]["status"] == UNDECIDED
        assert "at least 2 trainings of both" in found[target]["because"]
    assert found["high_frequency"]["status"] == MET, "needs no comparison"


def test_opposite_errors_do_not_cancel_unseen(planted):
    values, _ = planted
    values["new"]["roi_high_frequency_ratio"] = np.where(np.arange(PATIENTS) % 2, 0.6, 1.4)[:, None] + np.zeros((1, 3))
    found = {e["target"]: e for e in decide(Table(*made(values, {"new": 3, "old": 3})), "old", [])}
    assert found["high_frequency"]["because"].endswith(", 0 of them inside")


def test_descriptors_are_compared_with_the_model_that_was_trained_for_them_too(planted):
    values, _ = planted
    values["fair"] = values["old"] | {"roi_descriptor_error": np.full((PATIENTS, 3), 0.6)}
    rows, methods = made(values, {"new": 3, "old": 3, "fair": 3})
    found = {(e["method"], e["target"]): e for e in decide(Table(rows, methods), "old", [], "fair")}
    assert found["new", "descriptor_ratio"]["status"] == MISSED
    assert "0.833 [0.833 to 0.833] times that of fair" in found["new", "descriptor_ratio"]["because"]
    assert "against old" in found["new", "ssim_gain"]["because"]
    assert ("fair", "descriptor_ratio") not in found


def test_without_a_reference_nothing_is_compared(planted):
    _, (rows, methods) = planted
    summary = summarise(rows, methods, None, {}, with_grading=False, reporter=Silent())
    assert summary["differences"] == []
    gains = [each for each in summary["decisions"] if each["target"] == "ssim_gain"]
    assert [each["status"] for each in gains] == [OPEN, OPEN]


# --- missing sequences -----------------------------------------------------------------------------------------------


def test_every_sequence_and_every_pair_is_left_out_once():
    assert left_out(SEQUENCES, "none") == []
    assert left_out(SEQUENCES, "single") == [(role,) for role in SEQUENCES]
    assert len(left_out(SEQUENCES, "pairs")) == 4 + 6
    assert left_out((Role.T1, Role.T2), "pairs") == [(Role.T1,), (Role.T2,)], "one always stays"
    assert left_out((Role.T1,), "single") == []


def test_the_cost_is_what_the_region_loses():
    loss = RNG.uniform(0.01, 0.03, 12)
    whole = [Row(f"p{n}", "", "", values={"roi_ssim": 0.8}) for n in range(12)]
    less = [Row(f"p{n}", "", "", ("ADC",), {"roi_ssim": 0.8 - loss[n]}) for n in range(12)]
    (found,) = costs("new", zip("abcdefghijkl", whole, less, strict=True))
    (halved,) = costs("new", zip("aabbccddeeff", whole, less, strict=True))
    assert halved["cost"]["n"] == 6
    assert halved["cost"]["value"] == pytest.approx(loss.mean())
    assert found["without"] == ["ADC"]
    assert found["cost"]["value"] == pytest.approx(loss.mean())
    assert found["ssim"]["value"] == pytest.approx(0.8 - loss.mean())
    rows, methods = made({"new": {}}, {"new": 1})
    status = {each["target"]: each["status"] for each in decide(Table(rows, methods), None, [found])}
    assert status["missing"] == MET
    dear = found | {"cost": found["cost"] | {"value": 0.031}}
    status = {each["target"]: each["status"] for each in decide(Table(rows, methods), None, [found, dear])}
    assert status["missing"] == MISSED, "the dearest counts"
