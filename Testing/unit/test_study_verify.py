"""Whatever is changed in a record is found."""

# ruff: noqa: S608 - the names of tables and columns stand here

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.administration import close_study
from HierSynthLib.reader_study.closed import read_closed
from HierSynthLib.reader_study.record.answers import is_closed
from HierSynthLib.reader_study.record.database import open_record, writing
from HierSynthLib.reader_study.record.events import START, chain, chain_hash, write_anchor
from HierSynthLib.reader_study.record.refusals import DamagedRecordError
from HierSynthLib.reader_study.record.store import insert_answer, insert_submission
from HierSynthLib.reader_study.verify import verify_record
from Testing.reader_studies import Time, copied, make_study, read_session

ROOT = Path(__file__).parents[2]
TABLES = ("events", "answers", "submissions")


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    study = make_study(tmp_path_factory.mktemp("study"), 3)
    receipt = read_session(study.folder, "R1", Time())
    read_session(study.folder, "R2", Time(), most=2)
    with sqlite3.connect(study.folder / "record.sqlite") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return study, receipt


@pytest.fixture
def folder(read, tmp_path):
    return copied(read[0], tmp_path / "study")


def forge(folder, *statements):
    """Change the file as somebody with an SQLite tool would, who first removes the triggers."""
    connection = sqlite3.connect(folder / "record.sqlite")
    with connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement, *values in statements:
            connection.execute(statement, values)
    connection.close()


def rows(folder, table):
    connection = sqlite3.connect(folder / "record.sqlite")
    found = connection.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall()
    connection.close()
    return found


def rechained(folder, change):
    """Make the whole log anew from changed events, with correct hashes."""
    events = change([list(row[1:]) for row in rows(folder, "events")])
    previous, statements = START, [("DELETE FROM events",)]
    for seq, event in enumerate(events, start=1):
        event[0], event[5] = seq, previous
        event[6] = previous = chain_hash(*event[:6])
        statements.append(("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", *event))
    forge(folder, *statements)
    return previous


def test_an_untouched_record_is_whole_and_its_hashes_are_sha_256_of_json(folder, read):
    found = verify_record(folder, [read[1]])
    assert found.whole
    assert found.answers == 3 * 5
    previous = "0" * 64
    for _, seq, at, reader, kind, body, before, digest in rows(folder, "events"):
        assert before == previous
        text = json.dumps([seq, at, reader, kind, body, before], separators=(",", ":"), ensure_ascii=False)
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert digest == previous
    assert found.receipt == f"{seq}:{previous}"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_edited_field_is_found(read, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("edited")
    for name in ("study.json", "record.sqlite", "record.anchor"):
        shutil.copy(read[0].folder / name, folder)
    table = data.draw(st.sampled_from(TABLES))
    found = rows(folder, table)
    row = data.draw(st.sampled_from(found))
    names = [column[1] for column in info(folder, table)]
    name = data.draw(st.sampled_from(names))
    old = row[1 + names.index(name)]
    new = data.draw(
        (st.text("abcXYZ019", max_size=8) if isinstance(old, str) else st.integers(900, 999)).filter(lambda v: v != old)
    )
    forge(folder, ("PRAGMA foreign_keys = OFF",), (f"UPDATE {table} SET {name} = ? WHERE rowid = ?", new, row[0]))
    assert verify_record(folder, images=False).problems


def info(folder, table):
    connection = sqlite3.connect(folder / "record.sqlite")
    found = connection.execute(f"PRAGMA table_info({table})").fetchall()
    connection.close()
    return found


@pytest.mark.parametrize("table", TABLES)
def test_any_removed_row_is_found(folder, tmp_path, table):
    for number, row in enumerate(rows(folder, table)):
        here = tmp_path / f"{number}"
        shutil.copytree(folder, here)
        forge(here, (f"DELETE FROM {table} WHERE rowid = ?", row[0]))
        assert verify_record(here, images=False).problems, row


def test_an_inserted_answer_is_found(folder):
    columns = "999, reader, session, position, presentation, item, '1', given_at, 0, 0, NULL, '', 0"
    forge(folder, (f"INSERT INTO answers SELECT {columns} FROM answers LIMIT 1",))
    assert (
        "There is a row 999 of answers that the log does not tell of." in verify_record(folder, images=False).problems
    )


def test_exchanged_events_are_found(folder):
    forge(
        folder,
        ("UPDATE events SET seq = -5 WHERE seq = 5",),
        ("UPDATE events SET seq = 5 WHERE seq = 6",),
        ("UPDATE events SET seq = 6 WHERE seq = -5",),
    )
    assert any("was changed" in problem for problem in verify_record(folder, images=False).problems)


def test_an_end_cut_off_cleanly_is_found_by_the_anchor_and_by_a_receipt(folder, read):
    number, digest = read[1].split(":")
    last = rows(folder, "events")[-1][0]
    columns = {"answers": "id", "submissions": "event", "events": "seq"}
    forge(folder, *((f"DELETE FROM {table} WHERE {name} >= ?", int(number)) for table, name in columns.items()))
    (problem,) = verify_record(folder, images=False).problems
    assert problem == f"The end of the log was cut off: the anchor knows event {last}, the last is {int(number) - 1}."
    # Without the anchor, and without a receipt, nobody could tell; the missing anchor itself is told.
    (folder / "record.anchor").unlink()
    assert verify_record(folder, images=False).problems == [
        "record.anchor is missing: whether the end of the log was cut off cannot be told."
    ]
    (folder / "record.anchor").write_text(f"{int(number) - 1} {rows(folder, 'events')[-1][7]}\n")
    assert verify_record(folder, images=False).whole
    assert any("a receipt knows event" in p for p in verify_record(folder, [f"{number}:{digest}"]).problems)


def test_a_log_made_anew_is_found_by_the_anchor_and_by_a_receipt(folder, read):
    def better(events):
        for event in events:
            event[4] = event[4].replace('"value":3}', '"value":5}')
        return events

    last = rechained(folder, better)
    forge(folder, ("UPDATE answers SET value = '5' WHERE item = 'quality' AND value = '3'",))
    assert any("made anew" in problem for problem in verify_record(folder, images=False).problems)
    (folder / "record.anchor").write_text(f"{rows(folder, 'events')[-1][0]} {last}\n")
    assert verify_record(folder, images=False).whole  # this is what only a receipt finds
    assert any("made anew" in problem for problem in verify_record(folder, [read[1]], images=False).problems)


def test_a_changed_study_or_image_is_found(folder):
    image = next((folder / "images").iterdir())
    image.write_bytes(image.read_bytes()[:-4] + b"\0\0\0?")
    (problem,) = verify_record(folder).problems
    assert problem == f"Images: {image.name} was changed."
    image.unlink()
    assert verify_record(folder).problems == [f"Images: {image.name} is missing."]
    study = folder / "study.json"
    study.write_text(study.read_text().replace("Small study", "Large study"))
    assert "study.json was changed after the study began." in verify_record(folder, images=False).problems


def test_a_damaged_file_is_told(folder):
    record = folder / "record.sqlite"
    content = bytearray(record.read_bytes())
    content[4096 * 3 : 4096 * 5] = bytes(8192)
    record.write_bytes(content)
    assert verify_record(folder, images=False).problems


def test_what_is_no_receipt_is_refused(folder):
    with pytest.raises(InputError, match="no receipt"):
        verify_record(folder, ["12"])


def test_the_file_itself_refuses_changes(folder):
    connection = sqlite3.connect(folder / "record.sqlite")
    for table in TABLES:
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET reader = 'X'"):
            with pytest.raises(sqlite3.IntegrityError, match="only grows"):
                connection.execute(statement)
    connection.close()


ANSWER = {"session": 1, "active_s": 1.0, "idle_s": 0.0, "amendment_of": None, "reason": "", "training": False}


def appended(folder, study, *made_up):
    """Write events with a correct chain, tables and anchor, as somebody who has this program can."""
    with open_record(folder) as connection, writing(connection):
        for reader, kind, changes in made_up:
            position = changes.get("position", 1)
            body = {"position": position, "presentation": study.slots("R1")[position - 1].presentation.id}
            if kind in ("answered", "amended"):
                body |= ANSWER | {"item": "quality", "value": 5}
            event = chain(connection, reader, kind, body | changes, "2026-03-01T09:00:00.000Z")
            if kind in ("answered", "amended"):
                insert_answer(connection, event, body | changes)
            if kind == "submitted" and position != 1:
                insert_submission(connection, event, position)
    write_anchor(folder, event)
    return event.seq


@pytest.mark.parametrize(
    ("reader", "kind", "changes", "words"),
    [
        ("R1", "answered", {}, "R1 answered after submission, and without amending, position 1"),
        ("R1", "amended", {}, "R1 amended without a reason position 1"),
        ("R1", "amended", {"reason": "x", "amendment_of": 4, "item": "remark"}, "amended an answer to something else"),
        ("R2", "amended", {"reason": "x", "position": 3}, "tells of a position that is not in the schedule of R2"),
        ("R1", "answered", {"position": 4, "item": "better", "session": 2}, "answers what was not asked at position 4"),
        ("R1", "answered", {"position": 4, "session": 1}, "answers what was not asked at position 4"),
        ("R7", "signed_in", {}, '"R7", who is no reader'),
        ("", "answered", {}, 'is by "", who is no reader'),
    ],
)
def test_a_chain_that_is_right_but_tells_what_cannot_have_happened_is_found(folder, read, reader, kind, changes, words):
    number = appended(folder, read[0], (reader, kind, changes))
    problems = verify_record(folder, images=False).problems
    assert any(words in problem and f"Event {number}" in problem for problem in problems)


def test_events_after_the_end_are_found(folder, read):
    close_study(folder, incomplete="test", clock=Time())
    number = appended(folder, read[0], ("R1", "signed_in", {"session": 2}))
    assert verify_record(folder, images=False).problems == [
        f"Event {number} (signed_in) came after the study was closed."
    ]


def test_a_damaged_record_is_neither_closed_nor_read_without_a_reason_that_is_kept(folder):
    forge(folder, ("UPDATE answers SET value = '5' WHERE item = 'quality'",))
    with pytest.raises(DamagedRecordError, match="is not the one that the log tells of") as caught:
        close_study(folder, incomplete="test", clock=Time())
    assert "--accept-damaged REASON" in caught.value.hint
    with pytest.raises(InputError, match="not closed"):
        read_closed(folder)
    close_study(folder, incomplete="test", accept_damaged="the disk broke", clock=Time())
    with pytest.raises(DamagedRecordError):
        read_closed(folder)
    record = read_closed(folder, accept_damaged="the disk broke")
    assert record.verification.problems == caught.value.problems == record.verification.accepted_problems
    assert record.verification.accepted == "the disk broke"
    assert record.events[-1].kind == "closed"
    assert any("Closed although the record was not whole (the disk broke)" in n for n in record.verification.notes)


def test_closing_checks_the_images_and_reading_does_where_they_are_measured(folder):
    image = next((folder / "images").iterdir())
    content = image.read_bytes()
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedRecordError, match=f"{image.name} was changed"):
        close_study(folder, incomplete="test", clock=Time())
    image.write_bytes(content)
    close_study(folder, incomplete="test", clock=Time())
    assert read_closed(folder, images=True).verification.whole
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert len(read_closed(folder).answers) == 3 * 5
    with pytest.raises(DamagedRecordError, match=f"{image.name} was changed"):
        read_closed(folder, images=True)


def test_answers_that_no_receipt_covers_are_named(folder, read):
    told = "Answers after the last of these receipts: R2 (6)."
    assert told in verify_record(folder, [read[1]], images=False).notes
    last = rows(folder, "events")[-1]
    assert told not in verify_record(folder, [read[1], f"{last[1]}:{last[7]}"], images=False).notes


READ_ONLY = """
import os, sys
from pathlib import Path
from HierSynthLib.reader_study.verify import verify_record
verify_record(Path(sys.argv[2]), images=False)  # loads what Python loads late, which others may not read
if os.geteuid() == 0:
    os.setuid(65534)
found = verify_record(Path(sys.argv[1]), images=False)
print(found.problems, found.answers)
"""


@pytest.mark.parametrize("pending", [False, True], ids=["one file", "with a write-ahead log"])
def test_a_copy_where_nothing_can_be_written_is_verified(read, pending):
    with TemporaryDirectory() as name:  # not below tmp_path, which others may not enter
        folder = copied(read[0], Path(name) / "study")
        if pending:
            with open_record(folder) as connection:
                with writing(connection):
                    chain(connection, "R2", "signed_out", {}, "2026-03-01T09:30:00.000Z")
                for suffix in ("", "-wal"):  # as it is when the machine stops: closing would empty the log
                    shutil.copy(folder / f"record.sqlite{suffix}", Path(name) / f"kept{suffix}")
            for suffix in ("", "-wal"):
                shutil.move(Path(name) / f"kept{suffix}", folder / f"record.sqlite{suffix}")
        for path in (Path(name), folder, *folder.iterdir()):
            path.chmod(0o555 if path.is_dir() else 0o444)
        program = [sys.executable, "-c", READ_ONLY, folder, read[0].folder]
        told = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, check=False)
        Path(name).chmod(0o755)
        folder.chmod(0o755)
        assert told.stdout == "[] 15\n", told.stderr
        assert not (folder / "record.sqlite-shm").exists()


def test_whether_a_study_is_closed_needs_no_look_at_every_event(folder):
    with open_record(folder) as connection:
        asked = []
        connection.set_trace_callback(asked.append)
        assert not is_closed(connection)
        connection.set_trace_callback(None)
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()
    assert "INDEX events_closed" in plan[3]
