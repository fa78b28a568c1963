"""A program that reads a study, so that everything after the reading can be tried out before people begin."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from HierSynthLib.errors import InputError
from HierSynthLib.progress import Reporter
from HierSynthLib.reader_study.form import Item
from HierSynthLib.reader_study.record.reading import ReadingSession
from HierSynthLib.reader_study.record.refusals import ReadEverythingError
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.reader_study.study import Slot, Study
from HierSynthLib.volume import read_volume

_RADIUS_MM = 4.0
"""Of the spheres, and half the edge of the squares, that are marked (design value)."""

_CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))


def rehearse(folder: Path, reporter: Reporter) -> dict[str, str]:
    """Read all that is still open, for every reader; the answers are drawn by chance and say nothing about the maps.

    Args:
        folder: of a study whose protocol says `simulated_readers`, so that its report does, too.
        reporter: told about the progress.

    Returns:
        Reader → receipt; without those for whom nothing was left.

    Raises:
        InputError: the readers of the study are people; or see `sign_in`, for instance before a washout is over.
        OutputError: the record cannot be written.
        Cancelled: by the reporter; what was answered until then stays.
    """
    study = Study.read(folder)
    if not study.protocol.simulated_readers:
        raise InputError(
            "The readers of this study are people.",
            "Make another one for trying out, with 'simulated_readers: true' in its protocol.",
        )
    receipts: dict[str, str] = {}
    for number, reader in enumerate(study.readers):
        try:
            while True:
                with sign_in(folder, reader) as session:
                    _read(session, reporter, number / len(study.readers))
                    receipts[reader] = session.sign_out()
        except ReadEverythingError:
            continue
    reporter.progress("reading", 1.0)
    return receipts


def _read(session: ReadingSession, reporter: Reporter, fraction: float) -> None:
    while (slot := session.show()) is not None:
        reporter.progress("reading", fraction)
        for item in session.items:
            value = chance_answer(session.study, session.reader, slot, item)
            if value is not None:
                session.answer(item.id, value)
        session.submit()


def chance_answer(study: Study, reader: str, slot: Slot, item: Item) -> Any:
    """An answer that depends on nothing but reader, presentation and item; None where none has to be given.

    Regions are marked about the highest value of the map, in world coordinates (RAS mm): a sphere, or an axial square.
    """
    words = f"{study.sha256} {reader} {slot.presentation.id} {item.id}"
    number = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")
    match item.kind:
        case "likert" | "choice":
            return item.options[number % len(item.options)].value
        case "confidence":
            return number % 101
        case "flag":
            return number % 4 == 0
        case "hotspots":
            return [{"centre_mm": _highest(study.image_file(slot.presentation.images[0])), "radius_mm": _RADIUS_MM}]
        case "outline":
            x, y, z = _highest(study.image_file(slot.presentation.images[0]))
            return [{"points_mm": [[x + _RADIUS_MM * i, y + _RADIUS_MM * j, z] for i, j in _CORNERS]}]
        case _:
            return "Drawn by chance." if item.required else None


def _highest(path: Path) -> list[float]:
    volume = read_volume(path)
    index = np.unravel_index(int(np.argmax(volume.array)), volume.array.shape)
    return [float(value) for value in volume.affine[:3, :3] @ index + volume.affine[:3, 3]]
