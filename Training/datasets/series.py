"""DSC series of a cohort: their times and whether they can be computed from, before any of them is."""

from __future__ import annotations

from pathlib import Path

from HierSynthLib.errors import InputError
from HierSynthLib.formats import nifti
from HierSynthLib.perfusion.reading import read_timing
from HierSynthLib.perfusion.series import LEAST_FRAMES, check_timing
from Training.datasets.layout import IMAGES
from Training.datasets.settings import DataConfig


def times_of(path: Path, config: DataConfig) -> tuple[float, float]:
    """Echo time and time between frames of a series in s: those of the settings, else those that the file states.

    Raises:
        InputError: neither says one of them, the JSON beside the file is damaged, or a time is absurd.
    """
    te_s, tr_s = config.te_s, config.tr_s
    if not (te_s and tr_s):
        stated = read_timing(path)
        te_s, tr_s = te_s or stated.te_s or 0.0, tr_s or stated.tr_s or 0.0
    if not (te_s and tr_s):
        raise InputError(
            f"Neither {path.name} nor a JSON beside it states its echo time and the time between its frames.",
            "Set te_s and tr_s (in seconds) under 'data' in the configuration.",
        )
    check_timing([te_s], tr_s)
    return te_s, tr_s


def check_series(path: Path, config: DataConfig) -> None:
    """Refuse a series that cannot be computed from, by its times and its header; the signal is not read.

    Raises:
        InputError: see `times_of`; or a NIfTI file is damaged, is no series over time or has too few frames.
    """
    times_of(path, config)
    if not path.name.lower().endswith(IMAGES):
        return
    shape = nifti.read_shape(path)
    if len(shape) != 4 or shape[3] < LEAST_FRAMES:
        raise InputError(
            f"{path.name} has {' × '.join(map(str, shape))} values, where a series of at least {LEAST_FRAMES} frames "
            "is expected.",
            "Leave the subject out.",
        )
