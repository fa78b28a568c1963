"""Several processes, one model: what `torchrun` started, and how gradients become those of the whole batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import nn

from HierSynthLib.errors import DeviceError
from HierSynthLib.synthesis.device import choose_device

# The other processes wait while the first one prepares a cohort.
PATIENCE = timedelta(hours=24)


@dataclass(frozen=True)
class World:
    """The processes of a run, seen from one of them.

    Attributes:
        device: where this process computes.
        rank: number of this process; 0 writes files, validates and exports.
        size: number of processes.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process does what must be done once."""
        return self.rank == 0

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            torch.distributed.barrier()

    def mean(self, values: Sequence[float]) -> list[float]:
        """The mean of each value over the processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self._exchange)
        torch.distributed.all_reduce(tensor)
        return [float(value) for value in tensor / self.size]

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in one of the processes."""
        return self.mean([float(flag)])[0] > 0

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes.

        Losses are sums over a process's share divided by a constant times its size, so the mean is the gradient of the
        whole batch. After `backward` instead of in hooks, so that penalties on gradients work as well. A parameter that
        had no gradient anywhere keeps none.
        """
        if self.size == 1 or not parameters:
            return
        present = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
        flat = [(torch.zeros_like(p) if p.grad is None else p.grad).float().reshape(-1) for p in parameters]
        bucket = torch.cat([*flat, present])
        torch.distributed.all_reduce(bucket)
        *means, count = bucket.split([p.numel() for p in parameters] + [len(parameters)])
        for parameter, mean, known in zip(parameters, means, count.tolist(), strict=True):
            if known:
                # In the memory layout of the parameter: the fused optimiser goes through both in that order.
                layout = torch.empty_like(parameter, memory_format=torch.preserve_format, requires_grad=False)
                parameter.grad = layout.copy_((mean / self.size).view(parameter.shape))

    @torch.no_grad()
    def copy_first(self, modules: Sequence[nn.Module]) -> None:
        """Give every process the parameters and buffers of the first one."""
        if self.size > 1:
            for module in modules:
                for tensor in (*module.parameters(), *module.buffers()):
                    torch.distributed.broadcast(tensor, 0)

    @property
    def _exchange(self) -> torch.device:
        return self.device if self.device.type == "cuda" else torch.device("cpu")


@contextmanager
def processes(device: str) -> Iterator[World]:
    """The processes that `torchrun` started (environment variables RANK, LOCAL_RANK, WORLD_SIZE), or this one alone.

    Args:
        device: as for `choose_device`; with CUDA each process takes the GPU of its local rank.

    Raises:
        DeviceError: the device is not there, or there are more processes on this machine than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = choose_device(device)
    if size == 1:
        yield World(chosen)
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    if chosen.type == "cuda":
        if local >= torch.cuda.device_count():
            raise DeviceError(
                f"Process {local} of this machine has no GPU of its own: there are {torch.cuda.device_count()}.",
                "Start as many processes as there are GPUs (torchrun --nproc-per-node).",
            )
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield World(chosen, rank, size)
    finally:
        torch.distributed.destroy_process_group()
