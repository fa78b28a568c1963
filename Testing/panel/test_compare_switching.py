"""Flicker, checkerboard and fade: what changes in place, in time and by key."""

import numpy as np
import pytest

from Testing.panel.compare_case import (
    CENTRE,
    color_at,
    cut_at,
    press,
    show_result,
    shown_section,
    view,
    yellow_pixels,
)


@pytest.fixture
def case(host):
    with shown_section(host) as shown:
        shown.add_result()
        yield shown


@pytest.fixture
def compared(host, case):
    case.add_acquired()
    case.add_comparison()
    show_result(host, case)
    return case


def foreground(name="Red"):
    import slicer

    return slicer.mrmlScene.GetNodeByID(view(name).mrmlSliceCompositeNode().GetForegroundVolumeID())


def opacity(name="Red"):
    return view(name).mrmlSliceCompositeNode().GetForegroundOpacity()


def test_flicker_shows_synthetic_and_acquired_in_turn(host, compared):
    parameters = compared.parameters
    parameters.flickerRate = 3.0
    press(host, compared.section.ui.flickerCheckBox)
    assert parameters.flicker
    for _ in range(2):
        host.wait(lambda: foreground() == parameters.acquiredOnGrid)
        assert foreground("Yellow") == parameters.acquiredOnGrid
        host.wait(lambda: foreground() == parameters.synthetic)
    press(host, compared.section.ui.flickerCheckBox)
    assert foreground() == parameters.synthetic


def test_flicker_names_only_the_synthetic_map_synthetic(host, compared):
    parameters = compared.parameters
    parameters.flickerRate = 1.0
    press(host, compared.section.ui.flickerCheckBox)
    host.wait(lambda: foreground() == parameters.acquiredOnGrid)
    assert yellow_pixels(host, view("Red").sliceView()) == 0
    host.wait(lambda: foreground() == parameters.synthetic)
    assert yellow_pixels(host, view("Red").sliceView()) > 100


def test_flicker_changes_as_often_as_chosen(host, compared):
    flicker = compared.section._flicker
    press(host, compared.section.ui.flickerCheckBox)
    assert flicker._timer.interval == 500
    compared.section.ui.flickerRateSlider.value = 4.0
    assert compared.parameters.flickerRate == 4.0
    assert flicker._timer.interval == 250
    assert flicker.running


def test_without_an_acquired_map_flicker_shows_the_overlay_on_and_off(host, case):
    show_result(host, case)
    case.parameters.flickerRate = 10.0
    press(host, case.section.ui.flickerCheckBox)
    host.wait(lambda: opacity() == 0.0)
    host.wait(lambda: opacity() == pytest.approx(0.6))
    case.parameters.flicker = False
    assert opacity() == pytest.approx(0.6)
    assert foreground() == case.parameters.synthetic


def test_leaving_the_module_stops_flicker_with_the_synthetic_map(host, compared):
    parameters = compared.parameters
    parameters.flickerRate = 10.0
    parameters.flicker = True
    host.wait(lambda: foreground() == parameters.acquiredOnGrid)
    compared.section.exit()
    assert foreground() == parameters.synthetic
    assert not compared.section._flicker.running
    compared.section.enter()
    host.wait(lambda: foreground() == parameters.acquiredOnGrid)


def test_maps_beside_each_other_do_not_flicker(host, compared):
    ui = compared.section.ui
    press(host, ui.flickerCheckBox)
    press(host, ui.sideBySideButton)
    assert not compared.section._flicker.running
    assert not ui.flickerCheckBox.enabled
    assert "beside each other" in ui.flickerCheckBox.toolTip
    press(host, ui.overlayButton)
    assert compared.section._flicker.running


def test_checkerboard_shows_both_maps_in_one_view(host, compared):
    parameters = compared.parameters
    press(host, compared.section.ui.checkerboardCheckBox)
    assert foreground() == foreground("Green") == parameters.checkerboard
    squares = [CENTRE + offset for offset in ((-30.0, 30.0, 7.0), (-12.0, 30.0, 7.0))]
    cut_at(squares[0], "Red")
    board = [color_at(host, "Red", position) for position in squares]
    press(host, compared.section.ui.checkerboardCheckBox)
    assert foreground() == parameters.synthetic
    alone = [color_at(host, "Red", position) for position in squares]
    same = [np.allclose(a, b, atol=3) for a, b in zip(board, alone, strict=True)]
    assert sorted(same) == [False, True]


def test_a_new_checkerboard_is_shown_when_it_arrives(host, compared):
    import slicer

    press(host, compared.section.ui.checkerboardCheckBox)
    newer = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, compared.parameters.checkerboard, "finer")
    compared.parameters.checkerboard = newer
    assert foreground() == newer


def test_flicker_and_checkerboard_exclude_each_other(host, compared):
    press(host, compared.section.ui.flickerCheckBox)
    press(host, compared.section.ui.checkerboardCheckBox)
    assert not compared.parameters.flicker
    assert compared.parameters.checkerboardShown
    press(host, compared.section.ui.flickerCheckBox)
    assert compared.parameters.flicker
    assert not compared.parameters.checkerboardShown


def test_checkerboard_needs_an_acquired_map(host, case):
    show_result(host, case)
    box = case.section.ui.checkerboardCheckBox
    assert not box.enabled
    assert "acquired map" in box.toolTip


def test_fade_key_fades_every_overlay_out_and_in_again(host, compared):
    seen = []
    composite = view("Red").mrmlSliceCompositeNode()
    tag = composite.AddObserver("ModifiedEvent", lambda *_: seen.append(opacity()))
    host.key(host.window, "O")
    host.wait(lambda: opacity() == 0.0)
    assert opacity("Yellow") == 0.0
    assert any(0.05 < value < 0.55 for value in seen), "it fades and does not jump"
    assert compared.parameters.opacity == pytest.approx(0.6)
    host.key(host.window, "O")
    host.wait(lambda: opacity() == pytest.approx(0.6))
    composite.RemoveObserver(tag)


def test_opacity_slider_ends_a_fade(host, compared):
    host.key(host.window, "O")
    host.wait(lambda: opacity() == 0.0)
    compared.section.ui.opacitySlider.value = 0.8
    assert opacity() == pytest.approx(0.8)
    host.key(host.window, "O")
    host.wait(lambda: opacity() == 0.0)


def test_leaving_the_module_shows_what_was_faded_and_frees_the_key(host, compared):
    import qt

    host.key(host.window, "O")
    host.wait(lambda: opacity() == 0.0)
    assert [shortcut.key.toString() for shortcut in host.window.findChildren(qt.QShortcut)] == ["O"]
    compared.section.exit()
    assert opacity() == pytest.approx(0.6)
    assert host.window.findChildren(qt.QShortcut) == []


def test_slicers_own_key_still_switches_one_view(host, compared):
    host.key(view("Red").sliceView(), "T")
    assert opacity("Red") == 0.0
    assert opacity("Green") == pytest.approx(0.6)
