"""A section with a title bar that opens and closes it.

Followed: Libs/Widgets/ctkCollapsibleButton.cpp of CTK.
"""

from __future__ import annotations

from PySide6.QtCore import Property, QChildEvent, QEvent, QObject, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QAbstractButton, QStyle, QStyleOption, QStyleOptionButton, QWidget

HIDDEN_BY_OWNER = "visibilityToParent"
"""Dynamic property of a child: False where the panel itself has hidden it."""


class ctkCollapsibleButton(QAbstractButton):
    """Checked means open; the contents are the children."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._forcing = False
        self._flat = False
        self._collapsed_height = 14
        self._open_maximum = self.maximumHeight()
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, self._bar_height(), 0, 0)
        self.setBackgroundRole(QPalette.ColorRole.Window)
        self.toggled.connect(self._on_toggled)

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, lambda self: self._collapsed, _set_collapsed, notify=contentsCollapsed)

    def _set_collapsed_height(self, height: int) -> None:
        self._collapsed_height = height
        self.updateGeometry()

    def _set_flat(self, flat: bool) -> None:
        self._flat = flat
        self.update()

    flat = Property(bool, lambda self: self._flat, _set_flat)
    collapsedHeight = Property(int, lambda self: self._collapsed_height, _set_collapsed_height)

    def sizeHint(self) -> QSize:
        """The bar, and below it the contents while open."""
        bar = QSize(self._bar_width(), self._bar_height() + self._collapsed_height)
        return bar if self._collapsed or self.layout() is None else super().sizeHint().expandedTo(bar)

    def minimumSizeHint(self) -> QSize:
        """As sizeHint(), with the contents as small as they may be."""
        if self._collapsed:
            return self.sizeHint()
        bar = QSize(self._bar_width(), self._bar_height())
        return bar if self.layout() is None else super().minimumSizeHint().expandedTo(bar)

    def hitButton(self, position: QPoint) -> bool:
        """Only the bar is a button."""
        return self._bar().contains(position)

    def setVisible(self, visible: bool) -> None:
        """Show or hide the section; a closed one keeps its contents hidden."""
        self._forcing = True
        super().setVisible(visible)
        self._forcing = False
        if visible:
            self._update_children()

    def childEvent(self, event: QChildEvent) -> None:
        """Watch each widget that is put into the section."""
        child = event.child()
        if event.type() == QEvent.Type.ChildAdded and isinstance(child, QWidget):
            if child.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide) and child.isHidden():
                child.setProperty(HIDDEN_BY_OWNER, False)
            child.installEventFilter(self)
            self._update_child(child)
        super().childEvent(event)

    def eventFilter(self, child: QObject, event: QEvent) -> bool:
        """Remember what the panel wants of a child; while closed it stays hidden all the same."""
        if not self._forcing and isinstance(child, QWidget):
            if event.type() == QEvent.Type.ShowToParent:
                child.setProperty(HIDDEN_BY_OWNER, True)
                self._update_child(child)
            elif event.type() == QEvent.Type.HideToParent:
                child.setProperty(HIDDEN_BY_OWNER, False)
        return super().eventFilter(child, event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the bar with arrow and title."""
        painter = QPainter(self)
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = self._bar()
        if self._flat:
            option.features |= QStyleOptionButton.ButtonFeature.Flat
        option.state |= QStyle.StateFlag.State_Sunken if self.isDown() else QStyle.StateFlag.State_Raised
        self.style().drawControl(QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        height = self._bar_height()
        size = self.style().pixelMetric(QStyle.PixelMetric.PM_IndicatorWidth, option, self)
        arrow = QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QRect((height - size) // 2, (height - size) // 2, size, size)
        right, down = QStyle.PrimitiveElement.PE_IndicatorArrowRight, QStyle.PrimitiveElement.PE_IndicatorArrowDown
        self.style().drawPrimitive(right if self._collapsed else down, arrow, painter, self)
        left = arrow.rect.right() + self.style().pixelMetric(QStyle.PixelMetric.PM_CheckBoxLabelSpacing, option, self)
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextShowMnemonic
        where = self._bar().adjusted(left, 0, 0, 0)
        self.style().drawItemText(
            painter, where, int(flags), self.palette(), self.isEnabled(), self.text(), QPalette.ColorRole.ButtonText
        )

    def _on_toggled(self, checked: bool) -> None:
        collapsed = not checked
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        if collapsed:
            self._open_maximum = self.maximumHeight()
            self.setMaximumHeight(self.sizeHint().height())
        else:
            self.setMaximumHeight(self._open_maximum)
        self._update_children()
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def _update_children(self) -> None:
        for child in self.children():
            if isinstance(child, QWidget):
                self._update_child(child)

    def _update_child(self, child: QWidget) -> None:
        # Before the section is shown for the first time Qt would show hidden children again.
        if not self.testAttribute(Qt.WidgetAttribute.WA_WState_Created):
            return
        hidden_by_owner = child.property(HIDDEN_BY_OWNER) is False
        visible = not self._collapsed and not hidden_by_owner
        self._forcing = True
        if child.testAttribute(Qt.WidgetAttribute.WA_WState_Created) or not visible:
            child.setVisible(visible)
        if not hidden_by_owner:
            child.setAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)
        self._forcing = False

    def _bar(self) -> QRect:
        return QRect(0, 0, self.width(), self._bar_height())

    def _bar_height(self) -> int:
        return self._bar_size().height()

    def _bar_width(self) -> int:
        return self._bar_size().width()

    def _bar_size(self) -> QSize:
        option = QStyleOptionButton()
        option.initFrom(self)
        indicator = self.style().pixelMetric(QStyle.PixelMetric.PM_IndicatorWidth, option, self)
        spacing = self.style().pixelMetric(QStyle.PixelMetric.PM_CheckBoxLabelSpacing, option, self)
        text = self.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, self.text() or "XXXX")
        contents = QSize(indicator + spacing + text.width(), max(indicator, text.height()))
        return self.style().sizeFromContents(QStyle.ContentsType.CT_PushButton, option, contents, self)
