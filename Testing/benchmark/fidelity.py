"""Time and memory of measuring 10 regions on two maps of 240 × 240 × 155 voxels, against the plain approach.

python -m Testing.benchmark.fidelity

The plain approach is scikit-image's SSIM of the full volume and full-size masks, both anew for every region. The maps
lie on their grid already where a time is taken; the jobs' times include reading the parameters and writing the file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from HierSynthLib.fidelity.measures.gridded import MapInput
from HierSynthLib.fidelity.measures.job import MeasureJob
from HierSynthLib.fidelity.measures.measure import Measurer
from HierSynthLib.fidelity.measures.settings import Settings
from HierSynthLib.fidelity.regions.shapes import Region, Sphere
from HierSynthLib.progress import Silent
from HierSynthLib.volume import Volume, write_volume
from Testing.benchmark.measure import print_table, tree_memory

SHAPE = (240, 240, 155)
RUNS = 5
MIB = 2**20

Array = NDArray[Any]


def affine() -> Array:
    """1 mm voxels around the origin."""
    matrix = np.eye(4)
    matrix[:3, 3] = -(np.array(SHAPE) - 1) / 2
    return matrix


def brain() -> Array:
    """An ellipsoid of 1.4 litres."""
    i, j, k = np.ogrid[tuple(slice(-(n - 1) / 2, (n - 1) / 2, n * 1j) for n in SHAPE)]
    return np.asarray((i / 66) ** 2 + (j / 82) ** 2 + (k / 62) ** 2 <= 1)


def maps() -> tuple[Array, Array, Array]:
    """A synthetic map, an acquired one and an uncertainty, smooth and of the values of nrCBV."""
    random = np.random.default_rng(4)
    inside = brain()

    def smooth(sigma: float) -> Array:
        field = ndimage.gaussian_filter(random.standard_normal(SHAPE).astype(np.float32), sigma)
        return np.asarray(field / field.std())

    true = np.exp(0.3 + 0.5 * smooth(3.0))
    acquired = (true * (1 + 0.15 * smooth(1.2)) * inside).astype(np.float32)
    synthetic = (true * (1 + 0.2 * smooth(2.0)) * inside).astype(np.float32)
    return synthetic, acquired, (0.3 + 0.1 * np.abs(smooth(4.0)) * inside).astype(np.float32)


def regions() -> list[Region]:
    """Spheres of 6 to 40 mm and a lesion of 60 ml; the last is the reference."""
    places = [(-20, 30, 10), (25, -35, 0), (-30, -30, 20), (15, 40, -10), (0, -50, 5), (30, 20, 20), (-10, 10, 35)]
    diameters = [6, 6, 10, 15, 20, 30, 40]
    lesion = (60_000 * 3 / (4 * np.pi)) ** (1 / 3)
    found = [_sphere("Lesion", (28, 10, 5), lesion)]
    found += [
        _sphere(f"Sphere of {d} mm", p, d / 2, "hotspot" if d == 6 else "lesion")
        for p, d in zip(places, diameters, strict=True)
    ]
    found.append(_sphere("Hotspot", (35, 15, 0), 3, "hotspot"))
    centres = [(-25, -5, 35), (-25, 5, 35), (-25, 15, 35)]
    return [*found, Region("NAWM", "reference", tuple(Sphere(np.array(c, float), 5.0) for c in centres))]


def _sphere(name: str, centre: tuple[float, float, float], radius: float, role: Any = "lesion") -> Region:
    return Region(name, role, (Sphere(np.array(centre, dtype=float), float(radius)),))


def inputs(arrays: tuple[Array, ...], *, uncertainty: bool = False) -> list[MapInput]:
    """The maps as the measurer takes them."""
    found = [MapInput("synthetic", "synthetic", Volume(arrays[0], affine(), "nrCBV"))]
    found.append(MapInput("acquired", "acquired", Volume(arrays[1], affine(), "nrCBV")))
    if uncertainty:
        found.append(MapInput("uncertainty", "uncertainty", Volume(arrays[2], affine(), "nrCBV")))
    return found


def plain(synthetic: Array, acquired: Array) -> None:
    """SSIM of the full volume and full-size masks, anew for each region; a few first-order measures."""
    from skimage.metrics import structural_similarity

    positions = np.indices(SHAPE, dtype=np.float32).reshape(3, -1).T + affine()[:3, 3].astype(np.float32)
    for region in regions():
        mask = np.zeros(SHAPE, bool)
        for shape in region.shapes:
            assert isinstance(shape, Sphere)
            near = np.linalg.norm(positions - shape.centre.astype(np.float32), axis=1) <= shape.radius_mm
            mask |= near.reshape(SHAPE)
        _, full = structural_similarity(
            synthetic, acquired, data_range=6.0, gaussian_weights=True, use_sample_covariance=False, full=True
        )
        full[mask].mean()
        x, y = synthetic[mask], acquired[mask]
        for values in (x, y):
            np.percentile(values, [5, 25, 50, 75, 90, 95])
            values.mean(), values.std(), values.max()
        np.corrcoef(x, y)
        np.abs(x - y).mean(), ((x - y) ** 2).mean()


def seconds(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def summary(times: list[float]) -> str:
    """Median, range and number of runs."""
    return f"{statistics.median(times):.2f} s ({min(times):.2f}–{max(times):.2f}, n = {len(times)})"


def timed(arrays: tuple[Array, ...], settings: Settings, mask: Volume | None, *, uncertainty: bool = False) -> str:
    """Measuring all regions, with the maps on their grid but nothing measured before."""
    times = []
    for _ in range(RUNS):
        measurer = Measurer(inputs(arrays, uncertainty=uncertainty), mask, settings)
        times.append(seconds(lambda measurer=measurer: measurer.measure(regions())))
    return summary(times)


def live(arrays: tuple[Array, ...], mask: Volume) -> tuple[str, str]:
    """The job with files after the lesion of 60 ml was moved, and after the sphere of 20 mm was."""
    with TemporaryDirectory() as name:
        files = {key: Path(name) / f"{key}.npy" for key in ("synthetic", "acquired", "brain")}
        for path, array in zip(files.values(), (*arrays[:2], mask.array), strict=True):
            write_volume(Volume(array, affine(), "nrCBV"), path)
        parameters: dict[str, Any] = {
            "maps": [{"name": key, "kind": key, "path": str(files[key])} for key in ("synthetic", "acquired")],
            "brain": str(files["brain"]),
            "output": str(Path(name) / "measurement.json"),
        }
        job, found = MeasureJob(), regions()
        job.run(parameters | {"regions": [region.to_json() for region in found]}, Silent())
        names, times = ("Lesion", "Sphere of 20 mm"), ([], [])
        for step in range(RUNS):
            for which, moved in enumerate(names):
                found = [_moved(region, step + 1) if region.name == moved else region for region in found]
                fields = parameters | {"regions": [region.to_json() for region in found]}
                times[which].append(seconds(lambda fields=fields: job.run(fields, Silent())))
    return summary(times[0]), summary(times[1])


def _moved(region: Region, step: int) -> Region:
    sphere = region.shapes[0]
    assert isinstance(sphere, Sphere)
    return Region(region.name, region.role, (Sphere(sphere.centre - [0.3 * step, 0, 0], sphere.radius_mm),))


def memory() -> None:
    """Print the growth of the resident memory in MiB while two maps are made, placed and measured."""
    random, mask = np.random.default_rng(0), Volume(brain(), affine())
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], tree_memory(os.getpid()))

    small = random.random((40, 40, 40), np.float32)
    Measurer(inputs((small, small))).measure([_sphere("Libraries are loaded", (0, 0, 0), 8)])
    before = tree_memory(os.getpid())
    watcher = threading.Thread(target=watch)
    watcher.start()
    arrays = (random.random(SHAPE, np.float32), random.random(SHAPE, np.float32))
    Measurer(inputs(arrays), mask).measure(regions())
    done.set()
    watcher.join()
    print((peak[0] - before) / MIB)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", action="store_true", help="only print the growth of this process's memory in MiB")
    if parser.parse_args().memory:
        memory()
        return
    arrays, mask, without = maps(), Volume(brain(), affine()), Settings(texture=False)
    of_two = 2 * arrays[0].nbytes / MIB
    command = [sys.executable, "-m", "Testing.benchmark.fidelity", "--memory"]
    grown = float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    every = timed(arrays, Settings(), None)
    naive = seconds(lambda: plain(arrays[0], arrays[1]))
    lesion, sphere = live(arrays, mask)
    print_table(
        f"Fidelity of 10 regions, two maps of {' × '.join(map(str, SHAPE))} voxels",
        [
            ("all measures", "≤ 2 s", every),
            ("all measures, and those of the whole brain", "≤ 2 s", timed(arrays, Settings(), mask)),
            ("without texture", "≤ 0.5 s", timed(arrays, without, None)),
            ("without texture, and those of the whole brain", "≤ 0.5 s", timed(arrays, without, mask)),
            ("all, whole brain, uncertainty map", "–", timed(arrays, Settings(), mask, uncertainty=True)),
            ("plain approach, a few of the measures", "–", f"{naive:.1f} s"),
            ("plain approach / all measures", "stated", f"{naive / float(every.split()[0]):.0f} ×"),
            ("job after a lesion of 60 ml was moved, all measures", "≤ 0.1 s", lesion),
            ("job after a sphere of 20 mm was moved, all measures", "≤ 0.1 s", sphere),
            (
                "growth of resident memory, maps included",
                f"≤ {3 * of_two:.0f} MiB",
                f"{grown:.0f} MiB ({grown / of_two:.1f} × the two maps)",
            ),
        ],
    )


if __name__ == "__main__":
    main()
