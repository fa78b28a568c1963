"""All measures of one map of one patient; nothing but plain numbers leaves this module."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.fidelity.measures.agreement import agreement
from HierSynthLib.fidelity.measures.effective import EffectiveCounts
from HierSynthLib.fidelity.measures.intensity import entropy, percentiles
from HierSynthLib.fidelity.measures.overlap import dice, hausdorff95
from HierSynthLib.fidelity.measures.ssim import inner_box, ssim_map
from HierSynthLib.fidelity.measures.texture import grey_levels, histogram
from HierSynthLib.fidelity.regions.masks import bounds
from Training.evaluation.calibration import calibration
from Training.evaluation.descriptors import HELD_OUT_OFFSETS, Describe, DescriptorError, Offsets, describe
from Training.evaluation.predictor import Prediction
from Training.evaluation.settings import EvaluationSettings
from Training.evaluation.subject import Subject
from Training.evaluation.texture import RadialPower, high_pass, ratio, spread_ratio

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]
Found = dict[str, float | None]

BRAIN, ROI = "brain", "roi"
# What `agreement` computes and an evaluation reports.
_AGREEMENT = ("mae", "mse", "nrmse", "psnr", "bias", "pearson_r", "ccc")
# Intervals within a patient are no part of an evaluation.
_NO_COUNTS = EffectiveCounts(None, None)


class Measurer:
    """Measures maps of one patient; what depends on the target alone is computed once."""

    def __init__(self, subject: Subject, settings: EvaluationSettings, describe: Describe = describe) -> None:
        """Compute what depends on the target.

        Args:
            subject: the patient.
            settings: of the evaluation.
            describe: gives the descriptors of patches.
        """
        self.subject, self._settings = subject, settings
        self._regions = {BRAIN: subject.brain} | ({ROI: subject.roi} if subject.roi.any() else {})
        self._sigma = settings.high_pass_mm / subject.grid.spacing
        self._fine = high_pass(subject.target, subject.brain, self._sigma)
        self._radial = {name: RadialPower(mask, subject.grid.spacing) for name, mask in self._regions.items()}
        self._power = {name: radial.of(subject.target) for name, radial in self._radial.items()}
        self._descriptors: dict[str, DescriptorError] = {}
        if ROI in self._regions:
            kinds: dict[str, tuple[int, Offsets | None]] = {
                "descriptor_error": (settings.patch, None),
                "held_out_descriptor_error": (settings.held_out_patch, HELD_OUT_OFFSETS),
            }
            self._descriptors = {
                name: DescriptorError(self._fine, subject.brain, subject.roi, patch, describe, offsets)
                for name, (patch, offsets) in kinds.items()
            }

    @property
    def nyquist(self) -> float:
        """Largest frequency of the spectra, cycles per mm."""
        return self._radial[BRAIN].nyquist

    def similarity(self, prediction: Prediction) -> Found:
        """What the robustness experiment looks at: ROI SSIM, ROI MAE and the concordance of the brain."""
        predicted = self._inside(prediction.synthetic)
        found = self._ssim(predicted)
        for region, names in ((ROI, ("mae",)), (BRAIN, ("ccc",))):
            if region in self._regions:
                values = self._agreement(predicted, self._regions[region])
                found |= {f"{region}_{name}": values[name] for name in names}
        return {name: found.get(name) for name in ("roi_ssim", "roi_mae", "brain_ccc")}

    def measure(self, prediction: Prediction) -> tuple[Found, dict[str, Any]]:
        """All measures of a prediction.

        Args:
            prediction: on the grid of the subject.

        Returns:
            Values by "<region>_<measure>", None for what does not exist; curves: "calibration" and "spectrum" by
            region, each a list.
        """
        predicted = self._inside(prediction.synthetic)
        found = self._ssim(predicted)
        curves: dict[str, Any] = {"calibration": {}, "spectrum": {}}
        fine = high_pass(predicted, self.subject.brain, self._sigma)
        for region, mask in self._regions.items():
            values: Found = dict(self._agreement(predicted, mask))
            values["high_frequency_ratio"] = spread_ratio(fine, self._fine, mask)
            values |= self._spectrum(predicted, region, curves)
            values |= self._uncertainty(prediction, predicted, region, curves)
            found |= {f"{region}_{name}": value for name, value in values.items()}
        found["grey_white_ratio"] = ratio(self._grey_white(predicted), self._grey_white(self.subject.target))
        if ROI in self._regions:
            found |= {f"{ROI}_{name}": value for name, value in self._hotspot(predicted).items()}
            found |= {f"{ROI}_{name}": error(fine) for name, error in self._descriptors.items()}
            found |= {
                f"{ROI}_{name}": value for name, value in features(predicted[self.subject.roi], self._settings).items()
            }
        return found, curves

    def _inside(self, values: Map) -> Map:
        return np.where(self.subject.brain, values, np.float32(0)).astype(np.float32)

    def _agreement(self, predicted: Map, mask: Mask) -> Found:
        found = agreement(predicted[mask], self.subject.target[mask], self._settings.data_range, _NO_COUNTS)
        return {name: found[name] for name in _AGREEMENT}

    def _ssim(self, predicted: Map) -> Found:
        """The map of the whole brain's box once; a region's SSIM is its mean over the region."""
        box = bounds(self.subject.brain)
        full = ssim_map(predicted, self.subject.target, box, self._settings.data_range)
        found: Found = {
            f"{name}_ssim": float(full[mask[box]].mean(dtype=np.float64)) for name, mask in self._regions.items()
        }
        if ROI in self._regions:
            whole = np.zeros(self.subject.grid.shape, dtype=np.float32)
            whole[box] = full
            inner = inner_box(bounds(self.subject.roi))
            found["roi_ssim_box"] = None if inner is None else float(whole[inner].mean(dtype=np.float64))
        return found

    def _spectrum(self, predicted: Map, region: str, curves: dict[str, Any]) -> Found:
        radial, target = self._radial[region], self._power[region]
        own = radial.of(predicted)
        pairs = zip(radial.curve(own), radial.curve(target), strict=True)
        curves["spectrum"][region] = [ratio(one, other) for one, other in pairs]
        bands = zip(radial.bands(own), radial.bands(target), strict=True)
        return {f"spectrum_ratio_{number}": ratio(one, other) for number, (one, other) in enumerate(bands, start=1)}

    def _uncertainty(self, prediction: Prediction, predicted: Map, region: str, curves: dict[str, Any]) -> Found:
        if prediction.uncertainty is None:
            return {}
        mask = self._regions[region]
        error = predicted[mask].astype(np.float64) - self.subject.target[mask]
        found, curve = calibration(error, prediction.uncertainty[mask].astype(np.float64), prediction.interval)
        curves["calibration"][region] = curve
        return found

    def _grey_white(self, values: Map) -> float | None:
        tissues = self.subject.tissues
        if not tissues:
            return None
        grey, white = (float(values[tissues[name]].mean(dtype=np.float64)) for name in ("grey", "white"))
        return ratio(grey, white)

    def _hotspot(self, predicted: Map) -> Found:
        """Overlap of the voxels above the threshold in the lesion."""
        roi, threshold = self.subject.roi, self._settings.hotspot_threshold
        box = bounds(roi)
        first, second = ((roi & (values > threshold))[box] for values in (predicted, self.subject.target))
        return {
            "hotspot_dice": dice(first, second),
            "hotspot_hd95_mm": hausdorff95(first, second, self.subject.grid.affine[:3, :3]),
        }


def features(values: Map, settings: EvaluationSettings) -> Found:
    """What a map tells about a lesion for grading: mean, 95th percentile, entropy.

    Args:
        values: (N,) of the lesion's voxels, at least one; entropy takes negative ones as levels below 0.
        settings: width of the grey levels.
    """
    ordered = np.sort(values.astype(np.float64))
    levels = grey_levels(ordered - min(0.0, float(ordered[0])), settings.bin_width)
    return {
        "mean": float(ordered.mean()),
        "p95": percentiles(ordered, (95,))[0],
        "entropy": entropy(histogram(levels)),
    }


def case_features(subject: Subject, settings: EvaluationSettings) -> dict[str, Found]:
    """Features of the lesion on each sequence (normalised) and on the target; empty without a lesion."""
    if not subject.roi.any():
        return {}
    home = next(case for case in subject.prepared.values() if case.grid.same(subject.grid))
    found = {str(role): features(values[subject.roi], settings) for role, values in home.sequences.items()}
    return found | {"target": features(subject.target[subject.roi], settings)}
