"""Picture of a widget with everything that is waiting to be drawn."""

from __future__ import annotations

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from Testing.host.views.abstract_view import AbstractView


def grab(widget: QWidget) -> QImage:
    """What `widget` shows, in device pixels, as soon as its views have been drawn.

    Only views that asked for it are drawn: a change that forgets scheduleRender() stays invisible here, as in Slicer.
    """
    views = [widget] if isinstance(widget, AbstractView) else widget.findChildren(AbstractView)
    for view in views:
        if view.is_render_pending():
            view.requestRender()
    return widget.grab().toImage()
