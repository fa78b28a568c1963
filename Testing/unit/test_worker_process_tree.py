"""Ending a process with everything it started."""

import os
import signal
import subprocess
import sys
import time

import pytest

from HierSynthLib.worker import process_tree
from HierSynthLib.worker.process_tree import end_descendants, end_process_tree, exit_in_words, group_arguments

# Three generations with awkward names, the last one in a session of its own; each says its number and sleeps.
FAMILY = """
import os, subprocess, sys, time
generation = int(sys.argv[1])
with open("/proc/self/comm", "w") as name:
    name.write("a) R 1 (b c")
print(os.getpid(), flush=True)
if generation:
    subprocess.Popen([sys.executable, __file__, str(generation - 1)], start_new_session=generation == 1)
time.sleep(600)
"""


@pytest.fixture
def family(tmp_path):
    script = tmp_path / "a program (with) spaces.py"
    script.write_text(FAMILY)
    process = subprocess.Popen(
        [sys.executable, str(script), "2"], stdout=subprocess.PIPE, text=True, **group_arguments()
    )
    pids = [int(process.stdout.readline()) for _ in range(3)]
    assert pids[0] == process.pid
    yield process, pids
    for pid in pids:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def is_running(pid):
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def wait_until_gone(pids):
    deadline = time.monotonic() + 30
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("with_ps", [False, True])
def test_three_generations_end(family, monkeypatch, with_ps):
    process, pids = family
    assert all(map(is_running, pids))
    if with_ps:  # the way on a system without /proc
        monkeypatch.setattr(process_tree, "_parents", process_tree._parents_by_ps)
    end_process_tree(process.pid)
    wait_until_gone(pids)
    assert process.wait(10) == -signal.SIGKILL
    end_process_tree(process.pid)  # nothing is left, nothing happens


def test_descendants_end_and_the_process_stays(family):
    process, pids = family
    end_descendants(process.pid)
    wait_until_gone(pids[1:])
    assert process.poll() is None


def test_the_rest_of_the_group_of_an_ended_process_ends(tmp_path):
    leader = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
    )
    done = subprocess.Popen([sys.executable, "-c", leader], stdout=subprocess.PIPE, text=True, **group_arguments())
    child = int(done.stdout.readline())
    done.wait(30)
    assert is_running(child)
    end_process_tree(done.pid)
    wait_until_gone([child])
    done.stdout.close()


def test_a_process_that_leads_no_group_does_not_take_its_group_with_it():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    end_process_tree(process.pid)  # its group is the one of these tests
    assert process.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended without being asked to"),
        (3, "ended with exit code 3"),
        (0xC0000005, "ended with exit code 0xc0000005"),
        (-9, "was killed (signal 9, often because memory ran out)"),
        (-11, "was killed (signal 11, a crash inside a compiled library)"),
        (-2, "was killed (signal 2)"),
    ],
)
def test_how_it_ended_in_words(code, words):
    assert exit_in_words(code) == words
