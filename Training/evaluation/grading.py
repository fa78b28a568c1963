"""Does a synthetic map help to tell high-grade from low-grade lesions? Logistic regression, nested cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.cohort import grading
from HierSynthLib.progress import Reporter

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

FEWEST_PER_GRADE = 10
"""Patients. Two in each of five folds; fewer leave folds whose model has seen next to nothing."""

FOLDS = 5
REPEATS = 5
PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""Inverse strengths of the ridge penalty that the inner cross-validation chooses from."""

FEATURES = ("mean", "p95", "entropy")
STRUCTURAL, ACQUIRED = "structural", "structural + target"
_SEED = 20266
_MOST_STEPS, _LONGEST_STEP, _EXACT = 100, 2.0, 1e-9
_LEAST_CURVATURE, _LEAST_PROBABILITY = 1e-10, 1e-12


def grade_experiment(
    features: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    synthetic: Mapping[str, Sequence[Sequence[float]]],
    cases: Sequence[str],
    patients: Sequence[str],
    grades: Sequence[str | None],
    target_name: str,
    reporter: Reporter,
) -> dict[str, Any]:
    """Structural features alone, with those of each synthetic map, and with those of the target.

    Models learn from examinations; those of one patient are always in the same fold, and their probabilities are
    averaged before anything is counted. Of a patient with examinations of both grades only those of high grade are
    used.

    Args:
        features: examination → sequence (or "target") → feature → value.
        synthetic: method → (examinations, features) of its map in the lesion, NaN where missing.
        cases: identifiers of the examinations.
        patients: whose each examination is.
        grades: "high", "low" or None of each examination.
        target_name: "true" or "acquired".
        reporter: told about the progress.

    Returns:
        "note" (why there is nothing, else ""), "high", "low", "curves" ("features", "count", "auc" with DeLong's
        interval, "curve") and "tests" ("first", "second", "difference", "z", "p").
    """
    usable, structural, target = _collected(features, cases, _one_grade(patients, grades))
    people = [patients[n] for n in usable]
    high = np.array([grades[n] == "high" for n in usable], dtype=bool)
    known = list(dict.fromkeys(people))
    grade = [bool(high[people.index(person)]) for person in known]
    counts = {"high": sum(grade), "low": len(grade) - sum(grade)}
    if min(counts.values()) < FEWEST_PER_GRADE:
        note = (
            f"{counts['high']} high-grade and {counts['low']} low-grade patients with a lesion: too few for the "
            f"grading experiment, which needs at least {FEWEST_PER_GRADE} of each."
        )
        return {"note": note, **counts, "curves": [], "tests": []}
    sets: dict[str, Values] = {STRUCTURAL: structural}
    for name, given in synthetic.items():
        own = np.array(given, dtype=np.float64)[usable]
        if np.isfinite(own).all():
            sets[f"structural + {name}"] = np.column_stack([structural, own])
    sets[f"{ACQUIRED} ({target_name})"] = np.column_stack([structural, target])
    scores: dict[str, list[float]] = {}
    for number, (name, values) in enumerate(sets.items()):
        reporter.progress("grading", number / len(sets))
        found = out_of_fold(values, high, people)
        scores[name] = [
            float(np.mean([p for p, who in zip(found, people, strict=True) if who == one])) for one in known
        ]
    curves = [
        {"features": name, "count": sets[name].shape[1]} | grading.roc(score, grade).to_json()
        for name, score in scores.items()
    ]
    tests = [
        {"first": name, "second": STRUCTURAL} | grading.compare_auc(score, scores[STRUCTURAL], grade).to_json()
        for name, score in scores.items()
        if name != STRUCTURAL
    ]
    return {"note": "", **counts, "curves": curves, "tests": tests}


def out_of_fold(values: Values, high: Mask, people: Sequence[str]) -> Values:
    """Probability of a high grade of every examination, by models that have not seen the patient.

    Outer: five folds of patients, stratified, five times with other folds, averaged. Inner: five folds of patients
    choose the penalty by the log-loss. Scaling is learnt in the part that is learnt from only.

    Args:
        values: (N, K) finite features.
        high: (N,) at least ten patients of each; all examinations of a patient have one grade.
        people: (N,) whose each examination is.

    Raises:
        InputError: scikit-learn is not installed.
    """
    try:
        from sklearn.model_selection import StratifiedKFold
    except ImportError as error:
        raise InputError(
            "The grading experiment needs scikit-learn.",
            "Install HierSynthLib[training], or leave it out with --no-grading.",
        ) from error
    total = np.zeros(len(high))
    known = list(dict.fromkeys(people))
    group = np.array([known.index(person) for person in people])
    grade = np.array([high[group == number][0] for number in range(len(known))])
    for repeat in range(REPEATS):
        outer = StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED + repeat)
        inner = StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED - 1 - repeat)
        for learn, judge in outer.split(grade, grade):
            parts = [
                (np.isin(group, learn[one]), np.isin(group, learn[other]))
                for one, other in inner.split(learn, grade[learn])
            ]
            penalty = _penalty(values, high, parts)
            own, asked = np.isin(group, learn), np.isin(group, judge)
            total[asked] += predicted(values[own], high[own], values[asked], penalty)
    return np.asarray(total / REPEATS)


def predicted(known: Values, high: Mask, values: Values, penalty: float) -> Values:
    """Probability of a high grade by ridge logistic regression; features are scaled as those that it learns from.

    Minimises penalty · Σ log-loss + ‖w‖²/2 without a penalty on the intercept, as scikit-learn has it, by Newton's
    method (Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, 2009, section 4.4.1). For a handful of
    features this takes a hundredth of the time of a general solver, and a nested cross-validation needs thousands.

    Args:
        known: (N, K) features to learn from.
        high: (N,) their grades.
        values: (M, K) features to judge.
        penalty: inverse strength, above 0.
    """
    centre, spread = known.mean(axis=0), known.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x, wanted = (np.column_stack([np.ones(len(v)), (v - centre) / spread]) for v in (known, values))
    ridge = np.ones(x.shape[1])
    ridge[0] = 0.0
    weights = np.zeros(x.shape[1])
    for _ in range(_MOST_STEPS):
        p = special.expit(x @ weights)
        gradient = penalty * (x.T @ (p - high)) + ridge * weights
        curvature = penalty * (x.T * (p * (1 - p))) @ x + np.diag(ridge + _LEAST_CURVATURE)
        step = np.linalg.solve(curvature, gradient)
        # The log-loss is convex, but a whole step may lead too far where nearly all probabilities are 0 or 1.
        weights -= step / max(1.0, float(np.abs(step).max()) / _LONGEST_STEP)
        if np.abs(step).max() < _EXACT:
            break
    return np.asarray(special.expit(wanted @ weights))


def _penalty(values: Values, high: Mask, parts: Sequence[tuple[Mask, Mask]]) -> float:
    """The penalty with the least log-loss in the inner cross-validation; of equal ones the strongest."""
    losses = np.zeros(len(PENALTIES))
    for learn, judge in parts:
        for number, penalty in enumerate(PENALTIES):
            p = predicted(values[learn], high[learn], values[judge], penalty)
            losses[number] -= float(np.log(np.maximum(np.where(high[judge], p, 1 - p), _LEAST_PROBABILITY)).sum())
    return PENALTIES[int(np.argmin(losses))]


def _one_grade(patients: Sequence[str], grades: Sequence[str | None]) -> list[str | None]:
    """The grades, None for examinations of low grade of a patient who has some of high grade as well."""
    high = {patient for patient, grade in zip(patients, grades, strict=True) if grade == "high"}
    return [
        None if grade != "high" and patient in high else grade for patient, grade in zip(patients, grades, strict=True)
    ]


def _collected(
    features: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    cases: Sequence[str],
    grades: Sequence[str | None],
) -> tuple[list[int], Values, Values]:
    """Graded examinations with a lesion and all sequences that any has; their structural and target features."""
    graded = [n for n, case in enumerate(cases) if grades[n] and features.get(case)]
    present = [set(features[cases[n]]) for n in graded]
    shared = sorted(set.intersection(*present) - {"target"}) if present else []
    usable = [n for n in graded if {*shared, "target"} <= set(features[cases[n]])]

    def of(names: Sequence[str]) -> Values:
        rows = [[features[cases[n]][name][what] for name in names for what in FEATURES] for n in usable]
        return np.array(rows, dtype=np.float64).reshape(len(usable), len(names) * len(FEATURES))

    return usable, of(shared), of(["target"])
