"""What a DSC series sees of a person: perfusion of the tissues, and what every voxel of the series contains."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.phantom.dsc_agent import agent, dsc_table
from HierSynthLib.phantom.fields import Array, random_spline, stream
from HierSynthLib.phantom.patient import Patient
from HierSynthLib.phantom.scanner import ImageGrid, Sampler
from HierSynthLib.progress import Reporter

VESSELS = ("artery", "vein")
FWHM_VOXELS = 1.3
"""In-plane response of the echo train and the voxel together, full width in voxels (design value)."""

_STATIC_SHARE = 0.3  # fat-suppressed scalp and short T2* leave this much of the spin-echo signal b0 (design value)
_MARGIN_MM = 12.0
_SLAB_VOXELS = 100_000
_LEAST_SHARE = 1e-3  # of a voxel: a tissue below it is left out of the voxel
_MOST_HETEROGENEITY = 6.0


@dataclass(frozen=True)
class Perfusion:
    """Perfusion of one tissue; CBV is the patient's own, voxel by voxel.

    Attributes:
        T2star: ms.
        MTT: mean transit time in s.
        Ktrans: volume transfer constant in 1/min.
        v_e: interstitial fraction of the tissue's volume, 0–1.
    """

    T2star: float
    MTT: float
    Ktrans: float
    v_e: float

    def as_json(self) -> dict[str, float]:
        """Return the values rounded to 6 digits, for `case.json`."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def perfusion_table() -> dict[str, Perfusion]:
    """Return the table of `dsc.json`, where each value's source or its being a design value is stated."""
    return {
        name: Perfusion(**{key: float(value) for key, value in row.items() if key != "design"})
        for name, row in dsc_table()["tissues"].items()
    }


def personal_perfusion(rng: np.random.Generator) -> dict[str, Perfusion]:
    """Return the table for one person: T2* varies by 5 %, MTT by 8 % (all tissues together), K^trans and v_e by 25 %.

    K^trans and v_e vary together, because both grow with the leaky surface; their ratio k_ep stays.
    """
    person = {}
    transit = float(np.exp(0.08 * rng.normal()))
    for name, row in perfusion_table().items():
        relaxation, leak = np.exp([0.05, 0.25] * rng.normal(0.0, 1.0, 2).clip(-2, 2)).tolist()
        leak = min(leak, 0.9 / row.v_e) if row.v_e else leak
        person[name] = Perfusion(row.T2star * relaxation, row.MTT * transit, row.Ktrans * leak, row.v_e * leak)
    return person


@dataclass(frozen=True)
class Share:
    """One tissue in the voxels of a series.

    Attributes:
        weight: (v,) share of the voxel's signal response, 0–1.
        cbv: (v,) mean CBV of the tissue over that response, ml/100 g.
        spread: (v,) standard deviation of its CBV within the response, ml/100 g.
    """

    weight: Array
    cbv: Array
    spread: Array


@dataclass(frozen=True)
class Mixture:
    """What the voxels of a series contain; v of them hold brain or blood.

    Attributes:
        inside: (i, j, k) which voxels these are.
        points: (3, v) where they lie in the patient, frame mm.
        tissues: without the vessels.
        vessels: share of large arteries and of veins, (v,) each.
        static: (i, j, k) signal without contrast agent: scalp, skull, face.
        cbv: (i, j, k) true CBV of tissue and vessels over the response, ml/100 g.
    """

    inside: NDArray[np.bool_]
    points: Array
    tissues: dict[str, Share]
    vessels: dict[str, Array]
    static: NDArray[np.float32]
    cbv: NDArray[np.float32]


@dataclass(frozen=True)
class Physiology:
    """What varies smoothly through a person, at v points; every field has its own random stream.

    Attributes:
        delay_s: arrival in tissue after the reference artery, 0–3 s; large arteries are earlier, veins later.
        transit: factor on MTT.
        leak: factor on K^trans and v_e.
        r2star_interstitial: relaxivity of leaked agent, 1/(mM·s); high where cells are densely packed.
    """

    delay_s: Array
    transit: Array
    leak: Array
    r2star_interstitial: Array

    @classmethod
    def drawn(cls, seed: int, points: Array) -> Physiology:
        """Draw the fields of the person of `seed` at frame `points` (3, v) in mm; scales are design values."""

        def field(name: str, step_mm: float) -> Array:
            return random_spline(stream(seed, f"dsc {name}"), step_mm).at(points)

        low, high = agent().r2star_interstitial
        packing = np.clip(0.5 + 0.35 * field("interstitial relaxivity", 10.0), 0, 1)
        return cls(
            delay_s=np.clip(1.0 + 0.5 * field("delay", 45.0), 0.0, 3.0),
            transit=np.exp(0.12 * field("transit", 15.0).clip(-3, 3)),
            leak=np.exp(0.3 * field("leakage", 8.0).clip(-2, 2)),
            r2star_interstitial=low * (high / low) ** packing,
        )

    def part(self, chosen: slice) -> Physiology:
        """Return the fields at some of the points."""
        return Physiology(
            self.delay_s[chosen], self.transit[chosen], self.leak[chosen], self.r2star_interstitial[chosen]
        )


def mix(patient: Patient, affine: Array, grid: ImageGrid, movement: Array, reporter: Reporter) -> Mixture:
    """Return what every voxel of `grid` contains.

    The scanner adds up signals, not concentrations. Of each tissue three numbers are therefore kept per voxel: its
    share, and mean and standard deviation of its CBV over the voxel's response (in-plane Gaussian, rectangular slice).

    Args:
        patient: with the fractions "artery" and "vessel" (arteries and veins).
        affine: (4, 4) voxel → RAS mm of the patient's grid in the reference position.
        grid: of the series.
        movement: (4, 4) rigid, reference position → position during the series.
        reporter: told the progress of "acquisition".
    """
    measure = _Measure(patient, affine, grid, movement, reporter)
    blood = patient.fractions["vessel"].astype(np.float64)
    artery = np.minimum(patient.fractions["artery"], blood)
    beside = 1 - blood
    names = [name for name in perfusion_table() if name in patient.fractions and name not in VESSELS]
    heterogeneity = _heterogeneity(patient, names, blood)
    maps: dict[str, list[NDArray[np.float32]]] = {}
    for name in names:
        weight = patient.fractions[name] * beside
        level = patient.tissues[name].CBV
        if level == 0:
            maps[name] = [measure(weight)]
        else:
            own = level * heterogeneity
            maps[name] = [measure(weight), measure(weight * own), measure(weight * own**2)]
    vessels = {"artery": measure(artery), "vein": measure(blood - artery)}
    static = measure(_STATIC_SHARE * patient.signals["b0"] * (1 - patient.fractions["brain"]) * beside)
    cbv = measure(patient.cbv)
    total = sum(parts[0] for parts in maps.values()) + vessels["artery"] + vessels["vein"]
    inside = np.asarray(total) > 0.01
    return Mixture(
        inside,
        _frame_points(patient.cbv.shape, affine, grid, movement, inside),
        {name: _share([part[inside] for part in parts]) for name, parts in maps.items()},
        {name: whole[inside].astype(np.float64) for name, whole in vessels.items()},
        static,
        cbv,
    )


def _heterogeneity(patient: Patient, names: list[str], blood: Array) -> Array:
    """Return the factor on the table's CBV, (i, j, k), with which the tissues of a voxel have its true CBV together."""
    expected = sum(patient.fractions[name] * patient.tissues[name].CBV for name in names)
    full = patient.tissues["artery"].CBV
    own = (patient.cbv - full * blood) / np.maximum(1 - blood, 1e-3)
    usable = (expected > 1e-3) & (blood < 0.999)
    factor: Array = np.where(usable, own / np.where(usable, expected, 1.0), 1.0)
    return factor.clip(0.0, _MOST_HETEROGENEITY, out=factor)


def _share(parts: list[NDArray[np.float32]]) -> Share:
    weight = parts[0].astype(np.float64)
    if len(parts) == 1:
        return Share(weight, np.zeros(weight.size), np.zeros(weight.size))
    present = weight > _LEAST_SHARE
    safe = np.where(present, weight, 1.0)
    mean, square = (np.where(present, part / safe, 0.0) for part in parts[1:])
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    return Share(np.where(present, weight, 0.0), mean, np.minimum(spread, mean))


def _frame_points(
    shape: tuple[int, ...], affine: Array, grid: ImageGrid, movement: Array, inside: NDArray[np.bool_]
) -> Array:
    """Return where the voxels `inside` lie in the patient's frame, (3, v) mm from its centre."""
    to_reference = np.linalg.inv(movement @ affine) @ grid.affine
    index = to_reference[:3, :3] @ np.argwhere(inside).T + to_reference[:3, 3:]
    middle = (np.array(shape)[:, None] - 1) / 2
    result: Array = (index - middle) * np.linalg.norm(affine[:3, 0])
    return result


class _Measure:
    """Averages maps of the patient over the response of every voxel of the series."""

    def __init__(self, patient: Patient, affine: Array, grid: ImageGrid, movement: Array, reporter: Reporter) -> None:
        self._step = float(np.linalg.norm(affine[:3, 0]))
        # The blur runs along the patient's grid, from whose axes those of the series differ by a few degrees only.
        self._sigma = [FWHM_VOXELS / 2.3548 * spacing / self._step for spacing in grid.spacing[:2]]
        self._affine, self._grid, self._movement = affine, grid, movement
        self._reporter = reporter
        self._done = 0
        self._expected = 8 + 3 * sum(name in patient.fractions for name in perfusion_table())

    def __call__(self, values: Array) -> NDArray[np.float32]:
        self._reporter.progress("acquisition", min(self._done / self._expected, 1.0))
        self._done += 1
        result = np.zeros(self._grid.shape, np.float32)
        box = _box(values != 0, int(np.ceil(_MARGIN_MM / self._step)))
        if box is None:
            return result
        part = values[box].astype(np.float32)
        for axis in range(2):
            part = ndimage.gaussian_filter1d(part, self._sigma[axis], axis=axis, truncate=3.0, mode="constant")
        corner = np.eye(4)
        corner[:3, 3] = [side.start for side in box]
        sampler = Sampler(self._affine @ corner, self._grid, self._movement, in_plane_parts=1)
        for slab in self._grid.axes.slabs(_SLAB_VOXELS, 1):
            self._reporter.progress("acquisition", min(self._done / self._expected, 1.0))
            result[slab] = sampler.planes(part, slab)
        return result


def _box(used: NDArray[np.bool_], margin: int) -> tuple[slice, slice, slice] | None:
    """Return the box around the voxels `used` with a margin, inside the array; None where there are none."""
    sides = []
    for axis in range(3):
        found = np.flatnonzero(used.any(axis=tuple(other for other in range(3) if other != axis)))
        if found.size == 0:
            return None
        sides.append(slice(max(int(found[0]) - margin, 0), min(int(found[-1]) + margin + 1, used.shape[axis])))
    return sides[0], sides[1], sides[2]
