"""The tissue table (`tissues.json`) and how one simulated person differs from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

BRAIN = ("grey_matter", "white_matter", "csf")


@dataclass(frozen=True)
class Tissue:
    """What MRI sees of a tissue at 3 T.

    Attributes:
        T1: longitudinal relaxation time in ms.
        T2: transverse relaxation time in ms.
        PD: proton density relative to water.
        ADC: apparent diffusion coefficient in 10⁻³ mm²/s.
        CBV: cerebral blood volume in ml/100 g.
        void: fraction of the signal that flow leaves, 1 where nothing flows.
    """

    T1: float
    T2: float
    PD: float
    ADC: float
    CBV: float
    void: float = 1.0

    def as_json(self) -> dict[str, float]:
        """Return the values rounded to 6 digits, for `case.json`."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


@cache
def _table() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(__file__).with_name("tissues.json")).read_text(encoding="utf-8"))
    return content


def tissue_table() -> dict[str, Tissue]:
    """Return the table of `tissues.json`, where each value's source or its being a design value is stated."""
    return {
        name: Tissue(**{key: float(value) for key, value in row.items() if key != "design"})
        for name, row in _table()["tissues"].items()
    }


def hotspot_cbv() -> float:
    """Return the CBV in ml/100 g at the centre of a hotspot (a design value)."""
    return float(_table()["hotspot_CBV"])


def personal_tissues(rng: np.random.Generator) -> dict[str, Tissue]:
    """Return the table for one person: relaxation and diffusion vary by 3 %, CBV by 8 % (brain) or 25 % (lesion).

    The CBV factors are drawn independently of the structural ones, so a lesion's mean CBV cannot be read from its
    signal. Grey and white matter share most of their CBV factor (it is the person's haematocrit and age), which keeps
    their ratio near 2.
    """
    person = {}
    shared = rng.normal(0.0, 0.08)
    for name, tissue in tissue_table().items():
        t1, t2, adc, cbv = rng.normal(0.0, 1.0, 4)
        spread = 0.04 if name in BRAIN else 0.25
        factor = 1.0 if name in ("artery", "vein") else float(np.exp(shared + spread * cbv))
        person[name] = replace(
            tissue,
            T1=tissue.T1 * (1 + 0.03 * t1),
            T2=tissue.T2 * (1 + 0.03 * t2),
            ADC=tissue.ADC * (1 + 0.03 * adc),
            CBV=tissue.CBV * factor,
        )
    return person
