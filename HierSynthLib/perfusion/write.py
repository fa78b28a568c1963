"""The files of a processed DSC series: maps, masks, curves, quality."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.perfusion.aif import Aif
from HierSynthLib.perfusion.maps import PerfusionMaps
from HierSynthLib.progress import Reporter
from HierSynthLib.volume import Volume, write_volume

MAPS, CURVES, QC, RUN = "maps.json", "curves.csv", "qc.json", "run.json"
"""Names of the files beside the images."""

WORDS = {
    "rCBV": "relative CBV, leakage-corrected: area under ΔR2*(t)",
    "rCBV_uncorrected": "relative CBV without leakage correction",
    "rCBV_gamma": "relative CBV, leakage-corrected: area of a gamma-variate fitted to the first pass",
    "nrCBV": "rCBV divided by its mean in normal-appearing white matter",
    "nrCBV_uncorrected": "rCBV_uncorrected divided by its mean in normal-appearing white matter",
    "rCBV_standardised": "rCBV on a standard scale, by the histogram of the brain",
    "CBV": "cerebral blood volume, leakage-corrected",
    "CBF": "cerebral blood flow",
    "MTT": "mean transit time, CBV/CBF",
    "Tmax": "time from the AIF's arrival to the peak of the residue function",
    "K1": "size of the intravascular curve relative to non-enhancing brain",
    "K2": "leakage: positive where T1 effects dominate, negative where T2* effects do",
    "kep": "rate at which agent returns to the blood",
    "TTP": "time from the bolus's arrival in the brain to the peak of ΔR2*",
    "PH": "height of the peak of ΔR2*",
    "PSR": "percentage of signal recovery",
}
"""What each map is, for people."""

QC_UNITS = {
    "baseline_frames": "frames",
    "discarded_frames": "frames",
    "baseline_snr": "1",
    "bolus_drop_percent": "%",
    "after_peak_s": "s",
    "brain_ml": "ml",
    "unusable_percent": "%",
    "fitted_percent": "%",
    "non_enhancing_percent": "%",
    "motion_mm": "mm",
    "motion_deg": "degrees",
    "motion_frames": "frames",
    "aif_voxels": "voxels",
    "aif_peak": "1/s",
    "aif_width_s": "s",
    "aif_lead_s": "s",
    "white_matter_rcbv": "a.u.",
    "white_matter_voxels": "voxels",
    "white_matter_lost": "voxels",
    "mended_frames": "frames",
    "median_cbv": "ml/100 g",
    "median_cbf": "ml/100 g/min",
}
"""Units of the numbers of `Quality`."""


def write_maps(folder: Path, result: PerfusionMaps, form: str, *, simulated: bool, reporter: Reporter) -> None:
    """Write every map and mask as an image, and maps.json, which names them with their units.

    Args:
        folder: an existing folder.
        result: of the processing.
        form: "nii.gz", or "npy" for a client that wants arrays.
        simulated: whether the patient is a simulated one; stands in the description of every file.
        reporter: told about each file.

    Raises:
        OutputError: a file cannot be written.
        Cancelled: from the reporter.
    """
    mark = "SIMULATED " if simulated else ""
    masks: dict[str, NDArray[np.bool_]] = {"brain_mask": result.brain, "non_enhancing_mask": result.non_enhancing}
    if result.aif is not None:
        masks["aif_mask"] = _mask_of(result.aif, result.brain.shape)
    count = len(result.maps) + len(masks)
    entries: dict[str, Any] = {"maps": {}, "masks": {}}
    for number, name in enumerate([*result.maps, *masks]):
        reporter.progress("writing", number / count)
        file = f"{name}.{form}"
        if name in masks:
            volume = Volume(masks[name].astype(np.uint8), result.affine, "label")
            write_volume(volume, folder / file, description=f"{mark}DSC {name}, research only")
            entries["masks"][name] = file
            continue
        volume = result.volume(name)
        write_volume(volume, folder / file, description=f"{mark}DSC {name} [{volume.units}], research only")
        entries["maps"][name] = {"file": file, "units": volume.units, "description": WORDS[name]}
    write_json(folder / MAPS, entries)
    reporter.progress("writing", 1.0)


def write_curves(path: Path, result: PerfusionMaps) -> None:
    """Write the mean curves, one line per frame; a column is empty where there is nothing (no AIF, no motion sought).

    Columns: frame (from 0), time in s, ΔR2* in 1/s of the AIF, of the whole brain, of non-enhancing brain and of the
    brain after leakage correction, mean signal of the brain in a.u., movement in mm and degrees.
    """
    curves, motion = result.curves, result.motion
    columns: dict[str, NDArray[Any] | None] = {
        "frame": np.arange(len(curves.times_s)),
        "time_s": curves.times_s,
        "aif_per_s": None if result.aif is None else result.aif.curve,
        "brain_per_s": curves.brain,
        "non_enhancing_per_s": curves.non_enhancing,
        "brain_corrected_per_s": curves.corrected,
        "brain_signal_au": curves.brain_signal,
        "motion_mm": None if motion is None else motion.largest_mm,
        "motion_deg": None if motion is None else motion.angle_deg,
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for frame in range(len(curves.times_s)):
            writer.writerow(["" if each is None else f"{each[frame]:.6g}" for each in columns.values()])


def describe_quality(result: PerfusionMaps) -> dict[str, Any]:
    """The contents of qc.json: numbers with their units, baseline and bolus, the AIF, and warnings in words."""
    numbers = result.quality.as_json()
    warnings = numbers.pop("warnings")
    bolus = result.bolus
    return {
        "numbers": {name: _finite(value) for name, value in numbers.items()},
        "units": QC_UNITS,
        "bolus": {
            "steady_frame": bolus.steady,
            "baseline_first_frame": bolus.start,
            "baseline_last_frame": bolus.stop - 1,
            "arrival_frame": bolus.arrival,
            "peak_frame": bolus.peak,
        },
        "aif": None if result.aif is None else describe_aif(result.aif, result.affine),
        "warnings": warnings,
    }


def describe_aif(aif: Aif, affine: NDArray[np.float64]) -> dict[str, Any]:
    """An arterial input function as JSON: how it was chosen, its voxels (indices i, j, k and RAS mm), its shape."""
    positions = aif.voxels @ affine[:3, :3].T + affine[:3, 3]
    return {
        "method": aif.method,
        "voxels": aif.voxels.tolist(),
        "positions_ras_mm": np.round(positions, 2).tolist(),
        "peak_per_s": _finite(round(aif.peak, 3)),
        "peak_s": _finite(round(aif.peak_s, 3)),
        "width_s": _finite(round(aif.width_s, 3)),
        "lead_s": _finite(round(aif.lead_s, 3)),
        "agreement": _finite(round(aif.agreement, 4)),
        "tail": None if aif.tail is None else _finite(round(aif.tail, 4)),
    }


def quality_lines(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what tells most about the quality, for people.

    Args:
        numbers: the block "numbers" of qc.json.
    """

    def said(name: str, unit: str) -> str:
        value = numbers[name]
        if value is None:
            return "–"
        return f"{value:.0f} {unit}".strip() if value >= 100 else f"{value:.3g} {unit}".strip()

    lines = [
        ("baseline", f"{numbers['baseline_frames']} frames, SNR {said('baseline_snr', '')}"),
        ("largest drop of the brain's signal", said("bolus_drop_percent", "%")),
        ("series after the peak", said("after_peak_s", "s")),
        ("brain", said("brain_ml", "ml")),
        ("voxels that show the bolus", said("fitted_percent", "%")),
        ("voxels left out", said("unusable_percent", "%")),
        ("non-enhancing brain", said("non_enhancing_percent", "%")),
    ]
    if numbers["motion_mm"] is None:
        lines.append(("motion", "not looked for"))
    else:
        count = numbers["motion_frames"]
        frames = f"; {count} frame{'s' * (count != 1)} moved back"
        moved = f"{numbers['motion_mm']:.1f} mm, {numbers['motion_deg']:.1f}°"
        lines.append(("largest motion", moved + frames))
    if numbers["aif_voxels"]:
        lines.append(("AIF peak, width", f"{said('aif_peak', '1/s')}, {said('aif_width_s', 's')}"))
        lines.append(("AIF before the brain", said("aif_lead_s", "s")))
    else:
        lines.append(("AIF", "none"))
    return lines


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON for people and programs."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8", newline="\n")


def _mask_of(aif: Aif, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(aif.voxels.T)] = True
    return mask


def _finite(value: Any) -> Any:
    """JSON knows no infinity: a series without noise has no finite SNR."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
