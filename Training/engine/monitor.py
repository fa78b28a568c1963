"""What can be watched while a model trains: metrics.csv, TensorBoard, and at the end a figure of the curves."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from HierSynthLib.errors import OutputError
from HierSynthLib.files import atomic_file
from HierSynthLib.progress import Reporter

METRICS, EVENTS, CURVE = "metrics.csv", "tensorboard", "curve.png"
PEAK = 3.0
"""Losses above so many times their 95 % quantile are cut off in the figure."""
COLUMNS = ("step", "stage", "name", "value")
WINDOW_NRCBV = 6.0
PREVIEWS = 4
"""Slices in a picture of TensorBoard."""


class Monitor:
    """Writes the course of a run into a folder; rows after `total` (of a run that was killed) are dropped first.

    Args:
        folder: of the run.
        total: steps that the run has behind it.
        tensorboard: whether TensorBoard's files are written; without the package "tensorboard" there is a warning.
        reporter: for that warning.
    """

    def __init__(self, folder: Path, total: int, tensorboard: bool, reporter: Reporter) -> None:
        self._path = folder / METRICS
        rows = [row for row in read_metrics(self._path) if row[0] <= total]
        with atomic_file(self._path, overwrite=True) as temporary, temporary.open("w", newline="") as stream:
            csv.writer(stream).writerows([COLUMNS, *rows])
        self._stream: TextIO = self._path.open("a", newline="", encoding="utf-8")
        self._writer = _summary_writer(folder / EVENTS, total, reporter) if tensorboard else None

    def scalars(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Note values of one step, by name.

        Raises:
            OutputError: they cannot be written (full disk).
        """
        with self._explained():
            csv.writer(self._stream).writerows((step, stage, name, repr(value)) for name, value in values.items())
            self._stream.flush()
            if self._writer is not None:
                for name, value in values.items():
                    self._writer.add_scalar(f"{stage}/{name}", value, step)

    @property
    def shows_pictures(self) -> bool:
        """Whether `pictures` does anything."""
        return self._writer is not None

    def pictures(self, step: int, stage: str, maps: Mapping[str, Tensor]) -> None:
        """Show (B, 1, H, W) maps in nrCBV: one row per map, the first slices of the batch side by side.

        Raises:
            OutputError: they cannot be written (full disk).
        """
        if self._writer and maps:
            grid = picture_grid(maps)
            with self._explained():
                self._writer.add_image(f"{stage}/{', '.join(maps)}", grid, step, dataformats="HW")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "Free some space, then run the same command again: it goes on from the last checkpoint."
            raise OutputError(f"{self._path} could not be written: {error.strerror or error}.", hint) from error

    def close(self) -> None:
        """Write what is still in memory; what does not fit on a full disk any more is lost."""
        with suppress(OSError):
            self._stream.close()
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()


class Window:
    """Means of terms over some steps; a term that is not computed in every step is averaged over those with it."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._steps, self._waited, self._worked = 0, 0.0, 0.0

    def add(self, terms: dict[str, Tensor], waited: float, worked: float) -> None:
        """Add one step; tensors stay on their device."""
        for name, value in terms.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1
        self._steps, self._waited, self._worked = self._steps + 1, self._waited + waited, self._worked + worked

    def means(self) -> dict[str, float]:
        """Mean of each term, the total of each group, seconds per step, and the share of waiting for data."""
        values = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        for group in dict.fromkeys(name.partition("/")[0] for name in list(values) if "/" in name):
            values[f"{group}/total"] = sum(value for name, value in values.items() if name.startswith(f"{group}/"))
        spent = self._waited + self._worked
        values["seconds per step"] = spent / max(1, self._steps)
        values["share of waiting for data"] = self._waited / spent if spent else 0.0
        return values


def _summary_writer(folder: Path, total: int, reporter: Reporter) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        reporter.warning('TensorBoard is not installed (pip install "HierSynthLib[training]"); metrics.csv is written.')
        return None
    return SummaryWriter(str(folder), purge_step=total + 1 if total else None)


def picture_grid(maps: Mapping[str, Tensor]) -> NDArray[np.float32]:
    """One picture (rows · W, `PREVIEWS` · H), 0 to 1, of maps (B, 1, H, W); maps with negative values around grey.

    The first axis of a map is the patient's left–right axis, so pictures are turned to have anterior on top.
    """
    rows = []
    for values in maps.values():
        slices = values[:PREVIEWS, 0].detach().float().cpu().numpy()
        signed = bool((slices < 0).any())
        scaled = slices / WINDOW_NRCBV + 0.5 if signed else slices / WINDOW_NRCBV
        rows.append(np.concatenate([one.T[::-1, ::-1] for one in np.clip(scaled, 0, 1)], axis=1))
    return np.concatenate(rows, axis=0).astype(np.float32)


def read_metrics(path: Path) -> list[tuple[int, str, str, float]]:
    """The rows of metrics.csv as (step, stage, name, value); a last row that was cut off by a kill is left out."""
    if not path.is_file():
        return []
    rows = []
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.reader(stream):
            try:
                step, stage, name, value = row
                rows.append((int(step), stage, name, float(value)))
            except ValueError:
                continue
    return rows


def draw_curve(folder: Path) -> Path | None:
    """Draw metrics.csv of a run as curve.png: losses per stage above, validation below; None without rows.

    Raises:
        OutputError: it cannot be written.
    """
    rows = read_metrics(folder / METRICS)
    if not rows:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    validation = {name for _, _, name, _ in rows if name.startswith("validation/")}
    totals = {name for _, _, name, _ in rows if name.endswith("/total")}
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, names, label in ((upper, totals, "loss"), (lower, validation, "validation")):
        for name in sorted(names):
            for stage in dict.fromkeys(row[1] for row in rows):
                points = _points(rows, stage, name)
                if points:
                    axes.plot(*zip(*points, strict=True), label=f"{stage}: {name.removeprefix('validation/')}")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    lower.set_xlabel("step")
    _cut_peaks(upper, [(value, step) for step, _, name, value in rows if name in totals and math.isfinite(value)])
    target = folder / CURVE
    with atomic_file(target, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=110)
    return target


def _cut_peaks(axes: Any, losses: list[tuple[float, int]]) -> None:
    """Leave what a single step has thrown up out of the picture, and say so."""
    if not losses:
        return
    usual, (highest, step) = sorted(value for value, _ in losses)[int(0.95 * (len(losses) - 1))], max(losses)
    if usual > 0 and highest > PEAK * usual:
        axes.set_ylim(min(0.0, min(losses)[0]), PEAK * usual)
        axes.set_title(f"not shown: a peak of {highest:.2g} up to step {step}", fontsize="small", loc="left")


def _points(rows: Iterable[tuple[int, str, str, float]], stage: str, name: str) -> list[tuple[int, float]]:
    return [(step, value) for step, at, what, value in rows if (at, what) == (stage, name) and math.isfinite(value)]
