"""What the module uses of Slicer, CTK and Qt is looked up, written down, and there in the stand-in host."""

import ast
import importlib
import pkgutil
from xml.etree import ElementTree

import pytest

from Testing.host.contract import MODULE_FOLDER, module_usage, recorded, unchecked, updated
from Testing.host.usage import Usage

CALLED_WITHOUT_ARGUMENTS = {
    "layoutManager",
    "applicationLogic",
    "layoutLogic",
    "logic",
    "userSettings",
    "clipboard",
    "GetSelectionNode",
}


@pytest.fixture(scope="module")
def usage():
    return module_usage()


@pytest.fixture(scope="module")
def api():
    return recorded()


def test_everything_in_use_is_looked_up_and_written_down(api, usage):
    assert updated(api, usage) == api, "run `python -m Testing.host.contract` and look up the new names"
    assert unchecked(api) == []


def test_qt_sources_name_the_class_that_has_the_member(api):
    from PySide6 import QtCore, QtGui, QtWidgets

    wrong = []
    for part in ("members", "signals"):
        for name, source in api[part].items():
            for cls in source.removeprefix("Qt: ").partition(";")[0].split(", ") if source.startswith("Qt: ") else []:
                found = next((getattr(lib, cls) for lib in (QtCore, QtGui, QtWidgets) if hasattr(lib, cls)), None)
                if found is None or (not hasattr(found, name) and found.staticMetaObject.indexOfProperty(name) < 0):
                    wrong.append(f"{cls}.{name}")
    assert wrong == []


def test_names_exist_in_the_host(host, api):
    host.open_module("HierSynth")
    missing = [name for name in api["names"] if not exists(name)]
    assert missing == []


def test_members_of_mrml_and_vtk_classes_exist(host, usage):
    import slicer
    import vtk

    real = {
        name
        for library in (slicer, vtk)
        for cls in vars(library).values()
        if isinstance(cls, type)
        for name in dir(cls)
    }
    extensions = {"PyTorchUtilsLogic"}
    assert usage.classes_members - real - extensions == set()


def test_other_members_exist_in_the_host(host, api):
    from PySide6 import QtCore, QtGui, QtWidgets

    from Testing import host as package

    modules = [
        importlib.import_module(info.name)
        for info in pkgutil.walk_packages(package.__path__, "Testing.host.")
        if not info.name.endswith("__main__")
    ]
    import slicer

    classes = [cls for module in (*modules, QtCore, QtGui, QtWidgets, slicer.util) for cls in vars(module).values()]
    offered = {name for cls in classes if isinstance(cls, type) for name in (*dir(cls), *getattr(cls, "__slots__", ()))}
    properties = {name for cls in classes if isinstance(cls, type) for name in property_names(cls)}
    widget = host.open_module("HierSynth")
    assert (
        set(api["members"]) - offered - properties - set(vars(widget.panel.context.parameters)) - {"installTorch"}
        == set()
    )


def test_signals_and_widget_properties_exist(host, api):
    import ctk
    import qt
    import slicer

    missing = []
    for name, entry in api["widgets"].items():
        library = ctk if name.startswith("ctk") else slicer if name.startswith("qMRML") else qt
        missing += [f"{name}.{key}" for key in entry["properties"] if key not in property_names(getattr(library, name))]
    assert missing == []


def test_host_offers_no_ctk_or_slicer_class_that_is_not_used(host, api):
    import ctk
    import slicer

    used = {name.rpartition(".")[2] for name in api["names"]} | set(api["widgets"])
    # A part of ctkSliderWidget, which the connectors of the wrapper know.
    offered = {name for name in vars(ctk) if name.startswith("ctk")} - {"ctkDoubleSpinBox"}
    offered |= {name for name in vars(slicer) if name.startswith("qMRML")}
    assert offered - used == set()


def test_application_offers_what_is_recorded_and_no_more(host, api):
    from Testing.host.application import Application

    used = {name.split(".")[2].removesuffix("()") for name in api["names"] if name.startswith("slicer.app.")}
    offered = {name for name in vars(Application) if "_" not in name and name != "staticMetaObject"}
    assert offered - used - set(api["host"]) == set()


def test_module_invents_no_attributes_of_qt_objects(host):
    """PythonQt refuses to set what a Qt object does not have; PySide6 makes a new attribute of a typing error."""
    from PySide6.QtCore import QObject, SignalInstance

    panel = host.open_module("HierSynth").parent
    children = [
        child for child in panel.findChildren(QObject) if type(child).__name__.startswith(("Q", "ctk", "qMRML"))
    ]
    invented = [
        f"{type(child).__name__} {child.objectName}: {name}"
        for child in (panel, *children)
        for name, value in vars(child).items()
        if not name.startswith("_") and not isinstance(value, SignalInstance)
    ]
    assert invented == []


def test_module_does_not_know_its_host():
    files = [*MODULE_FOLDER.rglob("*.py"), *MODULE_FOLDER.rglob("*.ui")]
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in ("PySide", "shiboken", "Testing.host", "trame")), path


def test_usage_is_read_from_python_and_ui_files():
    usage = Usage()
    source = """
import qt, numpy as np
from slicer.util import loadUI
class A:
    def b(self):
        slicer.app.layoutManager().sliceWidget("x").sliceView()
        self.button.clicked.connect(self.b)
        slicer.app.aboutToQuit.disconnect(self.b)
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode").SetText(np.zeros(3))
        widget.threeDView().own()
        qt.QTimer.singleShot(0, self.b)
"""
    usage.add_python(ast.parse(source), own={"own", "b", "button", "connect", "disconnect"})
    assert usage.names == {
        "slicer.app.layoutManager().sliceWidget().sliceView",
        "slicer.app.aboutToQuit",
        "slicer.mrmlScene.AddNewNodeByClass().SetText",
        "slicer.util.loadUI",
        "slicer.vtkMRMLTextNode",
        "qt.QTimer.singleShot",
    }
    assert usage.signals == {"clicked", "aboutToQuit"}
    assert usage.members == {"threeDView", "clicked"}
    form = """<ui><widget class="QWidget"><widget class="ctkX"><property name="text"/><property name="P" stdset="0"/>
</widget></widget><connections><connection><signal>toggled(bool)</signal></connection></connections></ui>"""
    usage.add_ui(ElementTree.fromstring(form))  # noqa: S314  # written above
    assert usage.widgets == {"QWidget": set(), "ctkX": {"text"}}
    assert "toggled" in usage.signals


def test_new_and_old_names_are_noticed(api, usage):
    changed = Usage(names={"slicer.app.quitNow"}, widgets={"QLabel": {"text", "newProperty"}})
    update = updated(api, changed)
    assert unchecked(update) == ["slicer.app.quitNow", "QLabel.newProperty"]
    assert update["members"] == {}


def exists(name):
    """Whether a dotted name leads to something, as far as it can be followed without side effects."""
    first, *rest = name.split(".")
    found = importlib.import_module(first)
    for part in rest:
        attribute = part.removesuffix("()")
        if not hasattr(found, attribute):
            return False
        found = getattr(found, attribute)
        if part.endswith("()"):
            if attribute not in CALLED_WITHOUT_ARGUMENTS:
                return True
            found = found()
    return True


def property_names(cls):
    """Qt properties of a class."""
    meta = getattr(cls, "staticMetaObject", None)
    return {meta.property(index).name() for index in range(meta.propertyCount())} if meta is not None else set()
