"""Seconds and memory of the demo and of a synthesis at 1 mm: cold, warm, and without the worker.

python -m Testing.benchmark.synthesis
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from HierSynthLib.case import SEQUENCES, Case
from HierSynthLib.progress import Silent
from HierSynthLib.worker.client import WorkerClient
from HierSynthLib.worker.messages import Failed, Result
from Testing.benchmark.measure import print_table, run_command

COMMAND = [sys.executable, "-m", "HierSynthLib.cli"]
REPEATS = 3


def parameters(case: Path, out: Path) -> dict[str, Any]:
    """Parameters of a synthesis of the case with the default model on the CPU."""
    files = Case.read(case).files
    inputs = {str(role): str(files[role]) for role in SEQUENCES}
    return {"inputs": inputs, "output": str(out), "device": "cpu", "simulated": True}


def through_worker(client: WorkerClient, settings: dict[str, Any]) -> float:
    """Seconds from submitting a synthesis to its result."""
    begun = time.perf_counter()
    client.submit("synthesize", settings)
    while not isinstance(event := client.next_event(600), Result):
        if event is None or isinstance(event, Failed):
            raise SystemExit(f"the synthesis failed: {event}")
    return time.perf_counter() - begun


def directly(synthesizer: Any, settings: dict[str, Any]) -> float:
    """Seconds of the same synthesis called in this process."""
    begun = time.perf_counter()
    synthesizer.run(settings, Silent())
    return time.perf_counter() - begun


def spread(values: list[float], digits: int = 1) -> str:
    """Median with minimum and maximum."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} s ({low:.{digits}f}–{high:.{digits}f}, n = {len(values)})"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        demo = run_command([*COMMAND, "demo", "--out", str(folder / "demo")])
        case = folder / "demo" / "case"
        cold = [
            run_command([*COMMAND, "synthesize", str(case), "--device", "cpu", "--out", str(folder / f"cold-{n}")])
            for n in range(REPEATS)
        ]
        with WorkerClient() as client:
            through_worker(client, parameters(case, folder / "first"))
            warm = [through_worker(client, parameters(case, folder / f"warm-{n}")) for n in range(REPEATS)]
        from HierSynthLib.synthesis.job import Synthesizer

        synthesizer = Synthesizer()
        directly(synthesizer, parameters(case, folder / "direct-first"))
        direct = [directly(synthesizer, parameters(case, folder / f"direct-{n}")) for n in range(REPEATS)]
    overhead = statistics.median(warm) - statistics.median(direct)
    print_table(
        "Synthesis (full case, 1 mm)",
        [
            ("`hiersynth demo`, after installation", "≤ 180 s", f"{demo.seconds:.1f} s"),
            ("its memory, whole process tree", "≤ 6 GB", f"{demo.gib:.2f} GiB"),
            ("`hiersynth synthesize`, cold", "≤ 60 s", spread([run.seconds for run in cold])),
            ("its memory, whole process tree", "–", f"{max(run.gib for run in cold):.2f} GiB"),
            ("synthesis in a warm worker", "≤ 45 s", spread(warm)),
            ("the same, called directly", "–", spread(direct)),
            ("overhead of the worker path (medians)", "≤ 1 s", f"{overhead:.2f} s"),
        ],
    )


if __name__ == "__main__":
    main()
