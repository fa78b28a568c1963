"""The SQLite file of a record: how it is opened, its tables, and how older files are brought up to date."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from HierSynthLib.errors import HierSynthError, InputError, OutputError
from HierSynthLib.reader_study.record.refusals import BusyError
from HierSynthLib.reader_study.study import RECORD_FILE

APPLICATION_ID: Final = 0x48535253
"""Marks the file as a record ("HSRS")."""

BUSY_S: Final = 10.0
"""How long to wait for another process that is writing, s (design value)."""

INTERACTIVE_WAIT_S: Final = 1.0
"""The same where a person would see a window that does not react, s (design value)."""

_VERSION_1 = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, reader TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL UNIQUE
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY REFERENCES events(seq), reader TEXT NOT NULL,
    session INTEGER NOT NULL, position INTEGER NOT NULL, presentation TEXT NOT NULL, item TEXT NOT NULL,
    value TEXT NOT NULL, given_at TEXT NOT NULL, active_s REAL NOT NULL, idle_s REAL NOT NULL,
    amendment_of INTEGER REFERENCES answers(id), reason TEXT NOT NULL, training INTEGER NOT NULL
);
CREATE TABLE submissions (
    reader TEXT NOT NULL, position INTEGER NOT NULL, event INTEGER NOT NULL UNIQUE REFERENCES events(seq),
    PRIMARY KEY (reader, position)
);
"""
_APPEND_ONLY = """
CREATE TRIGGER {table}_keep_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'the record only grows'); END;
"""
_VERSION_2 = "CREATE INDEX answers_by_position ON answers (reader, position, id);\n" + (
    "CREATE INDEX events_by_reader ON events (reader, kind, seq);\n"
    + "".join(
        _APPEND_ONLY.format(table=table, verb=verb)
        for table in ("events", "answers", "submissions")
        for verb in ("UPDATE", "DELETE")
    )
)
_VERSION_3 = "CREATE INDEX events_closed ON events (seq) WHERE kind = 'closed';\n"
MIGRATIONS: Final = (_VERSION_1, _VERSION_2, _VERSION_3)
"""What makes the next version out of each.

Version 2 added the indices and the triggers that refuse changes; version 3 the index by which every writer sees at once
whether the study is closed.
"""

_FULL = "The record could not be written: the disk is full."


@contextmanager
def open_record(
    folder: Path, *, readonly: bool = False, create: bool = False, wait_s: float | None = None
) -> Iterator[sqlite3.Connection]:
    """Open the record of a study folder, and close it at the end.

    Answers are durable when a transaction ends: write-ahead log, `synchronous` FULL.

    Args:
        folder: of the study.
        readonly: whether nothing may be written; an older file is then used as it is, also on a read-only medium.
        create: whether to make a new one.
        wait_s: how long to wait for another process that is writing; None takes `BUSY_S`.

    Raises:
        InputError: it is missing, damaged, no record, or of a newer version.
        OutputError: it cannot be written.
    """
    path = Path(folder) / RECORD_FILE
    if not create and not path.is_file():
        raise InputError(f"{folder} has no {RECORD_FILE}.", "Restore it from a copy, or give the folder of a study.")
    with explained(path), ExitStack() as stack:
        connection = _connect_to_read(path, stack) if readonly else _connect(path, "rwc", wait_s)
        try:
            _prepare(connection, path, readonly=readonly, create=create)
            yield connection
        finally:
            connection.close()


@contextmanager
def writing(connection: sqlite3.Connection, *, durable: bool = True) -> Iterator[None]:
    """One transaction: everything in it is written at its end, or nothing; other writers wait.

    Without `durable` its end does not wait for the disk; the end of the next durable one does for both.
    """
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it itself after some errors
            connection.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into those for users."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _for_users(error, path) from error


def _connect(path: Path, mode: str, wait_s: float | None = None) -> sqlite3.Connection:
    """Connect with a mode of https://www.sqlite.org/uri.html."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_S if wait_s is None else wait_s,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _connect_to_read(path: Path, stack: ExitStack) -> sqlite3.Connection:
    """Connect to a file that may lie where nothing can be written.

    SQLite needs a file for shared memory beside a write-ahead log, even for reading. Where it cannot be made nobody
    else writes either; so without a pending log the file is taken as unchangeable, and otherwise read from a copy.
    """
    connection = _connect(path, "ro")
    try:
        connection.execute("PRAGMA schema_version")  # the first that looks into the file
    except sqlite3.OperationalError as error:
        connection.close()
        if not getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
            raise
        log = path.with_name(f"{path.name}-wal")
        if not log.is_file() or not log.stat().st_size:
            return _connect(path, "ro&immutable=1")
        copy = Path(stack.enter_context(TemporaryDirectory())) / path.name
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        return _connect(copy, "ro")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, *, readonly: bool, create: bool) -> None:
    """Check that it is a record and bring it up to date."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID and not (create and version == 0):
        raise InputError(f"{path} is no record of a study.", "Restore it from a copy.")
    if version > len(MIGRATIONS):
        raise InputError(
            f"{path} has version {version}, newer than this program knows ({len(MIGRATIONS)}).", "Update HierSynth."
        )
    if readonly:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    if version < len(MIGRATIONS):
        with writing(connection):
            _migrate(connection)


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()  # another process may have been faster
    for script in MIGRATIONS[version:]:
        for statement in _statements(script):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _for_users(error: sqlite3.DatabaseError, path: Path) -> HierSynthError:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL"):
        return OutputError(_FULL, "Nothing that was saved is lost. Free some space and give the answer again.")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return BusyError(path)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return OutputError(
            f"{path} cannot be opened, or not for writing.", "Check the permissions of the study's folder."
        )
    if name.startswith("SQLITE_IOERR"):
        return OutputError(
            f"{path} could not be read or written ({name}).", "Check the disk and give the answer again."
        )
    if name.startswith("SQLITE_CONSTRAINT"):
        return InputError(f"{path} refused a change: {error}.", "The record only grows; nothing was written.")
    return InputError(f"{path} is damaged: {error}.", "Run 'hiersynth study verify', and restore a copy.")
