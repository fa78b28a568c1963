"""The CBV that is learnt: from a map, the truth or a DSC series to nrCBV on the working grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.case import Role
from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.normalisation import normalise_to_white_matter
from HierSynthLib.preparation import Grid, PreparedCase, resample
from HierSynthLib.preparation.morphology import dilated
from HierSynthLib.preparation.registration import Image, register_rigid
from HierSynthLib.progress import Reporter, Silent
from HierSynthLib.volume import Volume
from Training.datasets.cohort import Subject
from Training.datasets.reading import Loaded
from Training.datasets.series import times_of
from Training.datasets.settings import DataConfig
from Training.datasets.white_matter import WhiteMatter, find_white_matter

Mask = NDArray[np.bool_]

LEAST_COVERAGE = 0.5
"""A map that covers less of the brain is not used (design value)."""

PLAUSIBLE_MEDIAN = (0.3, 5.0)
"""Median nrCBV of a brain: white matter is 1, grey matter about 2 (as `HierSynthLib.case` warns)."""

# The registration looks at the brain and this much around it, on a coarse mask.
_RIM_MM, _COARSE_MM = 8.0, 3.0


@dataclass(frozen=True, eq=False)
class Cbv:
    """nrCBV on the working grid, where it is known, and how it came about (as JSON)."""

    values: NDArray[np.float32]
    known: Mask
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Source:
    """A map as acquired, where it was measured, and what shows its anatomy best for the registration."""

    cbv: Volume
    measured: Mask
    picture: Volume
    facts: dict[str, Any]


def make_cbv(
    subject: Subject,
    loaded: Loaded,
    prepared: PreparedCase,
    lesion: Mask,
    config: DataConfig,
    reporter: Reporter | None = None,
) -> Cbv:
    """The CBV map of a subject on the working grid.

    Args:
        subject: says where the map comes from and what its values are.
        loaded: its volumes.
        prepared: its sequences, prepared.
        lesion: (I, J, K) on the working grid.
        config: timing of DSC series.
        reporter: told about progress.

    Raises:
        InputError: there is no map, it covers too little of the brain, it cannot be normalised, or it is implausible.
    """
    reporter = reporter or Silent()
    grid = prepared.grid
    if subject.target.rule == "truth":
        truth = _required(loaded)
        values = resample(truth.array, truth.affine, grid.shape, grid.affine).astype(np.float32)
        return Cbv(np.where(prepared.brain, values, 0), prepared.brain, {"cbv": "truth of the simulation"})
    source = _from_series(subject, config, reporter) if subject.target.rule == "dsc" else _from_map(loaded)
    matrix, placed = _place(subject, source, loaded, prepared, reporter)
    values = resample(source.cbv.array, source.cbv.affine, grid.shape, grid.affine, transform=matrix)
    measured = resample(
        source.measured, source.cbv.affine, grid.shape, grid.affine, transform=matrix, interpolation="nearest"
    )
    known = np.asarray(measured, dtype=bool) & prepared.brain
    coverage = int(np.count_nonzero(known)) / int(np.count_nonzero(prepared.brain))
    if coverage < LEAST_COVERAGE:
        raise InputError(f"The CBV map covers only {coverage:.0%} of the brain.", "Check that it lies on the anatomy.")
    cbv = np.where(known, values, 0).astype(np.float32)
    facts = {**source.facts, "position": placed, "coverage": round(coverage, 4)}
    if subject.target.normalisation == "white matter":
        white = _white_matter(loaded, prepared, lesion, reporter)
        cbv, mean = normalise_to_white_matter(cbv, white.mask & known)
        facts |= {"normalised by": white.source, "white matter mean": mean}
    median = float(np.median(cbv[known & (cbv > 0)])) if (known & (cbv > 0)).any() else 0.0
    if not PLAUSIBLE_MEDIAN[0] <= median <= PLAUSIBLE_MEDIAN[1]:
        raise InputError(
            f"The median nrCBV of the brain is {median:.3g}, not between {PLAUSIBLE_MEDIAN[0]} and "
            f"{PLAUSIBLE_MEDIAN[1]}.",
            "Check the units of the map and where normal-appearing white matter was found.",
        )
    return Cbv(cbv, known, {**facts, "median nrCBV": median})


def _required(loaded: Loaded) -> Volume:
    if loaded.cbv is None:
        raise InputError("There is no CBV map.", "Leave the subject out.")
    return loaded.cbv


def _from_map(loaded: Loaded) -> _Source:
    """Where it was measured: everywhere but in the zeros and NaN around the brain; zeros inside are values."""
    volume = _required(loaded)
    finite = np.isfinite(volume.array)
    array = np.where(finite, volume.array, 0).astype(np.float32)
    measured = np.asarray(ndimage.binary_fill_holes(array != 0)) & finite
    clean = Volume(array, volume.affine, volume.units)
    return _Source(clean, measured, clean, {"cbv": "map of the data set"})


def _from_series(subject: Subject, config: DataConfig, reporter: Reporter) -> _Source:
    from HierSynthLib.perfusion.pipeline import process
    from HierSynthLib.perfusion.reading import read_series

    path = subject.case.files.get(Role.DSC)
    if path is None:
        raise InputError("There is no DSC series.", "Leave the subject out, or take the map (cbv: map).")
    te_s, tr_s = times_of(path, config)
    told: list[str] = []
    series = read_series([path], [te_s], tr_s, told=told)
    for sentence in told:
        reporter.warning(f"{subject.id}: {sentence}")
    maps = process(series, reporter=reporter)
    # The first frames show the anatomy; the bolus would darken it.
    picture = Volume(series.echoes[0][..., maps.bolus.baseline].mean(axis=3), series.affine)
    cbv = Volume(maps.maps["rCBV"], series.affine)
    facts = {"cbv": "computed from the DSC series, leakage-corrected", "te_s": te_s, "tr_s": tr_s, "remarks": told}
    return _Source(cbv, maps.brain, picture, facts)


def _place(
    subject: Subject, source: _Source, loaded: Loaded, prepared: PreparedCase, reporter: Reporter
) -> tuple[NDArray[np.float64], str]:
    """(4, 4) from a RAS point of the reference to that of the map, and how it was found, in words."""
    if subject.target.registered:
        return np.eye(4), "as stored; the data set is co-registered"
    first = loaded.sequences[loaded.first]
    grid = prepared.grid.respaced(_COARSE_MM)
    brain = Image(prepared.brain.astype(np.float32), prepared.grid).on(grid) > 0.5
    rim = Image(dilated(brain, _RIM_MM, _COARSE_MM).astype(np.float32), grid)
    found = register_rigid(_image(first), rim, _image(source.picture), reporter=reporter, name="the CBV map")
    return found.transform, f"{found.method}, {found.shift_mm:.1f} mm, {found.angle_deg:.1f}°"


def _image(volume: Volume) -> Image:
    return Image(np.nan_to_num(volume.array.astype(np.float32), posinf=0, neginf=0), Grid(volume.grid, volume.affine))


def _white_matter(loaded: Loaded, prepared: PreparedCase, lesion: Mask, reporter: Reporter) -> WhiteMatter:
    """The reference that was drawn, or one that is found."""
    if loaded.roi is not None and loaded.reference:
        grid = prepared.grid
        labels = resample(loaded.roi.array, loaded.roi.affine, grid.shape, grid.affine, interpolation="nearest")
        drawn = np.isin(labels, loaded.reference) & prepared.brain
        if drawn.any():
            return WhiteMatter(drawn, "reference of the segmentation")
    return find_white_matter(loaded.sequences, prepared, lesion, reporter)
