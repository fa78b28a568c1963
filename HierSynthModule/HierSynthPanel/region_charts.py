"""What the plots of one region show: tables of numbers and the charts that draw them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from HierSynthLib.fidelity.measures.definitions import format_value
from HierSynthPanel import views
from HierSynthPanel.chart_nodes import BLACK, BLUE, GREY, ORANGE, Chart, Range, Series

LEAST_RANGE = 1.0
"""nrCBV; axes reach at least as far as normal white matter."""

LEAST_DIFFERENCE = 0.5
"""nrCBV; so far at least reaches the axis of the differences, up and down."""

MARGIN = 0.2
"""nrCBV beyond the largest differences, so that lines do not lie on the frame."""

LONGEST_NAME = 40
"""Characters of a region's name; longer titles are wider than a view."""

LEVELS = ("bias", "lower", "upper")
"""Lines of the Bland–Altman plot."""

Entry = Mapping[str, Any]
"""What the measurement holds for the plots of one pair of maps in one region."""


def charts(entry: Entry, region: str, simulated: bool) -> tuple[Chart, ...]:
    """Histogram, scatter and Bland–Altman plot.

    Args:
        entry: one element of "plots" of a measurement, with at least one voxel.
        region: name of the region.
        simulated: whether the case is that of a simulated patient.
    """
    name = region if len(region) <= LONGEST_NAME else f"{region[:LONGEST_NAME]}…"
    words = _("SYNTHETIC, SIMULATED") if simulated else _("SYNTHETIC")
    heading, whole = f"{name}\n{words}", _span(entry)
    return _histogram(entry, heading, whole), _scatter(entry, heading, whole), _bland_altman(entry, heading, whole)


def tables(entry: Entry) -> dict[str, dict[str, np.ndarray]]:
    """The numbers that are drawn: name of a table → name of a column → values.

    Args:
        entry: one element of "plots" of a measurement, with at least one voxel.
    """
    histogram, scatter, agreement = entry["histogram"], entry["scatter"], entry["bland_altman"]
    levels = {name: np.array([agreement[name]] * 2, dtype=float) for name in LEVELS}
    return {
        "histogram": {
            "edges": np.repeat(np.asarray(histogram["edges"], dtype=float), 2),
            "synthetic": _steps(histogram["synthetic"]),
            "acquired": _steps(histogram["acquired"]),
        },
        "scatter": {name: _points(scatter[name]) for name in ("acquired", "synthetic")},
        "agreement": {name: _points(agreement[name]) for name in ("mean", "difference")},
        "lines": {"range": np.array(_span(entry)), **levels},
    }


def _span(entry: Entry) -> Range:
    """The nrCBV of all axes, so that they agree: from 0, or the lowest value below it, to the highest value."""
    scatter = entry["scatter"]
    values = [0.0, LEAST_RANGE, *entry["histogram"]["edges"], *scatter["synthetic"], *scatter["acquired"]]
    return min(values), max(values)


def _points(values: Sequence[float]) -> np.ndarray:
    """The values; VTK draws a single one only when it is there twice."""
    return np.repeat(np.asarray(values, dtype=float), 2 if len(values) == 1 else 1)


def _steps(counts: Sequence[float]) -> np.ndarray:
    """(2 n + 2,) the outline of n bars: each count at both edges of its bar, 0 before and after."""
    return np.concatenate([[0.0], np.repeat(np.asarray(counts, dtype=float), 2), [0.0]])


def _title(heading: str, kind: str) -> str:
    # VTK measures two lines too low; an empty third one keeps them off the plot.
    return f"{heading} – {kind}\n"


def _histogram(entry: Entry, heading: str, whole: Range) -> Chart:
    counts = entry["histogram"]
    return Chart(
        view=views.HISTOGRAM_VIEW,
        title=_title(heading, _("histogram")),
        x_title=_("nrCBV"),
        y_title=_("voxels"),
        series=(
            Series(entry["acquired"], "histogram", "edges", "acquired", BLUE),
            Series(entry["synthetic"], "histogram", "edges", "synthetic", ORANGE),
        ),
        x_range=whole,
        y_range=(0.0, max([1.0, *counts["synthetic"], *counts["acquired"]])),
        legend=True,
    )


def _scatter(entry: Entry, heading: str, whole: Range) -> Chart:
    return Chart(
        view=views.SCATTER_VIEW,
        title=_title(heading, _("line of identity")),
        x_title=f"{entry['acquired']} (nrCBV)",
        y_title=f"{entry['synthetic']} (nrCBV)",
        series=(
            Series(_("voxels"), "scatter", "acquired", "synthetic", ORANGE, line=None),
            Series(_("identity"), "lines", "range", "range", GREY, line="dashed"),
        ),
        x_range=whole,
        y_range=whole,
    )


def _bland_altman(entry: Entry, heading: str, whole: Range) -> Chart:
    agreement = entry["bland_altman"]
    levels = {name: agreement[name] for name in LEVELS if agreement[name] is not None}
    text = {name: format_value(f"ba_{name}", agreement[name]) for name in LEVELS}
    kind = _("bias {bias} ({lower} to {upper})") if len(levels) == len(LEVELS) else _("bias {bias}")
    values = [-LEAST_DIFFERENCE, LEAST_DIFFERENCE, *agreement["difference"], *levels.values()]
    lines = [
        Series(name, "lines", "range", name, BLACK if name == "bias" else GREY, "solid" if name == "bias" else "dashed")
        for name in levels
    ]
    return Chart(
        view=views.BLAND_ALTMAN_VIEW,
        title=_title(heading, kind.format(**text)),
        x_title=_("mean of both (nrCBV)"),
        y_title=f"{entry['synthetic']} − {entry['acquired']} (nrCBV)",
        series=(Series(_("voxels"), "agreement", "mean", "difference", ORANGE, line=None), *lines),
        x_range=whole,
        y_range=(min(values) - MARGIN, max(values) + MARGIN),
    )
