"""The contrast agent: how it arrives, passes through tissue, leaks, and relaxes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

from HierSynthLib.phantom.dsc_protocol import DscProtocol
from HierSynthLib.phantom.fields import Array

_STEP_S = 0.1  # about the step of the time axis on which curves are computed
_EARLY_S = 10.0  # how long before the series the curves begin: longer than any delay
_MTT_S = (0.5, 30.0)
_MTT_ROWS = 64


@cache
def dsc_table() -> dict[str, Any]:
    """Return `dsc.json`, where each value's source or its being a design value is stated."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("dsc.json").read_text(encoding="utf-8"))
    return content


@dataclass(frozen=True)
class Agent:
    """Relaxivities and distribution of the contrast agent at 3 T.

    Attributes:
        r1: longitudinal relaxivity, 1/(mM·s).
        r2star_tissue: of agent in the vessels of tissue, on the tissue around them, 1/(mM·s).
        r2star_interstitial: smallest and largest of agent between cells, 1/(mM·s); their packing decides.
        r2star_blood: of agent in blood on the blood itself: linear 1/(mM·s) and quadratic 1/(mM²·s) coefficient.
        vascular_water_s: how long water stays in a capillary, s; 0 where it leaves at once.
        haematocrit: of large vessels.
        haematocrit_factor: k_H = (1 − Hct large)/(1 − Hct small).
        density: ρ of brain tissue, g/ml.
    """

    r1: float
    r2star_tissue: float
    r2star_interstitial: tuple[float, float]
    r2star_blood: tuple[float, float]
    vascular_water_s: float
    haematocrit: float
    haematocrit_factor: float
    density: float

    @property
    def blood_share(self) -> float:
        """Concentration in tissue per concentration in the artery and per ml/100 g of CBV: ρ/k_H/100."""
        return self.density / self.haematocrit_factor / 100

    def vascular_r1(self, passing: Array) -> Array:
        """Return r1 as the water of tissue feels it of agent that stays in the vessels, 1/(mM·s).

        Water feels it only while it is in a capillary. Between two pools of which one is small, with residence time τ
        in it, r1 becomes r1/(1 + τ·r1·C_b); τ = 0 is fast exchange, the r1 of leaked agent.

        Args:
            passing: C_a ⊗ e^(−t/MTT)/MTT in mM; C_b in the capillaries is 1/k_H of it.
        """
        return self.r1 / (1 + self.vascular_water_s * self.r1 / self.haematocrit_factor * passing)


@cache
def agent() -> Agent:
    """Return the contrast agent of `dsc.json`."""
    row = dsc_table()["contrast_agent"]
    return Agent(
        r1=row["r1"],
        r2star_tissue=row["r2star_tissue"],
        r2star_interstitial=tuple(row["r2star_interstitial"]),
        r2star_blood=(row["r2star_blood_linear"], row["r2star_blood_quadratic"]),
        vascular_water_s=row["vascular_water_s"],
        haematocrit=row["haematocrit"],
        haematocrit_factor=row["haematocrit_factor"],
        density=row["density_g_per_ml"],
    )


@dataclass(frozen=True)
class Bolus:
    """One injection, C0·(t − t0)^r·e^(−(t − t0)/b) in the artery.

    Attributes:
        peak: largest concentration in whole arterial blood, C0·(r·b)^r·e^(−r), mM.
        r: shape.
        b_s: width in s.
        t0_s: arrival in s after the first frame.
    """

    peak: float
    r: float
    b_s: float
    t0_s: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Bolus:
        """Draw one person's bolus: injection and heart differ (design values)."""
        row = dsc_table()["bolus"]
        dose, width, start = rng.normal(0.0, 1.0, 3).clip(-2, 2)
        return cls(
            peak=row["peak"] * float(np.exp(0.10 * dose)),
            r=row["r"],
            b_s=row["b_s"] * float(np.exp(0.08 * width)),
            t0_s=row["t0_s"] + float(start),
        )

    def first_pass(self, times: Array) -> Array:
        """Return the concentration in mM at `times` (n,) in s, without recirculation."""
        since = np.maximum(times - self.t0_s, 0.0) / (self.r * self.b_s)
        result: Array = self.peak * since**self.r * np.exp(self.r * (1 - since))
        return result


def convolved(curve: Array, decay_s: float, step_s: float) -> Array:
    """Return ∫curve(τ)·e^(−(t − τ)/decay) dτ, exact where `curve` (n,) is linear between its samples."""
    x = step_s / decay_s
    keep = np.exp(-x)
    # ∫ of a line times an exponential over one step; the series avoids the difference of nearly equal numbers.
    whole = -np.expm1(-x)
    now = 1 - whole / x if x > 1e-4 else x / 2 - x**2 / 6
    result: Array = lfilter([decay_s * now, decay_s * (whole - now)], [1.0, -keep], curve)
    return result


@dataclass(frozen=True)
class CurveTable:
    """Curves on an even time axis, looked up with a delay.

    Attributes:
        values: (m, n), one curve per row.
        start_s: time of the first column.
        step_s: between columns; the time between frames is a whole number of them.
    """

    values: Array
    start_s: float
    step_s: float

    def at(self, rows: Array, delay_s: Array, tr_s: float, frames: int) -> Array:
        """Return the curves at the frames, (v, frames), linearly interpolated between rows and in time.

        Args:
            rows: (v,) fractional row of each voxel.
            delay_s: (v,) time by which its curve comes later, s.
            tr_s: time between frames.
            frames: their number; the first is at time 0.
        """
        low = np.clip(rows.astype(np.intp), 0, max(self.values.shape[0] - 2, 0))
        high = np.minimum(low + 1, self.values.shape[0] - 1)
        between = (rows - low)[:, None]
        position = (-delay_s - self.start_s) / self.step_s
        first = np.floor(position).astype(np.intp)
        late = (position - first)[:, None]
        columns = first[:, None] + round(tr_s / self.step_s) * np.arange(frames)
        result = np.zeros(columns.shape)
        for row, share in ((low, 1 - between), (high, between)):
            for shift, weight in ((0, 1 - late), (1, late)):
                result += share * weight * self.values[row[:, None], columns + shift]
        return result


class Kinetics:
    """The curves of one injection: artery, vein, tissue of any MTT, leakage of any k_ep."""

    def __init__(self, bolus: Bolus, protocol: DscProtocol) -> None:
        """Compute the arterial concentration of bolus and preload, with recirculation."""
        table = dsc_table()["bolus"]
        self._step = protocol.tr_s / round(protocol.tr_s / _STEP_S)
        before = _EARLY_S + (protocol.preload_lead_s if protocol.preload_dose > 0 else 0.0)
        self._times = np.arange(-np.ceil(before / self._step), protocol.frames * protocol.tr_s / self._step + 2)
        self._times *= self._step
        first = self._injections(bolus, protocol, 0.0)
        self._artery = first.copy()
        for wave in table["recirculation"]:
            # A share of the first pass comes back later and spread out.
            again = self._injections(bolus, protocol, wave["delay_s"])
            self._artery += wave["share"] / wave["decay_s"] * convolved(again, wave["decay_s"], self._step)
        self._vein_mtt = float(table["vein_mtt_s"])

    def _injections(self, bolus: Bolus, protocol: DscProtocol, later_s: float) -> Array:
        times = self._times - later_s
        preload = bolus.first_pass(times + protocol.preload_lead_s)
        return protocol.dose * bolus.first_pass(times) + protocol.preload_dose * preload

    def _table(self, curves: list[Array]) -> CurveTable:
        kept = self._times >= -_EARLY_S - self._step
        return CurveTable(np.stack(curves)[:, kept], float(self._times[kept][0]), self._step)

    @property
    def artery(self) -> CurveTable:
        """C_a, mM in whole blood; one row."""
        return self._table([self._artery])

    @property
    def vein(self) -> CurveTable:
        """C_a after its passage through the tissue in front of the vein, mM; one row."""
        return self._table([convolved(self._artery, self._vein_mtt, self._step) / self._vein_mtt])

    def tissue(self) -> CurveTable:
        """Return C_a ⊗ e^(−t/MTT)/MTT in mM for the rows of `mtt_rows`; C_t is (ρ/k_H)·CBV times it."""
        times = np.geomspace(*_MTT_S, _MTT_ROWS)
        return self._table([convolved(self._artery, mtt, self._step) / mtt for mtt in times])

    def leakage(self, k_ep: float, haematocrit: float) -> CurveTable:
        """Return ∫C_p·e^(−k_ep·(t − τ))dτ in mM·s, with C_p = C_a/(1 − Hct); v_e·C_e is K^trans times it.

        Args:
            k_ep: rate K^trans/v_e in 1/s.
            haematocrit: of large vessels.
        """
        return self._table([convolved(self._artery / (1 - haematocrit), 1 / k_ep, self._step)])


def mtt_rows(mtt_s: Array) -> Array:
    """Return the fractional rows of `Kinetics.tissue` for `mtt_s` in s (0.5–30 s)."""
    low, high = np.log(_MTT_S)
    result: Array = (np.log(mtt_s) - low) / (high - low) * (_MTT_ROWS - 1)
    return result
