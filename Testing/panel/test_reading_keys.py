"""The keys of a reader, and what they leave alone."""

import functools
import sqlite3

import pytest
from PySide6.QtWidgets import QPlainTextEdit

from HierSynthLib.reader_study.record.session import sign_in
from Testing.panel.reading_case import MODES, Reader, small_study


@pytest.fixture
def panel(host):
    return host.open_module("HierSynth").panel


@pytest.fixture
def reader(host, panel, tmp_path):
    reader = Reader(host, panel, small_study(tmp_path, 3))
    reader.sign_in()
    return reader


def current(reader):
    item = reader.panel.reading.form.current
    return item.item.id if item is not None else ""


def test_digits_score_and_space_advances(reader):
    assert current(reader) == "quality"
    reader.press("4", "9")  # there is no point 9
    assert reader.session.answers() == {"quality": 4}
    reader.press("2")
    assert reader.session.answers() == {"quality": 2}
    visited = []
    for _ in range(5):
        reader.press("Space")
        visited.append(current(reader))
    assert visited == ["grade", "sure", "invented", "remark", "remark"]


def test_each_kind_of_question_has_its_digits(reader):
    reader.press("Space", "2", "Return", "0", "Enter", "1")
    assert reader.session.answers() == {"grade": "high", "sure": 100.0, "invented": True}
    reader.press("0")
    assert reader.session.answers()["invented"] is False
    reader.panel.reading.form.go_to(2)
    reader.press("3")
    assert reader.session.answers()["sure"] == 30.0


def test_space_submits_only_after_the_last_question(reader):
    reader.press("1", "Space", "1", "Space", "5", "Space", "1", "Space")
    assert reader.session.slot.position == 1
    reader.press("Ctrl+Return")
    assert current(reader) == ""
    assert reader.session.slot.position == 1
    reader.press("Space")
    reader.wait_for_next(1)
    assert reader.session.slot.position == 2
    assert current(reader) == "quality"


def test_what_is_typed_into_a_text_is_no_key(reader):
    reader.press("3")
    reader.type_text("remark", "p 1 5")
    assert current(reader) == "remark"
    assert reader.item("remark").widget.findChild(QPlainTextEdit).plainText == "p 1 5"
    assert reader.state == "READING"
    assert reader.session.answers() == {"quality": 3}
    reader.press("Ctrl+Return")
    assert reader.session.answers() == {"quality": 3, "remark": "p 1 5"}


def test_a_text_is_stored_when_typing_rests(host, reader):
    reader.type_text("remark", "rim")
    host.wait(lambda: reader.session.answers().get("remark") == "rim")


def test_arrows_go_back_and_forward(reader):
    for _ in range(2):
        reader.press("1", "Space", "1", "Space", "5")
        reader.submit()
    seen = [reader.session.slot.position]
    for key in ("Left", "Left", "Left", "Right", "Right", "Right"):
        reader.press(key)
        reader.host.app.processEvents()
        seen.append(reader.session.slot.position)
    assert seen == [3, 2, 1, 1, 2, 3, 3]


def test_pausing_hides_images_and_form_and_counts_no_time(host, panel, tmp_path, monkeypatch):
    import slicer

    seconds = [0.0]
    study = small_study(tmp_path, 3, modes=[MODES[3]])
    reader = Reader(host, panel, study)
    monkeypatch.setattr("HierSynthPanel.reading.sign_in", functools.partial(sign_in, monotonic=lambda: seconds[0]))
    reader.sign_in()
    host.click(reader.button("spots", "Place hotspot"))
    reader.click_position((9.0, 6.0, 8.0))
    host.wait(reader.session.answers)
    seconds[0] += 10
    reader.press("P")
    shown = [
        slicer.app.layoutManager().sliceWidget(name).mrmlSliceCompositeNode().GetBackgroundVolumeID()
        for name in ("HierSynthReadingA", "HierSynthReading1")
    ]
    assert shown == [None, None]
    assert not reader.ui.formBox.visible
    assert "Paused" in reader.ui.messageLabel.text
    node = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")[0]
    assert not node.GetDisplayNode().GetVisibility()
    offset = slicer.app.layoutManager().sliceWidget("HierSynthReadingA").mrmlSliceNode().GetSliceOffset()
    reader.press("1", "Space", "Left")
    seconds[0] += 1000
    reader.press("P")
    reader.wait_for("READING")
    assert node.GetDisplayNode().GetVisibility()
    assert slicer.app.layoutManager().sliceWidget("HierSynthReadingA").mrmlSliceNode().GetSliceOffset() == offset
    seconds[0] += 5
    reader.type_text("remark", "seen")
    reader.submit()
    rows = sqlite3.connect(study.folder / "record.sqlite").execute("SELECT item, active_s, idle_s FROM answers")
    times = {item: (active, idle) for item, active, idle in rows}
    assert times["remark"] == (15.0, 0.0)


def test_moving_the_mouse_over_the_images_counts_as_activity(host, panel, tmp_path, monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr("HierSynthPanel.reading.sign_in", functools.partial(sign_in, monotonic=lambda: seconds[0]))
    study = small_study(tmp_path)
    reader = Reader(host, panel, study)
    reader.sign_in()
    begun = seconds[0]
    for place in ((9.0, 6.0, 8.0), (6.0, 6.0, 8.0)):
        seconds[0] += 50
        reader.point_at(place)
    seconds[0] += 50
    reader.choose("quality", 0)
    seconds[0] += 100
    reader.choose("grade", 0)
    rows = sqlite3.connect(study.folder / "record.sqlite").execute("SELECT item, active_s, idle_s FROM answers")
    assert {row[0]: row[1:] for row in rows} == {"quality": (150.0, 0.0), "grade": (60.0, 40.0)}
    assert begun == 0


def test_scrolling_and_typing_count_as_activity(host, panel, tmp_path, monkeypatch):
    import slicer

    seconds = [0.0]
    monkeypatch.setattr("HierSynthPanel.reading.sign_in", functools.partial(sign_in, monotonic=lambda: seconds[0]))
    study = small_study(tmp_path)
    reader = Reader(host, panel, study)
    reader.sign_in()
    view = slicer.app.layoutManager().sliceWidget("HierSynthReading1")
    for offset in (6.0, 10.0):
        seconds[0] += 50
        view.sliceController().setSliceOffsetValue(offset)
        host.app.processEvents()
    seconds[0] += 50
    reader.choose("quality", 0)
    for text in ("one ", "two ", "three"):
        seconds[0] += 50
        reader.type_text("remark", text)
    reader.press("Ctrl+Return")
    rows = sqlite3.connect(study.folder / "record.sqlite").execute("SELECT item, active_s, idle_s FROM answers")
    assert {row[0]: row[1:] for row in rows} == {"quality": (150.0, 0.0), "remark": (150.0, 0.0)}


def test_the_keys_are_the_users_own_again_after_signing_out(host, reader, panel):
    from PySide6.QtGui import QShortcut

    keys = {shortcut.key.toString() for shortcut in host.window.findChildren(QShortcut)}
    assert {"1", "Space", "Left", "P"} <= keys
    assert "O" not in keys
    host.click(reader.ui.signOutButton)
    host.app.processEvents()
    host._delete_later()
    keys = {shortcut.key.toString() for shortcut in host.window.findChildren(QShortcut)}
    assert not {"1", "Space", "Left", "P"} & keys
    assert "O" in keys


def test_a_line_without_an_answer_has_no_handle(reader):
    slider = reader.slider("sure")
    assert "transparent" in slider.styleSheet
    reader.host.click(slider)
    assert slider.styleSheet == ""
    reader.host.wait(lambda: "sure" in reader.session.answers())
    assert reader.session.answers()["sure"] == float(slider.value)
