"""Putting together what readers did on several machines, each with its own copy of the study's folder."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from HierSynthLib.errors import InputError
from HierSynthLib.files import atomic_folder
from HierSynthLib.reader_study.record import store as kinds
from HierSynthLib.reader_study.record.database import open_record, writing
from HierSynthLib.reader_study.record.events import Clock, Event, all_events, chain, timestamp, utc_now, write_anchor
from HierSynthLib.reader_study.record.store import insert_answer, insert_submission
from HierSynthLib.reader_study.study import IMAGES, STUDY_FILE, Study
from HierSynthLib.reader_study.verify import require_whole

_ORIGIN = "origin"
_SHOWN = 8


@dataclass(frozen=True)
class _Source:
    """The record of one machine: its folder, its events, and the SHA-256 of its last one."""

    folder: Path
    events: list[Event]

    def of(self, reader: str) -> list[Event]:
        """What concerns a reader."""
        return [event for event in self.events if event.reader == reader]


def merge_studies(
    folders: Sequence[Path], out: Path, take: Mapping[str, int] | None = None, *, clock: Clock = utc_now
) -> dict[str, tuple[int, str]]:
    """Write a new folder with the events of several copies of one study.

    A reader who worked on one machine only is taken from there. Where one record of a reader is the beginning of
    another, the longer one is taken. Otherwise the two contradict each other, and nothing is written unless `take`
    decides. What no reader did (recoveries, earlier merging) comes along from every record. The merged log has a chain
    of its own; each event says from which record and number it comes, and the event "merged" holds the last hash of
    every record. Keep the original folders: they prove the original chains.

    Args:
        folders: two or more copies of the same study.
        out: new folder.
        take: reader → number from 1 of the folder whose record counts.
        clock: tells the time with its zone.

    Returns:
        Reader → number of events, and in words where they come from.

    Raises:
        InputError: the studies differ, a record is not whole or closed, or readers contradict themselves; the message
            lists the positions.
        OutputError: the folder is not empty or cannot be written.
    """
    if len(folders) < 2:
        raise InputError("Merging needs two or more folders.", "Give them all.")
    studies = [Study.read(folder) for folder in folders]
    if len({study.sha256 for study in studies}) > 1:
        raise InputError("The folders belong to different studies.", "Merge copies of one and the same study.json.")
    # Images are taken from the first folder, and so are checked there.
    sources = [_read(Path(folder), images=number == 0) for number, folder in enumerate(folders)]
    chosen = _choose(sources, studies[0].readers, take or {})
    with atomic_folder(out) as folder:
        shutil.copy2(folders[0] / STUDY_FILE, folder / STUDY_FILE)
        shutil.copytree(folders[0] / IMAGES, folder / IMAGES)
        _write(folder, sources, chosen, clock)
    return {reader: (len(sources[number].of(reader)), f"from {folders[number]}") for reader, number in chosen.items()}


def _read(folder: Path, *, images: bool) -> _Source:
    require_whole(folder, acceptable=False, images=images)
    with open_record(folder, readonly=True) as connection:
        events = list(all_events(connection))
    closed = any(event.kind == kinds.CLOSED for event in events)
    if closed:
        raise InputError(f"The study in {folder} is closed.", "Merge first, then close the merged study.")
    return _Source(folder, events)


def _choose(sources: Sequence[_Source], readers: Sequence[str], take: Mapping[str, int]) -> dict[str, int]:
    """Of each reader the number of the source that counts."""
    wrong = next((name for name, n in take.items() if name not in readers or not 1 <= n <= len(sources)), None)
    if wrong is not None:
        raise InputError(f"--take {wrong}={take[wrong]} names no reader or folder.", "Count the folders from 1.")
    chosen, conflicts = {}, []
    for reader in readers:
        if reader in take:
            chosen[reader] = take[reader] - 1
            continue
        streams = [[_content(event) for event in source.of(reader)] for source in sources]
        longest = max(range(len(streams)), key=lambda number: len(streams[number]))
        chosen[reader] = longest
        for number, stream in enumerate(streams):
            if stream != streams[longest][: len(stream)]:
                conflicts.append(_conflict(reader, sources, number, longest))
    if conflicts:
        raise InputError(
            f"Records contradict each other: {'; '.join(conflicts)}.",
            "Decide which one counts: --take CODE=NUMBER of the folder. Nothing was written.",
        )
    return chosen


def _content(event: Event) -> tuple[str, str, str]:
    """What an event says, wherever it stands in its record: numbers of other events are left out."""
    body = json.loads(event.body)
    body.pop("amendment_of", None)
    body.pop(_ORIGIN, None)
    return event.at, event.kind, json.dumps(body, sort_keys=True)


def _conflict(reader: str, sources: Sequence[_Source], first: int, second: int) -> str:
    """In words: where two records of a reader differ."""
    one, other = (_values(sources[number].of(reader)) for number in (first, second))
    differing = sorted(
        {position for position, item in one.keys() & other.keys() if one[position, item] != other[position, item]}
    )
    twice = sorted({position for position, _ in one.keys() & other.keys()} - set(differing))
    parts = [
        f"{words} at position {', '.join(map(str, positions[:_SHOWN]))}{' …' if len(positions) > _SHOWN else ''}"
        for words, positions in (("different answers", differing), ("answered in both", twice))
        if positions
    ]
    return f"{reader} in folders {first + 1} and {second + 1} ({'; '.join(parts) or 'different sittings'})"


def _values(events: Sequence[Event]) -> dict[tuple[int, str], Any]:
    bodies = [json.loads(event.body) for event in events if event.kind in (kinds.ANSWERED, kinds.AMENDED)]
    return {(body["position"], body["item"]): body["value"] for body in bodies}


def _write(folder: Path, sources: Sequence[_Source], chosen: Mapping[str, int], clock: Clock) -> None:
    """The record of the merged study: all in the order of their time, each reader's in the order of the record."""
    streams = [[(event, number) for event in sources[number].of(reader)] for reader, number in chosen.items()]
    streams += _by_nobody(sources)
    ordered = sorted(
        (at, number, event.seq, event)
        for stream in streams
        # Where the clock of a reader stepped back, the time before it counts.
        for at, (event, number) in zip(accumulate((event.at for event, _ in stream), max), stream, strict=True)
    )
    first = sources[0].events[0]
    with open_record(folder, create=True) as connection:
        with writing(connection):
            chain(connection, "", kinds.CREATED, json.loads(first.body), first.at)
            last = chain(connection, "", kinds.MERGED, {"records": _heads(sources)}, timestamp(clock()))
            numbers: dict[tuple[int, int], int] = {}
            for _, number, seq, original in ordered:
                last = _copy(connection, original, number, numbers)
                numbers[number, seq] = last.seq
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    write_anchor(folder, last, durable=True)


def _copy(
    connection: sqlite3.Connection, original: Event, number: int, numbers: Mapping[tuple[int, int], int]
) -> Event:
    """Append an event of a source, and what follows from it; `numbers` are those of the events copied before."""
    body = json.loads(original.body)
    if body.get("amendment_of") is not None:
        body["amendment_of"] = numbers[number, body["amendment_of"]]
    # Of a record that was merged itself, where the event came from before stands last.
    body[_ORIGIN] = [number + 1, original.seq, original.hash, *([body[_ORIGIN]] if _ORIGIN in body else [])]
    event = chain(connection, original.reader, original.kind, body, original.at)
    if original.kind in (kinds.ANSWERED, kinds.AMENDED):
        insert_answer(connection, event, body)
    elif original.kind == kinds.SUBMITTED:
        insert_submission(connection, event, body["position"])
    return event


def _by_nobody(sources: Sequence[_Source]) -> list[list[tuple[Event, int]]]:
    """Of each record what no reader did; what several tell, because one is a copy of another, comes once."""
    known, streams = set(), []
    for number, source in enumerate(sources):
        new = [e for e in source.of("") if e.kind != kinds.CREATED and _content(e) not in known]
        known |= {_content(event) for event in new}
        streams.append([(event, number) for event in new])
    return streams


def _heads(sources: Sequence[_Source]) -> list[dict[str, Any]]:
    """The end of each record: its hash stands for everything before it."""
    return [{"head": f"{source.events[-1].seq}:{source.events[-1].hash}"} for source in sources]
