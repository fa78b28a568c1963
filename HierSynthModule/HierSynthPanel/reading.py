"""A reader at work in the panel: from signing in to signing out, without any widget."""

from collections.abc import Callable
from contextlib import ExitStack
from enum import Enum
from typing import Any

from HierSynthLib.errors import HierSynthError
from HierSynthLib.reader_study.record.database import INTERACTIVE_WAIT_S
from HierSynthLib.reader_study.record.reading import ReadingSession
from HierSynthLib.reader_study.record.refusals import ImageError
from HierSynthLib.reader_study.record.session import sign_in
from HierSynthLib.reader_study.study import Presentation, Study
from HierSynthPanel.reading_images import PresentationImages
from HierSynthPanel.reading_views import ReadingViews


class State(Enum):
    """What the reader sees."""

    AWAY = "nobody is signed in"
    LOADING = "the images are being read"
    READING = "images and form"
    PAUSED = "neither images nor form"
    MISSING = "an image cannot be shown"
    REFUSED = "what is to be shown cannot be noted in the record"
    FINISHED = "the session is finished"


class Reading:
    """Shows one presentation after the other and keeps the next one ready.

    Args:
        on_change: called when the reader sees something else.

    Attributes:
        state: what the reader sees.
        session: the record's side of it; None while nobody is signed in.
        views: the images.
        problem: why nothing is shown, while that is so.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._stack = ExitStack()
        self._before: Presentation | None = None
        self._now: Presentation | None = None
        self.state = State.AWAY
        self.session: ReadingSession | None = None
        self.problem: HierSynthError | None = None
        self.views = ReadingViews()
        self._images = PresentationImages(self._present, self._miss)

    @property
    def active(self) -> bool:
        """Whether a reader is signed in."""
        return self.session is not None

    def begin(self, study: Study, reader: str, override: str = "", session: int = 0) -> None:
        """Sign a reader in, and go on where the reader stopped.

        Args:
            study: what is read.
            reader: code.
            override: reason for beginning before the washout is over.
            session: to look back at; 0 goes on with the next presentation.

        Raises:
            WashoutError: it is too early for the session, and there is no reason.
            HierSynthError: see `sign_in`; or the scene is not empty.
        """
        self.views.open(study.protocol.display)
        at_work = sign_in(study.folder, reader, override=override, session=session, wait_s=INTERACTIVE_WAIT_S)
        self.session = self._stack.enter_context(at_work)
        self._images.open(self.session.study)
        self._go()

    def answer(self, item: str, value: Any, reason: str) -> None:
        """Store an answer; of a submitted presentation as an amendment, which needs the reason."""
        if self.session.locked:
            self.session.amend(item, value, reason)
        else:
            self.session.answer(item, value)

    def submit(self) -> None:
        """Lock the answers and go on."""
        self.session.submit()
        self._go()

    def skip(self, reason: str) -> None:
        """Put off what cannot be shown."""
        self.session.skip(reason)
        self._go()

    def back(self) -> None:
        """Look at the presentation before this one."""
        self.session.back()
        self._go()

    def forward(self) -> None:
        """Go on from a presentation that was gone back to."""
        self.session.forward()
        self._go()

    def again(self) -> None:
        """Try once more to show what could not be shown."""
        self._go()

    def pause(self) -> None:
        """Hide everything, and count no time."""
        if self.state in (State.READING, State.LOADING):
            self.session.pause()
            self.views.set_visible(False)
            self._change(State.PAUSED)

    def resume(self) -> None:
        """Go on after a pause."""
        if self.state == State.PAUSED:
            self.session.resume()
            self.state = State.LOADING
            self._go()

    def touch(self, *_args: object) -> None:
        """The reader did something."""
        if self.session is not None and self.state == State.READING:
            self.session.touch()

    def end(self, *, scene_closed: bool = False) -> str:
        """Sign out, and leave nothing in the scene; the receipt.

        Args:
            scene_closed: whether the scene's nodes are going away by themselves.

        Raises:
            HierSynthError: the record could not be written; the reading has ended all the same.
        """
        session, self.session = self.session, None
        self._images.clear()
        if scene_closed:
            self.views.forget()
        else:
            self.views.close()
        self._before = self._now = None
        try:
            return session.sign_out()
        finally:
            self._stack.close()
            self._change(State.AWAY)

    def _go(self) -> None:
        """Show the present slot as soon as its images are there, and have the next one read."""
        session = self.session
        slot = session.slot
        self.problem = None
        if slot is None:
            self._images.clear()
            self.views.set_visible(False)
            self._change(State.FINISHED)
            return
        if self._now is None or self._now.id != slot.presentation.id:
            self._before, self._now = self._now, slot.presentation
        following = session.upcoming.presentation if session.upcoming is not None else None
        # The one before stays in memory, because the reader may go back.
        self._images.load([each for each in (self._now, following, self._before) if each is not None])
        if self._images.get(self._now) is not None:
            self._present()
        elif self.problem is None:
            self.views.set_visible(False)
            self._change(State.LOADING)

    def _present(self) -> None:
        if self.session is None or self.state == State.PAUSED:
            return
        try:
            self.session.show(checked=True)
        except ImageError as error:
            self._miss(error)
        except HierSynthError as error:
            self._hide(State.REFUSED, error)
        else:
            self.views.show(self._now, self._images.get(self._now))
            self._change(State.READING)

    def _miss(self, error: HierSynthError) -> None:
        if self.state != State.PAUSED:
            self._hide(State.MISSING, error)

    def _hide(self, state: State, error: HierSynthError) -> None:
        self.problem = error
        self.views.set_visible(False)
        self._change(state)

    def _change(self, state: State) -> None:
        self.state = state
        self._on_change()
