"""run.json: what was computed from what, with which model, how, and what the user was warned of."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib import __version__
from HierSynthLib.case import Case, Role
from HierSynthLib.preparation import PreparedCase
from HierSynthLib.synthesis.package import ModelInfo, sha256
from HierSynthLib.volume import Volume

LIBRARIES = ("numpy", "scipy", "SimpleITK", "torch", "safetensors")
STATEMENT = "SYNTHETIC map for research only; not cleared for clinical use."


def describe_run(
    *,
    case: Case,
    volumes: dict[Role, Volume],
    prepared: PreparedCase,
    reference: Role,
    model: ModelInfo,
    device: str,
    interval: float,
    refine_seed: int | None,
    files: dict[str, str],
    seconds: dict[str, float],
    warnings: list[str],
) -> dict[str, Any]:
    """The contents of run.json.

    Input files are identified by their SHA-256, not by name or path: both may hold a patient's name.
    """
    inputs = {
        str(role): {
            "sha256": hash_input(case.files[role]),
            "grid": list(volume.grid),
            "spacing_mm": [round(float(value), 4) for value in volume.spacing],
            "units": volume.units,
        }
        for role, volume in volumes.items()
    }
    refined = refine_seed is not None
    return {
        "statement": STATEMENT,
        "synthetic": True,
        "simulated": case.simulated,
        "case": case.id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hiersynth": __version__,
        "model": {
            "name": model.name,
            "version": model.version,
            "weights_sha256": model.weights_sha256,
            "simulated_training": model.settings.simulated_training,
        },
        "reference": str(reference),
        "inputs": inputs,
        "outputs": files,
        "units": "nrCBV (mean contralateral NAWM = 1)",
        "interval": interval,
        "uncertainty": f"half-width of the {interval:.0%} interval, nrCBV{', before refining' if refined else ''}",
        "refiner": None if refine_seed is None else _refiner(refine_seed),
        "device": device,
        "preparation": {
            "grid": list(prepared.brain.shape),
            "spacing_mm": [round(float(v), 4) for v in np.linalg.norm(prepared.affine[:3, :3], axis=0)],
            "brain_mask": {
                "method": prepared.mask_quality.method,
                "volume_ml": round(prepared.mask_quality.volume_ml, 1),
                "rating": prepared.mask_quality.rating,
                "words": prepared.mask_quality.words,
            },
            "transforms": {str(role): np.round(matrix, 5).tolist() for role, matrix in prepared.transforms.items()},
            "normalisation": {
                str(role): {key: round(float(value), 4) for key, value in constants.items()}
                for role, constants in prepared.normalisation.items()
            },
        },
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "libraries": {
            "python": platform.python_version(),
            "platform": sys.platform,
            **{name: _version(name) for name in LIBRARIES},
        },
        "warnings": warnings,
    }


def _refiner(seed: int) -> dict[str, Any]:
    """What reproduces the refined map."""
    # Here, as other jobs hash their inputs with this module and need no torch.
    from HierSynthLib.synthesis.refiner import SIGMA, STEPS

    return {"seed": seed, "steps": STEPS, "noise_nrcbv": SIGMA}


def _version(name: str) -> str:
    """The version of an installed package; some interpreters carry packages without their metadata."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def hash_input(path: Path) -> str:
    """SHA-256 of a file, or of the SHA-256s of a folder's files in the order of their names (a DICOM series)."""
    if not path.is_dir():
        return sha256(path)
    total = hashlib.sha256()
    for file in sorted(file for file in path.iterdir() if file.is_file()):
        total.update(sha256(file).encode())
    return total.hexdigest()
