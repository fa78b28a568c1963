"""The part "New study": from cases, protocol and form to a study folder, in the background process."""

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from HierSynthLib.worker.messages import Cancelled, Event, Failed, Progress, Result
from HierSynthPanel.worker_link import WorkerLink

FOLDERS = ("cases",)
NEW = ("out", "key")
"""What the user names for writing."""

JOB = "study_create"


class StudyCreation:
    """Makes one study at a time.

    Args:
        link: the background process.
        ui: the widgets of Study.ui.
        on_made: called with the folder of the new study.
    """

    def __init__(self, link: WorkerLink, ui: Any, on_made: Callable[[str], None]) -> None:
        self._link, self._ui, self._on_made = link, ui, on_made
        self._job = ""
        for name in ("cases", "protocol", "form", "truth", "out", "key"):
            edit = getattr(ui, f"{name}Edit")
            getattr(ui, f"{name}Button").clicked.connect(lambda *_args, name=name, edit=edit: _browse(name, edit))
            edit.textChanged.connect(self._refresh)
        ui.makeButton.clicked.connect(self._on_button)
        ui.makeLabel.visible = False
        self._refresh()

    @property
    def busy(self) -> bool:
        """Whether a study is being made."""
        return bool(self._job)

    def cleanup(self) -> None:
        """Nobody waits for the study any more; what is half made is removed."""
        if self._job:
            self._link.forget(self._job)
            self._job = ""

    def _on_button(self, *_args: object) -> None:
        if self._job:
            self._link.cancel(self._job)
            return
        self._say("")
        self._ui.makeBar.value = 0
        self._job = self._link.submit(JOB, self._order(), self._receive)
        self._refresh()

    def _order(self) -> dict[str, Any]:
        ui = self._ui
        order: dict[str, Any] = {"cases": [ui.casesEdit.text.strip()]}
        texts = {name: getattr(ui, f"{name}Edit").text.strip() for name in ("protocol", "form", "truth", "out", "key")}
        return order | {name: text for name, text in texts.items() if text}

    def _receive(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._ui.makeBar.value = round(1000 * event.fraction)
            return
        if not isinstance(event, Result | Failed | Cancelled):
            return
        self._job = ""
        self._refresh()
        if isinstance(event, Failed):
            self._say(f"✗ {event.message} {event.hint}".strip())
        elif isinstance(event, Result):
            made = event.result
            self._on_made(made["study"])
            self._say(
                _("{cases} cases. Key: {key}. Keep it away from readers: it says which map is which.").format(
                    cases=made["cases"], key=made["key"]
                )
            )

    def _refresh(self, *_args: object) -> None:
        ui = self._ui
        missing = [each for each in ("cases", "protocol", "out") if not getattr(ui, f"{each}Edit").text.strip()]
        ui.makeButton.enabled = self.busy or not missing
        ui.makeButton.text = _("Cancel") if self.busy else _("Make study")
        ui.makeBar.visible = self.busy

    def _say(self, text: str) -> None:
        self._ui.makeLabel.text = text
        self._ui.makeLabel.visible = bool(text)


def _browse(name: str, edit: Any) -> None:
    if name in FOLDERS:
        path = qt.QFileDialog.getExistingDirectory(edit, edit.toolTip, edit.text)
    elif name in NEW:
        path = qt.QFileDialog.getSaveFileName(edit, edit.toolTip, edit.text)
    else:
        path = qt.QFileDialog.getOpenFileName(edit, edit.toolTip, edit.text)
    if path:
        edit.text = path
