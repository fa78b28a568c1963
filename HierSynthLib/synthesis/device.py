"""Which processor computes, how many slices at a time, and what to do when its memory is full."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from HierSynthLib.errors import DeviceError

DEVICES = ("auto", "cpu", "cuda", "mps")

# On the CPU larger batches are not faster, and the user's Cancel is looked at between batches.
CPU_BATCH = 4
LARGEST_BATCH = 64


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        DeviceError: unknown name, or a device that this machine or this PyTorch build does not have.
    """
    if name not in DEVICES:
        raise DeviceError(f"Unknown device '{name}'.", f"Choose one of: {', '.join(DEVICES)}.")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    if not present[name]:
        raise DeviceError(
            f"Device '{name}' is not available to PyTorch {torch.__version__} on this machine.",
            "Choose 'auto' or 'cpu', or install a PyTorch build for this device.",
        )
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """A name for provenance, e.g. "cuda (NVIDIA H100)" or "cpu (2 threads)"."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else device.type


def batch_size(device: torch.device, bytes_per_slice: int) -> int:
    """Slices per batch: a power of two that fills at most a quarter of the device's memory.

    Taken from the device's total memory, not from what happens to be free, so that the same device always computes with
    the same batch and returns the same bytes.
    """
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
    elif device.type == "mps":
        total = torch.mps.recommended_max_memory()
    else:
        return CPU_BATCH
    fitting = max(1, total // 4 // max(1, bytes_per_slice))
    return int(min(LARGEST_BATCH, 1 << (int(fitting).bit_length() - 1)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch raised `error` because the device's or the machine's memory is full."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


@contextlib.contextmanager
def precision(device: torch.device) -> Iterator[None]:
    """Autocast to bfloat16 where the device computes it faster than float32 (CUDA from Ampere on); else float32."""
    faster = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=faster):
        yield


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Make cuDNN choose reproducible algorithms, and restore the caller's settings afterwards."""
    before = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before
