"""What a user does in the panel, as the tests do it: open a case, choose the model, run."""

from pathlib import Path

from HierSynthLib.worker.run_state import RunState

LOADING_SECONDS = 60.0
RUN_SECONDS = 120.0


def open_case(host, panel, folder: Path, monkeypatch) -> None:
    """Open a case folder through the button, as if the user had chosen it in the dialog."""
    monkeypatch.setattr(panel.inputs, "ask_for_folder", lambda: str(folder))
    host.click(panel.inputs.ui.openCaseButton)
    host.wait(lambda: panel.context.parameters.t1 is not None, LOADING_SECONDS)
    wait_until_ready(host, panel)


def wait_until_ready(host, panel) -> None:
    """Wait until the volumes have been checked and the run can start."""
    host.wait(lambda: panel.run_section.ui.runButton.enabled, LOADING_SECONDS)


def run_synthesis(host, panel) -> None:
    """Press Run and wait for the end of the run, whatever it is."""
    host.click(panel.run_section.ui.runButton)
    assert panel.run.busy
    host.wait(lambda: not panel.run.busy, RUN_SECONDS)


def state_of(panel) -> RunState:
    """Where the run stands."""
    return panel.run.state
