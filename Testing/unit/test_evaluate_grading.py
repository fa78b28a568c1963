"""The grading experiment: features that help, features that do not, and too few patients."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from HierSynthLib.progress import Silent
from Training.evaluation.grading import FEWEST_PER_GRADE, STRUCTURAL, grade_experiment, out_of_fold, predicted

PATIENTS = 44


def cohort(seed, helpful):
    """Patients whose structural features are noise, and whose target tells the grade; "good" resembles the target."""
    rng = np.random.default_rng(seed)
    grades = ["high", "low"] * (PATIENTS // 2)
    signal = np.array([1.0 if grade == "high" else 0.0 for grade in grades])

    def triple(strength):
        return rng.normal(0, 1, (PATIENTS, 3)) + strength * signal[:, None]

    target, good, bad, t1 = triple(1.2), triple(helpful), triple(0.0), triple(0.0)
    names = [f"p{n}" for n in range(PATIENTS)]
    features = {
        name: {
            "T1": dict(zip(("mean", "p95", "entropy"), t1[n], strict=True)),
            "target": dict(zip(("mean", "p95", "entropy"), target[n], strict=True)),
        }
        for n, name in enumerate(names)
    }
    return features, {"good": good.tolist(), "bad": bad.tolist()}, names, names, grades


def test_helpful_maps_raise_the_auc_and_useless_ones_do_not():
    found = grade_experiment(*cohort(3, 1.2), "true", Silent())
    curves = {each["features"]: each for each in found["curves"]}
    assert list(curves) == [STRUCTURAL, "structural + good", "structural + bad", "structural + target (true)"]
    assert [curves[name]["count"] for name in curves] == [3, 6, 6, 6]
    structural = curves[STRUCTURAL]["auc"]
    assert structural["low"] < 0.5 < structural["high"] or structural["value"] < 0.6
    assert curves["structural + good"]["auc"]["value"] > 0.8
    tests = {each["first"]: each for each in found["tests"]}
    assert tests["structural + good"]["p"] < 0.01
    assert tests["structural + bad"]["p"] > 0.05
    assert tests["structural + good"]["difference"] == pytest.approx(
        curves["structural + good"]["auc"]["value"] - structural["value"]
    )


def test_the_auc_is_that_of_probabilities_of_models_that_have_not_seen_the_patient():
    """With more noise features than patients a fit to all patients is perfect; out of fold it is chance."""
    rng = np.random.default_rng(11)
    high = np.array([True, False] * 15)
    noise = rng.normal(size=(30, 60))
    probability = out_of_fold(noise, high, range(30))
    assert ((probability >= 0) & (probability <= 1)).all()
    assert 0.25 < roc_auc_score(high, probability) < 0.75
    signal = high[:, None] + rng.normal(0, 0.5, (30, 2))
    assert roc_auc_score(high, out_of_fold(signal, high, range(30))) > 0.85


@pytest.mark.parametrize("penalty", [0.01, 1.0, 10.0])
def test_the_regression_is_that_of_scikit_learn(penalty):
    rng = np.random.default_rng(2)
    known, judged = rng.normal(3, 2, (40, 6)), rng.normal(3, 2, (9, 6))
    high = known[:, 0] + rng.normal(0, 1, 40) > 3
    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, tol=1e-10, max_iter=10_000))
    expected = model.fit(known, high).predict_proba(judged)[:, 1]
    np.testing.assert_allclose(predicted(known, high, judged, penalty), expected, atol=1e-5)


def test_grades_that_a_feature_separates_completely_are_learnt():
    high = np.arange(20) >= 10
    values = np.where(high, 5.0, -5.0)[:, None] + np.linspace(0, 1, 20)[:, None]
    found = predicted(values, high, values, 10.0)
    assert found[high].min() > 0.9
    assert found[~high].max() < 0.1


def test_the_same_patients_give_the_same_probabilities():
    rng = np.random.default_rng(1)
    high = np.array([True, False] * 12)
    values = rng.normal(size=(24, 2))
    np.testing.assert_array_equal(out_of_fold(values, high, range(24)), out_of_fold(values, high, range(24)))


def test_fewer_than_ten_of_a_grade_are_refused_in_words():
    features, synthetic, names, people, grades = cohort(3, 1.0)
    grades = [grade if grade == "high" or n < 2 * (FEWEST_PER_GRADE - 1) else None for n, grade in enumerate(grades)]
    found = grade_experiment(features, synthetic, names, people, grades, "true", Silent())
    assert found["curves"] == []
    assert found["note"].startswith("22 high-grade and 9 low-grade patients with a lesion: too few")


def test_patients_without_lesion_or_grade_do_not_count():
    features, synthetic, names, people, grades = cohort(3, 1.0)
    features["p0"], grades[1] = {}, None
    found = grade_experiment(features, synthetic, names, people, grades, "true", Silent())
    assert (found["high"], found["low"]) == (21, 21)


def test_a_model_that_lacks_a_patient_is_left_out():
    features, synthetic, names, people, grades = cohort(3, 1.0)
    synthetic["good"][5] = [float("nan")] * 3
    found = grade_experiment(features, synthetic, names, people, grades, "acquired", Silent())
    assert "structural + good" not in [each["features"] for each in found["curves"]]
    assert "structural + target (acquired)" in [each["features"] for each in found["curves"]]


def test_a_patient_never_trains_the_model_that_judges_him():
    """Two identical examinations of each patient, noise features: in different folds they would tell on each other."""
    rng = np.random.default_rng(5)
    high = np.repeat(np.array([True, False] * 11), 2)
    noise = np.repeat(rng.normal(size=(22, 60)), 2, axis=0)
    people = np.repeat(np.arange(22), 2)
    apart = roc_auc_score(high, out_of_fold(noise, high, people))
    leaking = roc_auc_score(high, out_of_fold(noise, high, range(44)))
    assert leaking > 0.9
    assert apart < 0.75


def test_patients_are_counted_not_examinations():
    features, synthetic, names, _, grades = cohort(3, 1.0)
    pairs = [f"person {n // 4}-{n % 2}" for n in range(PATIENTS)]  # two examinations of one grade each
    found = grade_experiment(features, synthetic, names, pairs, grades, "true", Silent())
    assert (found["high"], found["low"]) == (11, 11)
    assert len(found["curves"]) == 4
    few = [f"person {n // 8}-{n % 2}" for n in range(PATIENTS)]
    assert (
        "6 high-grade and 6 low-grade"
        in grade_experiment(features, synthetic, names, few, grades, "true", Silent())["note"]
    )


def test_a_patient_who_has_become_high_grade_counts_once():
    features, synthetic, names, _, grades = cohort(3, 1.0)
    people = ["p0" if name == "p1" else name for name in names]  # p0 is high, p1 low
    found = grade_experiment(features, synthetic, names, people, grades, "true", Silent())
    assert (found["high"], found["low"]) == (22, 21)
