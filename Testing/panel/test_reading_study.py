"""Whole studies, every mode, made, read by three readers with mouse and keys, closed, analysed and exported."""

import csv
import json

import numpy as np
import pytest
from PySide6.QtWidgets import QRadioButton

from HierSynthLib.cli import main
from HierSynthLib.reader_study.key import Key
from HierSynthLib.reader_study.record.answers import final_answers, read_answers
from HierSynthLib.reader_study.study import Study
from HierSynthLib.volume import read_volume
from Testing.panel.reading_case import FORM, MODES, UNBLINDED, Reader, small_study
from Testing.panel.view_steps import settle
from Testing.reader_studies import plan, write_case

READERS = ("R1", "R2", "R3")

VIEWS = ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode", "vtkMRMLSliceDisplayNode", "vtkMRMLLinearTransformNode",
         "vtkMRMLModelNode", "vtkMRMLColorTableNode", "vtkMRMLColorTableStorageNode")  # fmt: skip
"""What layouts and colours leave in any scene: views with their slices, tables; nothing of a presentation."""


@pytest.fixture
def panel(host):
    return host.open_module("HierSynth").panel


def by_mouse(reader):
    """Answer what is asked with the mouse; item → value."""
    position, given = reader.session.slot.position, {}
    for each in reader.panel.reading.form.items:
        name, kind = each.item.id, each.item.kind
        if kind in ("likert", "choice", "flag"):
            buttons = each.widget.findChildren(QRadioButton)
            number = position % len(buttons)
            reader.choose(name, number)
            values = [True, False] if kind == "flag" else [option.value for option in each.item.options]
            given[name] = values[number]
        elif kind == "confidence":
            slider = reader.slider(name)
            reader.host.drag(
                slider, (slider.width * 0.5, slider.height * 0.5), (slider.width * 0.8, slider.height * 0.5)
            )
            given[name] = float(slider.value)
            assert 70 < slider.value < 90
        elif kind == "text":
            given[name] = f"seen at {position}"
            reader.type_text(name, given[name])
        elif kind == "hotspots":
            settle(reader.host)
            reader.host.click(reader.button(name, "Place hotspot"))
            reader.click_position((9.0, 6.0, 8.0))
            given[name] = [{"centre_mm": [9.0, 6.0, 8.0], "radius_mm": 3.0}]
        elif kind == "outline":
            corners = [(3.0, 3.0, 12.0), (18.0, 3.0, 12.0), (18.0, 15.0, 12.0), (3.0, 12.0, 12.0)]
            reader.host.click(reader.button(name, "Draw outline"))
            for corner in corners:
                reader.click_position(corner)
            given[name] = [{"points_mm": [list(corner) for corner in corners]}]
    return given


def by_keys(reader):
    """Answer what is asked with keys, marks left out; item → value."""
    position, given = reader.session.slot.position, {}
    reader.panel.reading.form.go_to(0)
    for each in list(reader.panel.reading.form.items):
        name, kind = each.item.id, each.item.kind
        assert reader.panel.reading.form.current is each
        if kind in ("likert", "choice", "flag"):
            number = 1 + position % max(2, len(each.item.options))
            reader.press(str(number % 2 if kind == "flag" else number))
            options = [option.value for option in each.item.options]
            given[name] = number % 2 == 1 if kind == "flag" else options[number - 1]
        elif kind == "confidence":
            reader.press(str(position % 10))
            given[name] = 10.0 * (position % 10 or 10)
        reader.press("Ctrl+Return" if kind == "text" else "Space")
    return given


def assert_same(value, expected):
    """Marks lie where the mouse can point; everything else is exact."""
    if not isinstance(expected, list):
        assert value == expected
        return
    for mark, right in zip(value, expected, strict=True):
        for field, numbers in right.items():
            np.testing.assert_allclose(mark[field], numbers, atol=0.1)


def command(*arguments):
    assert main(["study", *map(str, arguments)]) == 0


@pytest.mark.parametrize(("modes", "sessions"), [(MODES, 7), (UNBLINDED, 1)], ids=["blinded", "unblinded"])
def test_a_whole_study_from_the_cases_to_the_tables(host, panel, layout_manager, tmp_path, modes, sessions, capsys):
    study = made_by_the_command(tmp_path, modes)
    ways = dict(zip(READERS, (by_mouse, by_keys, by_mouse), strict=True))
    given = {}
    for code, way in ways.items():
        for session in range(1, sessions + 1):
            given |= read_a_session(host, panel, study, code, session, way)
    host.click(panel.study.ui.signInButton)
    assert "R3 has read everything" in panel.study.ui.problemLabel.text
    command("verify", study.folder)
    command("close", study.folder)
    found = {(row.reader, row.position, row.item): row.value for row in final_answers(read_answers(study.folder))}
    assert found.keys() == given.keys()
    for place, expected in given.items():
        assert_same(found[place], expected)
    presentations = 2 * sessions
    assert {row.position for row in read_answers(study.folder) if row.reader == "R1"} == set(
        range(1, presentations + 1)
    )
    assert_evaluated(study, tmp_path, presentations, capsys)


def made_by_the_command(folder, modes):
    """A study of two cases, made as the documentation says."""
    for number in (1, 2):
        write_case(folder / "cases", number)
    protocol = plan(modes=modes, readers=list(READERS), washout_days=0)
    (folder / "protocol.json").write_text(json.dumps(protocol))
    (folder / "form.json").write_text(json.dumps(FORM))
    files = ("--protocol", folder / "protocol.json", "--form", folder / "form.json")
    command("create", folder / "cases", *files, "--out", folder / "study", "--key", folder / "key.json")
    return Study.read(folder / "study")


def read_a_session(host, panel, study, code, session, way):
    """Read one session in the panel, from signing in to signing out; what was answered."""
    import slicer

    before, layout, given = host.scene_census(), slicer.app.layoutManager().layout, {}
    reader = Reader(host, panel, study)
    reader.sign_in(code)
    assert reader.session.number == session
    assert [section for section in panel.sections if section.widget.visible] == [panel.reading]
    while reader.state != "FINISHED":
        assert_shown(reader)
        position = reader.session.slot.position
        given |= {(code, position, name): value for name, value in way(reader).items()}
        if way is by_keys:
            reader.press("Space")
            reader.wait_for_next(position)
        else:
            reader.submit()
    host.click(reader.ui.signOutButton)
    assert panel.study.ui.receiptLabel.visible
    assert [section for section in panel.sections if not section.widget.visible] == [panel.reading]
    assert slicer.app.layoutManager().layout == layout
    left = host.scene_census()
    assert {name: count for name, count in left.items() if name not in VIEWS} == {
        name: count for name, count in before.items() if name not in VIEWS
    }
    return given


def assert_evaluated(study, folder, presentations, capsys):
    """Report, tables and a methods paragraph come out of what was read."""
    key = ("--key", folder / "key.json")
    command("analyse", study.folder, *key, "--out", folder / "analysis")
    completion = json.loads((folder / "analysis" / "analysis.json").read_text())["completion"]
    assert [(row["reader"], row["expected"], row["submitted"]) for row in completion] == [
        (code, presentations, presentations) for code in READERS
    ]
    assert (folder / "analysis" / "report.html").is_file()
    command("export", study.folder, *key, "--out", folder / "tables")
    rows = list(csv.DictReader(next((folder / "tables").rglob("answers.csv")).open()))
    assert {row["reader"] for row in rows} == set(READERS)
    capsys.readouterr()
    command("methods", study.folder, *key)
    assert "hree readers" in capsys.readouterr().out


def assert_shown(reader):
    """The views show the files of the presentation, all maps in the same colours and range."""
    import slicer

    presentation = reader.session.slot.presentation
    names = ["HierSynthReadingA", "HierSynthReadingB"][: len(presentation.images)]
    sources = [f"HierSynthReading{number}" for number in range(1, 1 + len(presentation.sources))]
    styles = set()
    ids = (*presentation.images, *presentation.sources.values())
    for view, image in zip((*names, *sources), ids, strict=True):
        widget = slicer.app.layoutManager().sliceWidget(view)
        assert widget.visible
        node = slicer.mrmlScene.GetNodeByID(widget.mrmlSliceCompositeNode().GetBackgroundVolumeID())
        volume = read_volume(reader.study.image_file(image))
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(node).T, volume.array)
        np.testing.assert_allclose(node_matrix(node), volume.affine, atol=1e-6)
        display = node.GetScalarVolumeDisplayNode()
        if view in names:
            styles.add(
                (display.GetWindowLevelMin(), display.GetWindowLevelMax(), display.GetColorNode().GetName(),
                 display.GetInterpolate(), display.GetApplyThreshold())
            )  # fmt: skip
    assert styles == {(0.0, 6.0, "HierSynth-CBV-Inferno", 1, 0)}


def node_matrix(node):
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def test_views_are_linked_after_a_scene_was_loaded(host, panel, tmp_path):
    """Loading a scene takes views that exist out of their group; those that are made later are not concerned."""
    import slicer
    from HierSynthPanel import reading_layout

    study = small_study(tmp_path, modes=[MODES[1]])
    reading_layout.choose(1, 1)
    settle(host)
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)
    Reader(host, panel, study).sign_in()
    settle(host)
    widgets = [slicer.app.layoutManager().sliceWidget(f"HierSynthReading{name}") for name in ("A", "B", "1")]
    widgets[0].sliceController().setSliceOffsetValue(7.0)
    for widget in widgets:
        assert widget.mrmlSliceNode().GetSliceOffset() == pytest.approx(7.0)


def test_views_are_linked_and_turn_together(host, panel, tmp_path):
    import slicer

    study = small_study(tmp_path, modes=[MODES[1]])
    reader = Reader(host, panel, study)
    reader.sign_in()
    settle(host)
    manager = slicer.app.layoutManager()
    left, right, anatomy = (manager.sliceWidget(f"HierSynthReading{name}") for name in ("A", "B", "1"))
    left.sliceController().setSliceOffsetValue(7.0)
    host.wait(lambda: anatomy.mrmlSliceNode().GetSliceOffset() == pytest.approx(7.0))
    assert right.mrmlSliceNode().GetSliceOffset() == pytest.approx(7.0)
    shown = [widget.mrmlSliceCompositeNode().GetBackgroundVolumeID() for widget in (left, right, anatomy)]
    assert len(set(shown)) == 3
    host.choose(reader.ui.planeSelector, "Coronal")
    assert {widget.mrmlSliceNode().GetOrientation() for widget in (left, right, anatomy)} == {"Coronal"}
    reader.choose("better", 0)
    reader.submit()
    assert {widget.mrmlSliceNode().GetOrientation() for widget in (left, right, anatomy)} == {"Coronal"}
    assert left.mrmlSliceNode().GetLayoutLabel() == "A (left)"


def test_unblinded_maps_carry_their_names(host, panel, tmp_path):
    import slicer

    study = small_study(tmp_path, modes=UNBLINDED)
    key = Key.read(tmp_path / "key.json")
    reader = Reader(host, panel, study)
    reader.sign_in()
    for view, image in zip("AB", reader.session.slot.presentation.images, strict=True):
        node = slicer.app.layoutManager().sliceWidget(f"HierSynthReading{view}").mrmlSliceNode()
        assert node.GetLayoutLabel() == key.arms[image]
    reader.press("2")
    assert reader.session.answers() == {"agree": 2}


def test_instructions_and_training_are_told(host, panel, tmp_path):
    study = small_study(tmp_path, modes=[MODES[2]], training_cases=["patient-001"])
    reader = Reader(host, panel, study)
    reader.sign_in()
    assert "Half of the maps were made by a program." in reader.ui.instructionsLabel.text
    assert "not evaluated" in reader.ui.instructionsLabel.text
    assert reader.ui.progressBar.text == "session 1: 0 of 2"
    reader.choose("quality", 0)
    reader.choose("origin", 0)
    reader.submit()
    assert "not evaluated" not in reader.ui.instructionsLabel.text
    assert reader.ui.progressBar.text == "session 1: 1 of 2"
