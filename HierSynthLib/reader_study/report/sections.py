"""The sections of report.html about ratings and agreement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from HierSynthLib.fidelity.measures.definitions import ABSENT
from HierSynthLib.fidelity.report import html
from HierSynthLib.reader_study.analysis.readings import MODE_WORDS
from HierSynthLib.reader_study.report.words import (
    NAMES,
    coefficient,
    estimate,
    heading,
    minutes,
    number,
    p_value,
    per_cent,
    seconds,
    share,
)

Analysis = Mapping[str, Any]
Found = Mapping[str, Any]

_KINDS = {"ordinal": "ordered", "nominal": "choice", "scale": "scale", "flag": "flag"} | dict.fromkeys(
    ("diagnosis", "origin"), "choice"
)


def completion_section(analysis: Analysis) -> list[str]:
    """What was read."""
    rows = [
        [
            row["reader"],
            f"{row['submitted']} of {row['expected']}",
            f"{row['duplicates']}",
            f"{row['sessions']}",
            f"{row['amendments']}",
            minutes(row["active_s"]),
            minutes(row["idle_s"]),
            _day(row["first"]),
            _day(row["last"]),
        ]
        for row in analysis["completion"]
    ]
    headings = ["Reader", "Presentations", "Duplicates", "Sessions", "Amendments", "Active", "Idle", "First", "Last"]
    caption = "Training presentations are not counted. Readers are named by their study codes."
    table = html.table(headings, rows, caption=caption)
    return [html.heading("Completion"), table, *_record(analysis["study"]["record"])]


def _record(state: Found | None) -> list[str]:
    """Whether the record was whole, and the hash by which this report can be held against it."""
    if state is None:
        return []
    checked = "verified" if state["verified"] else "NOT WHOLE, see the warnings"
    images = "with all images" if state["images_checked"] else "images not read"
    text = f"Record: {checked}; {state['events']} events, {images}. Last event: {state['receipt']}."
    return [html.paragraph(" ".join([text, *state["notes"]]), "facts")]


def ratings_section(analysis: Analysis, pictures: Sequence[str]) -> list[str]:
    """Distributions and comparison of the arms."""
    items = [item for item in analysis["items"] if item["kind"] in ("ordinal", "scale", "nominal")]
    if not items:
        return []
    parts = [html.heading("Ratings"), *pictures, html.details("All distributions", _distributions(items))]
    rows = analysis["comparisons"]
    if rows:
        parts += [
            html.heading("Comparison of the arms", 3),
            _comparison_table(rows),
            html.details("Wilcoxon signed rank of each reader", _reader_tests(rows)),
        ]
        note = (
            "A difference is test − reference, turned so that positive is better. Its interval takes readers and cases "
            "as random (two-way model, Satterthwaite); the bootstrap beside it resamples both; neither is adjusted. "
            f"The verdict follows from {_judged_p(rows[0]['non_inferiority']['judged'])}: non-inferior if it is at "
            f"most 0.025, inferior if that of the opposite is. {_which_are_judged(rows)} The ordinal test is the "
            "Wilcoxon signed rank over all readers and cases with the signs of a case flipped together; it speaks of "
            "other cases, not of other readers; its p is adjusted over this table."
        )
        parts.append(html.paragraph(note, "note"))
    return parts


def _judged_p(judged: int) -> str:
    adjusted = f", after Holm's adjustment over {judged} judged comparisons" if judged > 1 else ""
    return f"the one-sided p of the margin{adjusted}"


def _which_are_judged(rows: Sequence[Found]) -> str:
    if any(row["primary"] or _descriptive(row) for row in rows):
        return "Only the primary end points of the form get a verdict; the others are descriptive."
    return "The form declares no primary end point, so every item gets a verdict."


def _descriptive(row: Found) -> bool:
    return bool(row["non_inferiority"]["verdict"] == "descriptive")


def _distributions(items: Sequence[Found]) -> str:
    tables = []
    for item in items:
        categories = item["categories"] or []
        labels = item["labels"] or []
        names = [
            f"{value:g}" + (f" {labels[place]}" if place < len(labels) else "")
            for place, value in enumerate(categories)
        ]
        rows = []
        for who, by_arm in [("all readers", item["arms"]), *item["by_reader"].items()]:
            for arm, found in by_arm.items():
                counts = [str(count) for count in found["counts"]] if found["counts"] is not None else []
                spread = f"{number(found['mean'])} ± {number(found['sd'])}"
                middle = f"{number(found['median'], 1)} ({number(found['q1'], 1)} to {number(found['q3'], 1)})"
                rows.append([who, arm, f"{found['n']}", f"{found['missing']}", spread, middle, *counts])
        headings = ["Reader", "Arm", "Ratings", "Missing", "Mean ± SD", "Median (quartiles)", *names]
        caption = f"{item['text']} ({_KINDS[item['kind']]}, {MODE_WORDS[item['mode']]})"
        tables.append(html.table(headings, rows, caption=caption, text_columns=2))
    return "".join(tables)


def _comparison_table(rows: Sequence[Found]) -> str:
    lines = [
        [
            f"{row['text']} (primary)" if row["primary"] else row["text"],
            f"{row['test']} − {row['reference']}" if row["higher_is_better"] else f"{row['reference']} − {row['test']}",
            " / ".join(number(mean) for mean in row["means"]),
            estimate(row["difference"], below=True),
            estimate(row["bootstrap"], below=True),
            ABSENT if _descriptive(row) else f"{number(-row['non_inferiority']['margin'], 2)}",
            row["non_inferiority"]["verdict"],
            p_value(row["non_inferiority"]["p_holm"]),
            number(row["clustered"]["effect"]),
            p_value(row["clustered"]["p"]),
            p_value(row["p_holm"]),
        ]
        for row in rows
    ]
    headings = [
        "Item", "Difference of", "Means\n(test / reference)", "Mean difference\n(95 %)", "Two-way\nbootstrap", "Margin",
        "Verdict", "p margin\n(Holm)", "Rank-biserial", "p ordinal", "p ordinal\n(Holm)",
    ]  # fmt: skip
    return _table(headings, lines, text_columns=2)


def _reader_tests(rows: Sequence[Found]) -> str:
    lines = [
        [row["text"], row["test"], reader, f"{found['n']}", number(found["median_difference"], 1),
         number(found["effect"]), p_value(found["p"]), found["note"]]
        for row in rows
        for reader, found in row["by_reader"].items()
    ]  # fmt: skip
    headings = ["Item", "Arm", "Reader", "Cases", "Median difference", "Rank-biserial", "p", "Note"]
    return _table(headings, lines, text_columns=3, notes=True)


def agreement_section(analysis: Analysis, pictures: Sequence[str]) -> list[str]:
    """All coefficients together, with the caveat."""
    groups: dict[tuple[str, ...], list[Found]] = {}
    for item in analysis["items"]:
        for found in item["agreement"].values():
            groups.setdefault(tuple(found["coefficients"]), [])
            if item not in groups[tuple(found["coefficients"])]:
                groups[tuple(found["coefficients"])].append(item)
    if not groups or len(analysis["study"]["readers"]) < 2:
        return []
    parts = [html.heading("Agreement between readers"), html.paragraph(analysis["caveat"], "note"), *pictures]
    for names, items in groups.items():
        rows = [
            [item["text"], arm, *(coefficient(name, found["coefficients"][name]) for name in names), found["note"]]
            for item in items
            for arm, found in item["agreement"].items()
            if _any_known(found["coefficients"].values())
        ]
        headings = ["Item", "Arm", *(NAMES[name] for name in names), "Note"]
        parts += [_table(headings, rows, text_columns=2, notes=True)] if rows else []
    every = [found["coefficients"] for item in analysis["items"] for found in item["agreement"].values()]
    if not any(_any_known(coefficients.values()) for coefficients in every):
        parts.append(html.paragraph("No coefficient can be calculated with these readings."))
    notes = _why_missing(analysis["items"])
    parts += [html.details("Why coefficients or intervals are missing", html.bullets(notes))] if notes else []
    return [*parts, *_pairs(analysis["items"])]


def _any_known(estimates: Iterable[Found]) -> bool:
    return any(each["value"] is not None for each in estimates)


def _why_missing(items: Sequence[Found]) -> list[str]:
    """For each reason the coefficients that it holds for, and the items with their arms."""
    reasons: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for item in items:
        for arm, found in item["agreement"].items():
            by_note: dict[str, list[str]] = {}
            for name, estimated in found["coefficients"].items():
                if estimated["note"]:
                    by_note.setdefault(estimated["note"], []).append(heading(name))
            for note, names in by_note.items():
                reasons.setdefault((note, *names), {}).setdefault(item["text"], []).append(arm)
    return [
        f"{', '.join(names)}: {note} Items: "
        + "; ".join(f"{text} ({', '.join(arms)})" for text, arms in places.items())
        for (note, *names), places in reasons.items()
    ]


def _pairs(items: Sequence[Found]) -> list[str]:
    kinds = ("identity", "linear", "quadratic")
    lines = [
        [item["text"], arm, f"{pair['first']} – {pair['second']}"]
        + [estimate(pair[kind]) if kind in pair else "–" for kind in kinds]
        for item in items
        for arm, found in item["agreement"].items()
        for pair in found["pairs"]
        if _any_known(pair[kind] for kind in kinds if kind in pair)
    ]
    headings = ["Item", "Arm", "Readers", "Kappa, unweighted", "Kappa, linear", "Kappa, quadratic"]
    return [html.details("Kappa of every pair of readers", _table(headings, lines, text_columns=3))] if lines else []


def repeats_section(analysis: Analysis) -> list[str]:
    """Hidden duplicates."""
    if not analysis["repeats"]:
        return []
    rows = [
        [
            row["text"],
            row["reader"],
            f"{row['pairs']}",
            per_cent(row["identical"]),
            number(row["within_sd"]),
            number(row["coefficient"]),
            estimate(row["icc"]),
            estimate(row["kappa_quadratic"]) if "kappa_quadratic" in row else "–",
            estimate(row["ac2"]) if "ac2" in row else "–",
        ]
        for row in analysis["repeats"]
    ]
    headings = [
        "Item", "Reader", "Pairs", "Identical", "Within-reader SD", "Repeatability coefficient", "ICC(2,1)",
        "Kappa, quadratic", "Gwet's AC2",
    ]  # fmt: skip
    caption = "First and second reading of the hidden duplicates; 95 % of repeats are expected within the coefficient."
    all_ = [row for row in rows if row[1] == "all"]
    parts = [html.heading("Readers against themselves"), _table(headings, all_, caption=caption, text_columns=2)]
    own = [row for row in rows if row[1] != "all"]
    return [*parts, html.details("Each reader", _table(headings, own, text_columns=2))]


def times_section(analysis: Analysis, pictures: Sequence[str]) -> list[str]:
    """Reading time per arm."""
    rows = []
    for entry in analysis["times"]:
        for arm, found in entry["arms"].items():
            ratio = entry["ratios"].get(arm)
            shown = "–" if ratio is None else estimate(ratio)
            rows.append([MODE_WORDS[entry["mode"]], entry["labels"][arm], f"{found['n']}", seconds(found), shown])
    headings = ["Mode", "Shown", "Presentations", "Median (quartiles)", "Ratio to the reference (95 %)"]
    caption = "Active time of a presentation; ratio of geometric means with readers and cases random."
    return [html.heading("Reading time"), _table(headings, rows, caption=caption, text_columns=2), *pictures]


def flags_section(analysis: Analysis) -> list[str]:
    """How often flags were raised."""
    if not analysis["flags"]:
        return []
    readers = analysis["study"]["readers"]
    rows = [
        [flag["text"], MODE_WORDS[flag["mode"]], arm, share(found["pooled"])]
        + [per_cent(found["by_reader"][reader]["value"]) for reader in readers]
        for flag in analysis["flags"]
        for arm, found in flag["arms"].items()
    ]
    caption = "Share of presentations with the flag; interval of Wilson with the clustering of readers and cases."
    headings = ["Flag", "Mode", "Arm", "All readers", *readers]
    return [html.heading("Flags"), _table(headings, rows, caption=caption, text_columns=3)]


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", text_columns: int = 1,
    notes: bool = False,
) -> str:  # fmt: skip
    flat = [each.replace("\n", " ") for each in headings]
    return html.table(flat, rows, caption=caption, text_columns=text_columns, notes=notes)


def _day(moment: str) -> str:
    return moment[:10] or "–"
