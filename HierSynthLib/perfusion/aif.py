"""The arterial input function: found automatically, or the mean of given voxels.

The search follows Mouridsen 2006 (MRM 55:524): voxels of large area, without the irregular ones, are grouped by the
shape of their curve. What differs: irregular is what no gamma-variate fits. The groups are those of hierarchical
clustering, which needs no random start and gives the same result each time (Yin 2014, PLoS One 9:e100308). And the best
group and its voxels are those with the largest height/(width · time to peak), a usual measure of arterial shape (Yin
2015, JMRI 41:1071), which prefers high, narrow and early curves: partial volume makes curves low, a late arrival late,
a vein wide.

Within large vessels ΔR2* grows faster than the concentration (Akbudak 1998), which makes a curve narrower and higher
than it should be and takes its tail away. After the first pass the agent is mixed, so that tail and area of blood and
of tissue stand in the same ratio; voxels whose tail is much lower than the brain's are therefore left out, where others
remain (this project's own rule).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.baseline import Bolus
from HierSynthLib.perfusion.gamma import fit_gamma_variate
from HierSynthLib.perfusion.options import Options

Curves = NDArray[np.float32]
Doubles = NDArray[np.float64]

_MOST_CANDIDATES = 800  # hierarchical clustering takes memory and time with the square
_LEAST_CANDIDATES = 4
_LEAST_IN_CLUSTER = 3
_LEAST_UNDISTORTED = 20
# A brain's curve whose late mean is below this share of its peak has no tail.
_NO_TAIL = 0.02
# Late ΔR2* relative to the peak: below, agent has leaked and acts through T1; above, through T2*, or it has not passed.
_TAIL = (-0.05, 0.35)

AIF_BY_HAND = "Choose the voxels of an artery by hand; relative CBV needs no arterial input function."


class AifError(InputError):
    """No arterial input function could be found; relative maps are possible without."""


@dataclass(frozen=True, eq=False)
class Aif:
    """An arterial input function.

    Attributes:
        curve: (T,) mean ΔR2* of its voxels, 1/s.
        voxels: (n, 3) their indices i, j, k in the series.
        method: "automatic" or "given".
        peak: largest ΔR2*, 1/s.
        peak_s: time of it after the first frame, s.
        width_s: full width at half maximum of the first pass, s.
        lead_s: how much earlier it peaks than the brain's mean curve, s.
        agreement: mean correlation of the voxels' curves with their mean, −1 to 1.
        tail: late mean over the area, relative to the same of the brain; 1 where blood relaxes like tissue, less where
            its signal is distorted. None where the brain's curve has no tail to compare with, or `aif_blood` is given.
    """

    curve: Doubles
    voxels: NDArray[np.intp]
    method: str
    peak: float
    peak_s: float
    width_s: float
    lead_s: float
    agreement: float
    tail: float | None


@dataclass(frozen=True, eq=False)
class Candidates:
    """What is known of the brain's voxels when the AIF is looked for.

    Attributes:
        curves: (N, T) ΔR2*, 1/s.
        voxels: (N, 3) indices in the series.
        usable: (N,) voxels with signal in all frames.
        noise: (N,) standard deviation of ΔR2* in the baseline, 1/s.
        lowest: (N,) lowest signal, relative to the baseline.
        noise_level: (N,) standard deviation of the baseline's signal, relative to its mean.
    """

    curves: Curves
    voxels: NDArray[np.intp]
    usable: NDArray[np.bool_]
    noise: NDArray[np.float32]
    lowest: NDArray[np.float32]
    noise_level: NDArray[np.float32]


def find_aif(brain: Candidates, bolus: Bolus, brain_curve: Doubles, tr_s: float, options: Options) -> Aif:
    """Find the arterial input function.

    Args:
        brain: the voxels of the brain.
        bolus: when it passes.
        brain_curve: (T,) mean ΔR2* of the brain, 1/s.
        tr_s: time between frames in s.
        options: `aif_…`.

    Raises:
        AifError: no group of voxels looks like an artery.
    """
    window = bolus.first_pass(brain.curves.shape[1])
    passes = brain.curves[:, window]
    area = passes.sum(axis=1)
    top = passes.max(axis=1)
    late = _peak_times(passes) >= _peak_times(np.asarray(brain_curve[window], dtype=np.float32)[None])
    tail = brain.curves[:, _late(brain.curves, bolus, options)].mean(axis=1) / np.maximum(top, 1e-12)
    stays = (tail >= _TAIL[0]) & (tail <= _TAIL[1])
    saturated = brain.lowest < options.aif_least_signal * brain.noise_level
    possible = brain.usable & (area > 0) & (top > options.aif_peak_snr * brain.noise) & ~late & ~saturated & stays
    if np.count_nonzero(brain.usable):
        possible &= area >= np.quantile(area[brain.usable], 1 - options.aif_area_share)
    undistorted = possible & _has_tail(brain.curves, bolus, brain_curve, options)
    if np.count_nonzero(undistorted) >= _LEAST_UNDISTORTED:
        possible = undistorted
    chosen = np.flatnonzero(possible)
    score = _arterial_score(passes[chosen], (bolus.arrival - window.start) * tr_s, tr_s)
    order = np.argsort(-score, kind="stable")[:_MOST_CANDIDATES]
    chosen, score = chosen[order], score[order]
    if chosen.size:
        rough = _irregularity(brain.curves[chosen], bolus, tr_s, options)
        some = rough[np.isfinite(rough)]
        limit = np.quantile(some, 1 - options.aif_irregular_share) if some.size else -np.inf
        regular = rough <= limit
        chosen, score = chosen[regular], score[regular]
    if chosen.size < _LEAST_CANDIDATES:
        raise AifError(
            f"No arterial input function was found: {chosen.size} voxels of the brain have a high and early enough "
            "curve that is not saturated.",
            AIF_BY_HAND,
        )
    best = _best_cluster(passes[chosen], score, options.aif_clusters)
    order = best[np.argsort(-score[best], kind="stable")[: options.aif_voxels]]
    found = chosen[order]
    return _make(brain.curves[found], brain.voxels[found], "automatic", brain_curve, bolus, tr_s, options)


def given_aif(
    curves: Curves, voxels: ArrayLike, bolus: Bolus, brain_curve: Doubles, tr_s: float, options: Options
) -> Aif:
    """The arterial input function of voxels that the user chose: (n, T) ΔR2* and (n, 3) indices.

    Raises:
        InputError: the mean of their curves shows no bolus.
    """
    window = bolus.first_pass(curves.shape[1])
    mean = curves.mean(axis=0)
    spread = float(np.std(mean[bolus.baseline]))
    if not float(mean[window].max()) > max(5 * spread, 1e-6):
        raise InputError(
            "The chosen voxels of the arterial input function show no bolus.",
            "Choose voxels in or beside a large artery, for example the middle cerebral artery.",
        )
    return _make(curves, np.asarray(voxels, dtype=np.intp), "given", brain_curve, bolus, tr_s, options)


def tissue_equivalent(curve: Doubles, blood: tuple[float, float], tissue_r2star: float) -> Doubles:
    """The arterial ΔR2* that blood would have if it relaxed like tissue: `tissue_r2star`·C, ΔR2* = a·C + b·C².

    In whole blood ΔR2* grows with the square of the concentration (Akbudak 1998, van Osch 2003), in tissue linearly.

    Args:
        curve: (T,) measured ΔR2* in 1/s.
        blood: a in 1/(mM·s), b in 1/(mM²·s).
        tissue_r2star: 1/(mM·s).
    """
    linear, quadratic = blood
    positive = np.maximum(curve, 0)
    if quadratic > 0:
        concentration = 2 * positive / (linear + np.sqrt(linear**2 + 4 * quadratic * positive))
    else:
        concentration = positive / linear
    return np.asarray(tissue_r2star * concentration)


def _late(curves: NDArray[np.floating[Any]], bolus: Bolus, options: Options) -> slice:
    return bolus.late(curves.shape[-1], options.late_frames)


def _tail_of(curves: NDArray[np.floating[Any]], bolus: Bolus, options: Options) -> Doubles:
    """(n,) late mean of (n, T) curves relative to their sum; 0 where that is not positive."""
    late = curves[:, _late(curves, bolus, options)].mean(axis=1, dtype=np.float64)
    area = curves[:, bolus.first :].sum(axis=1, dtype=np.float64)
    return np.asarray(np.where(area > 0, late / np.where(area > 0, area, 1), 0.0))


def _tail_of_brain(brain_curve: Doubles, bolus: Bolus, options: Options) -> float | None:
    """The same of the brain; None where it has no tail, or where the relaxation of blood is allowed for."""
    late = brain_curve[_late(brain_curve, bolus, options)]
    if options.aif_blood is not None or late.mean() < _NO_TAIL * brain_curve.max():
        return None
    return float(_tail_of(brain_curve[None], bolus, options)[0])


def _has_tail(curves: Curves, bolus: Bolus, brain_curve: Doubles, options: Options) -> NDArray[np.bool_]:
    """(n,) whether blood is as concentrated after the first pass as it is in the brain."""
    least = _tail_of_brain(brain_curve, bolus, options)
    if least is None:
        return np.ones(len(curves), dtype=bool)
    return np.asarray(_tail_of(curves, bolus, options) >= options.aif_least_tail * least)


def _irregularity(curves: Curves, bolus: Bolus, tr_s: float, options: Options) -> Doubles:
    """(n,) how far the first pass is from a smooth bolus: RMS distance from its gamma-variate, relative to its peak.

    Mouridsen 2006 sums squared second differences; these also grow with the narrowness of a bolus, and arteries have
    the narrowest.
    """
    fit = fit_gamma_variate(curves, tr_s, bolus.first, options.gamma_until)
    top = curves[:, bolus.first :].max(axis=1)
    return np.asarray(np.where(fit.fitted, fit.residual / np.maximum(top, 1e-12), np.inf), dtype=np.float64)


def _arterial_score(passes: Curves, arrival_s: float, tr_s: float) -> Doubles:
    """(n,) height/(width · time to peak); the time counts from two frames before the bolus arrives in the brain."""
    from_start = _peak_times(passes) * tr_s - arrival_s + 2 * tr_s
    return np.asarray(passes.max(axis=1) / (_widths(passes) * tr_s * np.maximum(from_start, tr_s)))


def _peak_times(passes: Curves) -> Doubles:
    """(n,) frame of the peak, as the mean of the frames above three quarters of it, weighted by the excess."""
    excess = np.maximum(passes - 0.75 * passes.max(axis=1, keepdims=True), 0)
    return np.asarray((excess * np.arange(passes.shape[1])).sum(axis=1) / np.maximum(excess.sum(axis=1), 1e-12))


def _widths(passes: Curves) -> Doubles:
    """(n,) full width at half maximum in frames, the crossings linear between frames."""
    rows, frames = np.arange(len(passes)), passes.shape[1]
    peak = passes.argmax(axis=1)
    half = passes[rows, peak] / 2
    low = passes < half[:, None]
    frame = np.arange(frames)
    before = low & (frame < peak[:, None])
    after = low & (frame > peak[:, None])
    left = np.where(before.any(axis=1), frames - 1 - before[:, ::-1].argmax(axis=1), -1)
    right = np.where(after.any(axis=1), after.argmax(axis=1), frames)

    def crossing(outer: NDArray[np.intp], inner: NDArray[np.intp]) -> Doubles:
        inside = (outer >= 0) & (outer < frames)
        y_out = np.where(inside, passes[rows, np.clip(outer, 0, frames - 1)], 0.0)
        y_in = passes[rows, np.clip(inner, 0, frames - 1)]
        share = np.where(inside, (half - y_out) / np.maximum(y_in - y_out, 1e-12), 0.0)
        return np.asarray(outer + (inner - outer) * share)

    return crossing(right, right - 1) - crossing(left, left + 1)


def _best_cluster(passes: Curves, score: Doubles, clusters: int) -> NDArray[np.intp]:
    """Numbers of the curves in the cluster with the best mean score among those of several members."""
    shapes = passes / passes.sum(axis=1, keepdims=True)
    labels = fcluster(linkage(shapes.astype(np.float64), "ward"), clusters, "maxclust")
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    large = [group for group in groups if group.size >= _LEAST_IN_CLUSTER] or groups
    return max(large, key=lambda group: float(score[group].mean()))


def _make(
    curves: Curves,
    voxels: NDArray[np.intp],
    method: str,
    brain_curve: Doubles,
    bolus: Bolus,
    tr_s: float,
    options: Options,
) -> Aif:
    mean, window = curves.mean(axis=0, dtype=np.float64), bolus.first_pass(curves.shape[1])
    usual = _tail_of_brain(brain_curve, bolus, options)
    passing = np.asarray(mean[window], dtype=np.float32)[None]
    brain = np.asarray(brain_curve[window], dtype=np.float32)[None]
    peak_s = (window.start + float(_peak_times(passing)[0])) * tr_s
    centred = curves[:, window] - curves[:, window].mean(axis=1, keepdims=True)
    around = passing - passing.mean()
    size = np.linalg.norm(centred, axis=1) * np.linalg.norm(around)
    agreement = float(np.mean((centred @ around[0]) / np.maximum(size, 1e-12)))
    return Aif(
        curve=mean,
        voxels=voxels,
        method=method,
        peak=float(mean.max()),
        peak_s=peak_s,
        width_s=float(_widths(passing)[0]) * tr_s,
        lead_s=(float(_peak_times(brain)[0]) + window.start) * tr_s - peak_s,
        agreement=agreement,
        tail=None if usual is None else float(_tail_of(mean[None], bolus, options)[0]) / usual,
    )
