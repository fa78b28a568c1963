"""Maps of a patient on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import CBV_UNITS
from HierSynthLib.errors import InputError
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.volume import Volume

Kind = Literal["synthetic", "acquired", "uncertainty", "other"]

# A voxel between known and unknown ones has a value where at least half of what surrounds it is known.
_KNOWN = 0.5


@dataclass(frozen=True, eq=False)
class MapInput:
    """A map as it comes.

    Attributes:
        name: unique among the maps.
        kind: what it is; pairs are formed of each synthetic and each acquired one.
        volume: 3-D, any grid.
        units: what a value of 1 means; "" takes those of the volume.
        of: for an uncertainty, the name of its synthetic map.
        transform: (4, 4) maps a RAS point (mm) of the grid to the map's point of the same anatomy; None for identity.
    """

    name: str
    kind: Kind
    volume: Volume
    units: str = ""
    of: str | None = None
    transform: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Raise `InputError` for a map that cannot be measured."""
        if self.kind not in get_args(Kind):
            raise InputError(
                f"The map '{self.name}' has the unknown kind {self.kind!r}.", f"Choose {', '.join(get_args(Kind))}."
            )
        if self.volume.frames != 1:
            raise InputError(
                f"The map '{self.name}' has {self.volume.frames} frames where one is needed.", "Give one 3-D map."
            )


@dataclass(frozen=True, eq=False)
class GriddedMap:
    """A map on the common grid.

    Attributes:
        array: (I, J, K) float32, NaN where it has no value.
        resampled: whether its values were interpolated.
        invalid_voxels: NaN and infinite voxels of the map as it came.
    """

    name: str
    kind: Kind
    units: str
    of: str | None
    array: NDArray[np.float32]
    resampled: bool
    invalid_voxels: int

    @property
    def in_nrcbv(self) -> bool:
        """Whether thresholds and levels in nrCBV have a meaning for it."""
        return self.kind in ("synthetic", "acquired") and self.units in ("", CBV_UNITS)

    def scaled(self, factor: float) -> GriddedMap:
        """The map in nrCBV, multiplied by a factor."""
        return replace(self, array=self.array * np.float32(factor), units=CBV_UNITS)


def common_grid(maps: Sequence[MapInput]) -> Grid:
    """The grid of the first synthetic map, else of the first one.

    Raises:
        InputError: there are no maps, or two have the same name.
    """
    if not maps:
        raise InputError("There is no map to measure.", "Give at least one.")
    names = [each.name for each in maps]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Two maps are called '{name}'.", "Give every map a name of its own.")
    chosen = next((each for each in maps if each.kind == "synthetic"), maps[0])
    return Grid(chosen.volume.grid, chosen.volume.affine)


def put_on_grid(source: MapInput, grid: Grid) -> GriddedMap:
    """Bring a map onto a grid, by linear interpolation in physical space where it lies on another one.

    Raises:
        InputError: the transform cannot be used.
    """
    volume = source.volume
    values = volume.array.reshape(volume.grid)
    known = np.isfinite(values)
    missing = int(known.size - np.count_nonzero(known))
    identity = source.transform is None or np.allclose(source.transform, np.eye(4), atol=1e-6)
    same = identity and Grid(volume.grid, volume.affine).same(grid)
    if same:
        # Not copied where it is as wanted already.
        array = np.asarray(np.where(known, values, np.nan) if missing else values, dtype=np.float32, order="C")
    else:
        array = _resampled(source, values, known if missing else None, grid)
    return GriddedMap(source.name, source.kind, source.units or volume.units, source.of, array, not same, missing)


def _resampled(
    source: MapInput, values: NDArray[np.generic], known: NDArray[np.bool_] | None, grid: Grid
) -> NDArray[np.float32]:
    affine, where = source.volume.affine, (grid.shape, grid.affine)
    if known is None:
        return np.asarray(resample(values, affine, *where, transform=source.transform, fill=np.nan), dtype=np.float32)
    # NaN would spread to every voxel it touches: known values are interpolated among themselves.
    clean = np.where(known, values, 0).astype(np.float32)
    total = resample(clean, affine, *where, transform=source.transform)
    weight = resample(known.astype(np.float32), affine, *where, transform=source.transform)
    return np.where(weight >= _KNOWN, total / np.maximum(weight, _KNOWN), np.nan).astype(np.float32)
