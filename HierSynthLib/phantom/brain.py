"""The brain of one person as fractions of tissue per voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.phantom.anatomy import Anatomy
from HierSynthLib.phantom.deformation import Deformation
from HierSynthLib.phantom.fields import Array, Axes, Spline, interpolating_spline, lattice_axes, random_spline, stream

_HULL_LATTICE_MM = 4.0
_SHARPNESS = 3.0


def hull_distance(anatomy: Anatomy, deformation: Deformation) -> Spline:
    """Return the signed distance in mm to the closed brain surface of the person, negative inside."""
    nodes = lattice_axes(_HULL_LATTICE_MM)
    values = anatomy.hull.at(np.stack([c.ravel() for c in deformation.grid_to_template(nodes)]), "nearest").reshape(
        nodes.shape
    )
    return interpolating_spline(values, _HULL_LATTICE_MM)


@dataclass(frozen=True)
class Brain:
    """Grey matter, white matter and CSF of one person.

    Attributes:
        anatomy: the template.
        deformation: frame → template.
        folds: fine noise on white matter and on CSF, the folding of this person's cortex; each the sum of two fields.
        sulci: how wide the sulci are, 0 for the template's own width.
    """

    anatomy: Anatomy
    deformation: Deformation
    folds: tuple[tuple[Spline, Spline], tuple[Spline, Spline]]
    sulci: float

    @classmethod
    def drawn(cls, anatomy: Anatomy, deformation: Deformation, seed: int) -> Brain:
        """Draw the cortex of the person of `seed`."""
        rng = stream(seed, "cortex")
        white, fluid = [(random_spline(rng, 9.0), random_spline(rng, 4.0)) for _ in range(2)]
        return cls(anatomy, deformation, (white, fluid), float(np.clip(rng.normal(0.4, 0.3), -0.2, 1.0)))

    def fractions(self, axes: Axes, inside: NDArray[np.bool_]) -> tuple[dict[str, Array], Array]:
        """Return the tissue fractions and the brain fraction, their sum; (n,) at the voxels `inside`.

        The averaged probability maps are blurry; a softmax of their sharpened logarithms makes tissue with clear
        borders of them.
        """
        points = np.stack([c[inside] for c in self.deformation.grid_to_template(axes)])
        grey, white = self.anatomy.grey.at(points), self.anatomy.white.at(points)
        csf = np.clip(1 - grey - white, 0, 1)
        folds = [0.5 * wide.on(axes)[inside] + 0.4 * fine.on(axes)[inside] for wide, fine in self.folds]
        weights = (
            (grey + 0.004) ** _SHARPNESS,
            (white + 0.004) ** _SHARPNESS * np.exp(folds[0]),
            (csf + 0.004) ** _SHARPNESS * np.exp(folds[1] + _SHARPNESS * self.sulci),
        )
        brain = np.clip((self.anatomy.brain.at(points) - 0.5) * 1.6 + 0.5, 0, 1)
        scale = brain / (weights[0] + weights[1] + weights[2])
        names = ("grey_matter", "white_matter", "csf")
        return {name: weight * scale for name, weight in zip(names, weights, strict=True)}, brain
