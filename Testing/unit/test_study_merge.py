"""Putting together what was read on several machines."""

import json
import shutil
import sqlite3

import pytest

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.administration import close_study, recover_record, study_status
from HierSynthLib.reader_study.merge import merge_studies
from HierSynthLib.reader_study.record.answers import read_answers
from HierSynthLib.reader_study.record.refusals import DamagedRecordError
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.reader_study.verify import verify_record
from Testing.reader_studies import SEED, Time, copied, make_study, read_session


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"), 2)


@pytest.fixture
def machines(made, tmp_path):
    """Two machines with the same study, not yet read."""
    return [copied(made, tmp_path / name) for name in ("here", "there")]


def answers(folder):
    connection = sqlite3.connect(folder / "record.sqlite")
    rows = connection.execute("SELECT reader, position, item, value, given_at, active_s FROM answers").fetchall()
    connection.close()
    return sorted(rows)


def test_readers_of_two_machines_come_together(machines, tmp_path):
    time = Time()
    read_session(machines[0], "R1", time)
    read_session(machines[1], "R2", time)
    with sign_in(machines[1], "R2", clock=time, override="test") as session:
        session.answer("quality", 3)
    report = merge_studies(machines, tmp_path / "merged", clock=time)
    assert set(report) == {"R1", "R2"}
    assert answers(tmp_path / "merged") == sorted(answers(machines[0]) + answers(machines[1]))
    found = verify_record(tmp_path / "merged")
    assert found.whole
    assert "Sessions begun before the washout was over: 1." in found.notes
    with sign_in(tmp_path / "merged", "R2", clock=time) as session:  # and it goes on there
        assert (session.number, session.answers()) == (2, {"quality": 3})
    assert [verify_record(folder).whole for folder in machines] == [True, True]


def test_the_merged_log_names_the_events_and_heads_it_came_from(machines, tmp_path):
    read_session(machines[0], "R1", Time(), most=1)
    receipt = read_session(machines[1], "R2", Time(), most=1)
    merge_studies(machines, tmp_path / "merged", clock=Time())
    connection = sqlite3.connect(tmp_path / "merged" / "record.sqlite")
    events = connection.execute("SELECT reader, kind, body FROM events ORDER BY seq").fetchall()
    connection.close()
    heads = [each["head"] for each in json.loads(events[1][2])["records"]]
    assert heads == [verify_record(folder).receipt for folder in machines]
    assert heads[1] == receipt
    original = sqlite3.connect(machines[1] / "record.sqlite")
    known = original.execute("SELECT seq, hash FROM events WHERE reader = 'R2' ORDER BY seq").fetchall()
    original.close()
    assert [tuple(json.loads(body)["origin"][1:]) for reader, _, body in events if reader == "R2"] == known


def test_a_record_that_was_carried_on_elsewhere_replaces_its_beginning(made, tmp_path):
    time = Time()
    here = copied(made, tmp_path / "here")
    read_session(here, "R1", time, most=1)
    there = tmp_path / "there"
    shutil.copytree(here, there)
    read_session(there, "R1", time)
    merge_studies([here, there], tmp_path / "merged", clock=time)
    assert answers(tmp_path / "merged") == answers(there)
    merge_studies([there, here], tmp_path / "merged again", clock=time)
    assert answers(tmp_path / "merged again") == answers(there)


def test_a_contradiction_is_listed_nothing_is_written_and_a_choice_settles_it(machines, tmp_path):
    for folder, value in zip(machines, (2, 4), strict=True):
        fixed = {"likert": value, "confidence": 1.0, "text": "same"}
        read_session(folder, "R1", Time(), most=2, answer=lambda item, slot, fixed=fixed: fixed[item.kind])
    read_session(machines[1], "R2", Time(), most=1)
    with pytest.raises(InputError, match="R1 in folders 2 and 1") as caught:
        merge_studies(machines, tmp_path / "merged", clock=Time())
    assert "different answers at position 1, 2" in caught.value.message
    assert "R2" not in caught.value.message
    assert not (tmp_path / "merged").exists()
    merge_studies(machines, tmp_path / "merged", {"R1": 2}, clock=Time())
    assert answers(tmp_path / "merged") == answers(machines[1])
    with pytest.raises(InputError, match="--take R7=1"):
        merge_studies(machines, tmp_path / "again", {"R7": 1}, clock=Time())


def test_amendments_keep_what_they_replace(machines, tmp_path):
    time = Time()
    read_session(machines[1], "R2", time, most=1)  # moves the numbers of the events of R1
    read_session(machines[0], "R1", time, most=1)
    with sign_in(machines[0], "R1", clock=time) as session:
        session.back()
        session.amend("quality", 5, "wrong key")
    merge_studies(machines, tmp_path / "merged", clock=time)
    close_study(tmp_path / "merged", incomplete="test", clock=time)
    rows = {row.id: row for row in read_answers(tmp_path / "merged")}
    (new,) = (row for row in rows.values() if row.amendment_of is not None)
    old = rows[new.amendment_of]
    assert (old.reader, old.position, old.item, old.value) == ("R1", 1, "quality", 2)
    assert (new.value, new.reason) == (5, "wrong key")


def test_other_studies_altered_and_closed_records_are_refused(machines, made, tmp_path):
    other = make_study(tmp_path / "other", 2, seed=SEED + 1).folder
    with pytest.raises(InputError, match="different studies"):
        merge_studies([machines[0], other], tmp_path / "merged")
    with pytest.raises(InputError, match="two or more"):
        merge_studies(machines[:1], tmp_path / "merged")
    close_study(machines[1], incomplete="test", clock=Time())
    with pytest.raises(InputError, match="is closed"):
        merge_studies(machines, tmp_path / "merged")
    (machines[1] / "record.anchor").write_text(f"{1:020d} {'f' * 64}\n")
    with pytest.raises(Exception, match="made anew"):
        merge_studies(machines, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_of_three_machines_each_reader_is_found(made, tmp_path):
    folders = [copied(made, tmp_path / str(number)) for number in range(3)]
    read_session(folders[2], "R1", Time())
    report = merge_studies(folders, tmp_path / "merged", clock=Time())
    assert report["R1"][1] == f"from {folders[2]}"
    status = {each["reader"]: each["done"] for each in study_status(tmp_path / "merged")["readers"]}
    assert status == {"R1": 2, "R2": 0}


def bodies(folder, *kinds):
    connection = sqlite3.connect(folder / "record.sqlite")
    found = connection.execute("SELECT kind, body FROM events ORDER BY seq").fetchall()
    connection.close()
    return [json.loads(body) for kind, body in found if kind in kinds]


def test_recoveries_and_earlier_merging_stay_in_the_log(machines, tmp_path):
    time = Time()
    read_session(machines[0], "R1", time, most=1)
    (machines[0] / "record.anchor").unlink()
    recover_record(machines[0], "power cut", clock=time)
    copy = tmp_path / "copy"
    shutil.copytree(machines[0], copy)  # tells of the same recovery
    first, second = tmp_path / "merged", tmp_path / "merged again"
    merge_studies([machines[0], machines[1], copy], first, clock=time)
    read_session(machines[1], "R2", time, most=1)
    merge_studies([first, machines[1]], second, clock=time)
    assert [body["reason"] for body in bodies(second, "recovered")] == ["power cut"]
    newest, oldest = bodies(second, "merged")
    assert newest["records"][0]["head"] == verify_record(first).receipt
    assert oldest["records"][0]["head"] == verify_record(machines[0]).receipt
    origins = {tuple(body["origin"][3][1:3]) for body in bodies(second, "answered") if len(body["origin"]) == 4}
    connection = sqlite3.connect(machines[0] / "record.sqlite")
    known = set(connection.execute("SELECT seq, hash FROM events WHERE kind = 'answered'").fetchall())
    connection.close()
    assert origins == known
    found = verify_record(second)
    assert found.problems == []
    assert found.notes == ["Recoveries after a loss: 1.", "Records merged: 2."]


def test_images_that_were_changed_do_not_get_into_a_merged_study(machines, tmp_path):
    image = next((machines[0] / "images").iterdir())
    image.write_bytes(image.read_bytes()[:-1] + b"?")
    with pytest.raises(DamagedRecordError, match=f"{image.name} was changed") as caught:
        merge_studies(machines, tmp_path / "merged")
    assert "restore a copy" in caught.value.hint
    assert "--accept-damaged" not in caught.value.hint  # merging has no such option
    merge_studies(machines[::-1], tmp_path / "merged")
    assert verify_record(tmp_path / "merged").whole
