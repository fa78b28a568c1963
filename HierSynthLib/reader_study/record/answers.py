"""Answers as they are stored, and who may read them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.record.database import open_record


class AnswerRow(NamedTuple):
    """One answer to one item.

    Attributes:
        id: number of its event in the record.
        reader, session, position, presentation: where it was given.
        item: of the form.
        value: JSON scalar or list, see `Item`.
        given_at: UTC, ISO 8601 to the millisecond.
        active_s, idle_s: time since the previous answer (or since the presentation was shown), without pauses.
        submitted: whether the presentation has been submitted.
        amendment_of: id of the answer that it replaces after submission; None for the others.
        reason: of the amendment, otherwise "".
        training: whether it is for practice only.
    """

    id: int
    reader: str
    session: int
    position: int
    presentation: str
    item: str
    value: Any
    given_at: str
    active_s: float
    idle_s: float
    submitted: bool
    amendment_of: int | None
    reason: str
    training: bool


_ALL = """
SELECT a.id, a.reader, a.session, a.position, a.presentation, a.item, a.value, a.given_at, a.active_s, a.idle_s,
       s.position IS NOT NULL, a.amendment_of, a.reason, a.training
FROM answers AS a LEFT JOIN submissions AS s ON s.reader = a.reader AND s.position = a.position
"""


def select_answers(connection: sqlite3.Connection, reader: str, position: int | None = None) -> list[AnswerRow]:
    """The answers of one reader, the oldest first, also those that were replaced."""
    condition, values = " WHERE a.reader = ?", [reader]
    if position is not None:
        condition, values = condition + " AND a.position = ?", [reader, position]  # type: ignore[list-item]
    return [_row(row) for row in connection.execute(_ALL + condition + " ORDER BY a.id", values)]


def read_answers(folder: Path) -> list[AnswerRow]:
    """All answers of all readers, the oldest first, also those that were replaced.

    Raises:
        InputError: the study is not closed, or there is no record.
    """
    require_closed(folder)
    with open_record(folder, readonly=True) as connection:
        return [_row(row) for row in connection.execute(_ALL + " ORDER BY a.id")]


def require_closed(folder: Path) -> None:
    """Raise `InputError` when a study is not closed, or there is no record."""
    with open_record(folder, readonly=True) as connection:
        if not is_closed(connection):
            raise InputError(
                f"The study in {folder} is not closed.",
                "Readers may still be at work; end it with 'hiersynth study close'.",
            )


def final_answers(rows: list[AnswerRow]) -> list[AnswerRow]:
    """Of each reader, position and item the newest answer of a submitted presentation."""
    newest = {(row.reader, row.position, row.item): row for row in rows if row.submitted}
    return sorted(newest.values(), key=lambda row: (row.reader, row.position, row.id))


def is_closed(connection: sqlite3.Connection) -> bool:
    """Whether the study has been closed."""
    return connection.execute("SELECT 1 FROM events WHERE kind = 'closed' LIMIT 1").fetchone() is not None


def _row(row: tuple[Any, ...]) -> AnswerRow:
    fields = list(row)
    try:
        fields[6] = json.loads(row[6])
    except (TypeError, ValueError):  # only an alteration can cause it
        fields[6] = None
    fields[10], fields[13] = bool(row[10]), bool(row[13])
    return AnswerRow(*fields)
