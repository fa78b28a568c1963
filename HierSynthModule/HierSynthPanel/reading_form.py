"""The form of a study: the questions of one mode below each other, one of which the keys go to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from HierSynthLib.reader_study.form import Item
from HierSynthPanel.reading_items import ChoiceWidget, ConfidenceWidget, ItemWidget, TextWidget
from HierSynthPanel.reading_marks import HotspotsWidget, MarksWidget, OutlineWidget

WIDGETS = {
    "likert": ChoiceWidget,
    "choice": ChoiceWidget,
    "flag": ChoiceWidget,
    "confidence": ConfidenceWidget,
    "text": TextWidget,
    "hotspots": HotspotsWidget,
    "outline": OutlineWidget,
}

OnAnswer = Callable[[str, Any], str]
"""Item and answer → why it could not be stored, or ""."""


class ReadingForm:
    """Builds the questions of a mode and keeps what is not stored yet.

    Args:
        layout: where the questions go.
        load_ui: builds the widget of a file in Resources/UI.
        on_answer: stores an answer.
        on_touch: called when the reader does something, be it only that a text is being typed.
    """

    def __init__(
        self, layout: Any, load_ui: Callable[[str], Any], on_answer: OnAnswer, on_touch: Callable[[], None]
    ) -> None:
        self._layout, self._load_ui, self._on_answer, self._on_touch = layout, load_ui, on_answer, on_touch
        self._asked: tuple[Item, ...] = ()
        self.items: list[ItemWidget] = []
        self._current = 0
        self._unsaved: set[str] = set()

    @property
    def current(self) -> ItemWidget | None:
        """The question that the keys go to; None past the last one."""
        return self.items[self._current] if self._current < len(self.items) else None

    @property
    def unsaved(self) -> list[str]:
        """The questions whose answers the form shows, but the record does not have."""
        return [each.item.id for each in self.items if each.item.id in self._unsaved]

    def ask(self, asked: Sequence[Item]) -> None:
        """Have these questions."""
        if tuple(asked) == self._asked:
            return
        self.clear()
        self._asked = tuple(asked)
        for item in asked:
            widget = WIDGETS[item.kind](item, self._load_ui("ReadingItem"), self._on_begun, self._store)
            self.items.append(widget)
            self._layout.addWidget(widget.widget)

    def show(self, answers: Mapping[str, Any]) -> None:
        """Show what the record has, and go to the first question without an answer."""
        self._unsaved.clear()
        for each in self.items:
            each.show_answer(answers.get(each.item.id))
        still = [number for number, each in enumerate(self.items) if each.value is None and each.item.required]
        self.go_to(still[0] if still else 0)

    def clear(self) -> None:
        """Ask nothing."""
        for each in self.items:
            each.close()
            each.widget.setParent(None)
            each.widget.deleteLater()
        self.items, self._asked, self._current = [], (), 0
        self._unsaved.clear()

    def set_locked(self, locked: bool) -> None:
        """Whether answers cannot be changed."""
        for each in self.items:
            each.widget.enabled = not locked
            if isinstance(each, MarksWidget):
                each.set_locked(locked)

    def set_marks_visible(self, visible: bool) -> None:
        """Show marks, or hide them with the images."""
        for each in self.items:
            if isinstance(each, MarksWidget):
                each.set_visible(visible)

    def go_to(self, number: int) -> None:
        """Let keys go to the question with this number from 0; past the last one to none."""
        self._mark(number)
        if self.current is not None:
            self.current.take_focus()

    def advance(self) -> bool:
        """Go to the next question; whether there was one."""
        if self.current is not None:
            self.current.flush()
            self.go_to(self._current + 1)
        return self.current is not None

    def digit(self, number: int) -> None:
        """Answer the present question with a key."""
        if self.current is not None and self.current.widget.enabled:
            self.current.digit(number)

    def flush(self) -> None:
        """Store what is being dragged or typed, and what could not be stored before."""
        for each in self.items:
            each.flush()
        for each in [each for each in self.items if each.item.id in self._unsaved]:
            self._store(each)

    def _on_begun(self, widget: ItemWidget) -> None:
        """Keys go on where the reader has turned to with the mouse."""
        self._on_touch()
        if widget is not self.current:
            self._mark(self.items.index(widget))

    def _mark(self, number: int) -> None:
        self._current = number
        for place, each in enumerate(self.items):
            each.set_current(place == number)

    def _store(self, widget: ItemWidget) -> None:
        problem = self._on_answer(widget.item.id, widget.value)
        widget.say(problem)
        if problem:
            self._unsaved.add(widget.item.id)
        else:
            self._unsaved.discard(widget.item.id)
