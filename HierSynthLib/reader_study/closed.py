"""What an evaluation reads: the record of a closed study, after it was verified."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from HierSynthLib.progress import Reporter
from HierSynthLib.reader_study.record.answers import AnswerRow, read_answers, require_closed
from HierSynthLib.reader_study.record.database import open_record
from HierSynthLib.reader_study.record.events import Event, all_events
from HierSynthLib.reader_study.record.rules import usable_answer, usable_events
from HierSynthLib.reader_study.study import Study
from HierSynthLib.reader_study.verify import Verification, require_whole


class ClosedRecord(NamedTuple):
    """The record of a closed study.

    Attributes:
        answers: all of them, the oldest first, also those that were replaced.
        events: everything that happened, in order.
        verification: what was found; not whole only where that was accepted.
        left_out: answers and events of a record that is not whole which make no sense; they are in neither list.
    """

    answers: list[AnswerRow]
    events: list[Event]
    verification: Verification
    left_out: int = 0


def read_closed(
    folder: Path, *, images: bool = False, accept_damaged: str = "", reporter: Reporter | None = None
) -> ClosedRecord:
    """Verify the record of a closed study, and read it.

    Args:
        folder: of the study.
        images: whether to check the images, too, because something is measured on them.
        accept_damaged: reason for going on with a record that is not whole.
        reporter: told while images are read.

    Raises:
        InputError: the study is not closed, or there is no record.
        DamagedRecordError: the record is not whole, and there is no reason to go on all the same.
    """
    require_closed(folder)
    found = require_whole(folder, accept_damaged=accept_damaged, images=images, reporter=reporter)
    with open_record(folder, readonly=True) as connection:
        events = list(all_events(connection))
    answers, study = read_answers(folder), Study.read(folder)
    usable = [row for row in answers if usable_answer(study, row)], list(usable_events(study, events))
    return ClosedRecord(*usable, found, len(answers) - len(usable[0]) + len(events) - len(usable[1]))
