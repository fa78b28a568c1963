"""One simulated person on the fine grid: what every sequence would see without noise, and the true CBV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.phantom.anatomy import Anatomy
from HierSynthLib.phantom.brain import Brain, hull_distance
from HierSynthLib.phantom.deformation import LATTICE_MM, Deformation, random_deformation
from HierSynthLib.phantom.fields import Array, Axes, Spline, lattice_axes, random_spline, stream
from HierSynthLib.phantom.head import Head
from HierSynthLib.phantom.lesion import PARTS, Lesion, LesionPlan, infiltrate, plan_lesion
from HierSynthLib.phantom.signal import PROTOCOLS, block_mean, diffusion_weighted, sequence_signal
from HierSynthLib.phantom.tissue import Tissue, hotspot_cbv, personal_tissues, tissue_table
from HierSynthLib.phantom.vessels import draw_vessels, stamp
from HierSynthLib.progress import Reporter

IMAGES = ("T1", "T2", "FLAIR", "b0", "b1000")
_SLAB_VOXELS = 250_000  # keeps every intermediate array in the cache
_AROUND_BRAIN_MM = 3.0
_HOTSPOT_ADC_DROP = 0.09  # by design, within the range published for enhancing tumour
_CBV_SPREAD = {
    "grey_matter": 0.22, "white_matter": 0.16, "oedema": 0.25, "enhancing": 0.32, "low_grade": 0.28, "necrosis": 0.3,
}  # fmt: skip
"""Standard deviation of the logarithm of CBV within a tissue, independent of everything structural; by design."""


@dataclass(frozen=True)
class Patient:
    """A person.

    Attributes:
        signals: noise-free signal of each of `IMAGES`, (i, j, k) on the reference grid.
        cbv: true CBV in ml/100 g on the reference grid.
        fractions: on the reference grid: tissues, "brain" (all inside the brain with its ventricles, sulci and lesion),
            "vessel" (arteries and veins), "artery", and "cbv_heterogeneity", the field (standard deviation 1, in the
            brain) behind the part of CBV that no structural sequence shows.
        deformation: frame → template.
        plan: place and size of the lesion.
        lesion_centre: frame mm.
        tissues: this person's tissue table.
    """

    signals: dict[str, Array]
    cbv: Array
    fractions: dict[str, NDArray[np.float32]]
    deformation: Deformation
    plan: LesionPlan
    lesion_centre: Array
    tissues: dict[str, Tissue]


def simulate(anatomy: Anatomy, axes: Axes, parts: int, seed: int, grade: str, reporter: Reporter) -> Patient:
    """Simulate the person of `seed` with a lesion of `grade`.

    Args:
        anatomy: the template.
        axes: the fine grid on which tissue is simulated, frame mm; its counts are multiples of `parts`.
        parts: fine voxels per voxel of the reference grid along each axis; their mean is what is returned.
        seed: whole number from 0.
        grade: see `GRADES`.
        reporter: told the progress of "anatomy" (the shapes) and "tissue" (their signals and CBV).
    """
    reporter.progress("anatomy", 0.0)
    person = _Person.drawn(anatomy, seed, grade)
    reporter.progress("anatomy", 0.05)
    arteries, veins = draw_vessels(anatomy, person.deformation, stream(seed, "vessels"))
    reporter.progress("anatomy", 0.10)
    artery = stamp(arteries, axes)
    vein = stamp(veins, axes)
    reporter.progress("anatomy", 0.15)

    coarse = tuple(n // parts for n in axes.shape)
    signals: dict[str, Array] = {name: np.zeros(coarse) for name in IMAGES}
    cbv = np.zeros(coarse)
    names = ["grey_matter", "white_matter", "csf", "brain", "vessel", "artery", "cbv_heterogeneity"]
    names += list(PARTS) if grade != "none" else []
    fractions = {name: np.zeros(coarse, np.float32) for name in names}
    for slab in axes.slabs(_SLAB_VOXELS, parts):
        reporter.progress("tissue", 0.15 + 0.85 * slab.start / axes.shape[0])
        part = axes.crop((slab, slice(None), slice(None)))
        target = slice(slab.start // parts, slab.stop // parts)
        fine_signals, fine_cbv, fields = person.on(part, artery[slab], vein[slab])
        cbv[target] = block_mean(fine_cbv, (parts, parts, parts))
        for whole, fine in ((signals, fine_signals), (fractions, fields)):
            for name, values in fine.items():
                whole[name][target] = block_mean(values, (parts, parts, parts))
    reporter.progress("tissue", 1.0)
    return Patient(signals, cbv, fractions, person.deformation, person.plan, person.lesion_centre, person.tissues)


@dataclass(frozen=True)
class _Person:
    """Everything drawn for one person, independent of any grid."""

    plan: LesionPlan
    lesion_centre: Array
    deformation: Deformation
    hull: Spline
    brain: Brain
    head: Head
    lesion: Lesion | None
    tissues: dict[str, Tissue]
    scalp_texture: Spline
    relaxation: tuple[tuple[Spline, Spline], ...]
    blood_volume: tuple[tuple[float, Spline], ...]

    @classmethod
    def drawn(cls, anatomy: Anatomy, seed: int, grade: str) -> _Person:
        plan = plan_lesion(anatomy, grade, seed)
        deformation = random_deformation(stream(seed, "shape"))
        centre = deformation.to_frame(plan.template_centre[:, None])[:, 0]
        if grade != "none":
            deformation = _with_mass_effect(anatomy, deformation, plan, centre, seed)
        hull = hull_distance(anatomy, deformation)
        relaxation, blood = stream(seed, "relaxation"), stream(seed, "blood volume")
        return cls(
            plan,
            centre,
            deformation,
            hull,
            Brain.drawn(anatomy, deformation, seed),
            Head.drawn(deformation, hull, seed),
            None if grade == "none" else Lesion.drawn(plan, centre, seed),
            personal_tissues(stream(seed, "tissues")),
            random_spline(stream(seed, "scalp"), 5.0),
            tuple((random_spline(relaxation, 30.0), random_spline(relaxation, 3.0)) for _ in range(3)),
            tuple((weight, random_spline(blood, step)) for step, weight in ((18.0, 0.61), (7.0, 0.44), (2.5, 0.66))),
        )

    def on(self, axes: Axes, artery: Array, vein: Array) -> tuple[dict[str, Array], Array, dict[str, Array]]:
        """Return the signals, the CBV and the fractions on a part of the fine grid with the given vessel fractions."""
        signals: dict[str, Array] = {name: np.zeros(axes.shape) for name in IMAGES}
        cbv: Array = np.zeros(axes.shape)
        fields: dict[str, Array] = {"vessel": 1 - (1 - artery) * (1 - vein), "artery": artery}
        inside = self.hull.on(axes) < _AROUND_BRAIN_MM
        space = np.ones(axes.shape)
        if inside.any():
            fractions, brain, hot = self._brain(axes, inside)
            space[inside] -= brain
            field = sum(weight * spline.on(axes)[inside] for weight, spline in self.blood_volume)
            self._brain_signals(axes, inside, fractions, hot, signals)
            cbv[inside] = _tissue_cbv(fractions, hot, np.asarray(field), self.tissues)
            for name, values in {**fractions, "brain": brain, "cbv_heterogeneity": field * brain}.items():
                fields[name] = np.zeros(axes.shape)
                fields[name][inside] = values
        self._head_signals(axes, space, signals)
        for name, vessel in (("artery", artery), ("vein", vein)):
            blood = _signals_of(self.tissues[name], 1.0, 1.0, 1.0)
            for image in IMAGES:
                signals[image] += vessel * (blood[image] - signals[image])
            cbv += vessel * (self.tissues[name].CBV - cbv)
        return signals, cbv, fields

    def _brain(self, axes: Axes, inside: NDArray[np.bool_]) -> tuple[dict[str, Array], Array, Array]:
        fractions, brain = self.brain.fractions(axes, inside)
        hot = np.zeros(brain.size)
        if self.lesion is None:
            return fractions, brain, hot
        box = axes.box_around(self.lesion_centre, self.lesion.reach)
        names = [name for name in PARTS if (name == "low_grade") == (self.plan.grade == "low")]
        wishes: dict[str, Array] = {name: np.zeros(brain.size) for name in names}
        if all(side.stop > side.start for side in box):
            shape, hotspots = self.lesion.shape(axes.crop(box))
            for name, values in (*shape.items(), ("hot", hotspots)):
                whole = np.zeros(axes.shape)
                whole[box] = values
                if name == "hot":
                    hot = whole[inside]
                else:
                    wishes[name] = whole[inside]
        return infiltrate(fractions, wishes), brain, hot

    def _brain_signals(
        self,
        axes: Axes,
        inside: NDArray[np.bool_],
        fractions: dict[str, Array],
        hot: Array,
        signals: dict[str, Array],
    ) -> None:
        factors = [
            1 + 0.02 * wide.on(axes)[inside] + amount * fine.on(axes)[inside]
            for (wide, fine), amount in zip(self.relaxation, (0.015, 0.02, 0.03), strict=True)
        ]
        total = {name: np.zeros(factors[0].size) for name in signals}
        for tissue, fraction in fractions.items():
            used = np.flatnonzero(fraction > 1e-6)
            if used.size == 0:
                continue
            t1, t2, adc = (f[used] for f in factors)
            if tissue == "enhancing":  # dense cells: the part of a hotspot that the structural images show
                adc = adc * (1 - _HOTSPOT_ADC_DROP * hot[used])
            own = _signals_of(self.tissues[tissue], t1, t2, adc)
            for name, values in total.items():
                values[used] += fraction[used] * own[name]
        for name, values in total.items():
            signals[name][inside] += values

    def _head_signals(self, axes: Axes, space: Array, signals: dict[str, Array]) -> None:
        inside, fractions = self.head.fractions(axes)
        weight = space[inside] * (1 + 0.06 * self.scalp_texture.on(axes)[inside])
        pure = {tissue: _signals_of(self.tissues[tissue], 1.0, 1.0, 1.0) for tissue in fractions}
        for name, signal in signals.items():
            signal[inside] += weight * sum(fraction * pure[tissue][name] for tissue, fraction in fractions.items())


def _with_mass_effect(
    anatomy: Anatomy, deformation: Deformation, plan: LesionPlan, centre: Array, seed: int
) -> Deformation:
    nodes = lattice_axes(LATTICE_MM).points()
    depth = -anatomy.hull.at(deformation.to_template(nodes), "nearest")
    at_skull = 1 - np.clip(depth / 14.0, 0, 1)
    strength = float(stream(seed, "mass effect").uniform(0.1, 0.5)) * (1.0 if plan.grade == "high" else 0.7)
    return deformation.pushed_away_from(centre, 1.1 * plan.radius + 4, strength, at_skull)


def _signals_of(tissue: Tissue, t1: Any, t2: Any, adc: Any) -> dict[str, Any]:
    """Return the signals of a tissue whose T1, T2 and ADC are multiplied by the given factors."""
    T1, T2 = tissue.T1 * t1, tissue.T2 * t2
    result = {name: tissue.void * sequence_signal(PROTOCOLS[name], tissue.PD, T1, T2) for name in ("T1", "T2", "FLAIR")}
    result["b0"] = tissue.void * sequence_signal(PROTOCOLS["DWI"], tissue.PD, T1, T2)
    result["b1000"] = diffusion_weighted(result["b0"], tissue.ADC * adc)
    return result


def _tissue_cbv(fractions: dict[str, Array], hot: Array, field: Array, tissues: dict[str, Tissue]) -> Array:
    """Return CBV in ml/100 g, with log-normal heterogeneity of mean 1."""
    total = np.zeros(field.size)
    for name, spread in _CBV_SPREAD.items():
        if name in fractions:
            level = tissues[name].CBV * (
                1 + (hotspot_cbv() / tissue_table()["enhancing"].CBV - 1) * hot * (name == "enhancing")
            )
            total += fractions[name] * level * np.exp(spread * field - spread**2 / 2)
    return total
