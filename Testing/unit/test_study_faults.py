"""Kills, power cuts, full disks, two processes, clocks and files that change: nothing is lost, nothing is doubled."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from HierSynthLib.errors import InputError, OutputError
from HierSynthLib.reader_study import verify
from HierSynthLib.reader_study.administration import close_study, recover_record
from HierSynthLib.reader_study.record import database
from HierSynthLib.reader_study.record.answers import read_answers
from HierSynthLib.reader_study.record.database import MIGRATIONS
from HierSynthLib.reader_study.record.refusals import BusyError, SignedInElsewhereError
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.reader_study.verify import verify_record
from Testing.reader_studies import Time, copied, make_study, read_session, some_answer

FIXTURES = Path(__file__).parents[1] / "fixtures"
KILLS = 200


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"), 4)


@pytest.fixture
def folder(made, tmp_path):
    return copied(made, tmp_path / "study")


@pytest.fixture
def time():
    return Time()


def stored(folder):
    """Every answer (reader, position, item, value), read with nothing but SQLite."""
    connection = sqlite3.connect(f"file:{folder / 'record.sqlite'}?mode=ro", uri=True)
    rows = connection.execute("SELECT reader, position, item, value FROM answers ORDER BY id").fetchall()
    connection.close()
    return [(reader, position, item, json.loads(value)) for reader, position, item, value in rows]


def kinds(folder):
    connection = sqlite3.connect(f"file:{folder / 'record.sqlite'}?mode=ro", uri=True)
    rows = [kind for (kind,) in connection.execute("SELECT kind FROM events ORDER BY seq")]
    connection.close()
    return rows


def answer_one(session):
    slot = session.show()
    for item in session.items:
        session.answer(item.id, some_answer(item, slot))
    return session.submit()


def test_killed_at_200_random_moments_no_answer_is_lost_or_doubled(tmp_path):
    study = make_study(tmp_path, 24, readers=["R1", "R2", "R3", "R4"], washout_days=0)
    done = subprocess.run(
        [sys.executable, FIXTURES / "killed_reader.py", study.folder, str(KILLS), "5"],
        stdout=subprocess.PIPE,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["kills"] == KILLS
    assert verify_record(study.folder).problems == []
    answers = stored(study.folder)
    assert {tuple(each) for each in told["acknowledged"]} <= set(answers)
    assert max(Counter(answers).values()) == 1
    saved = submitted(study.folder)
    for reader, position, last in told["resumed"]:
        # A submission may have been saved although the killed process did not live to tell; never the other way round.
        assert last < position
        assert {(reader, before) for before in range(1, position)} <= saved
    for reader in study.readers:
        own = [position for name, position in told["submitted"] if name == reader]
        assert own == sorted(set(own)), "a position was submitted twice"
        starts = [position for name, position, _ in told["resumed"] if name == reader]
        assert starts == sorted(starts), "reading went backwards"
        assert max(own) > 3, "the kills came too early to test anything"


def submitted(folder):
    connection = sqlite3.connect(f"file:{folder / 'record.sqlite'}?mode=ro", uri=True)
    rows = connection.execute("SELECT reader, position FROM submissions").fetchall()
    connection.close()
    return set(rows)


def test_after_a_power_cut_the_record_is_a_beginning_of_what_was_written(folder, tmp_path, time):
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        for _ in range(3):
            answer_one(session)
        # The disk as it is while the record is open, with everything still in the write-ahead log.
        frozen = shutil.copytree(folder, tmp_path / "frozen")
    everything = stored(frozen)
    log = (frozen / "record.sqlite-wal").read_bytes()
    assert len(everything) == 9
    assert len(log) > 30 * 4096
    lengths = set()
    cuts = [len(log) * part // 24 + shift for part, shift in zip(range(25), [0, 1, -1, 7, 100] * 5, strict=True)]
    for number, cut in enumerate(cuts):
        here = tmp_path / f"cut{number}"
        here.mkdir()
        for name in ("study.json", "record.sqlite"):
            shutil.copy(frozen / name, here)
        # What was not yet on the disk is missing, and the last sector before it holds anything.
        kept = max(0, cut)
        torn = log[: max(0, kept - 512)] + b"\xa5" * min(512, kept) if number % 2 else log[:kept]
        (here / "record.sqlite-wal").write_bytes(torn)
        left = stored(here)
        assert left == everything[: len(left)]
        problems = verify_record(here, images=False).problems
        assert problems == ["record.anchor is missing: whether the end of the log was cut off cannot be told."]
        lengths.add(len(left))
    assert len(lengths) > 5


def test_a_lost_end_is_told_and_reading_goes_on_after_it_was_noted(folder, tmp_path, time):
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        answer_one(session)
        early = shutil.copytree(folder, tmp_path / "early")
        answer_one(session)
    shutil.copy(folder / "record.anchor", early)
    with pytest.raises(InputError, match="ends at event") as caught, sign_in(early, "R1", clock=time):
        pass
    assert "hiersynth study recover" in caught.value.hint
    with pytest.raises(InputError, match="reason"):
        recover_record(early, "", clock=time)
    assert "are lost" in recover_record(early, "power cut", clock=time)
    with sign_in(early, "R1", clock=time, monotonic=time.monotonic) as session:
        assert session.slot.position == 2
        answer_one(session)
    found = verify_record(early, images=False)
    assert found.whole
    assert found.notes == ["Recoveries after a loss: 1."]
    with pytest.raises(InputError, match="Nothing is lost"):
        recover_record(early, "again", clock=time)


def test_a_changed_event_is_no_loss(folder, time):
    (folder / "record.anchor").write_text(f"{1:020d} {'f' * 64}\n")
    with pytest.raises(InputError, match="has other contents"), sign_in(folder, "R1", clock=time):
        pass
    with pytest.raises(InputError, match="changed, not lost"):
        recover_record(folder, "power cut", clock=time)
    (folder / "record.anchor").write_bytes(bytes(90))
    with pytest.raises(InputError, match="is damaged"), sign_in(folder, "R1", clock=time):
        pass
    assert recover_record(folder, "power cut", clock=time) == "The anchor was renewed."
    assert verify_record(folder).notes == ["Recoveries after a loss: 1."]


def test_a_lost_anchor_is_a_loss_that_is_noted(folder, time):
    (folder / "record.anchor").unlink()
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:  # nobody has worked with it yet
        answer_one(session)
    (folder / "record.anchor").unlink()
    with pytest.raises(InputError, match=r"no record\.anchor") as caught, sign_in(folder, "R1", clock=time):
        pass
    assert "hiersynth study recover" in caught.value.hint
    assert recover_record(folder, "power cut", clock=time) == "The anchor was renewed."
    with sign_in(folder, "R1", clock=time) as session:
        assert session.slot.position == 2
    assert verify_record(folder).notes == ["Recoveries after a loss: 1."]


def test_a_record_can_be_verified_while_a_reader_is_at_work(folder, time, monkeypatch):
    """Answers that come between reading the log, the tables and the anchor are no alteration."""
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        check = verify._chain_problems

        def interrupted(events):
            session.answer("quality", 1 + len(events) % 5)
            return check(events)

        monkeypatch.setattr(verify, "_chain_problems", interrupted)
        for _ in range(3):
            assert verify_record(folder, images=False).problems == []
    assert len(stored(folder)) == 3


def test_two_processes_that_write_at_once_wait_for_one_another(tmp_path):
    study = make_study(tmp_path, 3, readers=["R1", "R2", "R3"], modes=["side_by_side"])
    program = (
        "import sys; from pathlib import Path; from Testing.reader_studies import *;"
        "time = Time(); read_session(Path(sys.argv[1]), sys.argv[2], time)"
    )
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen([sys.executable, "-c", program, study.folder, reader], cwd=root) for reader in study.readers
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    answers = stored(study.folder)
    assert len(answers) == len(set(answers)) == 3 * 3 * 2
    assert verify_record(study.folder).problems == []


def test_one_reader_in_two_windows_the_second_takes_over(folder, time):
    with sign_in(folder, "R1", clock=time) as first:
        first.answer("quality", 2)
        with sign_in(folder, "R1", clock=time) as second:
            assert second.answers() == {"quality": 2}
            with pytest.raises(SignedInElsewhereError, match="R1 has signed in or out in another window"):
                first.answer("quality", 5)
            second.answer("certain", 50)
    assert stored(folder) == [("R1", 1, "quality", 2), ("R1", 1, "certain", 50.0)]


def test_a_record_that_another_program_keeps_locked_is_told(folder, time):
    with sign_in(folder, "R1", clock=time, wait_s=0.05) as session:
        other = sqlite3.connect(folder / "record.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError, match="being written by another process"):
            session.answer("quality", 2)
        other.execute("ROLLBACK")
        other.close()
        session.answer("quality", 2)
    assert stored(folder) == [("R1", 1, "quality", 2)]


def fill(session):
    for number in range(100):
        session.answer("remark", f"{number} " + "x" * 3000)


def test_a_full_disk_is_told_and_the_answer_can_be_given_again(folder, time):
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        connection = session._store.connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OutputError, match="disk is full") as caught:
            fill(session)
        assert "Nothing that was saved is lost" in caught.value.hint
        before = session.answers()
        connection.execute("PRAGMA max_page_count = 100000")
        session.answer("remark", "short")
        assert session.answers() == {"remark": "short"} != before
    assert verify_record(folder).whole
    with sign_in(folder, "R1", clock=time) as session:
        assert session.answers() == {"remark": "short"}


def test_a_clock_set_back_does_not_disturb_the_order_and_is_noted(folder, time):
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        answer_one(session)
        time.later(hours=-5)
        answer_one(session)
    assert kinds(folder).count("clock_set_back") == 1
    found = verify_record(folder)
    assert found.whole
    assert found.notes == ["Clock set back: 1."]
    close_study(folder, incomplete="test", clock=time)
    rows = read_answers(folder)
    assert [row.position for row in rows] == [1] * 3 + [2] * 3
    assert rows[3].given_at < rows[2].given_at
    assert all(0 <= row.active_s < 20 for row in rows)


def test_setting_the_clock_back_does_not_shorten_the_washout(folder, time):
    read_session(folder, "R1", time)
    time.later(days=-100)
    with pytest.raises(InputError, match="clock of this machine is behind"), sign_in(folder, "R1", clock=time):
        pass


def test_a_vanished_image_is_named_and_can_be_put_off(folder, made, time):
    slot = made.slots("R1")[1]
    image = folder / "images" / f"{slot.presentation.images[0]}.nii"
    content = image.read_bytes()
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        answer_one(session)
        image.unlink()
        with pytest.raises(InputError, match=f"{image.name} of position 2 is missing"):
            session.show()
        with pytest.raises(InputError, match="cannot be skipped"):
            session.skip("")
        assert session.skip("image is missing").position == 3
        answer_one(session)
        answer_one(session)
        assert session.slot.position == 2  # comes again at the end of the session
        image.write_bytes(content)
        answer_one(session)
        assert session.slot is None
    assert sorted(submitted(folder)) == [("R1", position) for position in range(1, 5)]
    assert verify_record(folder).notes == ["Positions put off: 1."]


def test_a_position_that_stays_missing_does_not_keep_from_the_next_session(folder, time):
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        session.skip("missing")
        for _ in range(3):
            answer_one(session)
        assert session.slot.position == 1
        assert session.skip("still missing") is None
    time.later(days=30)
    with sign_in(folder, "R1", clock=time) as session:
        assert session.number == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [('"text":"Quality"', '"text":"Beauty"'), ('"schedules":{"R1":[', '"schedules":{"R1":[[1,"PRESENTATION",false],')],
)
def test_a_form_or_schedule_changed_after_the_start_is_refused(folder, made, time, old, new):
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        answer_one(session)
    path = folder / "study.json"
    content = path.read_text("utf-8")
    assert old in content
    path.write_text(content.replace(old, new.replace("PRESENTATION", made.slots("R1")[0].presentation.id)), "utf-8")
    with pytest.raises(InputError, match=r"study\.json was changed") as caught, sign_in(folder, "R1", clock=time):
        pass
    assert "create a new study" in caught.value.hint
    path.write_text(content, "utf-8")
    with sign_in(folder, "R1", clock=time) as session:
        assert session.slot.position == 2


def test_files_added_to_the_images_change_nothing(folder, time):
    shutil.copy(next((folder / "images").iterdir()), folder / "images" / "another.nii")
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        answer_one(session)
        assert session.progress.total_in_all == 8
    assert verify_record(folder).whole


def test_a_record_of_version_1_is_brought_up_to_date(folder, time):
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        answer_one(session)
    new = folder / "record.sqlite"
    old = folder / "old.sqlite"
    connection = sqlite3.connect(old)
    connection.executescript(
        MIGRATIONS[0] + f"PRAGMA application_id = {database.APPLICATION_ID}; PRAGMA user_version = 1;"
    )
    connection.execute("ATTACH ? AS new", (str(new),))
    for table in ("events", "answers", "submissions"):
        connection.execute(f"INSERT INTO main.{table} SELECT * FROM new.{table}")  # noqa: S608
    connection.commit()
    connection.close()
    old.replace(new)
    assert verify_record(folder).whole  # an old file can be checked without being changed
    before = stored(folder)
    with sign_in(folder, "R1", clock=time, monotonic=time.monotonic) as session:
        assert session.slot.position == 2
        answer_one(session)
    assert stored(folder)[: len(before)] == before
    assert verify_record(folder).whole
    connection = sqlite3.connect(new)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        connection.execute("DELETE FROM answers")
    connection.close()


def test_files_that_are_no_record_or_too_new_are_told(folder, time):
    record = folder / "record.sqlite"
    content = record.read_bytes()
    connection = sqlite3.connect(record)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match="newer than this program"), sign_in(folder, "R1", clock=time):
        pass
    for wrong, words in ((b"not a database " * 100, "is damaged"), (b"", "no record"), (None, "has no record.sqlite")):
        record.unlink()
        if wrong is not None:
            record.write_bytes(wrong)
        with pytest.raises(InputError, match=words), sign_in(folder, "R1", clock=time):
            pass
        if wrong is None:
            record.write_bytes(content)
    with sign_in(folder, "R1", clock=time) as session:
        assert session.slot.position == 1
