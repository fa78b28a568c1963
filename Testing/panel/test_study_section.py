"""The section "Reader study": make a study, open it, see how far everybody is."""

import json

import pytest
from PySide6.QtTest import QTest

from HierSynthLib.reader_study.study import Study
from Testing.panel.reading_case import FORM, LONG, Reader, small_study
from Testing.reader_studies import plan, write_case


@pytest.fixture
def panel(host):
    panel = host.open_module("HierSynth").panel
    panel.study.ui.studyButton.collapsed = False
    panel.study.ui.createButton.collapsed = False
    return panel


@pytest.fixture
def files(tmp_path):
    """Folder of two cases, protocol and form."""
    for number in (1, 2):
        write_case(tmp_path / "cases", number)
    (tmp_path / "protocol.json").write_text(json.dumps(plan()))
    (tmp_path / "form.json").write_text(json.dumps(FORM))
    return tmp_path


def fill(ui, **paths):
    for name, path in paths.items():
        edit = getattr(ui, f"{name}Edit")
        edit.text = ""
        edit.setFocus()
        QTest.keyClicks(edit, str(path))


def test_a_study_is_made_in_the_background_and_opened(host, panel, files):
    ui = panel.study.ui
    assert not ui.makeButton.enabled
    fill(ui, cases=files / "cases", protocol=files / "protocol.json", form=files / "form.json", out=files / "trial")
    assert ui.makeButton.enabled
    host.click(ui.makeButton)
    assert ui.makeButton.text == "Cancel"
    assert ui.makeBar.visible
    host.wait(lambda: not panel.study.creation.busy, LONG)
    assert "2 cases" in ui.makeLabel.text
    assert str(files / "trial-key.json") in ui.makeLabel.text
    study = Study.read(files / "trial")
    assert study.form.id == "full"
    assert panel.study.study.sha256 == study.sha256
    assert [ui.readerSelector.itemText(number) for number in range(ui.readerSelector.count)] == ["R1", "R2"]
    Reader(host, panel, study).sign_in("R2")
    assert panel.reading.reading.session.slot == study.slots("R2")[0]


def test_what_is_wrong_with_the_files_is_said_in_place(host, panel, files):
    ui = panel.study.ui
    (files / "protocol.json").write_text(json.dumps(plan(readers=[])))
    fill(ui, cases=files / "cases", protocol=files / "protocol.json", out=files / "trial", key=files / "secret.json")
    host.click(ui.makeButton)
    host.wait(lambda: not panel.study.creation.busy, LONG)
    assert ui.makeLabel.text.startswith("✗ ")
    assert "readers" in ui.makeLabel.text
    assert not (files / "trial").exists()
    assert not (files / "secret.json").exists()
    assert panel.study.study is None


def test_making_a_study_can_be_cancelled(host, panel, files):
    ui = panel.study.ui
    fill(ui, cases=files / "cases", protocol=files / "protocol.json", form=files / "form.json", out=files / "trial")
    host.click(ui.makeButton)
    host.click(ui.makeButton)
    host.wait(lambda: not panel.study.creation.busy, LONG)
    assert ui.makeLabel.text == ""
    assert sorted(path.name for path in files.iterdir()) == ["cases", "form.json", "protocol.json"]


def test_the_person_in_charge_sees_how_far_everybody_is(host, panel, tmp_path):
    study = small_study(tmp_path, 3, readers=["R1", "R2", "R3"])
    reader = Reader(host, panel, study)
    reader.sign_in("R2")
    reader.press("1", "Space", "1", "Space", "5")
    reader.submit()
    host.click(reader.ui.signOutButton)
    table = panel.study.ui.statusTable
    rows = [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]
    assert rows == [["R1", "1", "0 / 6", "0"], ["R2", "1", "1 / 6", "0"], ["R3", "1", "0 / 6", "0"]]
    assert table.item(1, 4).text() != ""


def test_the_last_study_is_there_again(host, panel, tmp_path):
    study = small_study(tmp_path)
    panel.study.open(str(study.folder))
    host.close_module("HierSynth")
    panel = host.open_module("HierSynth").panel
    assert panel.study.study.sha256 == study.sha256


def answering(path):
    """A file dialog in which the user has chosen this."""
    functions = ("getExistingDirectory", "getOpenFileName", "getSaveFileName")
    return type("Dialog", (), {name: staticmethod(lambda *_: path) for name in functions})


def test_folders_and_files_can_be_looked_for(host, panel, tmp_path, monkeypatch):
    import qt

    study = small_study(tmp_path)
    ui = panel.study.ui
    monkeypatch.setattr(qt, "QFileDialog", answering(str(study.folder)))
    host.click(ui.folderButton)
    assert panel.study.study.sha256 == study.sha256
    host.click(ui.casesButton)
    assert ui.casesEdit.text == str(study.folder)
    monkeypatch.setattr(qt, "QFileDialog", answering("/a/protocol.yaml"))
    host.click(ui.protocolButton)
    assert ui.protocolEdit.text == "/a/protocol.yaml"
    monkeypatch.setattr(qt, "QFileDialog", answering(""))
    host.click(ui.outButton)
    assert ui.outEdit.text == ""
