"""The reading mode: form, progress and keys of the reader who is signed in; everything else is hidden."""

from collections.abc import Callable, Sequence
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from HierSynthLib.errors import HierSynthError
from HierSynthLib.reader_study.record.reading import Progress
from HierSynthLib.reader_study.study import Study
from HierSynthPanel import reading_layout
from HierSynthPanel.context import PanelContext
from HierSynthPanel.observers import Observers
from HierSynthPanel.parameters import HierSynthParameters
from HierSynthPanel.reading import Reading, State
from HierSynthPanel.reading_form import ReadingForm
from HierSynthPanel.reading_keys import Keys


class ReadingSection:
    """Shows the reading, and leads the reader's actions to it.

    Args:
        context: the panel's.
        on_mode: called with True when a reader has signed in, and with False when the reader has signed out.

    Attributes:
        reading: what is read.
        form: the questions.
    """

    def __init__(self, context: PanelContext, on_mode: Callable[[bool], None]) -> None:
        self._on_mode = on_mode
        self._on_end: Callable[[str, str], None] = lambda _receipt, _problem: None
        self._observers = Observers()
        self._keys = Keys()
        self._form_of = 0
        self.widget = context.load_ui("Reading")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.reading = Reading(self._refresh)
        self.form = ReadingForm(self.ui.formBox.layout(), context.load_ui, self._store, self.reading.touch)
        ui = self.ui
        for plane in reading_layout.PLANES:
            ui.planeSelector.addItem(plane, plane)
        ui.planeSelector.currentIndexChanged.connect(self._on_plane)
        ui.submitButton.clicked.connect(self._submit)
        ui.backButton.clicked.connect(self._back)
        ui.forwardButton.clicked.connect(self._forward)
        ui.pauseButton.clicked.connect(self._pause)
        ui.signOutButton.clicked.connect(self.sign_out)
        ui.skipButton.clicked.connect(self._skip)
        ui.againButton.clicked.connect(self._again)
        ui.amendReason.textChanged.connect(self._lock)
        self.widget.visible = False

    def begin(self, study: Study, reader: str, override: str, session: int, on_end: Callable[[str, str], None]) -> None:
        """Sign a reader in and begin.

        Args:
            study: what is read.
            reader: code.
            override: reason for beginning before the washout is over.
            session: to look back at; 0 goes on with the next presentation.
            on_end: called with the receipt, and with what went wrong, when the reading has ended.

        Raises:
            HierSynthError: see `Reading.begin`; nothing has changed then.
        """
        self._on_end = on_end
        self.ui.planeSelector.currentIndex = 0
        self.reading.begin(study, reader, override, session)
        self._on_mode(True)
        self._keys.start(self._actions())
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if crosshair is not None:
            self._observers.add(crosshair, crosshair.CursorPositionModifiedEvent, self.reading.touch)

    def sign_out(self, *_args: object, scene_closed: bool = False) -> None:
        """End the reading; what is answered is stored already."""
        if not self.reading.active:
            return
        receipt, problems = "", []
        if self.reading.state == State.READING:
            self.form.flush()
        if self.form.unsaved:
            problems.append(_("Not saved: {names}.").format(names=self._names(self.form.unsaved)))
        self.form.clear()
        self._form_of = 0
        try:
            receipt = self.reading.end(scene_closed=scene_closed)
        except HierSynthError as error:
            problems.append(str(error))
        self._observers.clear()
        self._keys.stop()
        self._on_mode(False)
        self._on_end(receipt, " ".join(problems))

    def say(self, text: str) -> None:
        """Say below the form what is not possible, or went wrong; "" for nothing."""
        self.ui.errorLabel.text = f"✗ {text}" if text else ""
        self.ui.errorLabel.visible = bool(text)

    def set_parameters(self, _parameters: HierSynthParameters) -> None:
        """Nothing of a reading is kept in the scene."""

    def release(self) -> None:
        """A reading does not go on in another scene."""
        self.sign_out()

    def enter(self) -> None:
        """The reader is back; the pause goes on until the reader ends it."""
        if self.reading.active:
            self._keys.start(self._actions())

    def exit(self) -> None:
        """The reader has gone to another module: that is a pause."""
        self._keys.stop()
        if self.reading.active:
            self.form.flush()
            self._try(self.reading.pause)

    def cleanup(self) -> None:
        """Sign out, and leave no node, observer, timer or shortcut behind."""
        self.sign_out()

    # --- what is shown -----------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        reading, ui, state = self.reading, self.ui, self.reading.state
        session = reading.session
        if session is None:
            return
        shown = state == State.READING
        self.say("")
        self._show_head(session)
        ui.formBox.visible = shown
        ui.messageLabel.text = _message(state, session.progress)
        ui.messageLabel.visible = not shown
        ui.missingFrame.visible = state in (State.MISSING, State.REFUSED)
        ui.skipReason.visible = ui.skipButton.visible = state == State.MISSING
        ui.missingLabel.text = f"✗ {reading.problem}" if reading.problem is not None else ""
        locked = session.locked
        ui.amendFrame.visible = shown and locked
        may_go = session.study.protocol.allow_back and state in (State.READING, State.FINISHED)
        ui.backButton.enabled = may_go and session.progress.done > 0
        ui.backButton.visible = ui.forwardButton.visible = session.study.protocol.allow_back
        ui.forwardButton.enabled = shown and locked
        ui.submitButton.enabled = shown and not locked
        ui.pauseButton.enabled = state in (State.READING, State.LOADING, State.PAUSED)
        ui.pauseButton.text = _("Go on (P)") if state == State.PAUSED else _("Pause (P)")
        if shown and self._form_of != session.slot.position:
            self._show_form(session)
        if shown:
            # Who scrolls with a mouse that stands still is at work, too.
            self._observers.add(reading.views.leading, vtk.vtkCommand.ModifiedEvent, reading.touch)
        self.form.set_marks_visible(shown)

    def _show_form(self, session: Any) -> None:
        """The form of another presentation; after a pause it is as it was."""
        self._form_of = session.slot.position
        self.ui.amendReason.text = self.ui.skipReason.text = ""
        self.form.ask(session.items)
        self.form.show(session.answers())
        self._lock()
        self._follow()

    def _show_head(self, session: Any) -> None:
        ui, study, progress = self.ui, session.study, session.progress
        ui.titleLabel.text = f"{study.title} · {session.reader}"
        simulated = _(" The patients are simulated.") if study.simulated_cases else ""
        ui.noteLabel.text = _("For research only. Maps may be acquired or synthetic.") + simulated
        slot = session.slot
        told = study.protocol.mode(slot.presentation.mode).instructions if slot is not None else ""
        training = _("For practice: this one is not evaluated.") if slot is not None and slot.training else ""
        ui.instructionsLabel.text = "\n".join(line for line in (told, training) if line)
        ui.instructionsLabel.visible = bool(ui.instructionsLabel.text)
        ui.progressBar.maximum = progress.total
        ui.progressBar.value = progress.done
        ui.progressBar.format = _("session {session}: {done} of {total}").format(
            session=progress.session, done=progress.done, total=progress.total
        )

    def _lock(self, *_args: object) -> None:
        """What is submitted can be changed once there is a reason."""
        session = self.reading.session
        if session is not None:
            self.form.set_locked(session.locked and not self.ui.amendReason.text.strip())

    def _follow(self) -> None:
        """Keep the present question, or the button after the last one, in sight."""
        current = self.form.current
        widget = current.widget if current is not None else self.ui.submitButton
        if current is None:
            widget.setFocus()
        area = self.widget.parentWidget()
        while area is not None and not hasattr(area, "ensureWidgetVisible"):
            area = area.parentWidget()
        if area is not None:
            area.ensureWidgetVisible(widget)

    # --- what the reader does ----------------------------------------------------------------------------------------

    def _actions(self) -> dict[str, Callable[[], None]]:
        digits = {str(number): lambda number=number: self._digit(number) for number in range(10)}
        advance = dict.fromkeys(("Space", "Return", "Enter", "Ctrl+Return"), self._advance)
        return digits | advance | {"Left": self._back, "Right": self._forward, "P": self._pause}

    def _digit(self, number: int) -> None:
        if self.reading.state == State.READING:
            self.form.digit(number)

    def _advance(self) -> None:
        if self.reading.state != State.READING:
            return
        self.reading.touch()
        if self.form.current is not None:
            self.form.advance()
            self._follow()
        elif self.reading.session.locked:
            self._forward()
        else:
            self._submit()

    def _store(self, item: str, value: Any) -> str:
        try:
            self.reading.answer(item, value, self.ui.amendReason.text)
        except HierSynthError as error:
            return _("✗ Not saved: {reason}").format(reason=error)
        return ""

    def _submit(self, *_args: object) -> None:
        self.form.flush()
        missing = [number for number, each in enumerate(self.form.items) if each.item.required and each.value is None]
        if missing:
            names = self._names([self.form.items[number].item.id for number in missing])
            self.say(_("Not answered yet: {names}").format(names=names))
            self.form.go_to(missing[0])
            self._follow()
        elif self.form.unsaved:
            self.say(_("Some answers are not saved yet, see below. Submit tries again."))
        else:
            self._try(self.reading.submit)

    def _names(self, items: Sequence[str]) -> str:
        return ", ".join(each.item.text for each in self.form.items if each.item.id in items)

    def _back(self, *_args: object) -> None:
        if self.ui.backButton.enabled:
            self._leave(self.reading.back)

    def _forward(self, *_args: object) -> None:
        if self.ui.forwardButton.enabled:
            self._leave(self.reading.forward)

    def _leave(self, move: Callable[[], None]) -> None:
        self.form.flush()
        if self.form.unsaved:
            self.say(_("Some answers are not saved yet, see below."))
        else:
            self._try(move)

    def _pause(self, *_args: object) -> None:
        if self.reading.state == State.PAUSED:
            self._try(self.reading.resume)
        else:
            self.form.flush()
            self._try(self.reading.pause)

    def _skip(self, *_args: object) -> None:
        self._try(lambda: self.reading.skip(self.ui.skipReason.text))

    def _again(self, *_args: object) -> None:
        self._try(self.reading.again)

    def _on_plane(self, *_args: object) -> None:
        if self.reading.state == State.READING:
            self.reading.touch()
            self.reading.views.set_plane(self.ui.planeSelector.itemData(self.ui.planeSelector.currentIndex))
        else:
            self.reading.views.plane = self.ui.planeSelector.itemData(self.ui.planeSelector.currentIndex)

    def _try(self, action: Callable[[], None]) -> None:
        """Do something that the record may refuse, and say in place why."""
        try:
            action()
        except HierSynthError as error:
            self.say(str(error))


def _message(state: State, progress: Progress) -> str:
    finished = _("This session is finished. Thank you. Sign out, or go back to what you submitted.")
    if progress.done < progress.total:
        finished = _(
            "Put off: {number}. They come again after all sessions. If their images are there again before: sign out, "
            "and look back at this session."
        ).format(number=progress.total - progress.done)
    return {
        State.LOADING: _("The images are being read…"),
        State.PAUSED: _("Paused. Time is not counted. Press P to go on."),
        State.FINISHED: finished,
        State.MISSING: _("An image cannot be shown."),
        State.REFUSED: _("The record cannot be written."),
    }.get(state, "")
