"""The overview figure of a case: sources, maps, acquired map and difference in one axial slice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import REFERENCE_LABEL, SEQUENCES, Case, Role, load_case, require_usable
from HierSynthLib.errors import InputError
from HierSynthLib.files import atomic_file
from HierSynthLib.preparation import resample
from HierSynthLib.preparation.grid import Grid, Interpolation
from HierSynthLib.volume import Volume, read_volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# One window for every CBV map of the figure, stated on its colour bar; a wider one hides the grey/white contrast.
WINDOW_NRCBV = 6.0
DIFFERENCE_NRCBV = 3.0
MARGIN_MM = 5.0

STATEMENT = "SYNTHETIC CBV - for research only"
CBV_STYLE: dict[str, Any] = {"cmap": "inferno", "vmin": 0.0, "vmax": WINDOW_NRCBV}
CHANGE_STYLE: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -DIFFERENCE_NRCBV, "vmax": DIFFERENCE_NRCBV}


@dataclass(frozen=True)
class Slice:
    """The axial slice that is shown: a one-slice grid of 1 mm along the reference's canonical axes."""

    grid: Grid

    def of(
        self,
        volume: Volume,
        interpolation: Interpolation = "linear",
        transform: Sequence[Sequence[float]] | None = None,
    ) -> NDArray[np.float32]:
        """The volume in this slice as a picture: rows anterior to posterior, columns patient right to left.

        `transform`, (4, 4) RAS mm, maps a point of the slice to the volume's point of the same anatomy.
        """
        plane = resample(
            volume.array,
            volume.affine,
            self.grid.shape,
            self.grid.affine,
            transform=None if transform is None else np.asarray(transform, dtype=np.float64),
            interpolation=interpolation,
        )[:, :, 0]
        return np.asarray(plane.T[::-1, ::-1], dtype=np.float32)


@dataclass(frozen=True)
class Panel:
    """One picture of the figure."""

    title: str
    picture: NDArray[np.float32]
    style: dict[str, Any]
    bar: str


def case_figure(case_folder: Path, maps_folder: Path, out: Path) -> None:
    """Draw sources, global map, residual, synthetic map, uncertainty and, where there, acquired and true map.

    The sources are shown as they were registered for the synthesis. An acquired map is brought into place by the
    simulation's own record of the movement; that of a real patient is taken to lie where its file says.

    The slice is the axial one with the largest lesion area, else the one through the middle of the brain.

    Args:
        case_folder: folder with case.json.
        maps_folder: result of a synthesis of this case (maps and run.json).
        out: .png or .svg to write; replaced if it exists.

    Raises:
        InputError: a file of the case or of the result cannot be read.
        OutputError: the figure cannot be written.
    """
    case = Case.open(case_folder)
    run = _read_run(maps_folder / "run.json")
    maps = {name: read_volume(maps_folder / file) for name, file in run["outputs"].items()}
    volumes, problems = load_case(case, [*SEQUENCES, Role.ROI, Role.CBV_ACQUIRED, Role.CBV_TRUE])
    require_usable(problems)
    tumour = [label for label, name in case.labels.items() if name != REFERENCE_LABEL]
    chosen = choose_slice(maps["brain"], volumes.get(Role.ROI), tumour)
    rows = [
        _source_row(volumes, run["preparation"]["transforms"], maps["brain"], chosen),
        _map_row(maps, float(run["interval"]), chosen),
        _comparison_row(volumes, case.facts.get("transforms", {}), maps, chosen),
    ]
    figure = _draw([row for row in rows if row], _title(case, run))
    with atomic_file(out, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=110, format=out.suffix.lstrip("."), metadata={"Title": STATEMENT})


def _read_run(path: Path) -> dict[str, Any]:
    try:
        run = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}).", "Give the folder of a finished synthesis.") from error
    if not isinstance(run, dict) or not {"outputs", "model", "interval", "preparation"} <= set(run):
        raise InputError(f"{path}: does not describe a synthesis.", "Give the folder of a finished synthesis.")
    return run


def choose_slice(brain: Volume, roi: Volume | None, labels: Sequence[int]) -> Slice:
    """The axial slice with most voxels of `labels`, else through the middle of the brain; cropped to the brain."""
    shape = brain.grid
    own = Grid(shape, brain.affine).canonical()
    fine = own.respaced((1.0, 1.0, 1.0))
    inside = resample(brain.array.astype(np.float32), brain.affine, fine.shape, fine.affine) > 0.5
    area = np.zeros(fine.shape[2])
    if roi is not None and labels:
        lesion = resample(
            np.isin(roi.array, labels).astype(np.uint8), roi.affine, fine.shape, fine.affine, interpolation="nearest"
        )
        area = (lesion > 0).sum(axis=(0, 1))
    k = int(np.argmax(area)) if area.any() else round(float(np.mean(np.flatnonzero(inside.any(axis=(0, 1))))))
    start, stop = [], []
    for axis in (0, 1):
        used = np.flatnonzero(inside.any(axis=(1 - axis, 2)))
        start.append(max(0, int(used[0] - MARGIN_MM)))
        stop.append(min(fine.shape[axis], int(used[-1] + 1 + MARGIN_MM)))
    return Slice(fine.cropped([*start, k], [*stop, k + 1]))


def _source_row(
    volumes: Mapping[Role, Volume], transforms: Mapping[str, Any], brain: Volume, chosen: Slice
) -> list[Panel]:
    inside = chosen.of(brain, "nearest") > 0
    panels = []
    for role in SEQUENCES:
        if role not in volumes:
            continue
        picture = chosen.of(volumes[role], transform=transforms.get(role))
        if role == Role.ADC:
            style, bar = {"cmap": "gray", "vmin": 0.0, "vmax": 3.0}, "10⁻³ mm²/s"
        else:
            style, bar = (
                {"cmap": "gray", "vmin": 0.0, "vmax": float(np.percentile(picture[inside], 99.5))},
                "signal (a.u.)",
            )
        panels.append(Panel(str(role), picture, style, bar))
    return panels


def _map_row(maps: dict[str, Volume], interval: float, chosen: Slice) -> list[Panel]:
    return [
        Panel("1  Global map (GSM)", chosen.of(maps["global"]), CBV_STYLE, "nrCBV"),
        Panel("2  Residual (LSM)", chosen.of(maps["residual"]), CHANGE_STYLE, "ΔnrCBV"),
        Panel("SYNTHETIC CBV = 1 + 2", chosen.of(maps["synthetic"]), CBV_STYLE, "nrCBV"),
        Panel(
            f"Uncertainty ({100 * interval:.0f} % half-width)",
            chosen.of(maps["uncertainty"]),
            {"cmap": "viridis", "vmin": 0.0, "vmax": DIFFERENCE_NRCBV},
            "nrCBV",
        ),
    ]


def _comparison_row(
    volumes: Mapping[Role, Volume], movement: Mapping[str, Any], maps: dict[str, Volume], chosen: Slice
) -> list[Panel]:
    synthetic, brain = chosen.of(maps["synthetic"]), chosen.of(maps["brain"], "nearest") > 0
    panels = []
    for role, name in ((Role.CBV_ACQUIRED, "acquired"), (Role.CBV_TRUE, "true")):
        if role in volumes:
            picture = chosen.of(volumes[role], transform=movement.get(role))
            change = np.where(brain, synthetic - picture, 0).astype(np.float32)
            panels.append(Panel(f"{name.capitalize()} CBV", picture * brain, CBV_STYLE, "nrCBV"))
            panels.append(Panel(f"Synthetic − {name}", change, CHANGE_STYLE, "ΔnrCBV"))
    return panels


def _title(case: Case, run: dict[str, Any]) -> str:
    kind = "SIMULATED patient" if case.simulated else "patient"
    return f"{STATEMENT}.  {kind} {case.id}, model {run['model']['name']} {run['model']['version']}"


def _draw(rows: list[list[Panel]], title: str) -> Figure:
    from matplotlib.figure import Figure

    columns = max(len(row) for row in rows)
    height, width = rows[0][0].picture.shape
    figure = Figure(figsize=(3.3 * columns, (2.45 * height / width + 0.35) * len(rows) + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, row_axes in zip(rows, axes, strict=True):
        for axis in row_axes[len(row) :]:
            axis.remove()
        for panel, axis in zip(row, row_axes, strict=False):
            _draw_panel(figure, axis, panel)
    return figure


def _draw_panel(figure: Figure, axis: Axes, panel: Panel) -> None:
    image = axis.imshow(panel.picture, interpolation="nearest", **panel.style)
    axis.set_title(panel.title, fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])
    colour = "black" if panel.style["cmap"] == "RdBu_r" else "white"
    for x, letter in ((0.03, "R"), (0.97, "L")):
        axis.text(x, 0.5, letter, transform=axis.transAxes, color=colour, fontsize=9, ha="center", va="center")
    bar = figure.colorbar(image, ax=axis, fraction=0.046, pad=0.02)
    bar.set_label(panel.bar, fontsize=8)
    bar.ax.tick_params(labelsize=7)
