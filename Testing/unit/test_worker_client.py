"""Client and worker together, with real processes: every job gets one last event, whatever happens to the process."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from HierSynthLib.errors import WorkerError
from HierSynthLib.worker import messages
from HierSynthLib.worker.client import WorkerClient
from HierSynthLib.worker.messages import Cancelled, Failed, Progress, Ready, Result, Started, Warned
from HierSynthLib.worker.process import WorkerProcess

FAULTY_WORKER = str(Path(__file__).parents[1] / "fixtures" / "faulty_worker.py")
PATIENCE = 60  # seconds; a loaded machine is slow, but an event that does not come must not hang the suite


@pytest.fixture
def client():
    with WorkerClient(arguments=(FAULTY_WORKER,)) as client:
        yield client


def wait_for(client, kind, job=None):
    """Return the next event of a kind, and those before it."""
    before = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        event = client.next_event(timeout=1)
        if isinstance(event, kind) and (job is None or event.job == job):
            return event, before
        if event is not None:
            before.append(event)
    raise AssertionError(f"no {kind} came, only {before}; log: {client.log}")


def outcome(client, job):
    return wait_for(client, (Result, Cancelled, Failed), job)[0]


def is_running(pid):
    """Whether a process is there and no zombie (an orphan's zombie waits for the init process, not for us)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pids):
    start = time.monotonic()
    while any(map(is_running, pids)):
        assert time.monotonic() < start + PATIENCE, f"still running: {list(filter(is_running, pids))}"
        time.sleep(0.02)
    return time.monotonic() - start


def test_a_job_and_its_events_in_order(client):
    job = client.submit("echo", {"text": "größer", "list": [1, 2.5, None]})
    result, before = wait_for(client, Result)
    assert result == Result(job, {"text": "größer", "list": [1, 2.5, None]})
    ready, *others = before
    assert isinstance(ready, Ready)
    assert ready.protocol == messages.PROTOCOL
    assert ready.pid == client.pid
    assert others == [Started(job), Progress(job, "echoing", 0.5), Warned(job, "an echo is not an answer")]
    assert client.drain() == []


def test_jobs_run_one_after_the_other_in_one_process(client):
    jobs = [client.submit("identify", {}) for _ in range(3)]
    results = [outcome(client, job) for job in jobs]
    assert [result.job for result in results] == jobs
    assert {result.result["pid"] for result in results} == {client.pid}


def test_progress_is_thinned_but_each_stage_ends(client):
    start = time.monotonic()
    job = client.submit("count", {"stages": ["one", "two"], "steps": 20_000})
    _, before = wait_for(client, Result)
    seconds = time.monotonic() - start
    progress = [(event.stage, event.fraction) for event in before if isinstance(event, Progress)]
    assert all(event.job == job for event in before if isinstance(event, Progress))
    for stage in ("one", "two"):
        fractions = [fraction for name, fraction in progress if name == stage]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
    # At most 20 a second, and the first and the last of the two stages.
    assert len(progress) <= 20 * seconds + 4


@pytest.mark.parametrize(
    ("how", "kind", "message", "hint"),
    [
        ("model", "model", "The model is broken.", "Install it again."),
        ("memory", "memory", "There was not enough memory", "Close other programs"),
        ("exit", "internal", "SystemExit: 7", "report"),
        ("interrupt", "internal", "KeyboardInterrupt", "report"),
        ("import", "runtime", "No module named 'numpy'", "Install the packages"),
        ("full", "output", "The disk is full.", "Free some space"),
        ("other", "internal", "ZeroDivisionError: division by zero", "report"),
    ],
)
def test_whatever_a_job_raises_is_explained_and_the_worker_goes_on(client, how, kind, message, hint):
    failure = outcome(client, client.submit("fail", {"how": how}))
    assert isinstance(failure, Failed)
    assert failure.kind == kind
    assert message in failure.message
    assert hint in failure.hint
    assert "\n" not in failure.message
    assert "Traceback" in failure.log[0]
    pid = client.pid
    assert outcome(client, client.submit("identify", {})).result == {"pid": pid}


def test_endless_recursion_is_a_failed_job(client):
    failure = outcome(client, client.submit("recurse", {}))
    assert "RecursionError" in failure.message
    assert len(failure.log) <= 20
    assert isinstance(outcome(client, client.submit("identify", {})), Result)


@pytest.mark.parametrize("parameters", [{"what": "nan"}, {"what": "object"}, {}])
def test_a_result_that_cannot_be_sent_is_a_failed_job(client, parameters):
    failure = outcome(client, client.submit("unspeakable", parameters))
    assert failure.kind == "protocol"
    assert isinstance(outcome(client, client.submit("identify", {})), Result)


def test_what_libraries_print_reaches_the_log_and_not_the_protocol(client):
    job = client.submit("noisy", {})
    result, before = wait_for(client, Result)
    assert result == Result(job, {"stdin": ""})
    assert not [event for event in before if not isinstance(event, Ready | Started)]
    client.close()
    assert any('"forged"' in line for line in client.log)
    assert any("{not json" in line for line in client.log)
    assert "a child prints" in client.log


def test_a_flood_on_stderr_neither_blocks_nor_fills_the_memory(client):
    assert isinstance(outcome(client, client.submit("shout", {})), Result)
    client.close()
    assert len(client.log) <= 200
    assert max(map(len, client.log)) <= 2000
    assert any(line.startswith("line 1999") for line in client.log)


def test_an_unknown_kind_fails_and_says_which_there_are(client):
    failure = outcome(client, client.submit("dance", {}))
    assert "'dance'" in failure.message
    assert "echo" in failure.hint


def test_cancel_is_answered_and_the_process_stays(client, tmp_path):
    cleaned = tmp_path / "cleaned"
    job = client.submit("slow", {"cleaned": str(cleaned)})
    wait_for(client, Progress)
    pid = client.pid
    # A grace longer than this test waits: the answer is the job's own and no kill.
    client.cancel(job, grace=10 * PATIENCE)
    assert outcome(client, job) == Cancelled(job)
    assert cleaned.exists()
    assert outcome(client, client.submit("identify", {})).result == {"pid": pid}


def test_a_waiting_job_is_cancelled_without_running(client):
    running, waiting, last = client.submit("slow", {}), client.submit("echo", {}), client.submit("identify", {})
    wait_for(client, Progress)
    client.cancel(waiting)
    assert wait_for(client, Cancelled)[0] == Cancelled(waiting)
    client.cancel(running)
    assert wait_for(client, Cancelled)[0] == Cancelled(running)
    _, before = wait_for(client, Result, last)
    assert not [event for event in before if getattr(event, "job", None) == waiting]


def test_cancelling_what_has_ended_does_nothing(client):
    job = client.submit("echo", {})
    outcome(client, job)
    client.cancel(job)
    client.cancel("never there")
    assert isinstance(outcome(client, client.submit("identify", {})), Result)


def test_a_deaf_job_is_ended_with_its_process_tree(client):
    job = client.submit("deaf", {})
    warned, _ = wait_for(client, Warned)
    tree = [client.pid, *map(int, warned.message.split())]
    assert all(map(is_running, tree))
    start = time.monotonic()
    client.cancel(job)
    assert outcome(client, job) == Cancelled(job)
    wait_until_gone(tree)
    assert time.monotonic() - start >= 1.0  # it had its grace
    assert f"the job {job} did not stop when asked" in "".join(client.log)
    result = outcome(client, client.submit("identify", {}))  # the next job runs in a new process
    assert result.result["pid"] not in tree


def test_a_job_that_answers_while_its_process_is_being_ended_does_not_cost_the_next_one(client, monkeypatch):
    ending, answered = threading.Event(), threading.Event()

    def end(process, original=WorkerProcess.end):
        ending.set()
        assert answered.wait(PATIENCE)
        original(process)

    monkeypatch.setattr(WorkerProcess, "end", end)
    job, other = client.submit("slow", {}), client.submit("identify", {})
    wait_for(client, Progress)
    pid = client.pid
    os.kill(pid, signal.SIGSTOP)  # it cannot answer before its end is decided
    client.cancel(job, grace=0)
    assert ending.wait(PATIENCE)
    os.kill(pid, signal.SIGCONT)
    assert outcome(client, job) == Cancelled(job)
    time.sleep(0.2)  # for the next one to start in the wrong process
    answered.set()
    result, before = wait_for(client, Result, other)
    assert result.result["pid"] != pid
    assert not [event for event in before if isinstance(event, Failed)]
    assert client.pids == {pid, result.result["pid"]}


def test_a_second_cancel_without_grace_ends_it_at_once(client):
    job = client.submit("deaf", {})
    wait_for(client, Warned)
    client.cancel(job, grace=10 * PATIENCE)
    client.cancel(job, grace=0)
    assert outcome(client, job) == Cancelled(job)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", "ended with exit code 3"),
        ("SIGKILL", "was killed (signal 9, often because memory ran out)"),
        ("SIGSEGV", "was killed (signal 11, a crash inside a compiled library)"),
    ],
)
def test_the_death_of_the_worker_is_a_failed_job_and_the_next_one_gets_a_new_worker(client, how, said):
    pid = outcome(client, client.submit("identify", {})).result["pid"]
    failure = outcome(client, client.submit("die", {"how": how}))
    assert failure.kind == "worker"
    assert said in failure.message
    assert failure.hint
    new = outcome(client, client.submit("identify", {})).result["pid"]
    assert new != pid
    assert not is_running(pid)


def test_what_a_dead_worker_left_behind_is_ended(client):
    job = client.submit("orphan", {})
    warned, _ = wait_for(client, Warned)
    assert isinstance(outcome(client, job), Failed)
    wait_until_gone([int(warned.message)])


def test_a_crash_leaves_its_stack_in_the_log(client):
    failure = outcome(client, client.submit("die", {"how": "SIGSEGV"}))
    assert any("in die" in line for line in failure.log)


def test_a_worker_killed_from_outside_in_the_middle_of_a_job(client):
    job = client.submit("slow", {})
    wait_for(client, Progress)
    os.kill(client.pid, signal.SIGKILL)
    failure = outcome(client, job)
    assert "signal 9" in failure.message
    assert isinstance(outcome(client, client.submit("echo", {})), Result)


def test_a_worker_that_died_idle_does_not_cost_the_next_job(client):
    pid = outcome(client, client.submit("identify", {})).result["pid"]
    os.kill(pid, signal.SIGKILL)  # and at once, before anybody can have noticed:
    assert outcome(client, client.submit("identify", {})).result["pid"] != pid


def test_killing_the_host_ends_the_worker_and_its_children(tmp_path):
    host = f"""
import sys, time
from HierSynthLib.worker.client import WorkerClient
from HierSynthLib.worker.messages import Warned
client = WorkerClient(arguments=({FAULTY_WORKER!r},))
client.submit("deaf", {{}})
while not isinstance(event := client.next_event(), Warned):
    pass
print(client.pid, event.message, flush=True)
time.sleep(600)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", host], stdout=subprocess.PIPE, env=environment, text=True) as process:
        tree = [int(pid) for pid in process.stdout.readline().split()]
        assert len(tree) == 3
        assert all(map(is_running, tree))
        process.kill()
        process.wait()
    wait_until_gone(tree)


def test_killing_the_host_lets_a_polite_job_clean_up(tmp_path):
    cleaned = tmp_path / "cleaned"
    host = f"""
import time
from HierSynthLib.worker.client import WorkerClient
from HierSynthLib.worker.messages import Progress
client = WorkerClient(arguments=({FAULTY_WORKER!r},))
client.submit("slow", {{"cleaned": {str(cleaned)!r}}})
while not isinstance(client.next_event(), Progress):
    pass
print(client.pid, flush=True)
time.sleep(600)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", host], stdout=subprocess.PIPE, env=environment, text=True) as process:
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
    wait_until_gone([pid])
    assert cleaned.exists()


@pytest.mark.parametrize("python", ["/nowhere/python", __file__])
def test_a_python_that_cannot_be_started(python):
    with WorkerClient(python, arguments=(FAULTY_WORKER,)) as client:
        with pytest.raises(WorkerError) as caught:
            client.start()
        assert python in caught.value.message
        assert caught.value.hint
        failure = outcome(client, client.submit("echo", {}))
        assert failure.kind == "worker"
        assert python in failure.message


def test_a_python_that_is_no_worker_fails_with_its_last_words():
    with WorkerClient(arguments=("-c", "raise ModuleNotFoundError('No module named numpy')")) as client:
        failure = outcome(client, client.submit("echo", {}))
        assert failure.kind == "worker"
        assert "exit code 1 before it was ready" in failure.message
        assert "ModuleNotFoundError: No module named numpy" in failure.message
        assert sys.executable in failure.hint


def test_garbage_from_the_worker_is_kept_as_log():
    talk = r"import os, sys; os.write(1, b'\xff\x00garbage\n{}\n' + b'y' * 3_000_000 + b'\n'); sys.stdin.read()"
    with WorkerClient(arguments=("-c", talk)) as client:
        client.start()
        deadline = time.monotonic() + PATIENCE
        while len(client.log) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client.drain() == []
        assert client.alive
        assert "garbage" in client.log[0]
        assert client.log[2].startswith("yyy")
        assert len(client.log[2]) == 2000


def test_events_of_other_jobs_are_not_believed():
    forged = 'print(\'{"type": "result", "job": "forged", "result": {}}\', flush=True); import sys; sys.stdin.read()'
    with WorkerClient(arguments=("-c", forged)) as client:
        client.submit("echo", {})
        deadline = time.monotonic() + PATIENCE
        while not client.log and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "forged" in client.log[0]
        assert client.drain() == []


def test_closing_gives_every_job_its_last_event_and_refuses_new_ones():
    client = WorkerClient(arguments=(FAULTY_WORKER,))
    running, waiting = client.submit("slow", {}), client.submit("slow", {})
    wait_for(client, Progress)
    client.close()
    assert not client.alive
    assert {event.job for event in client.drain() if isinstance(event, Cancelled)} == {running, waiting}
    with pytest.raises(WorkerError):
        client.submit("echo", {})
    client.close()


def test_closing_ends_a_deaf_job_too():
    client = WorkerClient(arguments=(FAULTY_WORKER,))
    client.submit("deaf", {})
    warned, _ = wait_for(client, Warned)
    tree = [client.pid, *map(int, warned.message.split())]
    client.close()
    assert [event.type for event in client.drain()] == ["cancelled"]
    wait_until_gone(tree)


def test_nothing_leaks_over_many_workers():
    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    def cycle(kind, parameters):
        with WorkerClient(arguments=(FAULTY_WORKER,)) as client:
            job = client.submit(kind, parameters)
            pid = wait_for(client, Ready)[0].pid
            if kind == "slow":
                client.cancel(job)
            outcome(client, job)
        return pid

    cycle("echo", {})
    files, threads = open_files(), threading.active_count()
    jobs = [("echo", {}), ("slow", {}), ("die", {"how": "exit"})]
    pids = [cycle(*jobs[number % 3]) for number in range(30)]
    assert open_files() == files
    assert threading.active_count() == threads
    for pid in pids:  # all waited for: not even a zombie of ours is left
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def test_parameters_that_are_no_json_are_refused_at_once(client):
    with pytest.raises(messages.ProtocolError):
        client.submit("echo", {"x": float("nan")})
    assert not client.alive


def test_the_worker_s_environment(tmp_path, monkeypatch):
    (tmp_path / "HierSynthLib").mkdir()
    (tmp_path / "HierSynthLib" / "__init__.py").write_text("raise RuntimeError('the working folder was imported')")
    monkeypatch.chdir(tmp_path)
    with WorkerClient(environment={"PATH": os.environ["PATH"]}) as client:
        client.start()
        assert isinstance(wait_for(client, Ready)[0], Ready)


def test_another_python_does_not_inherit_this_one_s_home(monkeypatch, tmp_path):
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with WorkerClient(other, arguments=(FAULTY_WORKER,)) as client:
        assert isinstance(outcome(client, client.submit("echo", {})), Result)
