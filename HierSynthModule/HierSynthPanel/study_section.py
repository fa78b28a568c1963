"""The section for reader studies: open a study and sign in, see how far everybody is, make a new study."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from HierSynthLib.errors import HierSynthError
from HierSynthLib.reader_study.administration import study_status
from HierSynthLib.reader_study.record.refusals import WashoutError
from HierSynthLib.reader_study.study import Study
from HierSynthPanel.context import PanelContext
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.study_creation import StudyCreation

SETTING = "HierSynth/Study"
"""Name of the application setting: the folder of the last study; it belongs to the machine and not to the scene."""

COLUMNS = ("Reader", "Session", "Read", "Put off", "Last (UTC)")

BeginReading = Callable[[Study, str, str, int, Callable[[str, str], None]], None]
"""Study, reader, reason for beginning early, session to look back at or 0, and what to call at the end."""


class StudySection:
    """What readers and the person in charge do before and after reading.

    Args:
        context: the panel's.
        begin: signs a reader in; see `ReadingSection.begin`.

    Attributes:
        creation: the part that makes a new study.
        study: the open one, or None.
    """

    def __init__(self, context: PanelContext, begin: BeginReading) -> None:
        self._begin = begin
        self.study: Study | None = None
        self.widget = context.load_ui("Study")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.creation = StudyCreation(context.link, self.ui, self.open)
        ui = self.ui
        ui.statusTable.setHorizontalHeaderLabels([_(name) for name in COLUMNS])
        ui.folderEdit.editingFinished.connect(self._on_folder)
        ui.folderButton.clicked.connect(self._browse)
        ui.signInButton.clicked.connect(self._sign_in)
        ui.lookBackButton.clicked.connect(self._look_back)
        ui.overrideButton.clicked.connect(self._override)
        ui.refreshButton.clicked.connect(self._show_status)
        ui.readerSelector.currentIndexChanged.connect(self._on_reader)
        ui.folderEdit.text = str(slicer.app.userSettings().value(SETTING) or "")
        ui.receiptLabel.visible = False
        self._opened = ""
        self._finished: dict[str, int] = {}
        self._session = 0
        self._show_study()

    def open(self, folder: str) -> None:
        """Open the study of a folder, and say in place what is wrong with it."""
        self.ui.folderEdit.text = folder
        self._on_folder()

    def set_parameters(self, _parameters: HierSynthParameters) -> None:
        """Nothing of a study is kept in the scene."""

    def release(self) -> None:
        """Nothing of a study is kept in the scene."""

    def enter(self) -> None:
        """The study of the last time is there again."""
        if self.study is None and self.ui.folderEdit.text:
            self._on_folder()

    def exit(self) -> None:
        """A study that is being made goes on in the background."""

    def cleanup(self) -> None:
        """Leave no job behind."""
        self.creation.cleanup()

    def _on_folder(self, *_args: object) -> None:
        folder = self.ui.folderEdit.text.strip()
        if folder == self._opened and self.study is not None:
            return
        self._opened, self.study = folder, None
        self._say("")
        self.ui.receiptLabel.visible = False
        if folder:
            try:
                self.study = Study.read(Path(folder))
            except HierSynthError as error:
                self._say(f"✗ {error}")
            else:
                slicer.app.userSettings().setValue(SETTING, folder)
        self._show_study()

    def _browse(self, *_args: object) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self.widget, _("Folder of the study"), self.ui.folderEdit.text)
        if folder:
            self.open(folder)

    def _show_study(self) -> None:
        ui, study = self.ui, self.study
        ui.readerSelector.clear()
        ui.studyLabel.visible = study is not None
        ui.signInButton.enabled = study is not None
        ui.overrideFrame.visible = False
        if study is not None:
            simulated = _(" Simulated patients.") if study.simulated_cases else ""
            ui.studyLabel.text = f"{study.title} ({study.id}).{simulated}"
            for reader in study.readers:
                ui.readerSelector.addItem(reader, reader)
        self._show_status()

    def _show_status(self, *_args: object) -> None:
        table = self.ui.statusTable
        table.rowCount = 0
        self._finished = {}
        self._show_look_back()
        if self.study is None:
            return
        try:
            status = study_status(self.study.folder)
        except HierSynthError as error:
            self._say(f"✗ {error}")
            return
        self.ui.statusButton.text = (
            _("Progress of all readers (closed)") if status["closed"] else _("Progress of all readers")
        )
        may_look_back = self.study.protocol.allow_back and not status["closed"]
        table.rowCount = len(status["readers"])
        for row, each in enumerate(status["readers"]):
            session = str(each["session"]) if each["session"] else _("complete")
            last = each["last_at"][:16].replace("T", " ")
            if may_look_back and each["last_session"] != each["session"]:
                self._finished[each["reader"]] = each["last_session"]
            cells = (each["reader"], session, f"{each['done']} / {each['total']}", str(each["skipped"]), last)
            for column, text in enumerate(cells):
                table.setItem(row, column, qt.QTableWidgetItem(text))
        table.resizeColumnsToContents()
        self._show_look_back()

    def _show_look_back(self) -> None:
        """Offer the session that the reader has finished, unless it goes on by itself."""
        finished = self._finished.get(self._reader(), 0)
        self.ui.lookBackButton.visible = finished > 0
        self.ui.lookBackButton.text = _("Look back at session {number}").format(number=finished)

    def _reader(self) -> str:
        return self.ui.readerSelector.itemData(self.ui.readerSelector.currentIndex) or ""

    def _on_reader(self, *_args: object) -> None:
        self.ui.overrideFrame.visible = False
        self._show_look_back()
        self._say("")

    def _sign_in(self, *_args: object) -> None:
        self._session = 0
        self._start("")

    def _look_back(self, *_args: object) -> None:
        self._session = self._finished[self._reader()]
        self._start("")

    def _override(self, *_args: object) -> None:
        reason = self.ui.overrideReason.text.strip()
        if reason:
            self._start(reason)
        else:
            self.ui.overrideReason.setFocus()

    def _start(self, reason: str) -> None:
        ui = self.ui
        ui.receiptLabel.visible = ui.overrideFrame.visible = False
        self._say("")
        try:
            self._begin(self.study, self._reader(), reason, self._session, self._on_end)
        except HierSynthError as error:
            self._say(f"✗ {error}")
            ui.overrideFrame.visible = isinstance(error, WashoutError)
        ui.overrideReason.text = ""

    def _on_end(self, receipt: str, problem: str) -> None:
        ui = self.ui
        ui.receiptLabel.visible = bool(receipt)
        ui.receiptLabel.text = _("Receipt {receipt}. Keep it: it proves later that nothing was changed.").format(
            receipt=receipt
        )
        self._say(f"✗ {problem}" if problem else "")
        self._show_status()

    def _say(self, text: Any) -> None:
        self.ui.problemLabel.text = text
        self.ui.problemLabel.visible = bool(text)
