"""Whether the targets are met, in words with the numbers they rest on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from HierSynthLib.fidelity.cohort import statistics
from HierSynthLib.fidelity.cohort.statistics import Estimate
from Training.evaluation.definitions import Column, column
from Training.evaluation.table import Table, ratio_of_means

MET, MISSED, OPEN = "met", "missed", "not measured"

_FILE = Path(__file__).with_name("targets.json")


def targets() -> list[dict[str, Any]]:
    """The targets, see targets.json."""
    found: list[dict[str, Any]] = json.loads(_FILE.read_text("utf-8"))
    return found


def decide(table: Table, reference: str | None, costs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Every target for every method but the reference.

    Args:
        table: of all values.
        reference: name of the method that the others are compared with; None for none.
        costs: of missing sequences, see `robustness.costs`.

    Returns:
        "method", "target" (id), "text", "status" (met, missed, not measured) and "because" (with numbers).
    """
    return [
        {"method": method, "target": target["id"], "text": target["text"]}
        | dict(zip(("status", "because"), _judge(target, table, method, reference, costs), strict=True))
        for method in table.methods
        if method != reference
        for target in targets()
    ]


def _judge(
    target: Mapping[str, Any], table: Table, method: str, reference: str | None, costs: Sequence[Mapping[str, Any]]
) -> tuple[str, str]:
    kind = target["kind"]
    if kind == "robustness":
        return _robust(target, [each for each in costs if each["method"] == method and len(each["without"]) == 1])
    what = column(target["column"])
    if kind == "within":
        return _within(target, what, statistics.mean_interval(table.by_patient(method, what.id)))
    if reference is None:
        return OPEN, "no reference was given"
    if kind == "ratio":
        return _ratio(target, ratio_of_means(table, method, reference, what.id), reference)
    difference = table.by_patient(method, what.id) - table.by_patient(reference, what.id)
    return _gain(target, what, statistics.mean_interval(difference), reference)


def _within(target: Mapping[str, Any], what: Column, found: Estimate) -> tuple[str, str]:
    if found.value is None:
        return OPEN, found.note
    good = target["low"] <= found.value <= target["high"]
    return (MET if good else MISSED), f"mean {_text(what, found)}, {_patients(found)}"


def _ratio(target: Mapping[str, Any], found: Estimate, reference: str) -> tuple[str, str]:
    if found.value is None:
        return OPEN, found.note
    interval = "" if found.low is None else f" [{found.low:.3f} to {found.high:.3f}]"
    good = found.value <= target["most"]
    return (MET if good else MISSED), f"{found.value:.3f}{interval} times that of {reference}, {_patients(found)}"


def _gain(target: Mapping[str, Any], what: Column, found: Estimate, reference: str) -> tuple[str, str]:
    if found.value is None:
        return OPEN, found.note
    words = f"{_text(what, found, signed=True)} against {reference}, {_patients(found)}"
    if found.low is None:
        return OPEN, f"{words}; no interval: {found.note}"
    return (MET if found.value >= target["least"] and found.low > 0 else MISSED), words


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


def _patients(found: Estimate) -> str:
    return f"n = {found.n}"
