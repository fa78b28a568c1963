"""Small reader studies for tests: cases of a few voxels, and readers who are programs."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.case import Case, Role
from HierSynthLib.progress import Silent
from HierSynthLib.reader_study.create import create_study, read_cases
from HierSynthLib.reader_study.form import Form, Item
from HierSynthLib.reader_study.protocol import Protocol
from HierSynthLib.reader_study.record.database import open_record, writing
from HierSynthLib.reader_study.record.events import Event, chain, timestamp, write_anchor
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.reader_study.record.store import ANSWERED, SIGNED_IN, SUBMITTED, insert_answer, insert_submission
from HierSynthLib.reader_study.study import Slot, Study
from HierSynthLib.volume import Volume, write_volume

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

SEED = 2**60 + 7

FORM = {
    "id": "small",
    "title": "Small form",
    "items": [
        {"id": "quality", "kind": "likert", "text": "Quality", "anchors": ["bad", "", "", "", ""], "modes": ["single"]},
        {"id": "certain", "kind": "confidence", "text": "How sure?", "about": "quality", "modes": ["single"]},
        {
            "id": "better", "kind": "choice", "text": "Which?", "options": ["left", "none", "right"],
            "purpose": "preference", "modes": ["side_by_side"],
        },
        {"id": "remark", "kind": "text", "text": "Remarks"},
    ],
}  # fmt: skip


def plan(**changes: Any) -> dict[str, Any]:
    """A protocol with two arms, two readers and two sessions, as read from a file."""
    return {
        "id": "small",
        "title": "Small study",
        "arms": [
            {"name": "gadolinium", "source": "CBV_acquired", "reference": True},
            {"name": "zebrafish", "source": "made/map.nii.gz", "origin": "synthetic"},
        ],
        "modes": [{"kind": "single", "sources": ["T1"]}],
        "readers": ["R1", "R2"],
        "seed": SEED,
    } | changes


class Time:
    """A clock that is moved by hand; each look at it takes a second."""

    def __init__(self, now: datetime = START) -> None:
        self.now, self._elapsed = now, 0.0

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def monotonic(self) -> float:
        """Seconds that no setting of the clock changes: one for each look."""
        self._elapsed += 1.0
        return self._elapsed

    def later(self, **amount: float) -> None:
        """Let time pass, or set the clock back."""
        self.now += timedelta(**amount)


def write_case(folder: Path, number: int, *, shape: tuple[int, int, int] = (8, 7, 6)) -> Path:
    """A case folder with random maps: the acquired one has larger voxels, and both have zeros outside a ball."""
    random = np.random.default_rng(number)
    affine = np.diag([3.0, 3.0, 4.0, 1.0])
    fine = affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] = affine[:3, :3] @ ([-0.25] * 3)
    doubled = tuple(2 * n for n in shape)
    name = f"patient-{number:03d}"
    here = folder / name
    acquired = random.gamma(4.0, 0.3, shape).astype(np.float32)
    synthetic = random.gamma(16.0, 0.07, doubled).astype(np.float64)
    write_volume(Volume(np.where(_ball(shape), acquired, 0), affine), here / "CBV_acquired.nii.gz")
    write_volume(Volume(np.where(_ball(doubled), synthetic, 0), fine), here / "made" / "map.nii.gz")
    write_volume(Volume(random.integers(0, 900, shape).astype(np.int16), affine), here / "T1.nii.gz")
    files = {Role.T1: here / "T1.nii.gz", Role.CBV_ACQUIRED: here / "CBV_acquired.nii.gz"}
    Case(name, files, facts={"grade": "high" if number % 2 else "low"}).write(here)
    return here


def _ball(shape: tuple[int, int, int]) -> np.ndarray:
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return i**2 + j**2 + k**2 < 1.2


def make_study(
    folder: Path,
    cases: int = 4,
    *,
    form: Mapping[str, Any] = FORM,
    clock: Callable[[], datetime] | None = None,
    **changes: Any,
) -> Study:
    """A study in `folder`/study with its key in `folder`/key.json."""
    folders = [write_case(folder / "cases", number) for number in range(1, cases + 1)]
    return create_study(
        Protocol.parse(plan(**changes)),
        Form.parse(form),
        read_cases(folders),
        folder / "study",
        folder / "key.json",
        Silent(),
        clock=clock or Time(),
    )


def copied(study: Study, target: Path) -> Path:
    """A copy of a study's folder."""
    return Path(shutil.copytree(study.folder, target))


def some_answer(item: Item, slot: Slot) -> Any:
    """An answer to an item that follows from the position only."""
    match item.kind:
        case "likert" | "choice":
            return item.options[slot.position % len(item.options)].value
        case "confidence":
            return float(slot.position % 101)
        case "flag":
            return slot.position % 2 == 0
        case "text":
            return f"position {slot.position}"
        case "hotspots":
            return [{"centre_mm": [1.0, 2.0, float(slot.position)], "radius_mm": 3.0}]
        case _:
            return [{"points_mm": [[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, float(slot.position)]]}]


def read_session(
    folder: Path,
    reader: str,
    time: Time,
    *,
    answer: Callable[[Item, Slot], Any] = some_answer,
    most: int = 10**6,
    override: str = "",
) -> str:
    """Read up to `most` presentations of one session; returns the receipt."""
    with sign_in(folder, reader, clock=time, monotonic=time.monotonic, override=override) as session:
        for _ in range(most):
            slot = session.show()
            if slot is None:
                break
            for item in session.items:
                session.answer(item.id, answer(item, slot))
            session.submit()
        return session.sign_out()


def read_everything(folder: Path, time: Time, answer: Callable[[Item, Slot], Any] = some_answer) -> None:
    """Every reader reads every session, four weeks apart."""
    study = Study.read(folder)
    for _ in range(max(slot.session for slot in study.slots(study.readers[0]))):
        for reader in study.readers:
            read_session(folder, reader, time, answer=answer)
        time.later(days=29)


def fill_record(study: Study, time: Time, answer: Callable[[Item, Slot], Any] = some_answer, leave: int = 0) -> None:
    """Write what reading everything would write, in one transaction, for large simulated studies.

    Args:
        study: whose record is filled.
        time: moved on by a second for each event, and by 29 days between sessions.
        answer: of the reader.
        leave: how many positions at the end of each schedule stay unread.
    """
    with open_record(study.folder) as connection, writing(connection):
        for session in sorted({slot.session for slots in study.schedules.values() for slot in slots}):
            for reader in study.readers:
                slots = study.slots(reader)[: len(study.slots(reader)) - leave]
                event = chain(connection, reader, SIGNED_IN, {"session": session}, timestamp(time()))
                for slot in (slot for slot in slots if slot.session == session):
                    event = _fill_slot(connection, study, reader, slot, time, answer)
            time.later(days=29)
    write_anchor(study.folder, event, durable=True)


def _fill_slot(
    connection: sqlite3.Connection,
    study: Study,
    reader: str,
    slot: Slot,
    time: Time,
    answer: Callable[[Item, Slot], Any],
) -> Event:
    place = {"position": slot.position, "presentation": slot.presentation.id}
    chain(connection, reader, "shown", place, timestamp(time()))
    for item in study.form.asked(slot.presentation.mode):
        body = {
            **place,
            "session": slot.session,
            "item": item.id,
            "value": item.check(answer(item, slot)),
            "active_s": 4.0,
            "idle_s": 0.0,
            "amendment_of": None,
            "reason": "",
            "training": slot.training,
        }
        insert_answer(connection, chain(connection, reader, ANSWERED, body, timestamp(time())), body)
    event = chain(connection, reader, SUBMITTED, {**place, "active_s": 1.0, "idle_s": 0.0}, timestamp(time()))
    insert_submission(connection, event, slot.position)
    return event


def events(folder: Path, *kinds: str) -> list[dict[str, Any]]:
    """Bodies of the events of some kinds, read with nothing but SQLite."""
    with sqlite3.connect(folder / "record.sqlite") as connection:
        rows = connection.execute("SELECT kind, body FROM events ORDER BY seq").fetchall()
    connection.close()
    return [json.loads(body) for kind, body in rows if kind in kinds]


def at_work(folder: Path, time: Time, reader: str = "R1", **options: Any) -> Any:
    """A reader who signs in with the clock of the test."""
    return sign_in(folder, reader, clock=time, monotonic=time.monotonic, **options)
