"""Small things for the tests of reports: a measurement written by hand, and a tiny case of the same shape in files."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.case import Case, Role
from HierSynthLib.volume import Volume, write_volume

SETTINGS = {
    "data_range": 6.0, "thresholds": [1.0, 1.75], "bin_width": 0.25, "hotspot_threshold": 1.75, "hotspot_mm": 6.0,
    "texture": False, "normalise": [],
}  # fmt: skip


def agreement_values(bias: float, ssim: float = 0.8) -> dict[str, float | None]:
    """The measures of a pair that reports show."""
    return {
        "mae": abs(bias), "mse": bias**2, "nrmse": abs(bias) / 6, "psnr": 20.0, "bias": bias,
        "histogram_distance": abs(bias), "effective_n": 14.0, "effective_n_difference": 12.0, "pearson_r": 0.8,
        "pearson_low": 0.6, "pearson_high": 0.9, "ccc": 0.75, "ba_bias": bias, "ba_bias_low": bias - 0.1,
        "ba_bias_high": bias + 0.1, "ba_lower": bias - 1, "ba_lower_low": bias - 1.2, "ba_lower_high": bias - 0.8,
        "ba_upper": bias + 1, "ba_upper_low": bias + 0.8, "ba_upper_high": bias + 1.2, "ssim": ssim, "ssim_box": 0.7,
        "hotspot_dice": 0.5, "hotspot_hd95_mm": None, "uncertainty_error_r": None,
    }  # fmt: skip


def hand_made_measurement(
    synthetic: dict[str, float] | None = None,
    acquired: dict[str, float] | None = None,
    regions: tuple[tuple[str, str], ...] = (("Tumour", "lesion"), ("Hotspot 1 (synthetic)", "hotspot")),
    ssim: float = 0.8,
) -> dict[str, Any]:
    """A measurement whose maps have one given mean per map, the same in all regions.

    Args:
        synthetic: mean of each synthetic map; one map of 2.0 if None.
        acquired: mean of each acquired map; one map of 2.5 if None.
        regions: name and role of each.
        ssim: of every pair.
    """
    synthetic = {"synthetic": 2.0} if synthetic is None else synthetic
    acquired = {"acquired": 2.5} if acquired is None else acquired
    maps = [{"name": name, "kind": "synthetic", "units": "nrCBV"} for name in synthetic]
    maps += [{"name": name, "kind": "acquired", "units": "nrCBV"} for name in acquired]
    maps.append({"name": "ADC", "kind": "other", "units": "10⁻³ mm²/s"})
    means = synthetic | acquired | {"ADC": 1.1}
    pairs = [(one, other) for one in synthetic for other in acquired]
    return {
        "grid": {"shape": [8, 8, 8], "spacing_mm": [2.0, 2.0, 2.0], "affine": np.diag([2.0, 2, 2, 1]).tolist()},
        "settings": dict(SETTINGS),
        "maps": [each | {"resampled": False, "invalid_voxels": 0} for each in maps],
        "reference": {
            "name": "NAWM reference", "source": "label 4", "voxels": 30, "volume_ml": 0.24,
            "means": dict.fromkeys(means, 1.0),
        },
        "regions": [
            {"name": name, "role": role, "source": "label 1 <b>", "voxels": 100, "volume_ml": 0.8,
             "centre": [-1.0, 2.0, 3.0], "notes": []}
            for name, role in regions
        ],
        "intensity": [
            {"region": region, "map": name, "units": {"ADC": "10⁻³ mm²/s"}.get(name, "nrCBV"),
             "values": {"voxels": 100, "mean": mean, "sd": 0.5, "p95": mean + 1, "hotspot_mean": mean + 0.5,
                        "ibsi_stat_var": 0.25, "fraction_above_1.75": 0.4, "cv": None},
             "notes": []}
            for region, _ in regions for name, mean in means.items()
        ],
        "agreement": [
            {"region": region, "synthetic": one, "acquired": other,
             "values": agreement_values(means[one] - means[other], ssim), "notes": ["It is small."]}
            for region, _ in regions for one, other in pairs
        ],
        "words": [
            {"region": region, "synthetic": one, "acquired": other, "level": "caution", "text": "It is too low."}
            for region, _ in regions for one, other in pairs
        ],
        "plots": {},
        "normalisation": {},
        "warnings": [],
    }  # fmt: skip


def hand_made_plot(compared: int) -> dict[str, Any]:
    """The plot of a pair of maps in a region of which so many voxels were compared."""
    edges, counts = ([0.0, 6.0], [compared]) if compared else ([], [])
    return {
        "synthetic": "synthetic", "acquired": "acquired",
        "histogram": {"edges": edges, "synthetic": counts, "acquired": counts},
        "scatter": {"synthetic": [], "acquired": []},
        "bland_altman": {"mean": [], "difference": [], "bias": None, "lower": None, "upper": None},
    }  # fmt: skip


def hand_made_record(**changes: Any) -> dict[str, Any]:
    """A record of fidelity.json around a hand-made measurement."""
    return {
        "statement": "SYNTHETIC map for research only; not cleared for clinical use.",
        "synthetic": True, "simulated": False, "simulated_statement": "", "case": "p1", "grade": None,
        "created": "2026-01-31T12:00:00+00:00", "hiersynth": "0.1.0",
        "alignment": [{"map": "acquired", "method": "file", "transform": None, "words": "As its file says."}],
        "hotspots": [], "reference_spheres": [], "audit": [], "provenance": {}, "files": {"synthetic": "0" * 64},
        "warnings": [], "measurement": hand_made_measurement(),
    } | changes  # fmt: skip


def write_tiny_case(folder: Path, seed: int = 1, **changes: Any) -> Path:
    """A case folder with a brain of 4 mm voxels: T1, acquired map, label map with names, brain mask, synthetic map.

    The synthetic map is the acquired one with noise. `changes` are fields of the case.
    """
    rng = np.random.default_rng(seed)
    shape, affine = (34, 40, 32), np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -np.array(shape) * 2.0
    place = np.stack(np.meshgrid(*(np.arange(n) * 4.0 - n * 2.0 for n in shape), indexing="ij"))
    radius = np.sqrt((place[0] / 58) ** 2 + (place[1] / 70) ** 2 + (place[2] / 54) ** 2)
    brain = radius < 0.9
    lesion = np.sqrt(((place - np.array([-28.0, 10, 8]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0))
    white = np.sqrt(((place - np.array([28.0, 10, 8]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0)) < 9
    labels = np.where(lesion < 9, 1, np.where(lesion < 18, 2, np.where(white, 4, 0)))
    level = rng.uniform(0.8, 1.2)
    cbv = brain * (1.0 + 3.0 * level * np.exp(-((lesion / 10) ** 2)) + rng.normal(0, 0.05, shape))
    noisy = brain * (cbv * rng.uniform(0.8, 1.1) + rng.normal(0, 0.1, shape))
    files = {
        Role.T1: brain * 500.0 + (radius < 1) * 100 + rng.normal(0, 5, shape),
        Role.CBV_ACQUIRED: cbv, Role.ROI: labels.astype(np.uint8), Role.BRAIN: brain.astype(np.uint8),
    }  # fmt: skip
    for role, array in files.items():
        kept = array if array.dtype == np.uint8 else array.astype(np.float32)
        write_volume(Volume(kept, affine), folder / f"{role}.nii")
    write_volume(Volume(noisy.astype(np.float32), affine), folder / "synthetic.nii")
    fields = {
        "id": folder.name, "units": {Role.CBV_ACQUIRED: "nrCBV"},
        "labels": {1: "enhancing", 2: "oedema", 4: "NAWM reference"},
    } | changes  # fmt: skip
    Case(files={role: folder / f"{role}.nii" for role in files}, **fields).write(folder)
    return folder


def write_synthesis(folder: Path, source: Path, **changes: Any) -> Path:
    """The result folder of a synthesis of a tiny case."""
    folder.mkdir()
    for name, file in (("CBV_synthetic", "synthetic"), ("brain_mask", "brain_mask")):
        (folder / f"{name}.nii").write_bytes((source / f"{file}.nii").read_bytes())
    run = {
        "outputs": {"synthetic": "CBV_synthetic.nii", "brain": "brain_mask.nii"}, "case": source.name,
        "simulated": False, "reference": "T1", "model": {"name": "tiny", "version": "1.0", "weights_sha256": "ab" * 32},
        "statement": "SYNTHETIC", "libraries": {"numpy": "2.0"},
    } | changes  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run))
    return folder
