"""The pictures of a report: one axial slice with anatomy, regions, acquired map, synthetic map and difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.figures import CHANGE_STYLE, DIFFERENCE_NRCBV, Slice
from HierSynthLib.fidelity.regions.masks import rasterise
from HierSynthLib.fidelity.regions.shapes import Region, Sphere
from HierSynthLib.fidelity.report.plots import LINE_COLOUR, plain_text, synthetic_title
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.volume import Volume, read_volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Matrix = NDArray[np.float64]
Picture = NDArray[np.float32]

_MARGIN_MM = 5.0
# As in the measurement, a pixel has a value where at least half of what surrounds it has one.
_KNOWN = 0.5
# Between the colours of no map, so that it is no value.
_NO_VALUE = "#9E9E9E"
# One colour per role, readable on grey anatomy as well as on the dark end of Inferno.
REGION_COLOURS = {"lesion": "#00E5FF", "hotspot": "#FFFFFF", "reference": "#7CFC00"}


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A volume with its name and its place.

    Attributes:
        name: for the title.
        path: of its file.
        transform: (4, 4) maps a RAS point (mm) of the synthetic map to the volume's point; None for identity.
        factor: values are multiplied by it (a map that was normalised for the measurement).
    """

    name: str
    path: Path
    transform: Matrix | None = None
    factor: float = 1.0


@dataclass(frozen=True, eq=False)
class Scene:
    """What the pictures of a patient show.

    Attributes:
        anatomy: grey background; None for none.
        synthetic: the map that is judged, on whose axes the slices lie.
        acquired: what it is compared with; may be empty.
        uncertainty: of the judged map; None for none.
        regions: whose outlines are drawn.
        brain: file of the brain mask, or None.
        window: nrCBV, upper end of the colour scale of all CBV maps.
    """

    anatomy: PlacedMap | None
    synthetic: PlacedMap
    acquired: tuple[PlacedMap, ...]
    uncertainty: PlacedMap | None
    regions: tuple[Region, ...]
    brain: Path | None
    window: float


class SliceDrawer:
    """Draws slices of one scene; reads every file once."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._read: Callable[[Path], Volume] = cache(read_volume)
        self._finite: Callable[[Path], tuple[Volume, Volume]] = cache(self._read_finite)
        reference = self._read(scene.synthetic.path)
        self._grid = Grid(reference.grid, reference.affine).canonical().respaced((1.0, 1.0, 1.0))
        self._box = self._brain_box()

    def through(self, region: Region) -> Slice | None:
        """The axial slice in which a region is largest; None for a region that is nowhere."""
        mask = rasterise(region, self._grid, self._read)
        if not mask.count:
            return None
        return self._slice(int(mask.start[2]) + int(np.argmax(mask.inside.sum(axis=(0, 1)))))

    def middle(self) -> Slice:
        """The axial slice through the middle of the map."""
        return self._slice(self._grid.shape[2] // 2)

    @plain_text()
    def draw(self, chosen: Slice, title: str, note: str) -> Figure:
        """The pictures of one slice: anatomy with outlines, then each acquired map, the synthetic one, the difference.

        Args:
            chosen: the slice, see `through`.
            title: of the figure; the position of the slice is added.
            note: what stands below.
        """
        from matplotlib.figure import Figure

        scene = self._scene
        height = float(chosen.grid.affine[2, 3])
        rows = self._rows(chosen)
        columns = max(len(row) for row in rows)
        tall, wide = rows[0][0].values.shape
        figure = Figure(figsize=(2.95 * columns, (2.35 * tall / wide + 0.45) * len(rows) + 0.65), layout="constrained")
        figure.suptitle(f"{title} (S {height:.0f} mm)", fontsize=11, fontweight="bold")
        figure.supxlabel(self._legend(rows) + "\n" + note, fontsize=8, color=LINE_COLOUR)
        axes = figure.subplots(len(rows), columns, squeeze=False)
        outlines = [_Outline.of(region, chosen, self._read) for region in scene.regions]
        for row, row_axes in zip(rows, axes, strict=True):
            for axis in row_axes[len(row) :]:
                axis.remove()
            for picture, axis in zip(row, row_axes, strict=False):
                _draw_picture(figure, axis, picture)
                for outline in outlines:
                    if picture.grey or outline.role == "hotspot":
                        outline.draw(axis, dark=not picture.diverging)
        return figure

    def _rows(self, chosen: Slice) -> list[list[_Picture]]:
        scene = self._scene
        inside = self._inside(chosen)
        synthetic = self._picture(scene.synthetic, chosen)
        style = {"cmap": "inferno", "vmin": 0.0, "vmax": scene.window}
        grey = [] if scene.anatomy is None else [self._grey(scene.anatomy, chosen, inside)]
        judged = _Picture(synthetic_title(scene.synthetic.name), synthetic, style, "nrCBV")
        unsure = [] if scene.uncertainty is None else [self._unsure(scene.uncertainty, chosen)]
        if not scene.acquired:
            return [[*grey, judged, *unsure]]
        rows = []
        for number, one in enumerate(scene.acquired):
            picture = self._picture(one, chosen)
            change = np.where(inside, synthetic - picture, 0).astype(np.float32)
            rows.append(
                [
                    *(unsure if number and unsure else grey),
                    _Picture(one.name, np.where(inside, picture, 0).astype(np.float32), style, "nrCBV"),
                    judged,
                    _Picture(f"{scene.synthetic.name} − {one.name}", change, CHANGE_STYLE, "ΔnrCBV"),
                ]
            )
        return rows

    def _slice(self, k: int) -> Slice:
        (i0, i1), (j0, j1) = self._box
        return Slice(self._grid.cropped([i0, j0, k], [i1, j1, k + 1]))

    def _brain_box(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where the brain lies along the first two axes of the fine grid, with a margin."""
        if self._scene.brain is not None:
            mask = self._read(self._scene.brain)
        else:
            mask = self._read(self._scene.synthetic.path)
        values = (np.nan_to_num(mask.array.reshape(mask.grid)) != 0).astype(np.uint8)
        coarse = self._grid.respaced((2.0, 2.0, 4.0))
        inside = resample(values, mask.affine, coarse.shape, coarse.affine, interpolation="nearest") > 0
        if not inside.any():
            return (0, self._grid.shape[0]), (0, self._grid.shape[1])
        limits = []
        for axis in (0, 1):
            used = np.flatnonzero(inside.any(axis=(1 - axis, 2))) * 2
            start = max(0, int(used[0] - _MARGIN_MM))
            limits.append((start, min(self._grid.shape[axis], int(used[-1] + 2 + _MARGIN_MM))))
        return limits[0], limits[1]

    def _read_finite(self, path: Path) -> tuple[Volume, Volume]:
        """The values, 0 where there are none; and 1 where there is one."""
        volume = self._read(path)
        values = volume.array.reshape(volume.grid).astype(np.float32)
        known = np.isfinite(values)
        return Volume(np.where(known, values, 0), volume.affine), Volume(known.astype(np.float32), volume.affine)

    def _picture(self, placed: PlacedMap, chosen: Slice) -> Picture:
        """The map in the slice; NaN outside its field of view and where it has no value."""
        transform = None if placed.transform is None else placed.transform.tolist()
        total, weight = (chosen.of(volume, transform=transform) for volume in self._finite(placed.path))
        values = np.where(weight >= _KNOWN, total / np.maximum(weight, _KNOWN), np.nan)
        return np.asarray(values * placed.factor, dtype=np.float32)

    def _inside(self, chosen: Slice) -> NDArray[np.bool_]:
        if self._scene.brain is None:
            return np.asarray(np.ones((chosen.grid.shape[1], chosen.grid.shape[0]), bool))
        return np.asarray(chosen.of(self._read(self._scene.brain), "nearest") > 0)

    def _grey(self, anatomy: PlacedMap, chosen: Slice, inside: NDArray[np.bool_]) -> _Picture:
        picture = np.nan_to_num(self._picture(anatomy, chosen))
        bright = picture[inside] if inside.any() else picture
        style = {"cmap": "gray", "vmin": 0.0, "vmax": max(float(np.percentile(bright, 99.5)), 1e-6)}
        return _Picture(anatomy.name, picture, style, "signal (a.u.)", grey=True)

    def _unsure(self, uncertainty: PlacedMap, chosen: Slice) -> _Picture:
        style = {"cmap": "viridis", "vmin": 0.0, "vmax": DIFFERENCE_NRCBV}
        return _Picture("Uncertainty (SYNTHETIC)", self._picture(uncertainty, chosen), style, "± nrCBV")

    def _legend(self, rows: Sequence[Sequence[_Picture]]) -> str:
        roles = {region.role for region in self._scene.regions}
        words = {"lesion": "cyan: lesion", "hotspot": "white: hotspots", "reference": "green: NAWM reference"}
        outlines = ", ".join(text for role, text in words.items() if role in roles)
        unknown = any(np.isnan(picture.values).any() for row in rows for picture in row)
        parts = [f"Outlines: {outlines}"] if outlines else []
        return ". ".join([*parts, "Grey area: the map has no value"] if unknown else parts)


@dataclass(frozen=True, eq=False)
class _Picture:
    title: str
    values: Picture
    style: dict[str, Any]
    bar: str
    grey: bool = False

    @property
    def diverging(self) -> bool:
        return bool(self.style["cmap"] == "RdBu_r")


def best_hotspot(regions: Sequence[Region], means: Mapping[str, float | None]) -> Region | None:
    """The hotspot with the highest mean on the map that is judged; None where there is none.

    Args:
        regions: any regions.
        means: mean of the judged map in each region, by name.
    """
    hotspots = [region for region in regions if region.role == "hotspot" and means.get(region.name) is not None]
    return max(hotspots, key=lambda region: means[region.name] or 0.0, default=None)


def _draw_picture(figure: Figure, axis: Axes, picture: _Picture) -> None:
    from matplotlib.patheffects import withStroke

    image = axis.imshow(picture.values, interpolation="nearest", **picture.style)
    image.set_cmap(image.get_cmap().with_extremes(bad=_NO_VALUE))
    axis.set_title(picture.title, fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
    colour, edge = ("black", "white") if picture.diverging else ("white", "black")
    for x, letter in ((0.04, "R"), (0.96, "L")):
        text = axis.text(x, 0.5, letter, transform=axis.transAxes, color=colour, fontsize=10, ha="center", va="center")
        text.set_path_effects([withStroke(linewidth=2, foreground=edge)])
    low, high = image.get_clim()
    ticks = [low, (low + high) / 2, high]
    bar = figure.colorbar(image, ax=axis, fraction=0.046, pad=0.02)
    bar.set_ticks(ticks, labels=[f"{tick:.{0 if picture.grey else 1}f}".replace("-", "−") for tick in ticks])
    bar.set_label(picture.bar, fontsize=8)
    bar.ax.tick_params(labelsize=7)


@dataclass(frozen=True, eq=False)
class _Outline:
    """Where a region meets a slice: circles of its spheres, and the outline of its other shapes, in pixels."""

    role: str
    circles: tuple[tuple[float, float, float], ...]
    mask: NDArray[np.bool_]

    @classmethod
    def of(cls, region: Region, chosen: Slice, read: Callable[[Path], Volume]) -> _Outline:
        wide, tall, _ = chosen.grid.shape
        to_index = np.linalg.inv(chosen.grid.affine)
        circles = []
        for ball in (shape for shape in region.shapes if isinstance(shape, Sphere)):
            i, j, k = to_index[:3, :3] @ ball.centre + to_index[:3, 3]
            away = k * chosen.grid.spacing[2]
            if abs(away) < ball.radius_mm:
                radius = float(np.sqrt(ball.radius_mm**2 - away**2) / chosen.grid.spacing[0])
                circles.append(
                    (float(wide - 1 - i), float(tall - 1 - j), radius)
                )  # pictures are turned, see `Slice.of`
        others = tuple(shape for shape in region.shapes if not isinstance(shape, Sphere))
        whole = np.zeros(chosen.grid.shape, bool)
        if others:
            mask = rasterise(Region(region.name, region.role, others), chosen.grid, read)
            if mask.count:
                whole[mask.slices] = mask.inside
        return cls(region.role, tuple(circles), np.asarray(whole[:, :, 0].T[::-1, ::-1]))

    def draw(self, axis: Axes, *, dark: bool) -> None:
        """Draw on a picture whose background is dark or light."""
        from matplotlib.patches import Circle
        from matplotlib.patheffects import AbstractPathEffect, withStroke

        colour, edge = (REGION_COLOURS.get(self.role, "#FFFFFF"), "#000000") if dark else ("#000000", "#FFFFFF")
        outlined: list[AbstractPathEffect] = [
            withStroke(linewidth=2.6, foreground=edge)
        ]  # white circles lie on white hotspots
        if self.mask.any():
            lines = axis.contour(self.mask.astype(float), levels=[0.5], colors=[colour], linewidths=1.0)
            lines.set_path_effects(outlined)
        for x, y, radius in self.circles:
            circle = Circle((x, y), radius, fill=False, edgecolor=colour, linewidth=1.2, path_effects=outlined)
            axis.add_patch(circle)
