"""The stand-in host: names, modules, properties, event loop, subject hierarchy."""

import gc
import subprocess
import sys
import time
import weakref

import pytest

from Testing.panel.host_demo import FOLDER, add_volume, load_scene, open_demo, save_scene


def test_module_is_loaded_entered_and_left_as_in_slicer(host):
    import slicer

    widget = open_demo(host)
    assert widget.calls == ["enter"]
    assert slicer.modules.HostDemoWidget is widget
    assert slicer.modules.hostdemo.widgetRepresentation().self() is widget
    assert slicer.modules.HostDemoInstance.parent.title == "Demo of the host"
    assert slicer.modules.hostdemo.path == str(FOLDER / "HostDemo.py")
    assert slicer.util.getModuleWidget("HostDemo") is widget
    assert slicer.util.getModuleLogic("HostDemo") is widget.logic
    assert widget.ui.button.visible
    assert slicer.util.mainWindow() is host.window
    slicer.util.showStatusMessage("message")
    assert host.window.statusBar().currentMessage() == "message"
    slicer.util.mainWindow().moduleSelector().selectModule("")
    assert widget.calls == ["enter", "exit"]
    assert not widget.ui.button.visible
    slicer.util.selectModule("HostDemo")
    host.close_module("HostDemo")
    assert widget.calls == ["enter", "exit", "enter", "exit", "cleanup"]
    assert not hasattr(slicer.modules, "hostdemo")
    with pytest.raises(RuntimeError, match="HostDemo"):
        slicer.util.selectModule("HostDemo")


def test_other_attributes_of_the_module_object_are_refused(host):
    import slicer

    open_demo(host)
    with pytest.raises(AttributeError):
        slicer.modules.hostdemo.titel = "typing error"


def test_closed_module_is_freed_and_leaves_no_observer(host):
    import slicer

    open_demo(host)
    host.close_module("HostDemo")
    node = slicer.mrmlScene.GetSingletonNode("HostDemo", "vtkMRMLScriptedModuleNode")
    volume = add_volume("stays")
    subjects = (slicer.mrmlScene, node, volume)
    gc.collect()
    before = [host.observer_count(subject) for subject in subjects]
    widget = weakref.ref(open_demo(host).ui.volumeSelector)
    host.close_module("HostDemo")
    gc.collect()
    assert widget() is None
    assert [host.observer_count(subject) for subject in subjects] == before


def test_reload_cleans_up_and_builds_anew(host):
    import slicer

    first = open_demo(host)
    host.click(first.ui.button)
    first.onReload()
    second = slicer.modules.HostDemoWidget
    assert first.calls[-1] == "cleanup"
    assert second is not first
    assert type(second) is not type(first)
    host.wait(lambda: second.ui.button.visible)
    host.click(second.ui.button)
    assert (first.clicks, second.clicks) == (1, 1)
    host.close_module("HostDemo")
    assert second.calls[-1] == "cleanup"


def test_self_test_of_the_module_runs(host):
    import slicer

    open_demo(host)
    sys.modules["HostDemo"].HostDemoTest.ran.clear()
    slicer.selfTests["HostDemo"]()
    assert sys.modules["HostDemo"].HostDemoTest.ran == ["setUp", "test"]


def test_properties_are_attributes_in_the_module_and_methods_in_the_host(host):
    from Testing.host.user import choose

    widget = open_demo(host)
    assert widget.ui.button.text == "Press"
    assert widget.ui.button.enabled is True
    widget.ui.button.enabled = False
    with pytest.raises(RuntimeError, match="disabled"):
        host.click(widget.ui.button)
    widget.ui.button.enabled = True
    label = widget.logic.label()
    assert label.wordWrap is True
    assert label.text == "text"
    # The host's own code sees methods meanwhile, called from here or from there.
    choose(widget.ui.levelBox, "low")
    assert widget.ui.levelBox.currentText == "low"
    assert widget.ui.section.collapsed is False
    assert [type(value) for value in (widget.ui.opacitySlider.value, widget.ui.countBox.value)] == [float, int]


def test_slots_take_fewer_arguments_than_the_signal_has(host):
    import qt

    heard = []
    button = qt.QPushButton()
    button.checkable = True
    button.toggled.connect(lambda: heard.append("none"))
    button.toggled.connect(lambda *values: heard.append(values))
    button.click()
    assert heard == ["none", (True,)]


def test_qt_has_no_names_that_only_pyside_has(host):
    import qt

    assert qt.Qt.AlignLeft == qt.Qt.AlignmentFlag.AlignLeft
    assert qt.QTimer
    for name in ("Signal", "Slot", "Property"):
        with pytest.raises(AttributeError):
            getattr(qt, name)


def test_errors_in_slots_and_observers_are_remembered(host):
    import qt

    def fail(*_):
        message = "on purpose"
        raise ValueError(message)

    button = qt.QPushButton()
    button.clicked.connect(fail)
    button.click()
    add_volume("seen").AddObserver("ModifiedEvent", fail)
    slicer_node = add_volume("other")
    tag = slicer_node.AddObserver("ModifiedEvent", fail)
    slicer_node.Modified()
    slicer_node.RemoveObserver(tag)
    assert [str(error) for error in host.errors] == ["on purpose", "on purpose"]
    host.errors.clear()


def test_errors_are_remembered_whoever_took_the_hook(host, monkeypatch):
    import qt

    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    host.reset()
    button = qt.QPushButton()
    button.clicked.connect(lambda *_: {}["on purpose"])
    button.click()
    assert [type(error) for error in host.errors] == [KeyError]
    host.errors.clear()


def test_wait_runs_the_event_loop_and_reports_failure(host):
    import qt

    done = []
    qt.QTimer.singleShot(20, lambda: done.append(True))
    host.wait(lambda: done)
    with pytest.raises(TimeoutError, match="the impossible"):
        host.wait(lambda: False, timeout=0.05, what="the impossible")
    with pytest.raises(ZeroDivisionError):
        host.wait(lambda: 1 / 0)


def test_gaps_sees_a_pause_of_the_event_loop(host):
    import qt

    qt.QTimer.singleShot(10, lambda: time.sleep(0.2))
    done = []
    qt.QTimer.singleShot(300, lambda: done.append(True))
    with host.gaps() as gaps:
        host.wait(lambda: done)
    assert gaps.longest >= 0.2


def test_user_cannot_reach_what_is_hidden_or_missing(host):
    widget = open_demo(host)
    widget.ui.section.collapsed = True
    with pytest.raises(RuntimeError, match="not visible"):
        host.click(widget.ui.button)
    widget.ui.section.collapsed = False
    with pytest.raises(LookupError, match="None"):
        host.choose(widget.ui.volumeSelector, "no such volume")


def test_keys_reach_widget_and_shortcut(host):
    import qt

    widget = open_demo(host)
    pressed = []
    shortcut = qt.QShortcut(qt.QKeySequence("T"), host.window)
    shortcut.activated.connect(lambda: pressed.append("T"))
    host.key(widget.ui.button, "T")
    assert pressed == ["T"]
    host.key(widget.ui.countBox, "Up")
    assert widget.ui.countBox.value == 4
    shortcut.deleteLater()


def test_nodes_are_filed_in_the_subject_hierarchy(host):
    import slicer

    volume = add_volume("volume")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "regions")
    hidden = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
    hidden.UnRegister(None)
    hidden.HideFromEditorsOn()
    slicer.mrmlScene.AddNode(hidden)
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(volume)
    assert hierarchy.GetItemParent(item) == hierarchy.GetSceneItemID()
    assert hierarchy.GetItemOwnerPluginName(item) == "Volumes"
    assert hierarchy.GetItemOwnerPluginName(hierarchy.GetItemByDataNode(segmentation)) == "Segmentations"
    assert hierarchy.GetItemByDataNode(hidden) == 0
    slicer.mrmlScene.RemoveNode(volume)
    slicer.mrmlScene.RemoveNode(segmentation)
    assert hierarchy.GetNumberOfItems() == 0


def test_study_keeps_its_volumes_when_the_scene_is_saved_and_loaded(host, tmp_path):
    import slicer

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    study = hierarchy.CreateStudyItem(patient, "study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(add_volume("inside")), study)
    scene = save_scene(tmp_path / "scene.mrml")
    host.close_scene()
    assert slicer.mrmlScene.GetSubjectHierarchyNode().GetNumberOfItems() == 0
    load_scene(scene)
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(slicer.util.getNode("inside"))
    assert hierarchy.GetItemName(hierarchy.GetItemParent(item)) == "study"
    assert hierarchy.GetNumberOfItems() == 3


def test_closing_the_scene_leaves_the_nodes_that_slicer_always_has(host):
    import slicer

    before = host.scene_census()
    add_volume("goes").CreateDefaultDisplayNodes()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "goes too")
    host.close_scene()
    assert host.scene_census() == before


def test_settings_and_files_are_not_the_users(host):
    import qt
    import slicer

    slicer.app.userSettings().setValue("HierSynth/test", "value")
    assert slicer.util.settingsValue("HierSynth/test", "") == "value"
    assert slicer.app.userSettings().fileName().startswith(slicer.app.slicerHome)
    assert qt.QSettings().fileName().startswith(slicer.app.slicerHome)
    assert slicer.app.temporaryPath.startswith(slicer.app.slicerHome)


def test_startup_environment_runs_a_python(host):
    import slicer

    environment = slicer.util.startupEnvironment()
    code = "import sys; print(sys.version_info[0])"
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "3"


def test_sample_data_is_registered_once(host):
    import SampleData
    import slicer

    for _ in range(2):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="Test", sampleName="sample", uris="test:sample", fileNames=None, customDownloader=print
        )
    (source,) = slicer.modules.sampleDataSources.pop("Test")
    assert source.uris == ["test:sample"]
    with pytest.raises(ValueError, match="same length"):
        SampleData.SampleDataSource(sampleName="bad", uris=["a", "b"], fileNames=["a"])


def test_packages_are_read_and_not_installed_while_testing(host, tmp_path, monkeypatch):
    import slicer
    from slicer.packaging import load_requirements, pip_ensure

    file = tmp_path / "requirements.txt"
    file.write_text("# comment\nnumpy>=1\n--no-deps\nno-such-package-anywhere; python_version < '3'\n")
    requirements = load_requirements(file)
    assert [requirement.name for requirement in requirements] == ["numpy", "no-such-package-anywhere"]
    asked = []
    monkeypatch.setattr(slicer.util, "pip_install", asked.append)
    pip_ensure([*requirements, "numpy>=10000"], requester="test")
    assert asked == []
    monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_args, **_kwargs: True)
    pip_ensure([*requirements, "numpy>=10000"], requester="test")
    assert asked == [["numpy>=10000"]]


def test_host_starts_without_torch_and_with_a_display_platform():
    code = (
        "import os, sys; os.environ['QT_QPA_PLATFORM'] = 'minimal'\n"
        "from Testing.host import Host; host = Host.start(offscreen=False)\n"
        "print(host.app.platformName(), 'torch' in sys.modules, Host.start() is host)\n"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=FOLDER.parents[2])
    assert output.split() == ["minimal", "False", "True"]
