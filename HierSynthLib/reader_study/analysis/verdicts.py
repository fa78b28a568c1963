"""Which items are compared between the arms, and what may be claimed of each when there are several."""

from __future__ import annotations

from typing import Any

from HierSynthLib.reader_study.analysis.comparison import LEVEL, MARGIN, adjusted, compare, verdict
from HierSynthLib.reader_study.analysis.readings import Question, Readings


def comparisons(study: Readings, asked: list[tuple[Question, str]]) -> list[dict[str, Any]]:
    """Every ordinal item that was asked of the reference and of another arm, with p adjusted for their number."""
    rows: list[dict[str, Any]] = []
    for question, mode in asked:
        if question.kind != "ordinal":
            continue
        ratings = study.ratings(question, mode)
        for arm in ratings.arms:
            if arm == study.reference or study.reference not in ratings.arms:
                continue
            found = compare(
                question.id,
                (arm, study.reference),
                ratings.of(arm),
                ratings.of(study.reference),
                ratings.readers,
                margin=MARGIN if question.margin is None else question.margin,
                higher_is_better=question.higher_is_better,
            )
            rows.append(found.to_json() | {"mode": mode, "text": question.text, "primary": question.primary})
    for row, p in zip(rows, adjusted([row["clustered"]["p"] for row in rows]), strict=True):
        row["p_holm"], row["tests"] = p, len(rows)
    _judge(rows, declared=any(question.primary for question in study.questions))
    return rows


def _judge(rows: list[dict[str, Any]], *, declared: bool) -> None:
    """Put verdicts on the primary items, or on all where the form declares none; the others are descriptive.

    A verdict follows from p after Holm's adjustment over all items and arms that get one, so that it cannot contradict
    the p beside it.
    """
    judged = [row["non_inferiority"] for row in rows if row["primary"] or not declared]
    for row in rows:
        row["non_inferiority"] |= {"level": LEVEL, "judged": len(judged)}
        if declared and not row["primary"]:
            nothing = dict.fromkeys(("p", "p_inferior", "p_holm", "p_inferior_holm"))
            row["non_inferiority"] |= nothing | {"verdict": "descriptive"}
    p_values = [adjusted([each[name] for each in judged]) for name in ("p", "p_inferior")]
    for each, p, p_inferior in zip(judged, *p_values, strict=True):
        each |= {"p_holm": p, "p_inferior_holm": p_inferior, "verdict": verdict(p, p_inferior)}
