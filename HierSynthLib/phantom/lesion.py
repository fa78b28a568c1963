"""Tumours by grade: where they grow, their parts, and the oedema around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from HierSynthLib.case import REFERENCE_LABEL
from HierSynthLib.phantom.anatomy import Anatomy
from HierSynthLib.phantom.deformation import rotation
from HierSynthLib.phantom.fields import Array, Axes, Spline, random_spline, stream

GRADES = ("high", "low", "none")
LABELS = {1: "enhancing", 2: "necrosis", 3: "oedema", 4: REFERENCE_LABEL, 5: "non-enhancing tumour"}
PARTS = {"enhancing": 1, "necrosis": 2, "oedema": 3, "low_grade": 5}
"""Tissue of a lesion → its label. The tumour of grade "low" has one part, the non-enhancing tumour."""

# How much of grey matter, white matter and CSF the low-grade tumour and the oedema replace: both follow white matter.
_INFILTRATES = {"grey_matter": 0.92, "white_matter": 0.95, "csf": 0.3}
_SWELLS = {"grey_matter": 0.25, "white_matter": 0.85, "csf": 0.0}


@dataclass(frozen=True)
class LesionPlan:
    """Place and size of a lesion.

    Attributes:
        grade: "high", "low" or "none".
        template_centre: (3,) mm.
        side: −1 left, 1 right (RAS). Also drawn for "none", where it names the side without the reference spheres.
        radius: mean radius of the tumour in mm.
        oedema: mean reach of the oedema beyond it in mm.
        stretch: (3, 3) map of the tumour's ellipsoid to a sphere of the same volume.
        necrotic: share of the radius that is necrotic, 0 for none.
        hotspots: (4, m) direction of each hotspot and its radius in mm.
    """

    grade: str
    template_centre: Array
    side: int
    radius: float
    oedema: float
    stretch: Array
    necrotic: float
    hotspots: Array


def plan_lesion(anatomy: Anatomy, grade: str, seed: int) -> LesionPlan:
    """Draw place and size of a lesion; the same seed puts every grade at the same place."""
    rng = stream(seed, "lesion")
    points = rng.uniform([[-62.0], [-92.0], [-28.0]], [[62.0], [62.0], [66.0]], (3, 8000))
    deep_enough = anatomy.hull.at(points, "nearest") < -11
    cerebrum = (np.abs(points[0]) > 12) & ((points[2] > 4) | ((points[1] > -32) & (np.abs(points[0]) > 24)))
    tissue = anatomy.white.at(points) > 0.55
    centre = points[:, np.flatnonzero(deep_enough & cerebrum & tissue)[0]]
    radius = float(np.clip(rng.gamma(9.0, 1.65), 6.5, 22.0))
    axes = np.exp(rng.normal(0.0, 0.2, 3).clip(-0.4, 0.4))
    axes /= np.prod(axes) ** (1 / 3)
    stretch = np.diag(1 / axes) @ rotation(rng.uniform(-np.pi, np.pi, 3))
    oedema = float(rng.uniform(4.0, 16.0))
    necrotic = float(rng.uniform(0.5, 0.75)) if radius > 8 and rng.uniform() < 0.9 else 0.0
    hotspots = rng.standard_normal((4, int(rng.integers(1, 5))))
    hotspots[:3] /= np.linalg.norm(hotspots[:3], axis=0)
    hotspots[3] = rng.uniform(2.2, 3.8, hotspots.shape[1])
    if grade != "high":
        oedema, necrotic, hotspots = 0.0, 0.0, hotspots[:, :0]
    return LesionPlan(grade, centre, 1 if centre[0] > 0 else -1, radius, oedema, stretch, necrotic, hotspots)


@dataclass(frozen=True)
class Lesion:
    """A lesion with its irregular shape.

    Attributes:
        plan: place and size.
        centre: frame mm.
        noise: random fields that make the shape irregular: outline coarse and fine, core, border, oedema.
    """

    plan: LesionPlan
    centre: Array
    noise: tuple[Spline, ...]

    @classmethod
    def drawn(cls, plan: LesionPlan, centre: Array, seed: int) -> Lesion:
        """Draw the shape of the planned lesion around `centre` (frame mm)."""
        rng = stream(seed, "lesion shape")
        return cls(
            plan,
            centre,
            tuple(
                random_spline(rng, step)
                for step in (0.75 * plan.radius, 0.35 * plan.radius, 0.6 * plan.radius, 4.0, 18.0)
            ),
        )

    @property
    def reach(self) -> float:
        """Radius in mm of the ball outside which there is no lesion."""
        longest = 1 / float(np.linalg.svd(self.plan.stretch, compute_uv=False).min())
        return longest * max(1.8 * self.plan.radius, self.plan.radius + 1.9 * self.plan.oedema) + 4

    def shape(self, axes: Axes) -> tuple[dict[str, Array], Array]:
        """Return the parts as wished-for fractions 0–1, and the hotspots, 1 at their centres; each (i, j, k).

        `enhancing` and `necrosis`, or `low_grade`, and `oedema`, which is what the oedema would fill without the
        tumour.
        """
        plan = self.plan
        away = [a - c for a, c in zip((axes.i[:, None, None], axes.j[:, None], axes.k), self.centre, strict=True)]
        distance = np.sqrt(sum((sum(row[c] * away[c] for c in range(3))) ** 2 for row in plan.stretch))
        coarse, fine, inner, border, wide = (spline.on(axes) for spline in self.noise)
        outline = np.clip(1 + 0.2 * coarse + 0.1 * fine, 0.5, 1.6)
        edge = distance - plan.radius * outline
        if plan.grade == "low":
            tumour = np.clip(0.5 - (edge + 0.8 * border) / 5.0, 0, 1)
            return {"low_grade": tumour}, np.zeros(axes.shape)
        tumour = np.clip(0.5 - edge / 1.8, 0, 1)
        core = plan.radius * np.clip(plan.necrotic * outline + 0.12 * inner + 0.05 * border, 0, 0.9 * outline)
        necrosis = np.minimum(np.clip(0.5 - (distance - core) / 1.8, 0, 1), tumour) if plan.necrotic else 0 * tumour
        swelling = plan.radius + plan.oedema * np.clip(1 + 0.5 * wide + 0.2 * coarse, 0, 1.8)
        oedema = np.clip(0.5 - (distance - swelling) / 6.0, 0, 1)
        hot = np.zeros(axes.shape)
        ring = plan.radius * 0.5 * (1 + plan.necrotic)
        for x, y, z, radius in plan.hotspots.T:
            spot = np.linalg.solve(plan.stretch, np.array([x, y, z]) * ring)
            away2 = sum((o - c) ** 2 for o, c in zip(away, spot, strict=True))
            hot = np.maximum(hot, np.exp(-away2 / (2 * radius**2)))
        return {"enhancing": tumour - necrosis, "necrosis": necrosis, "oedema": oedema}, hot


def infiltrate(healthy: dict[str, Array], wishes: dict[str, Array]) -> dict[str, Array]:
    """Return the tissue fractions after the lesion has replaced healthy tissue; their sum stays what it was.

    Args:
        healthy: grey_matter, white_matter, csf, (n,) each.
        wishes: parts of a lesion from `Lesion.shape`, (n,) each.
    """
    if "low_grade" in wishes:
        result = {name: f * (1 - _INFILTRATES[name] * wishes["low_grade"]) for name, f in healthy.items()}
        result["low_grade"] = _sum(healthy) - _sum(result)
        return result
    beside = 1 - wishes["enhancing"] - wishes["necrosis"]
    rest = {name: f * beside for name, f in healthy.items()}
    result = {name: f * (1 - _SWELLS[name] * wishes["oedema"]) for name, f in rest.items()}
    result["oedema"] = _sum(rest) - _sum(result)
    result["enhancing"] = _sum(healthy) * wishes["enhancing"]
    result["necrosis"] = _sum(healthy) * wishes["necrosis"]
    return result


def _sum(fractions: Mapping[str, Array]) -> Array:
    result: Array = np.sum(list(fractions.values()), axis=0)
    return result
