"""report.html of a reader study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from HierSynthLib.fidelity.report import html
from HierSynthLib.fidelity.report.page import ReportFigure, moment
from HierSynthLib.reader_study.analysis.readings import MODE_WORDS
from HierSynthLib.reader_study.report.choices import (
    diagnosis_section,
    preference_section,
    regions_section,
    turing_section,
)
from HierSynthLib.reader_study.report.sections import (
    agreement_section,
    completion_section,
    flags_section,
    ratings_section,
    repeats_section,
    times_section,
)
from HierSynthLib.reader_study.report.words import estimate, p_value, share

Analysis = Mapping[str, Any]

STATEMENT = "Reader study of synthetic CBV maps. For research only, not for clinical use."
SIMULATED_READERS = "SIMULATED READERS: no human read these maps; the numbers show only that the calculation works."
SIMULATED_CASES = "SIMULATED PATIENTS: ratings of simulated brains are no evidence about real ones."
SOME_SIMULATED_CASES = (
    "SIMULATED PATIENTS: {} of {} cases; ratings of simulated brains are no evidence about real ones."
)

_METHODS = (
    ("Unit", "Reading of a case in an arm by a reader. Training is left out; of hidden duplicates the first counts."),
    ("Mean difference", "Random readers and cases; variance from a two-way model, Satterthwaite's degrees of freedom."),
    ("Two-way bootstrap", "Readers and cases resampled (Owen 2007), 2000 resamples, percentile interval."),
    (
        "Non-inferiority",
        "One-sided t test of the mean difference against −margin at 2.5 %, p after Holm over the primary items and all "
        "arms, or over all items where none is primary. Other items are descriptive.",
    ),
    (
        "Ordinal test",
        "Wilcoxon signed rank, clustered by case (Rosner et al. 2006), p by sign flips; ties: mean ranks.",
    ),
    ("Multiplicity", "Holm; ordinal tests over all items and arms, margins over those that get a verdict."),
    (
        "Kappa",
        "Cohen 1968, linear and quadratic weights; SE of Fleiss, Cohen & Everitt 1969; mean of pairs: bootstrap.",
    ),
    ("Fleiss' kappa, AC1, AC2, per cent", "Gwet 2008 and 2014: missing ratings, variance over cases, t interval."),
    ("Alpha", "Krippendorff 2011; bootstrap over cases, 2000 resamples."),
    ("ICC", "ICC(2,1): two-way random, absolute agreement, single rating; complete cases; McGraw & Wong 1996."),
    ("Shares", "Wilson 1927; pooled over readers with the effective number of answers (Korn & Graubard 1998)."),
    ("Balanced accuracy", "Mean of the shares of synthetic and of acquired maps that were recognised; as shares."),
    ("ROC", "Empirical curve; DeLong 1988."),
    ("MRMC", "Obuchowski & Rockette 1995, Hillis 2007; covariances by DeLong and by jackknife."),
    ("Repeatability", "Within-reader SD from duplicates; coefficient 1.96·√2·SD (Bland & Altman 1999)."),
    ("Reading time", "Active time; ratio of geometric means with random readers and cases."),
)


def study_report(analysis: Analysis, figures: Sequence[ReportFigure], methods: str) -> str:
    """The page.

    Args:
        analysis: contents of analysis.json.
        figures: each in the section that it names.
        methods: the paragraph for a paper.
    """
    study = analysis["study"]

    def pictures(section: str) -> list[str]:
        return [html.picture(figure.png, figure.caption) for figure in figures if figure.section == section]

    parts = [
        html.heading(study["title"], 1),
        html.paragraph(_facts(analysis), "facts"),
        html.heading("Summary"),
        html.bullets(summary_sentences(analysis)),
        *([html.heading("Warnings", 3), html.bullets(analysis["warnings"])] if analysis["warnings"] else []),
        *completion_section(analysis),
        *ratings_section(analysis, pictures("ratings")),
        *agreement_section(analysis, pictures("agreement")),
        *flags_section(analysis),
        *preference_section(analysis, pictures("preference")),
        *turing_section(analysis, pictures("turing")),
        *diagnosis_section(analysis, pictures("diagnosis")),
        *repeats_section(analysis),
        *regions_section(analysis, pictures("regions")),
        *times_section(analysis, pictures("times")),
        html.heading("Methods"),
        html.paragraph(methods),
        html.table(["What", "How"], _METHODS, text_columns=2),
    ]
    return html.page(study["title"], banner(study), "\n".join(parts), _footer(analysis))


def banner(study: Mapping[str, Any]) -> str:
    """What the report begins with."""
    words = ["RESEARCH"]
    words += ["SIMULATED READERS"] if study["simulated_readers"] else []
    words += ["SIMULATED PATIENTS"] if study["simulated_cases"] else []
    return f"<strong>{' · '.join(words)}</strong>" + "".join(html.paragraph(line) for line in statements(study))


def statements(study: Mapping[str, Any]) -> list[str]:
    """What the study is not."""
    lines = [STATEMENT]
    lines += [SIMULATED_READERS] if study["simulated_readers"] else []
    simulated, cases = study["simulated_cases"], study["cases"]
    if simulated:
        lines.append(SIMULATED_CASES if simulated == cases else SOME_SIMULATED_CASES.format(simulated, cases))
    return lines


def summary_sentences(analysis: Analysis) -> list[str]:
    """The main results, one sentence each."""
    sentences = [_compared(row) for row in analysis["comparisons"]]
    for question in analysis["preferences"]:
        for arm, found in question["arms"].items():
            counts = found["counts"]
            decided = counts["test"] + counts["reference"]
            sentences.append(
                f"Preference: {arm} in {share(found['share'])} of the decided comparisons ({decided} of "
                f"{decided + counts['none']})."
            )
    for question in analysis["turing"]:
        sentences.append(
            f"Visual Turing test: balanced accuracy {share(question['pooled']['balanced'])} (guessing: 50 %)."
        )
    for found in analysis["diagnosis"]:
        for entry in found["mrmc"]:
            for test in entry["tests"][:1] if entry["covariance"] == "delong" else []:
                sentences.append(
                    f"{found['text']}: mean AUC of {entry['second']} − {entry['first']} "
                    f"{estimate(test['difference'], 3)}, p {p_value(test['p'])} ({test['model']})."
                )
    if not sentences:
        sentences.append("No arms can be compared with these readings.")
    study = analysis["study"]
    if study["simulated_readers"]:
        sentences.append("All these numbers are of simulated readers and say nothing about real ones.")
    return sentences


def _compared(row: Mapping[str, Any]) -> str:
    text = f"{row['text']} (primary)" if row["primary"] else row["text"]
    arms, found = f"{text}, {row['test']} against {row['reference']}", row["non_inferiority"]
    turned = "" if row["higher_is_better"] else ", turned so that positive is better"
    difference = f"mean difference {estimate(row['difference'])}{turned}"
    if found["verdict"] == "not known":
        return f"{arms}: no verdict; {difference}. {row['difference']['note']}"
    if found["verdict"] == "descriptive":
        return f"{arms}: {difference} (descriptive: not a primary end point)."
    p = found["p_inferior_holm"] if found["verdict"] == "inferior" else found["p_holm"]
    adjusted = f", Holm over {found['judged']} comparisons" if found["judged"] > 1 else ""
    return (
        f"{arms}: {found['verdict']} at a margin of {found['margin']:g} points (one-sided p {p_value(p)}{adjusted}); "
        f"{difference}."
    )


def _facts(analysis: Analysis) -> str:
    study = analysis["study"]
    arms = ", ".join(f"{arm} (reference)" if arm == study["reference"] else arm for arm in study["arms"])
    readers = f"{len(study['readers'])} {'simulated ' if study['simulated_readers'] else ''}reader"
    simulated = study["simulated_cases"]
    some = "all" if simulated == study["cases"] else f"{simulated} of them"
    cases = f"{study['cases']} cases" + (f" ({some} simulated)" if simulated else "")
    return (
        f"Study {study['identifier']}. {readers}{'' if len(study['readers']) == 1 else 's'}, {cases}, arms: {arms}; "
        f"modes: {', '.join(MODE_WORDS[mode] for mode in study['modes'])}. {moment(analysis['created'])}. In "
        f"brackets: 95 % intervals."
    )


def _footer(analysis: Analysis) -> str:
    lines = " ".join(statements(analysis["study"]))
    return f"{lines} Written by HierSynth {analysis['hiersynth']} on {moment(analysis['created'])}."
