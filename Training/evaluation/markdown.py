"""table.md: the main results for a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from Training.evaluation.definitions import Column, column, primary

ARROWS = {"higher": "↑", "lower": "↓"}


def markdown_table(record: Mapping[str, Any]) -> str:
    """Means with 95 % intervals, differences to the reference, targets.

    Args:
        record: contents of evaluation.json.
    """
    return "\n".join([*_heading(record), *_means(record), *_differences(record), *_decisions(record)]) + "\n"


def _heading(record: Mapping[str, Any]) -> list[str]:
    patients = record["patients"]
    kind = "simulated brains" if record["simulated"] else "patients"
    grid = " × ".join(f"{edge:g}" for edge in record["settings"]["grid_mm"])
    title = "SIMULATED BRAINS: no evidence of clinical fidelity" if record["simulated"] else "Research only"
    targets = "/".join(sorted({patient["target"] for patient in patients}))
    return [
        f"**{title}**",
        "",
        f"{len(patients)} {kind}; measured on {grid} mm against the {targets} map. Mean over patients [95 % interval, "
        "bootstrap over patients]; where a method has several trainings, mean over them and ± SD between them.",
        "",
    ]


def _means(record: Mapping[str, Any]) -> list[str]:
    names = [method["name"] for method in record["methods"]]
    cells = {(entry["method"], entry["column"]): entry for entry in record["means"]}
    lines = [f"| measure | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for what in primary():
        texts = [mean_text(cells[name, what.id], what) for name in names]
        lines.append(f"| {what.heading} {arrow(what)} | {' | '.join(texts)} |")
    return lines


def _differences(record: Mapping[str, Any]) -> list[str]:
    if not record["differences"]:
        return []
    lines = [
        "",
        f"Difference to {record['reference']}, paired by patient (Wilcoxon signed rank, Holm over "
        f"{record['differences'][0]['tests']} tests; effect: rank-biserial, above 0 better than the reference):",
        "",
        "| measure | method | difference [95 %] | patients better | effect | p (Holm) |",
        "|---|---|---|---|---|---|",
    ]
    for entry in record["differences"]:
        what, test = column(entry["column"]), entry["test"]
        lines.append(
            f"| {what.heading} | {entry['method']} | {estimate_text(entry['difference'], what, signed=True)} | "
            f"{entry['better']} of {test['n']} | {number_text(test['effect'])} | {p_text(entry['p_holm'])} |"
        )
    return lines


def _decisions(record: Mapping[str, Any]) -> list[str]:
    lines = ["", "| target | method | status | because |", "|---|---|---|---|"]
    for entry in record["decisions"]:
        lines.append(f"| {entry['text']} | {entry['method']} | {entry['status']} | {entry['because']} |")
    return lines if record["decisions"] else []


def arrow(what: Column) -> str:
    """In which direction a measure is better."""
    return f"→ {what.better:g}" if isinstance(what.better, float) else ARROWS.get(str(what.better), "")


def mean_text(entry: Mapping[str, Any], what: Column) -> str:
    """Mean with interval, and the spread of the trainings where there are several."""
    spread = "" if entry["seed_sd"] is None else f" ± {what.text(entry['seed_sd'])}"
    return estimate_text(entry["mean"], what) + spread


def estimate_text(found: Mapping[str, Any], what: Column, *, signed: bool = False) -> str:
    """A value with its interval in brackets."""
    interval = ""
    if found["low"] is not None:
        interval = f" [{what.text(found['low'], signed=signed)} to {what.text(found['high'], signed=signed)}]"
    return what.text(found["value"], signed=signed) + interval


def number_text(value: float | None) -> str:
    """Two digits, with a true minus sign."""
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def p_text(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
