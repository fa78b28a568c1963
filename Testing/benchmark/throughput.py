"""Operations per slice, and the fraction of the machine's convolution throughput that the pipeline reaches.

python -m Testing.benchmark.throughput

The reference is the fastest of a few plain 3 × 3 convolutions of the kind the network is made of (channels-last,
float32), each in a loop of its own: no network made of such layers can be faster than that on this machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from HierSynthLib.synthesis.device import CPU_BATCH
from HierSynthLib.synthesis.memory import reused_memory
from HierSynthLib.synthesis.model import load_model
from HierSynthLib.synthesis.package import DEFAULT_MODEL, find_model
from Testing.benchmark.measure import print_table

# The picture around an adult brain at 1 mm, padded to the network's stride.
HEIGHT, WIDTH = 160, 192


def seconds_of(call: Callable[[], object], least: float = 2.0) -> float:
    """Median seconds of a call, repeated for at least `least` seconds after a warm-up."""
    call()
    times: list[float] = []
    while sum(times) < least or len(times) < 5:
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def convolution_throughput() -> tuple[float, str]:
    """Best GFLOP/s of plain 3 × 3 convolutions, and which one reached it."""
    best = (0.0, "")
    for channels, height, width in ((32, 80, 96), (64, 80, 96), (128, 40, 48), (256, 40, 48)):
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.randn(CPU_BATCH, channels, height, width).to(memory_format=torch.channels_last)
        flop = 2 * 9 * channels * channels * height * width * CPU_BATCH
        seconds = seconds_of(lambda layer=layer, x=x: layer(x))
        best = max(best, (flop / seconds / 1e9, f"{channels} channels, {height} × {width}"))
    return best


def main() -> None:
    """Measure and print."""
    network = load_model(find_model(DEFAULT_MODEL)).network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(CPU_BATCH, network.config.inputs, HEIGHT, WIDTH).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as whole:
            network(x[:1])
        with FlopCounterMode(display=False) as base:
            network.global_module(x[:1])
        total, first = whole.get_total_flops() / 1e9, base.get_total_flops() / 1e9
        plain = seconds_of(lambda: network(x)) / CPU_BATCH
        with reused_memory():
            seconds = seconds_of(lambda: network(x)) / CPU_BATCH
            reference, which = convolution_throughput()
    rate = total / seconds
    print_table(
        f"Throughput ({torch.get_num_threads()} threads, float32, {HEIGHT} × {WIDTH})",
        [
            ("operations per slice", "stated", f"{total:.2f} GFLOP ({first:.2f} global, {total - first:.2f} local)"),
            ("time per slice", "–", f"{1000 * seconds:.0f} ms in batches of {CPU_BATCH}"),
            ("the same with glibc's default handling of freed memory", "–", f"{1000 * plain:.0f} ms"),
            ("throughput of the network", "–", f"{rate:.0f} GFLOP/s"),
            ("best plain convolution", "–", f"{reference:.0f} GFLOP/s ({which})"),
            ("fraction reached", "stated", f"{rate / reference:.0%}"),
        ],
    )


if __name__ == "__main__":
    main()
