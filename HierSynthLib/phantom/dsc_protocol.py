"""How a DSC series is acquired."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from HierSynthLib.errors import InputError

DSC_SPACING_MM = (1.8, 1.8, 5.0)
"""Voxel of the series (design value): 128 in-plane steps over 230 mm and slices of 5 mm."""


@dataclass(frozen=True)
class DscProtocol:
    """Timing, flip angle, contrast agent and noise of a DSC series.

    The defaults are the consensus acquisition at 3 T (Boxerman 2020, PMC7523451: flip 60°, TE 20–35 ms) without its
    preload, which is the harder case for leakage correction.

    Attributes:
        te_s: echo time of each echo in s, rising; one or two.
        tr_s: repetition time, which is also the time between frames, in s.
        flip_deg: flip angle in degrees.
        frames: number of frames.
        dose: of the bolus, relative to the dose behind the table's `peak`.
        preload_dose: injected before the series, relative to the same; 0 for none.
        preload_lead_s: time from the preload to the bolus in s (design value).
        snr: mean signal of white matter before the bolus over the standard deviation of the noise in the real and the
            imaginary part, first echo (design value).
    """

    te_s: tuple[float, ...] = (0.030,)
    tr_s: float = 1.5
    flip_deg: float = 60.0
    frames: int = 90
    dose: float = 1.0
    preload_dose: float = 0.0
    preload_lead_s: float = 300.0
    snr: float = 80.0

    def __post_init__(self) -> None:
        """Refuse what no scanner does.

        Raises:
            InputError: a value is out of range.
        """
        if len(self.te_s) not in (1, 2) or list(self.te_s) != sorted(set(self.te_s)):
            raise InputError("A DSC series has one echo time or two that rise.", "Give for example (0.014, 0.040).")
        ranges = {
            "te_s": (self.te_s[0], 0.001, 0.2),
            "last te_s": (self.te_s[-1], 0.001, 0.2),
            "tr_s": (self.tr_s, 0.1, 6.0),
            "flip_deg": (self.flip_deg, 1.0, 90.0),
            "frames": (self.frames, 20, 1000),
            "dose": (self.dose, 0.0, 3.0),
            "preload_dose": (self.preload_dose, 0.0, 3.0),
            "preload_lead_s": (self.preload_lead_s, 60.0, 1200.0),
            "snr": (self.snr, 1.0, 10_000.0),
        }
        for name, (value, low, high) in ranges.items():
            if not (math.isfinite(value) and low <= value <= high):
                raise InputError(f"{name} = {value} of the DSC protocol is out of range.", f"Choose {low} to {high}.")

    def as_json(self) -> dict[str, Any]:
        """Return the values for `case.json`."""
        return {**asdict(self), "te_s": list(self.te_s)}


DSC_PROTOCOLS = {
    "no-preload": DscProtocol(),
    "preload": DscProtocol(preload_dose=1.0),  # consensus, PMC7523451
    "low-flip-angle": DscProtocol(flip_deg=30.0),  # its alternative: single dose, no preload
    "dual-echo": DscProtocol(te_s=(0.014, 0.040)),
}
"""By name, as the command line knows them."""

DEFAULT_PROTOCOL = "no-preload"


def named_protocol(name: str) -> DscProtocol:
    """One of `DSC_PROTOCOLS`.

    Raises:
        InputError: there is no such protocol.
    """
    if name not in DSC_PROTOCOLS:
        raise InputError(f"The DSC protocol '{name}' is unknown.", f"Choose one of: {', '.join(DSC_PROTOCOLS)}.")
    return DSC_PROTOCOLS[name]
