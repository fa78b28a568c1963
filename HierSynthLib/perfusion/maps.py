"""What the processing gives: maps with their units, curves, the AIF, quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.perfusion.aif import Aif
from HierSynthLib.perfusion.baseline import Bolus
from HierSynthLib.perfusion.motion import Motion
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.qc import Quality
from HierSynthLib.perfusion.units import UNITS
from HierSynthLib.volume import Volume


@dataclass(frozen=True, eq=False)
class Curves:
    """Mean curves of a series, (T,) ΔR2* in 1/s where nothing else is said.

    Attributes:
        times_s: time of the frames after the first, s.
        brain_signal: mean signal of the first echo over the brain, a.u.
        brain: over the brain.
        non_enhancing: over brain that does not enhance, the reference m(t) of the leakage correction.
        corrected: over the brain after leakage correction.
    """

    times_s: NDArray[np.float64]
    brain_signal: NDArray[np.float64]
    brain: NDArray[np.float64]
    non_enhancing: NDArray[np.float64]
    corrected: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PerfusionMaps:
    """Result of the processing of one series.

    Attributes:
        maps: name → (I, J, K) float32 map, 0 outside the brain; the units are those of `UNITS`.
        brain: (I, J, K) mask in which they were computed.
        non_enhancing: (I, J, K) mask of the reference of the leakage correction.
        affine: (4, 4) voxel index → RAS mm.
        curves: mean curves.
        bolus: baseline and arrival.
        aif: arterial input function; None where none was found, and CBV, CBF, MTT and Tmax with it.
        motion: movement between frames; None where it was not looked for.
        quality: numbers, and warnings in words.
        options: how it was processed.
    """

    maps: dict[str, NDArray[np.float32]]
    brain: NDArray[np.bool_]
    non_enhancing: NDArray[np.bool_]
    affine: NDArray[np.float64]
    curves: Curves
    bolus: Bolus
    aif: Aif | None
    motion: Motion | None
    quality: Quality
    options: Options

    @property
    def units(self) -> dict[str, str]:
        """Units of each map."""
        return {name: UNITS[name] for name in self.maps}

    def volume(self, name: str) -> Volume:
        """A map with its place in the patient and its units."""
        return Volume(self.maps[name], self.affine, UNITS[name])
