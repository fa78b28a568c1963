"""Writing the analysis of a study: analysis.json, figures and report.html."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from HierSynthLib import __version__
from HierSynthLib.fidelity.measures.definitions import measure
from HierSynthLib.fidelity.report.output import FIGURES, REPORT, file_part
from HierSynthLib.fidelity.report.page import ReportFigure
from HierSynthLib.fidelity.report.plots import save_figure
from HierSynthLib.fidelity.report.tables import CBV_UNITS, in_units
from HierSynthLib.files import atomic_folder
from HierSynthLib.progress import Reporter
from HierSynthLib.reader_study.analysis.readings import MODE_WORDS
from HierSynthLib.reader_study.analysis.roi_measures import MEASURES
from HierSynthLib.reader_study.report import figures as draw
from HierSynthLib.reader_study.report.page import statements, study_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JSON = "analysis.json"

# Coefficients that the figure of agreement shows side by side.
_SHOWN = ("percent", "kappa_linear", "kappa_quadratic", "fleiss", "ac1", "ac2", "alpha_ordinal", "icc")
_SHOWN_NOMINAL = ("percent", "kappa", "fleiss", "ac1", "alpha_nominal")


def write_report(out: Path, analysis: Mapping[str, Any], methods: str, reporter: Reporter) -> dict[str, Any]:
    """Write the folder of an analysis, whole or not at all.

    Args:
        out: new or empty folder.
        analysis: as `analyse` returns it.
        methods: the paragraph for a paper.
        reporter: told about the figures.

    Returns:
        The contents of analysis.json.

    Raises:
        OutputError: the folder is not empty or cannot be written.
        Cancelled: by the reporter.
    """
    record = {
        "statements": statements(analysis["study"]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hiersynth": __version__,
        **analysis,
        "methods": methods,
    }
    with atomic_folder(out) as folder:
        shown = []
        for number, (section, stem, figure, caption) in enumerate(_figures(analysis)):
            reporter.progress("figures", min(0.95, number / 12))
            paths = save_figure(figure, folder / FIGURES / stem)
            shown.append(ReportFigure(section, paths["png"], caption))
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
        (folder / JSON).write_text(text, encoding="utf-8", newline="\n")
        (folder / REPORT).write_text(study_report(record, shown, methods), encoding="utf-8", newline="\n")
    reporter.progress("figures", 1.0)
    return record


def _figures(analysis: Mapping[str, Any]) -> Iterator[tuple[str, str, Figure, str]]:
    """(section, name of the file, figure, caption)."""
    note = " ".join(line.split(":")[0] + "." if ":" in line else line for line in statements(analysis["study"]))
    arms = analysis["study"]["arms"]
    ordinal = [item for item in analysis["items"] if item["kind"] == "ordinal"]
    if ordinal:
        caption = "Share of each rating; the middle category is centred."
        if not all(item["higher_is_better"] for item in ordinal):
            caption += " Colours follow the number: where less is better, the left end is the better one."
        yield "ratings", "ratings", draw.ratings_figure(ordinal, arms, note), caption
    if analysis["comparisons"]:
        caption = "Mean difference with 95 % interval, readers and cases random; red: margin, where it is judged."
        yield "ratings", "differences", draw.differences_figure(analysis["comparisons"], arms, note), caption
    yield from _agreement_figures(analysis, ordinal, arms, note)
    for question in analysis["preferences"]:
        for arm, found in question["arms"].items():
            rows = [("all readers", found["share"], True)]
            rows += [(reader, own["share"], False) for reader, own in found["by_reader"].items()]
            title = f"{arm} preferred to {question['reference']}"
            label = "share of the decided comparisons, 95 % interval"
            stem = f"preference-{file_part(question['id'])}-{file_part(arm)}"
            yield "preference", stem, draw.shares_figure(title, rows, label, note), f"{title}: {label}."
    for question in analysis["turing"]:
        rows = [("all readers", question["pooled"]["balanced"], True)]
        rows += [(reader, own["balanced"], False) for reader, own in question["by_reader"].items()]
        label = "balanced accuracy, 95 % interval; dotted: guessing"
        figure = draw.shares_figure("Visual Turing test", rows, label, note)
        yield "turing", f"turing-{file_part(question['id'])}", figure, f"Visual Turing test: {label}."
    for found in analysis["diagnosis"]:
        if not any(curve["curve"] for curve in found["curves"]):
            continue
        figure = draw.roc_figure(f"{found['text']}: ROC curves", found, note)
        caption = "Empirical ROC curves of all readers and their vertical mean."
        yield "diagnosis", f"roc-{file_part(found['id'])}-{file_part(found['mode'])}", figure, caption
    yield from _region_figures(analysis, note)
    for entry in analysis["times"]:
        caption = f"Reading time, {MODE_WORDS[entry['mode']]}: median and quartiles."
        yield "times", f"times-{file_part(entry['mode'])}", draw.times_figure(entry, arms, note), caption


def _agreement_figures(
    analysis: Mapping[str, Any], ordinal: Sequence[Mapping[str, Any]], arms: Sequence[str], note: str
) -> Iterator[tuple[str, str, Figure, str]]:
    if len(analysis["study"]["readers"]) < 2:
        return
    caption = "Agreement between readers; look at the coefficients of a row together (see the note above)."
    others = [item for item in analysis["items"] if item["kind"] in ("nominal", "flag", "diagnosis", "origin")]
    for stem, items, names in (("agreement", ordinal, _SHOWN), ("agreement-choices", others, _SHOWN_NOMINAL)):
        found = [
            each["coefficients"].get(name) for item in items for each in item["agreement"].values() for name in names
        ]
        if any(each is not None and each["value"] is not None for each in found):
            yield "agreement", stem, draw.agreement_figure(items, names, arms, note), caption


def _region_figures(analysis: Mapping[str, Any], note: str) -> Iterator[tuple[str, str, Figure, str]]:
    for number, found in enumerate(analysis["regions"], start=1):
        what = measure(found["measure"])
        unit = f", {in_units(what.unit, CBV_UNITS)}" if what.unit else ""
        for row in found["arms"]:
            drawn = row["bland_altman"]["bias"]["value"] is not None and found["measure"] == MEASURES[0]
            if row["reader"] != "all" or not drawn:
                continue
            title = f"{what.name} of {found['item']}: {row['test']} and {found['reference']}\n({found['placement']})"
            figure = draw.regions_figure(title, row, found["reference"], unit, note)
            stem = f"regions-{number:02d}-{file_part(found['measure'])}-{file_part(row['test'])}"
            caption = f"{title.replace(chr(10), ' ')}. One point per case: mean over readers."
            yield "regions", stem, figure, caption
