"""Layouts of the compare section: which views, what lies in them, where they cut, and the way back."""

import shutil

import numpy as np
import pytest

from Testing.panel.compare_case import (
    CENTRE,
    away,
    cut_at,
    new_section,
    offset_of,
    press,
    scene_parameters,
    settle,
    show_result,
    shown_section,
    view,
)

COMPARED = ("HierSynthSynthetic", "HierSynthAcquired", "HierSynthDifference")
NORMALS = {"axial": (0, 0, 1), "coronal": (0, 1, 0), "sagittal": (1, 0, 0)}


@pytest.fixture
def case(host):
    with shown_section(host) as shown:
        shown.add_result()
        shown.add_acquired()
        shown.add_comparison()
        yield shown


def button_of(case, name):
    names = {"side-by-side": "sideBySide", "three-up": "threeUp"}
    return getattr(case.section.ui, f"{names.get(name, name)}Button")


def visible_views():
    import slicer

    manager = slicer.app.layoutManager()
    names = [name for name in manager.sliceViewNames() if manager.sliceWidget(name).visible]
    return set(names) | {"3-D" for n in range(manager.threeDViewCount) if manager.threeDWidget(n).visible}


def layers(name):
    composite = view(name).mrmlSliceCompositeNode()
    return composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()


def normal_of(name):
    matrix = view(name).mrmlSliceNode().GetSliceToRAS()
    return np.array([matrix.GetElement(row, 2) for row in range(3)])


def scroll(name, offset):
    """As Slicer does for the slider above the view and for the mouse wheel."""
    logic = view(name).sliceLogic()
    logic.StartSliceOffsetInteraction()
    logic.SetSliceOffset(offset)
    logic.EndSliceOffsetInteraction()


def load(bundle):
    """What Slicer does with a scene bundle after unpacking it."""
    import slicer

    shutil.unpack_archive(bundle, bundle.parent / "unpacked", "zip")
    (scene,) = (bundle.parent / "unpacked").rglob("*.mrml")
    slicer.mrmlScene.SetURL(str(scene))
    slicer.mrmlScene.SetRootDirectory(str(scene.parent))
    assert slicer.mrmlScene.Import()


@pytest.mark.parametrize(
    ("layout", "views"),
    [
        ("overlay", {"Red", "Green", "Yellow"}),
        ("side-by-side", set(COMPARED[:2])),
        ("three-up", set(COMPARED)),
        ("volume", {"Red", "Green", "Yellow", "3-D"}),
    ],
)
def test_layout_has_its_views(host, case, layout, views):
    show_result(host, case)
    press(host, button_of(case, layout))
    assert visible_views() == views
    assert case.parameters.layout == layout
    checked = {name for name in ("overlay", "side-by-side", "three-up", "volume") if button_of(case, name).checked}
    assert checked == {layout}


def test_three_up_shows_synthetic_acquired_difference_on_the_same_anatomy(host, case):
    show_result(host, case)
    press(host, button_of(case, "three-up"))
    maps = (case.parameters.synthetic, case.parameters.acquiredOnGrid, case.parameters.difference)
    for name, node in zip(COMPARED, maps, strict=True):
        assert layers(name) == (case.parameters.reference.GetID(), node.GetID())
        assert view(name).mrmlSliceNode().GetLayoutLabel() == name.removeprefix("HierSynth").upper()


def test_difference_appears_in_its_view_when_it_arrives(host):
    with shown_section(host) as case:
        case.add_result()
        case.add_acquired()
        show_result(host, case)
        press(host, button_of(case, "three-up"))
        assert layers("HierSynthDifference")[1] is None
        assert layers("HierSynthAcquired")[1] == case.parameters.acquired.GetID()
        case.add_comparison()
        settle(host)
        assert layers("HierSynthDifference")[1] == case.parameters.difference.GetID()
        assert layers("HierSynthAcquired")[1] == case.parameters.acquiredOnGrid.GetID()


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("layout", ["side-by-side", "three-up"])
def test_compared_views_show_the_chosen_plane(host, case, layout, plane):
    show_result(host, case)
    press(host, button_of(case, layout))
    press(host, button_of(case, plane))
    for name in COMPARED[: 2 if layout == "side-by-side" else 3]:
        assert np.abs(normal_of(name)) == pytest.approx(NORMALS[plane])


@pytest.mark.parametrize(("plane", "large"), [("axial", "Red"), ("coronal", "Green"), ("sagittal", "Yellow")])
def test_overlay_shows_the_chosen_plane_large(host, case, plane, large):
    show_result(host, case)
    press(host, button_of(case, plane))
    widths = {name: view(name).width for name in ("Red", "Green", "Yellow")}
    assert max(widths, key=widths.get) == large
    assert visible_views() == {"Red", "Green", "Yellow"}


@pytest.mark.parametrize("degrees", [0.0, 30.0], ids=["straight", "oblique"])
@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_scrolling_one_compared_view_moves_the_others_to_the_same_place(host, degrees, plane):
    import slicer

    with shown_section(host) as case:
        case.add_result(degrees)
        case.add_acquired(-degrees)
        show_result(host, case)
        press(host, button_of(case, "side-by-side"))
        press(host, button_of(case, plane))
        case.section.ui.alignCheckBox.checked = bool(degrees)
        settle(host)
        red = offset_of("Red")
        scroll("HierSynthAcquired", offset_of("HierSynthAcquired") + 12.5)
        settle(host)
        matrices = [view(name).mrmlSliceNode().GetSliceToRAS() for name in COMPARED[:2]]
        first, second = (slicer.util.arrayFromVTKMatrix(matrix) for matrix in matrices)
        assert np.abs(first - second).max() < 1e-6
        assert offset_of("Red") == red, "views of other layouts stay where they are"


def test_zooming_one_compared_view_zooms_the_others(host, case):
    show_result(host, case)
    press(host, button_of(case, "side-by-side"))
    logic, node = view(COMPARED[0]).sliceLogic(), view(COMPARED[0]).mrmlSliceNode()
    logic.StartSliceNodeInteraction(node.FieldOfViewFlag)
    node.SetFieldOfView(40.0, 40.0 * node.GetFieldOfView()[1] / node.GetFieldOfView()[0], node.GetFieldOfView()[2])
    logic.EndSliceNodeInteraction()
    assert view(COMPARED[1]).mrmlSliceNode().GetFieldOfView()[0] == pytest.approx(40.0)


def test_choosing_a_volume_in_one_compared_view_leaves_the_others(host, case):
    show_result(host, case)
    press(host, button_of(case, "side-by-side"))
    logic, composite = view(COMPARED[0]).sliceLogic(), view(COMPARED[0]).mrmlSliceCompositeNode()
    before = layers(COMPARED[1])
    logic.StartSliceCompositeNodeInteraction(composite.ForegroundVolumeFlag)
    composite.SetForegroundVolumeID(case.parameters.uncertainty.GetID())
    logic.EndSliceCompositeNodeInteraction()
    assert layers(COMPARED[1]) == before


def test_volumes_that_the_user_loads_later_do_not_replace_the_compared_maps(host, case):
    import slicer

    show_result(host, case)
    press(host, button_of(case, "side-by-side"))
    before = [layers(name) for name in COMPARED[:2]]
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetActiveVolumeID(case.parameters.uncertainty.GetID())
    slicer.app.applicationLogic().PropagateVolumeSelection()
    assert [layers(name) for name in COMPARED[:2]] == before


def test_the_slice_is_kept_from_layout_to_layout(host, case):
    show_result(host, case)
    cut_at(away(0, 0, 31.0), "Red")
    green = offset_of("Green")
    press(host, button_of(case, "three-up"))
    assert offset_of("HierSynthSynthetic") == pytest.approx(CENTRE[2] + 31.0)
    scroll("HierSynthDifference", CENTRE[2] - 17.0)
    press(host, button_of(case, "overlay"))
    assert offset_of("Red") == pytest.approx(CENTRE[2] - 17.0)
    assert offset_of("Green") == pytest.approx(green)


def test_a_view_that_joins_shows_the_same_slice_as_those_beside_it(host, case):
    show_result(host, case)
    press(host, button_of(case, "side-by-side"))
    scroll("HierSynthAcquired", CENTRE[2] + 22.0)
    press(host, button_of(case, "three-up"))
    assert [offset_of(name) for name in COMPARED] == pytest.approx([CENTRE[2] + 22.0] * 3)


def test_where_the_user_goes_right_after_a_change_of_layout_counts(host, case):
    show_result(host, case)
    host.click(button_of(case, "three-up"))
    cut_at(away(0.0, 0.0, 13.0), *COMPARED)
    settle(host)
    assert [offset_of(name) for name in COMPARED] == pytest.approx([CENTRE[2] + 13.0] * 3)


def test_whole_anatomy_is_visible_in_every_view(host, case):
    show_result(host, case)
    for layout in ("overlay", "side-by-side", "three-up", "volume", "side-by-side"):
        press(host, button_of(case, layout))
        for name in visible_views() - {"3-D"}:
            width, height = view(name).mrmlSliceNode().GetFieldOfView()[:2]
            assert width >= 159.0
            assert height >= 159.0


@pytest.mark.parametrize("name", ["Red", "HierSynthSynthetic"])
def test_views_follow_the_planes_of_the_reference(host, name):
    with shown_section(host) as case:
        case.add_result(degrees=30.0)
        case.add_acquired()
        show_result(host, case)
        press(host, button_of(case, "side-by-side" if name.startswith("Hier") else "overlay"))
        assert np.abs(normal_of(name)) == pytest.approx((0, 0, 1))
        press(host, case.section.ui.alignCheckBox)
        assert case.parameters.alignToReference
        import vtk

        axes = vtk.vtkMatrix4x4()
        case.parameters.reference.GetIJKToRASMatrix(axes)
        scan = np.array([axes.GetElement(row, 2) for row in range(3)]) / 2.5
        assert abs(normal_of(name) @ scan) == pytest.approx(1.0, abs=1e-6)
        press(host, case.section.ui.alignCheckBox)
        assert np.abs(normal_of(name)) == pytest.approx((0, 0, 1))


def test_back_to_the_layout_of_the_user(host, case):
    import slicer

    manager = slicer.app.layoutManager()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    show_result(host, case)
    press(host, button_of(case, "three-up"))
    press(host, case.section.ui.backButton)
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    assert not case.section.ui.backButton.enabled
    assert not button_of(case, "three-up").checked


def test_a_new_result_respects_that_the_user_went_back(host, case):
    import slicer

    manager = slicer.app.layoutManager()
    show_result(host, case)
    press(host, case.section.ui.backButton)
    mine = manager.layout
    case.add_result()
    show_result(host, case)
    assert manager.layout == mine
    assert layers("Red")[1] == case.parameters.synthetic.GetID()
    press(host, button_of(case, "overlay"))
    assert manager.layout != mine


def test_leaving_the_module_changes_neither_layout_nor_layers(host, case):
    import slicer

    show_result(host, case)
    press(host, button_of(case, "three-up"))
    layout, before = slicer.app.layoutManager().layout, [layers(name) for name in COMPARED]
    case.section.exit()
    settle(host)
    assert slicer.app.layoutManager().layout == layout
    assert [layers(name) for name in COMPARED] == before


def test_opening_the_module_changes_no_layout(host):
    import slicer

    before = slicer.app.layoutManager().layout
    with shown_section(host):
        assert slicer.app.layoutManager().layout == before


def test_comparing_needs_an_acquired_map_and_says_so(host):
    with shown_section(host) as case:
        buttons = (button_of(case, "side-by-side"), button_of(case, "three-up"))
        assert not any(button.enabled for button in (*buttons, button_of(case, "overlay")))
        assert "no synthetic map" in button_of(case, "overlay").toolTip
        case.add_result()
        assert button_of(case, "overlay").enabled
        assert all(not button.enabled and "acquired map" in button.toolTip.split("\n")[-1] for button in buttons)
        case.add_acquired()
        assert all(button.enabled and "\n" not in button.toolTip for button in buttons)


def test_volume_is_a_maximum_projection_with_the_window_of_the_slices(host, case):
    import slicer

    show_result(host, case)
    assert not slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode"), "only when it is wanted"
    press(host, button_of(case, "volume"))
    (rendering,) = slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode")
    node = slicer.mrmlScene.GetSingletonNode("HierSynthVolume", "vtkMRMLViewNode")
    assert rendering.GetVolumeNode() == case.parameters.synthetic
    assert rendering.GetVisibility()
    assert list(rendering.GetViewNodeIDs()) == [node.GetID()]
    assert node.GetRaycastTechnique() == node.MaximumIntensityProjection
    color = rendering.GetVolumePropertyNode().GetColor()
    case.section.ui.windowHighSpinBox.value = 4.0
    case.section.ui.thresholdSlider.value = 2.0
    assert color.GetColor(4.0) == pytest.approx(color.GetColor(8.0), abs=0.02), "above the window nothing changes"
    assert rendering.GetVolumePropertyNode().GetScalarOpacity().GetValue(1.9) == pytest.approx(0.0, abs=1e-3)
    assert rendering.GetVolumePropertyNode().GetScalarOpacity().GetValue(7.0) > 0.5
    press(host, button_of(case, "overlay"))
    assert not rendering.GetVisibility()


def test_scene_saved_in_a_layout_shows_it_again(host, case, tmp_path):
    import slicer

    show_result(host, case)
    press(host, button_of(case, "side-by-side"))
    press(host, button_of(case, "coronal"))
    scroll("HierSynthSynthetic", 3.25)
    case.section.ui.opacitySlider.value = 0.35
    case.section.ui.windowHighSpinBox.value = 7.0
    settle(host)
    layout = slicer.app.layoutManager().layout
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "saved.mrb"))
    host.close_scene()
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    settle(host)
    load(tmp_path / "saved.mrb")
    again = scene_parameters()
    case.section.set_parameters(again)
    settle(host)
    assert slicer.app.layoutManager().layout == layout
    assert visible_views() == set(COMPARED[:2])
    assert again.orientation == "coronal"
    assert case.section.ui.coronalButton.checked
    assert layers("HierSynthSynthetic") == (again.reference.GetID(), again.synthetic.GetID())
    assert layers("HierSynthAcquired")[1] == again.acquiredOnGrid.GetID()
    assert offset_of("HierSynthSynthetic") == pytest.approx(3.25)
    assert view("HierSynthSynthetic").mrmlSliceCompositeNode().GetForegroundOpacity() == pytest.approx(0.35)
    assert again.synthetic.GetScalarVolumeDisplayNode().GetWindow() == pytest.approx(7.0)
    assert case.section.ui.windowHighSpinBox.value == 7.0
    tables = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode")]
    assert tables.count("HierSynth-CBV-Inferno") == 1
    legends = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert len({legend.GetTitleText() for legend in legends}) == len(legends) - 1, "only CBV ACQUIRED is there twice"
    scroll("HierSynthAcquired", 9.5)
    assert offset_of("HierSynthSynthetic") == pytest.approx(9.5), "still linked"
    press(host, button_of(case, "three-up"))
    scroll("HierSynthDifference", -2.5)
    assert [offset_of(name) for name in COMPARED] == pytest.approx([-2.5] * 3), "with a view that was not there before"


def test_scene_in_a_layout_that_slicer_did_not_know_yet_shows_it_when_the_module_opens(host):
    import slicer

    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    for number in range(48201, 48207):
        if node.IsLayoutDescription(number):
            node.SetLayoutDescription(number, "")
    node.SetViewArrangement(48205)
    settle(host)
    assert not visible_views() & set(COMPARED)
    section = new_section().section
    settle(host)
    assert visible_views() == set(COMPARED)
    section.cleanup()
