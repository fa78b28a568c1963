"""Whatever is changed in a record is found."""

# ruff: noqa: S608 - the names of tables and columns stand here

import hashlib
import json
import shutil
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.record.events import START, chain_hash
from HierSynthLib.reader_study.verify import verify_record
from Testing.reader_studies import Time, copied, make_study, read_session

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
