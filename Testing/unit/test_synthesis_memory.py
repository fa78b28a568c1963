"""Freed memory is kept while a network runs, and given back afterwards."""

import json
import subprocess
import sys

import numpy as np

from HierSynthLib.synthesis import memory
from HierSynthLib.synthesis.memory import reused_memory

MIB = 2**20

# In a process of its own: in a long test run 64 MiB may be free already.
PROGRAM = """
import ctypes, json
import numpy as np
from pathlib import Path
from HierSynthLib.synthesis.memory import reused_memory

names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")

class MallInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in names]

def look():
    function = ctypes.CDLL(None).mallinfo2
    function.restype = MallInfo
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    return {"mapped": function().hblks, "resident": resident / 2**20}

seen = {"before": look()}
with reused_memory():
    array = np.ones(64 * 2**20, np.uint8)
    seen["allocated"] = look()
    del array
    seen["freed"] = look()
seen["after"] = look()
array = np.ones(64 * 2**20, np.uint8)
seen["again"] = look()
print(json.dumps(seen))
"""


def test_large_arrays_come_from_kept_memory_and_all_is_given_back():
    if memory._glibc() is None:
        assert sys.platform != "linux"
        return
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    seen = json.loads(done.stdout)
    assert seen["allocated"]["mapped"] == seen["before"]["mapped"], "not a mapping of its own"
    assert seen["freed"]["resident"] > seen["before"]["resident"] + 60, "kept for the next allocation"
    assert seen["after"]["resident"] < seen["before"]["resident"] + 16, "given back"
    assert seen["again"]["mapped"] == seen["before"]["mapped"] + 1, "large arrays are mapped again"


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with reused_memory():
        assert np.ones(8 * MIB).sum() == 8 * MIB
