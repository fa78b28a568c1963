"""What the compare section leaves behind: nothing."""

import gc
import weakref

from Testing.panel.compare_case import new_section, press, settle, show_result, shown_section, view


def observed(host):
    """How many observers the objects have that the section may observe."""
    import slicer

    layout = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    crosshair = slicer.mrmlScene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return [host.observer_count(subject) for subject in (slicer.mrmlScene, layout, crosshair, *composites)]


def renderers():
    import slicer

    names = slicer.app.layoutManager().sliceViewNames()
    return [view(name).sliceView().renderWindow().GetRenderers().GetFirstRenderer() for name in names]


def test_no_observer_text_and_shortcut_is_left(host):
    import qt

    with shown_section(host) as case:
        case.add_result()
        case.add_acquired()
        case.add_comparison()
        show_result(host, case)
        press(host, case.section.ui.threeUpButton)
        press(host, case.section.ui.overlayButton)
    settle(host)
    before = observed(host)
    props = [renderer.GetViewProps().GetNumberOfItems() for renderer in renderers()]
    shortcuts = len(host.window.findChildren(qt.QShortcut))
    parameters = case.parameters
    watched = host.observer_count(parameters.parameterNode)
    again = new_section(parameters).section
    again.enter()
    settle(host)
    assert observed(host) != before
    assert [renderer.GetViewProps().GetNumberOfItems() for renderer in renderers()] != props
    assert host.observer_count(parameters.parameterNode) > watched
    again.cleanup()
    settle(host)
    assert observed(host) == before
    assert [renderer.GetViewProps().GetNumberOfItems() for renderer in renderers()] == props
    assert host.observer_count(parameters.parameterNode) == watched
    host.reset()
    assert len(host.window.findChildren(qt.QShortcut)) == shortcuts


def test_section_is_freed_after_cleanup(host):
    section = new_section().section
    section.enter()
    settle(host)
    section.cleanup()
    freed = weakref.ref(section)
    section.widget.deleteLater()
    del section
    host.reset()
    gc.collect()
    assert freed() is None


def test_scene_can_be_closed_in_every_layout(host):
    with shown_section(host) as case:
        for name in ("overlay", "sideBySide", "threeUp", "volume"):
            case.add_result()
            case.add_acquired()
            case.add_comparison()
            show_result(host, case)
            press(host, getattr(case.section.ui, f"{name}Button"))
            case.parameters.flickerRate = 10.0
            case.parameters.flicker = True
            host.close_scene()
            case.section.set_parameters(case.parameters)
            settle(host)
            assert not case.section.ui.overlayButton.enabled


def test_repeated_results_leave_no_more_nodes_than_one(host):
    import slicer

    with shown_section(host) as case:

        def census():
            case.add_result()
            case.add_acquired()
            case.add_comparison()
            show_result(host, case)
            for name in ("threeUp", "volume", "overlay"):
                press(host, getattr(case.section.ui, f"{name}Button"))
            counted = host.scene_census()
            host.close_scene()
            case.section.set_parameters(case.parameters)
            settle(host)
            return counted

        first = census()
        assert census() == first
        assert not slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")


def test_sections_made_again_and_again_add_no_node(host):
    with shown_section(host) as case:
        case.add_result()
        show_result(host, case)
    before = host.scene_census()
    for _ in range(3):
        section = new_section(case.parameters).section
        section.enter()
        settle(host)
        section.cleanup()
    assert host.scene_census() == before
