"""Small patients and models for the tests of the evaluation: analytic volumes, no training, no phantom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from HierSynthLib.case import REFERENCE_LABEL, SEQUENCES, Role
from HierSynthLib.errors import InputError
from HierSynthLib.volume import Volume
from Training.datasets.settings import DataConfig
from Training.evaluation.cases import LoadedCase, PlacedMap
from Training.evaluation.predictor import Prediction
from Training.evaluation.trained_on import TrainedOn

SIDE, SPACING = 30, 2.0
SHAPE = (SIDE, SIDE, SIDE)
AFFINE = np.diag([SPACING, SPACING, SPACING, 1.0])
LABELS = {1: "lesion", 4: REFERENCE_LABEL}


def ball(centre, radius_mm):
    """Mask of a sphere, mm from the middle of the volume."""
    axis = (np.arange(SIDE) - (SIDE - 1) / 2) * SPACING
    i, j, k = np.meshgrid(axis, axis, axis, indexing="ij")
    return (i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (k - centre[2]) ** 2 <= radius_mm**2


BRAIN = ball((0, 0, 0), 24)
LESION = ball((8, 2, -2), 13)
REFERENCE = ball((-12, 0, 0), 4)


def cbv_of(seed: int, grade: str = "high") -> np.ndarray:
    """A CBV map with texture: about 1 in the brain, higher in a high-grade lesion."""
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 0.8)
    level = np.where(LESION, 2.2 if grade == "high" else 1.3, 1.0)
    return (np.clip(level + 1.2 * texture, 0.05, None) * BRAIN).astype(np.float32)


@dataclass(frozen=True)
class BallCase:
    """A patient whose head is a ball."""

    number: int
    grade: str | None = "high"
    roles: tuple[Role, ...] = SEQUENCES
    simulated: bool = True
    lesion: bool = True
    fault: str = ""
    tissues: bool = False
    person: str = ""
    seed: int | None = None

    @property
    def id(self) -> str:
        return f"ball-{self.number}"

    @property
    def patient(self) -> str:
        return self.person or self.id

    def key(self) -> str:
        return f"key-{self.id}-{self.grade}-{self.lesion}-{len(self.roles)}"

    def neutral(self, text: str) -> str:
        return text.replace("Jane Doe", "(case)")

    def load(self, target, reporter):
        reporter.progress("loading", 0.5)
        if self.fault:
            raise InputError(self.fault, "Do something.")
        rng = np.random.default_rng(1000 + self.number)
        volumes = {
            role: Volume((100 * (1 + BRAIN + 0.3 * rng.random(SHAPE))).astype(np.float32), AFFINE, "")
            for role in self.roles
        }
        if Role.ADC in volumes:
            volumes[Role.ADC] = Volume((0.8 + 0.1 * rng.random(SHAPE)).astype(np.float32), AFFINE, "10⁻³ mm²/s")
        volumes[Role.BRAIN] = Volume(BRAIN.astype(np.uint8), AFFINE, "label")
        labels = np.where(REFERENCE, 4, np.where(LESION, 1, 0) if self.lesion else 0).astype(np.uint8)
        volumes[Role.ROI] = Volume(labels, AFFINE, "label")
        fractions = {}
        if self.tissues:
            grey = ball((0, 14, 0), 8)
            fractions = {
                "grey_matter": Volume(grey.astype(np.float32), AFFINE, ""),
                "white_matter": Volume((BRAIN & ~grey).astype(np.float32), AFFINE, ""),
                "vessel": Volume(np.zeros(SHAPE, np.float32), AFFINE, ""),
            }
        cbv = cbv_of(self.number, self.grade or "low")
        return LoadedCase(
            volumes,
            PlacedMap(Volume(cbv, AFFINE, "nrCBV"), None),
            "true",
            dict(LABELS),
            still=True,
            tissues=fractions,
            warnings=("The file of Jane Doe is old.",) if self.number == 0 else (),
        )


@dataclass(eq=False)
class BallModel:
    """A model that knows the truth of the balls, and spoils it in a known way."""

    name: str = "model"
    seed: int = 0
    bias: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    loss_without: float = 0.0
    sequences: tuple[Role, ...] = SEQUENCES
    spacing_mm: tuple[float, float, float] = (SPACING,) * 3
    half_width: float | None = 0.5
    simulated_training: bool = True
    trained_on: TrainedOn = field(default_factory=lambda: TrainedOn(DataConfig()))
    megabytes: float = 1.5
    truths: dict[int, np.ndarray] = field(default_factory=dict)
    calls: list[tuple[int, int]] = field(default_factory=list)
    cases: tuple[BallCase, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.name}-{self.seed}-{self.bias}-{self.noise}-{self.blur}"

    @property
    def title(self) -> str:
        return f"{self.name} 1.0"

    def load(self):
        """Nothing to read."""

    def predict(self, sequences, brain, reporter):
        """The truth of the case, which is recognised by its first sequence."""
        reporter.progress("synthesis", 0.5)
        number = self._recognise(sequences, brain)
        self.calls.append((number, len(sequences)))
        whole = cbv_of(number, self._grade(number))
        rng = np.random.default_rng([self.seed, number])
        missing = len(self.sequences) - len(sequences)
        values = ndimage.gaussian_filter(whole, self.blur) if self.blur else whole.copy()
        values = values + self.bias + (self.noise + self.loss_without * missing) * rng.standard_normal(SHAPE)
        found = self._crop(values.astype(np.float32), brain)
        width = None if self.half_width is None else np.full(brain.shape, self.half_width, np.float32)
        return Prediction(found * brain, width, 0.8, "cpu (test)")

    @staticmethod
    def predict_of(values, brain):
        """A prediction with these values."""
        return Prediction((values * brain).astype(np.float32), None, 0.8, "cpu (test)")

    def _grade(self, number):
        return next((case.grade or "low" for case in self.cases if case.number == number), "high")

    def _recognise(self, sequences, brain):
        """The case whose T1 … has this content: sequences are noise of the case's own seed."""
        role, values = next(iter(sequences.items()))
        best, score = -1, -2.0
        for case in self.cases:
            if role not in case.roles:
                continue
            known = self.truths.get((case.number, role))
            if known is None:
                from HierSynthLib.progress import Silent

                known = case.load("auto", Silent()).volumes[role].array
                self.truths[case.number, role] = known
            r = float(np.corrcoef(self._crop(known, brain)[brain], values[brain])[0, 1])
            if r > score:
                best, score = case.number, r
        return best

    @staticmethod
    def _crop(values, brain):
        """The whole volume cut to the working grid, which is the brain's box with a margin."""
        cut = []
        for axis, size in enumerate(brain.shape):
            others = tuple(a for a in range(3) if a != axis)
            own = np.flatnonzero(brain.any(axis=others))[0]
            whole = np.flatnonzero(BRAIN.any(axis=others))[0]
            cut.append(slice(whole - own, whole - own + size))
        return values[tuple(cut)]


def flat_descriptors(pictures, patch, offsets=None):
    """Mean and SD of patches half a patch apart: descriptors whose error can be computed by hand."""
    step = patch // 2
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (patch, patch), axis=(1, 2))[:, ::step, ::step]
    return np.stack([windows.mean(axis=(-2, -1)), windows.std(axis=(-2, -1))], axis=-1)
