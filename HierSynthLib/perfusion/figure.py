"""The figure of a processed DSC series: maps in some slices, the curves, the place of the AIF, and the quality."""

from __future__ import annotations

import csv
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.qc import scale_is_plausible
from HierSynthLib.perfusion.write import CURVES, MAPS, QC, RUN, quality_lines
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.volume import read_volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

Picture = NDArray[np.float32]

SLICES = 4
DPI = 110
NRCBV_WINDOW = 6.0
"""Upper end of the colour scale of every nrCBV map, as in the other figures."""

_MARGIN_VOXELS = 2
_TOP_PERCENTILE = 98.0
_LEAST_SHARE = 0.35  # of the largest slice's brain, for a slice to be shown
_SMALL, _TEXT, _TITLE = 8, 9, 12
# Okabe & Ito's colours, which remain apart for colour-blind readers.
_AIF_COLOUR, _BRAIN_COLOUR, _REFERENCE_COLOUR, _GREY = "#D55E00", "#0072B2", "#009E73", "#444444"
_VOXEL_COLOUR = "#00E5FF"

_TITLES = {
    "nrCBV": "nrCBV, leakage-corrected",
    "rCBV_standardised": "standardised rCBV, leakage-corrected",
    "rCBV": "rCBV, leakage-corrected",
    "rCBV_uncorrected": "rCBV, not leakage-corrected",
    "K2": "K2: leakage (red: T1, blue: T2*)",
}
_ABSOLUTE = ("CBV", "CBF")
"""Maps whose size is that of the AIF."""
_SHOWN_UNITS = {"nrCBV": (1.0, "1 = white matter"), "K2": (1000.0, "10⁻³/s")}
"""Factor and unit of maps that are shown otherwise than stored, for short numbers."""
_STYLES = {"K2": "RdBu_r", "MTT": "viridis", "Tmax": "viridis", "TTP": "viridis", "PSR": "viridis"}


@dataclass(frozen=True, eq=False)
class Montage:
    """Maps on axes that run to the patient's right, front and top, cropped to the brain.

    Attributes:
        maps: name → (I, J, K).
        units: of each map, as shown.
        brain: (I, J, K).
        aif: (I, J, K) voxels of the AIF.
        slices: numbers of the slices that are shown.
        spacing: mm along i, j, k.
        heights_mm: (K,) position of each slice towards the top of the patient, RAS.
    """

    maps: dict[str, Picture]
    units: dict[str, str]
    brain: NDArray[np.bool_]
    aif: NDArray[np.bool_]
    slices: list[int]
    spacing: NDArray[np.float64]
    heights_mm: NDArray[np.float64]


def perfusion_figure(folder: Path) -> Figure:
    """Draw what a processing left in its folder.

    Args:
        folder: with maps.json, the maps, curves.csv, qc.json and run.json.

    Raises:
        InputError: a file is missing or damaged.
    """
    from matplotlib.figure import Figure

    described, quality, run = (_read_json(folder / name) for name in (MAPS, QC, RUN))
    curves = _read_curves(folder / CURVES)
    names = _shown(set(described["maps"]), run["options"]["leakage"])
    montage = _montage(folder, described, names)
    warnings = [line for words in quality["warnings"] for line in textwrap.wrap(f"• {words}", 210)]
    rows = (len(names) + 1) // 2
    tall, wide = montage.brain.shape[1] * montage.spacing[1], montage.brain.shape[0] * montage.spacing[0]
    width = 15.5
    picture = 0.93 * width / (2 * SLICES + 0.9)
    heights = [rows * (picture * tall / wide + 0.42), 3.3, 0.22 * (len(warnings) + 1) + 0.35]
    figure = Figure(figsize=(width, sum(heights) + 0.75))
    total = figure.get_figheight()
    figure.suptitle(_title(run), fontsize=_TITLE, fontweight="bold", y=1 - 0.18 / total, va="top")
    titles = dict(_TITLES) if run["options"]["leakage"] != "none" else {}
    uncertain = not scale_is_plausible(quality["numbers"]["median_cbv"], quality["numbers"]["median_cbf"])
    titles |= {name: f"{name}: absolute scale uncertain (AIF)" for name in _ABSOLUTE if uncertain}
    _draw_maps(figure, montage, titles, top=1 - 0.75 / total, bottom=(heights[1] + heights[2] + 0.15) / total)
    top, bottom = (heights[1] + heights[2] - 0.35) / total, (heights[2] + 0.5) / total
    lower = figure.add_gridspec(
        1, 4, left=0.045, right=0.985, top=top, bottom=bottom, width_ratios=[1.1, 1.1, 0.75, 1.25], wspace=0.24
    )
    _draw_aif(figure.add_subplot(lower[0]), curves, quality)
    _draw_means(figure, lower[1], curves, quality)
    _draw_place(figure.add_subplot(lower[2]), montage, names[0])
    _draw_quality(figure.add_subplot(lower[3]), quality)
    words = "\n".join(warnings) if warnings else "none"
    figure.text(0.02, (heights[2] - 0.05) / total, "Warnings", fontsize=_TEXT, fontweight="bold", va="top")
    figure.text(0.02, (heights[2] - 0.25) / total, words, fontsize=_TEXT, va="top", linespacing=1.35)
    return figure


def save_figure(figure: Figure, stem: Path) -> dict[str, Path]:
    """Write a figure as stem.png and stem.svg; the same figure gives the same bytes.

    Returns:
        {"png": path, "svg": path}.
    """
    import matplotlib as mpl

    paths = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")}
    with mpl.rc_context({"svg.hashsalt": "HierSynth"}):
        figure.savefig(paths["png"], dpi=DPI, metadata={"Title": "DSC perfusion"})
        figure.savefig(paths["svg"], dpi=DPI, metadata={"Title": "DSC perfusion", "Date": None})
    return paths


def _shown(there: set[str], leakage: str) -> list[str]:
    """The maps that are drawn: CBV on the best scale there is, then what tells most about perfusion and leakage."""
    best = next(name for name in ("nrCBV", "rCBV_standardised", "rCBV") if name in there)
    leaks = [] if leakage == "none" else ["K2"]
    if "CBF" in there:
        return [best, "CBV", "CBF", "MTT", "Tmax", *(leaks or ["PSR"])]
    return [best, "rCBV_uncorrected", *leaks, "TTP", "PSR"][: 4 if leaks else 5]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}).", "Give the folder of a finished perfusion processing."
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object.", "Give the folder of a finished perfusion processing.")
    return content


def _read_curves(path: Path) -> dict[str, NDArray[np.float64]]:
    """The columns of curves.csv that are not empty."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if rows[0][name]}


def _montage(folder: Path, described: Mapping[str, Any], names: list[str]) -> Montage:
    brain = read_volume(folder / described["masks"]["brain_mask"])
    grid, entries = Grid(brain.grid, brain.affine).canonical(), described["maps"]

    def shown(name: str) -> Picture:
        factor = _SHOWN_UNITS.get(name, (1.0, ""))[0]
        return np.asarray(factor * turned(entries[name]["file"])[box], dtype=np.float32)

    def turned(file: str) -> NDArray[Any]:
        volume = read_volume(folder / file)
        values = volume.array.reshape(volume.grid)
        return resample(values, volume.affine, grid.shape, grid.affine, interpolation="nearest")

    inside = turned(described["masks"]["brain_mask"]) > 0
    crop = []
    for axis in (0, 1):
        used = np.flatnonzero(inside.any(axis=(1 - axis, 2)))
        crop.append(slice(max(0, int(used[0]) - _MARGIN_VOXELS), int(used[-1]) + 1 + _MARGIN_VOXELS))
    box = (crop[0], crop[1], slice(None))
    aif = described["masks"].get("aif_mask")
    area = inside.sum(axis=(0, 1))
    usable = np.flatnonzero(area >= _LEAST_SHARE * area.max())
    chosen = np.unique(usable[np.round(np.linspace(0, len(usable) - 1, SLICES + 2)[1:-1]).astype(int)])
    return Montage(
        maps={name: shown(name) for name in names},
        units={name: _SHOWN_UNITS[name][1] if name in _SHOWN_UNITS else entries[name]["units"] for name in names},
        brain=inside[box],
        aif=(turned(aif) > 0)[box] if aif else np.zeros_like(inside[box]),
        slices=[int(k) for k in chosen],
        spacing=grid.spacing,
        heights_mm=grid.affine[2, 3] + grid.affine[2, 2] * np.arange(grid.shape[2]),
    )


def _title(run: Mapping[str, Any]) -> str:
    series = run["series"]
    times = " and ".join(f"{1000 * value:g}" for value in series["te_s"])
    flip = "" if series["flip_deg"] is None else f", flip {series['flip_deg']:g}°"
    grid = " × ".join(str(count) for count in series["grid"])
    mark = "SIMULATED. " if run["simulated"] else ""
    return (
        f"DSC perfusion: TE {times} ms, TR {series['tr_s']:g} s{flip}; {grid} voxels, {series['frames']} frames. "
        f"{mark}Research only, not for clinical use."
    )


def _window(name: str, values: NDArray[np.float32]) -> tuple[float, float]:
    """Ends of the colour scale, from the (n,) values in the brain."""
    if name in ("nrCBV", "rCBV_standardised"):
        return 0.0, NRCBV_WINDOW
    if name == "K2":
        end = _rounded_up(float(np.percentile(np.abs(values), _TOP_PERCENTILE)))
        return -end, end
    return 0.0, _rounded_up(float(np.percentile(values, _TOP_PERCENTILE)))


def _rounded_up(value: float) -> float:
    """The next of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 and 10 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
    return float(next(step for step in steps if step * power >= value * (1 - 1e-9)) * power)


def _draw_maps(figure: Figure, montage: Montage, titles: Mapping[str, str], *, top: float, bottom: float) -> None:
    rows = (len(montage.maps) + 1) // 2
    outer = figure.add_gridspec(rows, 2, left=0.01, right=0.94, top=top, bottom=bottom, hspace=0.14, wspace=0.16)
    for number, name in enumerate(montage.maps):
        cells = outer[number // 2, number % 2].subgridspec(1, SLICES, wspace=0.03)
        low, high = _window(name, montage.maps[name][montage.brain])
        style = _STYLES.get(name, "inferno")
        first_row = number < 2
        for column, k in enumerate(montage.slices):
            axis = figure.add_subplot(cells[column])
            image = _show(axis, montage, name, k, style, (low, high))
            if first_row:
                axis.set_title(_height(montage, k), fontsize=_SMALL, pad=2)
            if column == 0:
                _place_title(axis, titles.get(name, name), above=1.1 if first_row else 1.02)
        extend = _beyond(montage.maps[name][:, :, montage.slices][montage.brain[:, :, montage.slices]], low, high)
        bar = figure.colorbar(image, cax=axis.inset_axes((1.03, 0, 0.06, 1)), extend=extend)
        bar.set_label(montage.units[name], fontsize=_SMALL)
        bar.ax.tick_params(labelsize=_SMALL)


def _beyond(values: NDArray[np.float32], low: float, high: float) -> Literal["neither", "min", "max", "both"]:
    """At which ends of the colour scale some of the shown values lie beyond it."""
    below, above = bool((values < low).any()), bool((values > high).any())
    if below and above:
        return "both"
    if below:
        return "min"
    return "max" if above else "neither"


def _height(montage: Montage, k: int) -> str:
    """Where a slice lies, in mm towards the top of the patient."""
    return f"S {montage.heights_mm[k]:.0f} mm".replace("-", "\N{MINUS SIGN}")


def _place_title(axis: Axes, title: str, *, above: float) -> None:
    axis.text(0, above, title, transform=axis.transAxes, fontsize=_TEXT + 1, fontweight="bold", ha="left", va="bottom")


def _show(axis: Axes, montage: Montage, name: str, k: int, style: str, window: tuple[float, float]) -> Any:
    """One slice: rows anterior to posterior, columns patient right to left."""
    from matplotlib import colormaps

    paper, ink = ("white", "black") if style == "RdBu_r" else ("black", "white")
    picture = np.where(montage.brain[:, :, k], montage.maps[name][:, :, k], np.nan).T[::-1, ::-1]
    image = axis.imshow(
        picture,
        cmap=colormaps[style].with_extremes(bad=paper),
        vmin=window[0],
        vmax=window[1],
        interpolation="nearest",
        aspect=float(montage.spacing[1] / montage.spacing[0]),
    )
    axis.set_xticks([])
    axis.set_yticks([])
    for x, letter in ((0.04, "R"), (0.96, "L")):
        axis.text(x, 0.5, letter, transform=axis.transAxes, color=ink, fontsize=_SMALL, ha="center", va="center")
    return image


def _draw_aif(axis: Axes, curves: Mapping[str, NDArray[np.float64]], quality: Mapping[str, Any]) -> None:
    axis.set_title("Arterial input function", fontsize=_TEXT + 1, fontweight="bold")
    if "aif_per_s" not in curves:
        _say(axis, "None was found.\nCBV, CBF, MTT and Tmax need one:\ngive voxels of an artery by hand.")
        return
    found = quality["aif"]
    axis.plot(curves["time_s"], curves["aif_per_s"], color=_AIF_COLOUR, lw=1.6, marker=".", ms=4)
    count = len(found["voxels"])
    axis.text(
        0.98,
        0.96,
        f"{found['method']}, {count} voxel{'s' * (count != 1)}\npeak {found['peak_per_s']:.3g} 1/s\n"
        f"width {found['width_s']:.3g} s",
        transform=axis.transAxes,
        ha="right",
        va="top",
        fontsize=_TEXT,
    )
    _label_curve(axis, quality, curves)


def _draw_means(
    figure: Figure, cell: SubplotSpec, curves: Mapping[str, NDArray[np.float64]], quality: Mapping[str, Any]
) -> None:
    moved = "motion_mm" in curves
    parts = cell.subgridspec(2, 1, height_ratios=[2.4, 1], hspace=0.15) if moved else cell.subgridspec(1, 1)
    axis = figure.add_subplot(parts[0])
    axis.set_title("Mean curves", fontsize=_TEXT + 1, fontweight="bold")
    for name, colour, style, label in (
        ("brain_per_s", _BRAIN_COLOUR, "-", "whole brain"),
        ("brain_corrected_per_s", _BRAIN_COLOUR, ":", "whole brain, leakage-corrected"),
        ("non_enhancing_per_s", _REFERENCE_COLOUR, "-", "non-enhancing brain"),
    ):
        if style == ":" and np.array_equal(curves[name], curves["brain_per_s"]):
            continue  # nothing was corrected
        axis.plot(curves["time_s"], curves[name], color=colour, ls=style, lw=1.5, label=label)
    axis.legend(fontsize=_SMALL, frameon=False, loc="upper right")
    _label_curve(axis, quality, curves)
    if moved:
        axis.set_xlabel("")
        axis.tick_params(labelbottom=False)
        below = figure.add_subplot(parts[1], sharex=axis)
        below.plot(curves["time_s"], curves["motion_mm"], color=_GREY, lw=1.2)
        below.set_ylabel("motion (mm)", fontsize=_SMALL)
        below.set_ylim(0, max(1.0, 1.15 * float(curves["motion_mm"].max())))
        below.set_xlabel("time (s)", fontsize=_TEXT)
        _plain(below)


def _label_curve(axis: Axes, quality: Mapping[str, Any], curves: Mapping[str, NDArray[np.float64]]) -> None:
    bolus, times = quality["bolus"], curves["time_s"]
    axis.axvspan(
        times[bolus["baseline_first_frame"]], times[bolus["baseline_last_frame"]], color="0.85", lw=0, zorder=0
    )
    axis.axhline(0, color="0.7", lw=0.8, zorder=0)
    axis.set_xlabel("time (s)", fontsize=_TEXT)
    axis.set_ylabel("ΔR2* (1/s)", fontsize=_TEXT)
    _plain(axis)


def _plain(axis: Axes) -> None:
    axis.tick_params(labelsize=_SMALL)
    axis.spines[["top", "right"]].set_visible(False)


def _draw_place(axis: Axes, montage: Montage, name: str) -> None:
    counts = montage.aif.sum(axis=(0, 1))
    if not counts.any():
        axis.set_axis_off()
        return
    axis.set_title("Place of the AIF", fontsize=_TEXT + 1, fontweight="bold")
    k = int(np.argmax(counts))
    _show(axis, montage, name, k, "inferno", _window(name, montage.maps[name][montage.brain]))
    rows, columns = np.nonzero(montage.aif[:, :, k].T[::-1, ::-1])
    axis.scatter(columns, rows, s=46, facecolors="none", edgecolors=_VOXEL_COLOUR, linewidths=1.2)
    axis.set_xlabel(f"{counts[k]} of {counts.sum()} voxels, {_height(montage, k)}", fontsize=_SMALL)


def _draw_quality(axis: Axes, quality: Mapping[str, Any]) -> None:
    axis.set_title("Quality", fontsize=_TEXT + 1, fontweight="bold")
    axis.set_axis_off()
    lines, numbers = quality_lines(quality["numbers"]), quality["numbers"]
    if numbers["median_cbv"] is not None:
        certain = scale_is_plausible(numbers["median_cbv"], numbers["median_cbf"])
        said = f"{numbers['median_cbv']:.3g} ml/100 g"
        lines.append(("median CBV", said if certain else f"{said}, implausible"))
    for number, (name, value) in enumerate(lines):
        y = 0.97 - 0.088 * number
        axis.text(0.0, y, name, transform=axis.transAxes, fontsize=_TEXT, va="top")
        axis.text(1.0, y, value, transform=axis.transAxes, fontsize=_TEXT, va="top", ha="right")


def _say(axis: Axes, words: str) -> None:
    axis.set_axis_off()
    axis.text(0.5, 0.5, words, transform=axis.transAxes, fontsize=_TEXT, ha="center", va="center")
