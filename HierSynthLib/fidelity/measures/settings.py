"""What a measurement is made with: fixed ranges, thresholds and sizes, stated in every export."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from HierSynthLib.errors import InputError


@dataclass(frozen=True)
class Settings:
    """The choices behind the numbers.

    Attributes:
        data_range: nrCBV, the fixed range of values (from 0) behind SSIM, PSNR and NRMSE; values beyond it are used as
            they are.
        thresholds: nrCBV, of the fractions above a threshold.
        bin_width: nrCBV, width of the grey levels (from 0 nrCBV) of entropy and texture.
        hotspot_threshold: nrCBV, above which a voxel belongs to the hotspot whose overlap is measured.
        hotspot_mm: diameter of the sphere whose greatest mean is the hotspot mean.
        texture: whether IBSI first-order and GLCM texture are measured.
        normalise: names of maps that are divided by their mean in the NAWM reference.
    """

    data_range: float = 6.0
    thresholds: tuple[float, ...] = (1.0, 1.75)
    bin_width: float = 0.25
    hotspot_threshold: float = 1.75
    hotspot_mm: float = 6.0
    texture: bool = True
    normalise: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise `InputError` for a length, width or range that is not positive, or a threshold that is not a number."""
        for name in ("data_range", "bin_width", "hotspot_mm"):
            value = getattr(self, name)
            if not (_is_number(value) and value > 0):
                raise _wrong(name, value, "a positive number")
        for value in (self.hotspot_threshold, *self.thresholds):
            if not _is_number(value):
                raise _wrong("thresholds", value, "numbers in nrCBV")
        if not isinstance(self.texture, bool):
            raise _wrong("texture", self.texture, "true or false")
        if not all(isinstance(name, str) for name in self.normalise):
            raise _wrong("normalise", self.normalise, "names of maps")
        object.__setattr__(self, "thresholds", tuple(sorted({float(value) for value in self.thresholds})))

    def to_json(self) -> dict[str, Any]:
        """The settings as they stand in files."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Settings:
        """Settings from the fields of a JSON object; what is not given has its default.

        Raises:
            InputError: a field is unknown or has a value of the wrong kind.
        """
        known = {field.name for field in fields(Settings)}
        for name in values:
            if name not in known:
                raise InputError(f"Unknown setting '{name}'.", f"Known are: {', '.join(sorted(known))}.")
        given = dict(values)
        for name in ("thresholds", "normalise"):
            if name in given:
                if not isinstance(given[name], list | tuple):
                    raise _wrong(name, given[name], "a list")
                given[name] = tuple(given[name])
        return Settings(**given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(name: str, value: object, wanted: str) -> InputError:
    return InputError(f"The setting '{name}' is {value!r}.", f"Give {wanted}.")
