"""The stand-in's parameterNodeWrapper: values, their form in the scene, and the widgets that show them."""

import gc
import re

import pytest

from Testing.panel.host_demo import add_volume, load_scene, open_demo, save_scene


@pytest.fixture
def demo(host):
    return open_demo(host)


def test_parameters_have_their_defaults(demo):
    parameters = demo.parameters
    assert (parameters.title, parameters.level, parameters.opacity) == ("first", "high", 0.6)
    assert (parameters.size, parameters.count, parameters.shown) == (20.0, 3, True)
    assert parameters.volume is None
    assert parameters.doubled() == 6


def test_values_are_kept_in_slicers_form(demo):
    volume = add_volume("volume")
    demo.parameters.opacity = 0.25
    demo.parameters.shown = False
    demo.parameters.volume = volume
    node = demo.parameters.parameterNode
    assert [node.GetParameter(name) for name in ("opacity", "shown", "count", "volume")] == ["0.25", "False", "3", ""]
    assert node.GetNodeReferenceID("volume") == volume.GetID()
    assert node.HasParameter("hidden")
    assert node.GetAttribute("ModuleName") == "HostDemo"
    assert node.GetSingletonTag() == "HostDemo"
    node.SetParameter("count", "11")
    assert demo.parameters.count == 11


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("opacity", 1.5, ValueError),
        ("size", 2.0, ValueError),
        ("level", "middle", ValueError),
        ("count", None, ValueError),
        ("count", 2.5, TypeError),
        ("title", 7, TypeError),
        ("shown", 1, TypeError),
        ("volume", "a name", TypeError),
    ],
)
def test_wrong_values_are_refused_and_change_nothing(demo, name, value, error):
    before = getattr(demo.parameters, name)
    with pytest.raises(error):
        setattr(demo.parameters, name, value)
    assert getattr(demo.parameters, name) == before


def test_types_and_names_that_slicer_refuses_are_refused(host):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Unsupported:
        value: complex

    class Reserved:
        connectGui: str

    with pytest.raises(TypeError, match="complex"):
        parameterNodeWrapper(Unsupported)
    with pytest.raises(ValueError, match="connectGui"):
        parameterNodeWrapper(Reserved)


def test_widgets_show_the_values_and_fit_their_limits(demo):
    ui = demo.ui
    shown = [ui.titleEdit.text, ui.levelBox.currentText, ui.opacitySlider.value, ui.sizeBox.value, ui.countBox.value]
    assert shown == ["first", "high", 0.6, 20.0, 3]
    assert ui.shownBox.checked
    assert (ui.opacitySlider.minimum, ui.opacitySlider.maximum, ui.sizeBox.minimum) == (0, 1, 2.5)
    assert [ui.levelBox.itemText(index) for index in range(ui.levelBox.count)] == ["low", "high"]


def test_user_changes_parameters(host, demo):
    volume = add_volume("volume")
    ui, parameters = demo.ui, demo.parameters
    heard = []
    tag = parameters.AddObserver("ModifiedEvent", lambda *_: heard.append(parameters.count))
    host.choose(ui.volumeSelector, "volume")
    host.choose(ui.levelBox, "low")
    host.click(ui.shownBox)
    ui.titleEdit.text = "second"
    host.key(ui.countBox, "Up")
    host.key(ui.opacitySlider.spinBox(), "Up")
    assert (parameters.volume, parameters.level, parameters.shown) == (volume, "low", False)
    assert (parameters.title, parameters.count) == ("second", 4)
    assert parameters.opacity == pytest.approx(0.61)
    assert heard[-1] == 4
    assert len(heard) == 6
    parameters.RemoveObserver(tag)


def test_widgets_follow_parameters(host, demo):
    volume = add_volume("volume")
    ui, parameters = demo.ui, demo.parameters
    parameters.volume, parameters.level, parameters.opacity, parameters.shown = volume, "low", 0.1, False
    assert ui.volumeSelector.currentNode() is volume
    assert (ui.levelBox.currentText, ui.opacitySlider.value, ui.shownBox.checked) == ("low", 0.1, False)
    assert not ui.note.visible


def test_rounding_by_a_widget_does_not_change_the_parameter(demo):
    demo.parameters.opacity = 0.123456
    assert demo.ui.opacitySlider.value == 0.12
    assert demo.parameters.opacity == 0.123456


def test_disconnected_gui_is_disconnected(host, demo):
    volume = add_volume("volume")
    ui, parameters = demo.ui, demo.parameters
    before = host.observer_count(parameters.parameterNode)
    parameters.disconnectGui(demo.tag)
    assert host.observer_count(parameters.parameterNode) == before - 1
    host.choose(ui.volumeSelector, "volume")
    host.click(ui.shownBox)
    ui.titleEdit.text = "second"
    assert (parameters.volume, parameters.shown, parameters.title) == (None, True, "first")
    parameters.opacity = 0.1
    assert ui.opacitySlider.value == 0.6
    parameters.disconnectGui(demo.tag)
    demo.tag = parameters.connectGui(ui)
    assert (ui.titleEdit.text, ui.opacitySlider.value) == ("first", 0.1)
    assert volume.GetScene() is not None


def test_widgets_that_cannot_show_a_type_are_refused(host, demo):
    parameters, ui = demo.parameters, demo.ui
    with pytest.raises(RuntimeError, match="Choice"):
        parameters.connectParametersToGui({"title": ui.levelBox})
    with pytest.raises(RuntimeError, match="unbounded"):
        parameters.connectParametersToGui({"size": ui.opacitySlider})
    with pytest.raises(RuntimeError, match="GUI connector"):
        parameters.connectParametersToGui({"title": ui.pathEdit})
    with pytest.raises(ValueError, match="nothing"):
        parameters.connectParametersToGui({"nothing": ui.titleEdit})


def test_observer_reads_the_new_value(demo):
    seen = []
    tag = demo.parameters.AddObserver("ModifiedEvent", lambda *_: seen.append(demo.parameters.count))
    demo.parameters.count = 8
    demo.parameters.RemoveObserver(tag)
    assert seen == [8]


def test_several_changes_are_one_event(demo):
    import slicer

    seen = []
    tag = demo.parameters.AddObserver("ModifiedEvent", lambda *_: seen.append(demo.parameters.title))
    with slicer.util.NodeModify(demo.parameters):
        demo.parameters.count = 8
        demo.parameters.title = "second"
    demo.parameters.RemoveObserver(tag)
    assert seen == ["second"]


def test_closing_the_scene_resets_the_parameters(host, demo):
    demo.parameters.volume = add_volume("volume")
    demo.parameters.opacity = 0.1
    demo.parameters.shown = False
    host.close_scene()
    assert (demo.parameters.volume, demo.parameters.opacity, demo.parameters.shown) == (None, 0.6, True)
    assert (demo.ui.opacitySlider.value, demo.ui.shownBox.checked) == (0.6, True)
    assert demo.ui.volumeSelector.currentNode() is None
    assert demo.logic.getParameterNode() is demo.parameters.parameterNode


@pytest.mark.parametrize("suffix", [".mrml", ".mrb"])
def test_saved_scene_restores_the_parameters(host, demo, tmp_path, suffix):
    import slicer

    demo.parameters.volume = add_volume("volume")
    demo.parameters.opacity, demo.parameters.shown, demo.parameters.title = 0.1, False, "Ünïcode <&> text"
    path = save_scene(tmp_path / f"scene{suffix}")
    host.close_scene()
    assert demo.parameters.title == "first"
    demo.parameters.disconnectGui(demo.tag)
    load_scene(path)
    parameters = type(demo.parameters)(demo.logic.getParameterNode())
    assert parameters.volume is slicer.util.getNode("volume")
    assert (parameters.opacity, parameters.shown, parameters.title) == (0.1, False, "Ünïcode <&> text")


def test_wrapper_from_before_a_load_does_not_see_the_loaded_node(host, demo, tmp_path):
    """As in Slicer: the node arrives without a ModifiedEvent, so that a module makes a new wrapper after a load."""
    demo.parameters.volume = add_volume("volume")
    path = save_scene(tmp_path / "scene.mrml")
    host.close_scene()
    load_scene(path)
    assert demo.parameters.volume is None
    assert type(demo.parameters)(demo.parameters.parameterNode).volume.GetName() == "volume"


def test_connected_selector_forgets_its_node_when_a_scene_is_added(host, demo, tmp_path):
    """As in Slicer, which fills selectors anew at the end of an import: a module disconnects its widgets meanwhile."""
    import slicer

    add_volume("other")
    path = save_scene(tmp_path / "scene.mrml")
    path.write_text(re.sub(r"<ScriptedModule\b.*?</ScriptedModule>", "", path.read_text(), flags=re.DOTALL))
    host.close_scene()
    demo.parameters.volume = demo.parameters.hidden = add_volume("volume")
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Import()
    assert demo.parameters.volume is None
    assert demo.parameters.hidden.GetName() == "volume"


def test_removed_node_leaves_its_parameter(host, demo):
    import slicer

    volume = add_volume("volume")
    demo.parameters.volume = volume
    demo.parameters.hidden = volume
    slicer.mrmlScene.RemoveNode(volume)
    assert demo.parameters.volume is None
    assert demo.parameters.hidden is None
    assert demo.ui.volumeSelector.currentNode() is None


def test_deleted_wrapper_leaves_no_observer(host, demo):
    node = demo.parameters.parameterNode
    gc.collect()
    before = host.observer_count(node)
    another = type(demo.parameters)(node)
    assert host.observer_count(node) == before + len(another.allParameters)
    del another
    assert host.observer_count(node) == before
