"""The figures of an evaluation: paired differences, calibration, spectra, missing sequences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from HierSynthLib.fidelity.report.plots import ACQUIRED_COLOUR, LINE_COLOUR, SYNTHETIC_COLOUR, plain_text
from Training.evaluation.definitions import Column, column

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (SYNTHETIC_COLOUR, ACQUIRED_COLOUR, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F3C8D", "#666666")
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
REGIONS = {"brain": "Whole brain", "roi": "Lesion"}

_SMALL, _TEXT, _TITLE = 8, 9, 11
# Panels beside each other; more go below.
_ACROSS = 3


@plain_text()
def forest_figure(
    title: str, differences: Sequence[Mapping[str, Any]], means: Sequence[Mapping[str, Any]], note: str
) -> Figure:
    """Mean paired difference to the reference with its 95 % interval: one panel per measure, one line per method.

    Thick: over patients; thin: over patients and trainings, on which targets are decided.
    A measure with a right value (such as a ratio of 1) is shown as the mean itself, with a line at what is right.

    Args:
        title: of the figure.
        differences: entries of evaluation.json's "differences"; at least one.
        means: entries of its "means".
        note: what stands below.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(entry["column"] for entry in differences))
    methods = list(dict.fromkeys(entry["method"] for entry in differences))
    down = math.ceil(len(names) / _ACROSS)
    across = min(_ACROSS, len(names))
    figure = Figure(figsize=(3.7 * across + 0.9, (0.34 * len(methods) + 1.25) * down + 0.9), layout="constrained")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    grid = figure.subplots(down, across, squeeze=False)
    for number, axes in enumerate(grid.ravel()):
        if number >= len(names):
            axes.remove()
            continue
        what = column(names[number])
        if isinstance(what.better, float):
            own = {entry["method"]: entry["mean"] for entry in means if entry["column"] == what.id}
            middle, wide = own.get(str(differences[0]["reference"]), {}).get("value"), {}
        else:
            own = {entry["method"]: entry["difference"] for entry in differences if entry["column"] == what.id}
            wide = {entry["method"]: entry["with_seeds"] for entry in differences if entry["column"] == what.id}
            middle = None
        _forest(axes, what, methods, own, wide, middle, named=number % across == 0)
    return figure


@plain_text()
def calibration_figure(title: str, curves: Sequence[Mapping[str, Any]], note: str) -> Figure:
    """Observed over nominal share of the errors within the interval, for brain and lesion.

    Args:
        title: of the figure.
        curves: entries of evaluation.json's "calibration"; at least one.
        note: what stands below.
    """
    figure, panels = _by_region(title, curves, note, (4.4, 4.3))
    for region, axes in panels.items():
        axes.plot([0, 1], [0, 1], color=LINE_COLOUR, linewidth=0.9)
        for number, curve in _of_region(curves, region):
            axes.plot(curve["nominal"], curve["mean"], markersize=4, label=curve["method"], **_style(number))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        _finish(axes, REGIONS[region], "nominal share of the interval", "share of voxels in it")
        axes.legend(fontsize=_SMALL, loc="upper left", frameon=False)
    return figure


@plain_text()
def spectrum_figure(title: str, curves: Sequence[Mapping[str, Any]], note: str) -> Figure:
    """Power of the map over that of the target by spatial frequency, for brain and lesion.

    Args:
        title: of the figure.
        curves: entries of evaluation.json's "spectrum"; at least one.
        note: what stands below.
    """
    figure, panels = _by_region(title, curves, note, (4.8, 4.0))
    for region, axes in panels.items():
        axes.axhline(1, color=LINE_COLOUR, linewidth=0.9)
        for number, curve in _of_region(curves, region):
            points = [(f, r) for f, r in zip(curve["per_mm"], curve["ratio"], strict=True) if r is not None]
            axes.plot(
                [f for f, _ in points], [r for _, r in points], label=curve["method"], markersize=3, **_style(number)
            )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axes.tick_params(axis="y", which="minor", labelsize=_SMALL)
        _finish(axes, REGIONS[region], "spatial frequency, cycles/mm", "power, map over target")
        axes.legend(fontsize=_SMALL, loc="lower left", frameon=False)
    return figure


@plain_text()
def robustness_figure(title: str, costs: Sequence[Mapping[str, Any]], limit: float, note: str) -> Figure:
    """Loss of ROI SSIM by the sequences that are left out, with 95 % intervals.

    Args:
        title: of the figure.
        costs: entries of evaluation.json's "robustness"; at least one.
        limit: loss that is tolerated.
        note: what stands below.
    """
    from matplotlib.figure import Figure

    sets = list(dict.fromkeys(tuple(entry["without"]) for entry in costs))
    methods = list(dict.fromkeys(entry["method"] for entry in costs))
    figure = Figure(figsize=(max(5.2, 1.5 + len(sets) * (0.5 + 0.2 * len(methods))), 4.0), layout="constrained")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    axes = figure.subplots()
    width = 0.8 / len(methods)
    for number, method in enumerate(methods):
        own = {tuple(entry["without"]): entry["cost"] for entry in costs if entry["method"] == method}
        places = [place + (number - (len(methods) - 1) / 2) * width for place in range(len(sets))]
        found = [
            (x, own[each])
            for x, each in zip(places, sets, strict=True)
            if each in own and own[each]["value"] is not None
        ]
        axes.bar(
            [x for x, _ in found], [cost["value"] for _, cost in found], width=0.92 * width, label=method,
            color=COLOURS[number % len(COLOURS)],
        )  # fmt: skip
        for x, cost in found:
            if cost["low"] is not None:
                axes.plot([x, x], [cost["low"], cost["high"]], color="black", linewidth=1.2)
    axes.axhline(0, color=LINE_COLOUR, linewidth=0.8)
    axes.axhline(limit, color=LINE_COLOUR, linewidth=1, linestyle="--", label=f"tolerated: {limit:g}")
    slanted = len(sets) > 5
    axes.set_xticks(
        range(len(sets)), ["without\n" + " + ".join(each) for each in sets], fontsize=_SMALL,
        rotation=35 if slanted else 0, ha="right" if slanted else "center",
    )  # fmt: skip
    _finish(axes, "", "", "loss of ROI SSIM")
    axes.legend(fontsize=_SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


@plain_text()
def grading_figure(title: str, curves: Sequence[Mapping[str, Any]], note: str) -> Figure:
    """Area under the ROC curve with its 95 % interval, one line per set of features.

    Args:
        title: of the figure.
        curves: entries of evaluation.json's "grading" → "curves"; at least one, structural features first.
        note: what stands below.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6, 0.34 * len(curves) + 1.7), layout="constrained")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    axes = figure.subplots()
    axes.axvline(0.5, color=LINE_COLOUR, linewidth=0.9)
    if curves[0]["auc"]["value"] is not None:
        axes.axvline(curves[0]["auc"]["value"], color=ACQUIRED_COLOUR, linewidth=1.2, linestyle=":")
    for place, curve in enumerate(reversed(curves)):
        auc = curve["auc"]
        if auc["low"] is not None:
            axes.plot([auc["low"], auc["high"]], [place, place], color=SYNTHETIC_COLOUR, linewidth=2)
        if auc["value"] is not None:
            axes.plot(auc["value"], place, marker="D", color=SYNTHETIC_COLOUR, markersize=5.5)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.6, len(curves) - 0.4)
    axes.set_yticks(range(len(curves)), [curve["features"] for curve in reversed(curves)], fontsize=_SMALL)
    _finish(axes, "", "AUC; line: chance, dotted: structural alone", "")
    return figure


def _forest(
    axes: Axes,
    what: Column,
    methods: Sequence[str],
    own: Mapping[str, Mapping[str, Any]],
    wide: Mapping[str, Mapping[str, Any]],
    reference: float | None,
    *,
    named: bool,
) -> None:
    axes.axvline(what.better if isinstance(what.better, float) else 0, color=LINE_COLOUR, linewidth=0.9)
    if reference is not None:
        axes.axvline(reference, color=ACQUIRED_COLOUR, linewidth=1.2, linestyle=":")
    for place, method in enumerate(reversed(methods)):
        found = own.get(method)
        if found is None or found["value"] is None:
            continue
        for each, width in ((wide.get(method), 0.8), (found, 2.4)):
            if each is not None and each["low"] is not None:
                axes.plot([each["low"], each["high"]], [place, place], color=SYNTHETIC_COLOUR, linewidth=width)
        axes.plot(found["value"], place, marker="D", color=SYNTHETIC_COLOUR, markersize=5.5)
    axes.set_ylim(-0.6, len(methods) - 0.4)
    axes.set_yticks(range(len(methods)), list(reversed(methods)) if named else [""] * len(methods), fontsize=_SMALL)
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=5)
    unit = f", {what.unit}" if what.unit else ""
    _finish(axes, f"{what.heading.split(',')[0]}{unit}", _direction(what), "")


def _direction(what: Column) -> str:
    if isinstance(what.better, float):
        return f"mean; line: right ({what.better:g}); dotted: reference"
    side = "right" if what.better == "higher" else "left"
    return f"{'← ' if side == 'left' else ''}better to the {side}{' →' if side == 'right' else ''}"


def _by_region(
    title: str, curves: Sequence[Mapping[str, Any]], note: str, size: tuple[float, float]
) -> tuple[Figure, dict[str, Axes]]:
    from matplotlib.figure import Figure

    regions = [region for region in REGIONS if any(curve["region"] == region for curve in curves)]
    figure = Figure(figsize=(size[0] * len(regions) + 0.4, size[1] + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    panels = figure.subplots(1, len(regions), squeeze=False)[0]
    return figure, dict(zip(regions, panels, strict=True))


def _of_region(curves: Sequence[Mapping[str, Any]], region: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """The curves of a region; a method has the same number in every region."""
    methods = list(dict.fromkeys(curve["method"] for curve in curves))
    return ((methods.index(curve["method"]), curve) for curve in curves if curve["region"] == region)


def _style(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)],
        "linewidth": 1.6,
    }


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=_TEXT)
    axes.set_xlabel(x, fontsize=_TEXT)
    axes.set_ylabel(y, fontsize=_TEXT)
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
