"""What really happened in a study, as far as its record tells: for the methods paragraph and the warnings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from HierSynthLib.reader_study.record.database import open_record
from HierSynthLib.reader_study.record.events import Event, all_events, event_body
from HierSynthLib.reader_study.record.rules import usable_events
from HierSynthLib.reader_study.record.store import AMENDED, CLOSED, OVERRIDDEN, SUBMITTED
from HierSynthLib.reader_study.study import Study


class Override(NamedTuple):
    """A session that was begun before its washout was over.

    Attributes:
        reader: code.
        session: number.
        days: since the same cases were read.
        required_days: by the protocol.
        reason: as given.
    """

    reader: str
    session: int
    days: float
    required_days: float
    reason: str

    @property
    def sentence(self) -> str:
        """For the warnings of a report."""
        return (
            f"{self.reader} read session {self.session} {self.days:.1f} instead of {self.required_days:g} days after "
            f"the same cases. Reason: {self.reason}"
        )


@dataclass(frozen=True)
class Conduct:
    """What happened until now.

    Attributes:
        closed: whether nothing can be added any more.
        incomplete: reason for closing it although something was not read, or "".
        overrides: washouts that were cut short, in order.
        submitted: (reader, position) of everything that was submitted, training with it.
        amendments: number of answers changed after submission, training left out.
    """

    closed: bool = False
    incomplete: str = ""
    overrides: tuple[Override, ...] = ()
    submitted: frozenset[tuple[str, int]] = frozenset()
    amendments: int = 0

    @classmethod
    def of(cls, events: Iterable[Event]) -> Conduct:
        """What the events of a record tell."""
        closed, incomplete, overrides, submitted, amendments = False, "", [], set(), 0
        for event in events:
            if event.kind == CLOSED:
                closed, incomplete = True, str(event_body(event).get("incomplete", ""))
            elif event.kind == SUBMITTED:
                submitted.add((event.reader, int(event_body(event)["position"])))
            elif event.kind == AMENDED:
                amendments += not event_body(event)["training"]
            elif event.kind == OVERRIDDEN:
                body = event_body(event)
                overrides.append(
                    Override(event.reader, body["session"], body["days"], body["required_days"], body["reason"])
                )
        return cls(closed, incomplete, tuple(overrides), frozenset(submitted), amendments)

    @classmethod
    def read(cls, study: Study) -> Conduct:
        """What the record of a study tells, open or closed.

        Raises:
            InputError: there is no record, or it cannot be read.
        """
        with open_record(study.folder, readonly=True) as connection:
            return cls.of(usable_events(study, all_events(connection)))

    def read_presentations(self, study: Study) -> list[tuple[str, str]]:
        """(reader, presentation) of everything that was submitted, training left out."""
        return [
            (reader, slot.presentation.id)
            for reader in study.readers
            for slot in study.slots(reader)
            if not slot.training and (reader, slot.position) in self.submitted
        ]


def planned_presentations(study: Study) -> list[tuple[str, str]]:
    """(reader, presentation) of the whole schedule, training left out."""
    return [
        (reader, slot.presentation.id) for reader in study.readers for slot in study.slots(reader) if not slot.training
    ]
