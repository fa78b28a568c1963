"""A VTK render window drawn off screen and shown in a widget.

Followed: ctkVTKAbstractView.cpp of CTK. CTK shows the window with OpenGL; here its pixels are copied into a QImage,
which also works on a machine without a display.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QWidget
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkCommand, vtkUnsignedCharArray
from vtkmodules.vtkRenderingAnnotation import vtkCornerAnnotation
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor

from Testing.host.observers import Observers
from Testing.host.views.interactor_events import InteractorEvents
from Testing.host.views.scheduler import RenderScheduler

CORNER_TEXT_HEIGHT = 0.07
FORWARDED = {
    QEvent.Type.MouseMove,
    QEvent.Type.MouseButtonPress,
    QEvent.Type.MouseButtonRelease,
    QEvent.Type.MouseButtonDblClick,
    QEvent.Type.Wheel,
    QEvent.Type.KeyPress,
    QEvent.Type.KeyRelease,
    QEvent.Type.Enter,
    QEvent.Type.Leave,
}


def new_render_window() -> vtkRenderWindow:
    """A render window that needs no display: EGL where VTK has it (Linux), else the platform's own kept off screen."""
    try:
        from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow
    except ImportError:
        window = vtkRenderWindow()
    else:
        window = vtkEGLRenderWindow()
    window.ShowWindowOff()
    window.SetOffScreenRendering(1)
    # Smoothing edges costs three quarters of the time of a frame that is drawn in software.
    window.SetMultiSamples(0)
    return window


class AbstractView(QWidget):
    """Draws one render window when asked to, at most at the scheduler's rate, and hands it mouse and keys."""

    def __init__(self, scheduler: RenderScheduler, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scheduler = scheduler
        self._observers = Observers()
        self._render_enabled = True
        self._pause_count = 0
        self._postponed = False
        self._image: QImage | None = None
        self._pixels = vtkUnsignedCharArray()
        self._renderer = vtkRenderer()
        self._window = new_render_window()
        self._window.AddRenderer(self._renderer)
        self._corner_annotation = new_corner_annotation()
        self._renderer.AddViewProp(self._corner_annotation)
        self._interactor = vtkGenericRenderWindowInteractor()
        self._window.SetInteractor(self._interactor)
        # Only scheduleRender() and forceRender() draw, so that the rate is kept.
        self._interactor.EnableRenderOff()
        self._interactor.Initialize()
        self._observers.add(self._interactor, vtkCommand.RenderEvent, self.scheduleRender)
        self._events = InteractorEvents(self, self._interactor)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def renderWindow(self) -> vtkRenderWindow:
        """The VTK render window."""
        return self._window

    def interactor(self) -> vtkGenericRenderWindowInteractor:
        """The interactor that receives the widget's mouse and key events."""
        return self._interactor

    def interactorStyle(self):
        """The interactor's style."""
        return self._interactor.GetInteractorStyle()

    def firstRenderer(self) -> vtkRenderer:
        """The renderer of the bottom layer."""
        return self._renderer

    def cornerAnnotation(self) -> vtkCornerAnnotation:
        """The texts in the four corners; call scheduleRender() after a change."""
        return self._corner_annotation

    def setBackgroundColor(self, color: QColor) -> None:
        """Sets the colour behind everything."""
        for renderer in self._window.GetRenderers():
            renderer.SetBackground(color.redF(), color.greenF(), color.blueF())

    def setRenderEnabled(self, enabled: bool) -> None:
        """While disabled, requests to draw are ignored; the view is drawn once when it is enabled again."""
        self._render_enabled = bool(enabled)
        if enabled:
            self.scheduleRender()

    def scheduleRender(self, *_) -> None:
        """Asks for the view to be drawn soon; several requests lead to one drawing."""
        if self._render_enabled and self.isVisible():
            self._scheduler.request(self)

    def requestRender(self) -> None:
        """Draws now unless drawing is paused; then it is drawn when it resumes."""
        if self._pause_count > 0:
            self._postponed = True
            return
        self.forceRender()

    def is_render_pending(self) -> bool:
        """Whether the view asked to be drawn and was not drawn yet."""
        return self._scheduler.is_waiting(self)

    def forceRender(self) -> None:
        """Draws now, if the view is visible."""
        self._scheduler.forget(self)
        if not self._render_enabled or not self.isVisible():
            return
        self._window.Render()
        self._image = self._read_pixels()
        self.update()

    def pauseRender(self) -> int:
        """Drawing waits until resumeRender() was called as often; returns the number of pauses."""
        self._pause_count += 1
        return self._pause_count

    def resumeRender(self) -> int:
        """Ends one pause; returns the number of pauses that are left."""
        self._pause_count = max(self._pause_count - 1, 0)
        if self._pause_count == 0 and self._postponed:
            self._postponed = False
            self.scheduleRender()
        return self._pause_count

    def isRenderPaused(self) -> bool:
        """Whether drawing waits for resumeRender()."""
        return self._pause_count > 0

    def setRenderPaused(self, paused: bool) -> int:
        """Pauses or resumes; returns the number of pauses."""
        return self.pauseRender() if paused else self.resumeRender()

    def finalize(self) -> None:
        """Frees the OpenGL context and every observer; the view cannot be drawn afterwards."""
        self._scheduler.forget(self)
        self._render_enabled = False
        self._observers.clear()
        self._interactor.SetInteractorStyle(None)
        self._window.SetInteractor(None)
        self._window.Finalize()
        for renderer in list(self._window.GetRenderers()):
            renderer.RemoveAllViewProps()
            self._window.RemoveRenderer(renderer)

    def _read_pixels(self) -> QImage:
        """Copy of the drawn frame; VTK's first row is the lowest."""
        width, height = self._window.GetSize()
        self._window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, self._pixels)
        rows = vtk_to_numpy(self._pixels).reshape(height, width, 4)[::-1]
        rows = np.ascontiguousarray(rows)
        image = QImage(rows.data, width, height, 4 * width, QImage.Format.Format_RGBX8888).copy()
        image.setDevicePixelRatio(self.devicePixelRatioF())
        return image

    def minimumSizeHint(self) -> QSize:
        """As CTK."""
        return QSize(50, 50)

    def sizeHint(self) -> QSize:
        """As CTK: the size of a new render window."""
        return QSize(300, 300)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Shows the last frame."""
        painter = QPainter(self)
        if self._image is None:
            painter.fillRect(self.rect(), Qt.GlobalColor.black)
        else:
            painter.drawImage(self.rect(), self._image)
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Gives the render window the widget's size in device pixels."""
        super().resizeEvent(event)
        scale = self.devicePixelRatioF()
        width, height = max(round(self.width() * scale), 1), max(round(self.height() * scale), 1)
        self._window.SetSize(width, height)
        self._interactor.UpdateSize(width, height)
        self._interactor.ConfigureEvent()
        self.scheduleRender()

    def showEvent(self, event: QShowEvent) -> None:
        """Draws a view that was hidden when it was last asked to."""
        super().showEvent(event)
        self.scheduleRender()

    def event(self, event: QEvent) -> bool:
        """Forwards mouse and key events to the interactor."""
        if event.type() in FORWARDED and self.isEnabled() and self._events.handle(event):
            event.accept()
            return True
        return super().event(event)


def new_corner_annotation() -> vtkCornerAnnotation:
    """Empty corner texts in CTK's style."""
    annotation = vtkCornerAnnotation()
    annotation.SetMaximumLineHeight(CORNER_TEXT_HEIGHT)
    annotation.GetTextProperty().ShadowOn()
    annotation.ClearAllTexts()
    return annotation
