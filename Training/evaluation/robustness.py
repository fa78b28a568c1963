"""What a missing sequence costs: every sequence (and every pair) is left out in turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
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


def costs(method: str, pairs: Iterable[tuple[Row, Row]]) -> list[dict[str, Any]]:
    """The cost in ROI SSIM of each combination, over patients.

    Args:
        method: name of the method.
        pairs: the row with everything and one with less, of the same patient and model.

    Returns:
        "method", "without", "cost" (everything − less: an estimate) and "ssim" (with less), by combination.
    """
    found: dict[tuple[str, ...], tuple[list[float | None], list[float | None]]] = {}
    for whole, less in pairs:
        one, other = whole.values.get(MEASURE), less.values.get(MEASURE)
        lost, left = found.setdefault(less.without, ([], []))
        lost.append(None if one is None or other is None else one - other)
        left.append(other)
    return [
        {
            "method": method,
            "without": list(without),
            "cost": statistics.mean_interval(lost).to_json(),
            "ssim": statistics.mean_interval(left).to_json(),
        }
        for without, (lost, left) in sorted(found.items(), key=lambda item: (len(item[0]), _order(item[0])))
    ]


def _order(without: tuple[str, ...]) -> list[int]:
    known = list(map(str, SEQUENCES))
    return [known.index(name) for name in without]
