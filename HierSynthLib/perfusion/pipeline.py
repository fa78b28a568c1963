"""From a DSC series to its maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from HierSynthLib.errors import InputError
from HierSynthLib.perfusion.aif import AIF_BY_HAND, Aif, AifError, Candidates, find_aif, given_aif, tissue_equivalent
from HierSynthLib.perfusion.baseline import LEAST_LATE_FRAMES, find_bolus
from HierSynthLib.perfusion.checks import checked_mask, checked_voxels
from HierSynthLib.perfusion.deconvolution import Deconvolution
from HierSynthLib.perfusion.frames import brain_mean, describe_jumps, find_jumps, mend, slice_means
from HierSynthLib.perfusion.gamma import fit_gamma_variate
from HierSynthLib.perfusion.integration import product, trapezoid_weights
from HierSynthLib.perfusion.leakage import LeakageModel
from HierSynthLib.perfusion.maps import Curves, PerfusionMaps
from HierSynthLib.perfusion.masks import brain_from_series, non_enhancing
from HierSynthLib.perfusion.motion import Motion, correct_motion
from HierSynthLib.perfusion.normalisation import LEAST_VOXELS, normalise_to_white_matter, standardise
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.qc import WhiteMatter, assess
from HierSynthLib.perfusion.relaxation import baseline_level, dual_echo, log_drop, single_echo
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.perfusion.summary import peak_of, signal_recovery
from HierSynthLib.perfusion.voxels import Voxels, in_parts
from HierSynthLib.progress import Part, Reporter, Silent

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Share of voxels with noise only that may be taken for perfused (design value).
_CHANCE = 0.01
# After the first pass no signal is as low as this share of the baseline (design value).
_NO_SIGNAL = 0.02
_MOTION_SHARE = 0.7


def process(
    series: DscSeries,
    options: Options | None = None,
    *,
    brain: Mask | None = None,
    nawm: Mask | None = None,
    aif_voxels: ArrayLike | None = None,
    reporter: Reporter | None = None,
) -> PerfusionMaps:
    """Compute the perfusion maps of a DSC series.

    Args:
        series: the signal with its timing.
        options: constants and methods; the defaults if None.
        brain: (I, J, K) mask of the brain on the grid of the series; found in the series if None.
        nawm: (I, J, K) mask of normal-appearing white matter; without it there is no nrCBV.
        aif_voxels: (n, 3) indices i, j, k of voxels in an artery; found automatically if None.
        reporter: told about progress and warnings.

    Returns:
        The maps. Without an arterial input function CBV, CBF, MTT and Tmax are missing and a warning says why.

    Raises:
        InputError: no bolus, a baseline that is too short, no brain, or masks and voxels that do not fit.
        Cancelled: the user asked to stop.
    """
    options, reporter = options or Options(), reporter or Silent()
    brain, nawm = checked_mask(brain, "brain mask", series), checked_mask(nawm, "white matter mask", series)
    chosen = None if aif_voxels is None else checked_voxels(aif_voxels, series)
    motion = None
    rest: Reporter = reporter
    if options.motion:
        rest = Part(reporter, _MOTION_SHARE, 1.0)
        rough = brain if brain is not None else brain_from_series(_mean_image(series), series.spacing)
        bolus = find_bolus(brain_mean(*slice_means(series.echoes[0], rough)), options)
        series, motion = correct_motion(series, rough, bolus, options, Part(reporter, 0.0, _MOTION_SHARE))
    return _Processing(series, options, brain, motion, rest).run(nawm, chosen)


@dataclass(frozen=True, eq=False)
class _Measured:
    """ΔR2* (N, T) in 1/s of the brain, and what is known of the signal: (N,), relative to the baseline."""

    curves: NDArray[np.float32]
    usable: Mask
    noise_level: Values
    lowest: Values
    late: Values


class _Processing:
    """The processing of one series whose frames lie on each other."""

    def __init__(
        self, series: DscSeries, options: Options, brain: Mask | None, motion: Motion | None, reporter: Reporter
    ) -> None:
        self._series, self._options, self._motion, self._reporter = series, options, motion, reporter
        reporter.progress("brain mask", 0.0)
        self._brain = brain if brain is not None else brain_from_series(_mean_image(series), series.spacing)
        self._voxels = Voxels.of(self._brain, series.echoes[0])
        self._warnings: list[str] = []
        self._find_bolus()
        stop = None
        if options.integration_s is not None:
            stop = min(series.frames, self._bolus.arrival + 1 + round(options.integration_s / series.tr_s))
        self._weights = trapezoid_weights(series.frames, series.tr_s, self._bolus.first, stop).astype(np.float32)
        self._late = self._bolus.late(series.frames, options.late_frames)
        self._warn_of_the_end()

    def _find_bolus(self) -> None:
        """Baseline and bolus, and the frames that jump, which are left out of both."""
        means = [slice_means(echo, self._brain) for echo in self._series.echoes]
        (first, counts), *_ = means
        self._signal = brain_mean(first, counts)
        bolus = find_bolus(self._signal, self._options)
        self._jumps = np.logical_or.reduce([find_jumps(mean, counts, bolus) for mean, _ in means])
        if self._jumps.any():
            mend(first, np.arange(len(first)), self._jumps, bolus.steady)
            bolus = find_bolus(brain_mean(first, counts), self._options)
            self._warnings.append(describe_jumps(self._jumps, counts))
        self._bolus = bolus

    def _warn_of_the_end(self) -> None:
        count, wanted = self._series.frames - self._bolus.passed, self._options.late_frames
        if count < LEAST_LATE_FRAMES:
            self._warnings.append(
                "The series ends before the bolus has passed: leakage correction, PSR and the area of late voxels are "
                "not to be relied on."
            )
        elif count < wanted:
            self._warnings.append(
                f"Only {count} frames follow the first pass and count as late, not {wanted}: leakage correction and "
                "PSR are uncertain."
            )

    def run(self, nawm: Mask | None, aif_voxels: NDArray[np.intp] | None) -> PerfusionMaps:
        series, options, bolus = self._series, self._options, self._bolus
        measured = self._measure()
        reference = self._non_enhancing(measured)
        mean = measured.curves[reference].mean(axis=0, dtype=np.float64)
        brain_curve = measured.curves[measured.usable].mean(axis=0, dtype=np.float64)
        model = LeakageModel(mean, series.tr_s, bolus.first, options)
        aif = self._aif(measured, brain_curve, aif_voxels)
        values, corrected = self._maps(measured, model, aif)
        maps = {name: self._voxels.volume(value) for name, value in values.items()}
        white_matter = self._normalise(maps, nawm, self._voxels.volume(measured.usable))
        count = len(self._voxels)
        visible = self._visible(measured)
        if options.gamma_fit:
            visible &= values["rCBV_gamma"] > 0
        shares = tuple(100 * float(np.mean(mask)) for mask in (~measured.usable, visible, reference))
        level = measured.noise_level[measured.usable & (measured.noise_level > 0)]
        quality = assess(
            bolus=bolus,
            frames=series.frames,
            tr_s=series.tr_s,
            snr=float(1 / np.median(level)) if level.size else float("inf"),
            brain_ml=count * float(np.prod(series.spacing)) / 1000,
            shares=(shares[0], shares[1], shares[2]),
            motion=self._motion,
            aif=aif,
            white_matter=white_matter,
            mended_frames=int(np.count_nonzero(self._jumps.any(axis=0))),
            medians=_medians(values, measured.usable),
            found=self._warnings,
        )
        for warning in quality.warnings:
            self._reporter.warning(warning)
        return PerfusionMaps(
            maps=maps,
            brain=self._brain,
            non_enhancing=self._voxels.volume(reference),
            affine=series.affine,
            curves=Curves(series.times_s, self._signal, brain_curve, mean, corrected),
            bolus=bolus,
            aif=aif,
            motion=self._motion,
            quality=quality,
            options=options,
        )

    def _measure(self) -> _Measured:
        series, voxels, count = self._series, self._voxels, len(self._voxels)
        curves = np.empty((count, series.frames), dtype=np.float32)
        usable = np.empty(count, dtype=bool)
        noise, lowest, late = (np.zeros(count, dtype=np.float32) for _ in range(3))
        slices = voxels.indices[:, 2]

        def work(part: slice) -> None:
            signals = [voxels.rows(echo, part) for echo in series.echoes]
            self._mend(signals, slices[part])
            curves[part] = self._relaxation(signals)
            usable[part] = np.all([self._has_signal(signal) for signal in signals], axis=0)
            curves[part][~usable[part]] = 0
            first, level = signals[0], baseline_level(signals[0], self._bolus.baseline)
            safe = np.where(level > 0, level, np.float32(1))
            noise[part] = first[:, self._bolus.baseline].std(axis=1, ddof=1) / safe
            lowest[part] = first[:, self._bolus.first :].min(axis=1) / safe
            late[part] = first[:, self._late].mean(axis=1) / safe

        self._in_parts(work, "relaxation", 0.0, 0.3)
        return _Measured(curves, usable, noise, lowest, late)

    def _mend(self, signals: list[NDArray[np.float32]], slices: NDArray[np.intp]) -> None:
        for signal in signals:
            mend(signal, slices, self._jumps, self._bolus.steady)

    def _has_signal(self, signal: NDArray[np.float32]) -> Mask:
        """(n,) voxels with signal in every frame of the (n, T) steady state; in the first pass it may be low."""
        bolus = self._bolus
        least = np.float32(_NO_SIGNAL) * baseline_level(signal, bolus.baseline)
        usable = signal[:, bolus.steady :].min(axis=1) > 0
        usable &= signal[:, bolus.steady : bolus.stop].min(axis=1) > least
        if bolus.passed < self._series.frames:
            usable &= signal[:, bolus.passed :].min(axis=1) > least
        return np.asarray(usable)

    def _relaxation(self, signals: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """(n, T) ΔR2* in 1/s of the (n, T) signal of each echo."""
        series, floor = self._series, self._options.signal_floor
        drops = [log_drop(signal, baseline_level(signal, self._bolus.baseline), floor) for signal in signals]
        if len(drops) == 1:
            curves = single_echo(drops[0], series.te_s[0])
        else:
            curves = dual_echo(drops[0], drops[1], (series.te_s[0], series.te_s[1]))
        curves[:, : self._bolus.steady] = 0
        return curves

    def _non_enhancing(self, measured: _Measured) -> Mask:
        bolus = self._bolus
        area = measured.curves[:, bolus.first_pass(self._series.frames)].sum(axis=1)
        late_drop = -np.log(np.maximum(measured.late, self._options.signal_floor))
        return non_enhancing(late_drop, area, measured.noise_level, measured.usable, self._options)

    def _noise(self, measured: _Measured) -> Values:
        """(N,) standard deviation of ΔR2* in the baseline, 1/s."""
        return np.asarray(measured.curves[:, self._bolus.baseline].std(axis=1, ddof=1))

    def _visible(self, measured: _Measured) -> Mask:
        """(N,) voxels whose first-pass area stands out of its noise, which that of the baseline's level adds to."""
        window, baseline = self._bolus.first_pass(self._series.frames), self._bolus.baseline
        frames, before = window.stop - window.start, baseline.stop - baseline.start
        area = measured.curves[:, window].sum(axis=1)
        spread = self._noise(measured) * np.float32(np.sqrt(frames + frames**2 / before))
        # Student's t, since the spread is estimated from the few frames of the baseline.
        limit = np.float32(student.isf(_CHANCE, before - 1))
        return np.asarray(measured.usable & (area > limit * spread))

    def _aif(
        self, measured: _Measured, brain_curve: NDArray[np.float64], voxels: NDArray[np.intp] | None
    ) -> Aif | None:
        tr_s = self._series.tr_s
        if voxels is not None:
            i, j, k = voxels.T
            signals = [np.array(echo[i, j, k], np.float32) for echo in self._series.echoes]
            self._mend(signals, k)
            given = given_aif(self._relaxation(signals), voxels, self._bolus, brain_curve, tr_s, self._options)
            return self._in_blood(given)
        brain = Candidates(
            measured.curves,
            self._voxels.indices,
            measured.usable,
            self._noise(measured),
            measured.lowest,
            measured.noise_level,
        )
        try:
            return self._in_blood(find_aif(brain, self._bolus, brain_curve, tr_s, self._options))
        except AifError as error:
            self._warnings.append(str(error))
            return None

    def _in_blood(self, aif: Aif) -> Aif:
        """The AIF as tissue would show it, if the relaxation of blood is given.

        Raises:
            AifError: its area is not positive.
        """
        if self._options.aif_blood is not None:
            curve = tissue_equivalent(aif.curve, self._options.aif_blood, self._options.tissue_r2star)
            aif = replace(aif, curve=curve)
        if not float(aif.curve @ self._weights) > 0:
            raise AifError(
                f"The area under the {aif.method} arterial input function is not positive: its signal rises.",
                AIF_BY_HAND,
            )
        return aif

    def _maps(
        self, measured: _Measured, model: LeakageModel, aif: Aif | None
    ) -> tuple[dict[str, Values], NDArray[np.float64]]:
        """(N,) values of each map, and the mean (T,) curve after leakage correction."""
        series, options, bolus, count = self._series, self._options, self._bolus, len(self._voxels)
        weights = self._weights[:, None]
        names = ["rCBV", "rCBV_uncorrected", "K1", "K2", "TTP", "PH"]
        names += ["kep"] * (options.leakage == "bidirectional") + ["rCBV_gamma"] * options.gamma_fit
        area, deconvolution = 0.0, None
        if aif is not None:
            area = float(aif.curve @ weights[:, 0])
            if options.gamma_fit:
                fit = fit_gamma_variate(
                    aif.curve[None].astype(np.float32), series.tr_s, bolus.first, options.gamma_until
                )
                area = float(fit.area[0]) if fit.fitted[0] else area
            deconvolution = Deconvolution(aif.curve, series.tr_s, options)
            names += ["CBV", "CBF", "MTT", "Tmax"]
        values = {name: np.zeros(count, dtype=np.float32) for name in names}
        sums: list[NDArray[np.float64]] = []

        def work(part: slice) -> None:
            own = measured.curves[part]
            found = model.correct(own)
            sums.append(found.curves.sum(axis=0, dtype=np.float64))
            values["rCBV_uncorrected"][part] = product(own, weights)[:, 0]
            values["rCBV"][part] = cbv = product(found.curves, weights)[:, 0]
            values["K1"][part], values["K2"][part] = found.k1, found.k2
            if "kep" in values:
                values["kep"][part] = found.kep
            values["PH"][part], peak_s = peak_of(own[:, bolus.first :], series.tr_s)
            values["TTP"][part] = peak_s - np.float32((bolus.arrival - bolus.first) * series.tr_s)
            if options.gamma_fit:
                cbv = fit_gamma_variate(found.curves, series.tr_s, bolus.first, options.gamma_until).area.astype(
                    np.float32
                )
                values["rCBV_gamma"][part] = cbv
            if deconvolution is not None:
                flow = deconvolution.run(found.curves)
                values["CBV"][part] = options.blood_factor / area * cbv
                values["CBF"][part] = options.blood_factor * 60 * flow.peak
                values["Tmax"][part] = flow.tmax_s

        self._in_parts(work, "maps", 0.3, 1.0)
        if deconvolution is not None:
            flowing = values["CBF"] > 0
            ratio = 60 * values["CBV"] / np.where(flowing, values["CBF"], np.float32(1))
            values["MTT"][:] = np.where(flowing, np.maximum(ratio, 0), 0)
        values["PSR"] = signal_recovery(measured.lowest, measured.late)
        for value in values.values():
            value[~measured.usable] = 0
        return values, np.sum(sums, axis=0) / max(1, int(np.count_nonzero(measured.usable)))

    def _normalise(self, maps: dict[str, Values], nawm: Mask | None, usable: Mask) -> WhiteMatter | None:
        """Add the maps on a common scale; returns what they were divided by, where white matter is given."""
        try:
            maps["rCBV_standardised"] = np.where(usable, standardise(maps["rCBV"], usable), np.float32(0))
        except InputError as error:
            self._warnings.append(f"There is no standardised rCBV: {error.message}")
        if nawm is None:
            self._warnings.append("There is no nrCBV: no normal-appearing white matter was given.")
            return None
        used = nawm & usable
        inside, left = int(np.count_nonzero(nawm & self._brain)), int(np.count_nonzero(used))
        if left < LEAST_VOXELS <= inside:
            raise InputError(
                f"Of the {inside} voxels of normal-appearing white matter only {left} have signal in all frames.",
                "Draw it larger, or elsewhere; look for frames or slices that were cut off.",
            )
        maps["nrCBV"], divisor = normalise_to_white_matter(maps["rCBV"], used)
        maps["nrCBV_uncorrected"], _ = normalise_to_white_matter(maps["rCBV_uncorrected"], used)
        return WhiteMatter(divisor, left, int(np.count_nonzero(nawm)) - inside, inside - left)

    def _in_parts(self, work: Callable[[slice], None], stage: str, start: float, end: float) -> None:
        options = self._options
        part = Part(self._reporter, start, end)
        in_parts(len(self._voxels), options.chunk_voxels, options.threads, work, stage, part)


def _mean_image(series: DscSeries) -> Values:
    return np.asarray(series.echoes[0].mean(axis=3))


def _medians(values: dict[str, Values], usable: Mask) -> tuple[float, float] | None:
    """Medians of absolute CBV and CBF over the voxels that have a curve, if there is an AIF."""
    if "CBV" not in values or not usable.any():
        return None
    return float(np.median(values["CBV"][usable])), float(np.median(values["CBF"][usable]))
