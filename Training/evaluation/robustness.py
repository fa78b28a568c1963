"""What a missing sequence costs: every sequence (and every pair) is left out in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

from HierSynthLib.case import SEQUENCES, Role
from HierSynthLib.fidelity.cohort import statistics
from Training.evaluation.store import Row

MEASURE = "roi_ssim"


def left_out(sequences: Sequence[Role], kind: str) -> list[tuple[Role, ...]]:
    """The combinations that are left out; at least one sequence always stays.

    Args:
        sequences: that the model reads and the case has.
        kind: "none", "single" or "pairs".
    """
    most = {"none": 0, "single": 1, "pairs": 2}[kind]
    return [each for size in range(1, min(most, len(sequences) - 1) + 1) for each in combinations(sequences, size)]


def costs(method: str, found: Iterable[tuple[str, Row, Row]]) -> list[dict[str, Any]]:
    """The cost in ROI SSIM of each combination, over patients.

    Args:
        method: name of the method.
        found: patient, the row with everything and one with less, of the same examination and model.

    Returns:
        "method", "without", "cost" (everything − less: an estimate) and "ssim" (with less), by combination.
    """
    lost: dict[tuple[str, ...], dict[str, list[tuple[float, float]]]] = {}
    for patient, whole, less in found:
        one, other = whole.values.get(MEASURE), less.values.get(MEASURE)
        own = lost.setdefault(less.without, {}).setdefault(patient, [])
        if one is not None and other is not None:
            own.append((one - other, other))
    return [
        {
            "method": method,
            "without": list(without),
            "cost": _interval(patients, 0).to_json(),
            "ssim": _interval(patients, 1).to_json(),
        }
        for without, patients in sorted(lost.items(), key=lambda item: (len(item[0]), _order(item[0])))
    ]


def _interval(patients: Mapping[str, Sequence[tuple[float, float]]], place: int) -> statistics.Estimate:
    """Examinations of a patient are averaged first."""
    return statistics.mean_interval([fmean(pair[place] for pair in own) for own in patients.values() if own])


def _order(without: tuple[str, ...]) -> list[int]:
    known = list(map(str, SEQUENCES))
    return [known.index(name) for name in without]
