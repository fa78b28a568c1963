"""The states of a run: what leads where, what the button shows, and that nothing impossible passes unnoticed."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from HierSynthLib.errors import OutputError
from HierSynthLib.worker.messages import Cancelled, Failed, Progress, Ready, Result, Started, Warned
from HierSynthLib.worker.run_state import BUSY, MOST_LINES, Button, IllegalTransitionError, Run, RunState


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def run(clock):
    made = Run(clock=clock, versions={"Slicer": "5.10.0"})
    made.set_ready(None)
    return made


def running(run):
    run.start()
    run.receive(Started("j"))
    return run


def done(run):
    running(run).receive(Result("j", {"maps": {}}))
    run.finish_loading()
    return run


def failed(run):
    running(run).receive(Failed("j", "device", "There is no GPU.", "Choose cpu.", ("torch: none",)))
    return run


def loading(run):
    running(run).receive(Result("j", {"maps": {}}))
    return run


def cancelling(run):
    running(run).cancel()
    return run


def starting(run):
    run.start()
    return run


STATES = {
    RunState.READY: lambda run: run,
    RunState.STARTING: starting,
    RunState.RUNNING: running,
    RunState.CANCELLING: cancelling,
    RunState.DONE: done,
    RunState.FAILED: failed,
}


def test_at_first_it_is_not_ready(clock):
    run = Run(clock=clock)
    assert run.state == RunState.NOT_READY
    assert not run.button.enabled
    run.set_ready("T1 is missing.")
    assert (run.state, run.reason) == (RunState.NOT_READY, "T1 is missing.")
    assert run.button == Button("Run", "T1 is missing.", False)
    assert run.status == "T1 is missing."
    run.set_ready(None)
    assert (run.state, run.reason, run.status) == (RunState.READY, "", "Ready.")
    assert run.button.enabled
    run.set_ready("ADC is empty.")
    assert run.state == RunState.NOT_READY


def test_a_run_from_click_to_result(run, clock):
    run.start()
    assert (run.state, run.fraction) == (RunState.STARTING, 0.0)
    assert (run.button.text, run.button.enabled) == ("Cancel", True)
    run.preparing("writing T1", 0.5)
    assert run.stage == "writing T1"
    assert 0 < run.fraction < 0.05
    run.receive(Ready(1, "0.1.0", 42, "3.12.3"))
    run.receive(Started("j"))
    assert run.state == RunState.RUNNING
    run.receive(Progress("j", "registration", 0.5))
    assert (run.stage, run.fraction) == ("registration", pytest.approx(0.5))
    run.receive(Warned("j", "T2 is thick."))
    run.receive(Warned("j", "T2 is thick."))
    assert run.warnings == ["T2 is thick."]
    clock.now += 12.3
    run.receive(Result("j", {"maps": {"synthetic": "x"}}))
    assert (run.state, run.fraction, run.result) == (RunState.RUNNING, 0.95, {"maps": {"synthetic": "x"}})
    run.loading(0.5)
    assert run.fraction == pytest.approx(0.975)
    run.finish_loading()
    assert (run.state, run.fraction, run.seconds) == (RunState.DONE, 1.0, pytest.approx(12.3))
    assert run.status == "Done in 12 s."
    assert run.button == Button("Run", "Synthesise the CBV map in the background.", True)
    run.start()
    assert (run.warnings, run.result, run.fraction, run.seconds) == ([], None, 0.0, None)


def test_the_bar_never_goes_back(run):
    run.start()
    run.preparing("writing T1", 0.8)
    run.preparing("writing T2", 0.2)
    assert run.fraction == pytest.approx(0.04)
    run.receive(Started("j"))
    for fraction, shown in ((0.4, 0.41), (0.1, 0.41), (1.0, 0.95)):
        run.receive(Progress("j", "synthesis", fraction))
        assert run.fraction == pytest.approx(shown)
    run.receive(Result("j", {}))
    run.loading(0.0)
    assert run.fraction == pytest.approx(0.95)


def test_a_failure_stays_visible_until_the_next_run(run):
    failed(run)
    assert (run.state, run.kind) == (RunState.FAILED, "device")
    assert (run.reason, run.hint) == ("There is no GPU.", "Choose cpu.")
    run.set_ready("T1 is missing.")
    assert (run.state, run.reason) == (RunState.FAILED, "There is no GPU.")
    assert run.button == Button("Run", "T1 is missing.", False)
    with pytest.raises(IllegalTransitionError, match="T1 is missing"):
        run.start()
    run.set_ready(None)
    run.start()
    assert (run.state, run.reason, run.hint, run.kind) == (RunState.STARTING, "", "", "")


@pytest.mark.parametrize("reach", [starting, running, loading])
def test_the_panels_own_failure(run, reach):
    reach(run).fail(OutputError("The disk is full.", "Free some space."))
    assert (run.state, run.reason, run.hint, run.kind) == (
        RunState.FAILED,
        "The disk is full.",
        "Free some space.",
        "output",
    )


@pytest.mark.parametrize("reach", [starting, running, loading])
def test_cancelling(run, reach):
    reach(run).cancel()
    assert run.state == RunState.CANCELLING
    assert (run.button.text, run.button.enabled) == ("Cancelling…", False)
    assert run.remaining is None
    run.receive(Cancelled("j"))
    assert (run.state, run.status, run.result) == (RunState.READY, "The run was cancelled.", None)
    run.start()


@pytest.mark.parametrize(
    "event",
    [Result("j", {}), Failed("j", "internal", "It broke.", "", ()), Cancelled("j")],
    ids=lambda event: event.type,
)
def test_whatever_ends_a_job_that_is_being_cancelled_ends_the_cancelling(run, event):
    cancelling(run)
    run.receive(Progress("j", "late", 0.9))
    assert run.stage != "late"
    run.receive(event)
    assert run.state == RunState.READY
    assert run.result is None


def test_a_job_cancelled_by_others(run):
    running(run).receive(Cancelled("j"))
    assert (run.state, run.status) == (RunState.READY, "The run was cancelled.")


def test_inputs_that_change_during_a_run_count_for_the_next(run):
    running(run).set_ready("T1 is missing.")
    assert run.state == RunState.RUNNING
    assert run.button.enabled  # to cancel
    run.cancel()
    run.cancelled()
    assert (run.state, run.reason) == (RunState.NOT_READY, "T1 is missing.")


def test_the_worker_may_die_idle_at_any_time(run):
    death = Failed(None, "worker", "The background process was killed (signal 9).", "Try again.", ())
    for state, reach in STATES.items():
        fresh = Run(clock=Clock())
        fresh.set_ready(None)
        reach(fresh).receive(death)
        assert fresh.state == state
        assert "signal 9" in fresh.log[-1]


ILLEGAL = {
    "start": ([RunState.NOT_READY, *BUSY], lambda run: run.start()),
    "preparing": (set(RunState) - {RunState.STARTING}, lambda run: run.preparing("x", 0.5)),
    "started": (set(RunState) - {RunState.STARTING, RunState.CANCELLING}, lambda run: run.receive(Started("j"))),
    "progress": (
        set(RunState) - {RunState.RUNNING, RunState.CANCELLING},
        lambda run: run.receive(Progress("j", "x", 0.5)),
    ),
    "result": (set(RunState) - {RunState.RUNNING, RunState.CANCELLING}, lambda run: run.receive(Result("j", {}))),
    "warning": (set(RunState) - set(BUSY), lambda run: run.receive(Warned("j", "x"))),
    "failed": (set(RunState) - set(BUSY), lambda run: run.receive(Failed("j", "input", "x"))),
    "fail": (set(RunState) - set(BUSY), lambda run: run.fail(OutputError("x"))),
    "cancel": (set(RunState) - {RunState.STARTING, RunState.RUNNING}, lambda run: run.cancel()),
    "cancelled": (set(RunState) - set(BUSY), lambda run: run.receive(Cancelled("j"))),
    "loading": (set(RunState), lambda run: run.loading(0.5)),  # before there is a result
    "finish": (set(RunState), lambda run: run.finish_loading()),
}


@pytest.mark.parametrize("what", ILLEGAL)
def test_what_cannot_happen_is_refused(what):
    states, act = ILLEGAL[what]
    for state in states:
        run = Run(clock=Clock())
        if state != RunState.NOT_READY:
            run.set_ready(None)
            STATES[state](run)
        assert run.state == state
        with pytest.raises(IllegalTransitionError):
            act(run)
        assert run.state == state


def test_the_time_left_is_shown_while_it_runs(run, clock):
    running(run)
    for step in range(1, 61):
        clock.now += 0.2
        run.receive(Progress("j", "synthesis", step / 100))
    assert run.remaining == pytest.approx(8.0, rel=0.05)
    assert run.remaining_text() == "about 8 s left"
    assert run.status == "Synthesis, about 8 s left"
    run.receive(Failed("j", "input", "x"))
    assert run.remaining_text() == ""


def test_the_log_has_stages_and_warnings_with_their_times(run, clock):
    running(run)
    clock.now += 1.5
    run.receive(Progress("j", "reading", 0.02))
    run.receive(Progress("j", "reading", 0.04))
    clock.now += 2.0
    run.receive(Warned("j", "Brain mask (fair)."))
    assert [line.split("s  ", 1)[1] for line in run.log] == ["starting", "reading", "Warning: Brain mask (fair)."]
    assert [float(line.split(" s ")[0]) for line in run.log] == [0.0, 1.5, 3.5]
    for number in range(2 * MOST_LINES):
        run.note(f"line {number}\nsecond")
    assert len(run.log) == MOST_LINES


def test_the_details_say_everything_but_who_it_is(run):
    run.start(private=["MUELLER^HANS t1_mprage"])
    run.receive(Ready(1, "0.1.0", 42, "3.12.3"))
    run.receive(Started("j"))
    run.receive(Progress("j", "reading", 0.02))
    message = "T1 (MUELLER^HANS t1_mprage): /tmp/Hans Mueller/T1.npy is cut off."
    run.receive(Failed("j", "input", message, "Copy the file again.", ('File "/x/HierSynthLib/volume.py", line 3',)))
    details = run.details()
    for part in (
        "failed",
        "input",
        "is cut off",
        "Copy the file again.",
        "reading",
        "Slicer: 5.10.0",
        "0.1.0",
        "3.12.3",
    ):
        assert part in details
    assert 'File "HierSynthLib/volume.py", line 3' in details
    assert not any(word in details for word in ("MUELLER", "Mueller", "/tmp", "mprage"))


class AnyOrder(RuleBasedStateMachine):
    """Whatever users, worker and panel do, in whichever order they may."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.run = Run(clock=self.clock)
        self.fraction = 0.0
        self.ready = False
        self.set_ready(None)

    def is_in(*states):
        return precondition(lambda self: self.run.state in states)

    @rule(reason=st.sampled_from([None, None, "T1 is missing."]))
    def set_ready(self, reason):
        self.run.set_ready(reason)
        self.ready = reason is None

    @precondition(lambda self: self.ready and not self.run.busy)
    @rule()
    def start(self):
        self.run.start()
        self.fraction = 0.0

    @is_in(RunState.STARTING)
    @rule(fraction=st.floats(0, 1))
    def preparing(self, fraction):
        self.run.preparing("writing", fraction)

    @is_in(RunState.STARTING, RunState.CANCELLING)
    @rule()
    def started(self):
        self.run.receive(Started("j"))

    @is_in(RunState.RUNNING, RunState.CANCELLING)
    @rule(seconds=st.floats(0, 30), fraction=st.floats(0, 1), stage=st.sampled_from(["a", "b"]))
    def progress(self, seconds, fraction, stage):
        self.clock.now += seconds
        self.run.receive(Progress("j", stage, fraction))

    @is_in(RunState.STARTING, RunState.RUNNING)
    @rule()
    def cancel(self):
        self.run.cancel()

    @is_in(RunState.RUNNING, RunState.CANCELLING)
    @rule()
    def result(self):
        self.run.receive(Result("j", {}))

    @precondition(lambda self: self.run.state == RunState.RUNNING and self.run.result is not None)
    @rule()
    def load(self):
        self.run.loading(0.5)
        self.run.finish_loading()
        assert self.run.state == RunState.DONE

    @is_in(*BUSY)
    @rule(event=st.sampled_from([Failed("j", "input", "No."), Cancelled("j")]))
    def end(self, event):
        self.run.receive(event)
        assert self.run.state not in BUSY

    @invariant()
    def what_is_shown_is_consistent(self):
        run, button = self.run, self.run.button
        assert button.enabled == (run.state != RunState.CANCELLING and (self.ready or run.busy))
        assert (button.text == "Run") == (not run.busy)
        assert bool(run.reason) == (run.state in (RunState.NOT_READY, RunState.FAILED))
        assert run.remaining is None or run.state == RunState.RUNNING
        assert run.fraction >= self.fraction or run.state == RunState.STARTING
        self.fraction = run.fraction
        assert run.status
        assert str(run.state) in run.details()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
