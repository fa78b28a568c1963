"""The anatomy that every simulated patient is a deformation of: tissue, brain and head in template space.

Template space is MNI152 (RAS mm). The maps come from the installed nilearn package and are read at run time, because
the licence of the template does not let this project carry them; a procedural head stands in where they are absent.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.errors import InputError
from HierSynthLib.phantom.fields import Array

HULL_STEP_MM = 3.0
_HULL_LOW = np.array([-114.0, -156.0, -132.0])
_HULL_SHAPE = (77, 99, 91)
_MAPS = "datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


@dataclass(frozen=True)
class Map:
    """A map in template space.

    Attributes:
        values: (I, J, K) float32.
        origin: template position of voxel (0, 0, 0) in mm.
        step: voxel size in mm.
    """

    values: NDArray[np.float32]
    origin: Array
    step: float

    def at(self, points: Array, outside: str = "constant") -> Array:
        """Return the values at template `points` (3, n) in mm, linearly interpolated; (n,).

        Beyond the map: zero or, with "nearest", its edge.
        """
        index = (points - self.origin[:, None]) / self.step
        result: Array = ndimage.map_coordinates(self.values, index, order=1, mode=outside, output=np.float64)
        return result

    def gradient(self, points: Array) -> Array:
        """Return the gradient per mm at template `points`, (3, n), over 2 mm."""
        result = np.empty_like(points)
        for axis in range(3):
            shift = np.zeros((3, 1))
            shift[axis] = 1.0
            result[axis] = (self.at(points + shift, "nearest") - self.at(points - shift, "nearest")) / 2
        return result


@dataclass(frozen=True)
class Anatomy:
    """What template space contains.

    Attributes:
        name: where the maps come from, for the facts of a case.
        grey: probability of grey matter, 0–1.
        white: probability of white matter, 0–1.
        brain: 1 inside the brain with its ventricles and sulci, blurred at its border by less than a voxel.
        fluid: smoothed probability of CSF at 2 mm; shows vessels where sulci and cisterns are.
        hull: signed distance in mm to the closed surface of the brain, negative inside, on a 3 mm lattice around the
            head.
    """

    name: str
    grey: Map
    white: Map
    brain: Map
    fluid: Map
    hull: Map


def load_anatomy(source: str = "auto") -> Anatomy:
    """Return the template anatomy.

    Args:
        source: "mni152" (the maps of nilearn), "procedural", or "auto": the maps where nilearn is installed.

    Raises:
        InputError: the source is unknown, or "mni152" is asked for and absent.
    """
    if source not in ("auto", "mni152", "procedural"):
        raise InputError(f"The anatomy '{source}' is unknown.", "Choose auto, mni152 or procedural.")
    folder = _nilearn_folder()
    if source == "mni152" and folder is None:
        raise InputError("The MNI152 maps are absent.", "Install nilearn, or choose the procedural anatomy.")
    if source == "procedural" or folder is None:
        return _procedural()
    return _mni152(folder)


def _nilearn_folder() -> Path | None:
    found = importlib.util.find_spec("nilearn")  # finds the folder without importing the package, which is slow
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    return folder if all((folder / _MAPS.format(name)).is_file() for name in ("t1", "gm", "wm")) else None


@cache
def _mni152(folder: Path) -> Anatomy:
    from HierSynthLib.volume import read_volume

    volumes = {name: read_volume(folder / _MAPS.format(name)) for name in ("t1", "gm", "wm")}
    grey, white = (volumes[name].array.astype(np.float32) / np.float32(255) for name in ("gm", "wm"))
    mask = volumes["t1"].array > 0
    affine = volumes["t1"].affine
    return _finish("MNI152 maps of nilearn", grey, white, mask, affine[:3, 3], float(affine[0, 0]))


def _finish(
    name: str,
    grey: NDArray[np.float32],
    white: NDArray[np.float32],
    mask: NDArray[np.bool_],
    origin: Array,
    step: float,
) -> Anatomy:
    """Derive the maps that follow from grey matter, white matter and the brain mask."""
    brain = ndimage.uniform_filter(mask.astype(np.float32), 3)
    every = max(1, round(2 / step))
    csf = np.clip(mask - grey - white, 0, 1)[::every, ::every, ::every]
    fluid = ndimage.gaussian_filter(csf, 1.5 / (step * every))
    return Anatomy(
        name,
        Map(grey, origin, step),
        Map(white, origin, step),
        Map(brain, origin, step),
        Map(fluid, origin, step * every),
        Map(_hull_distance(mask, origin, step), _HULL_LOW, HULL_STEP_MM),
    )


def _hull_distance(mask: NDArray[np.bool_], origin: Array, step: float) -> NDArray[np.float32]:
    axes = [low + HULL_STEP_MM * np.arange(n) for low, n in zip(_HULL_LOW, _HULL_SHAPE, strict=True)]
    index = np.meshgrid(*[(a - o) / step for a, o in zip(axes, origin, strict=True)], indexing="ij")
    coarse = ndimage.map_coordinates(mask.astype(np.float32), np.stack(index), order=1) > 0.5
    ball = np.linalg.norm(np.indices((9, 9, 9)) - 4, axis=0) <= 4  # closes what is narrower than 24 mm
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(coarse, ball))
    outside = ndimage.distance_transform_edt(~closed)
    inside = ndimage.distance_transform_edt(closed)
    signed = np.where(closed, 0.5 - inside, outside - 0.5) * HULL_STEP_MM
    result: NDArray[np.float32] = ndimage.gaussian_filter(signed, 1.0).astype(np.float32)
    return result


@cache
def _procedural() -> Anatomy:
    """Build a brain from ellipsoids and folded noise: the same kinds of tissue in about the same places."""
    step, origin = 1.5, np.array([-90.0, -120.0, -81.0])
    shape = (121, 141, 121)
    axes = [o + step * np.arange(n) for o, n in zip(origin, shape, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)

    def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
        """Approximate signed distance in mm, negative inside."""
        r2 = sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True))
        return np.asarray((np.sqrt(r2) - 1) * min(radii))

    hemispheres = ellipsoid((0, -16, 12), (69, 89, 66))
    temporal = np.minimum(ellipsoid((-46, -14, -20), (22, 44, 24)), ellipsoid((46, -14, -20), (22, 44, 24)))
    cerebellum = ellipsoid((0, -66, -40), (52, 34, 24))
    stem = np.maximum(np.hypot(x, (y + 30) + 0.25 * z) - 14, np.maximum(-72 - z, z - 0))
    floor = np.maximum(hemispheres, -18 - z + 0.12 * (y + 20))
    cerebrum = np.minimum(floor, temporal)
    fissure = np.abs(x) + 0.02 * np.maximum(hemispheres, -40) - 0.6 + 200 * (z < 10)
    surface = np.minimum(np.minimum(cerebrum, cerebellum), stem)
    mask = surface < 0

    rng = np.random.default_rng(152)
    folds = sum(ndimage.gaussian_filter(rng.standard_normal(shape), s / step) * a for s, a in ((5.5, 1.0), (4.0, 0.4)))
    folds = folds / np.std(folds)
    depth = -np.minimum(cerebrum, cerebellum)
    sulcus = np.abs(folds) * 5.5 + np.maximum(depth - 11, 0) * 0.9 - 1.0  # ≈ mm from the sulcus; they close inwards
    pial = np.minimum(np.minimum(depth - 0.5, sulcus), fissure)
    horns = np.minimum(ellipsoid((-13, -8, 18), (6, 34, 8)) + 0.05 * np.abs(y + 8), ellipsoid((13, -8, 18), (6, 34, 8)))
    ventricles = np.minimum(
        np.minimum(horns, ellipsoid((0, -10, 2), (2.5, 16, 12))), ellipsoid((0, -44, -32), (7, 7, 9))
    )
    nuclei = np.minimum(
        np.minimum(ellipsoid((-12, -18, 7), (9, 13, 8)), ellipsoid((12, -18, 7), (9, 13, 8))),
        np.minimum(ellipsoid((-26, 3, 3), (7, 16, 10)), ellipsoid((26, 3, 3), (7, 16, 10))),
    )
    in_stem = np.clip(0.5 - stem, 0, 1)
    csf = np.clip(np.maximum(0.5 - pial / 1.5, 0.5 - ventricles / 1.5), 0, 1) * np.where(
        in_stem > 0.5, ventricles < 0, 1
    )
    ribbon = np.clip(0.5 - (pial - 3.2) / 2.0, 0, 1) * (1 - in_stem)
    grey = np.maximum(ribbon, np.clip(0.5 - nuclei / 2.0, 0, 1)) * (1 - csf) * mask
    white = (1 - csf - grey).clip(0, 1) * mask
    return _finish("procedural head", grey.astype(np.float32), white.astype(np.float32), mask, origin, step)
