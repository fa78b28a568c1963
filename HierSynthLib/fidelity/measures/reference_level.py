"""The level of the maps in the NAWM reference: ratios to it, and whether a CBV map is normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from HierSynthLib.case import CBV_UNITS
from HierSynthLib.fidelity.measures.gridded import GriddedMap
from HierSynthLib.fidelity.measures.settings import Settings
from HierSynthLib.fidelity.regions.masks import RegionMask

EXPECTED = 1.0
NORMALISED = (0.8, 1.25)
"""Range of the mean in the reference within which a map counts as normalised: 1 within a factor of 1.25."""


@dataclass(frozen=True)
class ReferenceLevel:
    """What the reference says about the maps.

    Attributes:
        mask: the reference; None without one that has voxels.
        means: of each map in it, before anything is normalised; None where a map has no value there.
        normalisation: by name of CBV map, "nawm_mean", "expected", "doubtful" and "applied".
        divisors: by name of the maps to be normalised.
        warnings: sentences.
    """

    mask: RegionMask | None
    means: dict[str, float | None]
    normalisation: dict[str, dict[str, Any]]
    divisors: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def doubtful(self, name: str) -> float | None:
        """The mean in the reference of a map that seems not to be normalised and was left so; None for the others."""
        state = self.normalisation.get(name)
        return state["nawm_mean"] if state and state["doubtful"] and not state["applied"] else None


def find_level(masks: Sequence[RegionMask], maps: Sequence[GriddedMap], settings: Settings) -> ReferenceLevel:
    """Measure the maps in the first region with the role "reference" that has voxels.

    Only the maps named in `settings.normalise` are to be divided by their mean; for the others a warning offers it.
    """
    references = [mask for mask in masks if mask.role == "reference"]
    mask = next((each for each in references if each.count), None)
    warnings = []
    if mask is not None and len(references) > 1:
        warnings.append(
            f"There are {len(references)} NAWM references; the first one with voxels, {mask.name}, is used."
        )
    if mask is None and references:
        warnings.append("The NAWM reference has no voxels in the maps: there are no ratios to it.")
    means = {each.name: None if mask is None else _mean(mask, each) for each in maps}
    normalisation, divisors = {}, {}
    for each in maps:
        if each.kind not in ("synthetic", "acquired"):
            continue
        mean = means[each.name]
        usable = mean is not None and mean > 0
        applied = each.name in settings.normalise and usable
        doubtful = each.kind == "acquired" and mean is not None and not NORMALISED[0] <= mean <= NORMALISED[1]
        normalisation[each.name] = {
            "nawm_mean": mean,
            "expected": EXPECTED,
            "doubtful": doubtful,
            "applied": applied,
        }
        if applied:
            divisors[each.name] = float(mean or EXPECTED)
        warnings += _sentences(each, mean, doubtful=doubtful, applied=applied, asked=each.name in settings.normalise)
    if mask is None and any(each.kind == "acquired" for each in maps):
        warnings.append("There is no NAWM reference: whether the acquired map is normalised was not checked.")
    return ReferenceLevel(mask, means, normalisation, divisors, tuple(warnings))


def _sentences(each: GriddedMap, mean: float | None, *, doubtful: bool, applied: bool, asked: bool) -> list[str]:
    found = []
    if applied:
        found.append(f"The {each.name} map was divided by its mean in the NAWM reference, {mean:.3g}.")
    elif asked:
        found.append(f"The {each.name} map could not be normalised: it has no positive mean in the NAWM reference.")
    elif doubtful:
        found.append(
            f"The {each.name} map does not seem to be normalised: its mean in the NAWM reference is {mean:.3g} "
            f"instead of {EXPECTED:g}. It was used as it is; it can be divided by this mean."
        )
    if each.kind == "acquired" and each.units not in ("", CBV_UNITS) and not applied:
        found.append(f"The {each.name} map is in {each.units}, not in {CBV_UNITS}: differences have no meaning.")
    return found


def _mean(mask: RegionMask, each: GriddedMap) -> float | None:
    values = mask.of(each.array)
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else None
