"""Reader studies in the panel: a form with every kind of question, and what readers do with mouse and keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPlainTextEdit, QPushButton, QRadioButton, QSlider

from HierSynthLib.reader_study.study import Study
from Testing.panel.view_steps import pixel_of, send_mouse
from Testing.reader_studies import make_study

LONG = 60.0

FORM = {
    "id": "full",
    "title": "Full form",
    "items": [
        {
            "id": "quality", "kind": "likert", "text": "Overall quality",
            "anchors": ["Not diagnostic", "Poor", "Acceptable", "Good", "Excellent"], "modes": ["single", "turing"],
        },
        {
            "id": "grade", "kind": "choice", "text": "Grade", "options": ["low", "high"], "purpose": "diagnosis",
            "truth": "grade", "positive": "high", "modes": ["single"],
        },
        {"id": "sure", "kind": "confidence", "text": "How sure?", "about": "grade", "modes": ["single"]},
        {"id": "invented", "kind": "flag", "text": "Something is invented", "modes": ["single"]},
        {
            "id": "better", "kind": "choice", "text": "Which is better?", "options": ["left", "none", "right"],
            "purpose": "preference", "modes": ["side_by_side"],
        },
        {
            "id": "origin", "kind": "choice", "text": "Where from?", "options": ["acquired", "synthetic"],
            "purpose": "origin", "modes": ["turing"],
        },
        {"id": "agree", "kind": "likert", "text": "Agreement", "anchors": ["", "", ""], "modes": ["unblinded"]},
        {"id": "spots", "kind": "hotspots", "text": "Mark the hotspots", "modes": ["roi"]},
        {"id": "border", "kind": "outline", "text": "Outline the lesion", "modes": ["roi"]},
        {"id": "remark", "kind": "text", "text": "Remarks", "modes": ["single", "side_by_side", "roi"]},
    ],
}  # fmt: skip

MODES = [
    {"kind": "single", "sources": ["T1"]},
    {"kind": "side_by_side", "sources": ["T1"]},
    {"kind": "turing", "instructions": "Half of the maps were made by a program."},
    {"kind": "roi", "sources": ["T1"]},
]

UNBLINDED = [{"kind": "unblinded", "sources": ["T1"]}]


def small_study(folder: Path, cases: int = 2, **changes: Any) -> Study:
    """A study with the full form; two cases, one reader, and no washout unless it is asked for."""
    usual: dict[str, Any] = {"modes": MODES[:1], "washout_days": 0, "readers": ["R1"]}
    clock = changes.pop("clock", None)
    return make_study(folder, cases, form=FORM, clock=clock, **usual | changes)


class Reader:
    """A reader at the panel.

    Args:
        host: the stand-in.
        panel: the panel.
        study: what is read.
    """

    def __init__(self, host: Any, panel: Any, study: Study) -> None:
        self.host, self.panel, self.study = host, panel, study

    @property
    def ui(self) -> Any:
        """The widgets of the reading mode."""
        return self.panel.reading.ui

    @property
    def session(self) -> Any:
        """The record's side."""
        return self.panel.reading.reading.session

    @property
    def state(self) -> str:
        """Name of what the reader sees."""
        return self.panel.reading.reading.state.name

    def sign_in(self, code: str = "R1", *, expect: str = "READING") -> None:
        """Open the study, choose the code, press the button."""
        ui = self.panel.study.ui
        ui.studyButton.collapsed = False
        if ui.folderEdit.text != str(self.study.folder):
            ui.folderEdit.text = ""
            ui.folderEdit.setFocus()
            QTest.keyClicks(ui.folderEdit, str(self.study.folder))
            QTest.keyClick(ui.folderEdit, Qt.Key.Key_Return)
        self.host.choose(ui.readerSelector, code)
        self.host.click(ui.signInButton)
        if expect:
            self.wait_for(expect)

    def wait_for(self, state: str) -> None:
        """Wait until the reader sees that."""
        self.host.wait(lambda: self.state == state, LONG, f"{state}, not {self.state}")
        self.host.app.processEvents()

    def wait_for_next(self, position: int | None) -> None:
        """Wait until another position than `position` is shown, or the session is finished."""
        self.host.wait(
            lambda: self.state == "FINISHED" or (self.state == "READING" and self.session.slot.position != position),
            LONG,
            "the next presentation",
        )

    def press(self, *keys: str) -> None:
        """Press keys, written as Qt does, wherever the focus is."""
        window = self.host.window
        window.activateWindow()
        QTest.qWaitForWindowActive(window)
        for key in keys:
            combination = QKeySequence(key)[0]
            QTest.keyClick(window.focusWidget() or window, combination.key(), combination.keyboardModifiers())

    def item(self, name: str) -> Any:
        """A question."""
        return next(each for each in self.panel.reading.form.items if each.item.id == name)

    def choose(self, name: str, number: int) -> None:
        """Click the choice with this number from 0."""
        self.host.click(self.item(name).widget.findChildren(QRadioButton)[number])

    def slider(self, name: str) -> QSlider:
        """The line of a confidence."""
        return self.item(name).widget.findChild(QSlider)

    def type_text(self, name: str, text: str) -> None:
        """Type into a free text, and leave it."""
        edit = self.item(name).widget.findChild(QPlainTextEdit)
        self.host.click_at(edit.viewport(), (5, 5))
        edit.setFocus()
        QTest.keyClicks(edit, text)

    def button(self, name: str, text: str) -> Any:
        """A button of a question."""
        return next(each for each in self.item(name).widget.findChildren(QPushButton) if each.text == text)

    def click_position(self, place: tuple[float, float, float], view: str = "HierSynthReadingA") -> None:
        """Click where a position, RAS mm, lies in a slice view."""
        import slicer

        widget = slicer.app.layoutManager().sliceWidget(view)
        widget.mrmlSliceNode().JumpSliceByOffsetting(*place)
        column, row = pixel_of(widget, place, widget.sliceView().height)
        self.host.click_at(widget.sliceView(), (float(column), float(row)))

    def point_at(self, place: tuple[float, float, float], view: str = "HierSynthReadingA") -> None:
        """Move the mouse to a position, RAS mm, in a slice view."""
        import slicer

        widget = slicer.app.layoutManager().sliceWidget(view)
        column, row = pixel_of(widget, place, widget.sliceView().height)
        send_mouse(widget.sliceView(), QEvent.Type.MouseMove, float(column), float(row))
        self.host.app.processEvents()

    def submit(self) -> None:
        """Press the button, and wait for what comes next."""
        position = self.session.slot.position
        self.host.click(self.ui.submitButton)
        self.wait_for_next(position)

    def read_session(self, answer: Callable[[Reader], None]) -> None:
        """Answer and submit until the session is finished, and sign out."""
        while self.state != "FINISHED":
            answer(self)
            self.submit()
        self.host.click(self.ui.signOutButton)
