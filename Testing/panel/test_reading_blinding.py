"""Nothing that a reading session exposes tells arm, case or origin: everything is searched for their names."""

import json
import logging
import re
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget

from Testing.panel.reading_case import MODES, Reader, small_study
from Testing.panel.test_reading_study import by_mouse
from Testing.panel.view_steps import settle

TELLING = re.compile(r"quokkaref|zebrafish|patient-0|made/map|CBV_acquired|cases/", re.IGNORECASE)
"""Names of the arms and cases of these studies, and where their files come from."""

ARMS = [
    {"name": "quokkaref", "source": "CBV_acquired", "reference": True},
    {"name": "zebrafish", "source": "made/map.nii.gz", "origin": "synthetic"},
]


@pytest.fixture
def panel(host):
    return host.open_module("HierSynth").panel


def texts_of_scene():
    """Everything in the scene as text: names, identifiers, descriptions, attributes, stored files, what is saved."""
    import slicer

    scene = slicer.mrmlScene
    for number in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(number)
        yield from (node.GetName() or "", node.GetID() or "", node.GetDescription() or "", str(node))
        for name in node.GetAttributeNames():
            yield f"{name}={node.GetAttribute(name)}"
        if node.IsA("vtkMRMLStorageNode"):
            yield node.GetFileName() or ""
    scene.SetSaveToXMLString(1)
    try:
        scene.Commit()
    finally:
        scene.SetSaveToXMLString(0)
    yield scene.GetSceneXMLString()


def texts_of_hierarchy():
    import slicer
    import vtk

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), found, True)
    for number in range(found.GetNumberOfIds()):
        item = found.GetId(number)
        yield hierarchy.GetItemName(item)
        yield from (hierarchy.GetItemAttribute(item, name) for name in hierarchy.GetItemAttributeNames(item))


def texts_of_widgets(host):
    """Titles, labels, tips and entries of everything in the window that can be seen."""
    for widget in (host.window, *host.window.findChildren(QWidget)):
        if widget is not host.window and not widget.isVisibleTo(host.window):
            continue
        for name in (
            "windowTitle",
            "toolTip",
            "statusTip",
            "whatsThis",
            "text",
            "plainText",
            "title",
            "accessibleName",
        ):
            value = getattr(widget, name, "")
            yield value if isinstance(value, str) else ""
        if hasattr(widget, "itemText"):
            yield from (widget.itemText(number) for number in range(widget.count))


def texts_of_views(host):
    import slicer

    manager = slicer.app.layoutManager()
    for name in manager.sliceViewNames():
        widget = manager.sliceWidget(name)
        yield name
        yield widget.mrmlSliceNode().GetLayoutLabel()
        annotation = widget.overlayCornerAnnotation()
        yield from (annotation.GetText(corner) or "" for corner in range(8))
        actors = widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer().GetActors2D()
        actors.InitTraversal()
        for _ in range(actors.GetNumberOfItems()):
            actor = actors.GetNextActor2D()
            yield actor.GetInput() or "" if hasattr(actor, "GetInput") else ""


def texts_of_files(folder: Path):
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder))
        if path.is_file():
            yield path.read_bytes().decode("latin-1")


def telling(texts):
    found = []
    for text in texts:
        hit = TELLING.search(text)
        if hit is not None:
            found.append((hit.group(), text[max(0, hit.start() - 60) : hit.end() + 60]))
    return found


def everything(host, study, caplog, capfd):
    yield from texts_of_scene()
    yield from texts_of_hierarchy()
    yield from texts_of_widgets(host)
    yield from texts_of_views(host)
    yield from texts_of_files(study.folder)
    yield from texts_of_files(Path(host.app.temporaryPath))
    yield caplog.text
    out = capfd.readouterr()
    yield out.out + out.err
    yield json.dumps({key: str(host.app.settings().value(key)) for key in host.app.settings().allKeys()})


def test_nothing_tells_the_arm(host, panel, tmp_path_factory, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    # The path of the study itself is the reader's own choice.
    folder = tmp_path_factory.mktemp("blinded")
    study = small_study(folder, modes=MODES, duplicates=0.3, cases=3, arms=ARMS)
    key = json.loads((folder / "key.json").read_text())
    assert TELLING.search(json.dumps(key))
    reader = Reader(host, panel, study)
    shown = {}
    for _ in range(7):
        reader.sign_in()
        for _ in range(2):
            settle(host)
            for view, image in zip("AB", reader.session.slot.presentation.images, strict=False):
                shown.setdefault(key["arms"][image], set()).add(appearance(view))
            by_mouse(reader)
            assert telling(everything(host, study, caplog, capfd)) == []
            reader.submit()
        reader.press("P")
        assert telling(everything(host, study, caplog, capfd)) == []
        reader.press("P")
        reader.wait_for("READING")
        while reader.state != "FINISHED":
            by_mouse(reader)
            reader.submit()
        host.click(reader.ui.signOutButton)
    # What can be asked of a map but its voxels is the same for both arms.
    assert shown["quokkaref"] == shown["zebrafish"]


def appearance(view):
    """Size, type, place, colours, range and name of what a view shows."""
    import slicer

    widget = slicer.app.layoutManager().sliceWidget(f"HierSynthReading{view}")
    node = slicer.mrmlScene.GetNodeByID(widget.mrmlSliceCompositeNode().GetBackgroundVolumeID())
    display = node.GetScalarVolumeDisplayNode()
    image = node.GetImageData()
    return (
        image.GetDimensions(), image.GetScalarTypeAsString(), node.GetSpacing(), node.GetOrigin(),
        display.GetWindow(), display.GetLevel(), display.GetColorNodeID(), display.GetInterpolate(),
        node.GetName().partition(" ")[0] in ("Map", "A", "B"), len(node.GetAttributeNames()),
        widget.mrmlSliceNode().GetSliceOffset(),
    )  # fmt: skip


def test_the_search_finds_what_tells(host, panel, tmp_path):
    """The search above would see an arm if one were there."""
    import slicer

    reader = Reader(host, panel, small_study(tmp_path))
    reader.sign_in()
    node = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[0]
    for expose in (
        lambda: node.SetName("zebrafish"),
        lambda: node.SetAttribute("Origin", "zebrafish"),
        lambda: node.SetDescription("zebrafish"),
        lambda: setattr(reader.ui.titleLabel, "text", "zebrafish"),
        lambda: setattr(reader.ui.submitButton, "toolTip", "zebrafish"),
    ):
        expose()
        assert telling([*texts_of_scene(), *texts_of_hierarchy(), *texts_of_widgets(host)])
        node.SetName("Map")
        node.SetAttribute("Origin", None)
        node.SetDescription("")
        reader.ui.titleLabel.text = reader.ui.submitButton.toolTip = ""
    host.click(reader.ui.signOutButton)


def test_the_reading_part_never_opens_the_key(host, panel, tmp_path, monkeypatch):
    import builtins
    import io
    import os

    study = small_study(tmp_path)
    opened = []

    def watch(module, name):
        real = getattr(module, name)

        def noting(path, *arguments, **named):
            opened.append(str(path))
            return real(path, *arguments, **named)

        monkeypatch.setattr(module, name, noting)

    for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
        watch(module, name)
    reader = Reader(host, panel, study)
    reader.sign_in()
    reader.read_session(by_mouse)
    assert any("study.json" in path or path.endswith(".nii") for path in opened)
    assert not [path for path in opened if "key" in Path(path).name]
