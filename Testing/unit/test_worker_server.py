"""The worker as any program sees it: lines in, lines out, without the client."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from HierSynthLib.worker.messages import MAX_LINE

LIBRARY = Path(__file__).parents[2]
FAULTY_WORKER = str(Path(__file__).parents[1] / "fixtures" / "faulty_worker.py")
PATIENCE = 60


@pytest.fixture
def start():
    """Start a worker and give (process, its events); kill it afterwards."""
    processes = []

    def start(*arguments):
        environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        processes.append(process)
        return process, (json.loads(line) for line in process.stdout)

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                stream.close()


def say(process, *messages):
    for message in messages:
        process.stdin.write(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")
    process.stdin.flush()


def until(events, kind):
    """Return the next event of a kind, and those before it."""
    before = []
    for event in events:
        if event["type"] == kind:
            return event, before
        before.append(event)
    raise AssertionError(f"no {kind} came, only {before}")


def test_it_says_who_it_is_and_knows_its_jobs(start):
    import HierSynthLib

    process, events = start("-m", "HierSynthLib.worker")
    ready = next(events)
    assert ready == {
        "type": "ready",
        "protocol": 1,
        "version": HierSynthLib.__version__,
        "pid": process.pid,
        "python": sys.version.split()[0],
    }
    say(process, {"type": "run", "job": "a", "kind": "nonsense"})
    kinds = "synthesize, phantom, read_case, compare, measure, suggest_regions, perfusion, study_create, runtime"
    assert next(events)["hint"] == f"There is {kinds}."


def test_a_phantom_without_a_folder_is_refused_before_anything_is_loaded(start):
    process, events = start("-m", "HierSynthLib.worker")
    next(events)
    say(process, {"type": "run", "job": "a", "kind": "phantom", "parameters": {"seed": "one"}})
    failed, _ = until(events, "failed")
    assert failed["kind"] == "input"
    assert "seed (whole number)" in failed["message"]


def test_it_ends_when_told_to(start):
    process, events = start("-m", "HierSynthLib.worker")
    next(events)
    say(process, {"type": "shutdown"})
    assert process.wait(PATIENCE) == 0


def test_it_ends_when_its_stdin_closes(start):
    process, events = start("-m", "HierSynthLib.worker")
    next(events)
    process.stdin.close()
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_it_ends_in_the_middle_of_a_job_which_cleans_up(start, tmp_path, how):
    process, events = start(FAULTY_WORKER)
    cleaned = tmp_path / "cleaned"
    say(process, {"type": "run", "job": "a", "kind": "slow", "parameters": {"cleaned": str(cleaned)}})
    until(events, "progress")
    if how == "close":
        process.stdin.close()
    else:
        say(process, {"type": "shutdown"})
    until(events, "cancelled")
    assert process.wait(PATIENCE) == 0
    assert cleaned.exists()


def test_it_ends_in_the_middle_of_a_deaf_job(start):
    process, events = start(FAULTY_WORKER)
    say(process, {"type": "run", "job": "a", "kind": "deaf"})
    until(events, "warning")
    began = time.monotonic()
    process.stdin.close()
    assert process.wait(PATIENCE) != 0
    assert time.monotonic() - began >= 2  # it had its grace


def test_it_stops_working_when_nobody_reads(start, tmp_path):
    process, events = start(FAULTY_WORKER)
    cleaned = tmp_path / "cleaned"
    say(process, {"type": "run", "job": "a", "kind": "slow", "parameters": {"cleaned": str(cleaned)}})
    until(events, "progress")
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    assert cleaned.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"\xff\xfe\x00\n",
        b"[]\n",
        b'{"type": "dance"}\n',
        b'{"type": "run", "job": 5, "kind": "echo"}\n',
        b'{"type": "run", "kind": "echo", "parameters": {"x": NaN}}\n',
        b"[" * 200_000 + b"\n",
        b"x" * (3 * MAX_LINE) + b"\n",
        b"\x00\n",
    ],
)
def test_garbage_is_answered_with_a_warning(start, line):
    process, events = start(FAULTY_WORKER)
    next(events)
    say(process, b"\n", b"  \r\n", line, {"type": "run", "job": "a", "kind": "echo", "parameters": {"x": 1}})
    warning = next(events)
    assert (warning["type"], warning["job"]) == ("warning", None)
    assert len(warning["message"]) < 300
    assert until(events, "result")[0]["result"] == {"x": 1}


def test_a_wrong_request_for_a_job_fails_that_job(start):
    process, events = start(FAULTY_WORKER)
    next(events)
    say(process, {"type": "run", "job": "a", "kind": "echo", "parameters": [1]})
    failed = next(events)
    assert (failed["type"], failed["job"], failed["kind"]) == ("failed", "a", "protocol")


def test_a_name_is_not_used_twice_at_a_time(start):
    process, events = start(FAULTY_WORKER)
    next(events)
    slow = {"type": "run", "job": "a", "kind": "slow"}
    say(process, slow)
    until(events, "progress")
    say(process, slow)
    assert "already here" in until(events, "warning")[0]["message"]
    say(process, {"type": "cancel", "job": "a"})
    until(events, "cancelled")
    say(process, {"type": "run", "job": "a", "kind": "echo"})
    assert until(events, "result")[0]["job"] == "a"


def test_a_waiting_job_is_cancelled_while_another_one_runs(start):
    process, events = start(FAULTY_WORKER)
    next(events)
    say(process, *({"type": "run", "job": job, "kind": kind} for job, kind in [("a", "slow"), ("b", "echo")]))
    until(events, "progress")
    say(process, {"type": "cancel", "job": "b"}, {"type": "cancel", "job": "unknown"})
    assert until(events, "cancelled")[0]["job"] == "b"
    say(process, {"type": "run", "job": "b", "kind": "echo"}, {"type": "cancel", "job": "a"})
    assert until(events, "cancelled")[0]["job"] == "a"
    started, _ = until(events, "started")
    assert started["job"] == "b"


def test_what_cannot_be_imported_is_a_failed_job_that_says_where(start, tmp_path):
    # A Python that lacks numpy: a package of that name that cannot be found stands in front of the real one.
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'numpy'\")")
    run_worker = "runpy.run_module('HierSynthLib.worker', run_name='__main__')"
    process, events = start("-c", f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r}); {run_worker}")
    assert next(events)["type"] == "ready"
    say(process, {"type": "run", "job": "a", "kind": "phantom", "parameters": {"out": "x"}})
    failed, _ = until(events, "failed")
    assert failed["kind"] == "runtime"
    assert "No module named 'numpy'" in failed["message"]
    assert sys.executable in failed["message"]
