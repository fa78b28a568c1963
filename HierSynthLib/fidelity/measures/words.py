"""One sentence on a region: how the synthetic map compares with the acquired one, against what DSC itself repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from HierSynthLib.case import CBV_UNITS

Level = Literal["good", "caution", "poor", "none"]

WITHIN_SUBJECT_CV = 0.31
"""Repeatability of nrCBV in tumour, leakage-corrected DSC: within-subject coefficient of variation (Prah et al., AJNR
2015;36:1654–1661, doi:10.3174/ajnr.A4374, table 2)."""

REPEATABILITY_FACTOR = 2.77
"""1.96 · √2: 95 % of the differences of two repeated measurements lie within this many within-subject SDs."""

# The within-subject SD is a share of the mean of the two measurements, so differences are judged relative to that.

LEAST_FOR_PERCENT = 0.3
"""nrCBV; below it a percentage of the acquired value says nothing, and NAWM = 1 is the scale instead."""


@dataclass(frozen=True)
class Words:
    """A level for the traffic light and the sentence beside it."""

    level: Level
    text: str


def judge(
    what: str, synthetic: float | None, acquired: float | None, *, synthetic_name: str, acquired_name: str
) -> Words:
    """Judge the difference of two values of a region.

    Args:
        what: the value, "hotspot" or "mean".
        synthetic: nrCBV; None where there is none.
        acquired: nrCBV.
        synthetic_name: name of the map, starting the sentence.
        acquired_name: name of the map.
    """
    if synthetic is None or acquired is None:
        lacking = synthetic_name if synthetic is None else acquired_name
        return Words("none", f"Nothing to compare: the {lacking} map has no value here.")
    subject = synthetic_name[:1].upper() + synthetic_name[1:]
    limits = f"within-subject CV {round(100 * WITHIN_SUBJECT_CV)} %"
    if abs(acquired) < LEAST_FOR_PERCENT:
        change = synthetic - acquired
        return Words(
            _level(abs(change)),
            f"{subject} {_number(synthetic)} and {acquired_name} {_number(acquired)} nrCBV: the {what} is too close to "
            f"zero for a percentage; the difference of {_number(change, signed=True)} nrCBV is "
            f"{_standing(abs(change))} ({limits}, taken at NAWM = 1).",
        )
    percent = round(100 * abs(synthetic - acquired) / abs(acquired))
    if percent == 0:
        return Words("good", f"{subject} agrees with {acquired_name} in the {what} to within 1 %.")
    verb = "underestimates" if synthetic < acquired else "overestimates"
    against = "" if acquired_name == "acquired" else f" of the {acquired_name} map"
    relative = 2 * abs(synthetic - acquired) / (abs(synthetic) + abs(acquired))
    return Words(
        _level(relative),
        f"{subject} {verb} the {what}{against} by {percent} %, {_standing(relative)} "
        f"({round(100 * relative)} % of the mean of both; {limits}).",
    )


def region_words(
    role: str,
    synthetic: Mapping[str, float | None],
    acquired: Mapping[str, float | None],
    *,
    synthetic_name: str,
    acquired_name: str,
    doubtful: float | None = None,
    units: str = CBV_UNITS,
) -> Words:
    """Judge a pair of maps in a region by the hotspot mean, or by the mean where a hotspot mean does not exist.

    Args:
        role: of the region.
        synthetic: values of the synthetic map in the region by id.
        acquired: those of the acquired map.
        synthetic_name: name of the map.
        acquired_name: name of the map.
        doubtful: the mean of the acquired map in the NAWM reference where that says that it is not normalised.
        units: of the acquired map.
    """
    if role == "reference":
        return Words("none", "The NAWM reference sets the scale; it is not judged.")
    if units != CBV_UNITS:
        return Words("none", f"Nothing to compare: the {acquired_name} map is in {units}, not in {CBV_UNITS}.")
    if doubtful is not None:
        return Words(
            "none",
            f"Nothing to compare: the {acquired_name} map does not seem to be normalised "
            f"(its mean in the NAWM reference is {_number(doubtful)} instead of 1).",
        )
    what, measure = "hotspot", "hotspot_mean"
    if None in (synthetic.get(measure), acquired.get(measure)):
        what, measure = "mean", "mean"
    return judge(
        what,
        synthetic.get(measure),
        acquired.get(measure),
        synthetic_name=synthetic_name,
        acquired_name=acquired_name,
    )


def _level(relative: float) -> Level:
    if relative <= WITHIN_SUBJECT_CV:
        return "good"
    return "caution" if relative <= REPEATABILITY_FACTOR * WITHIN_SUBJECT_CV else "poor"


def _standing(relative: float) -> str:
    limit = round(100 * REPEATABILITY_FACTOR * WITHIN_SUBJECT_CV)
    return {
        "good": "within the repeatability of DSC",
        "caution": f"more than DSC usually varies, but within its repeatability coefficient of {limit} %",
        "poor": f"beyond the repeatability coefficient of DSC of {limit} %",
    }[_level(relative)]


def _number(value: float, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        raise ValueError("A value to be judged is finite or None.")
    rounded = round(value, 2) + 0.0
    return (f"{rounded:+.2f}" if signed and rounded else f"{rounded:.2f}").replace("-", "−")
