"""A simulated dynamic susceptibility contrast (DSC) series with known truth.

The signal of each tissue in a voxel follows from its own blood volume, and the voxel's signal is their sum:

    C_p = C_a/(1 − Hct)                                  concentration in plasma, mM
    C_t = (ρ/k_H)·CBF·(C_a ⊗ e^(−t/MTT)), CBF = CBV/MTT  in the vessels of tissue, per volume of tissue
    C_x = K^trans·∫C_p·e^(−k_ep(t−τ))dτ                  between the cells (v_e·C_e), per volume of tissue
    R1  = R1₀ + r1·C_t/(1 + τ·r1·C_b) + r1·C_x
    R2* = R2*₀ + r2*_v·(C_t + f_a·C_a + f_v·C_v) + r2*_e·C_x
    S   = S0·sin α·(1 − E1)/(1 − cos α·E1)·e^(−TE·R2*)

The factor on C_t is the slow exchange of water through an intact vessel wall (τ, `Agent.vascular_r1`); without it R1
of grey matter would lose most of the signal drop at 60°, which it does not do in people.

Leakage changes R1 and R2*, so its effect on the apparent blood volume has either sign; it is nowhere prescribed.

f_a and f_v are the shares of large arteries and veins in the voxel. In the static dephasing regime the relaxation of
the tissue around vessels depends on their blood volume and not on their calibre, so large vessels act on the tissue
beside them like its own. The blood inside them gives a signal of its own: fresh blood without saturation (E1 = 0), with
R2* linear and quadratic in C.

Signals are averaged as signals: tissues by their shares, and within a tissue its CBV over the voxel's response by the
two values mean ± standard deviation, which keeps mean and variance. Left out: timing of the slices, distortion and
dropout near air, phase of the arterial signal, exchange of water between compartments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.phantom.dsc_agent import Bolus, CurveTable, Kinetics, agent, mtt_rows
from HierSynthLib.phantom.dsc_disturbance import add_noise, drawn_drift, drawn_motion, move
from HierSynthLib.phantom.dsc_protocol import DscProtocol
from HierSynthLib.phantom.dsc_signal import gradient_echo, saturation
from HierSynthLib.phantom.dsc_tissue import Mixture, Perfusion, Physiology, mix, personal_perfusion
from HierSynthLib.phantom.fields import Array, random_spline, stream
from HierSynthLib.phantom.patient import Patient
from HierSynthLib.phantom.scanner import ImageGrid
from HierSynthLib.progress import Part, Reporter

WHITE_MATTER_LEVEL = 1000.0
"""Signal of white matter before the bolus in the first echo, a.u."""

_ARTERY_DELAY = 0.3  # share of the delay of tissue that has passed when blood is in its artery (design value)
_VEIN_DELAY_S = 1.5  # from tissue to its vein (design value)
_CHUNK_VOXELS = 8_000


@dataclass(frozen=True)
class DscTruth:
    """What is true of a simulated series; maps are (i, j, k) float32 on its grid, averaged over a voxel's response.

    Attributes:
        time_s: (T,) of the frames, from the first.
        arterial_input: (T,) C_a in mM in whole blood, without delay.
        cbv: of tissue and large vessels, ml/100 g.
        cbf: of tissue, ml/100 g/min.
        delay_s: arrival in tissue after `arterial_input`, s; 0 outside the head's blood.
        ktrans: 1/min.
        artery: share of large arteries, 0–1.
        vein: share of large veins, 0–1.
        motion: (T, 4, 4) rigid, RAS mm: first frame → frame.
        drift: (T,) gain.
    """

    time_s: Array
    arterial_input: Array
    cbv: NDArray[np.float32]
    cbf: NDArray[np.float32]
    delay_s: NDArray[np.float32]
    ktrans: NDArray[np.float32]
    artery: NDArray[np.float32]
    vein: NDArray[np.float32]
    motion: Array
    drift: Array


@dataclass(frozen=True)
class DscSimulation:
    """A simulated series.

    Attributes:
        echoes: (i, j, k, T) float32 signal in a.u. of each echo, white matter before the bolus about 1000; whole
            numbers where there is noise.
        te_s: echo time of each echo in s.
        tr_s: time between frames in s.
        flip_deg: flip angle in degrees.
        affine: (4, 4) voxel → RAS mm.
        truth: what a perfect measurement would find.
        facts: protocol and everything that was drawn, as JSON.
    """

    echoes: tuple[NDArray[np.float32], ...]
    te_s: tuple[float, ...]
    tr_s: float
    flip_deg: float
    affine: NDArray[np.float64]
    truth: DscTruth
    facts: dict[str, Any]


def simulate_dsc(
    patient: Patient,
    affine: Array,
    grid: ImageGrid,
    movement: Array,
    protocol: DscProtocol,
    seed: int,
    reporter: Reporter,
    *,
    noise: bool = True,
    motion: bool = False,
    drift: bool = False,
) -> DscSimulation:
    """Return the DSC series of a patient.

    Everything is drawn from `seed` in physical space: the same seed on another grid is the same bolus and physiology.

    Args:
        patient: with "artery", the share of large arteries, among its fractions.
        affine: (4, 4) voxel → RAS mm of the patient's maps in the reference position.
        grid: of the series.
        movement: (4, 4) rigid, reference position → position during the first frame.
        protocol: of the acquisition.
        seed: of the patient.
        reporter: told the progress of "acquisition".
        noise: whether there are Rician noise, rounding to whole numbers and a bias field.
        motion: whether the head moves between frames.
        drift: whether the gain drifts.
    """
    mixture = mix(patient, affine, grid, movement, Part(reporter, 0.0, 0.5))
    physiology = Physiology.drawn(seed, mixture.points)
    perfusion = personal_perfusion(stream(seed, "dsc perfusion"))
    bolus = Bolus.drawn(stream(seed, "dsc bolus"))
    scan = _Scan(patient, mixture, physiology, perfusion, Kinetics(bolus, protocol), protocol)
    echoes = scan.series(Part(reporter, 0.5, 0.75))
    gain = drawn_drift(stream(seed, "dsc drift"), protocol.frames) if drift else np.ones(protocol.frames)
    poses: Array = np.tile(np.eye(4), (protocol.frames, 1, 1))
    if motion:
        poses = drawn_motion(stream(seed, "dsc motion"), protocol.frames, grid.frame[:3, 3])
    bias = np.exp(0.08 * random_spline(stream(seed, "dsc bias"), 80.0).on(grid.axes)) if noise else np.ones(grid.shape)
    disturb = stream(seed, "dsc noise")
    for n, echo in enumerate(echoes):
        part = Part(reporter, 0.75 + 0.25 * n / len(echoes), 0.75 + 0.25 * (n + 1) / len(echoes))
        if motion:
            move(echo, poses, grid, Part(part, 0.0, 0.7))
        np.multiply(echo, bias.astype(np.float32)[..., None], out=echo)
        np.multiply(echo, gain.astype(np.float32), out=echo)
        if noise:
            add_noise(echo, WHITE_MATTER_LEVEL / protocol.snr, disturb, Part(part, 0.7, 1.0))
    facts = {
        "protocol": protocol.as_json(),
        "bolus": {name: round(value, 6) for name, value in asdict(bolus).items()},
        "perfusion": {name: row.as_json() for name, row in perfusion.items()},
        "noise": noise,
        "motion": motion,
        "drift": round(float(gain[-1] - 1), 6),
    }
    truth = scan.truth(poses, gain)
    return DscSimulation(tuple(echoes), protocol.te_s, protocol.tr_s, protocol.flip_deg, grid.affine, truth, facts)


class _Scan:
    """Takes the noise-free series of one person."""

    def __init__(
        self,
        patient: Patient,
        mixture: Mixture,
        physiology: Physiology,
        perfusion: dict[str, Perfusion],
        kinetics: Kinetics,
        protocol: DscProtocol,
    ) -> None:
        self._tissues, self._mixture, self._physiology = patient.tissues, mixture, physiology
        self._perfusion, self._protocol = perfusion, protocol
        self._artery, self._vein, self._residue = kinetics.artery, kinetics.vein, kinetics.tissue()
        self._leakage = {
            name: kinetics.leakage(row.Ktrans / row.v_e / 60, agent().haematocrit)
            for name, row in perfusion.items()
            if row.v_e > 0
        }
        white = patient.tissues["white_matter"]
        self._level = WHITE_MATTER_LEVEL / float(
            gradient_echo(
                white.PD,
                1e3 / white.T1,
                1e3 / perfusion["white_matter"].T2star,
                tr_s=protocol.tr_s,
                te_s=protocol.te_s[0],
                flip_deg=protocol.flip_deg,
            )
        )

    def series(self, reporter: Reporter) -> list[NDArray[np.float32]]:
        """Return the signal of every echo, (i, j, k, T)."""
        mixture, frames = self._mixture, self._protocol.frames
        static = np.float32(self._level) * mixture.static
        echoes = [np.repeat(static[..., None], frames, axis=3) for _ in self._protocol.te_s]
        voxels = np.flatnonzero(mixture.inside)
        for start in range(0, voxels.size, _CHUNK_VOXELS):
            reporter.progress("acquisition", start / voxels.size)
            chosen = slice(start, start + _CHUNK_VOXELS)
            for echo, signal in zip(echoes, self._signals(chosen), strict=True):
                echo.reshape(-1, frames)[voxels[chosen]] += signal
        return echoes

    def truth(self, motion: Array, drift: Array) -> DscTruth:
        """Return the true values; the maps are those of the first frame."""
        mixture, physiology = self._mixture, self._physiology
        zero = np.zeros(physiology.delay_s.size)
        cbf, ktrans = zero.copy(), zero.copy()
        for name, share in mixture.tissues.items():
            own = self._perfusion[name]
            cbf += share.weight * share.cbv / (own.MTT * physiology.transit) * 60
            ktrans += share.weight * own.Ktrans * physiology.leak
        return DscTruth(
            time_s=self._protocol.tr_s * np.arange(self._protocol.frames),
            arterial_input=self._at(self._artery, np.zeros(1))[0],
            cbv=mixture.cbv,
            cbf=self._map(cbf),
            delay_s=self._map(physiology.delay_s),
            ktrans=self._map(ktrans),
            artery=self._map(mixture.vessels["artery"]),
            vein=self._map(mixture.vessels["vein"]),
            motion=motion,
            drift=drift,
        )

    def _map(self, values: Array) -> NDArray[np.float32]:
        result = np.zeros(self._mixture.inside.shape, np.float32)
        result[self._mixture.inside] = values
        return result

    def _at(self, table: CurveTable, delay_s: Array, rows: Array | None = None) -> Array:
        rows = np.zeros(delay_s.size) if rows is None else rows
        return table.at(rows, delay_s, self._protocol.tr_s, self._protocol.frames)

    def _signals(self, chosen: slice) -> list[Array]:
        """Return the signal of the voxels `chosen` in every echo, (n, T)."""
        physiology = self._physiology.part(chosen)
        artery, vein = (self._mixture.vessels[name][chosen, None] for name in ("artery", "vein"))
        C_a = self._at(self._artery, _ARTERY_DELAY * physiology.delay_s)
        C_v = self._at(self._vein, physiology.delay_s + _VEIN_DELAY_S)
        around = artery * C_a + vein * C_v
        totals: list[Array] = [np.zeros(C_a.shape) for _ in self._protocol.te_s]
        for rows, S0, R1, R2star in self._compartments(chosen, physiology, around, C_a, C_v):
            base = S0 * saturation(R1, self._protocol.tr_s, self._protocol.flip_deg)
            for total, te_s in zip(totals, self._protocol.te_s, strict=True):
                total[rows] += base * np.exp(-te_s * R2star)
        return totals

    def _compartments(
        self, chosen: slice, physiology: Physiology, around: Array, C_a: Array, C_v: Array
    ) -> Iterator[tuple[NDArray[np.intp], Array, Array, Array]]:
        """Give the parts of the voxels `chosen`: which voxels (m,), their S0 (m, 1), R1 and R2* (m, T) in 1/s."""
        contrast = agent()
        for name, share in self._mixture.tissues.items():
            rows = np.flatnonzero(share.weight[chosen] > 0)
            if rows.size == 0:
                continue
            weight, cbv, spread = (v[chosen][rows, None] for v in (share.weight, share.cbv, share.spread))
            R1, R2star = 1e3 / self._tissues[name].T1, 1e3 / self._perfusion[name].T2star
            S0 = self._level * self._tissues[name].PD * weight
            passing: Array = np.zeros(around[rows].shape)
            if cbv.any():
                mtt = self._perfusion[name].MTT * physiology.transit[rows]
                passing = self._at(self._residue, physiology.delay_s[rows], mtt_rows(mtt))
            leaked = np.zeros(passing.shape)
            if name in self._leakage:
                rate = self._perfusion[name].Ktrans / 60 * physiology.leak[rows, None]
                leaked = rate * self._at(self._leakage[name], physiology.delay_s[rows])
            outside = contrast.r2star_tissue * around[rows] + physiology.r2star_interstitial[rows, None] * leaked
            r1 = contrast.vascular_r1(passing)
            values = (cbv - spread, cbv + spread) if spread.any() else (cbv,)
            for value in values:
                C_t = contrast.blood_share * value * passing
                yield (
                    rows,
                    S0 / len(values),
                    R1 + r1 * C_t + contrast.r1 * leaked,
                    R2star + contrast.r2star_tissue * C_t + outside,
                )
        linear, quadratic = contrast.r2star_blood
        for name, concentration in (("artery", C_a), ("vein", C_v)):
            weight = self._mixture.vessels[name][chosen]
            rows = np.flatnonzero(weight > 0)
            C = concentration[rows]
            S0 = self._level * self._tissues[name].PD * weight[rows, None]
            R2star = 1e3 / self._perfusion[name].T2star
            # It has left the slice before the next excitation.
            yield rows, S0, np.full((1, 1), np.inf), R2star + linear * C + quadratic * C**2
