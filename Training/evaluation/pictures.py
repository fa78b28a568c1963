"""Maps of all models side by side: one slice of a case, one window, with the difference to the target below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.figures import CHANGE_STYLE
from HierSynthLib.fidelity.report.plots import LINE_COLOUR, plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Picture = NDArray[np.floating]

# Columns in a row of pictures, the target among them; more methods begin a new pair of rows.
_ACROSS = 6
_WIDTH = 2.15
# Room for the title.
_NARROWEST = 6.8
_MARGIN = 3
_OUTLINE = "#00E5FF"


@plain_text()
def maps_figure(
    title: str, case: Mapping[str, Picture], maps: Sequence[tuple[str, Picture]], window: float, note: str
) -> Figure:
    """Target and synthetic maps above, anatomy and differences below.

    Args:
        title: of the figure.
        case: "target", "brain", "roi" and "anatomy", (I, J) with i to the right and j to the front; "spacing" (3,) mm.
        maps: name and (I, J) of each synthetic map, nrCBV; at least one.
        window: nrCBV, upper end of the colour scale of all maps.
        note: what stands below.
    """
    from matplotlib.figure import Figure

    crop = _crop(np.asarray(case["brain"]) > 0)
    brain, roi = (_turned(np.asarray(case[name]) > 0, crop) for name in ("brain", "roi"))
    target = _turned(case["target"], crop)
    steps = np.asarray(case["spacing"], dtype=float)
    shape = float(target.shape[0] * steps[1] / (target.shape[1] * steps[0]))
    rows = math.ceil(len(maps) / (_ACROSS - 1))
    per_row = math.ceil(len(maps) / rows)
    blocks = [maps[start : start + per_row] for start in range(0, len(maps), per_row)]
    across = 1 + max(len(block) for block in blocks)
    height = (_WIDTH * shape + 0.32) * 2 * len(blocks) + 0.75
    figure = Figure(figsize=(max(_NARROWEST, _WIDTH * across + 1.0), height), layout="constrained")
    figure.suptitle(title, fontsize=11, fontweight="bold")
    figure.supxlabel(note, fontsize=8, color=LINE_COLOUR)
    grid = figure.subplots(2 * len(blocks), across, squeeze=False)
    painter = _Painter(brain, roi, float(steps[1] / steps[0]))
    cbv = {"cmap": "inferno", "vmin": 0.0, "vmax": window}
    anatomy = {"cmap": "gray", "vmin": -2.0, "vmax": 3.0}
    for number, block in enumerate(blocks):
        top, bottom = grid[2 * number], grid[2 * number + 1]
        first = painter.draw(top[0], target, "target", cbv)
        painter.draw(bottom[0], _turned(case["anatomy"], crop), "anatomy", anatomy)
        second = first
        for place in range(1, across):
            if place > len(block):
                for axes in (top[place], bottom[place]):  # hidden, so that the columns stay below each other
                    axes.set_visible(False)
                continue
            name, array = block[place - 1]
            own = _turned(array, crop)
            painter.draw(top[place], own, name, cbv)
            second = painter.draw(bottom[place], own - target, f"{name} − target", CHANGE_STYLE)
        _bar(figure, first, list(top), "nrCBV")
        _bar(figure, second, list(bottom), "ΔnrCBV")
    return figure


class _Painter:
    """Draws pictures of one slice with the outline of the lesion and the sides of the patient."""

    def __init__(self, brain: NDArray[np.bool_], roi: NDArray[np.bool_], aspect: float) -> None:
        self._brain, self._roi, self._aspect = brain, roi, aspect

    def draw(self, axes: Axes, picture: Picture, title: str, style: Mapping[str, Any]) -> Any:
        around = min(0.0, style["vmin"]) if style["cmap"] == "gray" else 0.0
        shown = np.where(self._brain, picture, around)
        image = axes.imshow(shown, interpolation="nearest", aspect=self._aspect, **style)
        if self._roi.any():
            dark = style["cmap"] != CHANGE_STYLE["cmap"]
            axes.contour(self._roi, levels=[0.5], colors=[_OUTLINE if dark else "black"], linewidths=0.7)
        axes.set_title(_broken(title), fontsize=8.5)
        axes.set_xticks([])
        axes.set_yticks([])
        colour = "black" if style["cmap"] == CHANGE_STYLE["cmap"] else "white"
        for x, letter in ((0.04, "R"), (0.96, "L")):
            axes.text(x, 0.5, letter, transform=axes.transAxes, color=colour, fontsize=8, ha="center", va="center")
        return image


def _bar(figure: Figure, image: Any, axes: Sequence[Axes], label: str) -> None:
    bar = figure.colorbar(image, ax=axes, fraction=0.046 / len(axes), pad=0.01, aspect=18)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _broken(title: str) -> str:
    """A long title on two lines."""
    return title if len(title) <= 22 else title.replace(" − ", "\n− ")


def _crop(brain: NDArray[np.bool_]) -> tuple[slice, slice]:
    used = [np.flatnonzero(brain.any(axis=axis)) for axis in (1, 0)]
    ends = [(max(0, int(u[0]) - _MARGIN), int(u[-1]) + 1 + _MARGIN) if len(u) else (0, math.inf) for u in used]
    return tuple(slice(a, None if b == math.inf else int(b)) for a, b in ends)  # type: ignore[return-value]


def _turned(array: NDArray[Any], crop: tuple[slice, slice]) -> NDArray[Any]:
    """As radiologists look at it: rows front to back, columns the patient's right to left."""
    return np.asarray(array[crop].T[::-1, ::-1])
