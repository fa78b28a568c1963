"""Freed memory is kept while a network runs, and given back afterwards."""

import ctypes
import sys
from pathlib import Path

import numpy as np

from HierSynthLib.synthesis import memory
from HierSynthLib.synthesis.memory import reused_memory

MIB = 2**20


class MallInfo(ctypes.Structure):
    """What glibc's mallinfo2 returns; `hblks` is the number of blocks that were mapped from the system one by one."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def mapped_blocks() -> int:
    function = ctypes.CDLL(None).mallinfo2
    function.restype = MallInfo
    return function().hblks


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / MIB


def test_large_arrays_come_from_kept_memory_and_all_is_given_back():
    if memory._glibc() is None:
        assert sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
        with reused_memory():
            pass
        return
    before = resident_mib()
    with reused_memory():
        blocks = mapped_blocks()
        array = np.ones(64 * MIB, np.uint8)
        assert mapped_blocks() == blocks
        del array
        assert resident_mib() > before + 60, "kept for the next allocation"
    assert resident_mib() < before + 16, "given back"
    blocks = mapped_blocks()
    array = np.ones(64 * MIB, np.uint8)
    assert mapped_blocks() == blocks + 1, "as before"
    assert array.sum() == 64 * MIB


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with reused_memory():
        assert np.ones(8 * MIB).sum() == 8 * MIB
