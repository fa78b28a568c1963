"""Whether the targets are met, in words with the numbers they rest on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from HierSynthLib.fidelity.cohort import statistics
from HierSynthLib.fidelity.cohort.statistics import Estimate
from Training.evaluation.definitions import Column, column
from Training.evaluation.table import Table, Values, crossed_interval, crossed_ratio, ratio_interval, wider

MET, MISSED, UNDECIDED, OPEN = "met", "missed", "not decided", "not measured"

FEWEST_TRAININGS = 2
"""Of a method and of its reference: a single lucky training decides nothing."""

_FILE = Path(__file__).with_name("targets.json")


def targets() -> list[dict[str, Any]]:
    """The targets, see targets.json."""
    found: list[dict[str, Any]] = json.loads(_FILE.read_text("utf-8"))
    return found


def decide(
    table: Table, reference: str | None, costs: Sequence[Mapping[str, Any]], texture_reference: str | None = None
) -> list[dict[str, str]]:
    """Every target for every method but the reference.

    Args:
        table: of all values.
        reference: name of the method that the others are compared with; None for none.
        costs: of missing sequences, see `robustness.costs`.
        texture_reference: name of the method with which descriptors are compared: one whose training had the texture
            terms, too; None for `reference`.

    Returns:
        "method", "target" (id), "text", "status" (met, missed, not decided, not measured) and "because" (with numbers).
    """
    return [
        {"method": method, "target": target["id"], "text": target["text"]}
        | dict(zip(("status", "because"), _judge(target, table, method, against, costs), strict=True))
        for method in table.methods
        if method != reference
        for target in targets()
        if (against := (texture_reference or reference) if target.get("texture") else reference) != method
    ]


def _judge(
    target: Mapping[str, Any], table: Table, method: str, reference: str | None, costs: Sequence[Mapping[str, Any]]
) -> tuple[str, str]:
    kind = target["kind"]
    if kind == "robustness":
        return _robust(target, [each for each in costs if each["method"] == method and len(each["without"]) == 1])
    what = column(target["column"])
    if kind == "within":
        return _within(target, what, table.by_patient(method, what.id))
    if reference is None:
        return OPEN, "no reference was given"
    one, other = table.paired(method, reference, what.id)
    if kind == "ratio":
        found = wider(ratio_interval(one, other), crossed_ratio(one, other))
        good = found.high is not None and found.high < 1 and float(found.value or 0) <= target["most"]
        words = f"{_plain(found)} times that of {reference}"
    else:
        found = wider(statistics.mean_interval(one.mean(axis=1) - other.mean(axis=1)), crossed_interval(one, other))
        good = found.low is not None and found.low > 0 and float(found.value or 0) >= target["least"]
        words = f"{_text(what, found, signed=True)} against {reference}"
    return _compared(found, words, good, (one.shape[1], other.shape[1]))


def _compared(found: Estimate, words: str, good: bool, trainings: tuple[int, int]) -> tuple[str, str]:
    """Decided on an interval that takes patients and trainings as drawn, where there are several of both."""
    if found.value is None:
        return OPEN, found.note
    words = f"{words}, {_patients(found)}, {trainings[0]} and {trainings[1]} trainings"
    if found.low is None:
        return OPEN, f"{words}; no interval: {found.note}"
    if min(trainings) < FEWEST_TRAININGS:
        return UNDECIDED, f"{words}; at least {FEWEST_TRAININGS} trainings of both are needed"
    return (MET if good else MISSED), words


def _within(target: Mapping[str, Any], what: Column, values: Values) -> tuple[str, str]:
    """Judged by the mean; the share of patients inside says whether opposite errors have cancelled."""
    found = statistics.mean_interval(values)
    if found.value is None:
        return OPEN, found.note
    known = statistics.finite(values)
    inside = int(((known >= target["low"]) & (known <= target["high"])).sum())
    good = target["low"] <= found.value <= target["high"]
    words = f"mean {_text(what, found)}, {_patients(found)}, {inside} of them inside"
    return (MET if good else MISSED), words


def _robust(target: Mapping[str, Any], costs: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    known = [each for each in costs if each["cost"]["value"] is not None]
    if not known:
        return OPEN, "no sequence was left out"
    worst = max(known, key=lambda each: float(each["cost"]["value"]))
    cost = worst["cost"]
    words = (
        f"the dearest is {' and '.join(worst['without'])}: {_text(column('roi_ssim'), Estimate(**cost), signed=True)}"
    )
    return (MET if cost["value"] <= target["most"] else MISSED), f"{words} lost, {_patients(Estimate(**cost))}"


def _text(what: Column, found: Estimate, *, signed: bool = False) -> str:
    interval = ""
    if found.low is not None:
        interval = f" [{what.text(found.low, signed=signed)} to {what.text(found.high, signed=signed)}]"
    return what.text(found.value, signed=signed) + interval


def _plain(found: Estimate) -> str:
    value = "–" if found.value is None else f"{found.value:.3f}"
    return value if found.low is None else f"{value} [{found.low:.3f} to {found.high:.3f}]"


def _patients(found: Estimate) -> str:
    return f"n = {found.n}"
