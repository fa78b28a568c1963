"""The panel in the stand-in host: opening, click to overlay, gaps of the event loop, and a long run of accidents.

QT_QPA_PLATFORM=offscreen python -m Testing.benchmark.panel [--accidents 50]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.synthesis.catalogue import model_cards
from HierSynthLib.synthesis.package import DEFAULT_MODEL
from HierSynthLib.volume import Volume, read_volume, write_volume
from HierSynthLib.worker.run_state import RunState
from Testing.benchmark.measure import print_table, run_command, tree_memory
from Testing.benchmark.synthesis import COMMAND, spread
from Testing.conftest import write_tiny_model
from Testing.host import Host
from Testing.host.properties import PROPERTIES
from Testing.host.views.abstract_view import AbstractView

GRID = (240, 240, 155)
RUNS = 3
SEED = 1
ACCIDENTS = ("cancel", "kill", "close scene", "none")


class Measured:
    """The panel under measurement, used as a user uses it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.panel = host.open_module("HierSynth").panel

    def open_case(self, folder: Path) -> float:
        """Load a case folder; returns the longest gap of the event loop in seconds."""
        with self.host.gaps() as gaps:
            self.panel.inputs.load_folder(str(folder))
            self.host.wait(lambda: self.panel.context.parameters.t1 is not None, 120)
            self.host.wait(lambda: self.panel.run_section.ui.runButton.enabled, 60)
        return gaps.longest

    @property
    def grid(self) -> tuple[int, ...]:
        """Voxels of the T1 along its axes."""
        return tuple(self.panel.context.parameters.t1.GetImageData().GetDimensions())

    def run(self) -> dict[str, float]:
        """One synthesis: seconds from click to overlay, of the pipeline itself, and the longest gaps."""
        panel, host = self.panel, self.host
        before = panel.context.parameters.synthetic
        run_before = before.GetAttribute("HierSynth.Run") if before is not None else None
        begun = time.perf_counter()
        with host.gaps() as working:
            host.click(panel.run_section.ui.runButton)
            host.wait(lambda: panel.run.result is not None or not panel.run.busy, 600)
        with host.gaps() as loading:
            host.wait(lambda: self._shown(run_before) or not panel.run.busy, 60)
            shown = time.perf_counter() - begun
            host.wait(lambda: not panel.run.busy, 60)
        if panel.run.state != RunState.DONE:
            raise SystemExit(panel.run.details())
        pipeline = panel.run.result["seconds"]["total"]
        return {
            "shown": shown,
            "pipeline": pipeline,
            "overhead": shown - pipeline,
            "gap while running": working.longest,
            "gap while loading": loading.longest,
        }

    def _shown(self, run_before: str | None) -> bool:
        """Whether a new map lies over the anatomy in a view that has been drawn since."""
        import slicer

        node = self.panel.context.parameters.synthetic
        if node is None or node.GetAttribute("HierSynth.Run") == run_before:
            return False
        red = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceCompositeNode")
        views = self.host.window.findChildren(AbstractView)
        return red.GetForegroundVolumeID() == node.GetID() and not any(view.is_render_pending() for view in views)


def put_on_grid(case: Path) -> None:
    """Crop and pad the 1 mm volumes of a case about their middle to `GRID`; nothing moves in space."""
    for path in case.glob("*.nii.gz"):
        volume = read_volume(path)
        if volume.spacing.max() > 1.5:
            continue
        shift = [(new - old) // 2 for new, old in zip(GRID, volume.grid, strict=True)]
        pad = [
            (max(move, 0), max(new - old - move, 0)) for move, new, old in zip(shift, GRID, volume.grid, strict=True)
        ]
        crop = tuple(slice(max(-move, 0), max(-move, 0) + new) for move, new in zip(shift, GRID, strict=True))
        affine = volume.affine.copy()
        affine[:3, 3] = volume.positions([-move for move in shift])
        array = np.pad(volume.array[crop], pad)
        write_volume(Volume(array, affine, volume.units), path, overwrite=True)


def measure_opening() -> tuple[float, bool]:
    """Seconds from the click on the module to its panel in a fresh process, and whether torch was loaded."""
    program = (
        "import sys, time; from Testing.host import Host; host = Host.start(offscreen=True); "
        "begun = time.perf_counter(); host.open_module('HierSynth'); "
        "print(time.perf_counter() - begun, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True)
    seconds, torch_loaded = done.stdout.split()
    return float(seconds), torch_loaded == "True"


def title_of(model: str) -> str:
    """How the panel lists a model."""
    return next(card.title for card in model_cards() if card.name == model)


def accidents(measured: Measured, case: Path, count: int) -> list[tuple[str, str, str]]:
    """Runs that are cancelled, killed or lose their scene at random moments; the panel has to work after each."""
    host, panel, choose = measured.host, measured.panel, random.Random(SEED)
    happened: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    census: dict[str, int] | None = None
    for _ in range(count):
        if panel.context.parameters.t1 is None:
            measured.open_case(case)
        accident = choose.choice(ACCIDENTS)
        happened[accident] += 1
        host.click(panel.run_section.ui.runButton)
        pause = time.monotonic() + choose.uniform(0.0, 2.5)
        host.wait(lambda end=pause: time.monotonic() > end or not panel.run.busy, 10)
        _let_happen(accident, host, panel)
        host.wait(lambda: not panel.run.busy, 120)
        ended[str(panel.run.state)] += 1
        if accident == "close scene":
            now = host.scene_census()
            census = census or now
            if now != census:
                raise SystemExit(f"leaked nodes: {Counter(now) - Counter(census)}")
    measured.open_case(case)
    measured.run()
    pids = panel.context.link.pids
    host.close_module("HierSynth")
    alive = [pid for pid in pids if tree_memory(pid)]
    folders = [path.name for path in Path(host.app.temporaryPath, "HierSynth").glob("hiersynth-job-*")]
    return [
        (f"{count} runs: {dict(happened)}", "panel usable after each", f"yes; ended as {dict(ended)}"),
        ("worker processes started / left after closing", "none left", f"{len(pids)} / {len(alive)}"),
        ("nodes left after closing the scene", "none", "none"),
        ("job folders left", "none", ", ".join(folders) or "none"),
    ]


def _let_happen(accident: str, host: Host, panel: Any) -> None:
    if accident == "cancel" and panel.run.busy:
        host.click(panel.run_section.ui.runButton)
    elif accident == "kill" and panel.context.link.pid is not None:
        os.kill(panel.context.link.pid, signal.SIGKILL)
    elif accident == "close scene":
        host.close_scene()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accidents", type=int, default=50)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["HIERSYNTH_DATA"] = str(folder / "data")
        write_tiny_model(folder / "data" / "Models" / "tiny")
        for size in ("full", "small"):
            run_command([*COMMAND, "phantom", str(folder / size), "--size", size, "--seed", "2"])
        put_on_grid(folder / "full")
        openings = [measure_opening() for _ in range(RUNS)]
        host = Host.start(offscreen=True)
        host.style.choose(__name__, PROPERTIES)
        measured = Measured(host)
        host.choose(measured.panel.run_section.ui.modelSelector, title_of(DEFAULT_MODEL))
        case_gap = measured.open_case(folder / "full")
        measured.run()  # the worker is warm from here on
        runs = [measured.run() for _ in range(RUNS)]
        rows = [
            ("opening the panel, in a fresh process", "≤ 0.5 s", spread([seconds for seconds, _ in openings], 2)),
            ("torch in the panel's process", "no", "yes" if any(loaded for _, loaded in openings) else "no"),
            ("click to overlay, warm worker", "–", spread([run["shown"] for run in runs], 2)),
            ("of which the pipeline itself", "–", spread([run["pipeline"] for run in runs], 2)),
            ("above the pipeline", "≤ 1.5 s", spread([run["overhead"] for run in runs], 2)),
            ("longest gap during the run", "≤ 50 ms", spread([run["gap while running"] for run in runs], 3)),
            ("longest gap at the result", "≤ 200 ms", spread([run["gap while loading"] for run in runs], 3)),
            ("longest gap while a case is loaded", "–", f"{1e3 * case_gap:.0f} ms"),
        ]
        grid = measured.grid
        print_table(f"Panel, {' × '.join(map(str, grid))}", rows)
        host.close_scene()
        if not chosen.accidents:
            return
        host.choose(measured.panel.run_section.ui.modelSelector, title_of("tiny"))
        print_table("Panel, accidents", accidents(measured, folder / "small", chosen.accidents))


if __name__ == "__main__":
    main()
