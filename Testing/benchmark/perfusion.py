"""Time, memory and accuracy of the perfusion processing.

python -m Testing.benchmark.perfusion

The series has 128 × 128 × 24 voxels and 90 frames; the processing is complete but for motion correction, which is timed
on its own. The plain approach is a loop over voxels with NumPy's least squares and the matrices of the deconvolution,
timed on some voxels of the same series in the same run. The tables of accuracy are of simulated single voxels.

python -m Testing.benchmark.perfusion --phantoms 100

Looks only at where the arterial input function is found in so many small simulated patients: about 6 s each.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid
from scipy.linalg import circulant

from HierSynthLib.perfusion.deconvolution import Deconvolution
from HierSynthLib.perfusion.integration import trapezoid_weights
from HierSynthLib.perfusion.leakage import LeakageModel
from HierSynthLib.perfusion.maps import PerfusionMaps
from HierSynthLib.perfusion.options import Options
from HierSynthLib.perfusion.pipeline import process
from HierSynthLib.perfusion.series import DscSeries
from HierSynthLib.phantom import make_phantom
from HierSynthLib.phantom.dsc import DscTruth
from HierSynthLib.phantom.lesion import GRADES
from Testing.benchmark.measure import print_table
from Testing.unit.test_perfusion_head import make_head
from Testing.unit.test_perfusion_simulation import (
    R2STAR,
    TE_S,
    TR_S,
    Injection,
    leaked,
    relaxation,
    rician,
    signal,
    tissue,
)

SHAPE, SPACING, FRAMES = (128, 128, 24), (1.8, 1.8, 5.0), 90
RUNS = 5
LOOP_VOXELS = 500
SAMPLES = 2000
SNRS = (20, 50, 100, 200)
FIRST = 12
THRESHOLDS = (0.05, 0.06, 0.08, 0.10, 0.12, 0.15, 0.18, 0.22, 0.26, 0.30, 0.35, 0.40, 0.50, 0.60, 0.75, 0.90)

LEAST_ARTERY = 0.05
"""Share of arterial blood from which a voxel counts as lying within an artery: more than grey matter has of
all blood (4 ml/100 g)."""

Array = NDArray[Any]


def seconds_of(call: Callable[[], object], runs: int = RUNS) -> list[float]:
    """Seconds of each of some calls."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return times


def loop_seconds(series: DscSeries, maps: PerfusionMaps) -> float:
    """Seconds for each voxel of a plain loop: ΔR2*, leakage correction, CBV and oSVD, as they are written down."""
    assert maps.aif is not None
    bolus, frames = maps.bolus, series.frames
    m = np.where(np.arange(frames) >= bolus.first, maps.curves.non_enhancing, 0)
    design = np.stack([-cumulative_trapezoid(m, dx=series.tr_s, initial=0), m], axis=1)
    left, size, right = np.linalg.svd(circulant(np.r_[maps.aif.curve, np.zeros(frames)] * series.tr_s))
    inverses = [right.T @ np.diag(np.where(size >= p * size[0], 1 / size, 0)) @ left.T for p in THRESHOLDS]
    voxels = np.argwhere(maps.brain)[:: int(maps.brain.sum() / LOOP_VOXELS)]
    begun = time.perf_counter()
    for voxel in voxels:
        values = series.echoes[0][tuple(voxel)].astype(float)
        curve = -np.log(np.maximum(values / values[bolus.baseline].mean(), 1e-3)) / series.te_s[0]
        weights, *_ = np.linalg.lstsq(design[bolus.first :], curve[bolus.first :], rcond=None)
        curve -= weights[0] * design[:, 0]
        np.trapezoid(curve[bolus.first :], dx=series.tr_s)
        for inverse in inverses:
            residue = inverse @ np.r_[curve, np.zeros(frames)]
            if np.abs(np.diff(residue, 2)).sum() / len(residue) / residue.max() <= 0.035:
                break
    return (time.perf_counter() - begun) / len(voxels)


def speed() -> None:
    """Time and memory."""
    series = make_head(SHAPE, SPACING, frames=FRAMES).series
    still = Options(motion=False)
    maps = process(series, still)
    times = seconds_of(lambda: process(series, still))
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    voxels = int(np.count_nonzero(maps.brain))
    each = loop_seconds(series, maps)
    with_motion = seconds_of(lambda: process(series, Options()), 1)[0]
    seconds = statistics.median(times)
    print_table(
        f"Perfusion: {' × '.join(map(str, (*SHAPE, FRAMES)))}, {voxels} voxels of brain",
        [
            ("processing, without motion correction", "≤ 3 s", f"{seconds:.2f} s ({min(times):.2f}–{max(times):.2f})"),
            ("largest memory, the series itself included", "≤ 1.5 GiB", f"{gib:.2f} GiB"),
            (
                f"plain loop over {LOOP_VOXELS} voxels",
                "–",
                f"{1000 * each:.2f} ms per voxel, {each * voxels:.0f} s in all",
            ),
            ("ratio", "stated", f"{each * voxels / seconds:.0f}"),
            ("with motion correction", "–", f"{with_motion:.1f} s"),
        ],
    )


def voxel(injection: Injection, cbv: float, cbf: float, ktrans: float = 0.0, **kwargs: Any) -> Array:
    """Signal of a voxel, T1 1.7 s unless stated."""
    outside = leaked(injection, ktrans) if ktrans else 0 * injection.times
    return np.asarray(injection.frames(signal(tissue(injection, cbv, cbf), outside, **{"T1": 1.7, **kwargs})))


def reference_of(injection: Injection, **kwargs: Any) -> Array:
    """Mean ΔR2* of grey and white matter."""
    grey, white = voxel(injection, 4, 60, T1=1.4, **kwargs), voxel(injection, 2, 25, T1=0.85, **kwargs)
    return np.asarray(0.55 * relaxation(grey) + 0.45 * relaxation(white))


def area(curves: Array) -> Array:
    """∫ of (…, T) curves."""
    return np.asarray(curves @ trapezoid_weights(curves.shape[-1], TR_S))


def print_header(names: list[str]) -> None:
    """Print the first two lines of a Markdown table."""
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")


def leakage_table() -> None:
    """Error of CBV by leakage and the way it is corrected."""
    injection = Injection(recirculation=0.15)
    ways = {
        "none": None,
        "BSW, published": Options(leakage_shape=False),
        "BSW": Options(),
        "bidirectional, published": Options(leakage="bidirectional", leakage_shape=False),
        "bidirectional": Options(leakage="bidirectional"),
    }
    print("\n### Error of CBV, no noise\n")
    print_header(["voxel", *ways])
    after, low = {"T1": 0.7, "flip": 60}, {"flip": 30}
    cases: list[tuple[str, float, float, float, dict[str, float]]] = [
        ("grey matter, MTT 4.0 s", 4, 60, 0, {"T1": 1.4}),
        ("white matter, MTT 4.8 s", 2, 25, 0, {"T1": 0.85}),
        ("tumour, MTT 6.0 s", 8, 80, 0, {}),
        ("slow tissue, MTT 8.0 s", 4, 30, 0, {}),
        *(
            (f"tumour, {name}, K^trans {ktrans}/min, r2* {r2star:g}", 8, 80, ktrans, {**way, "r2star_outside": r2star})
            for name, way in (("preload, 60°", after), ("30°", low), ("no preload, 60°", {"flip": 60}))
            for ktrans in (0.02, 0.1)
            for r2star in (5, 30)
        ),
    ]
    for name, cbv, cbf, ktrans, kwargs in cases:
        true = float(area(R2STAR * injection.frames(tissue(injection, cbv, cbf))))
        curve = relaxation(voxel(injection, cbv, cbf, ktrans, **kwargs))
        row = []
        for options in ways.values():
            found = curve
            if options is not None:
                model = LeakageModel(reference_of(injection), TR_S, FIRST, options)
                found = model.correct(curve[None].astype(np.float32)).curves[0]
            row.append(f"{100 * (float(area(found)) / true - 1):+.1f} %")
        print(f"| {name} | {' | '.join(row)} |")


def noise_table() -> None:
    """Bias and standard deviation over noise."""
    injection = Injection(recirculation=0.15)
    reference = reference_of(injection)
    aif = R2STAR * injection.frames(injection.artery())
    model, flow = LeakageModel(reference, TR_S, FIRST, Options()), Deconvolution(aif, TR_S, Options())
    cases = {
        "grey matter": (voxel(injection, 4, 60, T1=1.4), 4, 60),
        "white matter": (voxel(injection, 2, 25, T1=0.85), 2, 25),
        "tumour, leaking, T1": (voxel(injection, 8, 80, 0.03, flip=30, r2star_outside=5), 8, 80),
        "tumour, leaking, T2*": (voxel(injection, 8, 80, 0.03, flip=30, r2star_outside=60), 8, 80),
    }
    print(
        "\n### Bias ± standard deviation over noise\n\n| voxel, SNR | CBV uncorrected | CBV | CBF |\n|---|---|---|---|"
    )
    for name, (clean, cbv, cbf) in cases.items():
        for snr in SNRS:
            values = rician(np.tile(clean, (SAMPLES, 1)), clean[0] / snr, seed=snr)
            curves = relaxation(np.maximum(values, 1e-3 * clean[0]), baseline=12).astype(np.float32)
            corrected = model.correct(curves).curves
            factor = Options().blood_factor
            results = (
                (factor * area(curves) / float(area(aif)), cbv),
                (factor * area(corrected) / float(area(aif)), cbv),
                (60 * factor * flow.run(corrected).peak, cbf),
            )
            cells = [f"{100 * (f.mean() / true - 1):+.1f} ± {100 * f.std() / true:.1f} %" for f, true in results]
            print(f"| {name}, {snr} | {' | '.join(cells)} |")


def flow_table() -> None:
    """CBF of the digital reference object."""
    print("\n### CBF by oSVD, no noise: found (largest change over delays of 0–5 s)\n")
    flows = [(4, cbf) for cbf in (10, 30, 50, 70)] + [(2, cbf) for cbf in (5, 15, 25, 35)]
    print(
        "| TR | " + " | ".join(f"CBV {cbv}, CBF {cbf}" for cbv, cbf in flows) + " |\n|---" + "|---" * len(flows) + "|"
    )
    for tr_s in (1.0, 1.5, 2.0):
        injection = Injection(tr_s=tr_s, count=round(135 / tr_s), recirculation=0.15)
        deconvolution = Deconvolution(R2STAR * injection.frames(injection.artery()), tr_s, Options())
        cells = []
        for cbv, cbf in flows:
            delays = (0.0, 0.3, 0.75, 1.0, 1.5, 2.3, 3.0, 4.1, 5.0)
            curves = [R2STAR * injection.frames(tissue(injection, cbv, cbf, delay_s=delay)) for delay in delays]
            found = 60 * Options().blood_factor * deconvolution.run(np.stack(curves).astype(np.float32)).peak
            cells.append(f"{found[0]:.1f} ({100 * (found.max() / found.min() - 1):.1f} %)")
        print(f"| {tr_s} s | {' | '.join(cells)} |")


def processed_phantom(seed: int, grade: str) -> tuple[DscTruth, PerfusionMaps]:
    """Truth and maps of a small phantom; brain and AIF are found in the series alone, as for a patient."""
    acquired = make_phantom(seed, grade, "small").dsc
    assert acquired is not None
    timing = acquired.settings["protocol"]
    series = DscSeries.from_volumes([acquired.series], timing["te_s"], timing["tr_s"])
    maps = process(series, Options(motion=False))
    return acquired.truth, maps


def artery_table(count: int, first: int) -> None:
    """Where the AIF is found; a phantom counts if each voxel holds 5 % of arterial blood and more of it than venous."""
    names = ["arterial blood, least to most", "venous, most", "width", "lead", "tail", "CBV, true", "MTT, true"]
    print_header(["seed", "grade", *names, "within"])
    right = 0
    for seed in range(first, first + count):
        grade = GRADES[seed % len(GRADES)]
        truth, maps = processed_phantom(seed, grade)
        good, cells = False, ["none"] * len(names)
        if maps.aif is not None:
            voxels = tuple(maps.aif.voxels.T)
            artery, vein = truth.artery[voxels], truth.vein[voxels]
            good = bool(np.all((artery >= LEAST_ARTERY) & (artery > vein)))
            tissue = maps.brain & (truth.cbf > 10) & (truth.artery + truth.vein < 0.01)
            transit = 60 * truth.cbv[tissue] / truth.cbf[tissue]
            found = [float(np.median(maps.maps[name][tissue])) for name in ("CBV", "MTT")]
            cells = [
                f"{100 * artery.min():.0f}–{100 * artery.max():.0f} %",
                f"{100 * vein.max():.0f} %",
                f"{maps.aif.width_s:.1f} s",
                f"{maps.aif.lead_s:.1f} s",
                "–" if maps.aif.tail is None else f"{maps.aif.tail:.2f}",
                f"{found[0]:.1f}, {np.median(truth.cbv[tissue]):.1f} ml/100 g",
                f"{found[1]:.1f}, {np.median(transit):.1f} s",
            ]
        right += good
        print(f"| {seed} | {grade} | {' | '.join(cells)} | {'yes' if good else 'no'} |", flush=True)
    print(f"\nWithin the arteries: {right} of {count}.")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accuracy-only", action="store_true", help="without the times")
    parser.add_argument("--phantoms", type=int, metavar="N", help="only the AIF, in N small simulated patients")
    parser.add_argument("--first-seed", type=int, default=1, metavar="SEED", help="of the first of them")
    arguments = parser.parse_args()
    if arguments.phantoms is not None:
        artery_table(arguments.phantoms, arguments.first_seed)
        return
    if not arguments.accuracy_only:
        speed()
    leakage_table()
    noise_table()
    flow_table()
    print(f"\nTE {1000 * TE_S:g} ms, TR {TR_S:g} s where nothing else is said.")


if __name__ == "__main__":
    main()
