"""The shape of one person: a smooth invertible map from the patient to template space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from HierSynthLib.phantom.fields import Array, Axes, Spline, interpolating_spline, lattice_axes, random_spline

LATTICE_MM = 6.0
_FOV_CENTRE = np.array([0.0, -13.0, 13.0])
_SQUARINGS = 6


@dataclass(frozen=True)
class Deformation:
    """Frame millimetres → template millimetres: φ(g) = linear · (g + u(g)) + offset, with u a cubic B-spline.

    Attributes:
        linear: (3, 3) head pose inside the frame and head size.
        offset: (3,) template position of the frame's centre, mm.
        displacement: u, one spline per axis, mm.
    """

    linear: Array
    offset: Array
    displacement: tuple[Spline, Spline, Spline]

    def to_template(self, points: Array) -> Array:
        """Map frame `points` (3, n) to template space."""
        moved = points + np.stack([u.at(points) for u in self.displacement])
        result: Array = self.linear @ moved + self.offset[:, None]
        return result

    def grid_to_template(self, axes: Axes) -> tuple[Array, Array, Array]:
        """Map a whole grid; three arrays (i, j, k)."""
        moved = [u.on(axes) for u in self.displacement]
        moved[0] += axes.i[:, None, None]
        moved[1] += axes.j[None, :, None]
        moved[2] += axes.k[None, None, :]
        x, y, z = [sum(self.linear[row, c] * moved[c] for c in range(3)) + self.offset[row] for row in range(3)]
        return x, y, z

    def to_frame(self, points: Array, iterations: int = 8) -> Array:
        """Map template `points` (3, n) back to the frame, by fixed-point iteration."""
        target = np.linalg.solve(self.linear, points - self.offset[:, None])
        guess = target.copy()
        for _ in range(iterations):
            guess = target - np.stack([u.at(guess) for u in self.displacement])
        return guess

    def smallest_jacobian(self) -> float:
        """Return the smallest determinant of dφ/dg, relative to its linear part, over the lattice."""
        return _smallest_jacobian([_values(u) for u in self.displacement])

    def pushed_away_from(self, centre: Array, radius: float, strength: float, fixed: Array) -> Deformation:
        """Return the deformation with the mass effect of a lesion: tissue moves outward around `centre`.

        The inward map m(g) = −α·(g − c)·exp(−|g − c|²/2r²)·w is applied before this deformation, where w = 1 −
        `fixed` (given at the nodes of the lattice) keeps the skull where it is. α < 1 keeps it invertible; it is
        lowered until it does.
        """
        nodes = lattice_axes(LATTICE_MM).points()
        shape = lattice_axes(LATTICE_MM).shape
        from_centre = nodes - centre[:, None]
        fall_off = np.exp(-np.sum(from_centre**2, axis=0) / (2 * radius**2)) * (1 - fixed)
        before = [_values(u) for u in self.displacement]
        while True:
            push = (-strength * from_centre * fall_off).reshape(3, *shape)
            after = [p + u for p, u in zip(push, _composed(before, push), strict=True)]
            if _smallest_jacobian(after) > 0.15:
                return Deformation(self.linear, self.offset, _splines(after))
            strength *= 0.7


def random_deformation(rng: np.random.Generator) -> Deformation:
    """Return the shape of a person: pose, size, and an asymmetric warp of up to about 8 mm with det J > 0.

    The warp is the exponential of a smooth random velocity field (scaling and squaring, Arsigny 2006), to which the
    size of each lateral ventricle is added, so it is invertible by construction.
    """
    angles = np.deg2rad(rng.normal(0.0, (3.0, 2.5, 3.0))).clip(-0.12, 0.12)
    # The template's brain of 1.9 l is larger than people's: 1.08³ makes 1.5 l of it, sulci and ventricles included.
    size = np.clip(rng.normal(1.08, 0.03), 1.01, 1.15) * np.clip(rng.normal(1.0, 0.02, 3), 0.96, 1.04)
    linear = np.diag(size) @ rotation(angles)
    offset = _FOV_CENTRE + rng.uniform(-2.5, 2.5, 3)
    axes = lattice_axes(LATTICE_MM)
    velocity = []
    for _ in range(3):
        wide, fine = random_spline(rng, 55.0), random_spline(rng, 22.0)
        velocity.append(2.4 * wide.on(axes) + 1.1 * fine.on(axes))
    template = (linear @ axes.points() + offset[:, None]).reshape(3, *axes.shape)
    growth = rng.gamma(1.6, 0.16) - 0.1
    for side in (-1, 1):
        own = np.clip(growth + rng.normal(0.0, 0.08), -0.15, 0.65)
        away = template - np.array([side * 14.0, -12.0, 16.0])[:, None, None, None]
        weight = np.exp(-0.5 * ((away[0] / 15) ** 2 + (away[1] / 30) ** 2 + (away[2] / 16) ** 2))
        for c in range(3):
            velocity[c] -= own * away[c] * weight * (1.0, 0.35, 0.8)[c]
    while True:
        displacement = _exponential(velocity)
        if _smallest_jacobian(displacement) > 0.2:
            return Deformation(linear, offset, _splines(displacement))
        velocity = [0.85 * v for v in velocity]


def rotation(angles: Array) -> Array:
    """Return the (3, 3) rotation by `angles` (radians) about the first, then the second, then the third axis."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        a, b = [(1, 2), (2, 0), (0, 1)][axis]
        turn = np.eye(3)
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        result = turn @ result
    return result


def _values(spline: Spline) -> Array:
    return spline.on(lattice_axes(LATTICE_MM))


def _splines(displacement: list[Array]) -> tuple[Spline, Spline, Spline]:
    x, y, z = (interpolating_spline(u, LATTICE_MM) for u in displacement)
    return x, y, z


def _exponential(velocity: list[Array]) -> list[Array]:
    u = [v / 2**_SQUARINGS for v in velocity]
    for _ in range(_SQUARINGS):
        u = [a + b for a, b in zip(u, _composed(u, np.stack(u)), strict=True)]
    return u


def _composed(u: list[Array], shift: Array) -> list[Array]:
    """Return u(g + shift(g)) at the nodes."""
    index = np.indices(u[0].shape) + shift / LATTICE_MM
    return [ndimage.map_coordinates(c, index, order=1, mode="nearest") for c in u]


def _smallest_jacobian(u: list[Array]) -> float:
    jacobian = np.empty((*u[0].shape, 3, 3))
    for row in range(3):
        for column, derivative in enumerate(np.gradient(u[row], LATTICE_MM)):
            jacobian[..., row, column] = derivative + (row == column)
    return float(np.linalg.det(jacobian).min())
