"""One question of a form as widgets: choices, a line from 0 to 100, a text."""

import html
from collections.abc import Callable, Sequence
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from HierSynthLib.reader_study.form import CONFIDENCE_RANGE, Item

SETTLE_MS = 400
"""An answer that is given by a drag or by typing counts as given after this rest."""

TEXT_SETTLE_MS = 1500
TEXT_HEIGHT = 64
ACROSS = 3
"""Up to so many choices stand beside each other."""

CURRENT_STYLE = "#itemFrame { border: none; border-left: 4px solid palette(highlight); }"
OTHER_STYLE = "#itemFrame { border: none; border-left: 4px solid transparent; }"

UNTOUCHED_STYLE = (
    "QSlider::groove:horizontal { height: 4px; background: palette(mid); }"
    "QSlider::handle:horizontal { width: 16px; margin: -6px 0; background: transparent; border: none; }"
)
"""A line whose handle cannot be seen: in the middle it would suggest an answer. 50 can be clicked all the same."""

OnItem = Callable[["ItemWidget"], None]


class ItemWidget:
    """What all questions have: the text, whether it is the present one, and what was wrong with the last answer.

    Args:
        item: the question.
        widget: of ReadingItem.ui.
        on_begin: called when the reader turns to this question.
        on_answer: called when the reader has answered.

    Attributes:
        item: the question.
        widget: what is put into the form.
        value: the answer that the form shows, None without one.
    """

    def __init__(self, item: Item, widget: Any, on_begin: OnItem, on_answer: OnItem) -> None:
        self.item = item
        self.value: Any = None
        self._on_begin, self._on_answer = on_begin, on_answer
        self._timer = qt.QTimer()
        self.widget = widget
        self._ui = slicer.util.childWidgetVariables(widget)
        star = "" if item.required else f" <i>({_('optional')})</i>"
        self._ui.questionLabel.text = f"<b>{html.escape(item.text)}</b>{star}"
        self.say("")
        self.set_current(False)

    def set_current(self, current: bool) -> None:
        """Show whether keys go to this question."""
        self._ui.itemFrame.styleSheet = CURRENT_STYLE if current else OTHER_STYLE

    def show_answer(self, value: Any) -> None:
        """Show an answer that is in the record; None for none."""
        self._timer.stop()
        self.value = value
        self._display(value)
        self.say("")

    def say(self, problem: str) -> None:
        """Say below the question why its answer is not in the record; "" when it is."""
        self._ui.answerProblem.text = problem
        self._ui.answerProblem.visible = bool(problem)

    def digit(self, number: int) -> None:
        """Answer with a key from 0 to 9."""

    def flush(self) -> None:
        """Count as given what the reader is still dragging or typing."""
        if self._timer.active:
            self._timer.stop()
            self._settled()

    def take_focus(self) -> None:
        """Keys go to this question now."""
        self.widget.setFocus()

    def close(self) -> None:
        """Leave no timer and no node behind."""
        self._timer.stop()

    def _display(self, value: Any) -> None:
        raise NotImplementedError

    def _settled(self, *_args: object) -> None:
        self._timer.stop()

    def _give(self, value: Any) -> None:
        self.value = value
        self._on_begin(self)
        self._on_answer(self)

    def _new_row(self, cls: Any) -> Any:
        """A layout between the question and what may be wrong with the answer."""
        row = cls()
        self._ui.itemFrame.layout().insertLayout(1, row)
        return row


class ChoiceWidget(ItemWidget):
    """Likert points, choices, or yes and no."""

    def __init__(self, item: Item, widget: Any, on_begin: OnItem, on_answer: OnItem) -> None:
        super().__init__(item, widget, on_begin, on_answer)
        options = [(True, _("Yes")), (False, _("No"))]
        if item.kind != "flag":
            options = [(option.value, option.label) for option in item.options]
        self._group = qt.QButtonGroup(widget)
        self._buttons = {}
        labels = [str(value) if item.kind == "likert" else label for value, label in options]
        for (value, _label), text in zip(options, labels, strict=True):
            button = qt.QRadioButton(text.replace("&", "&&"))
            button.focusPolicy = qt.Qt.NoFocus
            button.clicked.connect(lambda *_args, value=value: self._give(value))
            self._group.addButton(button)
            self._buttons[value] = button
        buttons = list(self._buttons.values())
        if item.kind == "likert":
            _anchor(self._new_row(qt.QGridLayout), buttons, [label for _value, label in options])
        else:
            _list(self._new_row(qt.QHBoxLayout if len(buttons) <= ACROSS else qt.QVBoxLayout), buttons)
        self._keys = _keys_of(item, [value for value, _label in options])

    def digit(self, number: int) -> None:
        """The value of a Likert item, the place of a choice; 1 is yes and 0 is no."""
        if number in self._keys:
            value = self._keys[number]
            self._buttons[value].checked = True
            self._give(value)

    def _display(self, value: Any) -> None:
        # Exclusive buttons cannot all be off.
        self._group.exclusive = False
        for each, button in self._buttons.items():
            button.checked = each == value
        self._group.exclusive = True


class ConfidenceWidget(ItemWidget):
    """A line from 0 to 100, without a value until the reader touches it."""

    def __init__(self, item: Item, widget: Any, on_begin: OnItem, on_answer: OnItem) -> None:
        super().__init__(item, widget, on_begin, on_answer)
        least, most = (int(end) for end in CONFIDENCE_RANGE)
        row = self._new_row(qt.QHBoxLayout)
        self._slider = qt.QSlider(qt.Qt.Horizontal)
        self._slider.objectName = "confidenceSlider"
        self._slider.focusPolicy = qt.Qt.NoFocus
        self._slider.minimum, self._slider.maximum = least, most
        self._slider.pageStep = 5
        self._number = qt.QLabel()
        self._number.minimumWidth = 32
        row.addWidget(self._slider)
        row.addWidget(self._number)
        self._timer.interval = SETTLE_MS
        self._timer.timeout.connect(self._settled)
        self._slider.valueChanged.connect(self._moved)
        self._slider.sliderReleased.connect(self._moved)
        self._display(None)

    def digit(self, number: int) -> None:
        """1 to 9 are 10 to 90, and 0, which is right of them on the keyboard, is 100."""
        self._slider.value = 10 * (number or 10)
        self._moved()
        self.flush()

    def _display(self, value: Any) -> None:
        blocked = self._slider.blockSignals(True)
        self._slider.value = 50 if value is None else round(value)
        self._slider.blockSignals(blocked)
        self._slider.styleSheet = UNTOUCHED_STYLE if value is None else ""
        self._number.text = "–" if value is None else f"{value:.0f}"

    def _moved(self, *_args: object) -> None:
        self._slider.styleSheet = ""
        self._number.text = str(self._slider.value)
        self._on_begin(self)
        self._timer.start()

    def _settled(self, *_args: object) -> None:
        self._timer.stop()
        if not self._slider.sliderDown:
            self._give(float(self._slider.value))


class TextWidget(ItemWidget):
    """A free text."""

    def __init__(self, item: Item, widget: Any, on_begin: OnItem, on_answer: OnItem) -> None:
        super().__init__(item, widget, on_begin, on_answer)
        self._edit = qt.QPlainTextEdit()
        self._edit.maximumHeight = TEXT_HEIGHT
        self._edit.tabChangesFocus = True
        self._timer.interval = TEXT_SETTLE_MS
        self._timer.timeout.connect(self._settled)
        self._edit.textChanged.connect(self._typed)
        self._new_row(qt.QVBoxLayout).addWidget(self._edit)

    def take_focus(self) -> None:
        """The reader can type."""
        self._edit.setFocus()

    def _display(self, value: Any) -> None:
        blocked = self._edit.blockSignals(True)
        self._edit.plainText = value or ""
        self._edit.blockSignals(blocked)

    def _typed(self, *_args: object) -> None:
        self._on_begin(self)
        self._timer.start()

    def _settled(self, *_args: object) -> None:
        self._timer.stop()
        self._give(self._edit.plainText)


def _keys_of(item: Item, values: Sequence[Any]) -> dict[int, Any]:
    """Digit → value."""
    if item.kind == "flag":
        return {1: True, 0: False}
    if item.kind == "likert":
        return {value: value for value in values}
    return dict(enumerate(values, start=1))


def _anchor(grid: Any, buttons: Sequence[Any], anchors: Sequence[str]) -> None:
    """Buttons beside each other, each with its anchor below."""
    grid.verticalSpacing = 0
    for column, (button, anchor) in enumerate(zip(buttons, anchors, strict=True)):
        label = qt.QLabel(anchor)
        label.wordWrap = True
        label.alignment = qt.Qt.AlignTop
        label.styleSheet = "font-size: 8pt;"
        grid.addWidget(button, 0, column)
        grid.addWidget(label, 1, column)
        grid.setColumnStretch(column, 1)
        button.toolTip = anchor


def _list(row: Any, buttons: Sequence[Any]) -> None:
    for button in buttons:
        row.addWidget(button)
    row.addStretch(1)
