"""The sections of report.html about forced choices: preference, visual Turing test, diagnosis; and marked regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from HierSynthLib.fidelity.measures.definitions import measure
from HierSynthLib.fidelity.report import html
from HierSynthLib.fidelity.report.tables import CBV_UNITS, in_units
from HierSynthLib.reader_study.report.words import estimate, number, p_value, share

Analysis = Mapping[str, Any]

_MODELS = {
    "random readers, random cases": "for other readers and other cases",
    "fixed readers, random cases": "for these readers and other cases",
    "random readers, fixed cases": "for other readers and these cases",
}


def preference_section(analysis: Analysis, pictures: Sequence[str]) -> list[str]:
    """Side by side."""
    if not analysis["preferences"]:
        return []
    rows = []
    for question in analysis["preferences"]:
        for arm, found in question["arms"].items():
            rows.append(_preference_row(question, arm, "all", found, p_value(found["p"]), share(found["left"])))
            rows += [_preference_row(question, arm, reader, own, "", "") for reader, own in found["by_reader"].items()]
    headings = ["Question", "Arm", "Reader", "Preferred", "No preference", "Reference preferred",
                "Share of the decided", "p", "Left map preferred"]  # fmt: skip
    caption = (
        "All readers: Wilson's interval with the clustering of readers and cases; p by flipping the signs of cases. "
        "Single readers: Wilson. A left share away from 50 % would be a habit of side."
    )
    return [html.heading("Preference"), html.table(headings, rows, caption=caption, text_columns=3), *pictures]


def _preference_row(
    question: Mapping[str, Any], arm: str, reader: str, found: Mapping[str, Any], p: str, left: str
) -> list[str]:
    counts = found["counts"]
    numbers = [str(counts[name]) for name in ("test", "none", "reference")]
    return [question["text"], arm, reader, *numbers, share(found["share"]), p, left]


def turing_section(analysis: Analysis, pictures: Sequence[str]) -> list[str]:
    """Visual Turing test."""
    if not analysis["turing"]:
        return []
    rows = []
    for question in analysis["turing"]:
        for who, found in [("all", question["pooled"]), *question["by_reader"].items()]:
            rows.append(
                [
                    question["text"],
                    who,
                    f"{found['accuracy']['n']}",
                    *(share(found[name]) for name in ("balanced", "sensitivity", "specificity", "accuracy")),
                ]
            )
    headings = ["Question", "Reader", "Answers", "Balanced accuracy", "Synthetic recognised", "Acquired recognised",
                "All answers correct"]  # fmt: skip
    caption = (
        "Balanced accuracy: mean of the two shares beside it; 50 % by guessing, and by always giving the same answer. "
        "The share of all answers has no such value where the numbers of synthetic and acquired maps differ. Wilson's "
        "interval with the effective number of answers: all answers to a case keep together, and for “all” readers and "
        "cases are random."
    )
    parts = [html.heading("Visual Turing test"), html.table(headings, rows, caption=caption, text_columns=2)]
    note = (
        "That readers cannot tell the maps apart would not show that the maps are right: a plausible map can be wrong."
    )
    kinds = [_kinds(question) for question in analysis["turing"]]
    return [*parts, *pictures, html.paragraph(" ".join([*kinds, note]), "note")]


def _kinds(question: Mapping[str, Any]) -> str:
    kinds = [f"{name}: {', '.join(question[name]) or 'none'}" for name in ("synthetic", "acquired")]
    return f"{'; '.join(kinds).capitalize()}."


def diagnosis_section(analysis: Analysis, pictures: Sequence[str]) -> list[str]:
    """ROC and MRMC."""
    if not analysis["diagnosis"]:
        return []
    parts = [html.heading("Diagnosis"), *pictures]
    for found in analysis["diagnosis"]:
        parts += [
            html.heading(f"{found['text']}: {found['positive']} cases {found['positive_value']}, "
                         f"{found['negative']} not", 3),
            _readers_table(found),
            *_mrmc_parts(found),
            _choices_table(found),
        ]  # fmt: skip
    return parts


def _readers_table(found: Mapping[str, Any]) -> str:
    readers = list(dict.fromkeys(curve["reader"] for curve in found["curves"]))
    curves = {(curve["arm"], curve["reader"]): curve for curve in found["curves"]}
    tests = {(test["second"], test["reader"]): test for test in found["tests"]}
    others = found["arms"][1:]
    rows = []
    for reader in readers:
        row = [reader, *(estimate(curves[arm, reader]["auc"], 3) for arm in found["arms"])]
        for arm in others:
            test = tests[arm, reader]
            row += [number(test["difference"], 3), p_value(test["p"])]
        notes = [curves[arm, reader]["auc"]["note"] for arm in found["arms"]]
        rows.append([*row, next((note for note in notes if note), "")])
    headings = ["Reader", *(f"AUC, {arm}" for arm in found["arms"])]
    headings += [text for arm in others for text in (f"Difference, {arm}", "p (DeLong)")]
    caption = (
        "Empirical AUC of the choice with its confidence (+confidence for the positive answer, −confidence for the "
        "negative one), DeLong's interval and test."
    )
    return html.table([*headings, "Note"], rows, caption=caption, notes=True)


def _mrmc_parts(found: Mapping[str, Any]) -> list[str]:
    rows, notes = [], []
    for entry in found["mrmc"]:
        what = f"{entry['second']} − {entry['first']}"
        if entry["note"]:
            notes.append(f"{what}: {entry['note']}")
        for test in entry["tests"]:
            freedom = "∞" if test["freedom"] is None else number(test["freedom"], 1)
            rows.append(
                [
                    what,
                    _MODELS[test["model"]],
                    entry["covariance"].replace("delong", "DeLong"),
                    " / ".join(estimate(arm, 3) for arm in reversed(entry["arms"])),
                    estimate(test["difference"], 3),
                    number(test["f"]),
                    freedom,
                    p_value(test["p"]),
                ]
            )
    notes = list(dict.fromkeys(notes))
    if not rows:
        return [html.paragraph(note, "note") for note in notes]
    headings = ["Arms", "Holds", "Covariances", "Mean AUC of each", "Difference (95 %)", "F", "df", "p"]
    caption = (
        "Multi-reader multi-case analysis of variance of Obuchowski and Rockette, degrees of freedom of Hillis 2007."
    )
    table = html.table(headings, rows, caption=caption, text_columns=3)
    return [table, *(html.paragraph(note, "note") for note in notes)]


def _choices_table(found: Mapping[str, Any]) -> str:
    rows = [
        [arm["arm"], who, *(share(own[name]) for name in ("sensitivity", "specificity", "accuracy"))]
        for arm in found["choices"]
        for who, own in [("all", arm["pooled"]), *arm["by_reader"].items()]
    ]
    headings = ["Arm", "Reader", "Sensitivity", "Specificity", "Correct"]
    return html.details("The choice itself, without confidence", html.table(headings, rows, text_columns=2))


def regions_section(analysis: Analysis, pictures: Sequence[str]) -> list[str]:
    """Values of marked regions."""
    if not analysis["regions"]:
        return []
    rows, between = [], []
    for found in analysis["regions"]:
        what, unit = measure(found["measure"]), in_units(measure(found["measure"]).unit, CBV_UNITS)
        first = [f"{found['item']}: {what.name}{', ' + unit if unit else ''}", found["placement"]]
        for row in found["arms"]:
            limits = row["bland_altman"]
            numbers = [estimate(row["icc"]), *(estimate(limits[end]) for end in ("bias", "lower", "upper"))]
            arms = f"{row['test']} − {found['reference']}"
            rows.append([*first, arms, row["reader"], f"{row['icc']['n']}", *numbers, row["icc"]["note"]])
        between += [[*first, arm, estimate(icc), icc["note"]] for arm, icc in found["readers"].items()]
    headings = ["Region and measure", "Which", "Arms", "Reader", "Cases", "ICC(2,1)", "Bias", "Lower limit"]
    caption = "“all”: mean over readers, one value per case."
    headings += ["Upper limit", "Note"]
    means = html.table(headings, [r for r in rows if r[3] == "all"], caption=caption, text_columns=4, notes=True)
    single = html.table(headings, [r for r in rows if r[3] != "all"], text_columns=4, notes=True)
    headings = ["Region and measure", "Which", "Arm", "ICC(2,1) between readers", "Note"]
    readers = html.table(headings, between, text_columns=3, notes=True)
    return [html.heading("Marked regions"), means, readers, *pictures, html.details("Each reader", single)]
