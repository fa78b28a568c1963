"""Choosing a device, and what happens when its memory is full."""

import pytest
import torch

from HierSynthLib.errors import Cancelled, DeviceError
from HierSynthLib.progress import Silent
from HierSynthLib.synthesis import device as devices
from HierSynthLib.synthesis.device import batch_size, choose_device, deterministic, is_out_of_memory
from HierSynthLib.synthesis.pipeline import _in_batches

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_unknown_device_is_named_with_the_choices():
    with pytest.raises(DeviceError, match="tpu") as caught:
        choose_device("tpu")
    assert "cuda" in caught.value.hint


@pytest.mark.parametrize(("cuda", "mps", "chosen"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_prefers_cuda_then_mps_then_cpu(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto").type == chosen
    for name, present in (("cuda", cuda), ("mps", mps)):
        if not present:
            with pytest.raises(DeviceError, match=name):
                choose_device(name)


def test_batch_size_follows_the_total_memory(monkeypatch):
    class Card:
        total_memory = 8 * 2**30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: Card)
    assert batch_size(CUDA, 2**28) == 8  # a quarter of 8 GiB holds eight slices of 256 MiB
    assert batch_size(CUDA, 2**28 - 1) == 8
    assert batch_size(CUDA, 2**40) == 1
    assert batch_size(CUDA, 1) == devices.LARGEST_BATCH
    assert batch_size(CPU, 2**40) == devices.CPU_BATCH


def test_out_of_memory_is_recognised():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_real_allocation_failure_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**58, dtype=torch.float32)
    assert is_out_of_memory(caught.value)


def test_full_memory_halves_the_batch_then_leaves_the_device():
    done: list[int] = []

    def run(batch, device):
        if device.type == "cuda" and (len(batch) > 2 or len(done) >= 4):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        done.extend(batch)

    reporter = Silent()
    used = _in_batches(run, list(range(10, 21)), CUDA, 8, reporter)
    assert done == list(range(10, 21)), "every slice once, in order"
    assert used.type == "cpu"
    assert [w for w in reporter.warnings if "CPU" in w] == reporter.warnings[-1:]
    assert "4 slice(s)" in reporter.warnings[0]


def test_full_memory_on_the_cpu_ends_in_one_clear_line():
    def run(_batch, _device):
        raise MemoryError

    with pytest.raises(DeviceError, match="memory is full even for one slice"):
        _in_batches(run, [1, 2], CPU, 4, Silent())


def test_other_errors_pass_and_cancel_is_seen_between_batches():
    def broken(_batch, _device):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        _in_batches(broken, [1], CPU, 4, Silent())

    class Impatient(Silent):
        def progress(self, stage, fraction):
            if fraction >= 0.5:
                raise Cancelled

    done: list[int] = []

    def run(batch, _device):
        done.extend(batch)

    with pytest.raises(Cancelled):
        _in_batches(run, list(range(16)), CPU, 4, Impatient())
    assert done == list(range(8))


def test_deterministic_restores_the_settings():
    before = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    with deterministic():
        inside = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    assert inside == (True, False)
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == before
