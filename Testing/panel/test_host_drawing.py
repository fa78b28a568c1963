"""When the views of the stand-in host are drawn."""

import numpy as np

from Testing.panel.view_steps import add_volume, count_drawings, settle, show, show_pair


def test_many_requests_lead_to_one_drawing(host, layout_manager, red):
    drawn = []
    count_drawings([red], drawn)
    for _ in range(50):
        red.sliceView().scheduleRender()
    settle(host)
    assert drawn == ["Red"]


def test_only_one_view_is_drawn_per_turn_of_the_event_loop(host, layout_manager):
    from PySide6.QtCore import QTimer

    drawn, turns = [], []
    widgets = [widget for widget in layout_manager.viewWidgets() if widget.visible]
    count_drawings(widgets, drawn)
    timer = QTimer()
    timer.timeout.connect(lambda: turns.append(len(drawn)))
    timer.start(0)
    for widget in widgets:
        widget.viewWidget().scheduleRender()
    settle(host)
    host.wait(lambda: turns and turns[-1] == len(drawn))
    timer.stop()
    assert sorted(drawn) == ["Green", "Red", "View1", "Yellow"]
    assert max(np.diff(turns)) == 1


def test_hidden_views_are_drawn_when_they_appear(host, layout_manager):
    import slicer

    drawn = []
    green = layout_manager.sliceWidget("Green")
    layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    settle(host)
    count_drawings([green], drawn)
    show(green, add_volume("volume", np.full((40, 40, 40), 120, np.float32)))
    settle(host)
    green.sliceView().forceRender()
    assert drawn == []
    layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    settle(host)
    assert set(drawn) == {"Green"}


def test_paused_views_are_drawn_once_when_they_resume(host, layout_manager, red):
    drawn = []
    count_drawings([red], drawn)
    layout_manager.pauseRender()
    layout_manager.pauseRender()
    red.sliceView().scheduleRender()
    settle(host)
    layout_manager.resumeRender()
    settle(host)
    assert drawn == []
    layout_manager.resumeRender()
    settle(host)
    assert drawn == ["Red"]
    assert layout_manager.allViewsPauseRenderCount() == 0


def test_application_logic_pauses_the_views(host, layout_manager):
    import slicer

    slicer.app.applicationLogic().PauseRender()
    assert layout_manager.allViewsPauseRenderCount() == 1
    assert layout_manager.sliceWidget("Red").sliceView().isRenderPaused()
    first, second = show_pair(host, layout_manager, "Fifth", "Sixth")
    assert first.sliceView().isRenderPaused()
    slicer.app.applicationLogic().ResumeRender()
    assert not layout_manager.sliceWidget("Red").sliceView().isRenderPaused()
    assert not second.sliceView().isRenderPaused()
