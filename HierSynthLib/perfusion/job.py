"""From files to files: what the worker runs to process a DSC series, for the panel and for the command line."""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib import __version__
from HierSynthLib.files import atomic_folder
from HierSynthLib.perfusion.job_inputs import aif_voxels, read_all, read_mask, white_matter
from HierSynthLib.perfusion.maps import PerfusionMaps
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.qc import scale_warnings
from HierSynthLib.perfusion.request import PerfusionRequest
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.perfusion.write import (
    CURVES,
    MAPS,
    QC,
    RUN,
    describe_aif,
    describe_quality,
    quality_lines,
    write_curves,
    write_json,
    write_maps,
)
from HierSynthLib.progress import Part, Reporter
from HierSynthLib.requirements import installed_version
from HierSynthLib.synthesis.provenance import hash_input

LIBRARIES = ("numpy", "scipy", "SimpleITK", "pydicom")
STATEMENT = "Perfusion maps of a DSC series, for research only; not cleared for clinical use."

# Few voxels of vessels must not decide the colours of a map (design values).
_WINDOW_PERCENT = (2.0, 98.0)


def run_job(parameters: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Process a DSC series and write its maps into a new folder.

    Args:
        parameters: see `PerfusionRequest.parse`.
        reporter: told about progress and warnings; asked whether to stop.

    Returns:
        {"output": folder, "maps": {name: file}, "masks": {name: file}, "units": {name: units}, "curves": file,
        "qc": file, "run": file, "description": file of maps.json, "quality": contents of qc.json, "aif": its voxels
        and shape or None, "seconds": {stage: seconds}, "lines": [[name, value]] of the quality for people,
        "te_s": [echo times in s], "mean_curves": see `describe_curves`, "windows": {name of a map: [low, high]}}.

    Raises:
        InputError, OutputError: see their messages; nothing is left half-written.
        Cancelled: from the reporter.
    """
    request = PerfusionRequest.parse(parameters)
    begun = time.perf_counter()
    told: list[str] = []
    # Arrays are for a client that reads them at once: nothing is gained from waiting for the disk.
    with atomic_folder(request.output, durable=request.format != "npy") as folder:
        reporter.progress("reading", 0.0)
        series = read_all(request, Part(reporter, 0.0, 0.08), told)
        brain = None
        if request.brain is not None:
            brain = read_mask(request.brain, "brain mask", series, told, any_label=True)
        nawm = white_matter(request, series, told)
        voxels = aif_voxels(request, series)
        for warning in told:
            reporter.warning(warning)
        read = time.perf_counter()
        reporter.progress("processing", 0.1)
        result = process(
            series, request.options, brain=brain, nawm=nawm, aif_voxels=voxels, reporter=Part(reporter, 0.1, 0.9)
        )
        processed = time.perf_counter()
        write_maps(folder, result, request.format, simulated=request.simulated, reporter=Part(reporter, 0.9, 0.99))
        write_curves(folder / CURVES, result)
        quality = describe_quality(result)
        implausible = scale_warnings(result.quality)
        for warning in implausible:
            reporter.warning(warning)
        quality["warnings"] = [*told, *quality["warnings"], *implausible]
        write_json(folder / QC, quality)
        seconds = {
            "reading": read - begun,
            "processing": processed - read,
            "writing": time.perf_counter() - processed,
        }
        write_json(folder / RUN, describe_run(request, series, result, seconds, quality["warnings"]))
        reporter.progress("done", 1.0)
    output, ending = request.output, request.format
    masks = ["brain_mask", "non_enhancing_mask", *(["aif_mask"] if result.aif is not None else [])]
    return {
        "output": str(output),
        "maps": {name: str(output / f"{name}.{ending}") for name in result.maps},
        "masks": {name: str(output / f"{name}.{ending}") for name in masks},
        "units": result.units,
        "curves": str(output / CURVES),
        "qc": str(output / QC),
        "run": str(output / RUN),
        "description": str(output / MAPS),
        "quality": quality,
        "aif": None if result.aif is None else describe_aif(result.aif, result.affine),
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "lines": quality_lines(quality["numbers"]),
        "te_s": list(series.te_s),
        "mean_curves": describe_curves(result),
        "windows": {name: usual_window(result, name) for name in result.maps},
    }


def describe_curves(result: PerfusionMaps) -> dict[str, Any]:
    """The mean curves as `voxel_curve.voxel_curves` takes them: (T,) lists, and the frames of the baseline."""

    def rounded(values: NDArray[Any]) -> list[float]:
        return [float(f"{value:.6g}") for value in values]

    return {
        "times_s": rounded(result.curves.times_s),
        "non_enhancing": rounded(result.curves.non_enhancing),
        "aif": None if result.aif is None else rounded(result.aif.curve),
        "steady_frame": result.bolus.steady,
        "baseline_first_frame": result.bolus.start,
        "baseline_last_frame": result.bolus.stop - 1,
    }


def usual_window(result: PerfusionMaps, name: str) -> list[float]:
    """Values of a map at the ends of its colours: those that 2 and 98 % of the brain's voxels are below."""
    low, high = np.percentile(result.maps[name][result.brain], _WINDOW_PERCENT)
    return [float(f"{low:.3g}"), float(f"{high:.3g}")]


def describe_run(
    request: PerfusionRequest, series: DscSeries, result: PerfusionMaps, seconds: dict[str, float], warnings: list[str]
) -> dict[str, Any]:
    """The contents of run.json: what was computed from what, and how.

    Input files are identified by their SHA-256, not by name or path: both may hold a patient's name.
    """
    echoes = [(path,) for path in request.series] or request.frames
    hashes = {f"echo {number}": _hash_all(paths) for number, paths in enumerate(echoes, 1)}
    masks = {name: getattr(request, name) for name in ("brain", "nawm", "aif_mask")}
    hashes |= {name: hash_input(path) for name, path in masks.items() if path is not None}
    return {
        "statement": STATEMENT,
        "simulated": request.simulated,
        "case": request.case_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hiersynth": __version__,
        "inputs": {name: {"sha256": value} for name, value in hashes.items()},
        "series": {
            "grid": list(series.grid),
            "frames": series.frames,
            "spacing_mm": [round(float(value), 4) for value in series.spacing],
            "te_s": list(series.te_s),
            "tr_s": series.tr_s,
            "flip_deg": series.flip_deg,
        },
        "given": {
            "brain_mask": request.brain is not None,
            "nawm": request.nawm is not None or request.nawm_region is not None,
            "nawm_label": request.nawm_label,
            "aif": None if result.aif is None else result.aif.method,
        },
        "options": result.options.to_json(),
        "outputs": MAPS,
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "libraries": {
            "python": platform.python_version(),
            "platform": sys.platform,
            **{name: installed_version(name) for name in LIBRARIES},
        },
        "warnings": warnings,
    }


def _hash_all(paths: tuple[Path, ...]) -> str:
    """The SHA-256 of a file; of several, that of their SHA-256 one after the other."""
    hashes = [hash_input(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode("ascii")).hexdigest()
