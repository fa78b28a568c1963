"""Every constant of the processing, with its default and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from HierSynthLib.errors import InputError

LeakageMethod = Literal["none", "bsw", "bidirectional"]
DeconvolutionMethod = Literal["ssvd", "csvd", "osvd"]

_MOST_TRANSITS = 4


@dataclass(frozen=True)
class Options:
    """How a DSC series is processed. "Design value" marks a choice of this project that no publication fixes.

    Attributes:
        motion: whether frames are registered to the baseline first.
        motion_least_mm: frames in which no voxel of the brain moved more keep their samples, unblurred (design value:
            about the error of the estimate at the peak of the bolus).

        baseline_stop: the bolus begins where the mean signal of the brain falls by more than this share of its
            largest drop (the usual 5 % stop rule).
        baseline_guard_frames: frames before that which count as bolus too, since arteries fill before tissue (design
            value).
        baseline_min_frames: fewer make a baseline too short.
        baseline_max_frames: of the longer ones, the last are used.
        steady_state: leading frames whose signal exceeds the baseline by more than this share are left out, because the
            magnetisation is not yet steady (design value).
        least_drop: a smaller largest drop of the brain's mean signal, relative to the baseline, is no bolus (design
            value).
        signal_floor: signal is taken to be at least this share of the baseline, so that its logarithm exists (design
            value).

        late_frames: the last frames that count as late (10–11 are usual).
        non_enhancing_sd: a voxel does not enhance if its late mean lies within so many standard deviations of its
            baseline (1–2 are usual), agent that keeps circulating allowed for.
        non_enhancing_least_sd: that standard deviation is taken to be at least this share of the baseline, for series
            with little noise (design value).
        non_enhancing_least_share: with fewer such voxels, relative to the brain, those nearest to their baseline are
            taken instead (design value).

        leakage: "bsw" (Boxerman 2006), "bidirectional" (Leu 2016) or "none".
        leakage_shape: whether a delay and a transit time other than the reference's are fitted along with the leakage;
            False is the published regression, which mistakes them for leakage (Bjørnerud 2011).
        leakage_transits_s: time constants of the exponentials that stand for other transits (design value: those that
            change voxels without leakage least, for MTT of 3 to 8 s).
        largest_kep: of the bidirectional model, 1/s (design value: 1.2/min).
        kep_steps: number of values of k_ep that are tried, 0 included (design value).

        integration_s: how long after the bolus's arrival curves are integrated; None is to the end.
        gamma_fit: whether CBV is also computed from a gamma-variate fitted to the first pass.
        gamma_until: the fit ends where the curve has fallen to this share of its peak, before recirculation (design
            value).

        density_g_per_ml: ρ of brain tissue.
        haematocrit_factor: k_H = (1 − Hct of large vessels)/(1 − Hct of small vessels); some tools use 1.
        aif_blood: (a, b) of ΔR2* = a·C + b·C² in whole blood, 1/(mM·s) and 1/(mM²·s); None takes blood to relax like
            tissue, as is usual.
        tissue_r2star: of tissue, 1/(mM·s); used with `aif_blood` only.

        aif_area_share: share of the brain's voxels, those of the largest first-pass area, that may be arteries
            (Mouridsen 2006 starts with 10 %).
        aif_irregular_share: share of the candidates, the most irregular, that are discarded (Mouridsen 2006: 25 %).
        aif_peak_snr: least height of the peak over the baseline's standard deviation (design value).
        aif_least_signal: a voxel whose signal falls below so many standard deviations of its noise is saturated (design
            value).
        aif_least_tail: least late ΔR2* of a voxel relative to its area, compared with the same of the brain (design
            value); below, its curve is distorted by the relaxation of blood.
        aif_clusters: number of clusters of the candidates' curves (Mouridsen 2006: 5).
        aif_voxels: how many voxels are averaged at most (design value).

        deconvolution: "osvd" and "csvd" (Wu 2003) or "ssvd" (Østergaard 1996).
        ssvd_threshold: singular values below this share of the largest are left out.
        csvd_threshold: likewise.
        oscillation_limit: of the residue function for oSVD (Wu 2003).
        osvd_first_threshold: where oSVD starts to raise the threshold of each voxel (design value).
        taper_s: over so much of the end, curves are led to 0 for "osvd" and "csvd", which take them as periodic (design
            value).

        threads: how many parts of the brain are worked on at the same time.
        chunk_voxels: how many voxels a part has.
    """

    motion: bool = True
    motion_least_mm: float = 0.4

    baseline_stop: float = 0.05
    baseline_guard_frames: int = 1
    baseline_min_frames: int = 3
    baseline_max_frames: int = 12
    steady_state: float = 0.02
    least_drop: float = 0.05
    signal_floor: float = 1e-3

    late_frames: int = 10
    non_enhancing_sd: float = 1.0
    non_enhancing_least_sd: float = 0.02
    non_enhancing_least_share: float = 0.1

    leakage: LeakageMethod = "bsw"
    leakage_shape: bool = True
    leakage_transits_s: tuple[float, ...] = (3.0, 7.5)
    largest_kep: float = 0.02
    kep_steps: int = 12

    integration_s: float | None = None
    gamma_fit: bool = False
    gamma_until: float = 0.4

    density_g_per_ml: float = 1.04
    haematocrit_factor: float = 0.73
    aif_blood: tuple[float, float] | None = None
    tissue_r2star: float = 87.0

    aif_area_share: float = 0.05
    aif_irregular_share: float = 0.25
    aif_peak_snr: float = 10.0
    aif_least_signal: float = 3.0
    aif_least_tail: float = 0.8
    aif_clusters: int = 5
    aif_voxels: int = 8

    deconvolution: DeconvolutionMethod = "osvd"
    ssvd_threshold: float = 0.2
    csvd_threshold: float = 0.1
    oscillation_limit: float = 0.035
    osvd_first_threshold: float = 0.05
    taper_s: float = 20.0

    threads: int = 2
    chunk_voxels: int = 4096

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: a value is out of range.
        """
        for name, kind in (("leakage", LeakageMethod), ("deconvolution", DeconvolutionMethod)):
            if getattr(self, name) not in get_args(kind):
                choices = ", ".join(get_args(kind))
                raise InputError(f"{name} = {getattr(self, name)!r} is unknown.", f"Choose one of {choices}.")
        shares = (
            "baseline_stop", "steady_state", "least_drop", "signal_floor", "non_enhancing_least_share", "gamma_until",
            "aif_area_share", "aif_irregular_share", "aif_least_tail", "ssvd_threshold", "csvd_threshold",
            "osvd_first_threshold",
        )  # fmt: skip
        for name in shares:
            _check(name, getattr(self, name), 0.0, 1.0)
        _check("signal_floor", self.signal_floor, 1e-9, 1.0)
        for name, low, high in (
            ("baseline_min_frames", 1, 1000), ("baseline_max_frames", self.baseline_min_frames, 1000),
            ("baseline_guard_frames", 0, 20), ("late_frames", 1, 1000), ("kep_steps", 1, 1000),
            ("aif_clusters", 1, 1000), ("aif_voxels", 1, 1000), ("threads", 1, 256), ("chunk_voxels", 1, 10**7),
            ("motion_least_mm", 0, 100), ("non_enhancing_sd", 0, 1000), ("non_enhancing_least_sd", 0, 1),
            ("largest_kep", 0, 10), ("density_g_per_ml", 0.1, 10), ("haematocrit_factor", 0.1, 10),
            ("tissue_r2star", 1e-3, 1e4), ("aif_peak_snr", 0, 1e9), ("aif_least_signal", 0, 100),
            ("oscillation_limit", 1e-6, 10), ("taper_s", 0, 1000),
        ):  # fmt: skip
            _check(name, getattr(self, name), low, high)
        if self.integration_s is not None:
            _check("integration_s", self.integration_s, 1.0, 1e4)
        for value in self.leakage_transits_s:
            _check("leakage_transits_s", value, 0.1, 100)
        if len(self.leakage_transits_s) > _MOST_TRANSITS:
            raise InputError(
                f"leakage_transits_s has {len(self.leakage_transits_s)} values.", f"Give at most {_MOST_TRANSITS}."
            )
        if self.aif_blood is not None:
            for value, low in zip(self.aif_blood, (1e-6, 0.0), strict=True):
                _check("aif_blood", value, low, 1e4)

    @property
    def blood_factor(self) -> float:
        """100·k_H/ρ: from the ratio of the areas of tissue and artery to ml/100 g."""
        return 100 * self.haematocrit_factor / self.density_g_per_ml

    def to_json(self) -> dict[str, Any]:
        """The values as JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Options:
        """The options of `to_json`; what is missing keeps its default.

        Raises:
            InputError: a name is unknown, or a value is of the wrong type or out of range.
        """
        known = {field.name: field for field in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in content.items():
            if name not in known:
                raise InputError(f"The option {name!r} of the perfusion processing is unknown.", "Check its spelling.")
            values[name] = _typed(name, value, known[name].default)
        return cls(**values)


def _typed(name: str, value: Any, default: Any) -> Any:
    if name == "aif_blood":
        if value is None:
            return None
        if not isinstance(value, list | tuple) or len(value) != 2 or not all(_is_number(v) for v in value):
            raise InputError(f"{name} = {value!r} is not a pair of numbers.", "Give for example [0.5, 2.6].")
        return float(value[0]), float(value[1])
    if name == "leakage_transits_s":
        if not isinstance(value, list | tuple) or not all(_is_number(v) for v in value):
            raise InputError(f"{name} = {value!r} is not a list of numbers.", "Give for example [3, 7.5].")
        return tuple(float(v) for v in value)
    if value is None and name == "integration_s":
        return None
    if isinstance(default, bool):
        valid = isinstance(value, bool)
    elif isinstance(default, int):
        valid = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, str):
        valid = isinstance(value, str)
    else:
        valid = _is_number(value)
    if not valid:
        raise InputError(f"{name} = {value!r} is of the wrong kind.", f"The default is {default!r}.")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also catches NaN and infinity
        said = f"{value:g}" if isinstance(value, float) else f"{value!s:.20}"
        raise InputError(f"{name} = {said} is out of range.", f"Give {low:g} to {high:g}.")
