"""Where the brain is expected in a head: the MNI152 brain, fitted by an affine transform."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.formats.common import LPS
from HierSynthLib.preparation.grid import Grid, resample
from HierSynthLib.preparation.morphology import closed, signed_distance, top_of_head
from HierSynthLib.preparation.similarity import Comparison, to_image, to_ras, to_units
from HierSynthLib.progress import Reporter

_TEMPLATE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
# Highest point of the template's brain in its own space (mm), and the scalp and skull above it.
_TOP_MM, _CRANIUM_MM = 79.0, 12.0
# Layers that are drawn around the template's brain, by their outer distance from it: CSF and skull, scalp, air.
_SKULL_MM, _SCALP_MM, _AIR_MM = 6.0, 13.0, 22.0
# Height of the skull base in template space.
_BASE_MM = -25.0
# Middle of the template's brain (mm), about which the head turns.
_BRAIN_CENTRE = np.array([0.0, -18.0, 5.0])
# How the chin may be raised or lowered.
_PITCHES_DEG = (-20.0, 0.0, 20.0)
_LEVELS_MM = (8.0, 6.0, 4.0)
_SAMPLES = 20_000
# Voxels around the template: room for scalp and air.
_MARGIN = 12


@dataclass(frozen=True, eq=False)
class Template:
    """The MNI152 brain (ICBM 2009a, symmetric), skull-stripped.

    Attributes:
        values: (I, J, K) T1 signal, 0 outside the brain.
        grid: its grid, in MNI space.
    """

    values: NDArray[np.float32]
    grid: Grid

    @property
    def brain(self) -> NDArray[np.bool_]:
        """(I, J, K) the brain with its sulci and ventricles."""
        spacing = float(self.grid.spacing[0])
        return np.asarray(ndimage.binary_fill_holes(closed(self.values > 0, 5.0, spacing)))

    def distance(self) -> tuple[NDArray[np.float32], Grid]:
        """Signed distance (mm) to the brain's surface, positive inside, and its grid: the template's and a margin."""
        wide = self.grid.cropped([-_MARGIN] * 3, np.array(self.grid.shape) + _MARGIN)
        return signed_distance(np.pad(self.brain, _MARGIN), float(self.grid.spacing[0])), wide


def load_template() -> Template | None:
    """The template at 2 mm from the installed nilearn package, or None if it is not installed."""
    spec = find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / _TEMPLATE
    if not path.is_file():
        return None
    image = sitk.ReadImage(str(path), sitk.sitkFloat32)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    size = image.GetSize()
    fine = Grid((size[0], size[1], size[2]), LPS @ affine)
    coarse = fine.canonical().respaced(2.0)
    values = resample(sitk.GetArrayFromImage(image).T, fine.affine, coarse.shape, coarse.affine)
    values[values < 0.1 * values.max()] = 0.0
    return Template(values, coarse)


def fit_template(
    template: Template, values: NDArray[np.float32], head: NDArray[np.bool_], grid: Grid, reporter: Reporter
) -> NDArray[np.float64]:
    """Affine transform from template space to the head.

    Args:
        template: the brain template.
        values: (I, J, K) signal of the head, background and bright fat clipped.
        head: (I, J, K) the head without the air around it.
        grid: grid of both.
        reporter: told about progress.

    Returns:
        (4, 4) maps a RAS point of the template to the RAS point (mm) of the head.
    """
    levels = {}
    for mm in _LEVELS_MM:
        reporter.progress("brain mask", 0.1)
        levels[mm] = _comparison(template, values, grid, mm)
    place = top_of_head(head, grid) - np.array([0.0, _BRAIN_CENTRE[1], _TOP_MM + _CRANIUM_MM])
    tried = []
    for number, pitch in enumerate(_PITCHES_DEG):
        start = sitk.Similarity3DTransform()
        start.SetCenter(to_units(_BRAIN_CENTRE))
        start.SetRotation((1.0, 0.0, 0.0), float(np.radians(pitch)))
        start.SetTranslation(to_units(place))
        done = 0.1 + 0.15 * number
        found, value = levels[_LEVELS_MM[0]].optimise(start, _LEVELS_MM[0] / 2, reporter, "brain mask", done)
        tried.append((value, found))
    similarity, _ = levels[_LEVELS_MM[1]].optimise(
        min(tried, key=lambda pair: pair[0])[1], _LEVELS_MM[1] / 2, reporter, "brain mask", 0.5
    )
    affine = sitk.AffineTransform(3)
    affine.SetCenter(similarity.GetCenter())
    affine.SetMatrix(similarity.GetMatrix())
    affine.SetTranslation(similarity.GetTranslation())
    for mm, done in zip(_LEVELS_MM[1:], (0.55, 0.65), strict=True):
        affine, _ = levels[mm].optimise(affine, mm / 4, reporter, "brain mask", done)
    return to_ras(affine)


def _comparison(template: Template, values: NDArray[np.float32], grid: Grid, mm: float) -> Comparison:
    """At `mm`, the template with a sketch of skull, scalp and air around its upper part, and the head."""
    wide = template.grid.cropped([-_MARGIN] * 3, np.array(template.grid.shape) + _MARGIN)
    drawn = np.pad(template.values, _MARGIN)
    distance = ndimage.distance_transform_edt(drawn <= 0) * float(template.grid.spacing[0])
    _, y, z = _coordinates(wide)
    # Above the skull base the layers around the brain are much alike in all heads.
    vault = z > _BASE_MM + 0.25 * np.maximum(y, 0.0)
    scalp = (distance > _SKULL_MM) & (distance <= _SCALP_MM)
    drawn[scalp & vault] = 1.5 * np.percentile(drawn[drawn > 0], 90)
    near = distance <= np.where(vault, _AIR_MM, _SKULL_MM / 2)
    coarse = wide.respaced(mm)
    low = resample(drawn, wide.affine, coarse.shape, coarse.affine)
    inside = resample(near.astype(np.float32), wide.affine, coarse.shape, coarse.affine) > 0.5
    moving_grid = grid.respaced(np.maximum(mm, grid.spacing))
    moving = resample(values, grid.affine, moving_grid.shape, moving_grid.affine)
    return Comparison(
        to_image(low, coarse), to_image(moving, moving_grid), to_image(inside.astype(np.uint8), coarse), _SAMPLES
    )


def _coordinates(grid: Grid) -> tuple[NDArray[np.float64], ...]:
    """RAS coordinates (mm) of the voxels of a grid along the world's axes, each shaped to broadcast."""
    axes = np.ix_(*(grid.affine[a, 3] + grid.affine[a, a] * np.arange(grid.shape[a]) for a in range(3)))
    return tuple(np.asarray(axis) for axis in axes)
