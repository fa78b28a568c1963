"""The units of ADC maps: recognised from the values, because files rarely state them."""

from __future__ import annotations

import numpy as np

from HierSynthLib.case.problem import Problem
from HierSynthLib.case.roles import ADC_UNITS, Role
from HierSynthLib.volume import Volume

# Tissue and fluid of the head lie between 0.2 and 4 × 10⁻³ mm²/s (free water at 37 °C: 3.0), so the three units in use
# cannot be mixed up. The factor turns them into 10⁻³ mm²/s.
_PLAUSIBLE = (0.2, 4.0)
_FACTORS = {ADC_UNITS: 1.0, "10⁻⁶ mm²/s": 1e-3, "mm²/s": 1e3}
_SPELLINGS = str.maketrans({"⁻": "-", "³": "3", "⁶": "6", "²": "2", "×": None, "*": None, "^": None, " ": None})


def convert_adc(volume: Volume) -> tuple[Volume, list[Problem]]:
    """The ADC map in 10⁻³ mm²/s, and a warning where its units had to be guessed.

    The units follow from the median of the positive voxels. Values outside every plausible range are returned as they
    are, with an error. A map that is already in 10⁻³ mm²/s is returned unchanged.
    """
    typical = _typical(volume)
    if typical is None:
        return volume, []
    units = possible_units(typical)
    if units is None:
        what = f"ADC has a median of {typical:.3g}, which is no diffusion coefficient of a head in any usual unit."
        return volume, [Problem(Role.ADC, "error", what, "Choose an ADC map in 10⁻³ or 10⁻⁶ mm²/s.")]
    factor = _FACTORS[units]
    array = volume.array if factor == 1.0 else (volume.array * factor).astype(np.float32)
    converted = Volume(array, volume.affine, ADC_UNITS)
    if _plain(volume.units) == _plain(units) or (not volume.units and units == ADC_UNITS):
        return converted, []
    if volume.units:
        what = f"ADC is said to be in {volume.units}, but its median of {typical:.3g} is that of a map in {units}."
        return converted, [Problem(Role.ADC, "warning", what, f"It is read in {units}; correct the units if they are.")]
    what = f"ADC is taken to be in {units}, because its median is {typical:.3g}, and converted to {ADC_UNITS}."
    return converted, [Problem(Role.ADC, "warning", what, "Check that this is an ADC map in these units.")]


def possible_units(typical: float) -> str | None:
    """The units in which a median of `typical` is a diffusion coefficient of a head; None where there are none."""
    low, high = _PLAUSIBLE
    return next((units for units, factor in _FACTORS.items() if low <= typical * factor <= high), None)


def _typical(volume: Volume) -> float | None:
    """Median of the positive finite voxels, from every second one along each axis; None without such voxels."""
    sample = volume.array[tuple(slice(None, None, 2 if count > 64 else 1) for count in volume.array.shape)]
    positive = sample[(sample > 0) & np.isfinite(sample)]
    return float(np.median(positive)) if positive.size else None


def _plain(units: str) -> str:
    """A spelling without superscripts, so that "1e-6 mm2/s" and "10⁻⁶ mm²/s" are the same."""
    return units.translate(_SPELLINGS).lower().replace("1e-", "10-")
