"""table.md: the main results for a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from Training.evaluation.definitions import Column, column, primary

ARROWS = {"higher": "↑", "lower": "↓"}


def markdown_table(record: Mapping[str, Any]) -> str:
    """Means with 95 % intervals, differences to the reference, missing sequences, targets.

    Args:
        record: contents of evaluation.json.
    """
    parts = (_heading, _means, _differences, _missing, _decisions, _made)
    return "\n".join(line for part in parts for line in part(record)) + "\n"


def people(record: Mapping[str, Any]) -> str:
    """How many were measured: 12 patients, or 12 patients (15 examinations)."""
    patients, examinations = record["patients"], len(record["examinations"])
    words = f"{patients} patient{'' if patients == 1 else 's'}"
    return words if examinations == patients else f"{words} ({examinations} examinations)"


def _heading(record: Mapping[str, Any]) -> list[str]:
    grid = " × ".join(f"{edge:g}" for edge in record["settings"]["grid_mm"])
    title = "SIMULATED BRAINS: no evidence of clinical fidelity" if record["simulated"] else "Research only"
    targets = "/".join(sorted({each["target"] for each in record["examinations"]}))
    who = ("Simulated: " if record["simulated"] else "") + people(record)
    return [
        f"**{title}**",
        "",
        f"{who}; measured on {grid} mm against the {targets} map. Mean over patients [95 % interval, bootstrap over "
        "patients]; where a method has several trainings, mean over them and ± SD between them.",
        "",
    ]


def _means(record: Mapping[str, Any]) -> list[str]:
    """A line for each method: with many of them, columns would not fit on a page."""
    cells = {(entry["method"], entry["column"]): entry for entry in record["means"]}
    known = [what for what in primary() if any(cells[m["name"], what.id]["mean"]["n"] for m in record["methods"])]
    headings = [f"{what.heading} {arrow(what)}".strip() for what in known]
    lines = [f"| method | trainings | {' | '.join(headings)} |", f"|---|---|{'---|' * len(known)}"]
    for method in record["methods"]:
        texts = [mean_text(cells[method["name"], what.id], what) for what in known]
        lines.append(f"| {method['name']} | {len(method['trainings'])} | {' | '.join(texts)} |")
    return lines


def _differences(record: Mapping[str, Any]) -> list[str]:
    if not record["differences"]:
        return []
    lines = [
        "",
        f"Difference to {record['reference']}, paired by patient (Wilcoxon signed rank, Holm over "
        f"{record['differences'][0]['tests']} tests; effect: rank-biserial, above 0 better than the reference). "
        "Intervals: bootstrap over patients; patients and trainings drawn anew together:",
        "",
        "| measure | method | difference [95 %] | with trainings | patients better | effect | p (Holm) |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in record["differences"]:
        what, test = column(entry["column"]), entry["test"]
        if entry["difference"]["value"] is None:
            continue
        lines.append(
            f"| {what.heading} | {entry['method']} | {estimate_text(entry['difference'], what, signed=True)} | "
            f"{interval_text(entry['with_seeds'], what)} | {entry['better']} of {test['n']} | "
            f"{number_text(test['effect'])} | {p_text(entry['p_holm'])} |"
        )
    return lines


def _missing(record: Mapping[str, Any]) -> list[str]:
    """What leaving out one sequence costs: a line for each method."""
    single = [each for each in record["robustness"] if len(each["without"]) == 1]
    names = list(dict.fromkeys(each["without"][0] for each in single))
    if not names:
        return []
    cells = {(each["method"], each["without"][0]): each["cost"] for each in single}
    lines = ["", "Loss of ROI SSIM when a sequence is missing (first training of each method):", ""]
    lines += [f"| method | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for method in dict.fromkeys(each["method"] for each in single):
        own = [cells.get((method, name)) for name in names]
        texts = ["–" if cost is None else estimate_text(cost, column("roi_ssim"), signed=True) for cost in own]
        lines.append(f"| {method} | {' | '.join(texts)} |")
    return lines


def _decisions(record: Mapping[str, Any]) -> list[str]:
    lines = ["", "| target | method | status | because |", "|---|---|---|---|"]
    for entry in record["decisions"]:
        lines.append(f"| {entry['text']} | {entry['method']} | {entry['status']} | {entry['because']} |")
    return lines if record["decisions"] else []


def _made(record: Mapping[str, Any]) -> list[str]:
    """How it was made, for whoever wants to repeat it."""
    command = {name: value for name, value in record["command"].items() if name != "models"}
    said = "; ".join(f"{name}: {value}" for name, value in command.items() if value not in (None, False, ""))
    return ["", f"`hiersynth evaluate` {record['hiersynth']}, {record['created'][:10]}{'; ' if said else ''}{said}."]


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


def interval_text(found: Mapping[str, Any], what: Column) -> str:
    """The interval alone."""
    if found["low"] is None:
        return "–"
    return f"{what.text(found['low'], signed=True)} to {what.text(found['high'], signed=True)}"


def number_text(value: float | None) -> str:
    """Two digits, with a true minus sign."""
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def p_text(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
