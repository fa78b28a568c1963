"""The choices behind the numbers of an evaluation; stated in every export and part of the key of every row."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from HierSynthLib.errors import InputError

TARGETS = ("auto", "true", "acquired")
ROBUSTNESS = ("none", "single", "pairs")

# An interval of 80 % is what the model packages give and what the targets speak of.
NOMINAL = 0.8


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured, and with which fixed ranges.

    Attributes:
        target: "true" (the simulation's CBV), "acquired", or "auto": true where a case has it, else acquired.
        spacing_mm: voxel edge of the grid on which everything is measured; None takes the finest of the models' grids.
        data_range: nrCBV, of SSIM, PSNR and NRMSE, from 0.
        ceiling: nrCBV above which the target is cut off, as in training (large vessels reach 50); infinity leaves it.
        hotspot_threshold: nrCBV, above which a voxel belongs to the hotspot.
        bin_width: nrCBV, width of the grey levels of entropy.
        high_pass_mm: standard deviation of the Gaussian whose output is taken from a map to leave its fine structure.
        patch: voxels, edge of the patches of the descriptor error; 8 is the smaller of those of the training.
        held_out_patch: voxels, edge of the patches of the held-out descriptor error, which no loss uses.
        register: whether the sequences of a case are registered before the synthesis.
        robustness: "none", "single" (each sequence left out in turn) or "pairs" (each pair, too).
        robustness_cases: so many cases with a lesion are used for it.
        pictures: so many cases are shown in pictures.
    """

    target: str = "auto"
    spacing_mm: float | None = None
    data_range: float = 6.0
    ceiling: float = 10.0
    hotspot_threshold: float = 1.75
    bin_width: float = 0.25
    high_pass_mm: float = 3.0
    patch: int = 8
    held_out_patch: int = 12
    register: bool = True
    robustness: str = "single"
    robustness_cases: int = 12
    pictures: int = 3

    def __post_init__(self) -> None:
        """Raise `InputError` for a setting out of range."""
        if self.target not in TARGETS:
            raise InputError(f"The target '{self.target}' is unknown.", f"Choose {', '.join(TARGETS)}.")
        if self.robustness not in ROBUSTNESS:
            raise InputError(f"The robustness '{self.robustness}' is unknown.", f"Choose {', '.join(ROBUSTNESS)}.")
        for name in ("data_range", "ceiling", "hotspot_threshold", "bin_width", "high_pass_mm"):
            if not getattr(self, name) > 0:
                raise InputError(f"The setting '{name}' is {getattr(self, name)}.", "Give a positive number.")
        if self.spacing_mm is not None and not 0.3 <= self.spacing_mm <= 10:
            raise InputError(f"A grid of {self.spacing_mm:g} mm is out of range.", "Give 0.3 to 10 mm.")
        if min(self.patch, self.held_out_patch) < 4 or self.robustness_cases < 0 or self.pictures < 0:
            raise InputError("A number of the settings is too small.", "A patch has at least 4 voxels.")

    def measured(self) -> dict[str, Any]:
        """The settings that decide the values of a row; infinity as a word, so that the text is JSON."""
        own = asdict(self)
        for name in ("robustness", "robustness_cases", "pictures"):
            del own[name]
        return {name: "none" if value == math.inf else value for name, value in own.items()}

    def to_json(self) -> dict[str, Any]:
        """All settings as they stand in evaluation.json."""
        shown = ("robustness", "robustness_cases", "pictures")
        return self.measured() | {name: getattr(self, name) for name in shown}
