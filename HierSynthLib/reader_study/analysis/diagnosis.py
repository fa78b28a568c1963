"""ROC analysis of a forced choice with confidence: per reader, between arms, over readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.fidelity.cohort.grading import compare_auc, roc
from HierSynthLib.reader_study.analysis.mrmc import obuchowski_rockette
from HierSynthLib.reader_study.analysis.ratings import Ratings
from HierSynthLib.reader_study.analysis.readings import Question, Readings
from HierSynthLib.reader_study.analysis.shares import clustered_share, share_of

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Diagnosis:
    """The answers to a diagnosis in one mode, of the cases whose truth is known.

    Attributes:
        question: the diagnosis.
        mode: in which it was asked.
        choices: 1 positive, 0 negative.
        scores: see `signed_confidence`.
        positive: (cases,) the truth.
    """

    question: Question
    mode: str
    choices: Ratings
    scores: Ratings
    positive: NDArray[np.bool_]


def diagnoses(study: Readings) -> list[Diagnosis]:
    """Every diagnosis that has a confidence and cases with a known truth.

    Raises:
        InputError: see `truth_of`.
    """
    asked = [each for each in study.asked() if each[0].kind == "diagnosis" and each[0].confidence]
    return [found for question, mode in asked if (found := _diagnosis(study, question, mode)) is not None]


def _diagnosis(study: Readings, question: Question, mode: str) -> Diagnosis | None:
    truths = truth_of(study, question)
    readings = [
        one
        for one in study.firsts(mode)
        if question.id in one.answers and question.confidence in one.answers and one.case in truths
    ]
    if not readings:
        return None

    def table(values: list[float]) -> Ratings:
        return study.table(question.id, zip(readings, values, strict=True))

    chosen = [float(one.answers[question.id] == question.positive) for one in readings]
    confidence = table([float(one.answers[question.confidence]) for one in readings])
    choices = table(chosen)
    scores = choices.with_values(signed_confidence(choices.values, confidence.values))
    positive = np.array([truths[case] for case in choices.cases], dtype=bool)
    return Diagnosis(question, mode, choices, scores, positive)


def truth_of(study: Readings, question: Question) -> dict[str, bool]:
    """Case → whether the condition of a diagnosis is present; without the cases whose truth is not known.

    Raises:
        InputError: the truth of a case is none of the answers that readers could give, so that it cannot be compared.
    """
    given = {case: study.truth.get(case, {}).get(question.truth) for case in study.cases}
    known = {case: "" if value is None else str(value).strip() for case, value in given.items()}
    for case, value in known.items():
        if value and value not in question.categories:
            raise InputError(
                f'The truth "{question.truth}" of the case {case} is {value!r}; the answers to "{question.id}" are '
                f"{', '.join(str(each) for each in question.categories)}.",
                "The key holds it. Make the study anew with a corrected truth file.",
            )
    return {case: value == question.positive for case, value in known.items() if value}


def unknown_truths(study: Readings) -> list[str]:
    """A sentence for every diagnosis that some cases are left out of."""
    sentences = []
    for question in (each for each in study.questions if each.kind == "diagnosis" and each.truth):
        lacking = len(study.cases) - len(truth_of(study, question))
        if lacking:
            sentences.append(f'{question.text}: {lacking} cases are left out, whose "{question.truth}" is not known.')
    return sentences


def signed_confidence(positive: Values, confidence: Values) -> Values:
    """A score that is larger the surer the reader is of "positive": +confidence, or −confidence of "negative".

    Args:
        positive: 1 where the reader chose the positive answer, 0 for the negative one, NaN missing.
        confidence: 0–100 of that choice; of the same shape.
    """
    found: Values = np.where(positive == 1, confidence, -confidence)
    found[~np.isfinite(positive)] = np.nan
    return found


def diagnostic_accuracy(found: Diagnosis) -> dict[str, Any]:
    """ROC curves per reader and arm, DeLong between the arms per reader, and the MRMC analysis of two arms.

    Args:
        found: one of `diagnoses`.

    Returns:
        "curves", "tests" and "mrmc" (each arm against the first, with both kinds of covariances), and "choices":
        sensitivity, specificity and accuracy of the choice itself.
    """
    scores, truth = found.scores, found.positive
    return {
        "id": found.question.id,
        "text": found.question.text,
        "mode": found.mode,
        "truth": found.question.truth,
        "positive_value": str(found.question.positive),
        "arms": list(scores.arms),
        "positive": int(truth.sum()),
        "negative": int((~truth).sum()),
        "curves": [
            {"arm": arm, "reader": reader} | roc(scores.of(arm)[:, number], list(truth)).to_json()
            for arm in scores.arms
            for number, reader in enumerate(scores.readers)
        ],
        "tests": [
            {"first": scores.arms[0], "second": arm, "reader": reader}
            | compare_auc(scores.of(arm)[:, number], scores.of(scores.arms[0])[:, number], list(truth)).to_json()
            for arm in scores.arms[1:]
            for number, reader in enumerate(scores.readers)
        ],
        "mrmc": [
            {"first": scores.arms[0], "second": arm, "covariance": method}
            | obuchowski_rockette(scores.values[[0, number]], truth, method).to_json()
            for number, arm in enumerate(scores.arms)
            if number
            for method in ("delong", "jackknife")
        ],
        "choices": [_choices(found.choices, arm, truth) for arm in scores.arms],
    }


def _choices(choices: Ratings, arm: str, truth: NDArray[np.bool_]) -> dict[str, Any]:
    table = choices.of(arm)
    correct = np.where(np.isfinite(table), table == truth[:, None], np.nan)
    parts = {"sensitivity": correct[truth], "specificity": correct[~truth], "accuracy": correct}
    return {
        "arm": arm,
        "pooled": {name: clustered_share(part).to_json() for name, part in parts.items()},
        "by_reader": {
            reader: {name: share_of(part[:, number]).to_json() for name, part in parts.items()}
            for number, reader in enumerate(choices.readers)
        },
    }
