"""How many independent voxels a region is worth, given that neighbours resemble each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Larger crops are averaged in blocks first. That can only lower the numbers found, by what lies within a block.
_MOST_VOXELS = 40_000
_ROUNDS = 6


@dataclass(frozen=True)
class EffectiveCounts:
    """Effective numbers of voxels, 1 and above; None where one of the maps is constant.

    Attributes:
        correlation: for the correlation of two maps.
        mean_difference: for the mean of their difference.
    """

    correlation: float | None
    mean_difference: float | None


def effective_counts(
    first: NDArray[np.float32], second: NDArray[np.float32], inside: Mask, spacing: Array
) -> EffectiveCounts:
    """Effective numbers of voxels of a region for two maps.

    For the correlation: Clifford, Richardson & Hémon, Biometrics 1989;45:123–134, over all lags k,
    n = 1 + N² s_x² s_y² / Σ_k A_x(k) A_y(k) / N_k, with A(k) the sums of products of the centred maps over the N_k
    pairs of voxels at that lag. For the mean difference: n = N² / Σ_k N_k ρ(k), over the lags up to the distance at
    which the autocorrelation ρ of the difference has fallen to 0; since the mean is taken from the same voxels, ρ is
    found too low by about (1 − ρ) / n, which is put right in a few rounds.

    Crops of more than 40 000 voxels are averaged in blocks first, so that the answer is never above the number of
    blocks: where voxels are nearly independent, intervals come out wider than they need be, never narrower.

    Args:
        first: (i, j, k) values; any outside the region.
        second: (i, j, k).
        inside: (i, j, k) the region, at least two voxels, all with a value in both maps.
        spacing: (3,) mm along i, j, k.
    """
    factor = int(np.ceil((inside.size / _MOST_VOXELS) ** (1 / 3)))
    if factor > 1:
        counts = _block_sums(inside.astype(np.float32), factor)
        coarse = counts * 2 >= factor**3
        if np.count_nonzero(coarse) > 2:
            weight = np.maximum(counts, 1)
            x, y = (_block_sums(np.where(inside, field, np.float32(0)), factor) / weight for field in (first, second))
            return _counts(x, y, coarse, spacing * factor)
    return _counts(first.astype(np.float64), second.astype(np.float64), inside, spacing)


def _block_sums(field: NDArray[np.float32], factor: int) -> Array:
    """Sums over blocks of `factor` voxels along each axis; the last ones may be cut off."""
    for axis in range(3):
        field = np.add.reduceat(field, np.arange(0, field.shape[axis], factor), axis=axis)
    return field.astype(np.float64)


def _counts(x: Array, y: Array, inside: Mask, spacing: Array) -> EffectiveCounts:
    total = int(np.count_nonzero(inside))
    x, y = (np.where(inside, field - field[inside].mean(), 0) for field in (x, y))
    lags = _Lags(inside, spacing)
    transform_x, transform_y = lags.transformed(x), lags.transformed(y)
    products_x, products_y = lags.autocorrelated(transform_x), lags.autocorrelated(transform_y)
    correlation = None
    if _varies(x, inside) and _varies(y, inside):
        shared = float((products_x * products_y * lags.per_pair).sum())
        found = 1 + products_x[0, 0, 0] * products_y[0, 0, 0] / shared if shared > 0 else float(total)
        correlation = float(np.clip(found, 1, total))
    mean_difference = None
    if _varies(x - y, inside):
        mean_difference = _for_the_mean(lags.autocorrelated(transform_x - transform_y), lags, total)
    return EffectiveCounts(correlation, mean_difference)


def _varies(field: Array, inside: Mask) -> bool:
    values = field[inside]
    return bool(np.ptp(values) > 1e-9 * np.abs(values).max(initial=0))


class _Lags:
    """The lags between the voxels of a region: how many pairs they have, and how long they are."""

    def __init__(self, inside: Mask, spacing: Array) -> None:
        # Twice the size: nothing meets its own periodic continuation.
        self._shape = [fft.next_fast_len(2 * n, real=True) for n in inside.shape]
        self.pairs = np.rint(self.autocorrelated(self.transformed(inside.astype(np.float64))))
        self.per_pair = np.divide(1.0, self.pairs, out=np.zeros_like(self.pairs), where=self.pairs > 0)
        squares = [
            (np.minimum(np.arange(n), n - np.arange(n)) * step) ** 2
            for n, step in zip(self._shape, spacing, strict=True)
        ]
        i, j, k = np.ix_(*squares)
        self.ring = np.rint(np.sqrt(i + j + k) / spacing.min()).astype(np.int64)
        self.ring_pairs = np.bincount(self.ring.ravel(), weights=self.pairs.ravel())

    def transformed(self, field: Array) -> NDArray[np.complex128]:
        return np.asarray(fft.rfftn(field, self._shape))

    def autocorrelated(self, transform: NDArray[np.complex128]) -> Array:
        """Sums of products over all pairs of voxels at each lag."""
        return np.asarray(fft.irfftn(np.abs(transform) ** 2, self._shape))


def _for_the_mean(products: Array, lags: _Lags, total: int) -> float:
    variance = products[0, 0, 0] / total
    by_ring = np.bincount(lags.ring.ravel(), weights=products.ravel()) / variance
    used = lags.ring_pairs > 0
    found = float(total)
    for _ in range(_ROUNDS):
        # N_k ρ(k), with ρ put right for the mean being taken from the same voxels.
        sums = (by_ring * (found - 1) + lags.ring_pairs) / found
        ends = np.flatnonzero(used & (sums <= 0))
        reach = ends[0] if len(ends) else len(sums)
        found = float(np.clip(total**2 / sums[:reach][used[:reach]].sum(), 1, total))
    return found
