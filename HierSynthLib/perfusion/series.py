"""A DSC series: the signal over time of one or two echoes, with its timing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.volume import Volume

Signal = NDArray[np.float32]

LEAST_FRAMES = 20
# What echo-planar DSC series have at 1.5 to 7 T, with room on both sides.
TE_RANGE_S, TR_RANGE_S = (0.003, 0.2), (0.2, 6.0)
# Interpolation leaves a few negative values outside the head; more of them are another kind of image.
_NEGATIVE_SHARE = 0.001
# Largest values that a scanner or a format with a fixed number of bits can store.
_CEILINGS = {2**bits - 1 for bits in range(8, 17)}
_SATURATED_SHARE = 0.001
# At the end of a histogram that is not cut off no value is so many times as frequent as the next (design value).
_PILE = 3
_TWO_FRAMES = 4  # after the magnetisation has become steady, before a bolus


@dataclass(frozen=True, eq=False)
class DscSeries:
    """A dynamic susceptibility contrast series.

    Attributes:
        echoes: one or two arrays (I, J, K, T) of signal in a.u., the shorter echo time first; become float32, negative
            values and NaN 0.
        te_s: echo time of each echo in s.
        tr_s: time between frames in s.
        affine: (4, 4) voxel index → RAS position in mm.
        flip_deg: flip angle in degrees, where known.
    """

    echoes: tuple[Signal, ...]
    te_s: tuple[float, ...]
    tr_s: float
    affine: NDArray[np.float64]
    flip_deg: float | None = None

    def __post_init__(self) -> None:
        """Check and convert.

        Raises:
            InputError: not 4-D, too few frames, echoes that differ, echo or repetition time absurd, an empty frame, or
                negative or saturated signal.
        """
        check_timing(self.te_s, self.tr_s)
        if len(self.echoes) != len(self.te_s):
            raise InputError(
                f"There are {len(self.echoes)} echoes and {len(self.te_s)} echo times.", "Give one echo time per echo."
            )
        echoes = tuple(_checked(np.asarray(echo), number) for number, echo in enumerate(self.echoes, 1))
        if len({echo.shape for echo in echoes}) > 1:
            raise InputError(
                f"The echoes differ in size ({', '.join(str(echo.shape) for echo in echoes)}).",
                "Give the echoes of one series.",
            )
        object.__setattr__(self, "echoes", echoes)
        object.__setattr__(self, "te_s", tuple(float(te) for te in self.te_s))
        object.__setattr__(self, "tr_s", float(self.tr_s))
        object.__setattr__(self, "affine", Volume(np.zeros((1, 1, 1)), self.affine).affine)

    @classmethod
    def from_volumes(
        cls, volumes: Sequence[Volume], te_s: Sequence[float], tr_s: float, flip_deg: float | None = None
    ) -> DscSeries:
        """The series of one 4-D volume per echo.

        Raises:
            InputError: the volumes lie on different grids, or as for the constructor.
        """
        if not volumes:
            raise InputError("No DSC series was given.", "Give one file or folder per echo.")
        if any(not volume.same_grid(volumes[0]) for volume in volumes[1:]):
            raise InputError("The echoes lie on different grids.", "Give the echoes of one series.")
        echoes = tuple(volume.array for volume in volumes)
        return cls(echoes, tuple(te_s), tr_s, volumes[0].affine, flip_deg)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        i, j, k = self.echoes[0].shape[:3]
        return int(i), int(j), int(k)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.echoes[0].shape[3])

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(T,) times of the frames from the first, in s."""
        return np.arange(self.frames, dtype=np.float64) * self.tr_s

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel edge lengths in mm along i, j, k."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))


def check_timing(te_s: Sequence[float], tr_s: float) -> None:
    """Check that echo and repetition time are those of a DSC series, in seconds.

    Raises:
        InputError: a value is absurd; if it would be right in milliseconds, the message says so and asks.
    """
    if not 1 <= len(te_s) <= 2 or list(te_s) != sorted(set(te_s)):
        raise InputError(
            "A DSC series has one echo time or two that rise.", "Give the echoes in the order of their echo times."
        )
    for name, option, value, (low, high) in (
        *(("echo time", "--te", te, TE_RANGE_S) for te in te_s),
        ("repetition time", "--tr", tr_s, TR_RANGE_S),
    ):
        if math.isfinite(value) and low <= value <= high:
            continue
        if math.isfinite(value) and low <= value / 1000 <= high:
            raise InputError(
                f"The {name} of the DSC series is given as {value:g} s, which looks like milliseconds.",
                f"If it is {value:g} ms, give {option} {value / 1000:g}.",
            )
        raise InputError(
            f"The {name} of the DSC series, {value:g} s, is out of range.",
            f"It lies between {low:g} and {high:g} s; look it up in the protocol and give {option}.",
        )


def check_frames(echo: NDArray[Any], name: str) -> None:
    """Check that an array is a series over time.

    Args:
        echo: of any shape.
        name: what it is, for messages.

    Raises:
        InputError: it is not 4-D, or has too few frames.
    """
    if echo.ndim != 4:
        raise InputError(f"{name} has {echo.ndim} dimensions, not 4.", "Give the whole series, not one of its frames.")
    if echo.shape[3] < LEAST_FRAMES:
        raise InputError(
            f"{name} has {echo.shape[3]} frames.",
            f"At least {LEAST_FRAMES} are needed; is time the last dimension of the file?",
        )


def _checked(echo: NDArray[Any], number: int) -> Signal:
    name = f"Echo {number} of the DSC series"
    check_frames(echo, name)
    if echo.dtype.kind not in "biuf" or echo.size == 0:
        raise InputError(f"{name} holds no numbers.", "Give a magnitude image.")
    signal = np.asarray(echo, dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = signal.sum(axis=(0, 1, 2), dtype=np.float64)
    if not np.isfinite(sums).all():
        signal = np.nan_to_num(signal, nan=0.0, posinf=0.0, neginf=0.0)
        sums = signal.sum(axis=(0, 1, 2), dtype=np.float64)
    if float(signal.min()) < 0:
        share = float(np.mean(signal < 0))
        if share > _NEGATIVE_SHARE:
            raise InputError(
                f"{name} is negative in {share:.1%} of its samples.",
                "Give the magnitude images, not phase images, differences or computed maps.",
            )
        signal = np.maximum(signal, 0)
        sums = signal.sum(axis=(0, 1, 2), dtype=np.float64)
    empty = np.flatnonzero(sums <= 0)
    if empty.size:
        raise InputError(
            f"{name} has no signal in {empty.size} of {signal.shape[3]} frames (the first is frame {empty[0] + 1}).",
            "Leave the empty frames out, or export the series again.",
        )
    _check_saturation(signal, name)
    return signal


def _check_saturation(signal: Signal, name: str) -> None:
    """Refuse a series cut off at the top: samples pile up at the largest value, whichever that is.

    Scaling after the cut makes any value the largest. Without noise (a simulation) values repeat by nature.

    Raises:
        InputError: the series is saturated.
    """
    largest = float(signal.max())
    there = int(np.count_nonzero(signal == largest))
    if there <= _SATURATED_SHARE * int(np.count_nonzero(signal)):
        return
    next_value = float(np.max(signal, where=signal < largest, initial=0))
    below = int(np.count_nonzero(signal == next_value))
    if largest not in _CEILINGS and (there < _PILE * below or _is_without_noise(signal, largest)):
        return
    share = there / int(np.count_nonzero(signal))
    raise InputError(
        f"{name} is saturated: {share:.1%} of its signal has the largest value that was stored, {largest:g}.",
        "Export it again with a scaling that keeps the bright tissue.",
    )


def _is_without_noise(signal: Signal, largest: float) -> bool:
    """Whether most voxels that are not cut off have the same signal in two frames one after the other."""
    one, two = signal[..., _TWO_FRAMES], signal[..., _TWO_FRAMES + 1]
    inside = (one > 0) & (one < largest) & (two < largest)
    return bool(np.count_nonzero(inside & (one == two)) > 0.5 * np.count_nonzero(inside))
