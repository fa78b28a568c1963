"""The acquired CBV map of a phantom: its simulated DSC series, processed as that of a patient would be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.case import CBV_UNITS, Role
from HierSynthLib.perfusion.normalisation import LEAST_VOXELS
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.phantom.dsc import DscTruth, simulate_dsc
from HierSynthLib.phantom.dsc_protocol import DEFAULT_PROTOCOL, DSC_SPACING_MM, named_protocol
from HierSynthLib.phantom.fields import Array
from HierSynthLib.phantom.patient import Patient
from HierSynthLib.phantom.scanner import ImageGrid, Sampler, Scene
from HierSynthLib.progress import Part, Reporter, Stage
from HierSynthLib.volume import Volume

_LEAST_BRAIN = 0.3  # of a voxel, for it to belong to the brain (design value)
_MARGIN_SLICES = 1

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class DscAcquisition:
    """What the perfusion examination of a phantom gives.

    Attributes:
        series: (i, j, k, frame) signal of the DSC series in a.u., of the first echo; int16, or float32 without noise.
        second_echo: likewise of the second echo; None if there is one only.
        cbv: the CBV map processed from it, nrCBV, float32.
        brain: (i, j, k) uint8 brain mask on the same grid, in the position during the series.
        nawm: likewise the NAWM reference.
        settings: protocol, what was drawn, and how the map was processed, as JSON.
        truth: what a perfect measurement would find.
    """

    series: Volume
    second_echo: Volume | None
    cbv: Volume
    brain: Volume
    nawm: Volume
    settings: dict[str, Any]
    truth: DscTruth


def acquire_dsc(
    patient: Patient,
    reference: ImageGrid,
    scene: Scene,
    nawm: Mask,
    seed: int,
    reporter: Reporter,
    *,
    noise: bool = True,
    protocol: str = DEFAULT_PROTOCOL,
    motion: bool = False,
    drift: bool = False,
) -> DscAcquisition:
    """Acquire the DSC series of a patient and process it.

    The slices cover the brain. Movement is looked for, and undone, only where the head moves during the series.

    Args:
        patient: whose perfusion is measured.
        reference: grid of the patient's maps.
        scene: where the patient lies.
        nawm: (i, j, k) NAWM reference on the reference grid.
        seed: of the patient.
        reporter: told the progress of "acquisition".
        noise: whether there are noise and a bias field.
        protocol: one of `DSC_PROTOCOLS`.
        motion: whether the head moves between frames.
        drift: whether the gain drifts.

    Raises:
        InputError: there is no such protocol.
    """
    movement = scene.movement[Role.CBV_ACQUIRED]
    in_plane = max(DSC_SPACING_MM[0], reference.spacing[0])
    spacing = (in_plane, in_plane, max(DSC_SPACING_MM[2], reference.spacing[0]))
    whole = ImageGrid.covering(spacing, scene.frames[Role.CBV_ACQUIRED])
    grid = _brain_slices(whole, _shares(patient.fractions["brain"], reference, whole, movement))
    brain = _shares(patient.fractions["brain"], reference, grid, movement) >= _LEAST_BRAIN
    share = _shares(nawm, reference, grid, movement) * brain
    simulation = simulate_dsc(
        patient, reference.affine, grid, movement, named_protocol(protocol), seed, Part(reporter, 0.0, 0.85),
        noise=noise, motion=motion, drift=drift,
    )  # fmt: skip
    weight = _reference_weight(share)
    # The mask only tells the processing that there is a reference; the mean below also holds where shares count.
    enough = np.count_nonzero(weight) >= LEAST_VOXELS
    options = Options(motion=motion)
    maps = process(
        DscSeries(simulation.echoes, simulation.te_s, simulation.tr_s, simulation.affine, simulation.flip_deg),
        options,
        brain=brain,
        nawm=weight > 0 if enough else None,
        reporter=_Steps(Part(reporter, 0.85, 1.0), "acquisition"),
    )
    rcbv = maps.maps["rCBV"].astype(np.float64)
    level = float((rcbv * weight).sum() / weight.sum())
    settings = {
        "spacing_mm": [round(s, 6) for s in grid.spacing],
        **simulation.facts,
        "processing": {"options": options.to_json(), "white_matter_rcbv": round(level, 6)},
    }
    if motion:
        settings["poses_ras_mm"] = np.round(simulation.truth.motion, 6).tolist()
    echoes = [
        Volume(echo.clip(0, 32767).astype(np.int16) if noise else echo, grid.affine) for echo in simulation.echoes
    ]
    return DscAcquisition(
        series=echoes[0],
        second_echo=echoes[1] if len(echoes) > 1 else None,
        # Rounded in float64, so that the last bits of the arithmetic do not reach the file.
        cbv=Volume(np.round(rcbv / level, 3).astype(np.float32), grid.affine, CBV_UNITS),
        brain=Volume(brain.astype(np.uint8), grid.affine, "label"),
        nawm=Volume((weight > 0).astype(np.uint8), grid.affine, "label"),
        settings=settings,
        truth=simulation.truth,
    )


class _Steps(Stage):
    """The processing's steps as one stage. It warns about absolute CBV, of which a phantom keeps nothing."""

    def warning(self, message: str) -> None:
        """Leave it to who processes the series."""


def _shares(values: NDArray[Any], reference: ImageGrid, grid: ImageGrid, movement: Array) -> Array:
    """Return how much of every voxel of `grid` a mask or fraction on the reference grid fills, 0–1."""
    sampler = Sampler(reference.affine, grid, movement, in_plane_parts=1)
    return sampler.planes(values.astype(np.float64), slice(0, grid.shape[0]))


def _brain_slices(whole: ImageGrid, brain: Array) -> ImageGrid:
    """Return the part of a grid whose slices cover the brain."""
    used = np.flatnonzero((brain >= _LEAST_BRAIN).any(axis=(0, 1)))
    first = max(int(used[0]) - _MARGIN_SLICES, 0)
    last = min(int(used[-1]) + _MARGIN_SLICES, whole.shape[2] - 1)
    upwards = np.eye(4)
    upwards[2, 3] = ((first + last) - (whole.shape[2] - 1)) / 2 * whole.spacing[2]
    return ImageGrid((*whole.shape[:2], last - first + 1), whole.spacing, whole.frame @ upwards)


def _reference_weight(share: Array) -> Array:
    """Return the weight of every voxel in the mean of the NAWM reference.

    Voxels that lie in it by more than half; by its shares where the voxels are too coarse for that.
    """
    inside = share > 0.5
    return inside.astype(np.float64) if np.count_nonzero(inside) >= LEAST_VOXELS else share
