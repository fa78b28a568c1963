"""The figures of a cohort: fidelity per patient, agreement across patients, ROC curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from HierSynthLib.fidelity.measures.definitions import measure
from HierSynthLib.fidelity.report.plots import (
    ACQUIRED_COLOUR,
    LINE_COLOUR,
    SYNTHETIC_COLOUR,
    UNITS,
    draw_limits,
    plain_text,
    synthetic_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = (SYNTHETIC_COLOUR, ACQUIRED_COLOUR, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LINES = ("-", "--", ":", "-.")
_SMALL, _TEXT, _TITLE = 8, 9, 11


@plain_text()
def fidelity_figure(
    title: str,
    columns: Mapping[str, Mapping[str, Sequence[float | None]]],
    means: Mapping[tuple[str, str], Any],
    note: str,
) -> Figure:
    """One point per patient, with mean and 95 % interval, for some measures side by side.

    Args:
        title: of the figure.
        columns: measure → synthetic map → value of each patient. Points of one patient are joined.
        means: (measure, map) → the estimate of the mean as JSON.
        note: what stands below.
    """
    from matplotlib.figure import Figure

    maps = list(next(iter(columns.values())))
    width = max(2.4, 1.0 + 0.9 * len(maps))
    figure = Figure(figsize=(width * len(columns) + 0.4, 3.9), layout="constrained")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    for axes, (name, by_map) in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns.items(), strict=True):
        table = np.array([by_map[each] for each in maps], dtype=float)
        for patient in table.T:
            axes.plot(range(len(maps)), patient, color=LINE_COLOUR, alpha=0.35, linewidth=0.8, marker="o", markersize=4)
        for place, each in enumerate(maps):
            found = means.get((name, each))
            if found is None:
                continue
            limits = [found["low"], found["high"]]
            if None not in limits:
                axes.plot([place + 0.18] * 2, limits, color=SYNTHETIC_COLOUR, linewidth=2.5)
            axes.plot(place + 0.18, found["value"], marker="D", color=SYNTHETIC_COLOUR, markersize=7)
        axes.set_xticks(range(len(maps)), maps, fontsize=_SMALL, rotation=20 if len(maps) > 1 else 0)
        axes.set_xlim(-0.5, len(maps) - 0.3)
        what = measure(name)
        _finish(axes, what.name, "", what.unit or "no unit")
    return figure


@plain_text()
def agreement_figure(title: str, entry: Mapping[str, Any], note: str) -> Figure:
    """One point per patient: synthetic over acquired with identity, and Bland–Altman with 95 % intervals as whiskers.

    Args:
        title: of the figure.
        entry: one of cohort.json's "agreement".
        note: what stands below.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 4.2), layout="constrained")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    left, right = figure.subplots(1, 2)
    synthetic, acquired = (np.array(entry[name], dtype=float) for name in ("synthetic_values", "acquired_values"))
    _scatter(left, entry, synthetic, acquired)
    _bland_altman(right, entry, synthetic, acquired)
    return figure


@plain_text()
def roc_figure(title: str, curves: Sequence[Mapping[str, Any]], note: str) -> Figure:
    """ROC curves of several maps.

    Args:
        title: of the figure.
        curves: entries of cohort.json's "grading" → "curves" that have a curve.
        note: what stands below.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    axes = figure.subplots()
    for number, curve in enumerate(curves):
        rates = np.array(curve["curve"], dtype=float)
        auc = curve["auc"]
        interval = "" if auc["low"] is None else f" ({auc['low']:.2f} to {auc['high']:.2f})"
        axes.plot(
            rates[:, 0],
            rates[:, 1],
            color=_COLOURS[number % len(_COLOURS)],
            linestyle=_LINES[number % len(_LINES)],
            linewidth=2,
            label=f"{curve['map']}: AUC {auc['value']:.2f}{interval}",
        )
    axes.plot([0, 1], [0, 1], color=LINE_COLOUR, linewidth=0.8)
    axes.set_aspect("equal")
    _finish(axes, "", "1 − specificity", "sensitivity")
    axes.legend(fontsize=_SMALL, loc="lower right")
    return figure


def _scatter(axes: Axes, entry: Mapping[str, Any], synthetic: Any, acquired: Any) -> None:
    axes.scatter(acquired, synthetic, s=26, color=SYNTHETIC_COLOUR, alpha=0.8, linewidths=0)
    highest = 1.06 * float(np.nanmax([synthetic, acquired]))
    axes.plot([0, highest], [0, highest], color=LINE_COLOUR, linestyle="--", linewidth=1)
    axes.set_xlim(0, highest)
    axes.set_ylim(0, highest)
    axes.set_aspect("equal")
    lines = [f"{name} {_estimate(entry[key])}" for name, key in (("ICC", "icc"), ("CCC", "ccc"), ("r", "pearson"))]
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
    axes.text(0.03, 0.97, "\n".join(lines), transform=axes.transAxes, fontsize=_SMALL, va="top", bbox=box)
    _finish(
        axes,
        "One point per patient",
        f"{entry['acquired']}, {UNITS}",
        f"{synthetic_title(entry['synthetic'])}, {UNITS}",
    )


def _bland_altman(axes: Axes, entry: Mapping[str, Any], synthetic: Any, acquired: Any) -> None:
    axes.scatter(
        (synthetic + acquired) / 2, synthetic - acquired, s=26, color=SYNTHETIC_COLOUR, alpha=0.8, linewidths=0
    )
    limits = entry["bland_altman"]
    draw_limits(axes, {key: (limits[key]["value"], limits[key]["low"], limits[key]["high"]) for key in limits})
    _finish(axes, "Bland–Altman", f"mean of both maps, {UNITS}", f"{entry['synthetic']} − {entry['acquired']}, {UNITS}")


def _estimate(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "–"
    interval = "" if found["low"] is None else f" ({found['low']:.2f} to {found['high']:.2f})".replace("-", "−")
    return f"{found['value']:.2f}".replace("-", "−") + interval


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=_TEXT)
    axes.set_xlabel(x, fontsize=_TEXT)
    axes.set_ylabel(y, fontsize=_TEXT)
    axes.tick_params(axis="y", labelsize=_SMALL)
    axes.tick_params(axis="x", labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
