"""report.html of a cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from HierSynthLib.fidelity.cohort.statistics import FEWEST_FOR_BOOTSTRAP
from HierSynthLib.fidelity.measures.definitions import ABSENT, format_value, measure
from HierSynthLib.fidelity.report import html
from HierSynthLib.fidelity.report.page import ReportFigure, banner, footer, moment
from HierSynthLib.fidelity.report.plots import synthetic_title
from HierSynthLib.fidelity.report.subject import WHOLE_LESION

_MAIN = ("ssim", "mae", "bias", "ccc", "hotspot_dice")

_METHODS = (
    ("Unit", "The patient: each patient gives one value per region and map. Voxels are never pooled."),
    ("Mean and interval", "Bootstrap over patients, bias-corrected and accelerated (BCa), 9999 resamples."),
    ("ICC", "ICC(2,1): two-way random effects, absolute agreement, one measurement; interval of McGraw & Wong 1996."),
    ("Bland–Altman", "Bias and bias ± 1.96 SD of synthetic − acquired; intervals of Bland & Altman 1999."),
    ("CCC", "Lin 1989, interval of the z-transform."),
    ("r", "Pearson, interval of Fisher's z."),
    ("Tests", "Wilcoxon signed rank, two-sided, Holm-adjusted over the table; effect: rank-biserial correlation."),
    ("Grading", "ROC of high against low grade; AUC, interval and test of DeLong 1988."),
    ("Threshold", "Cohen's kappa of 'hotspot mean at least the threshold' in both maps."),
)  # fmt: skip


def cohort_report(cohort: Mapping[str, Any], figures: Sequence[ReportFigure]) -> str:
    """The page.

    Args:
        cohort: contents of cohort.json.
        figures: in the order in which they are shown.
    """
    parts = [
        html.heading(f"Fidelity of synthetic CBV: {_count(len(cohort['patients']))}", 1),
        html.paragraph(_facts(cohort), "facts"),
        html.heading("Summary"),
        html.bullets(summary_sentences(cohort)),
        *_listed("Warnings", cohort["warnings"]),
        *_excluded(cohort),
        html.heading("Fidelity, averaged over patients"),
        *_fidelity(cohort),
        html.heading("Agreement across patients"),
        *_agreement(cohort),
        *(html.picture(figure.png, figure.caption) for figure in figures),
        html.heading("Differences between maps"),
        _tests(cohort),
        *_grading(cohort),
        html.heading("Threshold"),
        _threshold(cohort),
        html.heading("Patients"),
        _patients(cohort),
        html.heading("Definitions, settings, provenance"),
        html.table(["What", "How"], _settings(cohort), text_columns=2),
        html.table(["Patient", "Map", "Made by", "Weights (SHA-256)"], _provenance(cohort), text_columns=4),
    ]
    title = f"Fidelity of synthetic CBV: {_count(len(cohort['patients']))}"
    return html.page(title, banner(cohort["simulated"]), "\n".join(parts), footer(cohort))


def summary_sentences(cohort: Mapping[str, Any]) -> list[str]:
    """What was found in the whole lesion (else the first region), one sentence per pair of maps."""
    sentences = []
    for entry in cohort["agreement"]:
        if entry["measure"] != "hotspot_mean" or entry["region"] != _first_region(cohort):
            continue
        limits = entry["bland_altman"]
        where = f"{entry['region']}, hotspot mean, {entry['synthetic']} against {entry['acquired']}"
        if limits["bias"]["value"] is None:
            sentences.append(f"{where}: {limits['bias']['note']}")
            continue
        sentences.append(
            f"{where}: bias {_estimate(limits['bias'], 'ba_bias', below=False)} nrCBV; 95 % of the patients expected "
            f"between {format_value('ba_lower', limits['lower']['value'])} and "
            f"{format_value('ba_upper', limits['upper']['value'])} nrCBV; "
            f"ICC {_estimate(entry['icc'], 'ccc', below=False)} (95 % intervals in brackets)."
        )
    if not cohort["intensity"]:
        sentences.append("There is no region to measure: no patient has lesion labels or a brain mask with values.")
    elif not sentences:
        sentences.append("There is nothing to compare: no patient has a synthetic and an acquired map.")
    if cohort["simulated"]:
        sentences.append("All these numbers are of simulated patients and say nothing about real ones.")
    return sentences


def _facts(cohort: Mapping[str, Any]) -> str:
    simulated = sum(1 for patient in cohort["patients"] if patient["simulated"])
    kinds = {
        kind: [each["name"] for each in cohort["maps"] if each["kind"] == kind] for kind in ("synthetic", "acquired")
    }
    against = f" compared with {' and '.join(kinds['acquired'])}" if kinds["acquired"] else ""
    return (
        f"{_count(len(cohort['patients']))} measured, {simulated} of them simulated; "
        f"{len(cohort['excluded'])} could not be measured. "
        f"Maps: {', '.join(kinds['synthetic'])} (synthetic){against}. {moment(cohort['created'])}."
    )


def _first_region(cohort: Mapping[str, Any]) -> str:
    regions = [entry["region"] for entry in cohort["agreement"]]
    return WHOLE_LESION if WHOLE_LESION in regions else next(iter(regions), "")


def _excluded(cohort: Mapping[str, Any]) -> list[str]:
    rows = [[each["id"], each["reason"]] for each in cohort["excluded"]]
    return [html.heading("Not measured", 3), html.table(["Case", "Reason"], rows, text_columns=2)] if rows else []


def _fidelity(cohort: Mapping[str, Any]) -> list[str]:
    """Per pair: regions × main measures; everything else folded away."""
    parts = []
    pairs = list(dict.fromkeys((entry["synthetic"], entry["acquired"]) for entry in cohort["fidelity"]))
    for synthetic, acquired in pairs:
        own = [e for e in cohort["fidelity"] if (e["synthetic"], e["acquired"]) == (synthetic, acquired)]
        cells = {(entry["region"], entry["measure"]): entry for entry in own}
        regions = list(dict.fromkeys(entry["region"] for entry in own))
        headings = ["Region", "Patients", *(_heading(name) for name in _MAIN)]
        rows = []
        for region in regions:
            counts = [cells[region, name]["mean"]["n"] for name in _MAIN if (region, name) in cells]
            rows.append(
                [region, f"{max(counts, default=0)}", *(_mean_cell(cells.get((region, name)), name) for name in _MAIN)]
            )
        pair = f"{synthetic_title(synthetic)} against {acquired}"
        caption = f"{pair}: mean ± SD and, below, the 95 % interval of the mean."
        parts.append(html.table(headings, rows, caption=caption))
        names = list(dict.fromkeys(entry["measure"] for entry in own))
        every = [
            [measure(name).name, *(_mean_cell(cells.get((region, name)), name) for region in regions)] for name in names
        ]
        parts.append(html.details(f"All measures, {pair}", html.table(["Measure", *regions], every)))
    note = f"No interval stands where fewer than {FEWEST_FOR_BOOTSTRAP} patients have a value, or all have the same."
    return [*parts, html.paragraph(note, "note")]


def _mean_cell(entry: Mapping[str, Any] | None, identifier: str) -> str:
    if entry is None:
        return ABSENT
    mean = entry["mean"]
    spread = "" if entry["sd"] is None else f" ± {format_value(identifier, entry['sd'])}"
    return f"{format_value(identifier, mean['value'])}{spread}{_interval(mean, identifier, below=True)}"


def _interval(found: Mapping[str, Any], identifier: str, *, below: bool = False) -> str:
    if found["low"] is None:
        return ""
    low, high = (format_value(identifier, found[end]) for end in ("low", "high"))
    return f"{chr(10) if below else ' '}({low} to {high})"


def _estimate(found: Mapping[str, Any], identifier: str, *, below: bool = True) -> str:
    value = found["value"]
    return ABSENT if value is None else format_value(identifier, value) + _interval(found, identifier, below=below)


def _agreement(cohort: Mapping[str, Any]) -> list[str]:
    """One table per pair of maps."""
    tables = []
    for synthetic, acquired in dict.fromkeys((entry["synthetic"], entry["acquired"]) for entry in cohort["agreement"]):
        rows = []
        for entry in cohort["agreement"]:
            if (entry["synthetic"], entry["acquired"]) != (synthetic, acquired):
                continue
            limits = entry["bland_altman"]
            found = {
                "ccc": [entry["icc"]],
                "ba_bias": [limits["bias"], limits["lower"], limits["upper"]],
                "pearson_r": [entry["ccc"], entry["pearson"]],
            }
            note = next((each["note"] for group in found.values() for each in group if each["note"]), "")
            numbers = [_estimate(each, identifier) for identifier, group in found.items() for each in group]
            rows.append([entry["region"], measure(entry["measure"]).name, f"{entry['icc']['n']}", *numbers, note])
        headings = ["Region", "Value", "Patients", "ICC(2,1)", "Bias", "Lower limit", "Upper limit", "CCC", "r", "Note"]
        caption = f"{synthetic_title(synthetic)} against {acquired}. Values in nrCBV; in brackets 95 % intervals."
        tables.append(html.table(headings, rows, caption=caption, text_columns=2, notes=True))
    return tables


def _tests(cohort: Mapping[str, Any]) -> str:
    if not cohort["tests"]:
        return html.paragraph("There are no two maps to compare.")
    rows = []
    for test in cohort["tests"]:
        against = f" (both against {test['against']})" if test["against"] else ""
        rows.append(
            [
                measure(test["measure"]).name,
                f"{test['first']} − {test['second']}{against}",
                f"{test['n']}",
                format_value("ssim", test["median_difference"]),
                format_value("pearson_r", test["effect"]),
                _p(test["p"]),
                _p(test["p_holm"]),
                test["note"],
            ]
        )
    count = max((test["tests"] for test in cohort["tests"]), default=0)
    caption = f"{cohort['tests'][0]['region']}: Wilcoxon signed rank over patients; adjusted for {count} tests (Holm)."
    headings = ["Measure", "Maps", "Patients", "Median difference", "Rank-biserial", "p", "p (Holm)", "Note"]
    return html.table(headings, rows, caption=caption, text_columns=2, notes=True)


def _p(value: float | None) -> str:
    if value is None:
        return ABSENT
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _grading(cohort: Mapping[str, Any]) -> list[str]:
    found = cohort["grading"]
    if found is None:
        return [html.heading("Grading"), html.paragraph("No patient has a grade, so grading was not examined.")]
    curves = [
        [
            measure(c["measure"]).name,
            c["map"],
            f"{c['high']}",
            f"{c['low']}",
            _estimate(c["auc"], "ccc"),
            c["auc"]["note"],
        ]
        for c in found["curves"]
    ]
    tests = [
        [
            measure(test["measure"]).name,
            f"{test['synthetic']} − {test['acquired']}",
            f"{test['n']}",
            format_value("ccc", test["difference"]),
            _p(test["p"]),
            test["note"],
        ]
        for test in found["tests"]
    ]
    return [
        html.heading("Grading"),
        html.table(
            ["Value", "Map", "High grade", "Low grade", "AUC (95 % interval)", "Note"],
            curves,
            caption=f"{found['region']}: how well a value tells high-grade from low-grade patients.",
            text_columns=2,
            notes=True,
        ),
        html.table(
            ["Value", "Maps", "Patients", "Difference of AUC", "p (DeLong)", "Note"], tests, text_columns=2, notes=True
        ),
    ]


def _threshold(cohort: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{entry['synthetic']} against {entry['acquired']}",
            f"{entry['threshold']:g}",
            _estimate(entry["kappa"], "ccc"),
            *(str(entry["counts"][name]) for name in ("both", "first", "second", "neither")),
            entry["kappa"]["note"],
        ]
        for entry in cohort["threshold"]
    ]
    headings = ["Maps", "Threshold, nrCBV", "Kappa", "Both above", "Synthetic only", "Acquired only", "Neither", "Note"]
    return html.table(headings, rows, caption="Hotspot mean of the whole lesion: patients above.", notes=True)


def _patients(cohort: Mapping[str, Any]) -> str:
    rows = [
        [patient["id"], "SIMULATED" if patient["simulated"] else "patient", patient["grade"] or "not known"]
        for patient in cohort["patients"]
    ]
    return html.details(
        f"All patients ({len(rows)})", html.table(["Case", "Kind", "Grade"], rows, text_columns=3)
    ) + html.paragraph("Every value of every patient stands in cohort.csv.", "note")


def _settings(cohort: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings = cohort["settings"]
    return [
        ("Data range of SSIM, PSNR and NRMSE", f"0 to {settings['data_range']:g} nrCBV, fixed"),
        ("Grey-level width of entropy", f"{settings['bin_width']:g} nrCBV, fixed"),
        ("Threshold of hotspots", f"{settings['hotspot_threshold']:g} nrCBV"),
        ("Divided by their NAWM mean", ", ".join(settings["normalise"]) or "no map"),
        ("NAWM references", "; ".join(f"{text} ({count})" for text, count in cohort["references"].items())),
        ("Place of the acquired maps", "; ".join(f"{text} ({count})" for text, count in cohort["placement"].items())),
        *_METHODS,
    ]


def _provenance(cohort: Mapping[str, Any]) -> list[list[str]]:
    return [
        [each["id"], each["map"], each["model"] or "not known", each["weights_sha256"] or "–"]
        for each in cohort["made"]
    ]


def _listed(title: str, sentences: Sequence[str]) -> list[str]:
    return [html.heading(title, 3), html.bullets(sentences)] if sentences else []


def _heading(identifier: str) -> str:
    what = measure(identifier)
    return f"{what.short}{', ' + what.unit if what.unit else ''}"


def _count(patients: int) -> str:
    return f"{patients} patient{'' if patients == 1 else 's'}"
