"""The plots of a pair of maps in a region: histograms, scatter with identity line, Bland–Altman."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from HierSynthLib.fidelity.measures.definitions import format_value
from HierSynthLib.fidelity.report.subject import SYNTHETIC

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's colours, which remain apart for colour-blind readers.
SYNTHETIC_COLOUR, ACQUIRED_COLOUR, LINE_COLOUR = "#D55E00", "#0072B2", "#444444"
UNITS = "nrCBV"
DPI = 110

_SMALL, _TEXT, _TITLE = 8, 9, 11
# Behind words that stand on data.
_PAPER = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0}


@contextmanager
def plain_text() -> Iterator[None]:
    """Take names as they are while a figure is made or saved: a $ in the name of a label begins no formula."""
    import matplotlib as mpl

    with mpl.rc_context({"text.parse_math": False}):
        yield


def statement(simulated: bool, *, cohort: bool = False) -> str:
    """What stands on every figure of a patient or of a cohort."""
    whom = ("SIMULATED patients" if cohort else "a SIMULATED patient") if simulated else ""
    return f"SYNTHETIC map{'s' if cohort else ''}{' of ' + whom if whom else ''}. Research only, not for clinical use."


def synthetic_title(name: str) -> str:
    """The name of a synthetic map, with the word SYNTHETIC."""
    return "SYNTHETIC" if name == SYNTHETIC else f"{name} (SYNTHETIC)"


@plain_text()
def pair_figure(
    title: str, plot: Mapping[str, Any], values: Mapping[str, float | None], note: str, data_range: float
) -> Figure:
    """Histogram, scatter and Bland–Altman plot of one pair of maps in one region, side by side.

    Args:
        title: region and maps.
        plot: one entry of a measurement's "plots".
        values: the agreement measures of the same pair, by id; written beside the plots.
        note: what stands below, see `statement`.
        data_range: nrCBV; the axes reach at least to what occurs, and mark the end of this range.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 3.9))
    figure.suptitle(title, fontsize=_TITLE, fontweight="bold")
    figure.supxlabel(note, fontsize=_SMALL, color=LINE_COLOUR)
    margins = {"left": 0.05, "right": 0.99, "bottom": 0.19, "top": 0.85, "wspace": 0.22}
    left, middle, right = figure.subplots(1, 3, gridspec_kw=margins)
    draw_histogram(left, plot, values, data_range)
    draw_scatter(middle, plot, values)
    draw_bland_altman(right, plot, values)
    return figure


def draw_histogram(axes: Axes, plot: Mapping[str, Any], values: Mapping[str, float | None], data_range: float) -> None:
    """Both maps' histograms as outlines, so that neither hides the other."""
    histogram = plot["histogram"]
    edges = np.asarray(histogram["edges"], dtype=float)
    for name, colour, line in (("synthetic", SYNTHETIC_COLOUR, "-"), ("acquired", ACQUIRED_COLOUR, "--")):
        counts = np.asarray(histogram[name], dtype=float)
        share = 100 * counts / counts.sum() if counts.sum() else counts
        axes.stairs(share, edges, color=colour, linestyle=line, linewidth=1.6, label=plot[name])
        axes.stairs(share, edges, color=colour, fill=True, alpha=0.12)
    if len(edges) and edges[0] < data_range < edges[-1]:
        axes.axvline(data_range, color=LINE_COLOUR, linestyle=":", linewidth=1)
    axes.set_ylim(bottom=0)
    _label(axes, "Histogram", UNITS, "share of the voxels, %")
    axes.legend(
        fontsize=_SMALL,
        frameon=False,
        loc="upper right",
        title=_words(values, "histogram_distance", "W₁"),
        title_fontsize=_SMALL,
    )


def draw_scatter(axes: Axes, plot: Mapping[str, Any], values: Mapping[str, float | None]) -> None:
    """Synthetic over acquired, voxel by voxel, with the line of identity."""
    acquired, synthetic = (np.asarray(plot["scatter"][name], dtype=float) for name in ("acquired", "synthetic"))
    axes.scatter(
        acquired, synthetic, s=7, alpha=_opacity(len(acquired)), color=SYNTHETIC_COLOUR, linewidths=0, rasterized=True
    )
    low, high = _range([acquired, synthetic])
    axes.plot([low, high], [low, high], color=LINE_COLOUR, linestyle="--", linewidth=1, label="identity")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    _label(axes, "Scatter of the voxels", f"{plot['acquired']}, {UNITS}", f"{plot['synthetic']}, {UNITS}")
    lines = [
        f"r {format_value('pearson_r', values.get('pearson_r'))}{_interval(values, 'pearson_low', 'pearson_high')}",
        f"CCC {format_value('ccc', values.get('ccc'))}",
    ]
    _write(axes, "\n".join(lines))


def draw_bland_altman(axes: Axes, plot: Mapping[str, Any], values: Mapping[str, float | None]) -> None:
    """Difference over mean, with bias and limits of agreement; see `draw_limits`."""
    found = plot["bland_altman"]
    mean, difference = (np.asarray(found[name], dtype=float) for name in ("mean", "difference"))
    axes.scatter(
        mean, difference, s=7, alpha=_opacity(len(mean)), color=SYNTHETIC_COLOUR, linewidths=0, rasterized=True
    )
    ends = {
        key: (found.get(key), values.get(f"{measure}_low"), values.get(f"{measure}_high"))
        for key, measure in (("bias", "ba_bias"), ("lower", "ba_lower"), ("upper", "ba_upper"))
    }
    draw_limits(axes, ends)
    _label(axes, "Bland–Altman", f"mean of both maps, {UNITS}", f"{plot['synthetic']} − {plot['acquired']}, {UNITS}")


def draw_limits(axes: Axes, ends: Mapping[str, tuple[float | None, float | None, float | None]]) -> None:
    """Lines of bias and limits of agreement, and their 95 % intervals as whiskers at the left.

    Intervals of few patients or few independent voxels overlap; whiskers beside each other keep them apart.

    Args:
        axes: of a Bland–Altman plot.
        ends: "bias", "lower" and "upper" → value and ends of its interval; None for what does not exist.
    """
    from matplotlib.lines import Line2D

    axes.axhline(0, color=LINE_COLOUR, linewidth=0.8)
    left_of_data = axes.get_yaxis_transform()
    for key, style, place in (("bias", "-", 0.05), ("lower", "--", 0.025), ("upper", "--", 0.075)):
        value, low, high = ends[key]
        if value is None:
            continue
        axes.axhline(value, color=ACQUIRED_COLOUR, linestyle=style, linewidth=1.4)
        if low is not None and high is not None:
            axes.add_line(
                Line2D(
                    [place, place],
                    [low, high],
                    color=ACQUIRED_COLOUR,
                    linewidth=1.8,
                    marker="_",
                    markersize=8,
                    markeredgewidth=1.8,
                    transform=left_of_data,
                )
            )
        axes.annotate(
            f"{'bias' if key == 'bias' else key + ' limit'} {format_value('ba_bias', value)}",
            (1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(-3, 3),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=_SMALL,
            color=ACQUIRED_COLOUR,
            fontweight="bold",
            bbox=_PAPER,
        )


@plain_text()
def save_figure(figure: Figure, stem: Path) -> dict[str, Path]:
    """Write a figure as stem.png and stem.svg; the same figure gives the same bytes.

    Returns:
        {"png": path, "svg": path}.
    """
    import matplotlib as mpl

    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")}
    if figure.get_layout_engine() is not None:  # lay out once, not for each file
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
    with mpl.rc_context({"svg.hashsalt": "HierSynth"}):
        figure.savefig(paths["png"], dpi=DPI, metadata={"Title": "SYNTHETIC CBV"})
        figure.savefig(paths["svg"], dpi=DPI, metadata={"Title": "SYNTHETIC CBV", "Date": None})
    return paths


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=_TEXT)
    axes.set_xlabel(x, fontsize=_TEXT)
    axes.set_ylabel(y, fontsize=_TEXT)
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def _write(axes: Axes, text: str) -> None:
    axes.text(0.03, 0.97, text, transform=axes.transAxes, fontsize=_SMALL, va="top", ha="left", bbox=_PAPER)


def _words(values: Mapping[str, float | None], measure: str, symbol: str) -> str:
    return f"{symbol} {format_value(measure, values.get(measure))}"


def _interval(values: Mapping[str, float | None], low: str, high: str) -> str:
    if values.get(low) is None or values.get(high) is None:
        return ""
    return f" ({format_value(low, values[low])} to {format_value(high, values[high])})"


def _opacity(count: int) -> float:
    return 0.8 if count < 100 else 0.45 if count < 600 else 0.25


def _range(arrays: Sequence[np.ndarray[Any, Any]]) -> tuple[float, float]:
    """From 0 or the least value to just above the greatest."""
    low = min((float(array.min()) for array in arrays if array.size), default=0.0)
    high = max((float(array.max()) for array in arrays if array.size), default=1.0)
    low = min(0.0, low)
    return low, high + 0.03 * (high - low or 1.0)
