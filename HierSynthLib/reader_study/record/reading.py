"""A reader at work: see the next presentation, answer, submit, go back, amend, pause, sign out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from HierSynthLib.errors import InputError
from HierSynthLib.reader_study.checksums import require_intact, require_there
from HierSynthLib.reader_study.form import Item
from HierSynthLib.reader_study.record import store as kinds
from HierSynthLib.reader_study.record.activity import ActivityClock
from HierSynthLib.reader_study.record.answers import AnswerRow, select_answers
from HierSynthLib.reader_study.record.events import Event, canonical
from HierSynthLib.reader_study.record.refusals import SignedInElsewhereError
from HierSynthLib.reader_study.record.store import Store, insert_answer, insert_submission
from HierSynthLib.reader_study.study import Presentation, Slot, Study


class Progress(NamedTuple):
    """How far a reader is.

    Attributes:
        session: number of the session at work.
        done, total: submitted presentations and all, of the session.
        done_in_all, total_in_all: of all sessions.
    """

    session: int
    done: int
    total: int
    done_in_all: int
    total_in_all: int


class ReadingSession:
    """One reader's work in one session of the schedule; made by `record.session.sign_in`.

    Every method that writes returns after the record is durable. All raise `InputError` when something is not allowed
    now, and `OutputError` when the record cannot be written: nothing has changed then, and it can be tried again.
    """

    def __init__(self, store: Store, reader: str, number: int, sitting: int, activity: ActivityClock) -> None:
        self.reader, self.number = reader, number
        self._store, self._sitting, self._activity = store, sitting, activity
        self._slots = {slot.position: slot for slot in store.study.slots(reader) if slot.session == number}
        self._submitted, self._skipped = store.submitted(reader), store.skipped(reader)
        self._viewed = self._next_open()
        self._watched = self._shown_in(sitting)
        self._showed = False

    @property
    def study(self) -> Study:
        """The study that is read."""
        return self._store.study

    @property
    def slot(self) -> Slot | None:
        """What is to be shown now; None when the session is finished."""
        return None if self._viewed is None else self._slots[self._viewed]

    @property
    def upcoming(self) -> Slot | None:
        """What comes after this one, so that it can be loaded meanwhile."""
        following = self._next_open(besides=self._viewed)
        return None if following is None else self._slots[following]

    @property
    def locked(self) -> bool:
        """Whether the slot has been submitted, so that its answers can only be amended."""
        return self._viewed in self._submitted

    @property
    def paused(self) -> bool:
        """Whether the reader pauses."""
        return self._activity.paused

    @property
    def items(self) -> tuple[Item, ...]:
        """What is asked about the slot."""
        slot = self.slot
        return () if slot is None else self.study.form.asked(slot.presentation.mode)

    @property
    def progress(self) -> Progress:
        """How far the reader is."""
        done = len(self._submitted & set(self._slots))
        return Progress(self.number, done, len(self._slots), len(self._submitted), len(self.study.slots(self.reader)))

    def show(self, *, checked: bool = False) -> Slot | None:
        """Note that the slot is shown, and begin to count its time; None when the session is finished.

        Shown again without anything in between, its time goes on.

        Args:
            checked: whether the caller has compared the checksums of the images (`checksums.image_digest`); otherwise
                all are read here.

        Raises:
            ImageError: one of its images is missing or was changed; `skip` goes on without it.
        """
        slot = self.slot
        if slot is None:
            return None
        (require_there if checked else require_intact)(self.study, slot.presentation, slot.position)
        if self._watched != slot.position:
            # The washout counts from here, so the first one must survive a power cut; answers save those that follow.
            body = {"position": slot.position, "presentation": slot.presentation.id}
            self._append(kinds.SHOWN, body, durable=not self._showed)
            self._activity.restart()
            self._watched, self._showed = slot.position, True
        return slot

    def check_images(self, presentation: Presentation) -> None:
        """Compare the images of a presentation, such as the upcoming one, with their checksums.

        Raises:
            ImageError: one of them is missing or was changed.
        """
        require_intact(self.study, presentation)

    def answers(self) -> dict[str, Any]:
        """The newest answer to each item of the slot."""
        slot = self.slot
        rows = [] if slot is None else select_answers(self._store.connection, self.reader, slot.position)
        return {row.item: row.value for row in rows}

    def touch(self) -> None:
        """The reader moved the mouse or pressed a key."""
        self._activity.touch()

    def answer(self, item: str, value: Any) -> None:
        """Store the answer to an item of the slot; the same answer again changes nothing.

        Raises:
            InputError: the slot is submitted, or the answer is not possible.
        """
        slot = self._at_work()
        self._require_open(slot.position)
        checked = self._asked(item).check(value)
        if canonical(self.answers().get(item)) != canonical(checked):
            self._store_answer(slot, item, checked, kinds.ANSWERED, None, "")

    def submit(self) -> Slot | None:
        """Lock the answers of the slot and go to the next, which is returned; None when the session is finished.

        Raises:
            InputError: a required item has no answer.
        """
        slot = self._at_work()
        self._require_open(slot.position)
        given = self.answers()
        open_items = [item.id for item in self.items if item.required and item.id not in given]
        if open_items:
            raise InputError(f"{', '.join(open_items)}: no answer yet.", "Answer it, then submit.")
        active, idle = self._activity.read()

        body = {"position": slot.position, "presentation": slot.presentation.id, "active_s": active, "idle_s": idle}
        self._append(
            kinds.SUBMITTED,
            body,
            check=lambda: self._require_open(slot.position, ask_record=True),
            then=lambda event: insert_submission(self._store.connection, event, slot.position),
        )
        self._submitted.add(slot.position)
        self._go_to(self._next_open())
        return self.slot

    def amend(self, item: str, value: Any, reason: str) -> None:
        """Replace an answer of a submitted slot; the old one stays in the record.

        Raises:
            InputError: the slot is not submitted, the protocol does not allow it, or the reason is missing.
        """
        slot = self._at_work()
        self._require_back()
        if not self.locked:
            raise InputError(f"Position {slot.position} is not submitted.", "Just change the answer.")
        if not reason.strip():
            raise InputError("An amendment needs a reason.", "Say in a few words why the answer changes.")
        checked = self._asked(item).check(value)
        old = [row for row in select_answers(self._store.connection, self.reader, slot.position) if row.item == item]
        if not old or canonical(old[-1].value) != canonical(checked):
            self._store_answer(slot, item, checked, kinds.AMENDED, old[-1] if old else None, reason.strip())

    def skip(self, reason: str) -> Slot | None:
        """Put the slot off to the end of the session, for instance because its file is missing; returns the next.

        Raises:
            InputError: the slot is submitted, or the reason is missing.
        """
        slot = self._at_work()
        if self.locked or not reason.strip():
            raise InputError(f"Position {slot.position} cannot be skipped.", "Only open ones can, with a reason.")
        body = {"position": slot.position, "reason": reason.strip(), **self._left()}
        self._append(kinds.SKIPPED, body, check=lambda: self._require_open(slot.position, ask_record=True))
        self._skipped.add(slot.position)
        self._go_to(self._next_open(besides=slot.position))
        return self.slot

    def back(self) -> Slot:
        """Look at the slot before this one again.

        Raises:
            InputError: the protocol does not allow it, or there is none in this session.
        """
        self._require_back()
        before = [p for p in self._slots if p in self._submitted and (self._viewed is None or p < self._viewed)]
        if not before:
            raise InputError("This is the first one of the session.", "Go on to the next one.")
        self._append(kinds.WENT_BACK, {"position": max(before), **self._left()})
        self._go_to(max(before))
        return self._slots[max(before)]

    def forward(self) -> Slot | None:
        """From a slot that was gone back to, on to the next; ends at the first open one."""
        if self._viewed is not None and self.locked:
            after = [p for p in self._slots if p in self._submitted and p > self._viewed]
            position = min(after) if after else self._next_open()
            self._append(kinds.WENT_FORWARD, {"position": position, **self._left()})
            self._go_to(position)
        return self.slot

    def pause(self) -> None:
        """Stop counting time."""
        if not self.paused:
            self._append(kinds.PAUSED, {})
            self._activity.pause()

    def resume(self) -> None:
        """Count time again."""
        if self.paused:
            self._append(kinds.RESUMED, {})
            self._activity.resume()

    def sign_out(self) -> str:
        """End the work and return a receipt, "number:hash" of the last event.

        Who keeps it can show later that nothing before it was changed ('hiersynth study verify --receipt').
        """
        event = self._append(kinds.SIGNED_OUT, {"done": len(self._submitted), **self._left()})
        return f"{event.seq}:{event.hash}"

    def _append(
        self,
        kind: str,
        body: dict[str, Any],
        *,
        check: Callable[[], None] | None = None,
        then: Callable[[Event], None] | None = None,
        durable: bool = True,
    ) -> Event:
        def checks() -> None:
            self._require_ours()
            if check is not None:
                check()

        return self._store.append(self.reader, kind, body, check=checks, then=then, durable=durable)

    def _require_ours(self) -> None:
        """The reader may have signed in elsewhere meanwhile."""
        last = self._store.last_of(self.reader, kinds.SIGNED_IN, kinds.SIGNED_OUT)
        if last is None or last.seq != self._sitting:
            raise SignedInElsewhereError(self.reader)

    def _require_open(self, position: int, *, ask_record: bool = False) -> None:
        """The position must not be submitted; another process of the same sitting may have done it meanwhile."""
        if ask_record:
            self._submitted = self._store.submitted(self.reader)
        if position in self._submitted:
            raise InputError(f"Position {position} is submitted.", "Amend the answer, with a reason, or go on.")

    def _go_to(self, position: int | None) -> None:
        self._viewed, self._watched = position, None
        self._activity.restart()

    def _left(self) -> dict[str, Any]:
        """What an event says about the position that the reader leaves: its time since the last answer."""
        if self._watched is None:
            return {}
        active, idle = self._activity.read()
        submitted = self._watched in self._submitted
        return {
            kinds.LEFT: {"position": self._watched, "active_s": active, "idle_s": idle, "submitted": submitted},
        }

    def _shown_in(self, sitting: int) -> int | None:
        """The position at work if it was shown in this sitting already, as one command after another does."""
        last = self._store.last_of(
            self.reader, kinds.SHOWN, kinds.WENT_BACK, kinds.WENT_FORWARD, kinds.ANSWERED, kinds.SUBMITTED
        )
        if last is None or last.seq < sitting or last.kind not in (kinds.SHOWN, kinds.ANSWERED):
            return None
        return self._viewed if json.loads(last.body)["position"] == self._viewed else None

    def _at_work(self) -> Slot:
        slot = self.slot
        if slot is None:
            raise InputError(f"Session {self.number} is finished.", "Sign out.")
        if self.paused:
            raise InputError("The reading is paused.", "Resume it first.")
        return slot

    def _asked(self, item: str) -> Item:
        found = self.study.form.item(item)
        if found not in self.items:
            raise InputError(f'"{item}" is not asked here.', f"Asked are {', '.join(each.id for each in self.items)}.")
        return found

    def _require_back(self) -> None:
        if not self.study.protocol.allow_back:
            raise InputError(
                "The protocol of this study does not allow to go back.", "Submitted answers stay as they are."
            )

    def _store_answer(self, slot: Slot, item: str, value: Any, kind: str, old: AnswerRow | None, reason: str) -> None:
        active, idle = self._activity.read()
        body = {
            "session": slot.session,
            "position": slot.position,
            "presentation": slot.presentation.id,
            "item": item,
            "value": value,
            "active_s": active,
            "idle_s": idle,
            "amendment_of": None if old is None else old.id,
            "reason": reason,
            "training": slot.training,
        }
        self._append(
            kind,
            body,
            check=None if kind == kinds.AMENDED else lambda: self._require_open(slot.position, ask_record=True),
            then=lambda event: insert_answer(self._store.connection, event, body),
        )
        self._watched = slot.position
        self._activity.restart()

    def _next_open(self, besides: int | None = None) -> int | None:
        """The first open position; those that were skipped come last."""
        still = [p for p in self._slots if p not in self._submitted and p != besides]
        fresh = [p for p in still if p not in self._skipped]
        return min(fresh or still, default=None)
