"""What goes wrong while somebody reads: it is said in place, no answer is lost, and reading goes on."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtTest import QTest

from HierSynthLib.reader_study.administration import close_study
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.reader_study.verify import verify_record
from Testing.panel.compare_case import add_volume, grid
from Testing.panel.reading_case import MODES, Reader, small_study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def panel(host):
    return host.open_module("HierSynth").panel


@pytest.fixture
def study(tmp_path):
    return small_study(tmp_path, 3)


@pytest.fixture
def reader(host, panel, study):
    return Reader(host, panel, study)


def answer_all(reader):
    reader.press("1", "Space", "1", "Space", "5")


def test_after_a_kill_reading_goes_on_at_the_same_question(reader, study):
    program = [sys.executable, "-m", "Testing.fixtures.killed_panel_reader", str(study.folder)]
    died = subprocess.run(program, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert (died.returncode, died.stdout.split()) == (-signal.SIGKILL, ["answered"])
    reader.sign_in()
    assert reader.session.slot.position == 2
    assert reader.session.answers() == {"quality": 5, "grade": "high"}
    assert [each.value for each in reader.panel.reading.form.items] == [5, "high", None, None, None]
    assert reader.panel.reading.form.current.item.id == "sure"
    assert verify_record(study.folder).whole


def writing_elsewhere(study):
    """A connection that holds the record, as another process that writes."""
    other = sqlite3.connect(study.folder / "record.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_what_cannot_be_saved_is_said_and_stays_in_the_form(host, reader, study, monkeypatch):
    monkeypatch.setattr("HierSynthPanel.reading.INTERACTIVE_WAIT_S", 0.05)
    reader.sign_in()
    other = writing_elsewhere(study)
    reader.choose("quality", 2)
    item = reader.item("quality")
    assert "Not saved" in item._ui.answerProblem.text
    assert "written by another process" in item._ui.answerProblem.text
    assert item._ui.answerProblem.visible
    reader.choose("grade", 1)
    reader.press("Space", "6")
    host.click(reader.ui.submitButton)
    assert "not saved" in reader.ui.errorLabel.text
    assert reader.session.slot.position == 1
    reader.press("P")
    assert reader.state == "READING"
    other.execute("ROLLBACK")
    other.close()
    reader.press("P", "P")
    assert item.value == 3
    reader.submit()
    with sign_in(study.folder, "R1", attach=True) as session:
        session.back()
        assert session.answers() == {"quality": 3, "grade": "high", "sure": 60.0}
    assert reader.session.slot.position == 2


def test_what_was_not_saved_is_named_when_the_reader_leaves(host, reader, study, monkeypatch):
    monkeypatch.setattr("HierSynthPanel.reading.INTERACTIVE_WAIT_S", 0.05)
    reader.sign_in()
    other = writing_elsewhere(study)
    reader.choose("quality", 2)
    reader.choose("grade", 0)
    host.click(reader.ui.signOutButton)
    other.close()
    told = reader.panel.study.ui.problemLabel.text
    assert "Not saved: Overall quality, Grade." in told
    assert "written by another process" in told


def test_while_the_record_cannot_be_written_the_next_one_waits(host, reader, study, monkeypatch):
    """What is shown without being noted would not count for the washout; putting it off makes no sense."""
    monkeypatch.setattr("HierSynthPanel.reading.INTERACTIVE_WAIT_S", 0.05)
    reader.sign_in()
    answer_all(reader)
    other = sqlite3.connect(study.folder / "record.sqlite", isolation_level=None)
    real = reader.session.submit

    def submit_then_block():
        real()
        other.execute("BEGIN IMMEDIATE")

    monkeypatch.setattr(reader.session, "submit", submit_then_block)
    host.click(reader.ui.submitButton)
    reader.wait_for("REFUSED")
    assert "written by another process" in reader.ui.missingLabel.text
    assert not reader.ui.skipButton.visible
    assert not reader.ui.formBox.visible
    assert shown_volumes() == [None, None]
    other.close()
    host.click(reader.ui.againButton)
    reader.wait_for("READING")
    assert reader.session.slot.position == 2


def shown_volumes():
    import slicer

    names = ("HierSynthReadingA", "HierSynthReading1")
    views = [slicer.app.layoutManager().sliceWidget(name) for name in names]
    return [view.mrmlSliceCompositeNode().GetBackgroundVolumeID() for view in views]


def test_required_questions_are_named(host, reader):
    reader.sign_in()
    reader.choose("quality", 0)
    host.click(reader.ui.submitButton)
    assert reader.ui.errorLabel.text == "✗ Not answered yet: Grade, How sure?"
    assert reader.panel.reading.form.current.item.id == "grade"
    assert reader.session.slot.position == 1


def test_who_signs_in_elsewhere_takes_over(host, reader, study):
    reader.sign_in()
    reader.choose("quality", 1)
    with sign_in(study.folder, "R1") as elsewhere:
        assert elsewhere.answers() == {"quality": 2}
        reader.choose("quality", 3)
        assert "another window" in reader.item("quality")._ui.answerProblem.text
        assert elsewhere.answers() == {"quality": 2}
        host.click(reader.ui.signOutButton)
        assert "another window" in reader.panel.study.ui.problemLabel.text
        assert reader.panel.inputs.widget.visible


def test_a_missing_image_is_named_and_put_off(host, reader, study):
    slots = study.slots("R1")
    lost = study.image_file(slots[1].presentation.images[0])
    kept = lost.read_bytes()
    lost.unlink()
    reader.sign_in()
    answer_all(reader)
    host.click(reader.ui.submitButton)
    reader.wait_for("MISSING")
    assert lost.name in reader.ui.missingLabel.text
    assert not reader.ui.formBox.visible
    host.click(reader.ui.skipButton)
    assert reader.state == "MISSING"
    assert "cannot be skipped" in reader.ui.errorLabel.text
    reader.ui.skipReason.setFocus()
    QTest.keyClicks(reader.ui.skipReason, "file lost")
    host.click(reader.ui.skipButton)
    reader.wait_for("READING")
    assert reader.session.slot.position == 3
    answer_all(reader)
    host.click(reader.ui.submitButton)
    reader.wait_for("MISSING")
    lost.write_bytes(kept[:-100])
    host.click(reader.ui.againButton)
    host.wait(lambda: reader.state == "MISSING" and "cut off" in reader.ui.missingLabel.text)
    lost.write_bytes(kept)
    host.click(reader.ui.againButton)
    reader.wait_for("READING")
    assert reader.session.slot.position == 2


def test_an_altered_image_is_not_shown(host, reader, study):
    altered = study.image_file(study.slots("R1")[0].presentation.images[0])
    right = altered.read_bytes()
    altered.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    reader.sign_in(expect="MISSING")
    assert f"{altered.name} was changed" in reader.ui.missingLabel.text
    import slicer

    assert slicer.util.getNodesByClass("vtkMRMLVolumeNode") == []
    altered.write_bytes(right)
    host.click(reader.ui.againButton)
    reader.wait_for("READING")
    events = sqlite3.connect(study.folder / "record.sqlite").execute("SELECT kind FROM events ORDER BY seq").fetchall()
    assert events[-2:] == [("signed_in",), ("shown",)]


def test_what_was_put_off_at_the_end_is_not_called_finished(host, panel, tmp_path):
    study = small_study(tmp_path)
    last = study.image_file(study.slots("R1")[1].presentation.images[0])
    right = last.read_bytes()
    last.unlink()
    reader = Reader(host, panel, study)
    reader.sign_in()
    answer_all(reader)
    host.click(reader.ui.submitButton)
    reader.wait_for("MISSING")
    reader.ui.skipReason.setFocus()
    QTest.keyClicks(reader.ui.skipReason, "lost")
    host.click(reader.ui.skipButton)
    reader.wait_for("FINISHED")
    assert "Put off: 1." in reader.ui.messageLabel.text
    host.click(reader.ui.signOutButton)
    last.write_bytes(right)
    host.click(panel.study.ui.lookBackButton)
    reader.wait_for("READING")
    assert reader.session.slot.position == 2


def test_washout_is_refused_with_its_end_and_can_be_overridden(host, panel, tmp_path):
    from HierSynthLib.reader_study.record.events import utc_now

    study = small_study(tmp_path, washout_days=28, clock=utc_now)
    reader = Reader(host, panel, study)
    reader.sign_in()
    reader.read_session(answer_all)
    ui = panel.study.ui
    assert not ui.overrideFrame.visible
    host.click(ui.signInButton)
    assert "Session 2 of R1 may begin on" in ui.problemLabel.text
    assert "28 days" in ui.problemLabel.text
    assert ui.overrideFrame.visible
    host.click(ui.overrideButton)
    assert not panel.reading.reading.active
    ui.overrideReason.setFocus()
    QTest.keyClicks(ui.overrideReason, "pilot")
    host.click(ui.overrideButton)
    reader.wait_for("READING")
    assert reader.session.number == 2
    events = sqlite3.connect(study.folder / "record.sqlite").execute("SELECT kind, body FROM events").fetchall()
    assert [body for kind, body in events if kind == "washout_overridden" and '"reason":"pilot"' in body]


def test_a_scene_with_other_images_is_refused(host, reader, study):
    add_volume("Patient", grid_values(), grid((2.0, 2.0, 2.0), (4, 4, 4)))
    reader.sign_in(expect="")
    assert "The scene is not empty" in reader.panel.study.ui.problemLabel.text
    assert not reader.panel.reading.reading.active
    host.close_scene()
    host.click(reader.panel.study.ui.signInButton)
    reader.wait_for("READING")
    kinds = [row[0] for row in sqlite3.connect(study.folder / "record.sqlite").execute("SELECT kind FROM events")]
    assert kinds.count("signed_in") == 1


def grid_values():
    import numpy as np

    return np.ones((4, 4, 4), np.float32)


def test_closing_the_scene_signs_out(host, reader, panel):
    reader.sign_in()
    reader.choose("quality", 0)
    host.close_scene()
    assert not panel.reading.reading.active
    assert panel.inputs.widget.visible
    assert panel.study.ui.receiptLabel.visible
    host.click(panel.study.ui.signInButton)
    reader.wait_for("READING")
    assert reader.session.answers() == {"quality": 1}


def test_closing_the_scene_keeps_what_is_being_typed(host, reader, panel):
    reader.sign_in()
    reader.type_text("remark", "rim")
    host.close_scene()
    host.click(panel.study.ui.signInButton)
    reader.wait_for("READING")
    assert reader.session.answers() == {"remark": "rim"}


def test_nothing_comes_into_the_scene_while_somebody_reads(host, reader, panel):
    ui = panel.study.ui
    panel.load_sample(size="small")
    reader.sign_in(expect="")
    assert "A case is being loaded" in ui.problemLabel.text
    panel.inputs.drop()
    host.click(ui.signInButton)
    reader.wait_for("READING")
    panel.load_sample(size="small")
    assert "Sign out first" in reader.ui.errorLabel.text
    assert not panel.inputs.loading


def test_leaving_the_module_is_a_pause(host, reader, panel):
    reader.sign_in()
    host.window.moduleSelector().selectModule("")
    assert reader.session.paused
    host.open_module("HierSynth")
    assert reader.state == "PAUSED"
    reader.press("P")
    reader.wait_for("READING")


def test_unloading_the_module_signs_out(host, reader, study):
    reader.sign_in()
    host.close_module("HierSynth")
    rows = sqlite3.connect(study.folder / "record.sqlite").execute("SELECT kind FROM events ORDER BY seq").fetchall()
    assert rows[-1] == ("signed_out",)


def test_unusable_studies_are_refused_in_place(host, panel, study, tmp_path):
    ui = panel.study.ui
    ui.studyButton.collapsed = False
    panel.study.open(str(tmp_path / "nothing"))
    assert "has no study.json" in ui.problemLabel.text
    assert not ui.signInButton.enabled
    text = (study.folder / "study.json").read_text()
    (study.folder / "study.json").write_text(text.replace("Small study", "Other study"))
    panel.study.open(str(study.folder))
    host.click(ui.signInButton)
    assert "study.json was changed" in ui.problemLabel.text
    (study.folder / "study.json").write_text(text)
    close_study(study.folder, incomplete="test")
    panel.study.open("")
    panel.study.open(str(study.folder))
    assert "closed" in ui.statusButton.text
    host.click(ui.signInButton)
    assert "The study is closed" in ui.problemLabel.text


def test_an_unknown_colour_map_is_named(host, panel, tmp_path):
    study = small_study(tmp_path, display={"color_map": "Glitter"})
    reader = Reader(host, panel, study)
    reader.sign_in(expect="")
    assert 'colour map "Glitter"' in panel.study.ui.problemLabel.text


def test_going_back_can_be_forbidden(host, panel, tmp_path):
    reader = Reader(host, panel, small_study(tmp_path, allow_back=False))
    reader.sign_in()
    answer_all(reader)
    reader.submit()
    assert not reader.ui.backButton.visible
    reader.press("Left")
    assert reader.session.slot.position == 2


def test_amending_needs_a_reason_and_keeps_the_old_answer(host, panel, tmp_path):
    study = small_study(tmp_path, modes=[MODES[0]])
    reader = Reader(host, panel, study)
    reader.sign_in()
    answer_all(reader)
    reader.submit()
    reader.press("Left")
    reader.wait_for_next(2)
    assert reader.ui.amendFrame.visible
    reader.press("4")
    assert reader.session.answers()["quality"] == 1
    assert not reader.item("quality").widget.enabled
    reader.ui.amendReason.setFocus()
    QTest.keyClicks(reader.ui.amendReason, "slipped 2")
    reader.choose("quality", 3)
    rows = sqlite3.connect(study.folder / "record.sqlite").execute(
        "SELECT value, amendment_of IS NOT NULL, reason FROM answers WHERE item = 'quality' ORDER BY id"
    )
    assert rows.fetchall() == [("1", 0, ""), ("4", 1, "slipped 2")]
    reader.press("Right")
    reader.wait_for_next(1)
    assert not reader.ui.amendFrame.visible


def test_a_finished_session_can_be_looked_back_at(host, panel, tmp_path):
    study = small_study(tmp_path, readers=["R1", "R2"])
    reader = Reader(host, panel, study)
    ui = panel.study.ui
    reader.sign_in()
    assert not ui.lookBackButton.visible
    reader.read_session(answer_all)
    assert ui.lookBackButton.text == "Look back at session 1"
    host.click(ui.lookBackButton)
    reader.wait_for("FINISHED")
    reader.press("Left")
    reader.wait_for("READING")
    assert reader.session.slot.position == 2
    reader.ui.amendReason.setFocus()
    QTest.keyClicks(reader.ui.amendReason, "slipped")
    reader.choose("quality", 4)
    host.click(reader.ui.signOutButton)
    rows = sqlite3.connect(study.folder / "record.sqlite").execute(
        "SELECT position, value, reason FROM answers WHERE item = 'quality' ORDER BY id"
    )
    assert rows.fetchall()[-1] == (2, "5", "slipped")
    host.choose(ui.readerSelector, "R2")
    assert not ui.lookBackButton.visible
    reader.sign_in("R1")
    assert reader.session.number == 2
