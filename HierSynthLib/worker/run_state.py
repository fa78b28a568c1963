"""The states of a run as a panel shows it: what the button does, how far it is, why it failed."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from HierSynthLib import __version__
from HierSynthLib.errors import HierSynthError
from HierSynthLib.worker import messages
from HierSynthLib.worker.redaction import redact
from HierSynthLib.worker.time_left import TimeLeft, in_words

MOST_LINES = 500
"""Lines of the log that are kept."""

# What the bar shows: writing the volumes, the worker's job, loading the maps.
_WORK_BEGINS, _WORK_ENDS = 0.05, 0.95


class RunState(StrEnum):
    """Where a run stands."""

    NOT_READY = "not ready"
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"


BUSY = (RunState.STARTING, RunState.RUNNING, RunState.CANCELLING)
"""The states in which there is a run."""


@dataclass(frozen=True)
class Button:
    """What the one button of the panel shows: it runs, and while something runs it cancels."""

    text: str
    tooltip: str
    enabled: bool


class IllegalTransitionError(RuntimeError):
    """Something happened that cannot happen in this state: a fault of the program."""


class Run:
    """The state of one run after the other.

    A run begins with `start` (READY, DONE or FAILED → STARTING), in which the panel writes the volumes (`preparing`)
    and submits the job; the events of the job go to `receive`. `Started` makes it RUNNING, `Result` leaves it RUNNING
    while the panel loads the maps (`loading`), and `finish_loading` makes it DONE. `fail` and `Failed` make it FAILED.
    After `cancel` it is CANCELLING until `Cancelled` or `cancelled` says that nothing is going on any more; a job that
    ends otherwise meanwhile counts as cancelled.

    Attributes:
        state: where it stands.
        reason: why it is not ready, or why it failed; "" otherwise.
        hint: what to do about the failure.
        kind: the kind of the failure, as `HierSynthError.kind`.
        stage: what it is busy with.
        fraction: how much is done, 0–1, of writing, job and loading together; never falls during a run.
        warnings: what the user should know about this run.
        log: what happened, one line each.
        result: what the job returned; None before.
        seconds: how long the run has taken once it is DONE, FAILED or cancelled; None before.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, versions: Mapping[str, str] | None = None
    ) -> None:
        """Begin as not ready.

        Args:
            clock: gives the time in seconds.
            versions: program → version, for `details`.
        """
        self._clock = clock
        self._versions = {"HierSynth": __version__, "system": platform.platform(terse=True)} | dict(versions or {})
        self._obstacle: str | None = "The volumes have not been checked yet."
        self._private: frozenset[str] = frozenset()
        self.state = RunState.NOT_READY
        self.log: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self._started_at = self._clock()
        self._time_left = TimeLeft()
        self._message = ""
        self._loading = False
        self.kind, self.hint, self.stage, self.fraction = "", "", "", 0.0
        self.warnings: list[str] = []
        self.result: dict[str, Any] | None = None
        self.seconds: float | None = None

    # --- what the panel shows ----------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether there is a run."""
        return self.state in BUSY

    @property
    def reason(self) -> str:
        """Why it is not ready, or why it failed; "" otherwise."""
        if self.state == RunState.NOT_READY:
            return self._obstacle or ""
        return self._message if self.state == RunState.FAILED else ""

    @property
    def remaining(self) -> float | None:
        """Estimated seconds until it is done; None while it does not run or too little is known."""
        return self._time_left.seconds(self._clock()) if self.state == RunState.RUNNING else None

    def remaining_text(self) -> str:
        """The estimate in words ("about 12 s left"); "" where there is none."""
        return in_words(self.remaining)

    @property
    def status(self) -> str:
        """One line on where it stands."""
        if self.state == RunState.DONE:
            return f"Done in {self.seconds:.0f} s." if self.seconds is not None else "Done."
        if self.state in (RunState.STARTING, RunState.RUNNING):
            left = self.remaining_text()
            stage = self.stage[:1].upper() + self.stage[1:]
            return f"{stage}, {left}" if left else stage
        if self.state == RunState.CANCELLING:
            return "Cancelling…"
        return self.reason or self._message or "Ready."

    @property
    def button(self) -> Button:
        """The one button: text, tooltip, whether it can be pressed."""
        if self.state == RunState.CANCELLING:
            return Button("Cancelling…", "The run is being stopped.", False)
        if self.busy:
            return Button("Cancel", "Stop the run. The result of an earlier run stays.", True)
        if self._obstacle:
            return Button("Run", self._obstacle, False)
        return Button("Run", "Synthesise the CBV map in the background.", True)

    def details(self) -> str:
        """Everything about the run for a report, without paths and without the `private` texts of `start`."""
        lines = [f"HierSynth run: {self.state}"]
        if self.state == RunState.FAILED:
            lines += [f"Kind: {self.kind}", f"Message: {self._message}", f"Hint: {self.hint}"]
        elif self.reason:
            lines += [f"Reason: {self.reason}"]
        lines += [f"Stage: {self.stage} ({self.fraction:.0%})"] if self.stage else []
        lines += [f"{name}: {version}" for name, version in self._versions.items()]
        lines += ["Log:", *(f"  {line}" for line in self.log)] if self.log else []
        return redact("\n".join(lines), self._private)

    # --- what happens ------------------------------------------------------------------------------------------------

    def set_ready(self, reason: str | None) -> None:
        """Say that a run can start (None), or why it cannot; during a run it counts for the next one."""
        self._obstacle = reason
        if self.state in (RunState.NOT_READY, RunState.READY):
            self.state = self._idle()

    def start(self, *, private: Collection[str] = ()) -> None:
        """Begin a run; `private` are texts that must not appear in `details`, such as the names of the images."""
        self._expect("start", RunState.READY, RunState.DONE, RunState.FAILED)
        if self._obstacle:
            raise IllegalTransitionError(f"A run cannot start: {self._obstacle}")
        self._private = frozenset(private)
        self.log.clear()
        self._begin()
        self.state = RunState.STARTING
        self._set_stage("starting")

    def preparing(self, stage: str, fraction: float) -> None:
        """Take in the progress (0–1) of what the panel does before the job is submitted."""
        self._expect("preparing", RunState.STARTING)
        self._set_stage(stage)
        self._advance(_WORK_BEGINS * fraction)

    def receive(self, event: messages.Event) -> None:
        """Take in an event of the run's job, or one of the worker that belongs to no job."""
        match event:
            case messages.Ready():
                self._versions |= {"worker": event.version, "worker's Python": event.python}
            case messages.Warned() if event.job is None:
                self.note(event.message)
            case messages.Warned():
                self._expect("warning", *BUSY)
                if event.message not in self.warnings:
                    self.warnings.append(event.message)
                    self.note(f"Warning: {event.message}")
            case messages.Failed() if event.job is None:
                self.note(event.message)
            case messages.Failed():
                self._end_badly(event.kind, event.message, event.hint, event.log)
            case messages.Cancelled():
                self.cancelled()
            case messages.Started() | messages.Progress() | messages.Result() if self.state == RunState.CANCELLING:
                if isinstance(event, messages.Result):
                    self.cancelled()
            case messages.Started():
                self._expect("started", RunState.STARTING)
                self.state = RunState.RUNNING
                self._advance(_WORK_BEGINS)
            case messages.Progress():
                self._expect("progress", RunState.RUNNING)
                self._set_stage(event.stage)
                self._time_left.report(self._clock(), event.fraction)
                self._advance(_WORK_BEGINS + (_WORK_ENDS - _WORK_BEGINS) * event.fraction)
            case messages.Result():
                self._expect("result", RunState.RUNNING)
                self.result, self._loading = event.result, True
                self._set_stage("loading the maps")
                self._advance(_WORK_ENDS)

    def loading(self, fraction: float) -> None:
        """Take in the progress (0–1) of loading the maps."""
        self._expect_loading("loading")
        self._advance(_WORK_ENDS + (1 - _WORK_ENDS) * fraction)

    def finish_loading(self) -> None:
        """Say that the maps are loaded and shown: the run is done."""
        self._expect_loading("finish loading")
        self._advance(1.0)
        self._stop(RunState.DONE, "done")

    def fail(self, error: HierSynthError) -> None:
        """Say that the panel's own part failed: writing the volumes, submitting the job, loading the maps."""
        self._end_badly(error.kind, error.message, error.hint, ())

    def cancel(self) -> None:
        """Say that the user wants to stop; the panel then stops what it does itself and cancels the job."""
        self._expect("cancel", RunState.STARTING, RunState.RUNNING)
        self.state = RunState.CANCELLING
        self.note("cancelling")

    def cancelled(self) -> None:
        """Say that nothing is going on any more; also where nobody asked for it (the worker was closed)."""
        self._expect("cancelled", *BUSY)
        self._message = "The run was cancelled."
        self.result = None
        self._stop(self._idle(), "cancelled")

    def note(self, line: str) -> None:
        """Add to the log, with the seconds since the run began."""
        stamp = f"{self._clock() - self._started_at:7.1f} s  "
        self.log += [stamp + part for part in line.splitlines()]
        del self.log[:-MOST_LINES]

    # --- inner steps -------------------------------------------------------------------------------------------------

    def _idle(self) -> RunState:
        return RunState.NOT_READY if self._obstacle else RunState.READY

    def _expect(self, what: str, *states: RunState) -> None:
        if self.state not in states:
            raise IllegalTransitionError(f"'{what}' cannot happen when the run is {self.state}.")

    def _expect_loading(self, what: str) -> None:
        self._expect(what, RunState.RUNNING)
        if not self._loading:
            raise IllegalTransitionError(f"'{what}' cannot happen before the job has a result.")

    def _set_stage(self, stage: str) -> None:
        if stage != self.stage:
            self.stage = stage
            self.note(stage)

    def _advance(self, fraction: float) -> None:
        self.fraction = min(1.0, max(self.fraction, fraction))

    def _end_badly(self, kind: str, message: str, hint: str, log: Collection[str]) -> None:
        self._expect("failure", *BUSY)
        self.note(f"{message} {hint}".strip())
        for line in log:
            self.note(line)
        if self.state == RunState.CANCELLING:
            self.cancelled()
            return
        self.kind, self._message, self.hint = kind, message, hint
        self._stop(RunState.FAILED, "failed")

    def _stop(self, state: RunState, word: str) -> None:
        self.seconds = self._clock() - self._started_at
        self._loading = False
        self.note(word)
        self.state = state
