"""Quality of a series and its processing: numbers, and warnings in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from HierSynthLib.perfusion.aif import Aif
from HierSynthLib.perfusion.baseline import Bolus
from HierSynthLib.perfusion.motion import Motion

# Limits beyond which a number gets a warning (design values).
_LEAST_SNR, _LEAST_DROP = 20.0, 0.10
_MOST_MOTION_MM = 3.0
_LONGEST_TR_S, _LEAST_AFTER_PEAK_S = 2.0, 30.0
_WIDEST_AIF_S, _LEAST_AGREEMENT, _LEAST_TAIL = 14.0, 0.9, 0.6
_LEAST_FITTED, _LEAST_NON_ENHANCING = 80.0, 25.0
_LEAST_BRAIN_ML = 600.0
_MOST_OUTSIDE = 0.1
# Medians over the brain, ml/100 g and ml/100 g/min, beyond which the AIF cannot be of the right size; 3 to 4 and 40
# to 50 are normal (design values).
_PLAUSIBLE_CBV, _HIGHEST_CBF = (1.5, 7.0), 100.0


@dataclass(frozen=True)
class WhiteMatter:
    """What became of the normal-appearing white matter that was given.

    Attributes:
        rcbv: mean rCBV, by which nrCBV was divided.
        used: number of its voxels.
        outside: voxels outside the brain mask.
        unusable: voxels of the brain without signal in some frames.
    """

    rcbv: float
    used: int
    outside: int
    unusable: int


@dataclass(frozen=True)
class Quality:
    """Numbers that tell how far the maps can be trusted.

    Attributes:
        baseline_frames: frames of the baseline.
        discarded_frames: leading frames before the steady state, left out.
        baseline_snr: median over the brain of the baseline's mean over its standard deviation.
        bolus_drop_percent: largest fall of the brain's mean signal.
        after_peak_s: time from the peak of the bolus to the end of the series.
        brain_ml: volume of the brain mask.
        unusable_percent: voxels of the brain without signal in some frames; their maps are 0.
        fitted_percent: voxels of the brain in which the bolus stands out of the noise, and is fitted where a fit was
            asked for.
        non_enhancing_percent: voxels of the brain in the reference of the leakage correction.
        motion_mm: largest movement of a voxel of the brain; None if not looked for.
        motion_deg: largest rotation.
        motion_frames: number of frames that were moved back.
        aif_voxels: number of voxels of the AIF; 0 if there is none.
        aif_peak: its peak ΔR2*, 1/s.
        aif_width_s: its full width at half maximum.
        aif_lead_s: how much earlier it peaks than the brain.
        white_matter_rcbv: by what nrCBV was divided; None without NAWM.
        white_matter_voxels: voxels of NAWM that were used.
        white_matter_lost: those that were not, outside the brain mask or without signal in some frames.
        mended_frames: number of frames that jump, in all or some slices, and were replaced by their neighbours.
        median_cbv: median of absolute CBV over the brain, ml/100 g; None without AIF.
        median_cbf: the same of CBF, ml/100 g/min.
        warnings: what a user should know, one sentence each.
    """

    baseline_frames: int
    discarded_frames: int
    baseline_snr: float
    bolus_drop_percent: float
    after_peak_s: float
    brain_ml: float
    unusable_percent: float
    fitted_percent: float
    non_enhancing_percent: float
    motion_mm: float | None
    motion_deg: float | None
    motion_frames: int
    aif_voxels: int
    aif_peak: float | None
    aif_width_s: float | None
    aif_lead_s: float | None
    white_matter_rcbv: float | None
    white_matter_voxels: int
    white_matter_lost: int
    mended_frames: int
    median_cbv: float | None
    median_cbf: float | None
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The numbers rounded to 4 significant digits, and the warnings."""
        content = {name: _rounded(value) for name, value in asdict(self).items()}
        content["warnings"] = list(self.warnings)
        return content


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def assess(
    *,
    bolus: Bolus,
    frames: int,
    tr_s: float,
    snr: float,
    brain_ml: float,
    shares: tuple[float, float, float],
    motion: Motion | None,
    aif: Aif | None,
    white_matter: WhiteMatter | None,
    mended_frames: int,
    medians: tuple[float, float] | None,
    found: list[str],
) -> Quality:
    """Collect the numbers and say in words what is wrong.

    Args:
        bolus: baseline and arrival.
        frames: of the series.
        tr_s: time between frames in s.
        snr: of the baseline.
        brain_ml: volume of the brain.
        shares: unusable, fitted and non-enhancing voxels, in % of the brain.
        motion: movement, if looked for.
        aif: arterial input function, if there is one.
        white_matter: what nrCBV was divided by, if there was NAWM.
        mended_frames: number of frames that were replaced by their neighbours.
        medians: of absolute CBV in ml/100 g and CBF in ml/100 g/min over the brain, if there is an AIF.
        found: warnings of the processing itself, which come first.
    """
    unusable, fitted, reference = shares
    after = (frames - 1 - bolus.peak) * tr_s
    numbers = {
        "baseline_snr": snr,
        "drop": bolus.drop,
        "tr_s": tr_s,
        "after_peak_s": after,
        "fitted": fitted,
        "reference": reference,
        "unusable": unusable,
        "brain_ml": brain_ml,
    }
    moved = None if motion is None else float(motion.largest_mm.max())
    return Quality(
        baseline_frames=bolus.stop - bolus.start,
        discarded_frames=bolus.steady,
        baseline_snr=snr,
        bolus_drop_percent=100 * bolus.drop,
        after_peak_s=after,
        brain_ml=brain_ml,
        unusable_percent=unusable,
        fitted_percent=fitted,
        non_enhancing_percent=reference,
        motion_mm=moved,
        motion_deg=None if motion is None else float(motion.angle_deg.max()),
        motion_frames=0 if motion is None else int(np.count_nonzero(motion.corrected)),
        aif_voxels=0 if aif is None else len(aif.voxels),
        aif_peak=None if aif is None else aif.peak,
        aif_width_s=None if aif is None else aif.width_s,
        aif_lead_s=None if aif is None else aif.lead_s,
        white_matter_rcbv=None if white_matter is None else white_matter.rcbv,
        white_matter_voxels=0 if white_matter is None else white_matter.used,
        white_matter_lost=0 if white_matter is None else white_matter.outside + white_matter.unusable,
        mended_frames=mended_frames,
        median_cbv=None if medians is None else medians[0],
        median_cbf=None if medians is None else medians[1],
        warnings=(
            *found,
            *_series_warnings(numbers),
            *_white_matter_warnings(white_matter),
            *_motion_warnings(moved),
            *_aif_warnings(aif),
        ),
    )


def scale_is_plausible(median_cbv: float | None, median_cbf: float | None) -> bool:
    """Whether absolute CBV (ml/100 g) and CBF (ml/100 g/min) can be right, by their medians over the brain."""
    if median_cbv is None or median_cbf is None:
        return True
    return _PLAUSIBLE_CBV[0] <= median_cbv <= _PLAUSIBLE_CBV[1] and median_cbf <= _HIGHEST_CBF


def scale_warnings(quality: Quality) -> list[str]:
    """What is to be said if absolute CBV and CBF cannot be right; apart, since relative maps do not depend on them."""
    cbv, cbf = quality.median_cbv, quality.median_cbf
    if scale_is_plausible(cbv, cbf):
        return []
    return [
        f"Absolute CBV and CBF are implausible (medians {cbv:.3g} ml/100 g and {cbf:.3g} ml/100 g/min; 3 "
        "to 4 and 40 to 50 are normal): the arterial input function has the wrong size (partial volume, saturation). "
        "Relative CBV does not depend on it; MTT and Tmax depend on its shape."
    ]


def _white_matter_warnings(found: WhiteMatter | None) -> list[str]:
    if found is None:
        return []
    given = found.used + found.outside + found.unusable
    lost = [f"{found.outside} lie outside the brain mask"] * (found.outside > _MOST_OUTSIDE * given)
    lost += [f"{found.unusable} have no signal in some frames"] * (found.unusable > 0)
    if not lost:
        return []
    return [f"Of the {given} voxels of normal-appearing white matter {found.used} are used: {', '.join(lost)}."]


def _series_warnings(numbers: dict[str, float]) -> list[str]:
    snr, drop, tr_s, after = (numbers[name] for name in ("baseline_snr", "drop", "tr_s", "after_peak_s"))
    fitted, reference, unusable = (numbers[name] for name in ("fitted", "reference", "unusable"))
    rules = (
        (snr < _LEAST_SNR, f"The baseline is noisy (SNR {snr:.0f}): maps of single voxels are uncertain."),
        (drop < _LEAST_DROP, f"The bolus is weak: the brain's signal falls by {drop:.0%} only."),
        (tr_s > _LONGEST_TR_S, f"Frames are {tr_s:.1f} s apart: CBF and MTT are too coarse to be relied on."),
        (
            after < _LEAST_AFTER_PEAK_S,
            f"The series ends {after:.0f} s after the peak of the bolus: leakage correction is uncertain.",
        ),
        (
            fitted < _LEAST_FITTED,
            f"Only {fitted:.0f} % of the brain's voxels show a bolus that stands out of the noise.",
        ),
        (
            reference < _LEAST_NON_ENHANCING,
            f"Only {reference:.0f} % of the brain do not enhance, so that the reference of the leakage correction is "
            "small.",
        ),
        (
            numbers["brain_ml"] < _LEAST_BRAIN_ML,
            f"The brain has {numbers['brain_ml']:.0f} ml only: look at the brain mask; is part of the head missing?",
        ),
        (
            unusable >= 1,
            f"{unusable:.0f} % of the brain's voxels have no signal in some frames and are left out.",
        ),
    )
    return [words for applies, words in rules if applies]


def _motion_warnings(moved: float | None) -> list[str]:
    if moved is None or moved <= _MOST_MOTION_MM:
        return []
    return [f"The head moved by up to {moved:.1f} mm: look at the curves, and at the maps near edges."]


def _aif_warnings(aif: Aif | None) -> list[str]:
    if aif is None:
        return []
    warnings = []
    if aif.width_s > _WIDEST_AIF_S:
        warnings.append(f"The arterial input function is wide ({aif.width_s:.0f} s): a vein, or a slow injection.")
    if aif.lead_s < 0:
        warnings.append("The arterial input function peaks after the brain: choose voxels of an artery by hand.")
    if aif.agreement < _LEAST_AGREEMENT:
        warnings.append("The voxels of the arterial input function have different curves: look at them.")
    if aif.tail is not None and aif.tail < _LEAST_TAIL:
        warnings.append(
            "The arterial input function falls off faster than the brain's curve, as inside large vessels: CBV and MTT "
            "are too high. Choose voxels beside an artery by hand, or give aif_blood."
        )
    return warnings
