"""The figures of a reader study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from HierSynthLib.fidelity.report.plots import ACQUIRED_COLOUR, LINE_COLOUR, SYNTHETIC_COLOUR, draw_limits, plain_text
from HierSynthLib.reader_study.analysis.readings import MODE_WORDS
from HierSynthLib.reader_study.report.words import NAMES, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Found = Mapping[str, Any]

_SMALL, _TEXT, _TITLE = 8, 9, 11
# From worst to best in lightness as well as in hue, so that it can be read in grey (ColorBrewer's PuOr, reversed).
_SCALE = ("#b35806", "#f1a340", "#d9d9d9", "#998ec3", "#542788")
_COLOURS = (ACQUIRED_COLOUR, SYNTHETIC_COLOUR, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
# Inches of a row, and of a letter of its name.
_ROW, _LETTER = 0.3, 0.065


def colour_of(arms: Sequence[str], arm: str) -> str:
    """The colour of an arm: the reference has that of acquired maps."""
    return _COLOURS[list(arms).index(arm) % len(_COLOURS)]


@plain_text()
def ratings_figure(items: Sequence[Found], arms: Sequence[str], note: str) -> Figure:
    """Share of each category per item and arm, as bars centred on the middle category.

    Args:
        items: ordinal entries of an analysis.
        arms: in the order in which they are shown.
        note: what stands below.
    """
    rows = [(item, arm) for item in items for arm in arms if arm in item["arms"]]
    figure, axes = _sheet("Ratings of all readers and cases", len(rows), note, width=9.0)
    most = max(len(item["categories"]) for item in items)
    colours = _shades(most)
    for place, (item, arm) in enumerate(rows):
        counts = np.array(item["arms"][arm]["counts"], dtype=float)
        shares = 100 * counts / counts.sum() if counts.sum() else counts
        edge = -_below_middle(shares)
        for number_, width in enumerate(shares):
            axes.barh(-place, width, left=edge, color=colours[number_], height=0.72, edgecolor="white", linewidth=0.6)
            if width >= 7:
                dark = number_ in (0, len(shares) - 1)
                axes.text(
                    edge + width / 2, -place, f"{width:.0f}", ha="center", va="center", fontsize=_SMALL,
                    color="white" if dark else "black",
                )  # fmt: skip
            edge += width
    axes.set_yticks([-place for place in range(len(rows))], [_row_name(item, arm, arms) for item, arm in rows])
    axes.axvline(0, color=LINE_COLOUR, linewidth=0.8, zorder=0)  # behind the bars and their numbers
    axes.set_xlim(-100, 100)
    ticks = [-100, -50, 0, 50, 100]
    axes.set_xticks(ticks, [f"{abs(tick)}" for tick in ticks])
    handles = [axes.barh(0, 0, color=colour) for colour in colours]
    labels = _categories(items, most)
    axes.legend(
        handles, labels, fontsize=_SMALL, ncols=most, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False
    )
    _finish(axes, "share of the ratings, % (middle category centred)")
    return figure


@plain_text()
def differences_figure(rows: Sequence[Found], arms: Sequence[str], note: str) -> Figure:
    """Mean differences with intervals, and the margin of non-inferiority where it is judged.

    Args:
        rows: an analysis's "comparisons".
        arms: of the study.
        note: what stands below.
    """
    reference = rows[0]["reference"]
    figure, axes = _sheet(f"Difference from {reference}", len(rows), note)
    for place, row in enumerate(rows):
        found, margin = row["difference"], row["non_inferiority"]["margin"]
        if row["non_inferiority"]["verdict"] != "descriptive":
            axes.plot([-margin] * 2, [-place - 0.45, -place + 0.45], color="#b3261e", linewidth=2)
        _whisker(axes, found, -place, colour_of(arms, row["test"]), "o")
        axes.annotate(
            row["non_inferiority"]["verdict"], (1.0, -place), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", fontsize=_SMALL, va="center",
        )  # fmt: skip
    several = len({row["test"] for row in rows}) > 1
    names = [f"{row['text']}{': ' + row['test'] if several else ''}" for row in rows]
    axes.set_yticks([-place for place in range(len(rows))], names)
    axes.axvline(0, color=LINE_COLOUR, linewidth=0.8)
    _finish(axes, "points, 95 % interval; right of 0 is better than the reference; red: margin")
    return figure


@plain_text()
def agreement_figure(items: Sequence[Found], names: Sequence[str], arms: Sequence[str], note: str) -> Figure:
    """Coefficients of agreement side by side: one panel per coefficient, one row per item and arm.

    Args:
        items: entries of an analysis with the same coefficients.
        names: of the coefficients.
        arms: of the study.
        note: what stands below.
    """
    from matplotlib.figure import Figure

    rows = [(item, arm) for item in items for arm in arms if arm in item["agreement"]]
    labels = [_row_name(item, arm, arms) for item, arm in rows]
    width = 0.6 + _LETTER * max(len(label) for label in labels) + 1.35 * len(names)
    figure = Figure(figsize=(width, _ROW * len(rows) + 1.7), layout="constrained")
    figure.suptitle("Agreement between readers", fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    left = _leftmost(rows, names)
    for axes, name in zip(panels, names, strict=True):
        for place, (item, arm) in enumerate(rows):
            found = item["agreement"][arm]["coefficients"].get(name)
            if found is not None and found["value"] is not None:
                _whisker(axes, found, -place, colour_of(arms, arm), _MARKERS[list(arms).index(arm) % len(_MARKERS)])
        axes.axvline(0, color=LINE_COLOUR, linewidth=0.8)
        axes.set_xticks([-0.5, 0, 0.5, 1] if left < -0.5 else [0, 0.5, 1])
        axes.set_xlim(left, 1.05)  # after the ticks, which would widen it
        axes.grid(axis="x", color="#e3e6e9", linewidth=0.8)
        _finish(axes, "", NAMES[name])
    panels[0].set_yticks([-place for place in range(len(rows))], labels)
    panels[0].set_ylim(0.6 - len(rows), 0.6)
    return figure


@plain_text()
def shares_figure(
    title: str, rows: Sequence[tuple[str, Found, bool]], label: str, note: str, *, guess: float = 0.5
) -> Figure:
    """Shares with intervals, one row each; the pooled ones filled.

    Args:
        title: of the figure.
        rows: name, estimate of a share (0–1), whether it is pooled.
        label: of the axis.
        note: what stands below.
        guess: where the line of no information stands.
    """
    figure, axes = _sheet(title, len(rows), note)
    for place, (_, found, pooled) in enumerate(rows):
        colour = SYNTHETIC_COLOUR if pooled else LINE_COLOUR
        _whisker(axes, found, -place, colour, "D" if pooled else "o")
    axes.axvline(guess, color=LINE_COLOUR, linewidth=1, linestyle=":")
    axes.set_yticks([-place for place in range(len(rows))], [name for name, _, _ in rows])
    axes.set_ylim(0.6 - len(rows), 0.6)
    axes.set_xlim(-0.02, 1.02)
    _finish(axes, label)
    return figure


@plain_text()
def roc_figure(title: str, diagnosis: Found, note: str) -> Figure:
    """One panel per arm: every reader's empirical ROC curve and their vertical mean.

    Args:
        title: of the figure.
        diagnosis: entry of an analysis's "diagnosis".
        note: what stands below.
    """
    from matplotlib.figure import Figure

    arms = diagnosis["arms"]
    figure = Figure(figsize=(4.6 * len(arms) + 0.3, 5.3), layout="compressed")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    for axes, arm in zip(figure.subplots(1, len(arms), squeeze=False)[0], arms, strict=True):
        curves = [curve for curve in diagnosis["curves"] if curve["arm"] == arm and curve["curve"]]
        grid = np.linspace(0, 1, 201)
        heights = []
        for curve in curves:
            rates = np.array(curve["curve"], dtype=float)
            axes.plot(rates[:, 0], rates[:, 1], color=colour_of(arms, arm), linewidth=0.9, alpha=0.45)
            heights.append(np.interp(grid, rates[:, 0], rates[:, 1]))
        if heights:
            mean = float(np.mean([curve["auc"]["value"] for curve in curves]))
            label = f"vertical mean of {len(curves)} readers\nmean AUC {mean:.3f}"
            axes.plot(
                np.r_[0, grid],
                np.r_[0, np.mean(heights, axis=0)],
                color=colour_of(arms, arm),
                linewidth=2.4,
                label=label,
            )
            axes.legend(fontsize=_SMALL, loc="lower right", frameon=False)
        axes.plot([0, 1], [0, 1], color=LINE_COLOUR, linewidth=0.8, linestyle=":")
        axes.set_box_aspect(1)
        axes.set_ylabel("sensitivity", fontsize=_TEXT)
        _finish(axes, "1 − specificity", arm)
    return figure


@plain_text()
def regions_figure(title: str, entry: Found, reference: str, unit: str, note: str) -> Figure:
    """Test over reference with the line of identity, and Bland–Altman; one point per case.

    Args:
        title: of the figure.
        entry: of an analysis's "regions" → "arms".
        reference: arm.
        unit: of the measure.
        note: what stands below.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 4.4), layout="constrained")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    left, right = figure.subplots(1, 2)
    test, against = (np.array(entry[name], dtype=float) for name in ("test_values", "reference_values"))
    left.scatter(against, test, s=22, color=SYNTHETIC_COLOUR, alpha=0.75, linewidths=0)
    low, high = float(np.nanmin([test, against])), float(np.nanmax([test, against]))
    ends = (low - 0.05 * (high - low), high + 0.05 * (high - low))
    left.plot(ends, ends, color=LINE_COLOUR, linestyle="--", linewidth=1)
    left.set_box_aspect(1)
    left.set_xlim(ends)
    left.set_ylim(ends)
    left.set_ylabel(f"{entry['test']}{unit}", fontsize=_TEXT)
    _finish(left, f"{reference}{unit}", f"ICC {number(entry['icc']['value'])}")
    right.scatter((test + against) / 2, test - against, s=22, color=SYNTHETIC_COLOUR, alpha=0.75, linewidths=0)
    limits = entry["bland_altman"]
    draw_limits(right, {key: (limits[key]["value"], limits[key]["low"], limits[key]["high"]) for key in limits})
    reach = [*(test - against), *(limits[key][end] for key in limits for end in ("low", "high") if limits[key][end])]
    low, high = float(np.nanmin(reach)), float(np.nanmax(reach))
    right.set_ylim(low - 0.08 * (high - low or 1.0), high + 0.08 * (high - low or 1.0))
    right.set_ylabel(f"{entry['test']} − {reference}{unit}", fontsize=_TEXT)
    _finish(right, f"mean of both{unit}", "Bland–Altman")
    return figure


@plain_text()
def times_figure(entry: Found, arms: Sequence[str], note: str) -> Figure:
    """Median and quartiles of reading time per reader and arm.

    Args:
        entry: of an analysis's "times".
        arms: of the study.
        note: what stands below.
    """
    readers = list(entry["by_reader"])
    shown = [arm for arm in arms if arm in entry["arms"]]
    figure, axes = _sheet(f"Active reading time, {MODE_WORDS[entry['mode']]}", len(readers) * len(shown) * 0.7, note)
    for place, reader in enumerate(readers):
        for shift, arm in enumerate(shown):
            found = entry["by_reader"][reader][arm]
            if found["median"] is None:
                continue
            y = -place + 0.3 * ((len(shown) - 1) / 2 - shift) / max(1, len(shown) - 1)
            axes.plot([found["q1"], found["q3"]], [y, y], color=colour_of(arms, arm), linewidth=2.2)
            axes.plot(found["median"], y, marker=_MARKERS[shift], color=colour_of(arms, arm), markersize=5)
    for shift, arm in enumerate(shown):
        axes.plot([], [], marker=_MARKERS[shift], color=colour_of(arms, arm), linestyle="-",
                  label=entry["labels"][arm])  # fmt: skip
    axes.legend(fontsize=_SMALL, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(shown))
    axes.set_yticks([-place for place in range(len(readers))], readers)
    axes.set_ylim(0.5 - len(readers), 0.5)
    axes.set_xlim(left=0)
    _finish(axes, "seconds per presentation: median and quartiles")
    return figure


def _sheet(title: str, rows: float, note: str, width: float = 7.6) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, max(2.4, _ROW * rows + 1.6)), layout="constrained")
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    return figure, figure.subplots()


def _whisker(axes: Axes, found: Found, y: float, colour: str, marker: str) -> None:
    if found["value"] is None:
        return
    if found["low"] is not None:
        axes.plot([found["low"], found["high"]], [y, y], color=colour, linewidth=2)
    axes.plot(found["value"], y, marker=marker, color=colour, markersize=6)


def _leftmost(rows: Sequence[tuple[Found, str]], names: Sequence[str]) -> float:
    """Where the axis of the coefficients begins, so that none is cut off."""
    found = [item["agreement"][arm]["coefficients"].get(name) for item, arm in rows for name in names]
    ends = [each[end] for each in found if each is not None for end in ("value", "low") if each[end] is not None]
    return float(min([-0.25, *ends])) - 0.05


def _row_name(item: Found, arm: str, arms: Sequence[str]) -> str:
    text = item["text"] if item["higher_is_better"] else f"{item['text']} (less is better)"
    return f"{text}: {arm}" if len(arms) > 1 else str(text)


def _categories(items: Sequence[Found], most: int) -> list[str]:
    """Numbers of the categories, with their words where all items have the same."""
    longest = max(items, key=lambda item: len(item["categories"]))
    values = [f"{value:g}" for value in longest["categories"]]
    words = {tuple(item["labels"]) for item in items}
    if len(words) > 1 or len(longest["labels"]) < most:
        return values
    return [f"{value} {label}" for value, label in zip(values, longest["labels"], strict=True)]


def _below_middle(shares: np.ndarray[Any, Any]) -> float:
    """What lies left of the centre: everything below the middle category, and half of it where there is one."""
    half = len(shares) // 2
    below = float(shares[:half].sum())
    return below + float(shares[half]) / 2 if len(shares) % 2 else below


def _shades(count: int) -> list[str]:
    """Colours for so many ordered categories."""
    if count <= len(_SCALE):
        picked = np.linspace(0, len(_SCALE) - 1, count)
        return [_SCALE[round(float(place))] for place in picked]
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    return [to_hex(mpl.colormaps["PuOr"](place)) for place in np.linspace(0, 1, count)]


def _finish(axes: Axes, x: str, title: str = "") -> None:
    axes.set_xlabel(x, fontsize=_TEXT)
    axes.set_title(title, fontsize=_TEXT)
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
