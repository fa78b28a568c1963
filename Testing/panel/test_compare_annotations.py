"""The words SYNTHETIC and SIMULATED in the views, as pixels."""

import pytest

from Testing.panel.compare_case import press, settle, show_result, shown_section, view, yellow_pixels


@pytest.fixture
def case(host):
    with shown_section(host) as shown:
        yield shown


def words(host, name):
    return yellow_pixels(host, view(name).sliceView())


def text_in(widget):
    """All texts that the first renderer of a view draws at the top."""
    import vtk

    props = widget.renderWindow().GetRenderers().GetFirstRenderer().GetViewProps()
    actors = [props.GetItemAsObject(number) for number in range(props.GetNumberOfItems())]
    return [actor.GetInput() for actor in actors if isinstance(actor, vtk.vtkTextActor) and actor.GetInput()]


def test_words_are_in_every_view_with_a_synthetic_map(host, case):
    case.add_result()
    assert words(host, "Red") == 0
    show_result(host, case)
    for name in ("Red", "Green", "Yellow"):
        assert words(host, name) > 100
        assert text_in(view(name).sliceView()) == ["SYNTHETIC – research only"]


def test_simulated_patients_are_called_so(host, case):
    case.add_result(simulated=True)
    show_result(host, case)
    assert text_in(view("Red").sliceView()) == ["SYNTHETIC – research only\nSIMULATED"]


def test_acquired_maps_carry_no_such_words(host, case):
    case.add_result()
    case.add_acquired()
    case.add_comparison()
    show_result(host, case)
    press(host, case.section.ui.threeUpButton)
    assert words(host, "HierSynthSynthetic") > 100
    assert words(host, "HierSynthDifference") > 100
    assert words(host, "HierSynthAcquired") == 0


def test_words_go_with_the_map(host, case):
    case.add_result()
    show_result(host, case)
    composite = view("Red").mrmlSliceCompositeNode()
    composite.SetForegroundOpacity(0.0)
    assert words(host, "Red") == 0
    composite.SetForegroundOpacity(0.3)
    assert words(host, "Red") > 100
    composite.SetForegroundVolumeID(None)
    assert words(host, "Red") == 0
    composite.SetBackgroundVolumeID(case.parameters.synthetic.GetID())
    assert words(host, "Red") > 100


def test_words_stay_when_corner_texts_are_rewritten_and_another_module_is_open(host, case):
    case.add_result()
    show_result(host, case)
    case.section.exit()
    host.window.set_panel(None)
    for corner in range(4):
        view("Red").sliceView().cornerAnnotation().SetText(corner, "B: T1\nF: other")
    view("Red").sliceView().scheduleRender()
    assert words(host, "Red") > 100
    view("Green").mrmlSliceCompositeNode().SetForegroundVolumeID(None)
    assert words(host, "Green") == 0
    view("Red").sliceView().cornerAnnotation().ClearAllTexts()


def test_words_are_in_views_that_appear_later(host, case):
    import slicer

    case.add_result()
    show_result(host, case)
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourByTwoSliceView)
    settle(host)
    name = next(name for name in slicer.app.layoutManager().sliceViewNames() if name.startswith("Slice"))
    view(name).mrmlSliceCompositeNode().SetBackgroundVolumeID(case.parameters.synthetic.GetID())
    assert words(host, name) > 100


def test_words_are_in_3d_while_the_map_is_rendered_there(host, case):
    import slicer

    case.add_result()
    show_result(host, case)
    press(host, case.section.ui.volumeButton)
    manager = slicer.app.layoutManager()
    (shown,) = [view for view in three_d_views() if view.visible]
    assert text_in(shown) == ["SYNTHETIC – research only"]
    (rendering,) = slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode")
    rendering.SetVisibility(False)
    settle(host)
    assert text_in(shown) == []
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    settle(host)
    (other,) = [view for view in three_d_views() if view.visible]
    assert text_in(other) == []
    view("Red").mrmlSliceNode().SetSliceVisible(True)
    settle(host)
    assert text_in(other) == ["SYNTHETIC – research only"]


def three_d_views():
    import slicer

    manager = slicer.app.layoutManager()
    return [manager.threeDWidget(number).threeDView() for number in range(manager.threeDViewCount)]


def test_closing_the_scene_takes_the_words_away_and_the_next_result_brings_them_back(host, case):
    case.add_result()
    show_result(host, case)
    host.close_scene()
    case.section.set_parameters(case.parameters)
    assert words(host, "Red") == 0
    case.add_result()
    show_result(host, case)
    assert words(host, "Red") > 100
