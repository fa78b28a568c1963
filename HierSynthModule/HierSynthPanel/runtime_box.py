"""Which Python runs the background process, what it lacks, and installing that."""

from typing import Any

import slicer
from slicer.i18n import tr as _

from HierSynthLib.worker.interpreter import check_interpreter
from HierSynthLib.worker.messages import Cancelled, Event, Failed, Result
from HierSynthPanel.context import PanelContext
from HierSynthPanel.installation import InstallationError, install

SETTING = "HierSynth/Python"
"""Name of the application setting: it belongs to the machine and not to the scene."""


class RuntimeBox:
    """The part "Python and libraries" of the run section.

    Args:
        context: the panel's.
        ui: the widgets of Run.ui.

    Attributes:
        missing: the requirements that the last check missed.
    """

    def __init__(self, context: PanelContext, ui: Any) -> None:
        self._context, self.ui = context, ui
        self._job = ""
        self.missing: list[str] = []
        ui.pythonPath.currentPath = python_setting()
        ui.pythonPath.currentPathChanged.connect(self._on_path)
        ui.checkRuntimeButton.clicked.connect(self.check)
        ui.installButton.clicked.connect(self._on_install)
        ui.runtimeMessage.visible = ui.installButton.visible = False

    @property
    def checking(self) -> bool:
        """Whether the answer is still to come."""
        return bool(self._job)

    def show(self) -> None:
        """Open the box and say what is missing."""
        self.ui.runtimeButton.collapsed = False
        self.check()

    def check(self, *_args: object) -> None:
        """Ask the worker what its Python has; the answer appears in the box."""
        if self._job:
            return
        self._say(_("Checking…"))
        self.ui.checkRuntimeButton.enabled = False
        self._job = self._context.link.submit("runtime", {"devices": True}, self._receive)

    def cleanup(self) -> None:
        """Nothing of the box outlives it."""
        self.ui.pythonPath.currentPathChanged.disconnect(self._on_path)

    def _receive(self, event: Event) -> None:
        if not isinstance(event, Result | Failed | Cancelled):
            return
        self._job = ""
        self.ui.checkRuntimeButton.enabled = True
        self.missing = []
        if isinstance(event, Result):
            self.missing = list(event.result["missing"])
            self._say("\n".join(event.result["lines"]))
        elif isinstance(event, Failed):
            self._say(f"✗ {event.message}\n{event.hint}")
        else:
            self._say("")
        self.ui.installButton.visible = bool(self.missing) and not python_setting()

    def _say(self, text: str) -> None:
        self.ui.runtimeMessage.text = text
        self.ui.runtimeMessage.visible = bool(text)

    def _on_path(self, *_args: object) -> None:
        path = self.ui.pythonPath.currentPath.strip()
        if path != python_setting():
            slicer.app.userSettings().setValue(SETTING, path)
            self._context.link.use_python(path)
            problem = check_interpreter(path) if path else None
            self._say(f"✗ {problem}" if problem else "")
            self.ui.installButton.visible = False

    def _on_install(self, *_args: object) -> None:
        try:
            install(self.missing)
        except InstallationError as error:
            self._say(str(error))
        else:
            # The worker that runs now has already looked for the packages.
            self._context.link.use_python(python_setting())
            self.check()


def python_setting() -> str:
    """The interpreter that the user named; "" for Slicer's own."""
    return str(slicer.app.userSettings().value(SETTING) or "")
