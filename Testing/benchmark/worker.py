"""Latencies of the worker: ready, cancelled, process tree gone.

python -m Testing.benchmark.worker
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from HierSynthLib.worker.client import WorkerClient
from HierSynthLib.worker.messages import Cancelled, Failed, Progress, Result
from Testing.benchmark.measure import print_table, run_command, tree_memory
from Testing.benchmark.synthesis import COMMAND, parameters, spread

CANCELS = 10


def seconds_to_cancel(client: WorkerClient, settings: dict[str, object], fraction: float) -> float:
    """Submit a synthesis, cancel once it passed `fraction`, return the seconds until the answer."""
    job = client.submit("synthesize", settings)
    while True:
        event = client.next_event(300)
        if event is None or isinstance(event, (Failed, Result)):
            raise SystemExit(f"nothing to cancel: {event}")
        if isinstance(event, Progress) and event.fraction >= fraction:
            break
    begun = time.perf_counter()
    client.cancel(job)
    while not isinstance(event := client.next_event(30), Cancelled):
        if event is None or isinstance(event, (Failed, Result)):
            raise SystemExit(f"not cancelled: {event}")
    return time.perf_counter() - begun


def seconds_to_end(client: WorkerClient, settings: dict[str, object]) -> float:
    """Close the client in the middle of a job, return the seconds until its process is gone."""
    client.submit("synthesize", settings)
    while not isinstance(client.next_event(60), Progress):
        pass
    pid = client.pid
    begun = time.perf_counter()
    client.close()
    while pid is not None and tree_memory(pid):
        time.sleep(0.01)
    return time.perf_counter() - begun


def seconds_to_import(module: str) -> float:
    """Seconds that a fresh interpreter needs for the light half, beyond its own start."""
    program = f"import time; begun = time.perf_counter(); import {module}; print(time.perf_counter() - begun)"
    return float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    choose = random.Random(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        case = folder / "case"
        run_command([*COMMAND, "phantom", str(case), "--size", "full", "--seed", "2"])
        with WorkerClient() as client:
            cancels = [
                seconds_to_cancel(client, parameters(case, folder / f"c{n}"), choose.uniform(0.0, 0.95))
                for n in range(CANCELS)
            ]
        ends = [seconds_to_end(WorkerClient(), parameters(case, folder / f"e{n}")) for n in range(3)]
        starts = [run_command([*COMMAND, "--help"]).seconds for _ in range(5)]
        left = sorted(path.name for path in folder.iterdir() if path != case)
    imports = [seconds_to_import("HierSynthLib.case, HierSynthLib.worker.client") for _ in range(7)]
    numpy = [seconds_to_import("numpy") for _ in range(7)]
    print_table(
        "Worker",
        [
            (f"cancel of a full synthesis at {CANCELS} random moments", "≤ 1 s", spread(cancels, 2)),
            ("process tree gone after closing the client in mid-job", "≤ 3 s", spread(ends, 2)),
            ("`hiersynth --help`", "–", spread(starts, 2)),
            ("left in the output folder by the cancelled jobs", "nothing", ", ".join(left) or "nothing"),
            ("import of the light half (case, worker.client)", "≤ 0.3 s", spread(imports, 2)),
            ("of which numpy alone", "–", spread(numpy, 2)),
        ],
    )


if __name__ == "__main__":
    main()
