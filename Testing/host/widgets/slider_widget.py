"""A slider for decimal numbers with a spin box beside it.

Followed: Libs/Widgets/ctkSliderWidget.cpp, ctkDoubleSlider.cpp and ctkDoubleSpinBox.cpp of CTK.
"""

from __future__ import annotations

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSlider, QWidget

STEPS = 100_000
"""Positions of the underlying slider: more than pixels on any screen."""


class ctkDoubleSpinBox(QDoubleSpinBox):
    """A spin box for decimal numbers."""


class ctkSliderWidget(QWidget):
    """Slider and spin box that hold the same value, rounded to `decimals`.

    Without tracking, `valueChanged` is emitted when the slider is released and `valueIsChanging` meanwhile.
    """

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tracking = True
        self._before: float | None = None
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(0, STEPS)
        self._spin_box = ctkDoubleSpinBox()
        self._spin_box.setRange(0, 100)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin_box)
        self._spin_box.valueChanged.connect(self._on_spin_box)
        self._slider.valueChanged.connect(self._on_slider)
        self._slider.sliderPressed.connect(self._start)
        self._slider.sliderReleased.connect(self._stop)
        self._place_slider()

    def slider(self) -> QSlider:
        """The slider."""
        return self._slider

    def spinBox(self) -> ctkDoubleSpinBox:
        """The spin box."""
        return self._spin_box

    def setRange(self, minimum: float, maximum: float) -> None:
        """Set both ends; the value is clipped to them."""
        self._spin_box.setRange(minimum, maximum)
        self._place_slider()

    def setValue(self, value: float) -> None:
        """Set the value, rounded and clipped; emits valueChanged where it differs."""
        before, self._before = self._before, None
        self._spin_box.setValue(value)
        self._before = before

    def _set_minimum(self, minimum: float) -> None:
        self._spin_box.setMinimum(minimum)
        self._place_slider()

    def _set_maximum(self, maximum: float) -> None:
        self._spin_box.setMaximum(maximum)
        self._place_slider()

    def _set_decimals(self, decimals: int) -> None:
        self._spin_box.setDecimals(decimals)
        self._place_slider()

    def _set_single_step(self, step: float) -> None:
        self._spin_box.setSingleStep(step)
        self._place_slider()

    def _set_page_step(self, step: float) -> None:
        self._page_step = step
        self._place_slider()

    def _set_tracking(self, tracking: bool) -> None:
        self._tracking = tracking

    def _value(self) -> float:
        return self._spin_box.value() if self._before is None else self._before

    value = Property(float, _value, setValue)
    minimum = Property(float, lambda self: self._spin_box.minimum(), _set_minimum)
    maximum = Property(float, lambda self: self._spin_box.maximum(), _set_maximum)
    decimals = Property(int, lambda self: self._spin_box.decimals(), _set_decimals)
    singleStep = Property(float, lambda self: self._spin_box.singleStep(), _set_single_step)
    pageStep = Property(float, lambda self: self._page_step, _set_page_step)
    prefix = Property(str, lambda self: self._spin_box.prefix(), lambda self, text: self._spin_box.setPrefix(text))
    suffix = Property(str, lambda self: self._spin_box.suffix(), lambda self, text: self._spin_box.setSuffix(text))
    tracking = Property(bool, lambda self: self._tracking, _set_tracking)

    _page_step = 10.0

    def _start(self) -> None:
        if not self._tracking:
            self._before = self._spin_box.value()

    def _stop(self) -> None:
        before, self._before = self._before, None
        if before is not None and before != self._spin_box.value():
            self.valueChanged.emit(self._spin_box.value())

    def _on_slider(self, position: int) -> None:
        self._spin_box.setValue(self._spin_box.minimum() + position / STEPS * self._extent())

    def _on_spin_box(self, value: float) -> None:
        self._place_slider()
        if not self._tracking:
            self.valueIsChanging.emit(value)
        if self._before is None:
            self.valueChanged.emit(value)

    def _place_slider(self) -> None:
        extent = self._extent()
        if extent <= 0:
            return
        self._slider.blockSignals(True)
        self._slider.setSingleStep(max(1, round(self._spin_box.singleStep() / extent * STEPS)))
        self._slider.setPageStep(max(1, round(self._page_step / extent * STEPS)))
        if not self._slider.isSliderDown():
            self._slider.setValue(round((self._spin_box.value() - self._spin_box.minimum()) / extent * STEPS))
        self._slider.blockSignals(False)

    def _extent(self) -> float:
        return self._spin_box.maximum() - self._spin_box.minimum()
