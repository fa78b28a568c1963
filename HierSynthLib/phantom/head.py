"""What surrounds the brain: CSF, skull with marrow, scalp, face and neck, eyes and air cavities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.phantom.deformation import Deformation
from HierSynthLib.phantom.fields import Array, Axes, Spline, interpolating_spline, lattice_axes, random_spline, stream

_LATTICE_MM = 4.0

# Air cavities in template space: centre and radii in mm, by design.
_CAVITIES = (
    ((0, 60, -40), (13, 24, 18)),  # nose and ethmoid cells
    ((0, 22, -34), (11, 10, 8)),  # sphenoid sinus
    ((28, 50, -58), (13, 15, 16)),  # maxillary sinuses
    ((-28, 50, -58), (13, 15, 16)),
    ((6, 74, -8), (12, 5, 10)),  # frontal sinus
    ((0, 20, -78), (11, 14, 30)),  # pharynx
    ((56, -34, -46), (6, 10, 10)),  # mastoid cells
    ((-56, -34, -46), (6, 10, 10)),
)
_EYES = (((32, 63, -36), (12, 12, 12)), ((-32, 63, -36), (12, 12, 12)))


@dataclass(frozen=True)
class Head:
    """The head of one person; every spline is a distance in mm, negative inside.

    Attributes:
        skin: to the surface of the head.
        skull: to the inner surface of the skull.
        bone: to the outer surface of the skull.
        cavities: to the air in sinuses, nose and pharynx.
        eyes: to the eyeballs.
        foramen: to the canal of the spinal cord, where there is no bone.
        texture: of muscle and fat.
    """

    skin: Spline
    skull: Spline
    bone: Spline
    cavities: Spline
    eyes: Spline
    foramen: Spline
    texture: Spline

    @classmethod
    def drawn(cls, deformation: Deformation, hull: Spline, seed: int) -> Head:
        """Draw the head of the person of `seed` around the brain with the surface `hull`."""
        rng = stream(seed, "head")
        nodes = lattice_axes(_LATTICE_MM)
        x, y, z = deformation.grid_to_template(nodes)

        def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
            c = np.array(centre) + rng.normal(0, 1.0, 3)
            r = np.sqrt(((x - c[0]) / radii[0]) ** 2 + ((y - c[1]) / radii[1]) ** 2 + ((z - c[2]) / radii[2]) ** 2)
            result: Array = (r - 1) * min(radii)
            return result

        csf_mm = np.clip(rng.normal(1.4, 0.6), 0.4, 3.0) * (1 + 0.15 * random_spline(rng, 40.0).on(nodes))
        skull_mm = np.clip(rng.normal(6.0, 0.8), 4.5, 8.0) * (1 + 0.12 * random_spline(rng, 30.0).on(nodes))
        scalp_mm = np.clip(rng.normal(6.0, 1.3), 4.0, 9.0) * (1 + 0.15 * random_spline(rng, 45.0).on(nodes))
        inner = hull.on(nodes) - csf_mm
        outer = inner - skull_mm
        neck = np.maximum(np.hypot(x, (y + 38) * 0.9) - 58, z + 20)
        face = np.minimum(ellipsoid((0, 36, -62), (62, 60, 74)), ellipsoid((0, 96, -46), (15, 16, 22)))
        jaw = ellipsoid((0, 30, -90), (58, 62, 50))
        skin = _union(_union(_union(outer - scalp_mm, face), jaw), neck)
        fields = {
            "skin": skin,
            "skull": inner,
            "bone": outer,
            "cavities": np.minimum.reduce([ellipsoid(*cavity) for cavity in _CAVITIES]),
            "eyes": np.minimum.reduce([ellipsoid(*eye) for eye in _EYES]),
            "foramen": np.maximum(np.hypot(x, y + 44) - 14, z + 60),
        }
        splines = {name: interpolating_spline(field, _LATTICE_MM) for name, field in fields.items()}
        return cls(**splines, texture=random_spline(rng, 9.0))

    def fractions(self, axes: Axes) -> tuple[NDArray[np.bool_], dict[str, Array]]:
        """Return the voxels of the head, boolean (i, j, k), and per tissue the fractions (n,) at them.

        They are what fills a voxel where the brain does not; what is missing to 1 is air.
        """
        skin = self.skin.on(axes)
        inside = skin < 1.0
        width = max(axes.step, 1.0)
        depth = -skin[inside]
        body = _step(depth, width) * _step(self.cavities.on(axes)[inside], width)
        from_inner, from_outer = self.skull.on(axes)[inside], self.bone.on(axes)[inside]
        beyond = _step(from_inner, width)
        wall = beyond * _step(-from_outer, width)
        skull = wall * _step(self.foramen.on(axes)[inside], 4.0)
        thickness = from_inner - from_outer
        marrow = _step(0.24 * thickness - np.abs(from_inner - 0.5 * thickness), width) * 0.8
        soft = (_step(from_outer, width) + wall - skull) * body
        eyes = _step(-self.eyes.on(axes)[inside], width) * soft
        soft -= eyes
        texture = self.texture.on(axes)[inside]
        mixed = np.clip(0.5 + 0.9 * texture, 0.05, 0.9)
        under_skin = 0.95 * _step(depth - 1.8, width) * _step(6.0 - depth, 2.0)
        fat = np.where(depth < 12, np.maximum(0.5 * mixed, under_skin), 0.7 * mixed) * _step(depth - 1.2, 1.0)
        return inside, {
            "csf": (1 - beyond) * body,
            "bone": skull * body * (1 - marrow),
            "marrow": skull * body * marrow,
            "fat": soft * fat,
            "muscle": soft * (1 - fat),
            "vitreous": eyes,
        }


def _union(first: Array, second: Array) -> Array:
    """Return the distance to the union of two bodies, with a rounded seam (polynomial smooth minimum over 14 mm)."""
    overlap = np.clip(14.0 - np.abs(first - second), 0, None)
    result: Array = np.minimum(first, second) - overlap**2 / (4 * 14.0)
    return result


def _step(distance: Array, width: float) -> Array:
    """Return the fraction of a voxel of `width` mm on the positive side of a border at `distance` mm."""
    result: Array = np.clip(0.5 + distance / width, 0, 1)
    return result
